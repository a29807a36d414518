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
        } else if let Input::Media(MediaEvent::CodecSwitched { to }) = input {
            counters.measures.switched(*to);
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
    let result = match event.name {
        "call_transferred" => "done",
        "call_transfer_failed" => "failed",
        _ => return,
    };
    let word = |key: &str| event.data.get(key).and_then(|word| word.as_str()).unwrap_or_default();
    counters.measures.transferred(word("mode"), word("by"), result);
}

/// What an INVITE has come to, if this event decides it: `answered`, `cancelled`, or the reason it failed for.
fn attempt_result(event: &SipEvent) -> Option<&'static str> {
    Some(match event {
        SipEvent::Answered { .. } => "answered",
        SipEvent::Failed(failure) => match failure {
            Failure::Rejected { status, .. } | Failure::Redirected { status, .. } => {
                table::reason_of_status(*status).word()
            }
            Failure::AuthenticationFailed { .. } => "dest_auth",
            Failure::NoProvisional | Failure::NoFinal => "dest_timeout",
            Failure::Transport => "dest_unreachable",
            Failure::Tls(_) => "dest_tls",
            Failure::Cancelled => "cancelled",
        },
        SipEvent::NotSent(NotSent::BadUri) => "dest_not_found",
        SipEvent::NotSent(NotSent::Full) => "dest_unavailable",
        SipEvent::NotSent(NotSent::Tls(_)) => "dest_tls",
        SipEvent::NotSent(NotSent::Gone) | SipEvent::Lost { .. } | SipEvent::SessionExpired { .. } => {
            "dest_unreachable"
        }
        SipEvent::Ended { .. } => "dest_unavailable",
        SipEvent::Sent(_)
        | SipEvent::Trying
        | SipEvent::Provisional { .. }
        | SipEvent::Offer { .. }
        | SipEvent::OfferAnswered(_)
        | SipEvent::Confirmed { .. }
        | SipEvent::Cancelled { .. }
        | SipEvent::Digit { .. }
        | SipEvent::DigitsRefused { .. }
        | SipEvent::Transfer(_)
        | SipEvent::Traced(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value};
    use trunkline_media::api::CallStats;
    use trunkline_media::audio::Codec;
    use trunkline_media::quality::Level;

    use trunkline_signaling::endpoint::Fork;

    use super::*;
    use crate::metrics::{Metrics, Snapshot};

    fn route(trunk: &str) -> Arc<Route> {
        Arc::new(Route { trunk: trunk.into(), ..crate::testing::route() })
    }

    /// Lines of the published text that begin so and are not nought.
    fn published(counters: &Counters, name: &str) -> Vec<String> {
        let text = Metrics::new().render(&Snapshot { calls: counters.snapshot(), ..Snapshot::default() });
        let counted = text.lines().filter(|line| line.starts_with(name) && !line.ends_with(" 0"));
        counted.map(|line| line.replace(name, "")).collect()
    }

    #[test]
    fn each_invite_is_counted_once_for_its_trunk() {
        let (mut tally, counters) = (CallTally::default(), Counters::default());
        let sip = |attempt, event| Input::Sip { attempt: AttemptId(attempt), event };
        tally.invited(AttemptId(1), &route("first"));
        tally.input(&sip(1, SipEvent::Provisional { fork: Fork::default(), status: 180, sdp: None }), &counters);
        tally.input(&sip(1, SipEvent::Failed(Failure::NoProvisional)), &counters);
        tally.hung_up(AttemptId(1), &counters);
        tally.invited(AttemptId(2), &route("second"));
        tally.hung_up(AttemptId(2), &counters);
        tally.input(&sip(2, SipEvent::Failed(Failure::Cancelled)), &counters);
        tally.invited(AttemptId(3), &route("second"));
        tally.input(&sip(2, SipEvent::Answered { fork: Fork::default(), sdp: None }), &counters);
        tally.input(&sip(3, SipEvent::Answered { fork: Fork::default(), sdp: None }), &counters);
        tally.input(&sip(3, SipEvent::Ended { reason: None }), &counters);
        tally.hung_up(AttemptId(3), &counters);
        assert_eq!(
            published(&counters, "trunkline_trunk_attempts_total"),
            [
                r#"{trunk="first",result="dest_timeout"} 1"#,
                r#"{trunk="second",result="answered"} 1"#,
                r#"{trunk="second",result="cancelled"} 1"#,
            ]
        );
    }

    #[test]
    fn samples_switches_and_findings_are_counted_as_they_pass() {
        let (mut tally, counters) = (CallTally::default(), Counters::default());
        let mut stats = CallStats::default();
        stats.drops.bad_rtcp = 2;
        stats.quality[0].level = Level::Amber;
        for _ in 0..3 {
            tally.input(&Input::Media(MediaEvent::Sample(Box::new(stats.clone()))), &counters);
        }
        tally.input(&Input::Media(MediaEvent::CodecSwitched { to: Codec::Opus }), &counters);
        tally.input(&Input::Media(MediaEvent::CodecSwitched { to: Codec::Pcmu }), &counters);
        let told = |name, finding: &str| {
            let data = Map::from_iter([("finding".to_owned(), Value::from(finding))]);
            event(&CallEvent { seq: 1, name, data }, &counters);
        };
        told("issue_detected", "silence");
        told("issue_cleared", "silence");
        let seconds = published(&counters, "trunkline_quality_seconds_total");
        assert!(seconds.contains(&r#"{half_leg="browser_up",level="amber"} 3"#.to_owned()), "{seconds:?}");
        assert_eq!(published(&counters, "trunkline_media_drops_total"), [r#"{leg="browser",reason="bad_rtcp"} 2"#]);
        let switches = published(&counters, "trunkline_codec_switches_total");
        assert_eq!(switches, [r#"{to="opus"} 1"#, r#"{to="PCMU"} 1"#]);
        assert_eq!(published(&counters, "trunkline_findings_total"), [r#"{finding="silence"} 1"#]);
    }
}
