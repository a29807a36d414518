//! What a sender keeps of its own stream: SSRC, sequence, timestamp. Nothing is taken over from another leg.

use std::time::Instant;

use super::{PayloadType, RtpPacket, Ssrc};

/// One outgoing stream.
pub struct Sender {}

impl Sender {
    /// A stream with this source and first numbers (random, from the call's seed), on this RTP clock.
    #[must_use]
    pub fn new(ssrc: Ssrc, first_sequence: u16, first_timestamp: u32, clock_rate: u32) -> Self {
        todo!()
    }

    /// The stream's source.
    #[must_use]
    pub fn ssrc(&self) -> Ssrc {
        todo!()
    }

    /// The next audio packet when the stream paces itself (transcoding, prompts): the timestamp moves on by
    /// `samples` (clock units) for each call; after a silence it jumps by the time passed and the marker is set.
    pub fn next<'a>(
        &mut self,
        now: Instant,
        payload_type: PayloadType,
        samples: u32,
        payload: &'a [u8],
    ) -> RtpPacket<'a> {
        todo!()
    }

    /// The next packet when another stream paces it (relay): `source_timestamp` and `source_sequence` (extended) come
    /// from the stream that is relayed; gaps and reordering in them are kept, their origin is not. `restarted` says the
    /// source began anew, so the mapping is taken afresh with time passed accounted for.
    #[allow(clippy::too_many_arguments)]
    pub fn relay<'a>(
        &mut self,
        now: Instant,
        payload_type: PayloadType,
        marker: bool,
        source_sequence: u64,
        source_timestamp: u32,
        restarted: bool,
        payload: &'a [u8],
    ) -> RtpPacket<'a> {
        todo!()
    }

    /// A packet of a telephone event: timestamp of the event's beginning, next sequence number.
    pub fn event<'a>(
        &mut self,
        now: Instant,
        payload_type: PayloadType,
        marker: bool,
        began: Instant,
        payload: &'a [u8],
    ) -> RtpPacket<'a> {
        todo!()
    }

    /// RTP timestamp that belongs to `now`, for sender reports.
    #[must_use]
    pub fn timestamp_at(&self, now: Instant) -> u32 {
        todo!()
    }

    /// Packets sent.
    #[must_use]
    pub fn packets(&self) -> u64 {
        todo!()
    }

    /// Payload octets sent.
    #[must_use]
    pub fn octets(&self) -> u64 {
        todo!()
    }
}
