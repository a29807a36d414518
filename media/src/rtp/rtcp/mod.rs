//! RTCP (RFC 3550 section 6): compound packets read without trust, our own reports written.

use std::time::{Duration, Instant};

use super::receiver::Receiver;
use super::sender::Sender;
use super::{Ssrc, clock_units};

mod read;
mod voip;
mod write;
mod xr;

pub use self::voip::{VoipBuffer, VoipMetrics, VoipReport};

/// What a compound packet told us. Blocks about other sources and unknown packet types are skipped.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Received {
    /// The peer's view of our stream, from the block naming our SSRC.
    pub about_us: Option<AboutUs>,
    /// Round trip by the echo of our reference time (RFC 3611 section 4.5), milliseconds.
    pub xr_rtt_ms: Option<f64>,
    /// What the peer says of how it hears us (RFC 3611 section 4.7).
    pub voip: Option<VoipMetrics>,
    /// A sender report came.
    pub sender_report: bool,
    /// The peer said BYE for the source we listen to.
    pub bye: bool,
}

/// The peer's view of our stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AboutUs {
    /// Who says so.
    pub reporter: Ssrc,
    /// Extended highest sequence number it received.
    pub highest_sequence: u32,
    /// Fraction lost since its previous report, 0..1.
    pub fraction_lost: f64,
    /// Lost in all.
    pub cumulative_lost: i32,
    /// Jitter, milliseconds.
    pub jitter_ms: f64,
    /// Round trip (RFC 3550 section 6.4.1: A - LSR - DLSR), milliseconds.
    pub rtt_ms: Option<f64>,
}

/// Which extended reports a peer wants (`a=rtcp-xr`, RFC 3611 section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct XrWish {
    /// What goes into measuring the round trip of who only listens.
    pub round_trip: bool,
    /// VoIP metrics of the stream it sends.
    pub voip: bool,
}

impl Default for XrWish {
    /// Of who says nothing.
    fn default() -> Self {
        Self { round_trip: true, voip: false }
    }
}

/// A compound packet that does not parse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed RTCP")]
pub struct Malformed;

/// RTCP of one leg: reads the peer's reports, writes ours at randomised intervals (RFC 3550 section 6.2, about 1 s
/// for us, reduced by half to one and a half).
#[derive(Debug)]
pub struct RtcpSession {
    cname: String,
    /// A moment and the NTP time (32.32) that belongs to it.
    epoch: (Instant, u64),
    random: u64,
    next: Instant,
    last_sender_report: Option<SenderReportSeen>,
    /// A time the peer wants echoed.
    reference: Option<SenderReportSeen>,
    sent_before: u64,
    wish: XrWish,
    /// How the peer's stream is heard, as far as it is known.
    voip: Option<VoipReport>,
}

/// What our next report block says about the peer's last sender report.
#[derive(Debug, Clone, Copy)]
struct SenderReportSeen {
    ssrc: Ssrc,
    /// Middle 32 bits of its NTP timestamp.
    ntp: u32,
    at: Instant,
}

/// About a report a second.
const INTERVAL: Duration = Duration::from_secs(1);

/// Seconds from 1900, where NTP begins, to 1970.
const NTP_OFFSET_SECONDS: u64 = 2_208_988_800;

/// A longer round trip is a wrong echo, not a network.
const RTT_LIMIT_MS: f64 = 20_000.0;

impl RtcpSession {
    /// A session whose reports carry this name (at most 255 octets are sent). `wall` is the wall time that belongs to
    /// `now` (time since the Unix epoch), for NTP timestamps; `seed` randomises the intervals.
    #[must_use]
    pub fn new(cname: String, now: Instant, wall: Duration, seed: u64) -> Self {
        let mut session = Self {
            cname,
            epoch: (now, ntp(wall).wrapping_add(NTP_OFFSET_SECONDS << 32)),
            random: seed,
            next: now,
            last_sender_report: None,
            reference: None,
            sent_before: 0,
            wish: XrWish::default(),
            voip: None,
        };
        session.schedule(now);
        session
    }

    /// Which extended reports the peer wants from now on.
    pub fn set_wish(&mut self, wish: XrWish) {
        self.wish = wish;
    }

    /// Whether it wants VoIP metrics.
    #[must_use]
    pub fn wants_voip(&self) -> bool {
        self.wish.voip
    }

    /// How its stream is heard now; goes with the reports from now on, if it is wanted.
    pub fn set_voip(&mut self, report: VoipReport) {
        self.voip = Some(report);
    }

    /// Reads a compound (or reduced-size, RFC 5506) packet. `clock_rate` is that of our stream, in which the peer
    /// states its jitter.
    pub fn handle(
        &mut self,
        now: Instant,
        bytes: &[u8],
        ours: Ssrc,
        theirs: Option<Ssrc>,
        clock_rate: u32,
    ) -> Result<Received, Malformed> {
        let mut received = Received::default();
        for item in read::items(bytes)? {
            match item {
                read::Item::SenderInfo { ssrc, ntp } if theirs.is_none_or(|t| t == ssrc) => {
                    received.sender_report = true;
                    self.last_sender_report = Some(SenderReportSeen { ssrc, ntp: (ntp >> 16) as u32, at: now });
                }
                read::Item::Block(block) if block.ssrc == ours => {
                    received.about_us = Some(AboutUs {
                        reporter: block.reporter,
                        highest_sequence: block.highest_sequence,
                        fraction_lost: f64::from(block.fraction_lost) / 256.0,
                        cumulative_lost: block.cumulative_lost,
                        jitter_ms: f64::from(block.jitter) * 1000.0 / f64::from(clock_rate.max(1)),
                        rtt_ms: self.round_trip_ms(now, block.last_sr, block.delay_since_last_sr),
                    });
                }
                read::Item::Extended { from, block } => match block {
                    xr::Block::ReferenceTime { ntp } if theirs.is_none_or(|t| t == from) => {
                        self.reference = Some(SenderReportSeen { ssrc: from, ntp: (ntp >> 16) as u32, at: now });
                    }
                    xr::Block::Echo { ssrc, last, delay } if ssrc == ours => {
                        received.xr_rtt_ms = self.round_trip_ms(now, last, delay).or(received.xr_rtt_ms);
                    }
                    xr::Block::Voip { ssrc, metrics } if ssrc == ours => received.voip = Some(metrics),
                    xr::Block::ReferenceTime { .. } | xr::Block::Echo { .. } | xr::Block::Voip { .. } => {}
                },
                read::Item::Bye { ssrc } => received.bye |= theirs == Some(ssrc),
                read::Item::SenderInfo { .. } | read::Item::Block(_) | read::Item::Nack { .. } => {}
            }
        }
        Ok(received)
    }

    /// Writes a report if one is due: SR when we sent since the last, RR otherwise, with SDES CNAME, and XR where the
    /// round trip needs it (RFC 3611 sections 4.4 and 4.5). `true` if written.
    pub fn poll(&mut self, now: Instant, sender: &Sender, receiver: &mut Receiver, buffer: &mut Vec<u8>) -> bool {
        if now < self.next {
            return false;
        }
        self.schedule(now);
        let sent = sender.packets() != self.sent_before;
        self.sent_before = sender.packets();
        let block = self.block(now, receiver);
        if sent {
            write::sender_report(buffer, sender, self.ntp_at(now), sender.timestamp_at(now), block.as_ref());
        } else {
            write::receiver_report(buffer, sender.ssrc(), block.as_ref());
        }
        write::cname(buffer, sender.ssrc(), &self.cname);
        // Without sender reports of ours the peer has nothing else to echo.
        let time = (!sent && self.wish.round_trip).then(|| self.ntp_at(now));
        let echo = self.reference.take().filter(|_| self.wish.round_trip).map(|seen| {
            let delay = clock_units(now.saturating_duration_since(seen.at), 1 << 16);
            (seen.ssrc, seen.ntp, u32::try_from(delay).unwrap_or(u32::MAX))
        });
        xr::write(buffer, sender.ssrc(), &xr::Report { time, echo, voip: self.voip_of(receiver) });
        true
    }

    /// Writes RR + SDES + BYE: the stream ends. Who wants VoIP metrics gets them once more, now that all is known.
    pub fn bye(&mut self, now: Instant, sender: &Sender, receiver: &mut Receiver, buffer: &mut Vec<u8>) {
        let block = self.block(now, receiver);
        write::receiver_report(buffer, sender.ssrc(), block.as_ref());
        write::cname(buffer, sender.ssrc(), &self.cname);
        xr::write(buffer, sender.ssrc(), &xr::Report { voip: self.voip_of(receiver), ..xr::Report::default() });
        write::bye(buffer, sender.ssrc());
    }

    /// When the next report is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        Some(self.next)
    }

    fn voip_of(&self, receiver: &Receiver) -> Option<(Ssrc, &VoipReport)> {
        receiver.ssrc().zip(self.voip.as_ref().filter(|_| self.wish.voip))
    }

    fn block(&self, now: Instant, receiver: &mut Receiver) -> Option<write::Block> {
        let reception = receiver.report()?;
        let seen = self.last_sender_report.filter(|seen| seen.ssrc == reception.ssrc);
        let delay = seen.map_or(0, |seen| clock_units(now.saturating_duration_since(seen.at), 1 << 16));
        Some(write::Block {
            reception,
            last_sr: seen.map_or(0, |seen| seen.ntp),
            delay_since_last_sr: u32::try_from(delay).unwrap_or(u32::MAX),
        })
    }

    /// RFC 3550 section 6.4.1; the arithmetic is in 1/65536 s and wraps.
    fn round_trip_ms(&self, now: Instant, last_sr: u32, delay: u32) -> Option<f64> {
        if last_sr == 0 {
            return None;
        }
        let arrival = (self.ntp_at(now) >> 16) as u32;
        let round_trip = arrival.wrapping_sub(last_sr).wrapping_sub(delay).cast_signed();
        // The peer's rounding may make a loopback's round trip negative by a few units.
        let ms = f64::from(round_trip) * 1000.0 / 65_536.0;
        (-5.0..RTT_LIMIT_MS).contains(&ms).then_some(ms.max(0.0))
    }

    fn ntp_at(&self, now: Instant) -> u64 {
        let (at, time) = self.epoch;
        time.wrapping_add(ntp(now.saturating_duration_since(at)))
    }

    fn schedule(&mut self, now: Instant) {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let share = (mixed >> 40) as f64 / f64::from(1u32 << 24);
        self.next = now + INTERVAL.mul_f64(0.5 + share);
    }
}

/// The sequence numbers of `ours` that a compound packet asks for again; none if it is malformed.
pub(crate) fn nacked(bytes: &[u8], ours: Ssrc) -> impl Iterator<Item = u16> {
    let asked = read::items(bytes).into_iter().flatten().filter_map(move |item| match item {
        read::Item::Nack { ssrc, first, more } if ssrc == ours => Some((first, more)),
        read::Item::Nack { .. }
        | read::Item::SenderInfo { .. }
        | read::Item::Block(_)
        | read::Item::Extended { .. }
        | read::Item::Bye { .. } => None,
    });
    asked.flat_map(|(first, more)| {
        let after = (0..16u16).filter(move |bit| more >> bit & 1 != 0).map(move |bit| first.wrapping_add(bit + 1));
        std::iter::once(first).chain(after)
    })
}

/// A span as NTP's 32.32 fixed point.
fn ntp(span: Duration) -> u64 {
    let fraction = (u64::from(span.subsec_nanos()) << 32) / 1_000_000_000;
    (span.as_secs() << 32) | fraction
}

#[cfg(test)]
mod tests;
