//! The four half-legs of a call: counters in, a sample of each out, once a second.

use std::time::{Duration, Instant};

use super::emodel::CodecParameters;
use super::half_leg::{HalfLegMeter, Second};
use super::{HalfLegSample, LevelReason, Policy, Reasons, RttSource};
use crate::api::Leg;
use crate::audio::Codec;
use crate::rtp::rtcp::VoipMetrics;

/// Up half-legs without packets for so many seconds, of which none are expected, are not known any more.
const UP_SECONDS: usize = 6;

/// Reports may be far apart; whether they are too old is judged elsewhere.
const DOWN_SECONDS: usize = 16;

/// Jitter that we relay is not the listener's network's: so much more than that must be seen, and for so long is it
/// remembered (reports come late).
const RELAYED_SHARE: f32 = 1.3;
const RELAYED_FADE: f32 = 0.93;

/// Jitter is the mean change from packet to packet; from one extreme to the other it is about three times that, and a
/// round trip measured once in seconds may be either.
const SPREAD: f32 = 3.0;

/// After this thread was stopped, so many samples are nobody's fault.
const DISTURBED: u8 = 2;

/// What a leg's receiver has counted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct UpReading {
    pub(crate) packets: u64,
    /// Lost, without what may only be out of order.
    pub(crate) lost: i64,
    pub(crate) jitter_ms: f32,
    /// Zero while nothing is expected.
    pub(crate) gap: Duration,
    pub(crate) codec: Option<Codec>,
    /// Packets lost and runs of them.
    pub(crate) runs: (u32, u32),
}

/// What a leg's sender has counted, and the peer has reported.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct DownReading {
    pub(crate) packets: u64,
    /// Expected and lost, while reports are fresh.
    pub(crate) reported: Option<(u64, i64)>,
    pub(crate) jitter_ms: Option<f32>,
    /// Number of the last report.
    pub(crate) report: u32,
    pub(crate) gap: Duration,
    pub(crate) codec: Option<Codec>,
    /// The other leg's packets are sent on as they come.
    pub(crate) relays: bool,
    /// What the peer says of its jitter buffer and concealment.
    pub(crate) voip: Option<VoipMetrics>,
    pub(crate) packet_ms: u32,
}

/// What the flow that plays a leg's speech has counted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Audio {
    /// Packets put into the jitter buffer.
    pub(crate) buffered: u64,
    /// Of those, the ones that were of no use.
    pub(crate) late: u64,
    pub(crate) concealed_ms: u64,
    pub(crate) target_ms: u32,
    pub(crate) actual_ms: u32,
    /// dBov.
    pub(crate) level: Option<i8>,
}

/// One leg, as the call sees it in a second.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LegReading {
    pub(crate) up: UpReading,
    pub(crate) down: DownReading,
    pub(crate) audio: Audio,
    pub(crate) rtt: Option<(f64, RttSource)>,
    pub(crate) expects_down: bool,
    /// The peer was lost: it owes a sign of life, muted or not.
    pub(crate) is_gone: bool,
}

/// What is kept of a reading until the next.
#[derive(Debug, Clone, Copy)]
struct Counted {
    received: u64,
    lost: i64,
    runs: (u32, u32),
    buffered: u64,
    late: u32,
    concealed_ms: u32,
    sent: u64,
    /// The last that was, however long ago.
    reported: Option<(u64, i64)>,
    report: u32,
}

impl Counted {
    fn of(reading: &LegReading, before: Option<&Self>) -> Self {
        let LegReading { up, down, audio, .. } = reading;
        Self {
            received: up.packets,
            lost: up.lost,
            runs: up.runs,
            buffered: audio.buffered,
            late: count(audio.late, 0),
            concealed_ms: count(audio.concealed_ms, 0),
            sent: down.packets,
            reported: down.reported.or(before.and_then(|before| before.reported)),
            report: down.report,
        }
    }
}

/// Measures a call.
#[derive(Debug, Default)]
pub(crate) struct Monitor {
    browser: LegMeter,
    trunk: LegMeter,
    at: Option<Instant>,
    disturbed: u8,
    in_use: Reasons,
    samples: [HalfLegSample; 4],
}

#[derive(Debug, Default)]
struct LegMeter {
    up: HalfLegMeter,
    down: HalfLegMeter,
    /// Since when its audio is expected.
    expected: Option<Instant>,
    /// Its speech is withheld, so nobody cares whether it comes.
    muted: bool,
    before: Option<Counted>,
    /// The most jitter that came in lately.
    jitter_peak: f32,
    /// The jitter of the peer's last report that is not ours.
    jitter_down: Option<f32>,
}

impl Monitor {
    /// The last samples, in the order of [`super::HalfLeg::ALL`].
    pub(crate) fn samples(&self) -> &[HalfLegSample; 4] {
        &self.samples
    }

    /// The leg has another peer or another network.
    pub(crate) fn forget(&mut self, leg: Leg) {
        let meter = self.leg(leg);
        *meter = LegMeter { muted: meter.muted, ..LegMeter::default() };
    }

    pub(crate) fn set_muted(&mut self, leg: Leg, muted: bool) {
        self.leg(leg).muted = muted;
    }

    /// The browser's packets go over TCP.
    pub(crate) fn set_tcp(&mut self, tcp: bool) {
        self.in_use.set(LevelReason::TcpFallback, tcp);
    }

    /// The browser's packets go through a relay.
    pub(crate) fn set_relay(&mut self, relay: bool) {
        self.in_use.set(LevelReason::Relay, relay);
    }

    /// This thread did not run for a while: what was missed meanwhile is nobody's fault.
    pub(crate) fn disturb(&mut self) {
        self.disturbed = DISTURBED;
    }

    /// Whether the leg's audio is expected in this second; since when it is, if so.
    pub(crate) fn expect(&mut self, now: Instant, leg: Leg, expected: bool) -> Option<Instant> {
        let meter = self.leg(leg);
        let expected = expected && !meter.muted;
        meter.expected = expected.then(|| meter.expected.unwrap_or(now));
        meter.expected
    }

    /// A second is over.
    pub(crate) fn sample(&mut self, now: Instant, policy: &Policy, browser: &LegReading, trunk: &LegReading) {
        let elapsed = self.at.map_or(Duration::from_secs(1), |at| now.saturating_duration_since(at));
        self.at = Some(now);
        let disturbed = self.disturbed > 0;
        self.disturbed = self.disturbed.saturating_sub(1);
        let (relayed_down, relayed_up) = (self.trunk.jitter_peak, self.browser.jitter_peak);
        let in_use = self.in_use;
        let [browser_up, browser_down, sip_up, sip_down] = &mut self.samples;
        let run = |meter: &mut LegMeter, reading: &LegReading, relayed: f32, in_use: Reasons| {
            let [up, down] = meter.seconds(reading, relayed, elapsed, disturbed);
            let mut up = meter.up.sample(policy, &up, in_use);
            up.audio_dbov = reading.audio.level;
            (up, meter.down.sample(policy, &down, in_use))
        };
        (*browser_up, *browser_down) = run(&mut self.browser, browser, relayed_down, in_use);
        (*sip_up, *sip_down) = run(&mut self.trunk, trunk, relayed_up, Reasons::default());
    }

    fn leg(&mut self, leg: Leg) -> &mut LegMeter {
        match leg {
            Leg::Browser => &mut self.browser,
            Leg::Trunk => &mut self.trunk,
        }
    }
}

impl LegMeter {
    /// What the second brought, up and down.
    fn seconds(&mut self, now: &LegReading, relayed: f32, elapsed: Duration, disturbed: bool) -> [Second; 2] {
        // Without a beginning, or after a disturbance, nothing has changed.
        let counted = Counted::of(now, self.before.as_ref());
        let before = self.before.replace(counted).filter(|_| !disturbed).unwrap_or(counted);
        let rtt = now.rtt.map(|(ms, source)| (ms as f32, source));
        let up = self.up_second(now, &before, rtt, elapsed, disturbed);
        self.jitter_peak = up.jitter_ms.unwrap_or_default().max(self.jitter_peak * RELAYED_FADE);
        let down = self.down_second(now, &before, rtt, relayed, disturbed);
        let rtt_spread_ms = SPREAD * (self.jitter_peak + down.jitter_ms.unwrap_or_default());
        [up, down].map(|second| Second { rtt_spread_ms, ..second })
    }

    fn up_second(
        &self,
        now: &LegReading,
        before: &Counted,
        rtt: Option<(f32, RttSource)>,
        elapsed: Duration,
        disturbed: bool,
    ) -> Second {
        let new = &now.up;
        let packets = count(new.packets, before.received);
        let lost = change(new.lost, before.lost);
        let played = count(now.audio.buffered, before.buffered) > 0;
        let is_expected = self.expected.is_some() || now.is_gone;
        let gap = if is_expected && !disturbed { new.gap } else { Duration::ZERO };
        let concealed_ms = count(now.audio.concealed_ms, before.concealed_ms.into()) as f32;
        let elapsed_ms = (elapsed.as_secs_f32() * 1000.0).max(1.0);
        Second {
            packets,
            expected: u32::try_from(i64::from(packets) + i64::from(lost)).unwrap_or_default(),
            lost,
            late: played.then(|| count(now.audio.late, before.late.into())),
            jitter_ms: (new.packets > 0 && (packets > 0 || self.up.is_heard(UP_SECONDS))).then_some(new.jitter_ms),
            rtt,
            rtt_spread_ms: 0.0,
            // What is coded anew as it comes waits in the listener's buffer, of which nothing is known.
            buffer: (played && now.audio.target_ms > 0)
                .then(|| (millis(now.audio.target_ms), millis(now.audio.actual_ms))),
            concealed: played.then(|| (concealed_ms / elapsed_ms).min(1.0)),
            gap_ms: u32::try_from(gap.as_millis()).unwrap_or(u32::MAX),
            is_expected,
            is_known: is_expected || packets > 0 || self.up.is_heard(UP_SECONDS),
            runs: (new.runs.0.saturating_sub(before.runs.0), new.runs.1.saturating_sub(before.runs.1)),
            // Both of our offers and answers ask for in-band FEC.
            codec: parameters(new.codec, true),
            packet_ms: 20.0,
            loss_within: UP_SECONDS,
        }
    }

    fn down_second(
        &mut self,
        now: &LegReading,
        before: &Counted,
        rtt: Option<(f32, RttSource)>,
        relayed: f32,
        disturbed: bool,
    ) -> Second {
        let new = &now.down;
        let (expected, lost) = match (new.reported, before.reported) {
            (Some(new), Some(old)) if new.0 >= old.0 => (count(new.0, old.0), change(new.1, old.1)),
            // The first report of a stream tells of everything so far.
            (Some(new), _) => (count(new.0, 0), change(new.1, 0)),
            (None, _) => (0, 0),
        };
        if new.report != before.report || new.reported.is_none() {
            let own = if new.relays { relayed * RELAYED_SHARE } else { 0.0 };
            let net = |jitter: f32| (jitter * jitter - own * own).max(0.0).sqrt();
            self.jitter_down = new.jitter_ms.filter(|_| new.reported.is_some()).map(net);
        }
        let gap = if now.expects_down && new.reported.is_some() && !disturbed { new.gap } else { Duration::ZERO };
        Second {
            packets: count(new.packets, before.sent),
            expected,
            lost,
            late: None,
            jitter_ms: self.jitter_down,
            rtt,
            rtt_spread_ms: 0.0,
            buffer: new.voip.filter(|voip| voip.buffer_ms > 0).map(|voip| (voip.buffer_ms, voip.buffer_ms)),
            concealed: None,
            gap_ms: u32::try_from(gap.as_millis()).unwrap_or(u32::MAX),
            is_expected: now.expects_down,
            is_known: new.reported.is_some() && (now.expects_down || self.down.is_heard(DOWN_SECONDS)),
            runs: (0, 0),
            codec: match (new.codec, new.voip.and_then(|voip| voip.conceals)) {
                (Some(codec @ (Codec::Pcmu | Codec::Pcma)), Some(conceals)) => CodecParameters::of(codec, conceals),
                (codec, _) => parameters(codec, false),
            },
            packet_ms: new.packet_ms as f32,
            loss_within: DOWN_SECONDS,
        }
    }
}

/// `fec`: the sender was asked for in-band FEC, and whoever plays it uses it.
pub(super) fn parameters(codec: Option<Codec>, fec: bool) -> CodecParameters {
    // G.711 is concealed by whoever plays it.
    match codec {
        Some(Codec::Opus) => CodecParameters::of(Codec::Opus, fec),
        Some(codec @ (Codec::G722 | Codec::Pcmu | Codec::Pcma)) => CodecParameters::of(codec, true),
        None => CodecParameters::G711_PLC,
    }
}

/// How far a counter went; one that went back has begun anew.
fn count(now: u64, before: u64) -> u32 {
    u32::try_from(now.saturating_sub(before)).unwrap_or(u32::MAX)
}

fn change(now: i64, before: i64) -> i32 {
    let change = now.saturating_sub(before);
    change.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}

fn millis(ms: u32) -> u16 {
    u16::try_from(ms).unwrap_or(u16::MAX)
}
