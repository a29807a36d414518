//! Test tones: a sine generator and a Goertzel detector. Levels are dBov: 0 is the power of a full-scale square wave,
//! a full-scale sine has -3 (RFC 6464 section 3).

use std::f64::consts::TAU;

/// Level of digital silence.
pub const SILENCE_DBOV: f64 = -127.0;

/// A sine that goes on from frame to frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Tone {
    phase: f64,
    step: f64,
    amplitude: f64,
}

impl Tone {
    /// A sine of `hz` at `rate` samples a second and this level (at most -3.01 dBov; more is clipped to that).
    #[must_use]
    pub fn new(hz: f64, rate: u32, level_dbov: f64) -> Self {
        let amplitude = 32_768.0 * 2.0_f64.sqrt() * 10.0_f64.powf(level_dbov / 20.0);
        Self { phase: 0.0, step: hz / f64::from(rate.max(1)), amplitude: amplitude.min(32_767.0) }
    }

    /// Overwrites `pcm` with the next samples.
    pub fn fill(&mut self, pcm: &mut [i16]) {
        pcm.fill_with(|| self.sample());
    }

    /// Adds the next samples to `pcm`, which makes chords.
    pub fn mix(&mut self, pcm: &mut [i16]) {
        pcm.iter_mut().for_each(|sample| *sample = sample.saturating_add(self.sample()));
    }

    /// The next `samples`.
    #[must_use]
    pub fn take(&mut self, samples: usize) -> Vec<i16> {
        std::iter::repeat_with(|| self.sample()).take(samples).collect()
    }

    fn sample(&mut self) -> i16 {
        let sample = (self.phase * TAU).sin() * self.amplitude;
        self.phase = (self.phase + self.step).fract();
        sample.round() as i16
    }
}

/// Level of all of `pcm`, dBov.
#[must_use]
pub fn level(pcm: &[i16]) -> f64 {
    let energy: f64 = pcm.iter().map(|&s| f64::from(s).powi(2)).sum();
    to_dbov(energy / pcm.len().max(1) as f64)
}

/// Level of the part of `pcm` that is a sine of `hz`, dBov. The longer `pcm`, the narrower the filter: 100 ms tell
/// tones 40 Hz apart.
#[must_use]
pub fn detect(pcm: &[i16], rate: u32, hz: f64) -> f64 {
    let length = pcm.len() as f64;
    if pcm.is_empty() {
        return SILENCE_DBOV;
    }
    let coefficient = 2.0 * (TAU * hz / f64::from(rate.max(1))).cos();
    let (mut s1, mut s2) = (0.0, 0.0);
    for (n, &sample) in pcm.iter().enumerate() {
        // A Hann window keeps strong tones far off out of this bin; it halves the amplitude.
        let window = 1.0 - (TAU * (n as f64 + 0.5) / length).cos();
        let s = f64::from(sample) * window + coefficient * s1 - s2;
        (s2, s1) = (s1, s);
    }
    let power = s1 * s1 + s2 * s2 - coefficient * s1 * s2;
    to_dbov(2.0 * power.max(0.0) / (length * length))
}

/// The one candidate (Hz) that `pcm` consists of: above `threshold_dbov`, and at least half of the whole power.
#[must_use]
pub fn dominant(pcm: &[i16], rate: u32, candidates: &[f64], threshold_dbov: f64) -> Option<f64> {
    let levels = candidates.iter().map(|&hz| (hz, detect(pcm, rate, hz)));
    let (hz, strongest) = levels.max_by(|a, b| a.1.total_cmp(&b.1))?;
    (strongest >= threshold_dbov && strongest >= level(pcm) - 3.01).then_some(hz)
}

fn to_dbov(mean_square: f64) -> f64 {
    (10.0 * (mean_square / (32_768.0 * 32_768.0)).log10()).max(SILENCE_DBOV)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_found_at_its_level_and_nowhere_else() {
        for rate in [8_000, 16_000, 48_000] {
            for (hz, dbov) in [(300.0, -10.0), (440.0, -20.0), (1004.0, -3.01), (3100.0, -50.0)] {
                let pcm = Tone::new(hz, rate, dbov).take(rate as usize / 5);
                assert!((detect(&pcm, rate, hz) - dbov).abs() < 0.2, "{hz} Hz at {rate}: {}", detect(&pcm, rate, hz));
                assert!((level(&pcm) - dbov).abs() < 0.2);
                assert!(detect(&pcm, rate, hz + 150.0) < dbov - 30.0);
            }
        }
    }

    #[test]
    fn the_dominant_tone_is_named_or_none() {
        let candidates = [300.0, 440.0, 1000.0];
        let mut pcm = Tone::new(440.0, 8_000, -20.0).take(800);
        assert_eq!(dominant(&pcm, 8_000, &candidates, -30.0), Some(440.0));
        assert_eq!(dominant(&pcm, 8_000, &candidates, -10.0), None);
        Tone::new(700.0, 8_000, -15.0).mix(&mut pcm);
        assert_eq!(dominant(&pcm, 8_000, &candidates, -30.0), None);
        assert_eq!(dominant(&[0; 800], 8_000, &candidates, -60.0), None);
        assert_eq!(dominant(&[], 8_000, &candidates, -60.0), None);
    }

    #[test]
    fn frames_join_without_a_step() {
        let mut whole = Tone::new(440.0, 8_000, -20.0);
        let mut parts = whole.clone();
        let mut frame = [0; 160];
        let mut joined = Vec::new();
        for _ in 0..5 {
            parts.fill(&mut frame);
            joined.extend_from_slice(&frame);
        }
        assert_eq!(joined, whole.take(800));
    }
}
