//! Mouths and ears of the world's people: one sine each, and the patience to say which sine was heard when.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use trunkline_media::audio::Codec;
use trunkline_media::audio::codec::{Decoder, Encoder};
use trunkline_media::audio::tone::{Tone, dominant};

use super::{BROWSER_TONE, PHONE_TONE};

/// Everybody listens and speaks at this rate, Hz.
const RATE: u32 = 8_000;
const FRAME: Duration = Duration::from_millis(20);
const FRAME_SAMPLES: usize = 160;
/// Frames from one packet of sparse silence to the next.
const SPARSE: u32 = 20;
/// What is judged at once, one packet's worth: long enough to tell the tones of this world apart, and a step in the phase
/// where a hole was filled lies between two windows.
const WINDOW: usize = 160;
/// Quieter is silence, dBov.
const AUDIBLE: f64 = -35.0;
/// A packet is waited for this long before its place is filled.
const PATIENCE: Duration = Duration::from_millis(80);
/// Frames a listener makes up in a row.
const CONCEALED_FRAMES: u64 = 3;

/// What a mouth says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// Its tone.
    Tone,
    /// Digital silence, packet by packet (a muted microphone).
    Silence,
    /// Digital silence, one packet in 400 ms (the same with discontinuous transmission).
    Sparse,
    /// Nothing at all: no packets.
    Nothing,
}

/// Speaks in frames of 20 ms.
pub struct Mouth {
    codec: Codec,
    encoder: Encoder,
    tone: Tone,
    says: Says,
    next: Instant,
    timestamp: u32,
    payload: Vec<u8>,
}

impl Mouth {
    /// A mouth that is shut; its clock starts now.
    #[must_use]
    pub fn new(now: Instant, codec: Codec, hz: f64) -> Self {
        let encoder = Encoder::new(codec, RATE).unwrap();
        let tone = Tone::new(hz, RATE, -12.0);
        Self { codec, encoder, tone, says: Says::Nothing, next: now, timestamp: 4_294_900_000, payload: Vec::new() }
    }

    /// The codec it speaks.
    #[must_use]
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Says this from now on.
    pub fn say(&mut self, now: Instant, says: Says) {
        while self.next < now {
            self.skip();
        }
        self.says = says;
    }

    /// RTP timestamp and payload of the next frame, if it is due. `silenced`: the frame's time passes unused.
    pub fn poll(&mut self, now: Instant, silenced: bool) -> Option<(u32, &[u8])> {
        while self.says != Says::Nothing && self.next <= now {
            let timestamp = self.timestamp;
            let pcm = self.tone.take(FRAME_SAMPLES);
            let pcm = if self.says == Says::Tone { pcm } else { vec![0; FRAME_SAMPLES] };
            self.encoder.encode(&pcm, &mut self.payload).unwrap();
            let frames = if self.says == Says::Sparse { SPARSE } else { 1 };
            (0..frames).for_each(|_| self.skip());
            if !silenced {
                return Some((timestamp, &self.payload));
            }
        }
        None
    }

    /// When the next frame is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        (self.says != Says::Nothing).then_some(self.next)
    }

    /// The RTP timestamp of a moment.
    #[must_use]
    pub fn timestamp_at(&self, at: Instant) -> u32 {
        let rate = f64::from(self.codec.clock_rate());
        let units = |span: Duration| (span.as_secs_f64() * rate).round() as u32;
        let behind = units(self.next.saturating_duration_since(at));
        let ahead = units(at.saturating_duration_since(self.next));
        self.timestamp.wrapping_sub(behind).wrapping_add(ahead)
    }

    fn skip(&mut self) {
        self.next += FRAME;
        self.timestamp = self.timestamp.wrapping_add(self.codec.clock_rate() / 50);
    }
}

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
            let tone = dominant(&self.pcm[..WINDOW], RATE, &[BROWSER_TONE, PHONE_TONE], AUDIBLE);
            self.windows.push((now, tone));
            self.pcm.drain(..WINDOW);
        }
    }
}
