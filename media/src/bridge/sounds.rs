//! What a listener hears of ours, instead of the speaker or over what he says: prompts, hold audio, ringing, comfort noise.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::audio::noise::{ComfortNoise, NOISE};
use crate::audio::prompt::{Player, Prompt};
use crate::audio::signal::{Region, Signal};

/// The speaker is lowered to this under a prompt that is heard over him: 12 dB.
const LOWERED: f32 = 0.25;
/// He is lowered and raised within this time, which is too slow to click and too fast to wait for.
const FADE: f32 = 0.05;
/// Nothing came for so long: whoever sent early media rings on without it.
const RING_AGAIN: Duration = Duration::from_secs(2);

/// See the module.
#[repr(C)]
pub(super) struct Sounds {
    /// A packet of the speaker's came last.
    speaker: Option<Instant>,
    prompt: Option<Box<Playing>>,
    /// The listener is on hold: what it hears whenever no prompt plays.
    hold: Option<Box<Hold>>,
    ringing: Option<Box<(Region, Signal)>>,
    /// What the speaker's samples are multiplied by.
    gain: f32,
    /// PCM rate, Hz.
    rate: u32,
    noise: ComfortNoise,
}

struct Playing {
    id: u32,
    /// Over the speaker, not instead.
    over: bool,
    player: Player,
}

/// A recording over and over, or comfort noise.
struct Hold(Option<Player>);

/// What became of a frame.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sounded {
    /// Something of ours is in it.
    pub(super) heard: bool,
    /// And it is comfort noise alone.
    pub(super) noise: bool,
    /// The prompt that came to its end.
    pub(super) finished: Option<u32>,
}

impl Sounds {
    pub(super) fn new(rate: u32) -> Self {
        Self { rate, prompt: None, hold: None, ringing: None, speaker: None, gain: 1.0, noise: ComfortNoise::at(NOISE) }
    }

    /// PCM at another rate from now on; nothing begins anew.
    pub(super) fn set_rate(&mut self, rate: u32) {
        self.rate = rate;
        if let Some(playing) = &mut self.prompt {
            playing.player.set_rate(rate);
        }
        if let Some(Hold(Some(player))) = self.hold.as_deref_mut() {
            player.set_rate(rate);
        }
        if let Some((region, signal)) = self.ringing.as_deref_mut() {
            signal.go_on_as(Signal::ringback(*region, rate));
        }
    }

    pub(super) fn play(&mut self, id: u32, prompt: Arc<Prompt>, looped: bool, over: bool) {
        let player = Player::new(prompt, self.rate, looped);
        self.prompt = Some(Box::new(Playing { id, over, player }));
    }

    /// The prompt that plays.
    pub(super) fn playing(&self) -> Option<u32> {
        self.prompt.as_ref().map(|playing| playing.id)
    }

    /// No more of the prompt; whether one played.
    pub(super) fn stop(&mut self) -> bool {
        self.prompt.take().is_some()
    }

    pub(super) fn hold(&mut self, audio: Option<Arc<Prompt>>) {
        let audio = audio.map(|prompt| Player::new(prompt, self.rate, true));
        self.hold = Some(Box::new(Hold(audio)));
    }

    /// Whether it was on hold.
    pub(super) fn unhold(&mut self) -> bool {
        self.hold.take().is_some()
    }

    /// Ringing that goes on keeps its pace.
    pub(super) fn set_ringing(&mut self, region: Option<Region>) {
        if self.ringing.as_ref().map(|ringing| ringing.0) == region {
            return;
        }
        self.ringing = region.map(|region| Box::new((region, Signal::ringback(region, self.rate))));
    }

    /// A packet of the speaker's came.
    pub(super) fn speaker_came(&mut self, now: Instant) {
        self.speaker = Some(now);
    }

    /// The speaker is another one; nothing rings there yet.
    pub(super) fn forget_speaker(&mut self) {
        (self.speaker, self.ringing) = (None, None);
    }

    /// Whether the speaker is not heard at all.
    pub(super) fn are_instead(&self) -> bool {
        self.hold.is_some() || self.prompt.as_ref().is_some_and(|playing| !playing.over)
    }

    /// Whether something is mixed with what the speaker says, or he is still being raised after it.
    pub(super) fn are_over(&self) -> bool {
        !self.are_instead() && (self.prompt.is_some() || self.gain < 1.0)
    }

    /// Whether it rings at the speaker's end, heard or not.
    pub(super) fn ring(&self) -> bool {
        self.ringing.is_some()
    }

    /// Whether that is heard, because nothing comes of the speaker's own.
    pub(super) fn ring_at(&self, now: Instant) -> bool {
        let quiet = |at: Instant| now.saturating_duration_since(at) >= RING_AGAIN;
        self.ringing.is_some() && self.speaker.is_none_or(quiet)
    }

    /// Whether there is anything to be heard.
    pub(super) fn are_heard(&self, now: Instant) -> bool {
        self.prompt.is_some() || self.hold.is_some() || self.ring_at(now)
    }

    /// Puts what there is to hear into a frame that has the speaker's words in it, or silence.
    pub(super) fn add(&mut self, now: Instant, frame: &mut [i16]) -> Sounded {
        self.fade(frame);
        if let Some(playing) = &mut self.prompt {
            let more = if playing.over { playing.player.mix(frame) } else { playing.player.fill(frame) };
            if more {
                return Sounded { heard: true, ..Sounded::default() };
            }
            let finished = Some(playing.id);
            self.prompt = None;
            return Sounded { heard: true, noise: false, finished };
        }
        let rings = self.ring_at(now);
        match (self.hold.as_deref_mut(), self.ringing.as_deref_mut()) {
            (Some(Hold(Some(player))), _) => {
                player.fill(frame);
            }
            (Some(Hold(None)), _) => {
                self.hiss(frame);
                return Sounded { heard: true, noise: true, finished: None };
            }
            (None, Some((_, signal))) if rings => signal.fill(frame),
            (None, _) => return Sounded::default(),
        }
        Sounded { heard: true, ..Sounded::default() }
    }

    /// Comfort noise: the line is not dead, there is nothing to be heard on it.
    pub(super) fn hiss(&mut self, frame: &mut [i16]) {
        self.noise.fill(frame);
    }

    fn fade(&mut self, frame: &mut [i16]) {
        let wanted = if self.prompt.as_ref().is_some_and(|playing| playing.over) { LOWERED } else { 1.0 };
        if self.gain >= 1.0 && wanted >= 1.0 {
            return;
        }
        let step = (1.0 - LOWERED) / (FADE * self.rate as f32);
        for sample in frame {
            self.gain =
                if self.gain > wanted { (self.gain - step).max(wanted) } else { (self.gain + step).min(wanted) };
            *sample = (f32::from(*sample) * self.gain) as i16;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::tone::{Tone, detect, level};

    const RATE: u32 = 8_000;

    fn tone(hz: f64, samples: usize) -> Arc<Prompt> {
        Arc::new(Prompt::from_pcm(RATE, Tone::new(hz, RATE, -20.0).take(samples)).unwrap())
    }

    #[allow(clippy::disallowed_methods)] // Where virtual time begins.
    fn now() -> Instant {
        Instant::now() + Duration::from_secs(3600)
    }

    #[test]
    fn the_speaker_is_lowered_under_a_prompt_and_raised_after_it_without_a_step() {
        let (mut sounds, mut speaker) = (Sounds::new(RATE), Tone::new(440.0, RATE, -20.0));
        sounds.play(1, tone(1_000.0, 8_000), false, true);
        let mut heard = Vec::new();
        let mut ended = 0;
        for _ in 0..100 {
            let mut frame = speaker.take(160);
            let sounded = sounds.add(now(), &mut frame);
            ended += usize::from(sounded.finished == Some(1));
            heard.extend_from_slice(&frame);
        }
        let (under, after) = (&heard[1_600..6_400], &heard[9_600..14_400]);
        assert!((detect(under, RATE, 440.0) + 32.0).abs() < 0.5, "lowered by 12 dB");
        assert!((detect(under, RATE, 1_000.0) + 20.0).abs() < 0.5, "the prompt is at its own level");
        assert!((detect(after, RATE, 440.0) + 20.0).abs() < 0.5 && ended == 1 && !sounds.are_over());
        let step = heard.windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max().unwrap();
        let steepest = 32_768.0 * 0.1 * 2f64.sqrt() * std::f64::consts::TAU * (440.0 * 0.25 + 1_000.0) / 8_000.0;
        assert!(f64::from(step) < steepest * 1.2, "{step}");
    }

    #[test]
    fn loud_words_and_a_loud_prompt_do_not_wrap() {
        let mut sounds = Sounds::new(RATE);
        sounds.play(1, Arc::new(Prompt::from_pcm(RATE, vec![i16::MAX; 160]).unwrap()), false, true);
        let mut frame = [i16::MAX; 160];
        sounds.add(now(), &mut frame);
        assert!(frame.iter().all(|&sample| sample == i16::MAX));
    }

    #[test]
    fn it_rings_only_while_nothing_comes() {
        let (mut sounds, start) = (Sounds::new(RATE), now());
        let second = Duration::from_secs(1);
        sounds.set_ringing(Region::find("itu"));
        assert!(sounds.ring_at(start) && sounds.are_heard(start) && !sounds.are_instead());
        sounds.speaker_came(start);
        assert!(!sounds.ring_at(start + second) && sounds.ring_at(start + 2 * second));
        sounds.set_ringing(None);
        assert!(!sounds.are_heard(start + 9 * second));
    }

    #[test]
    fn another_rate_begins_neither_a_prompt_nor_ringing_anew() {
        let mut sounds = Sounds::new(RATE);
        sounds.play(1, tone(1_000.0, 8_000), false, false);
        (0..25).for_each(|_| assert_eq!(sounds.add(now(), &mut [0; 160]).finished, None));
        sounds.set_rate(16_000);
        let rest = (0..).find(|_| sounds.add(now(), &mut [0; 320]).finished.is_some());
        assert_eq!(rest, Some(25), "half of it is left");
        // A second of ringing, of which three quarters are over.
        let mut sounds = Sounds::new(RATE);
        sounds.set_ringing(Region::find("itu"));
        sounds.add(now(), &mut [0; 6_000]);
        sounds.set_rate(16_000);
        let mut frame = [0; 8_000];
        sounds.add(now(), &mut frame);
        assert!(level(&frame[..4_000]) > -30.0 && level(&frame[4_000..]) < -100.0);
    }

    #[test]
    fn comfort_noise_is_soft_and_of_no_tone() {
        let mut sounds = Sounds::new(RATE);
        sounds.hold(None);
        let mut frame = [0; 8_000];
        assert!(sounds.add(now(), &mut frame).heard);
        assert!((level(&frame) + 66.0).abs() < 1.0, "{}", level(&frame));
        for hz in [100.0, 425.0, 1_000.0, 3_000.0] {
            assert!(detect(&frame, RATE, hz) < -90.0, "{hz}");
        }
        assert!(frame.iter().map(|&s| i32::from(s)).sum::<i32>().abs() < 8_000, "it has no bias");
    }
}
