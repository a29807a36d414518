//! Sound that passes for speech with those who measure it: syllables of voiced vowels and hissing consonants, phrases,
//! pauses. Made from a fixed seed, so that everybody's is the same; people begin at different places.

use std::f64::consts::{PI, TAU};
use std::sync::OnceLock;

use crate::world::chance::Chance;

/// Rates it is made at, Hz.
const RATES: [u32; 2] = [8_000, 16_000];
/// It repeats after so many seconds.
const SECONDS: usize = 12;
/// Level of the spoken part (pauses aside), dBov.
const ACTIVE_DBOV: f64 = -24.0;
/// First, second and third formant of five vowels, Hz.
const VOWELS: [[f64; 3]; 5] = [
    [730.0, 1090.0, 2440.0],
    [270.0, 2290.0, 3010.0],
    [300.0, 870.0, 2240.0],
    [530.0, 1840.0, 2480.0],
    [570.0, 840.0, 2410.0],
];

/// How somebody speaks, or what his microphone makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Well.
    Plain,
    /// 34 dB too quiet.
    Low,
    /// Far too loud: cut off at full scale.
    Clipping,
    /// By turns loud and 24 dB quieter.
    Unstable,
    /// Nothing over 3.4 kHz.
    Narrow,
    /// With a noise behind it, 9 dB quieter than the voice.
    Noisy,
}

/// Somebody speaks, on and on.
#[derive(Debug)]
pub struct Speech {
    recording: &'static [f32],
    rate: u32,
    at: usize,
    noise: Chance,
    /// Two samples of history for each stage of the low-pass.
    low_pass: [Biquad; 4],
}

impl Speech {
    /// Speech at 8 or 16 kHz that begins somewhere, at an eighth of `place`.
    ///
    /// # Panics
    /// At other rates.
    #[must_use]
    pub fn new(rate: u32, place: usize) -> Self {
        let recording = recording(rate);
        let low_pass = [0.541_2, 1.306_6, 0.541_2, 1.306_6].map(|q| Biquad::low_pass(3_300.0, q, rate));
        Self { recording, rate, at: recording.len() * (place % 8) / 8, noise: Chance::new(place as u64), low_pass }
    }

    /// The next samples.
    #[must_use]
    pub fn take(&mut self, samples: usize, manner: Manner) -> Vec<i16> {
        std::iter::repeat_with(|| self.sample(manner)).take(samples).collect()
    }

    fn sample(&mut self, manner: Manner) -> i16 {
        let voice = f64::from(self.recording[self.at]);
        self.at = (self.at + 1) % self.recording.len();
        let voice = match manner {
            Manner::Plain => voice,
            Manner::Low => voice * decibels(-34.0),
            Manner::Clipping => voice * decibels(24.0),
            Manner::Unstable if self.at / self.rate as usize % 3 == 1 => voice * decibels(-24.0),
            Manner::Unstable => voice,
            Manner::Narrow => self.low_pass.iter_mut().fold(voice, |sample, stage| stage.filter(sample)),
            Manner::Noisy => voice + gauss(&mut self.noise) * amplitude(ACTIVE_DBOV - 9.0),
        };
        voice.round().clamp(-32_768.0, 32_767.0) as i16
    }
}

fn decibels(db: f64) -> f64 {
    10.0_f64.powf(db / 20.0)
}

/// The root of the mean square of a sound of this level.
fn amplitude(dbov: f64) -> f64 {
    32_768.0 * decibels(dbov)
}

/// About normal, variance one.
fn gauss(chance: &mut Chance) -> f64 {
    (0..3).map(|_| chance.fraction() * 2.0 - 1.0).sum()
}

fn recording(rate: u32) -> &'static [f32] {
    static MADE: [OnceLock<Vec<f32>>; 2] = [const { OnceLock::new() }; 2];
    let nth = RATES.iter().position(|known| *known == rate).expect("speech is made at 8 and 16 kHz");
    MADE[nth].get_or_init(|| make(rate))
}

/// Phrases of six to eleven syllables, pauses of 0.5 to 0.9 s.
fn make(rate: u32) -> Vec<f32> {
    let mut chance = Chance::new(7);
    let mut sound: Vec<f64> = Vec::new();
    let mut active = Vec::new();
    while sound.len() < SECONDS * rate as usize {
        let pitch = 105.0 + 60.0 * chance.fraction();
        for _ in 0..6 + chance.below(6) {
            let begins = sound.len();
            consonant(&mut chance, rate, &mut sound);
            vowel(&mut chance, rate, pitch, &mut sound);
            active.push(begins..sound.len());
        }
        let pause = (f64::from(rate) * (0.5 + 0.4 * chance.fraction())) as usize;
        sound.extend(std::iter::repeat_n(0.0, pause));
    }
    let spoken = || active.iter().cloned().flat_map(|range| &sound[range]);
    let mean = spoken().map(|s| s * s).sum::<f64>() / spoken().count() as f64;
    let gain = amplitude(ACTIVE_DBOV) / mean.sqrt();
    // A room is never digitally silent.
    sound.iter().map(|s| (s * gain + gauss(&mut chance) * amplitude(-70.0)) as f32).collect()
}

/// 50 to 90 ms of hiss, most of it over 3 kHz.
fn consonant(chance: &mut Chance, rate: u32, sound: &mut Vec<f64>) {
    let samples = (f64::from(rate) * (0.05 + 0.04 * chance.fraction())) as usize;
    let mut before = 0.0;
    for nth in 0..samples {
        let noise = gauss(chance);
        let swell = (PI * nth as f64 / samples as f64).sin();
        sound.push((noise - before) * swell * 0.1);
        before = noise;
    }
}

/// 110 to 180 ms of pulses through three resonances.
fn vowel(chance: &mut Chance, rate: u32, pitch: f64, sound: &mut Vec<f64>) {
    let samples = (f64::from(rate) * (0.11 + 0.07 * chance.fraction())) as usize;
    let formants = VOWELS[chance.below(VOWELS.len() as u64) as usize];
    let mut filters = formants.map(|hz| Biquad::resonance(hz, 90.0, rate));
    let pitch = pitch * (0.9 + 0.2 * chance.fraction());
    let mut phase = 0.0;
    for nth in 0..samples {
        let part = nth as f64 / samples as f64;
        phase += pitch * (1.05 - 0.1 * part) / f64::from(rate);
        let pulse = if phase >= 1.0 { 1.0 } else { 0.0 };
        phase = phase.fract();
        let swell = (part * 8.0).min((1.0 - part) * 5.0).min(1.0);
        let voice: f64 = filters.iter_mut().map(|filter| filter.filter(pulse)).sum();
        sound.push(voice * swell * 6.0 * f64::from(rate) / 8_000.0);
    }
}

/// A filter of the second order.
#[derive(Debug, Clone, Copy)]
struct Biquad {
    b: [f64; 3],
    a: [f64; 2],
    x: [f64; 2],
    y: [f64; 2],
}

impl Biquad {
    fn resonance(hz: f64, width: f64, rate: u32) -> Self {
        let radius = (-PI * width / f64::from(rate)).exp();
        let angle = TAU * hz.min(f64::from(rate) * 0.45) / f64::from(rate);
        let gain = (1.0 - radius) * 0.5;
        Self { b: [gain, 0.0, -gain], a: [-2.0 * radius * angle.cos(), radius * radius], x: [0.0; 2], y: [0.0; 2] }
    }

    fn low_pass(hz: f64, q: f64, rate: u32) -> Self {
        let angle = TAU * hz / f64::from(rate);
        let (alpha, cos) = (angle.sin() / (2.0 * q), angle.cos());
        let scale = 1.0 / (1.0 + alpha);
        let side = (1.0 - cos) / 2.0 * scale;
        Self { b: [side, 2.0 * side, side], a: [-2.0 * cos * scale, (1.0 - alpha) * scale], x: [0.0; 2], y: [0.0; 2] }
    }

    fn filter(&mut self, x: f64) -> f64 {
        let y = self.b[0] * x + self.b[1] * self.x[0] + self.b[2] * self.x[1]
            - self.a[0] * self.y[0]
            - self.a[1] * self.y[1];
        self.x = [x, self.x[0]];
        self.y = [y, self.y[0]];
        y
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_media::audio::tone::level;

    fn seconds(rate: u32, manner: Manner) -> Vec<i16> {
        Speech::new(rate, 3).take(10 * rate as usize, manner)
    }

    /// Level over 4 kHz of sound at 16 kHz: what a difference filter applied four times leaves is nearly all up there.
    fn level_above_4k(pcm: &[i16]) -> f64 {
        let mut high: Vec<f64> = pcm.iter().map(|s| f64::from(*s)).collect();
        for _ in 0..4 {
            high = high.windows(2).map(|pair| (pair[1] - pair[0]) / 2.0).collect();
        }
        let pcm: Vec<i16> = high.iter().map(|s| s.round() as i16).collect();
        level(&pcm)
    }

    #[test]
    fn it_has_the_level_of_speech() {
        for rate in RATES {
            let plain = level(&seconds(rate, Manner::Plain));
            assert!((-28.0..-22.0).contains(&plain), "{plain:.1}");
            assert!(level(&seconds(rate, Manner::Low)) < plain - 30.0);
        }
    }

    #[test]
    fn it_pauses() {
        let pcm = seconds(8_000, Manner::Plain);
        let quiet = pcm.chunks(160).filter(|frame| level(frame) < -60.0).count();
        assert!((50..200).contains(&quiet), "{quiet} of 500 frames");
    }

    #[test]
    fn clipping_clips() {
        let pcm = seconds(8_000, Manner::Clipping);
        let full = pcm.iter().filter(|s| s.unsigned_abs() >= 32_767).count();
        assert!(full > pcm.len() / 50, "{full}");
        let full = seconds(8_000, Manner::Plain).iter().filter(|s| s.unsigned_abs() >= 32_000).count();
        assert_eq!(full, 0);
    }

    #[test]
    fn only_a_narrow_band_lacks_what_is_over_four_kilohertz() {
        let (plain, narrow) = (seconds(16_000, Manner::Plain), seconds(16_000, Manner::Narrow));
        let (wide, none) = (level_above_4k(&plain), level_above_4k(&narrow));
        assert!(
            wide > none + 15.0 && level(&narrow) > level(&plain) - 3.0,
            "{wide:.1} {none:.1} {:.1} {:.1}",
            level(&narrow),
            level(&plain)
        );
    }
}
