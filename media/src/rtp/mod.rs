//! RTP and RTCP (RFC 3550): headers, what a receiver counts, what a sender keeps, reports.

use std::time::{Duration, Instant};

mod packet;
pub mod receiver;
pub mod red;
pub(crate) mod resend;
pub mod rtcp;
pub mod sender;
mod sent;

pub use packet::RtpPacket;

/// A synchronisation source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ssrc(pub u32);

/// A payload type, 0..=127.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PayloadType(pub u8);

impl PayloadType {
    /// Comfort noise (RFC 3551 section 6, RFC 3389).
    pub const COMFORT_NOISE: Self = Self(13);
}

/// Sequence numbers further ahead than this are no loss but another stream (RFC 3550 appendix A.1, `MAX_DROPOUT`).
pub(crate) const MAX_DROPOUT: u16 = 3000;

/// A span of time in units of an RTP clock (Hz), rounded to the nearest; saturates.
pub(crate) fn clock_units(span: Duration, clock_rate: u32) -> u64 {
    let nanos = span.as_nanos().saturating_mul(u128::from(clock_rate)).saturating_add(500_000_000);
    u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX)
}

/// A number of RTP clock units (Hz) as a span of time, rounded to the nearest nanosecond; saturates.
pub(crate) fn clock_span(units: u64, clock_rate: u32) -> Duration {
    let rate = u128::from(clock_rate.max(1));
    let nanos = (u128::from(units) * 1_000_000_000 + rate / 2) / rate;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Milliseconds from `then` to `now`.
pub(crate) fn age_ms(now: Instant, then: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(then).as_millis()).unwrap_or(u64::MAX)
}
