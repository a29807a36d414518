//! Who listens at the end of a path: a jitter buffer, a decoder, and a clock.

use std::time::{Duration, Instant};

use anyhow::Result;
use trunkline_media::audio::Codec;
use trunkline_media::audio::codec::Decoder;
use trunkline_media::audio::jitter_buffer::{JitterBuffer, Pace, Playout};
use trunkline_media::audio::timescale::{lengthen, shorten};
use trunkline_media::rtp::RtpPacket;

/// Longest delay of its buffer.
const MAX_DELAY: Duration = Duration::from_millis(200);
/// What it plays at a time.
const TICK: Duration = Duration::from_millis(10);

/// A listener that keeps all it heard.
pub(super) struct Listener {
    codec: Codec,
    rate: u32,
    /// In-band FEC is used.
    fec: bool,
    buffer: JitterBuffer,
    decoder: Decoder,
    /// What the sender's numbers were extended to last.
    highest: Option<u64>,
    next: Instant,
    waiting: Vec<i16>,
    pub(super) heard: Vec<i16>,
}

impl Listener {
    pub(super) fn new(began: Instant, codec: Codec, rate: u32, fec: bool) -> Result<Self> {
        let buffer = if fec {
            JitterBuffer::for_codec(codec, MAX_DELAY)
        } else {
            JitterBuffer::new(codec.clock_rate(), MAX_DELAY)
        };
        let decoder = Decoder::new(codec, rate)?;
        Ok(Self {
            codec,
            rate,
            fec,
            buffer,
            decoder,
            highest: None,
            next: began,
            waiting: Vec::new(),
            heard: Vec::new(),
        })
    }

    /// A datagram came.
    pub(super) fn push(&mut self, now: Instant, datagram: &[u8]) {
        if let Some(packet) = RtpPacket::parse(datagram) {
            self.packet(now, packet.sequence, packet.timestamp, packet.payload);
        }
    }

    /// A packet came.
    pub(super) fn packet(&mut self, now: Instant, sequence: u16, timestamp: u32, payload: &[u8]) {
        let highest = self.highest.unwrap_or(65_536 + u64::from(sequence));
        let step = i64::from(sequence.wrapping_sub(highest as u16).cast_signed());
        let extended = highest.saturating_add_signed(step);
        self.highest = Some(highest.max(extended));
        if let Some(samples) = self.codec.samples_in(payload) {
            self.buffer.push(now, extended, timestamp, false, samples, payload);
        }
    }

    /// A packet came once more, in another that came so many later.
    pub(super) fn recover(&mut self, ago: u64, timestamp: u32, payload: &[u8]) {
        if let (Some(highest), Some(samples)) = (self.highest, self.codec.samples_in(payload)) {
            self.buffer.recover(highest.saturating_sub(ago), timestamp, samples, payload);
        }
    }

    /// Plays what is due.
    pub(super) fn play(&mut self, now: Instant) {
        let samples = self.rate as usize / 100;
        while self.next <= now {
            for _ in 0..8 {
                if self.waiting.len() >= samples {
                    break;
                }
                self.pull();
            }
            self.waiting.resize(self.waiting.len().max(samples), 0);
            self.heard.extend(self.waiting.drain(..samples));
            self.next += TICK;
        }
    }

    fn pull(&mut self) {
        let mut pcm = Vec::new();
        let (mut pace, mut lost) = (Pace::AsIs, None);
        let mut payload = Vec::new();
        match self.buffer.pull(self.next) {
            Playout::Packet { payload: played, pace: wanted } => {
                payload.extend_from_slice(played);
                pace = wanted;
            }
            Playout::Lost { next } => {
                payload.extend_from_slice(next.unwrap_or_default());
                lost = Some(next.is_some());
            }
            Playout::Silence => {
                let rest = self.samples(self.buffer.covers());
                return self.waiting.resize(self.waiting.len() + rest, 0);
            }
        }
        if self.buffer.skipped() {
            self.decoder.skip();
        }
        let played = lost.is_none() && self.decoder.decode(&payload, &mut pcm).is_ok();
        if !played {
            let next = (self.fec && lost == Some(true)).then_some(payload.as_slice());
            self.decoder.conceal(self.samples(self.buffer.covers()), next, &mut pcm);
        }
        match pace {
            Pace::AsIs => 0,
            Pace::Longer { urgent } => lengthen(&mut pcm, self.rate, urgent),
            Pace::Shorter { urgent } => shorten(&mut pcm, self.rate, urgent),
        };
        self.waiting.extend_from_slice(&pcm);
    }

    fn samples(&self, units: u32) -> usize {
        usize::try_from(u64::from(units) * u64::from(self.rate) / u64::from(self.codec.clock_rate())).unwrap_or(0)
    }
}
