//! The jitter buffer: packets in as the network delivers them, out as the listener needs them.

use std::time::{Duration, Instant};

use super::Codec;
use crate::rtp::{MAX_DROPOUT, clock_units};
use delay::DelayEstimator;
use playout::Step;
use store::Store;

mod delay;
mod playout;
mod store;

/// Adaptive jitter buffer for one stream of one codec. Sans-IO; allocates only while it grows to its cap.
///
/// The listener calls [`Self::pull`] whenever it needs more PCM. [`Self::covers`] says for how much time the answer
/// stands: a packet may hold 10 to 120 ms, then the listener plays all of it before it pulls again.
///
/// Every packet pushed ends in exactly one counter: received = played + late + duplicate + overflow +
/// forgotten + buffered.
#[derive(Debug)]
pub struct JitterBuffer {
    clock_rate: u32,
    max: i64,
    hints: Hints,
    /// First arrival; all times count from here in clock units.
    origin: Option<Instant>,
    store: Store,
    delay: DelayEstimator,
    /// Sequence and extended timestamp of the newest packet.
    newest: Option<(u64, i64)>,
    /// Sequence and extended timestamp that are due next.
    next: Option<(u64, i64)>,
    /// What is below was played before the timeline began anew.
    floor: u64,
    /// Bit n: packet `next - 1 - n` was played.
    played: u64,
    /// Silent until the front packet has aged enough.
    waiting: bool,
    /// Clock units of a packet.
    frame: i64,
    dry: Dry,
    adjusted_at: i64,
    too_long_since: Option<i64>,
    too_short_since: Option<i64>,
    loss_score: f32,
    covers: i64,
    skipped: bool,
    stats: JitterBufferStats,
}

/// What is known of the codec.
#[derive(Debug, Clone, Copy)]
struct Hints {
    /// Whether leaving out this payload would go unheard.
    quiet: fn(&[u8]) -> bool,
    /// Lost packets can be taken from the one after: worth a packet's time of delay when packets get lost.
    fec: bool,
}

/// Time made up since the buffer ran dry: was it loss or silence? The next packet tells.
#[derive(Debug, Clone, Copy, Default)]
struct Dry {
    times: u64,
    units: i64,
}

/// What the playout clock gets for one packet time.
#[derive(Debug, PartialEq, Eq)]
pub enum Playout<'a> {
    /// The packet due now.
    Packet {
        /// Its payload.
        payload: &'a [u8],
        /// How long its sound is to last.
        pace: Pace,
    },
    /// The packet due now is missing; `next` is the packet after it if that is here (FEC).
    Lost {
        /// The payload of the packet after the gap.
        next: Option<&'a [u8]>,
    },
    /// Nothing to play: before the first packet, or the sender is silent (DTX, hold).
    Silence,
}

/// How long the sound of a packet is to last, so that there is more delay behind it, or less. What cannot be done is
/// asked for again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// As long as it is.
    AsIs,
    /// A little longer; `urgent`: even if that is heard.
    Longer {
        /// See above.
        urgent: bool,
    },
    /// A little shorter.
    Shorter {
        /// See above.
        urgent: bool,
    },
}

/// What the buffer counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JitterBufferStats {
    /// Packets pushed.
    pub received: u64,
    /// Packets that were played.
    pub played: u64,
    /// Packets that came after their time.
    pub late: u64,
    /// Packets that came twice.
    pub duplicate: u64,
    /// Packets thrown away because the buffer was full or jumped, or to get less delay (see `shrunk`).
    pub overflow: u64,
    /// Packets thrown away because the stream was not to be heard any more: mute, a prompt, a new source.
    pub forgotten: u64,
    /// Packet times that had to be made up because packets were missing or late.
    pub lost: u64,
    /// Packets now waiting.
    pub buffered: u64,
    /// Packets that were to last longer, to gain delay.
    pub stretched: u64,
    /// Packets that were to last shorter, to lose delay.
    pub shortened: u64,
    /// Quiet packets left out to lose delay; counted in `overflow` too.
    pub shrunk: u64,
    /// Delay the buffer aims at now.
    pub target_ms: u32,
    /// Delay it has now.
    pub actual_ms: u32,
}

impl JitterBufferStats {
    /// Packets that came and were of no use to the listener: late, or too many at once; not those left out on purpose.
    #[must_use]
    pub fn discarded(&self) -> u64 {
        self.late + self.overflow.saturating_sub(self.shrunk)
    }
}

/// Longer payloads are no voice.
const MAX_PAYLOAD: usize = 1500;
/// A timestamp that far off is a new timeline.
const TIMELINE_BREAK_SECONDS: i64 = 10;

impl JitterBuffer {
    /// A buffer for a stream with this RTP clock (Hz) that never delays by more than `max` (at least 20 ms).
    #[must_use]
    pub fn new(clock_rate: u32, max: Duration) -> Self {
        let clock_rate = clock_rate.max(1000);
        let max = i64::try_from(clock_units(max, clock_rate)).unwrap_or(i64::MAX);
        let max = max.clamp(i64::from(clock_rate) / 50, i64::from(clock_rate));
        Self {
            clock_rate,
            max,
            hints: Hints { quiet: |_| false, fec: false },
            origin: None,
            store: Store::default(),
            delay: DelayEstimator::new(clock_rate, max),
            newest: None,
            next: None,
            floor: 0,
            played: 0,
            waiting: true,
            frame: i64::from(clock_rate) / 50,
            dry: Dry::default(),
            adjusted_at: 0,
            too_long_since: None,
            too_short_since: None,
            loss_score: 0.0,
            covers: i64::from(clock_rate) / 50,
            skipped: false,
            stats: JitterBufferStats::default(),
        }
    }

    /// The same for a codec: frames left out are quiet ones where possible, and while packets get lost there is delay
    /// enough to use in-band FEC.
    #[must_use]
    pub fn for_codec(codec: Codec, max: Duration) -> Self {
        let hints = match codec {
            Codec::Opus => Hints { quiet: |payload| Codec::Opus.is_quiet(payload), fec: true },
            Codec::G722 => Hints { quiet: |_| false, fec: false },
            Codec::Pcmu => Hints { quiet: |payload| Codec::Pcmu.is_quiet(payload), fec: false },
            Codec::Pcma => Hints { quiet: |payload| Codec::Pcma.is_quiet(payload), fec: false },
        };
        Self { hints, ..Self::new(codec.clock_rate(), max) }
    }

    /// Takes a packet: `sequence` extended, `timestamp` as on the wire (extended inside), `samples` in RTP clock units
    /// ([`Codec::samples_in`]; 0 if unknown). The marker is not needed: a timestamp gap tells a talkspurt as well.
    pub fn push(&mut self, now: Instant, sequence: u64, timestamp: u32, _marker: bool, samples: u32, payload: &[u8]) {
        self.stats.received += 1;
        if payload.len() > MAX_PAYLOAD {
            self.stats.overflow += 1;
            return;
        }
        let arrival = self.units(now);
        let mut extended = self.extend(timestamp);
        if self.is_new_timeline(arrival, sequence, extended) {
            let played_up_to = self.next.map_or(self.floor, |(next, _)| next);
            self.reset();
            self.floor = if sequence >= played_up_to { played_up_to } else { 0 };
            extended = i64::from(timestamp);
        }
        if sequence < self.floor {
            self.stats.late += 1;
            return;
        }
        if let Some((next, _)) = self.next
            && sequence < next
        {
            self.came_late(arrival, next - 1 - sequence, extended);
            return;
        }
        let samples = if samples == 0 { self.frame } else { i64::from(samples).min(i64::from(self.clock_rate) / 4) };
        self.make_room();
        if !self.store.insert(sequence, extended, samples, Some(payload)) {
            self.stats.duplicate += 1;
            return;
        }
        self.delay.arrived(arrival, extended);
        self.frame = samples;
        if self.newest.is_none_or(|(newest, _)| sequence > newest) {
            self.newest = Some((sequence, extended));
        }
    }

    /// Takes a packet that a later one holds once more (RFC 2198): kept if it is missing and its time has not come.
    pub fn recover(&mut self, sequence: u64, timestamp: u32, samples: u32, payload: &[u8]) {
        let due = self.next.is_some_and(|(next, _)| sequence >= next);
        let sound = samples > 0 && payload.len() <= MAX_PAYLOAD && !self.store.is_full();
        let (extended, samples) = (self.extend(timestamp), i64::from(samples));
        if due && sound && self.store.insert(sequence, extended, samples, Some(payload)) {
            self.stats.received += 1;
            // It was lost, and others will be: there must be time to wait for the packets that have them.
            self.note_loss(1);
        }
    }

    /// Says that this number of the stream's sequence carries no audio (a telephone event), so it is no loss.
    pub fn skip(&mut self, sequence: u64) {
        let due = self.next.is_none_or(|(next, _)| sequence >= next);
        let near = self.newest.is_some_and(|(newest, _)| sequence.abs_diff(newest) < u64::from(MAX_DROPOUT));
        if due && near {
            self.make_room();
            self.store.insert(sequence, 0, 0, None);
        }
    }

    /// What to play next; called whenever the listener needs more PCM. [`Self::covers`] says for how long it lasts.
    pub fn pull(&mut self, now: Instant) -> Playout<'_> {
        let now = self.units(now);
        self.skipped = false;
        self.catch_up();
        match self.step(now) {
            Step::Play(pace) => Playout::Packet { payload: self.store.taken(), pace },
            Step::MakeUp { before_front: true } => {
                Playout::Lost { next: self.store.front().and_then(|entry| entry.payload()) }
            }
            Step::MakeUp { before_front: false } => Playout::Lost { next: None },
            Step::Rest => Playout::Silence,
        }
    }

    /// How much time the last [`Self::pull`] stands for, in clock units. A packet holds what it holds; this is for the
    /// rest.
    #[must_use]
    pub fn covers(&self) -> u32 {
        u32::try_from(self.covers).unwrap_or_default()
    }

    /// Whether the last [`Self::pull`] left out packets before the one it gave: tell it to the decoder.
    #[must_use]
    pub fn skipped(&self) -> bool {
        self.skipped
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> JitterBufferStats {
        let target = self.milliseconds(self.target());
        JitterBufferStats { buffered: self.store.audio() as u64, target_ms: target, ..self.stats }
    }

    /// Packets that came and were of no use to the listener: late, or too many at once.
    #[must_use]
    pub fn discarded(&self) -> u64 {
        self.stats.discarded()
    }

    /// Forgets everything buffered: the stream's source changed. What was learnt of the path stays.
    pub fn reset(&mut self) {
        while self.store.front().is_some() {
            self.stats.forgotten += u64::from(self.store.drop_front());
        }
        self.settle_dry(false);
        self.delay.forget_base();
        self.newest = None;
        self.next = None;
        self.floor = 0;
        self.played = 0;
        self.waiting = true;
        self.too_long_since = None;
        self.too_short_since = None;
    }
}

impl JitterBuffer {
    fn came_late(&mut self, arrival: i64, ago: u64, timestamp: i64) {
        let played = u32::try_from(ago).ok().and_then(|ago| self.played.checked_shr(ago)).unwrap_or(0) & 1 != 0;
        if played {
            self.stats.duplicate += 1;
        } else {
            self.stats.late += 1;
            self.delay.arrived(arrival, timestamp);
        }
    }

    fn is_new_timeline(&self, arrival: i64, sequence: u64, timestamp: i64) -> bool {
        let Some((newest, newest_timestamp)) = self.newest else { return false };
        let off = self.delay.delay_at(arrival, timestamp).abs() > TIMELINE_BREAK_SECONDS * i64::from(self.clock_rate);
        // A packet that was overtaken begins nothing, however late it is.
        let breaks = sequence > newest && (off || timestamp < newest_timestamp);
        breaks || sequence.abs_diff(newest) > u64::from(MAX_DROPOUT)
    }

    fn extend(&self, timestamp: u32) -> i64 {
        match self.newest {
            Some((_, newest)) => newest + i64::from(timestamp.wrapping_sub(newest as u32).cast_signed()),
            None => i64::from(timestamp),
        }
    }

    /// Delay to aim at, with room for FEC while packets get lost.
    fn target(&self) -> i64 {
        let room = if self.hints.fec && self.loss_score > 3.0 { self.frame } else { 0 };
        (self.delay.target() + room).min(self.max)
    }

    fn buffered_span(&self) -> i64 {
        let begin = self.store.front().filter(|front| front.payload().is_some()).map(|front| front.timestamp);
        let begin = begin.or(self.next.map(|(_, due)| due));
        match (begin, self.store.end()) {
            (Some(begin), Some(end)) => end - begin,
            (None, _) | (_, None) => 0,
        }
    }

    fn is_over_long(&self) -> bool {
        self.buffered_span() >= self.max
    }

    /// Time made up at once: never more than 20 ms, so that what comes meanwhile is played soon.
    fn short_frame(&self) -> i64 {
        self.frame.min(self.clock(20))
    }

    fn units(&mut self, now: Instant) -> i64 {
        let origin = *self.origin.get_or_insert(now);
        i64::try_from(clock_units(now.saturating_duration_since(origin), self.clock_rate)).unwrap_or(i64::MAX)
    }

    fn clock(&self, ms: i64) -> i64 {
        ms * i64::from(self.clock_rate) / 1000
    }

    fn milliseconds(&self, units: i64) -> u32 {
        u32::try_from(units * 1000 / i64::from(self.clock_rate)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
