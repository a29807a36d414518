//! Audio that is coded anew as it comes: no jitter buffer and no playout clock, for listeners with a buffer of their own.

use std::time::Instant;

use super::recent::Recent;
use super::resting::SOFTER_BY_PACKET;
use super::window::{Place, Window};
use super::{Flow, Packet, RELAY_IDLE};
use crate::api::ReorderStats;
use crate::audio::Codec;
use crate::audio::codec::Decoder;
use crate::audio::jitter_buffer::JitterBufferStats;
use crate::bridge::speech::{decoder_of, with};
use crate::bridge::{Listener, Output};
use crate::outbox::Outbox;

/// So much missing audio is made up once the packet after it is here. For more the listener has had to help itself.
const MADE_UP_MS: u32 = 100;

/// Timestamps that go further ahead at once, or back, are another timeline.
const TIMELINE_BREAK_SECONDS: u32 = 3;

/// Packets in as they come, PCM out at once.
pub(super) struct Passing {
    /// PCM rate, Hz.
    rate: u32,
    decoders: Vec<(Codec, Decoder)>,
    /// Sequence and timestamp due next.
    next: Option<(u64, u32)>,
    /// What was played, up to the last one.
    played: Recent,
    window: Window,
    decoded: Vec<i16>,
    /// Decoded, and not yet a frame.
    waiting: Vec<i16>,
    concealed: u64,
    stats: JitterBufferStats,
}

/// How the sound of a packet follows what came before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seam {
    /// It does not: time alone says when it is.
    Anew,
    /// After so many samples of nothing.
    After(u32),
}

impl Flow {
    /// Whether what is coded anew waits in a jitter buffer and goes out at a steady pace, or goes on as it comes.
    pub(crate) fn set_on_arrival(&mut self, on_arrival: bool) {
        if on_arrival != self.on_arrival {
            self.on_arrival = on_arrival;
            self.speech.reset();
            self.forget_waiting();
            self.fresh = true;
        }
    }

    /// Codes a packet anew and sends it on, with what was lost before it.
    pub(super) fn pass(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        output: Output,
        listener: &mut impl Listener,
        out: &mut Outbox,
    ) {
        let fresh = std::mem::take(&mut self.fresh) || packet.restarted;
        if fresh {
            while self.release(now, true, output, listener, out) {}
            self.code(now, packet, true, output, listener, out);
            return self.expect_more(now, output);
        }
        // What was lost before this packet and is in it once more.
        let due = self.passing.as_ref().and_then(|passing| passing.next).map(|(next, _)| next);
        for (sequence, rtp) in packet.earlier().filter(|(sequence, _)| due.is_some_and(|due| *sequence >= due)) {
            let earlier = Packet { codec: packet.codec, sequence, restarted: false, red: None, rtp };
            self.take_in(now, &earlier, output, listener, out);
        }
        self.take_in(now, packet, output, listener, out);
        self.expect_more(now, output);
    }

    /// If nothing more comes, the clock takes over: at once in a pause.
    fn expect_more(&mut self, now: Instant, output: Output) {
        if self.resting.pauses() {
            self.clock.by(now + output.frame());
        } else {
            self.clock.set(now + RELAY_IDLE);
        }
    }

    /// When packets have waited for long enough for those before them.
    pub(super) fn waits_until(&self) -> Option<Instant> {
        let passing = self.on_arrival.then_some(self.passing.as_ref()).flatten();
        passing.and_then(|passing| passing.window.until())
    }

    /// What waits has waited for long enough.
    pub(super) fn pass_waiting(&mut self, now: Instant, listener: &mut impl Listener, out: &mut Outbox) {
        let passes = self.on_arrival && !self.is_muted() && !self.sounds.are_instead();
        match self.output.filter(|_| passes) {
            Some(output) => while self.release(now, false, output, listener, out) {},
            None => self.forget_waiting(),
        }
    }

    /// Jitter buffer counters and milliseconds made up.
    pub(crate) fn stats(&self) -> (JitterBufferStats, u64) {
        let (passed, made_up_ms) = self.passing.as_ref().map(|passing| passing.stats()).unwrap_or_default();
        (with(self.speech.stats(), &passed), self.speech.concealed_ms() + made_up_ms)
    }

    /// Packets that came and were of no use; starts anew with another codec. `None` while all are relayed.
    pub(crate) fn discarded(&self) -> Option<u64> {
        let passed = || self.passing.as_ref().map_or(0, |passing| passing.stats().0.late);
        self.transcodes().then(|| self.speech.discarded() + passed())
    }

    /// What became of packets that came out of order, as far as any waited.
    pub(crate) fn reordered(&self) -> ReorderStats {
        self.passing.as_ref().map(|passing| passing.window.stats()).unwrap_or_default()
    }

    /// Nothing of what waits is to be heard any more.
    pub(super) fn forget_waiting(&mut self) {
        if let Some(passing) = &mut self.passing {
            passing.forget_waiting();
        }
    }

    /// Codes a packet, or lets it wait for those before it.
    fn take_in(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        output: Output,
        listener: &mut impl Listener,
        out: &mut Outbox,
    ) {
        let due = self.passing.as_ref().and_then(|passing| passing.next.map(|(next, _)| next));
        let place = match (&mut self.passing, due) {
            (Some(passing), Some(due)) => passing.window.place(now, due, packet),
            (_, None) | (None, _) => Place::Now,
        };
        match place {
            Place::Waits => {}
            Place::Now => self.code(now, packet, false, output, listener, out),
            Place::Last => {
                while self.release(now, true, output, listener, out) {}
                self.code(now, packet, false, output, listener, out);
            }
        }
        while self.release(now, false, output, listener, out) {}
    }

    /// Codes the first packet that waits, if it is its turn, or `all` are to go; whether it did.
    fn release(
        &mut self,
        now: Instant,
        all: bool,
        output: Output,
        listener: &mut impl Listener,
        out: &mut Outbox,
    ) -> bool {
        let Some(passing) = &mut self.passing else { return false };
        let due = passing.next.map_or(0, |(next, _)| next);
        let Some(taken) = passing.window.take(now, due, all) else { return false };
        self.code(now, &taken.packet(), false, output, listener, out);
        if let Some(passing) = &mut self.passing {
            passing.window.reuse(taken);
        }
        true
    }

    fn code(
        &mut self,
        now: Instant,
        packet: &Packet<'_>,
        fresh: bool,
        output: Output,
        listener: &mut impl Listener,
        out: &mut Outbox,
    ) {
        let passing = self.passing.get_or_insert_with(|| Box::new(Passing::new(self.rate)));
        let Some(mut seam) = passing.take(packet, fresh) else { return };
        let (frame, units) = (output.samples(self.rate), output.samples(output.codec.clock_rate()));
        self.pcm.resize(usize::try_from(frame).unwrap_or_default(), 0);
        while passing.next_frame(&mut self.pcm) {
            if let Some(ear) = &mut self.ear {
                ear.pcm(now, packet.codec, self.rate, &self.pcm);
            }
            // In a pause the line goes on at our own pace.
            if self.resting.is_background(&self.pcm, SOFTER_BY_PACKET) || listener.is_busy() {
                self.fresh = true;
                continue;
            }
            self.resting.ends();
            self.started = true;
            let Some(payload) = self.voice.encode(output, self.rate, &self.pcm) else { continue };
            let gap = match std::mem::replace(&mut seam, Seam::After(0)) {
                Seam::Anew => None,
                Seam::After(samples) => Some(convert(samples, self.rate, output.codec.clock_rate())),
            };
            listener.pass(now, gap, units, payload, out);
        }
    }
}

impl Passing {
    fn new(rate: u32) -> Self {
        Self {
            rate,
            decoders: Vec::new(),
            next: None,
            played: Recent::default(),
            window: Window::default(),
            decoded: Vec::new(),
            waiting: Vec::new(),
            concealed: 0,
            stats: JitterBufferStats::default(),
        }
    }

    /// PCM at another rate from now on: everything but the counters starts anew.
    pub(super) fn set_rate(&mut self, rate: u32) {
        let concealed = self.stats().1 * u64::from(rate) / 1000;
        self.forget_waiting();
        let window = std::mem::take(&mut self.window);
        *self = Self { concealed, stats: self.stats, window, ..Self::new(rate) };
    }

    /// Counters, and milliseconds made up.
    pub(super) fn stats(&self) -> (JitterBufferStats, u64) {
        (self.stats, self.concealed * 1000 / u64::from(self.rate))
    }

    fn forget_waiting(&mut self) {
        let forgotten = self.window.clear();
        self.stats.received += forgotten;
        self.stats.forgotten += forgotten;
    }

    /// Decodes a packet, and makes up what is missing before it. `None` if it comes after its time or is no audio.
    fn take(&mut self, packet: &Packet<'_>, fresh: bool) -> Option<Seam> {
        let (codec, payload) = (packet.codec, packet.rtp.payload);
        let samples = codec.samples_in(payload)?;
        self.stats.received += 1;
        let due = self.next.filter(|_| !fresh);
        if let Some(ago) = due.and_then(|(next, _)| next.checked_sub(packet.sequence + 1)) {
            // What a later one had said again (RFC 2198) has been heard.
            let counted = if self.played.is_marked(ago) { &mut self.stats.duplicate } else { &mut self.stats.late };
            *counted += 1;
            return None;
        }
        let decoder = decoder_of(&mut self.decoders, codec, self.rate)?;
        let clock = codec.clock_rate();
        let ahead = due.map(|(next, at)| (packet.sequence - next, packet.rtp.timestamp.wrapping_sub(at)));
        self.played.advance(ahead.map_or(u64::MAX, |(missing, _)| missing + 1));
        self.played.mark();
        self.next = Some((packet.sequence + 1, packet.rtp.timestamp.wrapping_add(samples)));
        let ahead = ahead.filter(|(_, gap)| *gap <= TIMELINE_BREAK_SECONDS * clock);
        let seam = match ahead {
            Some((_, 0)) => Seam::After(0),
            Some((missing, gap)) if missing > 0 && gap <= clock / 1000 * MADE_UP_MS => {
                // In-band FEC holds one packet: the last of those that are missing.
                let by_fec = gap.min(samples);
                for (units, next) in [(gap - by_fec, None), (by_fec, Some(payload))] {
                    let wanted = usize::try_from(convert(units, clock, self.rate)).unwrap_or_default();
                    decoder.conceal(wanted, next, &mut self.decoded);
                    self.waiting.extend_from_slice(&self.decoded);
                    self.concealed += wanted as u64;
                }
                self.stats.lost += missing;
                Seam::After(0)
            }
            Some((_, gap)) => {
                decoder.skip();
                self.waiting.clear();
                Seam::After(convert(gap, clock, self.rate))
            }
            None => {
                self.waiting.clear();
                Seam::Anew
            }
        };
        if decoder.decode(payload, &mut self.decoded).is_err() {
            let wanted = usize::try_from(convert(samples, clock, self.rate)).unwrap_or_default();
            decoder.conceal(wanted, None, &mut self.decoded);
            self.concealed += wanted as u64;
        }
        self.stats.played += 1;
        self.waiting.extend_from_slice(&self.decoded);
        Some(seam)
    }

    /// Takes a frame out, if one is whole.
    fn next_frame(&mut self, frame: &mut [i16]) -> bool {
        let length = frame.len();
        if length == 0 || self.waiting.len() < length {
            return false;
        }
        for (to, from) in frame.iter_mut().zip(self.waiting.drain(..length)) {
            *to = from;
        }
        true
    }
}

/// A length of time in units of another clock.
fn convert(units: u32, from: u32, to: u32) -> u32 {
    u32::try_from(u64::from(units) * u64::from(to) / u64::from(from.max(1))).unwrap_or(u32::MAX)
}
