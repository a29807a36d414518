//! RTCP (RFC 3550 section 6): compound packets read without trust, our own reports written.

use std::time::{Duration, Instant};

use super::Ssrc;
use super::receiver::Receiver;
use super::sender::Sender;

/// What a compound packet told us. Blocks about other sources and unknown packet types are skipped.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Received {
    /// The peer's view of our stream, from the block naming our SSRC.
    pub about_us: Option<AboutUs>,
    /// A sender report came.
    pub sender_report: bool,
    /// The peer said BYE for the source we listen to.
    pub bye: bool,
}

/// The peer's view of our stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AboutUs {
    /// Fraction lost since its previous report, 0..1.
    pub fraction_lost: f64,
    /// Lost in all.
    pub cumulative_lost: i32,
    /// Jitter, milliseconds.
    pub jitter_ms: f64,
    /// Round trip (RFC 3550 section 6.4.1: A - LSR - DLSR), milliseconds.
    pub rtt_ms: Option<f64>,
}

/// RTCP of one leg: reads the peer's reports, writes ours at randomised intervals (RFC 3550 section 6.2, about 1 s
/// for us, reduced by half to one and a half).
pub struct RtcpSession {}

/// A compound packet that does not parse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed RTCP")]
pub struct Malformed;

impl RtcpSession {
    /// A session whose reports carry this name. `wall` is the wall time that belongs to `now` (time since the Unix
    /// epoch), for NTP timestamps; `seed` randomises the intervals.
    #[must_use]
    pub fn new(cname: String, now: Instant, wall: Duration, seed: u64) -> Self {
        todo!()
    }

    /// Reads a compound (or reduced-size, RFC 5506) packet.
    pub fn handle(
        &mut self,
        now: Instant,
        bytes: &[u8],
        ours: Ssrc,
        theirs: Option<Ssrc>,
        clock_rate: u32,
    ) -> Result<Received, Malformed> {
        todo!()
    }

    /// Writes a report if one is due: SR when we sent since the last, RR otherwise, with SDES CNAME. `true` if written.
    pub fn poll(&mut self, now: Instant, sender: &Sender, receiver: &mut Receiver, buffer: &mut Vec<u8>) -> bool {
        todo!()
    }

    /// Writes RR + SDES + BYE: the stream ends.
    pub fn bye(&mut self, now: Instant, sender: &Sender, receiver: &mut Receiver, buffer: &mut Vec<u8>) {
        todo!()
    }

    /// When the next report is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!()
    }
}
