//! One second (or more) of a half-leg in sixteen octets.
//!
//! Ratios, jitter and gaps are kept as the square root of their share of a full scale: fine where the bands of a level
//! lie, coarse where all is lost anyway.

use trunkline_media::quality::{HalfLegSample, Level, LevelReason, Reasons, RttSource};

const NONE: u8 = u8::MAX;
const NO_RTT: u16 = u16::MAX;
/// Steps of a scale; 255 says "not known".
const STEPS: f32 = 254.0;
/// Jitter beyond it is shown as this much, milliseconds.
const FULL_JITTER: f32 = 512.0;
/// A gap beyond it is shown as this much, milliseconds.
const FULL_GAP: f32 = 60_000.0;
/// Step of a round trip, milliseconds; the longest is 16 s.
const RTT_STEP: f32 = 0.25;
/// Step of a jitter buffer's size, milliseconds; the largest is 1.27 s.
const BUFFER_STEP: u16 = 5;
const EXPECTED: u16 = 1 << 11;

/// A [`HalfLegSample`], packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Point {
    packets: u16,
    rtt: u16,
    /// Level (2 bits), source of the round trip (2 bits), reasons (7 bits), expected (1 bit), from below.
    flags: u16,
    loss: u8,
    late: u8,
    concealed: u8,
    jitter: u8,
    buffer_target: u8,
    buffer: u8,
    audio: i8,
    mos_lq: u8,
    mos_cq: u8,
    gap: u8,
}

impl Point {
    pub(super) fn pack(sample: &HalfLegSample) -> Self {
        let rtt = sample.rtt_ms.map_or(NO_RTT, |ms| whole(ms / RTT_STEP, f32::from(NO_RTT - 1)));
        Self {
            packets: u16::try_from(sample.packets).unwrap_or(u16::MAX),
            rtt,
            flags: flags(sample),
            loss: root(sample.loss, 1.0),
            late: root(sample.late, 1.0),
            concealed: root(sample.concealed, 1.0),
            jitter: root(sample.jitter_ms, FULL_JITTER),
            buffer_target: buffer(sample.buffer_target_ms),
            buffer: buffer(sample.buffer_ms),
            audio: sample.audio_dbov.map_or(i8::MIN, |level| level.max(-127)),
            mos_lq: mos(sample.mos_lq),
            mos_cq: mos(sample.mos_cq),
            #[expect(clippy::cast_precision_loss, reason = "a gap is shown in steps of its size anyway")]
            gap: root(Some(sample.gap_ms as f32), FULL_GAP),
        }
    }

    pub(super) fn unpack(&self) -> HalfLegSample {
        let mut reasons = Reasons::default();
        let has = |reason: &LevelReason| (self.flags >> 4) & (*reason as u16) != 0;
        LevelReason::ALL.into_iter().filter(has).for_each(|reason| reasons.insert(reason));
        HalfLegSample {
            packets: self.packets.into(),
            loss: unroot(self.loss, 1.0),
            late: unroot(self.late, 1.0),
            jitter_ms: unroot(self.jitter, FULL_JITTER),
            rtt_ms: (self.rtt != NO_RTT).then(|| f32::from(self.rtt) * RTT_STEP),
            rtt_source: match (self.flags >> 2) & 3 {
                1 => Some(RttSource::Rtcp),
                2 => Some(RttSource::RtcpXr),
                3 => Some(RttSource::Stun),
                _ => None,
            },
            buffer_target_ms: (self.buffer_target != NONE).then(|| u16::from(self.buffer_target) * BUFFER_STEP),
            buffer_ms: (self.buffer != NONE).then(|| u16::from(self.buffer) * BUFFER_STEP),
            concealed: unroot(self.concealed, 1.0),
            audio_dbov: (self.audio != i8::MIN).then_some(self.audio),
            mos_lq: unmos(self.mos_lq),
            mos_cq: unmos(self.mos_cq),
            gap_ms: whole(unroot(self.gap, FULL_GAP).unwrap_or_default(), FULL_GAP).into(),
            expected: self.flags & EXPECTED != 0,
            level: Level::ALL.get(usize::from(self.flags & 3)).copied().unwrap_or_default(),
            reasons,
        }
    }
}

/// Several seconds as one: sums of packets, means of ratios and buffers, and the worst of everything that would hide in
/// a mean.
pub(super) fn merge(points: impl Iterator<Item = Point>) -> Point {
    let mut merged = HalfLegSample::default();
    let [mut loss, mut late, mut concealed, mut target, mut actual] = [Mean::default(); 5];
    for point in points {
        let sample = point.unpack();
        merged.packets = merged.packets.saturating_add(sample.packets);
        loss.add(sample.loss);
        late.add(sample.late);
        concealed.add(sample.concealed);
        target.add(sample.buffer_target_ms.map(f32::from));
        actual.add(sample.buffer_ms.map(f32::from));
        merged.jitter_ms = either(merged.jitter_ms, sample.jitter_ms, f32::max);
        if sample.rtt_ms > merged.rtt_ms {
            (merged.rtt_ms, merged.rtt_source) = (sample.rtt_ms, sample.rtt_source);
        }
        merged.audio_dbov = merged.audio_dbov.max(sample.audio_dbov);
        merged.mos_lq = either(merged.mos_lq, sample.mos_lq, f32::min);
        merged.mos_cq = either(merged.mos_cq, sample.mos_cq, f32::min);
        merged.gap_ms = merged.gap_ms.max(sample.gap_ms);
        merged.expected |= sample.expected;
        merged.level = merged.level.max(sample.level);
        sample.reasons.iter().for_each(|reason| merged.reasons.insert(reason));
    }
    (merged.loss, merged.late, merged.concealed) = (loss.get(), late.get(), concealed.get());
    merged.buffer_target_ms = target.get().map(|ms| whole(ms, f32::from(u16::MAX)));
    merged.buffer_ms = actual.get().map(|ms| whole(ms, f32::from(u16::MAX)));
    Point::pack(&merged)
}

#[derive(Clone, Copy, Default)]
struct Mean {
    sum: f32,
    count: f32,
}

impl Mean {
    fn add(&mut self, value: Option<f32>) {
        if let Some(value) = value {
            self.sum += value;
            self.count += 1.0;
        }
    }

    fn get(self) -> Option<f32> {
        (self.count > 0.0).then(|| self.sum / self.count)
    }
}

fn either(a: Option<f32>, b: Option<f32>, pick: fn(f32, f32) -> f32) -> Option<f32> {
    match (a, b) {
        (Some(a), Some(b)) => Some(pick(a, b)),
        (one, None) | (None, one) => one,
    }
}

fn flags(sample: &HalfLegSample) -> u16 {
    let source = match sample.rtt_source {
        None => 0,
        Some(RttSource::Rtcp) => 1,
        Some(RttSource::RtcpXr) => 2,
        Some(RttSource::Stun) => 3,
    };
    let reasons = sample.reasons.iter().fold(0, |bits, reason| bits | reason as u16);
    let expected = if sample.expected { EXPECTED } else { 0 };
    sample.level as u16 | source << 2 | reasons << 4 | expected
}

fn root(value: Option<f32>, full: f32) -> u8 {
    let code = |value: f32| octet((value / full).clamp(0.0, 1.0).sqrt() * STEPS);
    value.filter(|v| v.is_finite()).map_or(NONE, code)
}

fn unroot(code: u8, full: f32) -> Option<f32> {
    (code != NONE).then(|| (f32::from(code) / STEPS).powi(2) * full)
}

fn mos(value: Option<f32>) -> u8 {
    value.filter(|v| v.is_finite()).map_or(NONE, |mos| octet((mos - 1.0) / 4.0 * STEPS))
}

fn unmos(code: u8) -> Option<f32> {
    (code != NONE).then(|| 1.0 + f32::from(code) / STEPS * 4.0)
}

fn buffer(ms: Option<u16>) -> u8 {
    ms.map_or(NONE, |ms| u8::try_from(ms.saturating_add(BUFFER_STEP / 2) / BUFFER_STEP).unwrap_or(NONE).min(NONE - 1))
}

fn octet(value: f32) -> u8 {
    u8::try_from(whole(value, STEPS)).unwrap_or(NONE - 1)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what fits")]
fn whole(value: f32, most: f32) -> u16 {
    value.round().clamp(0.0, most.min(65_535.0)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_has_sixteen_octets() {
        assert_eq!(size_of::<Point>(), 16);
    }

    #[test]
    fn what_is_packed_comes_out_again_near_enough() {
        let mut reasons = Reasons::default();
        reasons.insert(LevelReason::Loss);
        reasons.insert(LevelReason::Relay);
        let rows = [
            HalfLegSample::default(),
            HalfLegSample {
                packets: 50,
                loss: Some(0.01),
                late: Some(0.0),
                jitter_ms: Some(30.0),
                rtt_ms: Some(399.9),
                rtt_source: Some(RttSource::Stun),
                buffer_target_ms: Some(60),
                buffer_ms: Some(45),
                concealed: Some(0.05),
                audio_dbov: Some(-37),
                mos_lq: Some(4.41),
                mos_cq: Some(3.1),
                gap_ms: 2_000,
                expected: true,
                level: Level::Red,
                reasons,
            },
            HalfLegSample { loss: Some(1.0), rtt_ms: Some(0.0), mos_lq: Some(1.0), ..HalfLegSample::default() },
        ];
        let near = |a: Option<f32>, b: Option<f32>, by: f32| match (a, b) {
            (Some(a), Some(b)) => (a - b).abs() <= by,
            (a, b) => a == b,
        };
        for row in rows {
            let out = Point::pack(&row).unpack();
            assert!(near(out.loss, row.loss, 0.001) && near(out.late, row.late, 0.001), "{out:?}");
            assert!(near(out.concealed, row.concealed, 0.002), "{out:?}");
            assert!(near(out.jitter_ms, row.jitter_ms, 0.7) && near(out.rtt_ms, row.rtt_ms, 0.2), "{out:?}");
            assert!(near(out.mos_lq, row.mos_lq, 0.01) && near(out.mos_cq, row.mos_cq, 0.01), "{out:?}");
            assert!(out.gap_ms.abs_diff(row.gap_ms) < 60, "{out:?}");
            assert_eq!(
                (out.packets, out.rtt_source, out.buffer_target_ms, out.buffer_ms, out.audio_dbov, out.expected),
                (row.packets, row.rtt_source, row.buffer_target_ms, row.buffer_ms, row.audio_dbov, row.expected)
            );
            assert_eq!((out.level, out.reasons), (row.level, row.reasons));
        }
    }

    #[test]
    fn a_merged_point_hides_no_bad_second() {
        let second = |loss, rtt, level| {
            let sample = HalfLegSample {
                packets: 50,
                loss: Some(loss),
                rtt_ms: rtt,
                mos_lq: Some(4.0 - loss),
                level,
                ..HalfLegSample::default()
            };
            Point::pack(&sample)
        };
        let points =
            [second(0.0, None, Level::Green), second(0.2, Some(80.0), Level::Red), second(0.1, None, Level::Green)];
        let merged = merge(points.into_iter()).unpack();
        assert_eq!((merged.packets, merged.level, merged.rtt_ms), (150, Level::Red, Some(80.0)));
        assert!(merged.loss.is_some_and(|loss| (loss - 0.1).abs() < 0.01), "{merged:?}");
        assert!(merged.mos_lq.is_some_and(|mos| mos < 3.85), "{merged:?}");
        assert_eq!(merged.late, None, "never measured");
        assert_eq!(merge(std::iter::empty()).unpack(), HalfLegSample::default());
    }
}
