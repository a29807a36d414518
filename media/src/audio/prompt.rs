//! Prompts: short recordings, and the player that hands them out frame by frame.

use std::io::Cursor;
use std::sync::Arc;

use super::ogg;
use super::resample::Resampler;

/// Longest recording, seconds.
const MAX_SECONDS: usize = 600;
/// Rates that are read, and what they become where a frame cannot be made of them in passing.
const OTHER_RATES: [u32; 5] = [11_025, 22_050, 24_000, 32_000, 44_100];
const CONVERTED: u32 = 16_000;

/// A recording in memory: mono 16-bit PCM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    rate: u32,
    samples: Vec<i16>,
}

/// A prompt that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PromptError(pub String);

impl Prompt {
    /// Reads the bytes of a recording, by what they begin with: a WAV file, as [`Self::from_wav`], or Opus in an Ogg file
    /// (one or two channels, at most ten minutes), which takes some milliseconds for ten seconds.
    pub fn from_file(bytes: &[u8]) -> Result<Self, PromptError> {
        if ogg::is_ogg(bytes) {
            return Self::from_pcm(ogg::RATE, ogg::read(bytes, MAX_SECONDS * ogg::RATE as usize)?);
        }
        Self::from_wav(bytes)
    }

    /// Reads a WAV file's bytes (PCM 16 bit, mono or stereo mixed down, any usual rate; at most ten minutes). Other rates
    /// than 8, 16 and 48 kHz are converted here, which takes some milliseconds a minute.
    pub fn from_wav(bytes: &[u8]) -> Result<Self, PromptError> {
        let unreadable = |error: hound::Error| PromptError(format!("not a WAV file: {error}"));
        let mut reader = hound::WavReader::new(Cursor::new(bytes)).map_err(unreadable)?;
        let spec = reader.spec();
        if spec.bits_per_sample != 16 || spec.sample_format != hound::SampleFormat::Int {
            return Err(PromptError("a prompt must be 16-bit PCM".into()));
        }
        let channels = match spec.channels {
            1 => 1,
            2 => 2,
            other => return Err(PromptError(format!("a prompt has one or two channels, not {other}"))),
        };
        if !OTHER_RATES.contains(&spec.sample_rate) {
            check_rate(spec.sample_rate)?;
        }
        let most = (MAX_SECONDS * spec.sample_rate as usize + 1) * channels;
        let all = reader.samples::<i16>().take(most).collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
        let samples = match channels {
            1 => all,
            _ => all.as_chunks::<2>().0.iter().map(|&[l, r]| ((i32::from(l) + i32::from(r)) / 2) as i16).collect(),
        };
        if OTHER_RATES.contains(&spec.sample_rate) {
            return Self::from_pcm(CONVERTED, converted(spec.sample_rate, &samples));
        }
        Self::from_pcm(spec.sample_rate, samples)
    }

    /// Takes mono PCM at 8000, 16000 or 48000 Hz, at most ten minutes.
    pub fn from_pcm(rate: u32, samples: Vec<i16>) -> Result<Self, PromptError> {
        check_rate(rate)?;
        if samples.is_empty() {
            return Err(PromptError("a prompt must not be empty".into()));
        }
        if samples.len() > MAX_SECONDS * rate as usize {
            return Err(PromptError("a prompt may last ten minutes at most".into()));
        }
        Ok(Self { rate, samples })
    }

    /// How long it lasts, milliseconds.
    #[must_use]
    pub fn duration_ms(&self) -> u64 {
        self.samples.len() as u64 * 1000 / u64::from(self.rate.max(1))
    }

    /// Sample `at`, silence outside of the recording; a looped recording has no outside.
    fn sample(&self, at: isize, looped: bool) -> i16 {
        let at = if looped { at.rem_euclid(self.samples.len().max(1).cast_signed()) } else { at };
        usize::try_from(at).ok().and_then(|at| self.samples.get(at)).copied().unwrap_or_default()
    }
}

/// Hands out one prompt frame by frame at the rate asked for, converting as it goes: starting a long prompt costs
/// nothing, and a frame costs some microseconds.
#[derive(Debug)]
pub struct Player {
    prompt: Arc<Prompt>,
    /// `None` if no conversion is needed.
    resampler: Option<Resampler>,
    length: usize,
    next: usize,
    looped: bool,
}

impl Player {
    /// Plays `prompt` as PCM at `rate` Hz (8000, 16000 or 48000; at any other rate there is nothing to play).
    #[must_use]
    pub fn new(prompt: Arc<Prompt>, rate: u32, looped: bool) -> Self {
        let (resampler, length) = if rate == prompt.rate {
            (None, prompt.samples.len())
        } else {
            let resampler = Resampler::new(prompt.rate, rate);
            let length = resampler.as_ref().map_or(0, |r| r.output_len(prompt.samples.len()));
            (resampler, length)
        };
        Self { prompt, resampler, length, next: 0, looped }
    }

    /// Plays on at another rate, from where it is.
    pub fn set_rate(&mut self, rate: u32) {
        let mut player = Self::new(Arc::clone(&self.prompt), rate, self.looped);
        let next = (self.next.min(self.length) as u64 * player.length as u64).checked_div(self.length as u64);
        player.next = next.and_then(|next| usize::try_from(next).ok()).unwrap_or_default();
        *self = player;
    }

    /// Fills `frame`, with silence past the end; `false` once there is nothing more to play.
    pub fn fill(&mut self, frame: &mut [i16]) -> bool {
        let began = self.next < self.length;
        frame.fill_with(|| self.step());
        began || (self.looped && self.length > 0)
    }

    /// Adds what is next to `frame`; `false` once there is nothing more to play.
    pub fn mix(&mut self, frame: &mut [i16]) -> bool {
        let began = self.next < self.length;
        for sample in frame {
            *sample = sample.saturating_add(self.step());
        }
        began || (self.looped && self.length > 0)
    }

    fn step(&mut self) -> i16 {
        if self.next >= self.length && self.looped {
            self.next = 0;
        }
        let sample = if self.next < self.length { self.at(self.next) } else { 0 };
        self.next = self.next.saturating_add(1);
        sample
    }

    fn at(&self, n: usize) -> i16 {
        match &self.resampler {
            Some(resampler) => resampler.sample(n, |i| self.prompt.sample(i, self.looped)),
            None => self.prompt.sample(n.cast_signed(), false),
        }
    }
}

fn converted(rate: u32, samples: &[i16]) -> Vec<i16> {
    let Some(resampler) = Resampler::new(rate, CONVERTED) else { return Vec::new() };
    let at = |i: isize| usize::try_from(i).ok().and_then(|i| samples.get(i)).copied().unwrap_or_default();
    (0..resampler.output_len(samples.len())).map(|n| resampler.sample(n, at)).collect()
}

fn check_rate(rate: u32) -> Result<(), PromptError> {
    if matches!(rate, 8_000 | 16_000 | 48_000) {
        Ok(())
    } else {
        Err(PromptError(format!("a prompt has 8000, 16000 or 48000 Hz, not {rate}")))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::audio::tone::{Tone, detect};

    fn wav(rate: u32, channels: u16, bits: u16, samples: &[i16]) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let spec = hound::WavSpec {
            channels,
            sample_rate: rate,
            bits_per_sample: bits,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::new(&mut bytes, spec).unwrap();
        samples.iter().for_each(|&s| writer.write_sample(s).unwrap());
        writer.finalize().unwrap();
        bytes.into_inner()
    }

    #[test]
    fn reads_what_it_can_play() {
        assert_eq!(Prompt::from_wav(&wav(8_000, 1, 16, &[1, -2, 3])), Prompt::from_pcm(8_000, vec![1, -2, 3]));
        assert_eq!(Prompt::from_wav(&wav(48_000, 2, 16, &[100, 200, -4, 4])), Prompt::from_pcm(48_000, vec![150, 0]));
        for bad in [
            wav(8_000, 1, 8, &[1, 2]),
            wav(44_000, 1, 16, &[1, 2]),
            wav(8_000, 3, 16, &[1, 2, 3]),
            wav(8_000, 1, 16, &[]),
            b"RIFF".to_vec(),
            Vec::new(),
        ] {
            assert!(Prompt::from_wav(&bad).is_err());
        }
        assert!(Prompt::from_pcm(8_000, vec![0; 8_000 * 600 + 1]).is_err());
    }

    #[test]
    fn a_file_is_known_by_its_first_bytes() {
        assert!(Prompt::from_file(&wav(8_000, 1, 16, &[1, -2, 3])).is_ok());
        let opus = Prompt::from_file(&ogg::tests::file(500, b"OpusHead\x01\x01\x38\x01\0\0\0\0\0\0\0")).unwrap();
        assert_eq!(opus.duration_ms(), 500);
        assert!(Prompt::from_file(b"OggS").is_err() && Prompt::from_file(b"ID3").is_err());
    }

    #[test]
    fn a_file_of_any_usual_rate_sounds_the_same() {
        for rate in OTHER_RATES {
            let file = wav(rate, 1, 16, &Tone::new(1000.0, rate, -20.0).take(rate as usize));
            let prompt = Arc::new(Prompt::from_wav(&file).unwrap());
            assert!((999..=1000).contains(&prompt.duration_ms()), "{rate}");
            let mut pcm = vec![0; 8_000];
            assert!(Player::new(prompt, 8_000, false).fill(&mut pcm));
            let middle = &pcm[2_000..6_000];
            assert!((detect(middle, 8_000, 1000.0) + 20.0).abs() < 0.3, "{rate}");
            assert!((crate::audio::tone::level(middle) + 20.0).abs() < 0.3, "{rate}: something else is heard");
        }
        let high = wav(44_100, 1, 16, &Tone::new(10_000.0, 44_100, -10.0).take(44_100));
        let mut pcm = vec![0; 16_000];
        Player::new(Arc::new(Prompt::from_wav(&high).unwrap()), 16_000, false).fill(&mut pcm);
        assert!(crate::audio::tone::level(&pcm[4_000..12_000]) < -60.0, "what 16 kHz cannot carry");
    }

    #[test]
    fn a_tone_stays_the_same_at_every_rate() {
        for from in [8_000, 16_000, 48_000] {
            for to in [8_000, 16_000, 48_000u32] {
                let prompt =
                    Arc::new(Prompt::from_pcm(from, Tone::new(1000.0, from, -20.0).take(from as usize)).unwrap());
                let mut player = Player::new(prompt, to, false);
                let mut pcm = vec![0; to as usize];
                assert!(player.fill(&mut pcm));
                let middle = &pcm[to as usize / 4..to as usize / 2];
                assert!((detect(middle, to, 1000.0) + 20.0).abs() < 0.3, "{from} to {to}");
                assert!(to == 8_000 || detect(middle, to, 7000.0) < -70.0, "{from} to {to}: image");
                assert!(!player.fill(&mut pcm[..160]));
            }
        }
    }

    #[test]
    fn another_rate_in_the_middle_begins_nothing_anew() {
        let rising: Vec<i16> = (0..8_000).collect();
        let mut player = Player::new(Arc::new(Prompt::from_pcm(8_000, rising).unwrap()), 8_000, false);
        let mut frame = vec![0; 4_000];
        assert!(player.fill(&mut frame));
        player.set_rate(16_000);
        let mut frame = vec![0; 320];
        assert!(player.fill(&mut frame));
        assert!((frame[0] - 4_000).abs() <= 1 && (frame[200] - 4_100).abs() <= 1, "{} {}", frame[0], frame[200]);
        player.set_rate(8_000);
        let mut rest = vec![0; 3_840];
        assert!(player.fill(&mut rest));
        assert!((rest[0] - 4_160).abs() <= 1 && !player.fill(&mut frame), "{}", rest[0]);
    }

    #[test]
    fn what_a_lower_rate_cannot_carry_is_filtered_out() {
        let prompt = Arc::new(Prompt::from_pcm(48_000, Tone::new(7000.0, 48_000, -10.0).take(48_000)).unwrap());
        let mut pcm = vec![0; 4000];
        assert!(Player::new(prompt, 8_000, false).fill(&mut pcm));
        assert!(detect(&pcm[400..], 8_000, 1000.0) < -60.0);
    }

    #[test]
    fn ends_with_silence_and_loops_without_a_seam() {
        let prompt = Arc::new(Prompt::from_pcm(8_000, vec![7; 100]).unwrap());
        let mut frame = [1; 160];
        let mut player = Player::new(prompt, 8_000, false);
        assert!(player.fill(&mut frame));
        assert_eq!((frame[99], frame[100]), (7, 0));
        assert!(!player.fill(&mut frame));

        // 440 Hz fit 100 ms a whole number of times.
        let prompt = Arc::new(Prompt::from_pcm(8_000, Tone::new(440.0, 8_000, -20.0).take(800)).unwrap());
        for rate in [8_000u32, 16_000, 48_000] {
            let mut player = Player::new(prompt.clone(), rate, true);
            let mut pcm = vec![0; rate as usize];
            (0..50).for_each(|n| assert!(player.fill(&mut pcm[n * rate as usize / 50..(n + 1) * rate as usize / 50])));
            let step = pcm.windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max().unwrap();
            let steepest = 32_768.0 * 0.1 * 2f64.sqrt() * std::f64::consts::TAU * 440.0 / f64::from(rate);
            assert!(f64::from(step) < steepest * 1.05 + 2.0, "{rate}: {step}");
        }
    }

    proptest! {
        #[test]
        fn no_file_panics(mut bytes in Just(wav(8_000, 2, 16, &[1, 2, 3, 4])), at in 0usize..44, to in any::<u8>(), cut in 0usize..60) {
            bytes[at] = to;
            bytes.truncate(cut);
            let _ = Prompt::from_wav(&bytes);
        }
    }
}
