//! A call's counters, gathered.

use std::time::Instant;

use super::Call;
use super::browser_leg::sum;
use crate::api::{CallStats, StreamStats};
use crate::bridge::Flow;
use crate::stream::age_ms;
use crate::trunk::TrunkLeg;

impl Call {
    /// Counters.
    #[must_use]
    pub fn stats(&self, now: Instant) -> CallStats {
        let trunk = self.trunk.as_ref();
        let trunk_drops = trunk.map(TrunkLeg::drops).unwrap_or_default();
        CallStats {
            browser_in: with_buffer(self.browser.stream.received(now), &self.to_trunk),
            browser_out: self.browser.stream.sent(),
            trunk_in: with_buffer(trunk.map(|leg| leg.received(now)).unwrap_or_default(), &self.to_browser),
            trunk_out: trunk.map(TrunkLeg::sent).unwrap_or_default(),
            drops: sum(self.browser.all_drops(), trunk_drops),
            trunk_drops,
            last_check_age_ms: self.browser.transport.last_check().map(|at| age_ms(now, at)),
            browser_remote: self.browser.transport.remote(),
            quality: Default::default(),
            verdicts: Default::default(),
        }
    }
}

/// Adds what the flow that plays this stream knows of it.
fn with_buffer(stream: StreamStats, flow: &Flow) -> StreamStats {
    let (buffer, concealed_ms) = flow.stats();
    StreamStats {
        discarded: buffer.late + buffer.duplicate + buffer.overflow,
        concealed_ms,
        buffer_ms: if buffer.buffered > 0 { buffer.actual_ms } else { 0 },
        buffer_target_ms: if buffer.buffered > 0 { buffer.target_ms } else { 0 },
        ..stream
    }
}
