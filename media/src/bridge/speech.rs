//! The speaker's side of a transcoding flow: packets in as they come, PCM out as the playout clock wants it.

use std::time::{Duration, Instant};

use super::Packet;
use crate::audio::Codec;
use crate::audio::codec::Decoder;
use crate::audio::jitter_buffer::{JitterBuffer, JitterBufferStats, Pace, Playout};
use crate::audio::timescale;

/// Longest delay the jitter buffer may add.
pub(crate) const MAX_DELAY: Duration = Duration::from_millis(200);

/// Packet times played for one frame at most; a stream of empty packets must not hold the clock.
const MAX_PULLS: usize = 16;

/// Jitter buffer and decoders of one speaker.
pub(crate) struct Speech {
    /// PCM rate, Hz.
    rate: u32,
    codec: Option<Codec>,
    /// Made when there is something to decode: relayed calls have none.
    buffer: Option<(Codec, Box<JitterBuffer>)>,
    /// What still waits of a codec the speaker has left; it is played out first, while the other buffer fills.
    leaving: Option<(Codec, Box<JitterBuffer>)>,
    /// Made when first needed, one a codec; kept, so that a speaker who switches to and fro costs no allocation.
    decoders: Vec<(Codec, Decoder)>,
    /// The payload being played: the buffer's own answer cannot be held while it is asked how long it lasts.
    payload: Vec<u8>,
    decoded: Vec<i16>,
    /// Decoded and not yet played.
    waiting: Vec<i16>,
    concealed: u64,
    /// What buffers before this one counted.
    earlier: JitterBufferStats,
}

impl Speech {
    pub(crate) fn new(rate: u32) -> Self {
        Self {
            rate,
            codec: None,
            buffer: None,
            leaving: None,
            decoders: Vec::new(),
            payload: Vec::new(),
            decoded: Vec::new(),
            waiting: Vec::new(),
            concealed: 0,
            earlier: JitterBufferStats::default(),
        }
    }

    /// PCM at another rate from now on: everything starts anew.
    pub(crate) fn set_rate(&mut self, rate: u32) {
        if rate != self.rate {
            self.retire_buffer();
            let concealed = self.concealed_ms() * u64::from(rate) / 1000;
            *self = Self { concealed, earlier: self.earlier, ..Self::new(rate) };
        }
    }

    /// Forgets what waits.
    pub(crate) fn reset(&mut self) {
        if let Some((_, buffer)) = &mut self.buffer {
            buffer.reset();
        }
        self.retire_leaving();
        self.waiting.clear();
    }

    /// Takes a packet.
    pub(crate) fn push(&mut self, now: Instant, packet: &Packet<'_>) {
        let codec = packet.codec;
        if self.codec != Some(codec) {
            self.codec = Some(codec);
            self.leave();
        } else if packet.restarted {
            self.reset();
        }
        let payload = packet.rtp.payload;
        let Some(samples) = codec.samples_in(payload) else { return };
        if self.buffer.as_ref().is_none_or(|(of, _)| *of != codec) {
            self.buffer = Some((codec, Box::new(JitterBuffer::for_codec(codec, MAX_DELAY))));
        }
        if let Some((_, buffer)) = &mut self.buffer {
            buffer.push(now, packet.sequence, packet.rtp.timestamp, packet.rtp.marker, samples, payload);
            for (sequence, earlier) in packet.earlier() {
                let samples = codec.samples_in(earlier.payload).unwrap_or_default();
                buffer.recover(sequence, earlier.timestamp, samples, earlier.payload);
            }
        }
    }

    /// This number of the speaker's sequence carries no audio.
    pub(crate) fn skip(&mut self, sequence: u64) {
        if let Some((_, buffer)) = &mut self.buffer {
            buffer.skip(sequence);
        }
    }

    /// Fills a frame with what is due; `false` if all of it is silence for want of anything.
    pub(crate) fn pull(&mut self, now: Instant, frame: &mut [i16]) -> bool {
        let mut heard = !self.waiting.is_empty();
        for _ in 0..MAX_PULLS {
            if self.waiting.len() >= frame.len() {
                break;
            }
            match self.play(now) {
                Some(audible) => heard |= audible,
                None => break,
            }
        }
        let ready = self.waiting.len().min(frame.len());
        frame.fill(0);
        for (to, from) in frame.iter_mut().zip(self.waiting.drain(..ready)) {
            *to = from;
        }
        heard
    }

    /// Plays what is due next: a packet, what is made up for it (`true`), or silence (`false`). `None` if nobody
    /// speaks.
    fn play(&mut self, now: Instant) -> Option<bool> {
        if self.leaving.as_ref().is_some_and(|(_, buffer)| buffer.stats().buffered == 0) {
            self.retire_leaving();
        }
        let (codec, buffer) = self.leaving.as_mut().or(self.buffer.as_mut()).map(|(codec, buffer)| (*codec, buffer))?;
        let decoder = decoder_of(&mut self.decoders, codec, self.rate)?;
        let ticks_per_second = codec.clock_rate();
        let samples =
            |ticks: u32| usize::try_from(u64::from(ticks) * u64::from(self.rate) / u64::from(ticks_per_second));
        let mut pace = Pace::AsIs;
        let lost_next = match buffer.pull(now) {
            Playout::Silence => {
                let rest = samples(buffer.covers()).unwrap_or_default();
                self.waiting.resize(self.waiting.len() + rest, 0);
                return Some(false);
            }
            Playout::Packet { payload, pace: wanted } => {
                self.payload.clear();
                self.payload.extend_from_slice(payload);
                pace = wanted;
                None
            }
            Playout::Lost { next } => {
                self.payload.clear();
                self.payload.extend_from_slice(next.unwrap_or_default());
                Some(next.is_some())
            }
        };
        let (covers, skipped) = (samples(buffer.covers()).unwrap_or_default(), buffer.skipped());
        if skipped {
            decoder.skip();
        }
        // A payload that does not decode is as good as lost.
        let played = lost_next.is_none() && decoder.decode(&self.payload, &mut self.decoded).is_ok();
        if !played {
            let next = (lost_next == Some(true)).then_some(self.payload.as_slice());
            decoder.conceal(covers, next, &mut self.decoded);
            self.concealed += self.decoded.len() as u64;
        }
        match pace {
            Pace::AsIs => 0,
            Pace::Longer { urgent } => timescale::lengthen(&mut self.decoded, self.rate, urgent),
            Pace::Shorter { urgent } => timescale::shorten(&mut self.decoded, self.rate, urgent),
        };
        self.waiting.extend_from_slice(&self.decoded);
        Some(true)
    }

    pub(crate) fn concealed_ms(&self) -> u64 {
        self.concealed * 1000 / u64::from(self.rate)
    }

    /// Counters of all buffers so far, and the delay of this one.
    pub(crate) fn stats(&self) -> JitterBufferStats {
        let of = |buffer: &Option<(Codec, Box<JitterBuffer>)>| {
            buffer.as_ref().map(|(_, buffer)| buffer.stats()).unwrap_or_default()
        };
        with(of(&self.buffer), &with(of(&self.leaving), &self.earlier))
    }

    /// Packets of this buffer that came and were of no use.
    pub(crate) fn discarded(&self) -> u64 {
        self.buffer.as_ref().map_or(0, |(_, buffer)| buffer.discarded())
    }

    /// The speaker goes over to another codec. Without a buffer of the one before there is nothing to play out.
    fn leave(&mut self) {
        self.retire_leaving();
        self.leaving = self.buffer.take();
    }

    /// Another buffer follows; what this one counted stays counted.
    fn retire_buffer(&mut self) {
        self.leave();
        self.retire_leaving();
    }

    fn retire_leaving(&mut self) {
        if let Some((_, mut buffer)) = self.leaving.take() {
            buffer.reset();
            self.earlier = with(buffer.stats(), &self.earlier);
        }
    }
}

/// The counters of both, the delay of the first.
pub(super) fn with(now: JitterBufferStats, earlier: &JitterBufferStats) -> JitterBufferStats {
    JitterBufferStats {
        received: now.received + earlier.received,
        played: now.played + earlier.played,
        late: now.late + earlier.late,
        duplicate: now.duplicate + earlier.duplicate,
        overflow: now.overflow + earlier.overflow,
        forgotten: now.forgotten + earlier.forgotten,
        lost: now.lost + earlier.lost,
        buffered: now.buffered,
        stretched: now.stretched + earlier.stretched,
        shortened: now.shortened + earlier.shortened,
        shrunk: now.shrunk + earlier.shrunk,
        target_ms: now.target_ms,
        actual_ms: now.actual_ms,
    }
}

/// The decoder of a codec, made when it is first needed.
pub(super) fn decoder_of(decoders: &mut Vec<(Codec, Decoder)>, codec: Codec, rate: u32) -> Option<&mut Decoder> {
    let at = match decoders.iter().position(|(known, _)| *known == codec) {
        Some(at) => at,
        None => {
            decoders.push((codec, Decoder::new(codec, rate).ok()?));
            decoders.len() - 1
        }
    };
    decoders.get_mut(at).map(|(_, decoder)| decoder)
}
