//! Ears: they put packets in order, fill small holes as any phone does, and write down which tone was heard when.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use trunkline_media::audio::Codec;
use trunkline_media::audio::codec::Decoder;
use trunkline_media::audio::tone::dominant;

use super::{FRAME_SAMPLES, RATE};
use crate::world::{BROWSER_TONE, PHONE_TONE};

/// What is judged at once, one packet's worth: long enough to tell the tones of this world apart, and a step in the phase
/// where a hole was filled lies between two windows.
const WINDOW: usize = 160;
/// Quieter is silence, dBov.
const AUDIBLE: f64 = -35.0;
/// A packet is waited for this long before its place is filled.
const PATIENCE: Duration = Duration::from_millis(80);
/// Frames a listener makes up in a row.
const CONCEALED_FRAMES: u64 = 3;

/// A packet as an ear gets it.
#[derive(Debug, Clone, Copy)]
pub struct Sound<'a> {
    /// Its codec.
    pub codec: Codec,
    /// Sequence number.
    pub sequence: u16,
    /// Source.
    pub ssrc: u32,
    /// Payload.
    pub payload: &'a [u8],
}

/// Hears: puts packets in order, fills small holes as any phone does, and writes down which tone was heard when.
#[derive(Default)]
pub struct Ear {
    decoders: Vec<(Codec, Decoder)>,
    ssrc: Option<u32>,
    /// The extended sequence number to be played next.
    next: u64,
    waiting: BTreeMap<u64, (Instant, Codec, Vec<u8>)>,
    pcm: Vec<i16>,
    /// Off, packets are counted and not decoded: saves most of the time of a long scenario.
    pub deaf: bool,
    /// What was played and not yet taken for an echo.
    played: Vec<i16>,
    /// Keep it.
    pub keeps: bool,
    /// When a window ended and the tone in it.
    windows: Vec<(Instant, Option<f64>)>,
    /// Packets that came.
    pub packets: u64,
    /// When the last one came.
    pub last_at: Option<Instant>,
}

impl Ear {
    /// A packet of audio.
    pub fn hear(&mut self, now: Instant, sound: Sound<'_>) {
        self.packets += 1;
        self.last_at = Some(now);
        if self.deaf {
            return;
        }
        if self.ssrc.replace(sound.ssrc) != Some(sound.ssrc) {
            self.waiting.clear();
            self.next = 1 << 32 | u64::from(sound.sequence);
        }
        let ahead = i64::from(sound.sequence.wrapping_sub(self.next as u16) as i16);
        let sequence = self.next.wrapping_add_signed(ahead);
        if sequence < self.next {
            return;
        }
        self.waiting.entry(sequence).or_insert((now, sound.codec, sound.payload.to_vec()));
        while let Some(entry) = self.waiting.first_entry() {
            let gap = *entry.key() - self.next;
            if gap > 0 && now < entry.get().0 + PATIENCE {
                return;
            }
            let (sequence, (_, codec, payload)) = entry.remove_entry();
            self.play(now, gap, codec, &payload);
            self.next = sequence + 1;
        }
    }

    /// The part of the time between two moments in which this tone was heard, 0..1.
    #[must_use]
    pub fn fraction(&self, hz: f64, from: Instant, to: Instant) -> f64 {
        let first = self.windows.partition_point(|(at, _)| *at <= from);
        let heard = self.windows[first..].iter().take_while(|(at, _)| *at <= to);
        let heard = heard.filter(|(_, tone)| tone.is_some_and(|t| (t - hz).abs() < 0.5)).count();
        let span = to.saturating_duration_since(from).as_secs_f64();
        heard as f64 * WINDOW as f64 / f64::from(RATE) / span.max(0.001)
    }

    /// When this tone was last heard.
    #[must_use]
    pub fn last_heard(&self, hz: f64) -> Option<Instant> {
        self.windows.iter().rev().find(|(_, tone)| tone.is_some_and(|t| (t - hz).abs() < 0.5)).map(|(at, _)| *at)
    }

    /// When this tone was heard first after a moment.
    #[must_use]
    pub fn first_heard(&self, hz: f64, after: Instant) -> Option<Instant> {
        let first = self.windows.partition_point(|(at, _)| *at <= after);
        self.windows[first..].iter().find(|(_, tone)| tone.is_some_and(|t| (t - hz).abs() < 0.5)).map(|(at, _)| *at)
    }

    /// What was played since the last call, if it is kept.
    pub fn take_played(&mut self) -> Vec<i16> {
        std::mem::take(&mut self.played)
    }

    fn play(&mut self, now: Instant, gap: u64, codec: Codec, payload: &[u8]) {
        if !self.decoders.iter().any(|(known, _)| *known == codec) {
            self.decoders.push((codec, Decoder::new(codec, RATE).unwrap()));
        }
        let Some((_, decoder)) = self.decoders.iter_mut().find(|(known, _)| *known == codec) else { return };
        let mut frame = Vec::new();
        let made_up = gap.min(CONCEALED_FRAMES);
        for nth in 1..=made_up {
            decoder.conceal(FRAME_SAMPLES, (nth == made_up).then_some(payload), &mut frame);
            self.pcm.extend_from_slice(&frame);
        }
        if decoder.decode(payload, &mut frame).is_ok() {
            self.pcm.extend_from_slice(&frame);
        }
        while self.pcm.len() >= WINDOW {
            if self.keeps {
                self.played.extend_from_slice(&self.pcm[..WINDOW]);
            }
            let tone = dominant(&self.pcm[..WINDOW], RATE, &[BROWSER_TONE, PHONE_TONE], AUDIBLE);
            self.windows.push((now, tone));
            self.pcm.drain(..WINDOW);
        }
    }
}
