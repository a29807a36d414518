//! DTMF. As RFC 4733 telephone events: a sender that plays a queue of digits, a receiver that reports each digit once. As
//! tones: recordings of them, and an ear for them.

use std::time::{Duration, Instant};

mod hear;
mod receive;
mod send;
pub mod tones;

pub use hear::DtmfEar;
pub use receive::DtmfReceiver;
pub use send::DtmfSender;

/// One telephone-event packet to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventPacket {
    /// RTP timestamp offset is that of the event's start: `true` on its first packet (marker bit).
    pub marker: bool,
    /// When the event (or this segment of a long one) began, for the RTP timestamp (constant over the event).
    pub began: Instant,
    /// The four octets of RFC 4733 section 2.3.
    pub payload: [u8; 4],
}

/// Longest duration a packet can state, in clock units; longer events go on in a new segment (section 2.5.1.3).
const SEGMENT: u64 = 0xffff;

const END: u8 = 0x80;

/// Silence between two digits.
const PAUSE: Duration = Duration::from_millis(70);

/// Packets of an event come this often.
const INTERVAL: Duration = Duration::from_millis(20);

#[cfg(test)]
mod ear_tests;
#[cfg(test)]
mod tests;
