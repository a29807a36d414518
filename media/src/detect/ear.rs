//! An ear on one direction of a call.
//!
//! Where audio is transcoded the ear gets the PCM that is there anyway. Of relayed G.711 it looks at every seventh
//! sample: an energy needs no more. Relayed Opus and G.722 are opaque but for the bursts that are decoded to probe them.
//!
//! What passes is in the processor's caches for a moment, what was heard before is not: frames are noted where the
//! packet is, and taken in a few packets at a time.

use std::time::{Duration, Instant};

use super::hearing::{FRAME_MS, Frame, Hearing};
use crate::audio::Codec;

/// Of relayed samples one in so many is looked at; no divisor of a frame, so that no tone hides between.
const STRIDE: usize = 7;

/// From here on a sample counts as clipped: codecs round off what was cut.
const CLIPPED: u16 = 31_000;

/// Frames noted before they are taken in.
const NOTED: usize = 16;

/// What was noted longer ago than this is taken in by itself, so that the time between is not taken for a part of it.
const PAUSE: Duration = Duration::from_millis(80);

/// An ear.
#[repr(C)]
pub(crate) struct Ear {
    /// When the last of them passed, and in what codec.
    last: (Instant, Codec),
    count: usize,
    /// Where in the next frame the stride goes on.
    offset: usize,
    /// When the first of them passed, and how many did with it.
    first: (Instant, usize),
    hearing: Box<Hearing>,
    noted: [Frame; NOTED],
}

impl Ear {
    /// An ear whose frames count from `origin`.
    pub(crate) fn new(origin: Instant) -> Self {
        Self {
            noted: [Frame::default(); NOTED],
            count: 0,
            first: (origin, 0),
            last: (origin, Codec::Pcmu),
            offset: 0,
            hearing: Box::new(Hearing::new(origin)),
        }
    }

    /// PCM as the listener gets it, at `rate` Hz, from a speaker who uses `codec`.
    pub(crate) fn pcm(&mut self, at: Instant, codec: Codec, rate: u32, pcm: &[i16]) {
        let length = usize::try_from(rate * FRAME_MS / 1000).unwrap_or(80).max(1);
        self.note(at, codec, pcm.chunks_exact(length).map(|frame| frame_of(frame.iter().copied())));
    }

    /// A packet of the speaker. `relayed`: nobody decodes it.
    pub(crate) fn packet(&mut self, now: Instant, codec: Codec, sequence: u64, payload: &[u8], relayed: bool) {
        match codec.samples_by_octet() {
            Some(table) if relayed => self.octets(now, codec, table, payload),
            Some(_) => {}
            None => self.hearing.opaque(now, codec, sequence, payload, relayed),
        }
    }

    /// Another stream begins: what was known of the last one does not hold for it.
    pub(crate) fn begin_stream(&mut self) {
        self.hearing.begin_stream();
    }

    /// What was heard up to now.
    pub(crate) fn hearing(&mut self) -> &mut Hearing {
        let noted = self.noted.get(..std::mem::take(&mut self.count)).unwrap_or_default();
        if !noted.is_empty() {
            let (_, codec) = self.last;
            self.hearing.take(self.first, codec, noted);
        }
        &mut self.hearing
    }

    fn octets(&mut self, now: Instant, codec: Codec, table: &[i16; 256], payload: &[u8]) {
        /// G.711 has eight samples a millisecond.
        const FRAME: usize = 80;
        let mut offset = self.offset;
        let frames = payload.chunks_exact(FRAME).map(|octets| {
            let samples = octets.iter().skip(offset).step_by(STRIDE).map(|octet| table.get(usize::from(*octet)));
            offset = (offset + 3) % STRIDE;
            frame_of(samples.map(|sample| sample.copied().unwrap_or_default()))
        });
        self.note(now, codec, frames);
        self.offset = (self.offset + 3 * (payload.len() / FRAME)) % STRIDE;
    }

    fn note(&mut self, now: Instant, codec: Codec, frames: impl ExactSizeIterator<Item = Frame>) {
        let (at, before) = self.last;
        if codec != before || now.saturating_duration_since(at) > PAUSE {
            self.hearing();
        }
        self.last = (now, codec);
        let together = frames.len();
        for frame in frames {
            if self.count == NOTED {
                self.hearing();
            }
            if self.count == 0 {
                self.first = (now, together);
            }
            if let Some(noted) = self.noted.get_mut(self.count) {
                *noted = frame;
                self.count += 1;
            }
        }
    }
}

fn frame_of(samples: impl Iterator<Item = i16>) -> Frame {
    let (mut energy, mut count, mut clipped) = (0u64, 0u16, 0u16);
    for sample in samples {
        let size = sample.unsigned_abs();
        energy += u64::from(size).pow(2);
        clipped += u16::from(size >= CLIPPED);
        count += 1;
    }
    Frame { power: energy as f32 / f32::from(count.max(1)), samples: count, clipped }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Levels of packets that come so many milliseconds after each other, as the ear and as a keen one heard them, which
    /// takes in each at once.
    fn heard(waits: &[u64]) -> [Vec<i8>; 2] {
        #[allow(clippy::disallowed_methods)] // Where virtual time begins.
        let origin = Instant::now();
        let (mut ear, mut keen, mut now) = (Ear::new(origin), Ear::new(origin), origin);
        for (n, wait) in waits.iter().enumerate() {
            now += Duration::from_millis(*wait);
            // Louder and quieter by turns of five.
            let payload = [if n % 10 < 5 { 0x90 } else { 0xd0 }; 160];
            ear.packet(now, Codec::Pcmu, n as u64, &payload, true);
            keen.packet(now, Codec::Pcmu, n as u64, &payload, true);
            keen.hearing();
        }
        [ear, keen].map(|mut ear| {
            let (mut frames, hearing) = (vec![0; 200], ear.hearing());
            hearing.copy_frames(hearing.head(), &mut frames);
            frames
        })
    }

    #[test]
    fn what_is_taken_in_late_is_heard_as_if_at_once() {
        let steady = [20; 83];
        let mut paused = [20; 83];
        (paused[30], paused[57]) = (700, 120);
        let mut lost = [20; 83];
        (lost[11], lost[40]) = (40, 60);
        for waits in [steady, paused, lost] {
            let [ear, keen] = heard(&waits);
            assert_eq!(ear, keen, "{waits:?}");
        }
    }
}
