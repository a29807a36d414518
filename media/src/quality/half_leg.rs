//! One half-leg: what a second brought, scored and coloured.

use super::burst::burst_ratio;
use super::emodel::{self, CodecParameters, Delay, Impairments};
use super::level::{Judgement, LevelMachine, Reading};
use super::loss::LossWindow;
use super::{HalfLegSample, Policy, Reasons, RttSource};

/// What a listener's own jitter buffer is taken to add where it is not known, milliseconds: this, or twice the jitter.
const LISTENER_BUFFER_MS: f32 = 40.0;
const LISTENER_BUFFER_LIMIT_MS: f32 = 200.0;

/// One second of a half-leg.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Second {
    pub(crate) packets: u32,
    pub(crate) expected: u32,
    /// Below zero when more came late than were lost.
    pub(crate) lost: i32,
    pub(crate) late: Option<u32>,
    pub(crate) jitter_ms: Option<f32>,
    pub(crate) rtt: Option<(f32, RttSource)>,
    /// So far apart may two round trips be by the leg's jitter alone, milliseconds.
    pub(crate) rtt_spread_ms: f32,
    /// Target and actual delay of our jitter buffer, milliseconds.
    pub(crate) buffer: Option<(u16, u16)>,
    pub(crate) concealed: Option<f32>,
    pub(crate) gap_ms: u32,
    /// Audio is expected.
    pub(crate) is_expected: bool,
    /// There is something to judge by; else the level is unknown.
    pub(crate) is_known: bool,
    /// Runs of lost packets, and the packets in them.
    pub(crate) runs: (u32, u32),
    pub(crate) codec: CodecParameters,
    pub(crate) packet_ms: f32,
    /// Seconds in which there must have been packets for the loss to say anything.
    pub(crate) loss_within: usize,
}

/// What is remembered of a half-leg.
#[derive(Debug, Default, Clone)]
pub(crate) struct HalfLegMeter {
    window: LossWindow,
    machine: LevelMachine,
    jitter: Smooth,
    rtt: Smooth,
    /// Lost packets and runs of them, fading.
    lost: f32,
    runs: f32,
}

/// A measure without its wobble: small changes count by a quarter, big ones at once. Where chance makes big ones, they
/// count by a thirty-second: the peer may report once in five seconds, and each report is looked at five times.
#[derive(Debug, Default, Clone, Copy)]
struct Smooth(Option<f32>);

impl HalfLegMeter {
    pub(crate) fn sample(&mut self, policy: &Policy, second: &Second, in_use: Reasons) -> HalfLegSample {
        let mut sample = HalfLegSample {
            packets: second.packets,
            loss: share(second.lost.max(0).unsigned_abs(), second.expected),
            late: second.late.and_then(|late| share(late, second.expected)),
            jitter_ms: second.jitter_ms,
            rtt_ms: second.rtt.map(|(ms, _)| ms),
            rtt_source: second.rtt.map(|(_, source)| source),
            buffer_target_ms: second.buffer.map(|(target, _)| target),
            buffer_ms: second.buffer.map(|(_, actual)| actual),
            concealed: second.concealed,
            gap_ms: second.gap_ms,
            expected: second.is_expected,
            ..HalfLegSample::default()
        };
        if !second.is_known {
            *self = Self::default();
            return sample;
        }
        let late = i32::try_from(second.late.unwrap_or_default()).unwrap_or(i32::MAX);
        self.window.push(second.expected, second.lost.saturating_add(late));
        let (lost, runs) = second.runs;
        self.lost = self.lost * 0.8 + lost as f32;
        self.runs = self.runs * 0.8 + runs as f32;
        let jitter_ms = self.jitter.follow(second.jitter_ms, (0.5, 5.0), 0.0);
        let rtt_ms = self.rtt.follow(sample.rtt_ms, (0.25, 20.0), second.rtt_spread_ms);
        self.score(second, &mut sample, jitter_ms, rtt_ms);
        let reading = Reading {
            loss: &self.window,
            loss_within: second.loss_within,
            rtt_ms,
            rtt_spread_ms: second.rtt_spread_ms,
            jitter_ms,
            mos_cq: sample.mos_cq,
            gap_ms: second.gap_ms,
        };
        // A second in which nothing came, and nothing was missed, shows nothing.
        if second.packets > 0 || second.expected > 0 || second.gap_ms > 0 {
            self.machine.judge(&Judgement::of(&reading, policy));
        }
        sample.level = self.machine.level();
        sample.reasons = self.machine.reasons(in_use);
        sample
    }

    /// Whether packets were expected in these last seconds.
    pub(crate) fn is_heard(&self, seconds: usize) -> bool {
        self.window.rate(seconds).is_some()
    }

    fn score(&self, second: &Second, sample: &mut HalfLegSample, jitter_ms: Option<f32>, rtt_ms: Option<f32>) {
        let Some(loss) = self.window.rate(second.loss_within).map(f64::from) else { return };
        let path = Impairments {
            loss,
            burst_ratio: burst_ratio(f64::from(self.lost), f64::from(self.runs), loss),
            delay_ms: 0.0,
        };
        let mos = |path: &Impairments| emodel::mos(emodel::rating(&second.codec, path)) as f32;
        sample.mos_lq = Some(mos(&path));
        sample.mos_cq = rtt_ms.map(|rtt_ms| {
            let listeners = (2.0 * jitter_ms.unwrap_or_default()).clamp(LISTENER_BUFFER_MS, LISTENER_BUFFER_LIMIT_MS);
            let buffer_ms = second.buffer.map_or(listeners, |(_, actual)| f32::from(actual));
            let delay = Delay {
                rtt_ms: f64::from(rtt_ms),
                buffer_ms: f64::from(buffer_ms),
                packet_ms: f64::from(second.packet_ms),
                codec_ms: second.codec.delay_ms,
            };
            mos(&Impairments { delay_ms: delay.one_way_ms(), ..path })
        });
    }
}

impl Smooth {
    /// The smoothed value after one more. A change of more than `share` of it and `least`, and more than chance makes
    /// (`spread`), is taken as it is.
    fn follow(&mut self, value: Option<f32>, (share, least): (f32, f32), spread: f32) -> Option<f32> {
        self.0 = value.map(|value| {
            let Some(before) = self.0 else { return value };
            let small = before * share + least;
            let part = if spread > small { 32.0 } else { 4.0 };
            if (value - before).abs() <= small.max(spread) { before + (value - before) / part } else { value }
        });
        self.0
    }
}

fn share(part: u32, whole: u32) -> Option<f32> {
    (whole > 0).then(|| (part as f32 / whole as f32).min(1.0))
}

#[cfg(test)]
#[path = "half_leg_tests.rs"]
mod tests;
