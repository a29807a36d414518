//! What a call tells its detectors, and takes from them.

use std::time::Instant;

use super::Call;
use crate::api::{CallStats, Leg, MediaEvent, Path};
use crate::detect::Situation;
use crate::rtp::PayloadType;
use crate::trunk::TrunkLeg;

impl Call {
    /// Lets the detectors look at the call as it stands, reports what they found and adds it to
    /// the counters.
    pub(super) fn look(&mut self, now: Instant, stats: &mut CallStats) {
        let situation = self.situation();
        let Some(detectors) = &mut self.detectors else { return };
        detectors.look(now, &situation, stats, [self.to_trunk.ear(), self.to_browser.ear()]);
        detectors.fill(stats);
        self.quality.set_relay(detectors.is_relay(stats.browser_remote));
        while let Some(change) = self.detectors.as_mut().and_then(|detectors| detectors.poll()) {
            self.report(Some(MediaEvent::Issue(Box::new(change))));
        }
    }

    /// The same between two samples, when something was awaited.
    pub(super) fn look_now(&mut self, now: Instant) {
        if self.detectors.is_some() {
            let mut stats = self.stats(now);
            self.look(now, &mut stats);
        }
    }

    /// The browser's packets go over this now.
    pub(super) fn reached_over(&mut self, path: Path) {
        self.quality.set_tcp(path == Path::Tcp);
        if let Some(detectors) = &mut self.detectors {
            detectors.connected_over(path);
        }
    }

    /// What is expected may have changed.
    pub(super) fn look_soon(&mut self, now: Instant) {
        if let Some(detectors) = self.detectors.as_mut().filter(|_| self.answered) {
            detectors.look_soon(now);
        }
    }

    pub(super) fn note_audio(&mut self, from: Leg) {
        if let Some(detectors) = &mut self.detectors {
            detectors.audio(from);
        }
    }

    fn situation(&self) -> Situation {
        let browser_here = self.answered && self.browser.transport.is_connected() && self.presence.is_here();
        let trunk = self.trunk.as_ref().filter(|_| self.answered);
        let from_browser = !self.to_trunk.is_muted();
        let from_trunk = !self.to_browser.is_muted();
        Situation {
            expected: [
                browser_here && self.browser.media.receives && from_browser && (trunk.is_some() || self.echoes),
                browser_here && self.browser.media.sends,
                trunk.is_some_and(TrunkLeg::owes_audio) && from_trunk,
                trunk.is_some_and(|trunk| trunk.output().is_some()),
            ],
            strangers: [
                self.browser.stream.stranger.map(|PayloadType(number)| number),
                self.trunk.as_ref().and_then(TrunkLeg::stranger).map(|PayloadType(number)| number),
            ],
        }
    }
}
