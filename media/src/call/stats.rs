//! A call's counters, gathered.

use std::time::{Duration, Instant};

use super::Call;
use super::browser_leg::sum;
use crate::api::{CallStats, Leg, StreamStats};
use crate::bridge::Flow;
use crate::outbox::Outbox;
use crate::quality::{Audio, LegReading, RttSource};
use crate::rtp::age_ms;
use crate::trunk::TrunkLeg;

impl Call {
    /// Counters.
    #[must_use]
    pub fn stats(&self, now: Instant) -> CallStats {
        let trunk = self.trunk.as_ref();
        let trunk_drops = trunk.map(TrunkLeg::drops).unwrap_or_default();
        let rtt = self.browser_rtt(now);
        let mut stats = CallStats {
            browser_in: StreamStats {
                rtt_ms: rtt.map(|(ms, _)| ms),
                rtt_source: rtt.map(|(_, source)| source),
                ..with_buffer(self.browser.stream.received(now), &self.to_trunk)
            },
            browser_out: self.browser.stream.sent(),
            trunk_in: with_buffer(trunk.map(|leg| leg.received(now)).unwrap_or_default(), &self.to_browser),
            trunk_out: trunk.map(TrunkLeg::sent).unwrap_or_default(),
            resent: self.browser.resent(),
            drops: sum(self.browser.all_drops(), trunk_drops),
            trunk_drops,
            last_check_age_ms: self.browser.transport.last_check().map(|at| age_ms(now, at)),
            browser_remote: self.browser.transport.remote(),
            quality: *self.quality.samples(),
            speech_samples: (0, 0),
            verdicts: Default::default(),
        };
        if let Some(detectors) = &self.detectors {
            detectors.fill(&mut stats);
        }
        stats
    }

    /// Takes the second's sample of every half-leg.
    pub(super) fn measure(&mut self, now: Instant, out: &mut Outbox) {
        if !self.surroundings.policy.measure {
            return;
        }
        let gone = self.presence.is_away();
        let expected = self.browser.media.receives && self.browser.transport.is_connected();
        let since = self.quality.expect(now, Leg::Browser, expected);
        // A browser that is gone owes a sign of life, muted or not.
        let since = if gone { self.presence.last_heard() } else { since };
        let rtt = self.browser_rtt(now);
        let mut up = self.browser.stream.up(now, since);
        if gone && let Some(heard) = since {
            up.gap = now.saturating_duration_since(heard);
        }
        let output = self.browser.output();
        let browser = LegReading {
            up,
            down: self.browser.stream.down(now, output.map(|output| output.codec), 20),
            audio: audio(&self.to_trunk),
            rtt,
            expects_down: output.is_some(),
            is_gone: gone,
        };
        let owed = self.answered && self.trunk.as_ref().is_some_and(TrunkLeg::owes_audio);
        let since = self.quality.expect(now, Leg::Trunk, owed);
        let trunk = self.trunk.as_mut().and_then(|leg| leg.quality(now, since));
        let trunk = trunk.map(|reading| LegReading { audio: audio(&self.to_browser), ..reading }).unwrap_or_default();
        self.quality.sample(now, &self.surroundings.policy, &browser, &trunk);
        let silent = !self.browser.stream.has_rtt(now, Duration::from_secs(2));
        self.browser.transport.probe(now, silent, out);
    }

    /// Tells the trunk's leg how it is heard, for its reports.
    pub(super) fn tell_voip(&mut self, stats: &CallStats) {
        let [_, _, up, _] = &stats.quality;
        if let Some(trunk) = &mut self.trunk {
            trunk.tell_voip(&stats.trunk_in, up.audio_dbov);
        }
    }

    /// The browser leg's round trip, and where it was measured.
    fn browser_rtt(&self, now: Instant) -> Option<(f64, RttSource)> {
        let by_stun =
            || self.browser.transport.round_trip(now).map(|rtt| (rtt.as_secs_f64() * 1000.0, RttSource::Stun));
        self.browser.stream.rtt(now).or_else(by_stun)
    }
}

fn audio(flow: &Flow) -> Audio {
    let (buffer, concealed_ms) = flow.stats();
    Audio {
        buffered: buffer.received,
        late: buffer.discarded(),
        concealed_ms,
        target_ms: buffer.target_ms,
        actual_ms: buffer.actual_ms,
        level: None,
    }
}

/// Adds what the flow that plays this stream knows of it.
pub(super) fn with_buffer(stream: StreamStats, flow: &Flow) -> StreamStats {
    let (buffer, concealed_ms) = flow.stats();
    StreamStats {
        discarded: buffer.discarded() + buffer.duplicate,
        concealed_ms,
        reorder: flow.reordered(),
        buffer_ms: if buffer.buffered > 0 { buffer.actual_ms } else { 0 },
        buffer_target_ms: if buffer.buffered > 0 { buffer.target_ms } else { 0 },
        ..stream
    }
}
