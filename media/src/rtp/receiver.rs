//! What a receiver knows of one stream: RFC 3550 appendices A.1, A.3 and A.8.

use std::time::Instant;

use super::{RtpPacket, Ssrc};

/// Sequence tracking, loss and jitter of one incoming stream; follows a change of SSRC.
pub struct Receiver {}

/// A packet that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// Sequence number that never wraps.
    pub sequence: u64,
    /// First packet of this stream, or of a new source: whoever buffers starts again.
    pub restarted: bool,
}

/// Why a packet was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Seen before.
    #[error("duplicate")]
    Duplicate,
    /// Too far from the stream's sequence; accepted once a second in a row confirms it (RFC 3550 A.1).
    #[error("sequence jump")]
    Jump,
}

/// Numbers for a report block (RFC 3550 section 6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reception {
    /// Whose.
    pub ssrc: Ssrc,
    /// Since the last report, in 1/256.
    pub fraction_lost: u8,
    /// In all, 24-bit signed.
    pub cumulative_lost: i32,
    /// Extended highest sequence number.
    pub highest_sequence: u32,
    /// In clock units.
    pub jitter: u32,
}

impl Receiver {
    /// A receiver for a stream with this RTP clock.
    #[must_use]
    pub fn new(clock_rate: u32) -> Self {
        todo!()
    }

    /// Takes a packet. `clock_rate` of the payload may differ from the stream's (telephone-event): then only the
    /// sequence is tracked.
    pub fn accept(
        &mut self,
        now: Instant,
        packet: &RtpPacket<'_>,
        counts_for_jitter: bool,
    ) -> Result<Accepted, Refused> {
        todo!()
    }

    /// Numbers for a report block; starts a new interval. `None` before the first packet.
    pub fn report(&mut self) -> Option<Reception> {
        todo!()
    }

    /// Packets, octets, lost, jitter, last arrival. (Fields as needed by [`crate::api::StreamStats`].)
    #[must_use]
    pub fn packets(&self) -> u64 {
        todo!()
    }

    /// Payload octets accepted.
    #[must_use]
    pub fn octets(&self) -> u64 {
        todo!()
    }

    /// Lost so far; negative when duplicates outnumber losses.
    #[must_use]
    pub fn lost(&self) -> i64 {
        todo!()
    }

    /// Interarrival jitter in milliseconds.
    #[must_use]
    pub fn jitter_ms(&self) -> f64 {
        todo!()
    }

    /// When the last packet came.
    #[must_use]
    pub fn last_arrival(&self) -> Option<Instant> {
        todo!()
    }
}
