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
        self.next_look = detectors.look(now, &situation, stats, [self.to_trunk.hearing(), self.to_browser.hearing()]);
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
        if self.detectors.is_some() && self.answered {
            self.next_look = Some(now);
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
            audio: [self.heard.0, self.heard.1],
            rests: [Leg::Browser, Leg::Trunk].map(|leg| self.presence.is_resting(leg)),
            strangers: [
                self.browser.stream.stranger.map(|PayloadType(number)| number),
                self.trunk.as_ref().and_then(TrunkLeg::stranger).map(|PayloadType(number)| number),
            ],
        }
    }
}
