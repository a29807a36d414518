//! What was heard of one direction of a call: levels in frames of 10 ms, who is speaking, and what a second sounded like.

use std::time::{Duration, Instant};

use super::level::{FLOOR_DBOV, dbov, dbov_of_sums};
use super::passage::NOTHING;
use super::probe::{Band, Probe};
use super::voice_activity::VoiceActivity;
use crate::audio::Codec;

/// Frames remembered, for echoes: a second, and the longest delay before it.
pub(super) const REMEMBERED: usize = 256;

/// A frame, milliseconds.
pub(super) const FRAME_MS: u32 = 10;

/// The frames may run ahead of or behind the clock by so many before they are put right.
const SLACK: u32 = 8;

/// A frame this loud is sound, whatever the noise.
const AUDIBLE_DBOV: i8 = -62;

/// Relayed Opus in which sound was heard is not decoded again for this long.
const REST: Duration = Duration::from_secs(60);

/// What an ear has heard.
pub(crate) struct Hearing {
    origin: Instant,
    /// Frames since the origin.
    head: u32,
    frames: [i8; REMEMBERED],
    activity: VoiceActivity,
    second: Second,
    heard: Heard,
    probe: Option<Box<Probe>>,
    /// Until then relayed Opus is not decoded.
    rests_until: Option<Instant>,
}

/// One frame.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Frame {
    /// Mean of the squares of its samples.
    pub(super) power: f32,
    /// Samples looked at.
    pub(super) samples: u16,
    /// Those at full scale.
    pub(super) clipped: u16,
}

/// One second, added up.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Second {
    pub(super) frames: u16,
    energy: f32,
    pub(super) speech_frames: u16,
    speech_energy: f32,
    /// Level of the loudest 40 ms.
    pub(super) peak: Option<i8>,
    /// Samples looked at while somebody spoke, and those at full scale.
    pub(super) speech_samples: u32,
    pub(super) clipped: u32,
    /// Noise between the words.
    pub(super) noise: Option<i8>,
}

/// What was heard since somebody asked to hear something.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Heard {
    /// Frames whose level is known.
    pub(super) frames: u32,
    /// Frames with sound in them.
    pub(super) audible: u32,
    /// The loudest.
    pub(super) loudest: Option<i8>,
    /// Packets of a sender that says it has nothing to say (discontinuous transmission).
    pub(super) quiet_packets: u32,
    /// The codec's own silence is louder than nothing.
    pub(super) companded: bool,
}

impl Hearing {
    /// Frames count from `origin`.
    pub(super) fn new(origin: Instant) -> Self {
        Self {
            origin,
            head: 0,
            frames: [FLOOR_DBOV; REMEMBERED],
            activity: VoiceActivity::default(),
            second: Second::default(),
            heard: Heard::default(),
            probe: None,
            rests_until: None,
        }
    }

    /// Frames of a speaker who uses `codec`; so many of them came first, and when.
    pub(super) fn take(&mut self, (at, together): (Instant, usize), codec: Codec, frames: &[Frame]) {
        self.heard.companded = codec != Codec::Opus;
        self.align(at, together);
        frames.iter().for_each(|frame| self.frame(frame));
    }

    /// A packet whose samples are not to be seen. `relayed`: nobody else decodes it.
    pub(super) fn opaque(&mut self, now: Instant, codec: Codec, sequence: u64, payload: &[u8], relayed: bool) {
        if codec.is_quiet(payload) {
            self.heard.quiet_packets = self.heard.quiet_packets.saturating_add(1);
        }
        let speaking = relayed || self.activity.is_speaking();
        let rests = relayed && self.rests_until.is_some_and(|until| now < until);
        // Only who speaks Opus or G.722 needs one.
        let probe = self.probe.get_or_insert_default();
        let Some(level) = probe.packet(now, (codec, sequence), payload, speaking, rests) else { return };
        if relayed {
            self.heard.note(level);
            if level > NOTHING {
                self.rests_until = Some(now + REST);
            }
        }
    }

    /// Brings the frames to where the clock is; what is missing was silence.
    fn align(&mut self, at: Instant, coming: usize) {
        let ms = at.saturating_duration_since(self.origin).as_millis();
        let index = u32::try_from(ms / u128::from(FRAME_MS)).unwrap_or(u32::MAX);
        let missing = index.saturating_sub(self.head);
        if missing > SLACK + u32::try_from(coming).unwrap_or(0) {
            let skipped = missing.min(REMEMBERED as u32);
            self.head = index.saturating_sub(skipped);
            for _ in 0..skipped {
                self.remember(FLOOR_DBOV);
            }
        } else if self.head > index.saturating_add(SLACK) {
            self.head = index;
        }
    }

    fn remember(&mut self, level: i8) {
        let at = self.head as usize % REMEMBERED;
        if let Some(frame) = self.frames.get_mut(at) {
            *frame = level;
        }
        self.head = self.head.saturating_add(1);
    }

    fn frame(&mut self, frame: &Frame) {
        let level = dbov(frame.power);
        self.remember(level);
        self.heard.note(level);
        let speaking = self.activity.push(level);
        let second = &mut self.second;
        second.frames = second.frames.saturating_add(1);
        second.energy += frame.power;
        if speaking {
            second.speech_frames = second.speech_frames.saturating_add(1);
            second.speech_energy += frame.power;
            second.speech_samples += u32::from(frame.samples);
            second.clipped += u32::from(frame.clipped);
            let peak = self.activity.smooth();
            second.peak = Some(second.peak.map_or(peak, |known| known.max(peak)));
        }
    }

    /// The second that ends now.
    pub(super) fn take_second(&mut self) -> Second {
        Second { noise: self.activity.noise(), ..std::mem::take(&mut self.second) }
    }

    /// What was heard since [`Self::listen_afresh`].
    pub(super) fn heard(&self) -> Heard {
        self.heard
    }

    /// From now on it counts.
    pub(super) fn listen_afresh(&mut self) {
        self.heard = Heard { companded: self.heard.companded, ..Heard::default() };
    }

    /// Somebody waits for a sound.
    pub(super) fn listen_closely(&mut self) {
        self.rests_until = None;
    }

    /// Another stream begins: what was known of the last one does not hold for it.
    pub(super) fn begin_stream(&mut self) {
        self.rests_until = None;
        if let Some(probe) = &mut self.probe {
            probe.ask_again();
        }
    }

    /// How wide the speaker's spectrum is, if that is known.
    pub(super) fn band(&self) -> Option<Band> {
        self.probe.as_ref().and_then(|probe| probe.band())
    }

    /// Frames so far.
    pub(super) fn head(&self) -> u32 {
        self.head
    }

    /// The frames `from..head`, oldest first, into `into`; only [`REMEMBERED`] are.
    pub(super) fn copy_frames(&self, end: u32, into: &mut [i8]) {
        let length = u32::try_from(into.len()).unwrap_or(u32::MAX);
        for (frame, at) in into.iter_mut().zip(end.saturating_sub(length)..) {
            *frame = self.frames.get(at as usize % REMEMBERED).copied().unwrap_or(FLOOR_DBOV);
        }
    }
}

impl Heard {
    fn note(&mut self, level: i8) {
        self.frames = self.frames.saturating_add(1);
        self.audible = self.audible.saturating_add(u32::from(level >= AUDIBLE_DBOV));
        self.loudest = Some(self.loudest.map_or(level, |known| known.max(level)));
    }
}

impl Second {
    /// Level of all of it, dBov; `None` if nothing of it was heard.
    pub(super) fn level(&self) -> Option<i8> {
        (self.frames > 0).then(|| dbov_of_sums(self.energy, self.frames))
    }

    /// Level of the speech in it.
    pub(super) fn speech(&self) -> Option<i8> {
        (self.speech_frames > 0).then(|| dbov_of_sums(self.speech_energy, self.speech_frames))
    }
}
