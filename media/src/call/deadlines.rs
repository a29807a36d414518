//! When a call wants to be called, and what it does then.
//!
//! Whoever keeps the call asks for its next deadline after everything it takes in, which is nearly always a packet of audio.
//! Such a packet moves most deadlines away and brings none of them nearer but the flows' own, so only those are looked at.

use std::time::Instant;

use super::{Call, SAMPLE_EVERY};
use crate::api::{Leg, MediaEvent};
use crate::outbox::Outbox;
use crate::trunk::TrunkLeg;

/// When something is to be done, and what.
pub(super) type Deadline = (Instant, &'static str);

impl Call {
    /// A deadline passed: playout, RTCP, DTMF, DTLS, limits.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) {
        self.ran(now);
        if self.poll_timeout().is_none_or(|(at, _)| at > now) {
            return;
        }
        let slow = self.slow.take();
        let is_slow = slow.flatten().is_some_and(|(at, _)| at <= now);
        if is_slow && self.browser.transport.poll_timeout().is_some_and(|(at, _)| at <= now) {
            self.browser.transport.handle_timeout(now, out);
            self.drain_transport(now);
        }
        self.play(now, out);
        self.ripe_tones(now);
        if is_slow || !self.events.is_empty() {
            self.keep_up(now, out);
        } else {
            self.slow = slow;
        }
        if self.next_look.is_some_and(|at| at <= now) {
            self.look_now(now);
        }
    }

    /// Whatever the flows' own clocks have to say.
    fn play(&mut self, now: Instant, out: &mut Outbox) {
        let to_trunk = if self.echoes {
            self.to_trunk.handle_timeout(now, &mut self.browser, out);
            None
        } else {
            self.trunk.as_mut().and_then(|trunk| self.to_trunk.handle_timeout(now, trunk, out))
        };
        self.played_to_trunk(now, to_trunk);
        let to_browser = self.to_browser.handle_timeout(now, &mut self.browser, out);
        self.report(to_browser.map(|id| MediaEvent::PromptFinished { leg: Leg::Browser, id }));
    }

    /// All that audio does not wait for.
    fn keep_up(&mut self, now: Instant, out: &mut Outbox) {
        let overdue = self.browser.stream.overdue_digit(now);
        self.heard_digit(now, Leg::Browser, overdue);
        let overdue = self.trunk.as_mut().and_then(TrunkLeg::stream).and_then(|stream| stream.overdue_digit(now));
        self.heard_digit(now, Leg::Trunk, overdue);
        self.poll_legs(now, out);
        while let Some(event) = self.presence.check(now) {
            self.report(Some(event));
        }
        if self.next_sample.is_some_and(|at| at <= now) {
            self.next_sample = Some(now + SAMPLE_EVERY);
            self.measure(now, out);
            let mut stats = Box::new(self.stats(now));
            self.look(now, &mut stats);
            self.tell_voip(&stats);
            self.report(Some(MediaEvent::Sample(stats)));
        }
    }

    /// The next deadline and why.
    #[must_use]
    pub fn poll_timeout(&mut self) -> Option<Deadline> {
        let slow = self.slow.unwrap_or_else(|| self.slow_timeout());
        self.slow = Some(slow);
        let next = self.quick_timeout().into_iter().chain(slow).min_by_key(|(at, _)| *at);
        debug_assert!(
            self.slow_timeout().is_none_or(|(at, _)| next.is_some_and(|(next, _)| next <= at)),
            "audio has brought a deadline forward"
        );
        next
    }

    /// The next of those that packets of audio set.
    fn quick_timeout(&self) -> Option<Deadline> {
        let to_trunk = (self.echoes || self.trunk.is_some()).then(|| self.to_trunk.poll_timeout()).flatten();
        [
            to_trunk.map(|at| (at, "frame to the trunk")),
            self.to_browser.poll_timeout().map(|at| (at, "frame to the browser")),
            self.digits.poll_timeout(),
            self.next_look.map(|at| (at, "detectors")),
        ]
        .into_iter()
        .flatten()
        .min_by_key(|(at, _)| *at)
    }

    /// The next of all others.
    fn slow_timeout(&self) -> Option<Deadline> {
        [
            self.browser.poll_timeout(),
            self.trunk.as_ref().and_then(TrunkLeg::poll_timeout),
            self.presence.poll_timeout(),
            self.next_sample.map(|at| (at, "sample")),
        ]
        .into_iter()
        .flatten()
        .min_by_key(|(at, _)| *at)
    }
}
