//! DTMF as RFC 4733 telephone events: a sender that plays a queue of digits, a receiver that reports each digit once.

use std::time::{Duration, Instant};

use crate::api::Digit;

/// One telephone-event packet to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventPacket {
    /// RTP timestamp offset is that of the event's start: `true` on its first packet (marker bit).
    pub marker: bool,
    /// When the event began, for the RTP timestamp (constant over the event).
    pub began: Instant,
    /// The four octets of RFC 4733 section 2.3.
    pub payload: [u8; 4],
}

/// Plays queued digits as telephone events: a packet every 20 ms, three end packets, a pause between digits.
pub struct DtmfSender {}

impl DtmfSender {
    /// A sender for events on this RTP clock (Hz).
    #[must_use]
    pub fn new(clock_rate: u32) -> Self {
        todo!()
    }

    /// Queues digits; at most 64 wait, the rest is refused (returns how many were taken).
    pub fn push(&mut self, now: Instant, digits: &[Digit], duration: Duration) -> usize {
        todo!()
    }

    /// Whether a digit is being sent (audio gives way).
    #[must_use]
    pub fn is_sending(&self) -> bool {
        todo!()
    }

    /// The next packet, if one is due.
    pub fn poll(&mut self, now: Instant) -> Option<EventPacket> {
        todo!()
    }

    /// When the next packet is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }
}

/// Collects telephone-event packets and reports each digit once: on its end bit, on the start of the next, or when
/// its packets stop coming (lost end packets).
pub struct DtmfReceiver {}

impl DtmfReceiver {
    /// A receiver for events on this RTP clock (Hz).
    #[must_use]
    pub fn new(clock_rate: u32) -> Self {
        todo!()
    }

    /// Takes a telephone-event payload; a digit that this packet completes comes back with its duration.
    pub fn push(&mut self, now: Instant, timestamp: u32, payload: &[u8]) -> Option<(Digit, Duration)> {
        todo!()
    }

    /// A digit whose end never came.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<(Digit, Duration)> {
        todo!()
    }

    /// When to call [`Self::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }
}
