//! An ear on one direction of a call: levels in frames of 10 ms, who is speaking, and what a second sounded like.
//!
//! Where audio is transcoded the ear gets the PCM that is there anyway. Of relayed G.711 it looks at every seventh
//! sample: an energy needs no more. Relayed Opus and G.722 are opaque but for the bursts the
//! [`Probe`] decodes.

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

/// Of relayed samples one in so many is looked at; no divisor of a frame, so that no tone hides between.
const STRIDE: usize = 7;

/// The frames may run ahead of or behind the clock by so many before they are put right.
const SLACK: u32 = 8;

/// From here on a sample counts as clipped: codecs round off what was cut.
const CLIPPED: u16 = 31_000;

/// A frame this loud is sound, whatever the noise.
const AUDIBLE_DBOV: i8 = -62;

/// Relayed Opus in which sound was heard is not decoded again for this long.
const REST: Duration = Duration::from_secs(60);

/// An ear.
pub(crate) struct Ear {
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
    /// Continues from packet to packet.
    offset: usize,
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

impl Ear {
    /// An ear whose frames count from `origin`.
    pub(crate) fn new(origin: Instant) -> Self {
        Self {
            origin,
            head: 0,
            frames: [FLOOR_DBOV; REMEMBERED],
            activity: VoiceActivity::default(),
            second: Second::default(),
            heard: Heard::default(),
            probe: None,
            rests_until: None,
            offset: 0,
        }
    }

    /// PCM as the listener gets it, at `rate` Hz, from a speaker who uses `codec`.
    pub(crate) fn pcm(&mut self, at: Instant, codec: Codec, rate: u32, pcm: &[i16]) {
        self.heard.companded = codec != Codec::Opus;
        let frame = usize::try_from(rate * FRAME_MS / 1000).unwrap_or(80).max(1);
        self.align(at, pcm.len() / frame);
        for frame in pcm.chunks_exact(frame) {
            let (mut energy, mut clipped) = (0u64, 0u32);
            for sample in frame {
                energy += u64::from(sample.unsigned_abs()).pow(2);
                clipped += u32::from(sample.unsigned_abs() >= CLIPPED);
            }
            self.frame(energy, frame.len(), clipped);
        }
    }

    /// A packet of the speaker. `relayed`: nobody decodes it.
    pub(crate) fn packet(&mut self, now: Instant, codec: Codec, sequence: u64, payload: &[u8], relayed: bool) {
        if let Some(table) = codec.samples_by_octet() {
            if relayed {
                self.octets(now, table, payload);
            }
            return;
        }
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

    fn octets(&mut self, now: Instant, table: &[i16; 256], payload: &[u8]) {
        /// G.711 has eight samples a millisecond.
        const FRAME: usize = 80;
        self.heard.companded = true;
        self.align(now, payload.len() / FRAME);
        for frame in payload.chunks_exact(FRAME) {
            let (mut energy, mut clipped, mut samples) = (0u64, 0u32, 0);
            for &octet in frame.iter().skip(self.offset).step_by(STRIDE) {
                let sample = table.get(usize::from(octet)).copied().unwrap_or_default().unsigned_abs();
                energy += u64::from(sample).pow(2);
                clipped += u32::from(sample >= CLIPPED);
                samples += 1;
            }
            self.offset = (self.offset + 3) % STRIDE;
            self.frame(energy, samples, clipped);
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

    fn frame(&mut self, energy: u64, samples: usize, clipped: u32) {
        let level = dbov(energy, samples);
        self.remember(level);
        self.heard.note(level);
        let speaking = self.activity.push(level);
        let mean = energy as f32 / samples.max(1) as f32;
        let second = &mut self.second;
        second.frames = second.frames.saturating_add(1);
        second.energy += mean;
        if speaking {
            second.speech_frames = second.speech_frames.saturating_add(1);
            second.speech_energy += mean;
            second.speech_samples += u32::try_from(samples).unwrap_or(0);
            second.clipped += clipped;
            let peak = self.activity.smooth();
            second.peak = Some(second.peak.map_or(peak, |known| known.max(peak)));
        }
    }

    /// The second that ends now.
    pub(crate) fn take_second(&mut self) -> Second {
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
    pub(crate) fn begin_stream(&mut self) {
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
    pub(crate) fn level(&self) -> Option<i8> {
        (self.frames > 0).then(|| dbov_of_sums(self.energy, self.frames))
    }

    /// Level of the speech in it.
    pub(super) fn speech(&self) -> Option<i8> {
        (self.speech_frames > 0).then(|| dbov_of_sums(self.speech_energy, self.speech_frames))
    }
}
