//! Voices, noises and what microphones, rooms and codecs do to them.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::audio::Codec;
use crate::audio::codec::{Decoder, Encoder};
use crate::audio::prompt::{Player, Prompt};
use crate::audio::tone::level;

/// Recorded people first, then synthesised ones.
const VOICES: [&str; 9] = [
    "tests/data/speech/en-woman-16k.wav",
    "tests/data/speech/it-man-16k.wav",
    "tests/data/speech/ru-woman-8k.wav",
    "tests/data/speech/en-robot-8k.wav",
    "tests/data/speech/de-robot-8k.wav",
    "tests/data/speech/fr-robot-8k.wav",
    "tests/data/speech/es-robot-8k.wav",
    "tests/data/speech/it-robot-8k.wav",
    "tests/data/speech/pt-robot-8k.wav",
];

/// How many voices there are, and how many of them are people's.
pub(super) const ALL: usize = VOICES.len();
pub(super) const PEOPLE: usize = 3;

/// Each voice at 8, 16 and 48 kHz, once converted.
fn converted(voice: usize, rate: u32) -> &'static [i16] {
    static CONVERTED: [[OnceLock<Vec<i16>>; 3]; ALL] = [const { [const { OnceLock::new() }; 3] }; ALL];
    let at = [8_000, 16_000, 48_000].iter().position(|known| *known == rate).unwrap();
    CONVERTED[voice % ALL][at].get_or_init(|| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(VOICES[voice % ALL]);
        let prompt = Prompt::from_wav(&std::fs::read(path).unwrap()).unwrap();
        let mut pcm = vec![0; prompt.duration_ms() as usize * rate as usize / 1000];
        Player::new(Arc::new(prompt), rate, false).fill(&mut pcm);
        pcm
    })
}

/// A voice that goes on from a point of its recording, at `rate` Hz, as it was recorded.
pub(super) fn recording(voice: usize, rate: u32, from_ms: usize, seconds: usize) -> Vec<i16> {
    let pcm = converted(voice, rate);
    let from = from_ms * rate as usize / 1000;
    pcm.iter().copied().cycle().skip(from).take(seconds * rate as usize).collect()
}

/// The same at this level, over the quiet noise of a good microphone.
pub(super) fn voice(voice: usize, rate: u32, from_ms: usize, seconds: usize, dbov: f64) -> Vec<i16> {
    let mut pcm = recording(voice, rate, from_ms, seconds);
    scale(&mut pcm, dbov);
    mix(&mut pcm, &noise(seconds * rate as usize, -72.0, from_ms as u64 + 1));
    pcm
}

/// To a level, dBov.
pub(super) fn scale(pcm: &mut [i16], dbov: f64) {
    let gain = dbov - level(pcm);
    amplify(pcm, |_| gain);
}

/// By so many decibels at each second.
pub(super) fn amplify(pcm: &mut [i16], db: impl Fn(usize) -> f64) {
    for (n, sample) in pcm.iter_mut().enumerate() {
        let louder = f64::from(*sample) * 10f64.powf(db(n) / 20.0);
        *sample = louder.clamp(-32_768.0, 32_767.0) as i16;
    }
}

pub(super) fn mix(pcm: &mut [i16], other: &[i16]) {
    pcm.iter_mut().zip(other).for_each(|(sample, other)| *sample = sample.saturating_add(*other));
}

/// White noise.
pub(super) fn noise(samples: usize, dbov: f64, seed: u64) -> Vec<i16> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let peak = 32_768.0 * 10f64.powf(dbov / 20.0) * 3f64.sqrt();
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64 * 2.0 - 1.0
    };
    (0..samples).map(|_| (next() * peak).round() as i16).collect()
}

/// Later by so many milliseconds, and quieter by so many decibels.
pub(super) fn echo(pcm: &[i16], rate: u32, delay_ms: usize, loss_db: f64) -> Vec<i16> {
    let mut late = vec![0; delay_ms * rate as usize / 1000];
    late.extend_from_slice(pcm);
    late.truncate(pcm.len());
    amplify(&mut late, |_| -loss_db);
    late
}

/// Two who take turns of a few seconds: who speaks in which is silence in the other.
pub(super) fn turns(mut a: Vec<i16>, mut b: Vec<i16>, rate: u32, seed: u64) -> (Vec<i16>, Vec<i16>) {
    let mut state = seed;
    let mut at = 0;
    let mut first = true;
    while at < a.len() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // 0.8 to 4 s.
        let length = (800 + (state >> 40) as usize % 3200) * rate as usize / 1000;
        let end = (at + length).min(a.len());
        let silent = if first { &mut b } else { &mut a };
        silent[at..end].fill(0);
        first = !first;
        at = end;
    }
    (a, b)
}

/// Through Opus, at one rate.
pub(super) fn through_opus(pcm: &[i16], rate: u32) -> Vec<i16> {
    decoded(&opus(pcm, rate), rate)
}

/// What packets of Opus hold.
pub(super) fn decoded(payloads: &[Vec<u8>], rate: u32) -> Vec<i16> {
    let mut decoder = Decoder::new(Codec::Opus, rate).unwrap();
    let (mut heard, mut pcm) = (Vec::new(), Vec::new());
    for payload in payloads {
        decoder.decode(payload, &mut pcm).unwrap();
        heard.extend_from_slice(&pcm);
    }
    heard
}

/// Packets of 20 ms.
pub(super) fn opus(pcm: &[i16], rate: u32) -> Vec<Vec<u8>> {
    packets(Codec::Opus, pcm, rate)
}

pub(super) fn packets(codec: Codec, pcm: &[i16], rate: u32) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(codec, rate).unwrap();
    let frames = pcm.chunks_exact(rate as usize / 50);
    let encode = |frame| {
        let mut payload = Vec::new();
        encoder.encode(frame, &mut payload).unwrap();
        payload
    };
    frames.map(encode).collect()
}
