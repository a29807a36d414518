//! Why a browser that does not come back, or a leg that has fallen silent, is gone: and what shows it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use trunkline_media::api::{BrowserLoss, Leg};
use trunkline_media::sdp::browser::Direction;

use super::browser::loss_word;
use super::quality::{Poor, words};
use super::{Call, Stage};
use crate::outcome::Reason;

/// A new path this long before a silence explains it.
const CHANGE_BEFORE_LOSS: Duration = Duration::from_secs(10);
/// A browser is found to be lost so long after its last packet, at most.
const NOTICED_WITHIN: Duration = Duration::from_secs(20);

impl Call {
    /// The browser did not come back. `how` is the media plane's word; `None`: it never came.
    pub(super) fn grace_over(&mut self, now: Instant, how: Option<BrowserLoss>) {
        let lost = self.browser.lost();
        let how = how.or(lost.map(|(_, how)| how)).unwrap_or(BrowserLoss::Silence);
        let lost_at = lost.map_or(now, |(at, _)| at);
        self.notes.evidence("loss", loss_word(how));
        self.notes.evidence("lost_for_ms", ms(now, lost_at));
        let reason = self.why_gone(lost_at, how);
        self.finish(now, reason);
    }

    fn why_gone(&mut self, lost_at: Instant, how: BrowserLoss) -> Reason {
        self.note_before(lost_at, Leg::Browser);
        let change =
            self.browser.change().filter(|(at, _)| lost_at.saturating_duration_since(*at) < CHANGE_BEFORE_LOSS);
        if let Some((at, what)) = change {
            let before_loss = lost_at.saturating_duration_since(at);
            let after_loss = at.saturating_duration_since(lost_at);
            self.notes.evidence(
                "change",
                json!({
                    "what": what,
                    "before_loss_ms": millis(before_loss),
                    "after_loss_ms": millis(after_loss),
                    "remote": self.browser.remote.map(|remote| remote.to_string()),
                }),
            );
            return Reason::IpChange;
        }
        match how {
            BrowserLoss::Silence => self.if_poor(lost_at, NOTICED_WITHIN).unwrap_or(Reason::PeerVanished),
            BrowserLoss::CloseNotify | BrowserLoss::RtcpBye => Reason::ClientGone,
        }
    }

    /// A leg that owes audio sends none.
    pub(super) fn silent(&mut self, now: Instant, leg: Leg) {
        // A lost browser has the grace period; before the answer nobody owes audio.
        let excused = leg == Leg::Browser && self.browser.is_lost();
        let Stage::Talking(talking) = &self.stage else { return };
        if excused {
            return;
        }
        let direction = match leg {
            Leg::Browser => json!({ "browser": "sends" }),
            Leg::Trunk => json!({ "sip": direction_word(talking.media.peer_direction) }),
        };
        self.notes.evidence("expected_direction", direction);
        self.notes.evidence("limit_ms", millis(self.about.limits.inactivity));
        self.note_before(now, leg);
        let slack = self.about.limits.inactivity + NOTICED_WITHIN;
        let poor = if leg == Leg::Browser { self.if_poor(now, slack) } else { None };
        self.finish(now, poor.unwrap_or(Reason::MediaTimeout(leg)));
    }

    /// The network is the cause if it was red until the loss.
    fn if_poor(&mut self, lost_at: Instant, slack: Duration) -> Option<Reason> {
        let Poor { half_leg, red_for, reasons } = self.quality.poor(lost_at, self.about.poor_after, slack)?;
        self.notes.evidence("half_leg", half_leg.word());
        self.notes.evidence("red_for_ms", millis(red_for));
        self.notes.evidence("reasons", words(reasons));
        Some(Reason::NetworkPoor)
    }

    /// How the leg was before it was lost.
    fn note_before(&mut self, lost_at: Instant, leg: Leg) {
        self.notes.evidence("last_good_age_ms", Value::from(self.quality.last_good_age_ms(lost_at, leg)));
        self.notes.evidence("levels_before", self.quality.levels_before(leg));
    }
}

fn direction_word(direction: Direction) -> &'static str {
    match direction {
        Direction::SendRecv => "sendrecv",
        Direction::SendOnly => "sendonly",
        Direction::RecvOnly => "recvonly",
        Direction::Inactive => "inactive",
    }
}

fn ms(now: Instant, then: Instant) -> u64 {
    millis(now.saturating_duration_since(then))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
