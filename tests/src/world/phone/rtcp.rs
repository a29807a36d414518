//! A phone's RTCP (RFC 3550 section 6, RFC 3611): written by hand, so that the gateway's is judged by somebody else's. It
//! may also lie.

use std::time::{Duration, Instant};

/// What a phone reports of what it hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rtcp {
    /// Nothing: many phones do not.
    Silent,
    /// SR or RR, every second.
    Honest,
    /// The same with XR: RRTR, answers to RRTR, VoIP metrics.
    Extended,
    /// See [`Lie`], every second.
    Lying(Lie),
}

/// What a liar reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// Everything is lost, while everything arrives.
    AllLost,
    /// Fewer packets lost than none, and all lost of late.
    NegativeLoss,
    /// The largest jitter there is.
    AbsurdJitter,
    /// Echoes of sender reports that were never sent.
    AbsurdRoundTrip,
    /// Blocks about sources nobody has, each of them lost.
    UnknownSources,
    /// Fifty reports a second, each from another source.
    SourceStorm,
    /// Cut off, padded wrong, of another version, empty, too long.
    Malformed,
    /// Goodbyes of everybody.
    Byes,
    /// VoIP metrics out of all ranges.
    AbsurdMetrics,
}

/// Time from one report to the next.
const INTERVAL: Duration = Duration::from_secs(1);
/// 1900 to the time in which this world plays, seconds.
const NTP_START: u64 = 2_208_988_800 + 1_800_000_000;

/// What the gateway sends, counted as RFC 3550 appendix A says.
#[derive(Debug, Default)]
struct Counted {
    ssrc: u32,
    base: u64,
    highest: u64,
    received: u64,
    expected_before: u64,
    received_before: u64,
    transit: Option<f64>,
    jitter: f64,
}

/// RTCP of one call at a phone.
#[derive(Debug)]
pub struct Reporter {
    /// What it reports.
    pub rtcp: Rtcp,
    begun: Instant,
    next: Instant,
    clock_rate: f64,
    counted: Option<Counted>,
    /// Middle of the NTP timestamp of the gateway's last SR, and when it came.
    last_sr: Option<(u32, Instant)>,
    /// The same of its last RRTR.
    last_rrtr: Option<(u32, u32, Instant)>,
    /// Reports that came.
    pub reports: u64,
    /// Reports of the gateway's with an XR DLRR for us.
    pub dlrr: u64,
    storm: u32,
}

/// What the phone has sent, for its SR.
#[derive(Debug, Clone, Copy)]
pub struct Sent {
    /// Its source.
    pub ssrc: u32,
    /// Packets.
    pub packets: u32,
    /// Payload octets.
    pub octets: u32,
    /// RTP timestamp now.
    pub timestamp: u32,
}

impl Reporter {
    /// A reporter for a stream of this clock rate.
    #[must_use]
    pub fn new(now: Instant, rtcp: Rtcp, clock_rate: u32) -> Self {
        Self {
            rtcp,
            begun: now,
            next: now + INTERVAL,
            clock_rate: f64::from(clock_rate),
            counted: None,
            last_sr: None,
            last_rrtr: None,
            reports: 0,
            dlrr: 0,
            storm: 0,
        }
    }

    /// A packet of audio came.
    pub fn heard(&mut self, now: Instant, ssrc: u32, sequence: u16, timestamp: u32) {
        let fresh = Counted { ssrc, base: u64::from(sequence) + 65_536, ..Counted::default() };
        let counted = self.counted.get_or_insert(Counted { highest: fresh.base, ..fresh });
        if counted.ssrc != ssrc {
            *counted = Counted { ssrc, base: u64::from(sequence) + 65_536, ..Counted::default() };
            counted.highest = counted.base;
        }
        let ahead = i64::from(sequence.wrapping_sub(counted.highest as u16) as i16);
        counted.highest = counted.highest.max(counted.highest.wrapping_add_signed(ahead));
        counted.received += 1;
        let arrival = now.saturating_duration_since(self.begun).as_secs_f64() * self.clock_rate;
        let transit = arrival - f64::from(timestamp);
        if let Some(before) = counted.transit.replace(transit)
            && (transit - before).abs() < self.clock_rate * 10.0
        {
            counted.jitter += ((transit - before).abs() - counted.jitter) / 16.0;
        }
    }

    /// The gateway's RTCP came.
    pub fn handle(&mut self, now: Instant, bytes: &[u8]) {
        self.reports += 1;
        let mut rest = bytes;
        while let [_, kind, high, low, ..] = *rest {
            let length = 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
            let Some((packet, after)) = rest.split_at_checked(length) else { return };
            match kind {
                200 if packet.len() >= 20 => self.last_sr = Some((word(packet, 10), now)),
                207 => self.extended(now, packet),
                _ => {}
            }
            rest = after;
        }
    }

    fn extended(&mut self, now: Instant, packet: &[u8]) {
        let from = word(packet, 4);
        let mut at = 8;
        while let Some(&kind) = packet.get(at) {
            let length = 4 + 4 * usize::from(u16::from_be_bytes([packet[at + 2], packet[at + 3]]));
            match kind {
                4 if packet.len() >= at + 12 => self.last_rrtr = Some((from, word(packet, at + 6), now)),
                5 => self.dlrr += 1,
                _ => {}
            }
            at += length;
        }
    }

    /// When the next report is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        (self.rtcp != Rtcp::Silent).then_some(self.next)
    }

    /// Reports that are due, each one datagram.
    pub fn poll(&mut self, now: Instant, sent: Sent) -> Vec<Vec<u8>> {
        if self.rtcp == Rtcp::Silent || now < self.next {
            return Vec::new();
        }
        self.next = now + INTERVAL;
        let block = self.block(now);
        match self.rtcp {
            Rtcp::Silent => Vec::new(),
            Rtcp::Honest => vec![self.compound(now, sent, block.as_slice())],
            Rtcp::Extended => {
                let mut report = self.compound(now, sent, block.as_slice());
                report.extend(self.xr(now, sent.ssrc, 0));
                vec![report]
            }
            Rtcp::Lying(lie) => self.lies(now, sent, lie, block),
        }
    }

    fn lies(&mut self, now: Instant, sent: Sent, lie: Lie, block: Option<Block>) -> Vec<Vec<u8>> {
        let truth = block.unwrap_or_default();
        let told = |block: Block| vec![self.compound(now, sent, &[block])];
        match lie {
            Lie::AllLost => told(Block { fraction: 255, lost: 0x7F_FFFF, ..truth }),
            Lie::NegativeLoss => told(Block { fraction: 255, lost: 0x80_0000, ..truth }),
            Lie::AbsurdJitter => told(Block { jitter: u32::MAX, ..truth }),
            Lie::AbsurdRoundTrip => told(Block { last_sr: 0x1234_5678, delay: 0xFFFF_FFFF, ..truth }),
            Lie::UnknownSources => {
                let strangers =
                    |nth| Block { ssrc: 0xBAD0_0000 + nth, fraction: 255, lost: 9_999, jitter: 1 << 30, ..truth };
                vec![self.compound(now, sent, &[0_u32, 1, 2, 3, 4, 5].map(strangers))]
            }
            Lie::SourceStorm => (0..50)
                .map(|_| {
                    self.storm += 1;
                    let sent = Sent { ssrc: 0x5700_0000 + self.storm, ..sent };
                    self.compound(now, sent, &[Block { ssrc: self.storm, fraction: 255, ..truth }])
                })
                .collect(),
            Lie::Malformed => {
                let good = self.compound(now, sent, &[truth]);
                let mut cases = vec![good[..good.len() - 3].to_vec(), vec![], good[..4].to_vec()];
                cases.extend([0_usize, 1, 3].map(|at| {
                    let mut bad = good.clone();
                    bad[at] ^= 0x7F;
                    bad
                }));
                cases.push([good.as_slice(), &[0xA0, 207, 0, 0]].concat());
                cases.into_iter().filter(|case| !case.is_empty()).collect()
            }
            Lie::Byes => {
                let mut report = self.compound(now, sent, &[truth]);
                for ssrc in [truth.ssrc, 1, 2, 3] {
                    report.extend([0x81, 203, 0, 1]);
                    report.extend(ssrc.to_be_bytes());
                }
                vec![report]
            }
            Lie::AbsurdMetrics => {
                let mut report = self.compound(now, sent, &[truth]);
                report.extend(self.xr(now, sent.ssrc, 255));
                vec![report]
            }
        }
    }

    /// SR (RR if nothing was sent) and SDES.
    fn compound(&self, now: Instant, sent: Sent, blocks: &[Block]) -> Vec<u8> {
        let mut body = sent.ssrc.to_be_bytes().to_vec();
        let kind = if sent.packets > 0 { 200 } else { 201 };
        if kind == 200 {
            body.extend(self.ntp(now).to_be_bytes());
            for field in [sent.timestamp, sent.packets, sent.octets] {
                body.extend(field.to_be_bytes());
            }
        }
        for block in blocks {
            body.extend(block.ssrc.to_be_bytes());
            body.extend((u32::from(block.fraction) << 24 | block.lost & 0xFF_FFFF).to_be_bytes());
            for field in [block.highest, block.jitter, block.last_sr, block.delay] {
                body.extend(field.to_be_bytes());
            }
        }
        let mut report = packet(blocks.len() as u8, kind, &body);
        let mut name = sent.ssrc.to_be_bytes().to_vec();
        name.extend(b"\x01\x05phone\0");
        report.extend(packet(1, 202, &name));
        report
    }

    /// RRTR, a DLRR if the gateway sent an RRTR, VoIP metrics: true ones, or every octet `absurd`.
    fn xr(&self, now: Instant, ours: u32, absurd: u8) -> Vec<u8> {
        let mut body = ours.to_be_bytes().to_vec();
        body.extend([4, 0, 0, 2]);
        body.extend(self.ntp(now).to_be_bytes());
        if let Some((from, stamp, at)) = self.last_rrtr {
            body.extend([5, 0, 0, 3]);
            body.extend(from.to_be_bytes());
            body.extend(stamp.to_be_bytes());
            body.extend(sixteenths(now.saturating_duration_since(at)).to_be_bytes());
        }
        if let Some(counted) = &self.counted {
            let expected = (counted.highest - counted.base + 1).max(1);
            let lost = expected.saturating_sub(counted.received) * 256 / expected;
            let mut metrics = vec![lost.min(255) as u8, 0, 0, 0, 0, 0, 0, 0, 0, 30, 0, 60];
            // Signal and noise level, RERL, Gmin; R, external R, MOS-LQ, MOS-CQ (127: not known); buffer.
            metrics.extend([0xEC, 0xBA, 127, 16, 127, 127, 127, 127, 0, 0, 0, 40, 0, 60, 0, 120]);
            if absurd > 0 {
                metrics.fill(absurd);
            }
            body.extend([7, 0, 0, 8]);
            body.extend(counted.ssrc.to_be_bytes());
            body.extend(metrics);
        }
        packet(0, 207, &body)
    }

    fn block(&mut self, now: Instant) -> Option<Block> {
        let counted = self.counted.as_mut()?;
        let expected = counted.highest - counted.base + 1;
        let (new, came) = (expected - counted.expected_before, counted.received - counted.received_before);
        (counted.expected_before, counted.received_before) = (expected, counted.received);
        let lost = expected as i64 - counted.received as i64;
        let fraction = if new > came { ((new - came) * 256 / new).min(255) } else { 0 };
        let (last_sr, delay) =
            self.last_sr.map_or((0, 0), |(stamp, at)| (stamp, sixteenths(now.saturating_duration_since(at))));
        Some(Block {
            ssrc: counted.ssrc,
            fraction: fraction as u8,
            lost: lost.clamp(-0x80_0000, 0x7F_FFFF) as u32,
            // Cycles are counted from none.
            highest: (counted.highest - 65_536) as u32,
            jitter: counted.jitter as u32,
            last_sr,
            delay,
        })
    }

    fn ntp(&self, now: Instant) -> u64 {
        let age = now.saturating_duration_since(self.begun);
        let fraction = (u64::from(age.subsec_nanos()) << 32) / 1_000_000_000;
        ((NTP_START + age.as_secs()) << 32) | fraction
    }
}

/// A report block (RFC 3550 section 6.4.1).
#[derive(Debug, Clone, Copy, Default)]
struct Block {
    ssrc: u32,
    fraction: u8,
    lost: u32,
    highest: u32,
    jitter: u32,
    last_sr: u32,
    delay: u32,
}

fn packet(count: u8, kind: u8, body: &[u8]) -> Vec<u8> {
    let words = (body.len() / 4) as u16;
    [&[0x80 | count, kind], words.to_be_bytes().as_slice(), body].concat()
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |octets| u32::from_be_bytes(octets.try_into().unwrap()))
}

/// In 1/65536 s.
fn sixteenths(span: Duration) -> u32 {
    (span.as_secs_f64() * 65_536.0) as u32
}
