//! What a receiver knows of one stream: RFC 3550 appendices A.1, A.3 and A.8.

use std::time::{Duration, Instant};

use super::{MAX_DROPOUT, RtpPacket, Ssrc, clock_units};

/// A new source is believed at once when the old one was silent for this long, so that audio never waits.
const SILENT_SOURCE: Duration = Duration::from_millis(200);

/// How far back a packet may come and still be told from a duplicate.
const WINDOW: u64 = 128;

/// One turn of the wire's sequence numbers.
const CYCLE: u64 = 1 << 16;

/// Sequence tracking, loss and jitter of one incoming stream; follows a change of SSRC.
#[derive(Debug)]
#[repr(C)]
pub struct Receiver {
    source: Option<Source>,
    last_arrival: Option<Instant>,
    packets: u64,
    octets: u64,
    clock_rate: u32,
    jitter: Jitter,
    candidate: Option<Candidate>,
    lost_before: i64,
}

/// The source that is listened to.
#[derive(Debug)]
#[repr(C)]
struct Source {
    /// Bit n: `highest - n` was seen.
    seen: u128,
    highest: u64,
    base: u64,
    received: u64,
    ssrc: Ssrc,
    /// Extended number of cycle 0 of this source, for reports.
    origin: u64,
    expected_prior: u64,
    received_prior: u64,
}

/// A source, or a far-off sequence number, that needs one more packet in sequence to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Candidate {
    ssrc: Ssrc,
    next: u16,
}

/// A packet that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// Sequence number that never wraps. It goes on growing when a new source begins.
    pub sequence: u64,
    /// First packet of this stream, or of a new source: whoever buffers starts again.
    pub restarted: bool,
}

/// Which of the newest packets came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    /// Extended sequence number of the newest.
    pub(crate) highest: u64,
    /// Bit n: `highest - n` came.
    pub(crate) seen: u128,
}

impl Window {
    /// Numbers it holds.
    pub(crate) const NUMBERS: u64 = WINDOW;
    /// Whoever reads it as often as this many come misses none.
    const STRIDE: u64 = 32;
}

/// Why a packet was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Seen before.
    #[error("duplicate")]
    Duplicate,
    /// Too far from the stream's sequence, or of another source while this one is alive; accepted once a second in a
    /// row confirms it (RFC 3550 A.1).
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
        Self {
            clock_rate: clock_rate.max(1),
            source: None,
            candidate: None,
            packets: 0,
            octets: 0,
            lost_before: 0,
            jitter: Jitter::default(),
            last_arrival: None,
        }
    }

    /// Takes a packet. Of what is not on the stream's clock (telephone-event) only the sequence is tracked: it does not
    /// count for jitter.
    pub fn accept(
        &mut self,
        now: Instant,
        packet: &RtpPacket<'_>,
        counts_for_jitter: bool,
    ) -> Result<Accepted, Refused> {
        let alive = self.is_alive(now);
        let accepted = match &mut self.source {
            Some(source) if source.ssrc == packet.ssrc => match source.place(packet.sequence) {
                Placed::Here(sequence) => Accepted { sequence, restarted: false },
                Placed::Duplicate => return Err(Refused::Duplicate),
                Placed::Far => self.confirm(packet)?,
            },
            Some(_) if alive => self.confirm(packet)?,
            Some(_) | None => self.restart(packet),
        };
        self.candidate = None;
        self.packets += 1;
        self.octets += packet.payload.len() as u64;
        self.last_arrival = Some(now);
        if counts_for_jitter {
            self.jitter.arrived(now, packet.timestamp, self.clock_rate);
        }
        Ok(accepted)
    }

    /// Which of the newest packets came. `None` before the first.
    pub(crate) fn window(&self) -> Option<Window> {
        self.source.as_ref().map(|&Source { highest, seen, .. }| Window { highest, seen })
    }

    /// Whether numbers may leave the window by this packet, or soon after it, that came since the last time that was so.
    pub(crate) fn leaves_window(&self, packet: &RtpPacket<'_>) -> bool {
        self.source.as_ref().is_some_and(|source| {
            let ahead = packet.sequence.wrapping_sub(source.highest as u16);
            source.ssrc != packet.ssrc || source.highest ^ (source.highest + u64::from(ahead)) >= Window::STRIDE
        })
    }

    /// Numbers for a report block; starts a new interval. `None` before the first packet.
    pub fn report(&mut self) -> Option<Reception> {
        let jitter = self.jitter.units();
        self.source.as_mut().map(|source| source.report(jitter))
    }

    /// The source listened to.
    #[must_use]
    pub fn ssrc(&self) -> Option<Ssrc> {
        self.source.as_ref().map(|s| s.ssrc)
    }

    /// Packets accepted, of all sources.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Payload octets accepted.
    #[must_use]
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// Lost so far, of all sources; goes down when a missing packet comes late.
    #[must_use]
    pub fn lost(&self) -> i64 {
        self.lost_before.saturating_add(self.source.as_ref().map_or(0, Source::lost))
    }

    /// The same without the newest few that are missing: they may only be out of order.
    #[must_use]
    pub fn surely_lost(&self) -> i64 {
        self.lost().saturating_sub(self.source.as_ref().map_or(0, Source::unsure))
    }

    /// Interarrival jitter in milliseconds.
    #[must_use]
    pub fn jitter_ms(&self) -> f64 {
        self.jitter.estimate * 1000.0 / f64::from(self.clock_rate)
    }

    /// When the last packet came.
    #[must_use]
    pub fn last_arrival(&self) -> Option<Instant> {
        self.last_arrival
    }

    /// The payload's RTP clock changed with its codec (RFC 7160): jitter starts again in the new unit.
    pub fn set_clock_rate(&mut self, clock_rate: u32) {
        if self.clock_rate != clock_rate.max(1) {
            self.clock_rate = clock_rate.max(1);
            self.jitter = Jitter::default();
        }
    }

    fn is_alive(&self, now: Instant) -> bool {
        self.last_arrival.is_some_and(|at| now.saturating_duration_since(at) < SILENT_SOURCE)
    }

    /// The second packet in sequence makes the candidate the source.
    fn confirm(&mut self, packet: &RtpPacket<'_>) -> Result<Accepted, Refused> {
        if self.candidate == Some(Candidate { ssrc: packet.ssrc, next: packet.sequence }) {
            return Ok(self.restart(packet));
        }
        self.candidate = Some(Candidate { ssrc: packet.ssrc, next: packet.sequence.wrapping_add(1) });
        Err(Refused::Jump)
    }

    fn restart(&mut self, packet: &RtpPacket<'_>) -> Accepted {
        self.lost_before = self.lost();
        // Two cycles on: even packets from before the new source's first one stay above the old source's numbers.
        let origin = self.source.as_ref().map_or(CYCLE, |old| (old.highest / CYCLE + 2) * CYCLE);
        let sequence = origin + u64::from(packet.sequence);
        self.source = Some(Source {
            ssrc: packet.ssrc,
            origin,
            base: sequence,
            highest: sequence,
            seen: 1,
            received: 1,
            expected_prior: 0,
            received_prior: 0,
        });
        self.jitter.forget_transit();
        Accepted { sequence, restarted: true }
    }
}

enum Placed {
    Here(u64),
    Duplicate,
    Far,
}

impl Source {
    fn place(&mut self, wire: u16) -> Placed {
        let ahead = wire.wrapping_sub(self.highest as u16);
        let behind = u64::from(ahead.wrapping_neg());
        let sequence = if ahead == 0 {
            return Placed::Duplicate;
        } else if ahead < MAX_DROPOUT {
            self.seen = self.seen.checked_shl(u32::from(ahead)).unwrap_or(0) | 1;
            self.highest += u64::from(ahead);
            self.highest
        } else if behind < WINDOW {
            let bit = 1u128 << behind;
            if self.seen & bit != 0 {
                return Placed::Duplicate;
            }
            self.seen |= bit;
            self.highest.saturating_sub(behind)
        } else {
            return Placed::Far;
        };
        self.base = self.base.min(sequence);
        self.received += 1;
        Placed::Here(sequence)
    }

    fn expected(&self) -> u64 {
        self.highest - self.base + 1
    }

    fn lost(&self) -> i64 {
        self.expected().cast_signed().saturating_sub(self.received.cast_signed())
    }

    /// Missing among the three before the newest.
    fn unsure(&self) -> i64 {
        let newest = (self.highest - self.base).min(3);
        (1..=newest).map(|n| i64::from(self.seen >> n & 1 == 0)).sum()
    }

    fn report(&mut self, jitter: u32) -> Reception {
        let expected = self.expected().saturating_sub(self.expected_prior);
        let received = self.received.saturating_sub(self.received_prior);
        self.expected_prior = self.expected();
        self.received_prior = self.received;
        let lost = expected.saturating_sub(received);
        let fraction = (lost * 256).checked_div(expected).unwrap_or(0).min(255);
        Reception {
            ssrc: self.ssrc,
            fraction_lost: fraction as u8,
            cumulative_lost: self.lost().clamp(-0x80_0000, 0x7f_ffff) as i32,
            highest_sequence: self.highest.saturating_sub(self.origin) as u32,
            jitter,
        }
    }
}

/// RFC 3550 appendix A.8.
#[derive(Debug, Default)]
struct Jitter {
    estimate: f64,
    origin: Option<Instant>,
    transit: Option<u32>,
}

impl Jitter {
    fn arrived(&mut self, now: Instant, timestamp: u32, clock_rate: u32) {
        let origin = *self.origin.get_or_insert(now);
        let arrival = clock_units(now.saturating_duration_since(origin), clock_rate) as u32;
        let transit = arrival.wrapping_sub(timestamp);
        if let Some(before) = self.transit.replace(transit) {
            let change = f64::from(transit.wrapping_sub(before).cast_signed().unsigned_abs());
            // A timestamp that jumps by seconds is a new timeline of the sender, not jitter of the network.
            if change < 3.0 * f64::from(clock_rate) {
                self.estimate += (change - self.estimate) / 16.0;
            }
        }
    }

    fn forget_transit(&mut self) {
        self.transit = None;
    }

    fn units(&self) -> u32 {
        self.estimate as u32
    }
}

#[cfg(test)]
#[path = "receiver_tests.rs"]
mod tests;
