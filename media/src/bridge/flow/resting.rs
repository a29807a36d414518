//! What a listener gets of a speaker who is silent, where comfort noise is agreed on (RFC 3389): now and then how the line
//! sounds, in place of frames of silence.

use std::time::{Duration, Instant};

use super::{Flow, Packet};
use crate::audio::Codec;
use crate::audio::noise::{ComfortNoise, NOISE};
use crate::bridge::Listener;
use crate::bridge::sounds::Sounded;
use crate::detect::dbov;
use crate::outbox::Outbox;

/// Frames of silence are sent for so long first: a breath between words is no rest, and they open address translators.
const PATIENCE: Duration = Duration::from_millis(200);
/// What was said is said again: it may have been lost, and far ends hang up on who sends nothing.
const AGAIN: Duration = Duration::from_secs(1);
/// Sooner, once it is off by so many dB.
const STEP: u8 = 3;
/// A sender of Opus that is silent sends a frame of noise and an empty one every 400 ms; so many packets in a row that are
/// not empty are words.
const WORDS: u8 = 3;
/// Such a sender is not done while less than this has passed, and what it says of its line is enough for who hears it
/// unchanged.
pub(super) const PAUSE: Duration = Duration::from_secs(1);
/// Louder is no background, and softer no comfort, -dBov.
const BACKGROUND: u8 = 40;
const FAINTEST: u8 = 80;
/// So many make a dB; a line grows louder by two dB a frame at most, and softer by an eighth.
const EIGHTHS: u16 = 8;
const LOUDER: u16 = 2 * EIGHTHS;
const SOFTER: u16 = 1;
/// Softer by so much where packets are all there is to judge by: five a second.
pub(super) const SOFTER_BY_PACKET: u16 = EIGHTHS / 2;

/// What a silent frame is sent as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instead {
    /// As it is.
    Frame,
    /// As comfort noise of this level, -dBov.
    Noise(u8),
    /// The noise goes on.
    Nothing,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Resting {
    /// Since when there is nothing to hear.
    since: Option<Instant>,
    /// When noise was sent last, and of what level.
    said: Option<(Instant, u8)>,
    /// Level of the speaker's line, as far as it is known, in eighths of -dBov.
    eighths: u16,
    /// Packets since the speaker's last empty one.
    words: u8,
    /// The sound of that line.
    noise: ComfortNoise,
}

impl Flow {
    /// Whether comfort noise is what the listener gets of this frame, sent where it is time for that.
    pub(super) fn rests(
        &mut self,
        at: Instant,
        spoken: bool,
        sounded: &Sounded,
        listener: &mut impl Listener,
        out: &mut Outbox,
    ) -> bool {
        let withheld = self.is_muted();
        let said = self.noise.as_ref().filter(|_| !withheld).map(ComfortNoise::level);
        let quiet = match (spoken, sounded.heard) {
            (false, false) => !self.on_arrival || withheld || self.silent || said.is_some() || self.resting.pauses(),
            (true, false) => self.resting.is_background(&self.pcm, SOFTER),
            (_, true) => sounded.noise,
        };
        if !quiet {
            self.resting.ends();
            return false;
        }
        let level = said.unwrap_or_else(|| self.resting.level());
        match self.resting.silence(at, level) {
            Instead::Frame => return false,
            Instead::Noise(level) => listener.noise(at, level, out),
            Instead::Nothing => {}
        }
        true
    }
}

impl Default for Resting {
    fn default() -> Self {
        Self {
            since: None,
            said: None,
            eighths: EIGHTHS * u16::from(NOISE),
            words: WORDS,
            noise: ComfortNoise::at(NOISE),
        }
    }
}

impl Resting {
    /// A packet of the speaker's comes.
    pub(super) fn came(&mut self, packet: &Packet<'_>) {
        let empty = packet.codec == Codec::Opus && Codec::Opus.is_quiet(packet.rtp.payload);
        self.words = if empty { 0 } else { self.words.saturating_add(1) };
    }

    /// Whether the speaker has said that it is silent, by discontinuous transmission, and no words have come since.
    pub(super) fn pauses(&self) -> bool {
        self.words < WORDS
    }

    /// How the line sounds in such a pause, where frames must come all the same; else nothing.
    pub(super) fn hum(&mut self, frame: &mut [i16]) {
        if self.pauses() {
            self.noise.set_level(self.level());
            self.noise.fill(frame);
        }
    }

    /// Whether a decoded frame is no more than the noise of a line whose speaker has fallen silent, and which may have grown
    /// softer by so much.
    pub(super) fn is_background(&mut self, frame: &[i16], softer: u16) -> bool {
        if !self.pauses() {
            return false;
        }
        let energy: f32 = frame.iter().map(|&sample| f32::from(sample) * f32::from(sample)).sum();
        let level = dbov(energy / frame.len().max(1) as f32).unsigned_abs();
        if level < BACKGROUND {
            self.words = WORDS;
            return false;
        }
        // What fades is what a decoder makes up between two frames of noise: the louder ones tell.
        let heard = EIGHTHS * u16::from(level.min(FAINTEST));
        self.eighths = heard.max(self.eighths.saturating_sub(LOUDER)).min(self.eighths + softer);
        true
    }

    /// How the speaker's line sounds while nothing else is known, -dBov.
    pub(super) fn level(&self) -> u8 {
        u8::try_from(self.eighths / EIGHTHS).unwrap_or(NOISE)
    }

    /// What a frame without anything to hear on a line of this level is sent as.
    pub(super) fn silence(&mut self, at: Instant, level: u8) -> Instead {
        let since = *self.since.get_or_insert(at);
        let waited = at.saturating_duration_since(since);
        let due = match self.said {
            None if waited < PATIENCE => return Instead::Frame,
            None => true,
            Some((said, before)) => {
                let age = at.saturating_duration_since(said);
                age >= AGAIN || age >= PATIENCE && level.abs_diff(before) >= STEP
            }
        };
        if !due {
            return Instead::Nothing;
        }
        self.said = Some((at, level));
        Instead::Noise(level)
    }

    /// There is something to hear.
    pub(super) fn ends(&mut self) {
        (self.since, self.said) = (None, None);
    }
}
