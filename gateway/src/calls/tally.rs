//! What the driver counts of one call as its inputs and events pass by.

use std::sync::Arc;

use trunkline_media::api::MediaEvent;
use trunkline_signaling::endpoint::Failure;

use super::counters::Counters;
use crate::call::{AttemptId, CallEvent, Input, NotSent, SipEvent};
use crate::metrics::DropsSeen;
use crate::outcome::table;
use crate::routing::Route;

/// What of a call has been counted.
#[derive(Debug, Default)]
pub(super) struct CallTally {
    /// The attempt whose INVITE has come to nothing yet.
    undecided: Option<(AttemptId, Arc<Route>)>,
    drops: DropsSeen,
}

impl CallTally {
    /// Something comes to the call.
    pub(super) fn input(&mut self, input: &Input, counters: &Counters) {
        if let Input::Media(MediaEvent::Sample(stats)) = input {
            counters.sampled(&stats.quality);
            self.drops.count(stats, &counters.measures);
        } else if let Input::Sip { attempt, event } = input
            && let Some(result) = attempt_result(event)
        {
            self.decided(*attempt, result, counters);
        }
    }

    /// An INVITE goes out.
    pub(super) fn invited(&mut self, attempt: AttemptId, route: &Arc<Route>) {
        self.undecided = Some((attempt, Arc::clone(route)));
    }

    /// A leg is hung up.
    pub(super) fn hung_up(&mut self, attempt: AttemptId, counters: &Counters) {
        self.decided(attempt, "cancelled", counters);
    }

    /// Each INVITE is counted once.
    fn decided(&mut self, attempt: AttemptId, result: &str, counters: &Counters) {
        if let Some((_, route)) = self.undecided.take_if(|(undecided, _)| *undecided == attempt) {
            counters.measures.attempted(&route.trunk, result);
        }
    }
}

/// Something goes out to the world.
pub(super) fn event(event: &CallEvent, counters: &Counters) {
    if event.name == "issue_detected"
        && let Some(finding) = event.data.get("finding").and_then(|word| word.as_str())
    {
        counters.found(finding);
    }
}

/// What an INVITE has come to, if this event decides it: `answered`, `cancelled`, or the reason it failed for.
fn attempt_result(event: &SipEvent) -> Option<&'static str> {
    Some(match event {
        SipEvent::Answered { .. } => "answered",
        SipEvent::Failed(failure) => match failure {
            Failure::Rejected { status, .. } => table::reason_of_status(*status).word(),
            Failure::AuthenticationFailed { .. } => "dest_auth",
            Failure::NoProvisional | Failure::NoFinal => "dest_timeout",
            Failure::Transport => "dest_unreachable",
            Failure::Cancelled => "cancelled",
        },
        SipEvent::NotSent(NotSent::BadUri) => "dest_not_found",
        SipEvent::NotSent(NotSent::Full) => "dest_unavailable",
        SipEvent::NotSent(NotSent::Gone) | SipEvent::Lost { .. } | SipEvent::SessionExpired { .. } => {
            "dest_unreachable"
        }
        SipEvent::Ended { .. } => "dest_unavailable",
        SipEvent::Sent(_)
        | SipEvent::Provisional { .. }
        | SipEvent::Offer { .. }
        | SipEvent::OfferAnswered(_)
        | SipEvent::Traced(_) => return None,
    })
}
