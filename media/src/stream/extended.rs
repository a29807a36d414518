//! The extended reports of a leg's stream (RFC 3611).

use super::Stream;
use crate::api::StreamStats;
use crate::quality::voip_report;
use crate::rtp::rtcp::XrWish;

impl Stream {
    /// Which extended reports the peer wants from now on.
    pub(crate) fn set_wish(&mut self, wish: XrWish) {
        self.rtcp.set_wish(wish);
    }

    /// How the stream is heard so far, for a peer that wants to know: see [`voip_report`].
    pub(crate) fn tell_voip(&mut self, heard: &StreamStats, packet_ms: u32, level: Option<i8>, limit_ms: u16) {
        if self.rtcp.wants_voip() {
            let report = voip_report(heard, self.heard, self.bursts.runs(), packet_ms, level, limit_ms);
            self.rtcp.set_voip(report);
        }
    }
}
