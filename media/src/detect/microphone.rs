//! What is wrong with a microphone, from what its last half minute sounded like second by second.

use super::Issue;
use super::hearing::Second;
use super::level::{level, power};

/// Seconds remembered.
const SECONDS: usize = 24;

/// Frames of speech (10 ms) that make a second count.
const SPOKEN: u8 = 25;

/// Speech needed for a judgement, frames.
const ENOUGH: u16 = 400;

/// Speech this quiet is hard to hear; from there on it no longer is. dBov.
const LOW: f32 = -45.0;
const LOW_OVER: f32 = -42.0;

/// Samples at full scale among those of speech.
const CLIPPING: f32 = 0.004;
const CLIPPING_OVER: f32 = 0.001;

/// Noise that disturbs (dBov), and how far speech must stand above it (dB).
const NOISE: f32 = -50.0;
const NOISE_OVER: f32 = -53.0;
const DISTANCE: f32 = 15.0;
const DISTANCE_OVER: f32 = 18.0;

/// Speech has peaks this far above its mean, dB; what has none is a tone, and its dents are no noise between words.
const PEAKS: i16 = 2;

/// Loudness that changes by so much, so often within the remembered seconds, is no speaker's.
const SWING: i8 = 12;
const SWINGS: u8 = 4;

/// The remembered seconds in which somebody spoke, newest last.
pub(super) struct Microphone {
    seconds: [Summary; SECONDS],
    next: usize,
    state: [bool; 4],
}

#[derive(Debug, Clone, Copy, Default)]
struct Summary {
    /// Frames of speech; 0: nobody spoke.
    speech_frames: u8,
    speech: i8,
    peak: i8,
    /// -128: not known.
    noise: i8,
    /// Share of clipped samples, in 1/10 000, at most 65 535.
    clipped: u16,
}

/// An issue of the microphone's, and the measures that show it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Complaint {
    pub(super) issue: Issue,
    pub(super) present: bool,
    pub(super) confidence: f32,
    /// The measure the issue is about, by name.
    pub(super) measure: (&'static str, f32),
    pub(super) speech_dbov: f32,
    pub(super) noise_dbov: Option<f32>,
}

impl Default for Microphone {
    fn default() -> Self {
        Self { seconds: [Summary::default(); SECONDS], next: 0, state: [false; 4] }
    }
}

impl Microphone {
    /// Another second passed.
    pub(super) fn push(&mut self, second: &Second) {
        let share = second.clipped as f32 / second.speech_samples.max(1) as f32;
        let summary = Summary {
            speech_frames: u8::try_from(second.speech_frames).unwrap_or(u8::MAX),
            speech: second.speech().unwrap_or(-127),
            peak: second.peak.unwrap_or(-127),
            noise: second.noise.filter(|_| !is_steady(second)).unwrap_or(i8::MIN),
            clipped: (share * 10_000.0) as u16,
        };
        // Seconds without a word take the place of none with: what was said before a long silence still counts.
        if summary.speech_frames < SPOKEN {
            return;
        }
        if let Some(place) = self.seconds.get_mut(self.next) {
            *place = summary;
        }
        self.next = (self.next + 1) % SECONDS;
    }

    /// What there is to complain of, or no longer.
    pub(super) fn complaints(&mut self) -> impl Iterator<Item = Complaint> + use<> {
        let judgement = self.judge();
        judgement.into_iter().flatten()
    }

    fn judge(&mut self) -> Option<[Complaint; 4]> {
        // As many of the newest as make enough speech, and all.
        let (mut frames, mut energy, mut clipped, mut noise, mut noises) = (0u16, 0.0, 0.0, 0.0, 0u16);
        for second in self.newest_first() {
            if frames >= ENOUGH {
                break;
            }
            let weight = u16::from(second.speech_frames);
            frames += weight;
            energy += power(f32::from(second.speech)) * f32::from(weight);
            clipped += f32::from(second.clipped) * f32::from(weight) / 10_000.0;
            if second.noise != i8::MIN {
                noise += f32::from(second.noise);
                noises += 1;
            }
        }
        if frames < ENOUGH {
            return None;
        }
        let speech_dbov = level(energy / f32::from(frames));
        let clipped = clipped / f32::from(frames);
        let noise_dbov = (noises > 0).then(|| noise / f32::from(noises));
        let swings = self.swings();
        let noise = noise_dbov.unwrap_or(-127.0);
        // Noise is in what was measured as speech.
        let voice = level((power(speech_dbov) - power(noise)).max(power(noise) / 10.0));
        let distance = voice - noise;
        let complaint = |issue, present, confidence: f32, measure| Complaint {
            issue,
            present,
            confidence: confidence.clamp(0.3, 0.95),
            measure,
            speech_dbov,
            noise_dbov,
        };
        let [low, clips, noisy, unstable] = self.state;
        let low = speech_dbov < if low { LOW_OVER } else { LOW };
        let clips = clipped > if clips { CLIPPING_OVER } else { CLIPPING };
        let noisy =
            if noisy { noise > NOISE_OVER && distance < DISTANCE_OVER } else { noise > NOISE && distance < DISTANCE };
        let unstable = swings >= if unstable { SWINGS / 2 } else { SWINGS };
        self.state = [low, clips, noisy, unstable];
        Some([
            complaint(Issue::MicLow, low, 0.6 + (LOW - speech_dbov) / 20.0, ("speech_dbov", speech_dbov)),
            complaint(Issue::MicClipping, clips, 0.6 + clipped * 10.0, ("clipped_ratio", clipped)),
            complaint(Issue::BackgroundNoise, noisy, 0.6 + (DISTANCE - distance) / 20.0, ("snr_db", distance)),
            complaint(Issue::MicUnstableGain, unstable, 0.4 + f32::from(swings) / 20.0, ("swings", f32::from(swings))),
        ])
    }

    fn newest_first(&self) -> impl Iterator<Item = &Summary> {
        let (newer, older) = self.seconds.split_at_checked(self.next).unwrap_or_default();
        newer.iter().rev().chain(older.iter().rev()).filter(|second| second.speech_frames > 0)
    }

    /// How often the loudness turned after it had moved by [`SWING`].
    fn swings(&self) -> u8 {
        let mut levels = self.newest_first().map(|second| second.peak);
        let Some(first) = levels.next() else { return 0 };
        let (mut extreme, mut rising, mut swings) = (first, None, 0u8);
        for level in levels {
            let moved = i16::from(level) - i16::from(extreme);
            let turned = match rising {
                None => moved.abs() >= i16::from(SWING),
                Some(true) => moved <= -i16::from(SWING),
                Some(false) => moved >= i16::from(SWING),
            };
            if turned {
                swings = swings.saturating_add(1);
                rising = Some(moved > 0);
            }
            if turned || rising == Some(moved > 0) {
                extreme = level;
            }
        }
        swings
    }
}

fn is_steady(second: &Second) -> bool {
    let (Some(peak), Some(speech)) = (second.peak, second.speech()) else { return false };
    i16::from(peak) - i16::from(speech) < PEAKS
}
