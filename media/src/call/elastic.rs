//! What the browser is sent: the trunk's own codec, relayed, while the way to the browser is good, Opus with in-band FEC
//! while it loses packets. Both payload types are negotiated, so nobody is asked.

use std::time::{Duration, Instant};

use super::Call;
use crate::api::MediaEvent;
use crate::audio::Codec;
use crate::rtp::PayloadType;
use crate::trunk::TrunkLeg;

/// A report that tells of fewer packets is put together with the next one.
const ENOUGH: u64 = 50;

/// Protection ends after so long without loss...
const CALM: Duration = Duration::from_secs(20);
/// ...and after twice as long each time it was ended too soon, up to this.
const CALM_LIMIT: Duration = Duration::from_secs(320);

/// Loss that comes back within this time shows that protection ended too soon.
const RELAPSE: Duration = Duration::from_secs(60);

/// While protected, the encoder is told of this much loss at least, or it would leave the FEC out.
const LEAST_LOSS: f64 = 0.03;

/// Decides between relay and protection for one listener.
#[derive(Debug)]
pub(super) struct Elastic {
    /// Without, everything goes in the first codec that was agreed.
    wanted: bool,
    protects: bool,
    /// Packets the listener expected and lost up to the last report that was looked at.
    seen: Option<(u64, i64)>,
    /// Since when there is no loss.
    calm_since: Option<Instant>,
    calm_for: Duration,
    ended: Option<Instant>,
}

impl Default for Elastic {
    fn default() -> Self {
        Self { wanted: false, protects: false, seen: None, calm_since: None, calm_for: CALM, ended: None }
    }
}

impl Elastic {
    /// The listener has reported how many packets it expected and lost from the beginning; `much` (0..1) is loss worth
    /// protecting from. Whether the codec is to be chosen again.
    fn reported(&mut self, now: Instant, (expected, lost): (u64, i64), much: f64) -> bool {
        let (expected_before, lost_before) = self.seen.unwrap_or_default();
        let Some(new) = expected.checked_sub(expected_before) else {
            // Another stream, counted from its own beginning.
            self.seen = Some((expected, lost));
            return false;
        };
        if new < ENOUGH {
            return false;
        }
        self.seen = Some((expected, lost));
        let share = (lost - lost_before).max(0) as f64 / new as f64;
        if !self.protects {
            self.protects = share >= much;
            if self.protects {
                let relapsed = self.ended.is_some_and(|at| now.saturating_duration_since(at) < RELAPSE);
                self.calm_for = if relapsed { (self.calm_for * 2).min(CALM_LIMIT) } else { CALM };
                self.calm_since = None;
            }
            return self.protects && self.wanted;
        }
        if share >= much / 2.0 {
            self.calm_since = None;
            return false;
        }
        let since = *self.calm_since.get_or_insert(now);
        if now.saturating_duration_since(since) < self.calm_for {
            return false;
        }
        self.protects = false;
        self.ended = Some(now);
        self.wanted
    }

    /// What to say of `accepted`, whose first is what is said where nothing is elastic, to somebody who hears a trunk that
    /// speaks `trunk`.
    fn choose(&self, accepted: &[(PayloadType, Codec)], trunk: Option<Codec>) -> Option<(PayloadType, Codec)> {
        let first = accepted.first().copied();
        let find = |wanted: Codec| accepted.iter().copied().find(|(_, codec)| *codec == wanted);
        let (relayed, opus) = (trunk.and_then(find), find(Codec::Opus));
        match (self.wanted, self.protects) {
            (false, _) => first,
            (true, true) => opus.or(relayed).or(first),
            (true, false) => relayed.or(opus).or(first),
        }
    }
}

impl Call {
    /// Whether what the browser is sent follows its network, and whether what the trunk is sent waits for nothing.
    pub(super) fn set_audio(&mut self, now: Instant, elastic: bool, on_arrival: bool) {
        self.elastic.wanted = elastic;
        self.to_trunk.set_on_arrival(on_arrival);
        self.rewire(now);
    }

    /// The browser has reported what it loses: `fraction` of the last packets.
    pub(super) fn browser_reported(&mut self, now: Instant, fraction: f64) {
        let much = f64::from(self.surroundings.policy.loss.amber);
        // What was lost and asked for again was lost, though the report counts it as received.
        let resent = i64::try_from(self.browser.resent()).unwrap_or(i64::MAX);
        let totals = self.browser.stream.down(now, None, 0).reported;
        let totals = totals.map(|(expected, lost)| (expected, lost.saturating_add(resent)));
        if totals.is_some_and(|totals| self.elastic.reported(now, totals, much)) {
            self.choose_again(now);
        }
        let least = if self.elastic.wanted && self.elastic.protects { LEAST_LOSS } else { 0.0 };
        let expected = self.browser.reported(fraction);
        self.to_browser.set_expected_loss(expected.max(least));
    }

    /// As if the browser had reported that.
    #[cfg(test)]
    pub(super) fn browser_loses(&mut self, now: Instant, totals: (u64, i64)) {
        if self.elastic.reported(now, totals, 0.01) {
            self.choose_again(now);
        }
    }

    fn choose_again(&mut self, now: Instant) {
        let before = self.browser.speaks.1;
        self.rewire(now);
        let to = self.browser.speaks.1;
        if to != before {
            tracing::debug!(?to, "the browser's codec changes");
            self.report(Some(MediaEvent::CodecSwitched { to }));
        }
    }

    /// Chooses what the browser is sent.
    pub(super) fn choose_codec(&mut self) {
        let trunk = self.trunk.as_ref().and_then(TrunkLeg::codec);
        if let Some(chosen) = self.elastic.choose(&self.browser.media.accepted, trunk) {
            self.browser.speaks = chosen;
        }
    }
}

#[cfg(test)]
#[path = "elastic_tests.rs"]
mod tests;
