//! What a sender keeps of its own stream: SSRC, sequence, timestamp. Nothing is taken over from another leg.

use std::time::{Duration, Instant};

use super::sent::SentMap;
use super::{MAX_DROPOUT, PayloadType, RtpPacket, Ssrc, clock_span, clock_units};

/// A self-paced stream that is later than this was silent; less is the wobble of a busy thread.
const SILENCE: Duration = Duration::from_millis(100);

/// A relayed timestamp may be off the time that passed by this much, else the source began a new timeline.
const TIMELINE_BREAK: Duration = Duration::from_secs(3);

/// One outgoing stream. No sequence number is ever used twice, whatever the relayed source does: SRTP depends on it.
#[derive(Debug)]
#[repr(C)]
pub struct Sender {
    relay: Option<Relay>,
    /// A moment and the timestamp that belongs to it.
    anchor: Option<(Instant, u32)>,
    /// When a self-paced stream's next packet is due.
    due: Option<Instant>,
    ssrc: Ssrc,
    clock_rate: u32,
    /// Timestamp after the last audio sent.
    next_timestamp: u32,
    next_sequence: u16,
    /// Whether that event was sent after the last audio.
    event_is_last: bool,
    /// The last audio was another stream's, sent on as it came.
    relays: bool,
    /// And it was coded anew, so that its end is known.
    follows: bool,
    packets: u64,
    octets: u64,
    sent: SentMap,
    /// The event sent last, by when it began, and its timestamp.
    event: Option<(Instant, u32)>,
    first_sequence: u16,
}

/// How a relayed stream's numbers map to ours.
#[derive(Debug, Clone, Copy)]
struct Relay {
    sequence_offset: u16,
    timestamp_offset: u32,
    /// First source number this offset applies to; older packets come from before something of our own was sent.
    from: u64,
    highest: u64,
    /// Source timestamp of `highest`, and when it came.
    timestamp: u32,
    at: Instant,
}

impl Sender {
    /// A stream with this source and first numbers (random, from the call's seed), on this RTP clock.
    #[must_use]
    pub fn new(ssrc: Ssrc, first_sequence: u16, first_timestamp: u32, clock_rate: u32) -> Self {
        Self {
            ssrc,
            clock_rate: clock_rate.max(1),
            next_sequence: first_sequence,
            next_timestamp: first_timestamp,
            anchor: None,
            due: None,
            relay: None,
            event: None,
            event_is_last: false,
            packets: 0,
            octets: 0,
            first_sequence,
            sent: SentMap::default(),
            relays: false,
            follows: false,
        }
    }

    /// The stream's source.
    #[must_use]
    pub fn ssrc(&self) -> Ssrc {
        self.ssrc
    }

    /// The next audio packet when the stream paces itself (transcoding, prompts): the timestamp moves on by
    /// `samples` (clock units) for each call; after a silence it jumps by the time passed and the marker is set.
    pub fn next<'a>(
        &mut self,
        now: Instant,
        payload_type: PayloadType,
        samples: u32,
        payload: &'a [u8],
    ) -> RtpPacket<'a> {
        let (on_time, at, timestamp) = self.keep_pace(now);
        self.next_timestamp = timestamp.wrapping_add(samples);
        self.due = Some(at + clock_span(u64::from(samples), self.clock_rate));
        let sequence = self.own_sequence();
        self.packet(!on_time, payload_type, sequence, timestamp, payload)
    }

    /// Comfort noise (RFC 3389) in the place of the next packet and of all until the one after it, which begins a talk
    /// spurt: its timestamp is the time's, and it has the marker.
    pub fn noise<'a>(&mut self, now: Instant, payload_type: PayloadType, payload: &'a [u8]) -> RtpPacket<'a> {
        let (_, _, timestamp) = self.keep_pace(now);
        self.next_timestamp = timestamp.wrapping_add(1);
        self.due = None;
        let sequence = self.own_sequence();
        self.packet(false, payload_type, sequence, timestamp, payload)
    }

    /// The next packet when another stream paces it (relay): `source_timestamp` and `source_sequence` (extended) come
    /// from the stream that is relayed; gaps and reordering in them are kept, their origin is not. `restarted` says the
    /// source began anew, so the mapping is taken afresh with time passed accounted for; say it too after packets were
    /// withheld (mute), or the peer counts them as lost.
    #[allow(clippy::too_many_arguments)]
    pub fn relay<'a>(
        &mut self,
        now: Instant,
        payload_type: PayloadType,
        marker: bool,
        source_sequence: u64,
        source_timestamp: u32,
        restarted: bool,
        payload: &'a [u8],
    ) -> RtpPacket<'a> {
        let usable = |map: &Relay| !restarted && source_sequence <= map.highest + u64::from(MAX_DROPOUT);
        let (mut map, fresh) = match self.relay.filter(usable) {
            Some(map) => (self.mend_timeline(map, now, source_sequence, source_timestamp), false),
            None => (self.fresh_relay(now, source_sequence, source_timestamp), true),
        };
        self.due = None;
        self.relays = true;
        self.follows = false;
        let timestamp = source_timestamp.wrapping_add(map.timestamp_offset);
        if source_sequence < map.from {
            // A latecomer from before our own insertion: its number may be taken, so it gets the next one.
            self.relay = Some(map);
            let sequence = self.own_sequence();
            return self.packet(marker, payload_type, sequence, timestamp, payload);
        }
        let sequence = (source_sequence as u16).wrapping_add(map.sequence_offset);
        if fresh || source_sequence > map.highest {
            map.highest = source_sequence;
            map.timestamp = source_timestamp;
            map.at = now;
            self.next_sequence = sequence.wrapping_add(1);
            self.next_timestamp = timestamp;
            self.anchor = Some((now, timestamp));
            self.event_is_last = false;
        }
        self.relay = Some(map);
        self.packet(marker || fresh, payload_type, sequence, timestamp, payload)
    }

    /// The next packet of a stream that another one paces and that is coded anew as it comes: `gap` clock units after the
    /// end of the one before; without, or after anything else, when it is time.
    pub fn follow<'a>(
        &mut self,
        now: Instant,
        payload_type: PayloadType,
        gap: Option<u32>,
        samples: u32,
        payload: &'a [u8],
    ) -> RtpPacket<'a> {
        let gap = gap.filter(|_| self.follows && !self.event_is_last);
        let timestamp = gap.map_or_else(|| self.later_timestamp(now), |gap| self.next_timestamp.wrapping_add(gap));
        self.due = None;
        self.relays = true;
        self.follows = true;
        self.event_is_last = false;
        self.anchor = Some((now, timestamp));
        self.next_timestamp = timestamp.wrapping_add(samples);
        let sequence = self.own_sequence();
        self.packet(gap != Some(0), payload_type, sequence, timestamp, payload)
    }

    /// A packet of a telephone event: timestamp of the event's beginning, next sequence number.
    pub fn event<'a>(
        &mut self,
        now: Instant,
        payload_type: PayloadType,
        marker: bool,
        began: Instant,
        payload: &'a [u8],
    ) -> RtpPacket<'a> {
        let timestamp = match self.event {
            Some((at, timestamp)) if at == began => timestamp,
            // A later segment of the same event follows it without a seam (RFC 4733 section 2.5.1.3).
            Some((at, timestamp)) if began > at && !marker => {
                timestamp.wrapping_add(clock_units(began.saturating_duration_since(at), self.clock_rate) as u32)
            }
            Some(_) | None => self.fresh_timestamp(began.min(now)),
        };
        self.event = Some((began, timestamp));
        self.event_is_last = true;
        self.anchor.get_or_insert((began, timestamp));
        let sequence = self.own_sequence();
        self.packet(marker, payload_type, sequence, timestamp, payload)
    }

    /// RTP timestamp that belongs to `now`, for sender reports.
    #[must_use]
    pub fn timestamp_at(&self, now: Instant) -> u32 {
        let Some((at, timestamp)) = self.anchor else { return self.next_timestamp };
        match now.checked_duration_since(at) {
            Some(after) => timestamp.wrapping_add(clock_units(after, self.clock_rate) as u32),
            None => {
                let before = at.saturating_duration_since(now);
                timestamp.wrapping_sub(clock_units(before, self.clock_rate) as u32)
            }
        }
    }

    /// The codec, and with it the RTP clock, changes: timestamps go on from here at the new rate (RFC 7160 section 4.1).
    pub fn set_clock_rate(&mut self, now: Instant, clock_rate: u32) {
        let clock_rate = clock_rate.max(1);
        if clock_rate == self.clock_rate {
            return;
        }
        if self.anchor.is_some() {
            self.next_timestamp = self.fresh_timestamp(now);
            self.anchor = Some((now, self.next_timestamp));
        }
        self.due = self.due.map(|_| now);
        self.relay = None;
        self.follows = false;
        self.clock_rate = clock_rate;
    }

    /// Packets sent.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Payload octets sent.
    #[must_use]
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// RTP clock of what is sent now, Hz.
    pub(crate) fn clock_rate(&self) -> u32 {
        self.clock_rate
    }

    /// The stream's first sequence number.
    pub(crate) fn first_sequence(&self) -> u16 {
        self.first_sequence
    }

    /// Whether the last audio was another stream's, sent on as it came.
    pub(crate) fn relays(&self) -> bool {
        self.relays
    }

    /// Sequence numbers up to this one that were never sent: what a relayed stream had lost before it came here.
    pub(crate) fn withheld(&self, sequence: u16) -> u64 {
        self.sent.missing_up_to(sequence)
    }

    /// The place in time of a packet of our own pace: whether it follows the one before it, and where it stands.
    fn keep_pace(&mut self, now: Instant) -> (bool, Instant, u32) {
        let on_time = match self.due {
            Some(due) if !self.event_is_last && now.saturating_duration_since(due) <= SILENCE => Some(due),
            Some(_) | None => None,
        };
        let (at, timestamp) = match on_time {
            Some(due) => (due, self.next_timestamp),
            None => (now, self.fresh_timestamp(now)),
        };
        self.event_is_last = false;
        self.relays = false;
        self.follows = false;
        self.anchor = Some((at, timestamp));
        (on_time.is_some(), at, timestamp)
    }

    /// The timestamp of `now`, but never before what was already sent.
    fn fresh_timestamp(&self, now: Instant) -> u32 {
        let by_time = self.timestamp_at(now);
        let ahead = by_time.wrapping_sub(self.next_timestamp).cast_signed();
        if ahead > 0 { by_time } else { self.next_timestamp }
    }

    /// Takes the next sequence number for a packet that does not come from the relayed source.
    fn own_sequence(&mut self) -> u16 {
        let sequence = self.next_sequence;
        self.next_sequence = sequence.wrapping_add(1);
        if let Some(map) = &mut self.relay {
            map.sequence_offset = map.sequence_offset.wrapping_add(1);
            map.from = map.highest + 1;
        }
        sequence
    }

    /// The same, but never one that may have been sent. A whole packet may still be playing: the least step keeps
    /// timestamps distinct.
    fn later_timestamp(&self, now: Instant) -> u32 {
        let timestamp = self.fresh_timestamp(now);
        let is_sent = timestamp == self.next_timestamp && self.anchor.is_some();
        timestamp.wrapping_add(u32::from(is_sent))
    }

    fn fresh_relay(&self, now: Instant, source_sequence: u64, source_timestamp: u32) -> Relay {
        let timestamp = self.later_timestamp(now);
        Relay {
            sequence_offset: self.next_sequence.wrapping_sub(source_sequence as u16),
            timestamp_offset: timestamp.wrapping_sub(source_timestamp),
            from: source_sequence,
            highest: source_sequence,
            timestamp: source_timestamp,
            at: now,
        }
    }

    /// Some senders begin a new timeline without saying so; the peer must not see seconds come or go.
    fn mend_timeline(&self, mut map: Relay, now: Instant, sequence: u64, source_timestamp: u32) -> Relay {
        let moved = i64::from(source_timestamp.wrapping_sub(map.timestamp).cast_signed());
        let passed = clock_units(now.saturating_duration_since(map.at), self.clock_rate).cast_signed();
        let limit = clock_units(TIMELINE_BREAK, self.clock_rate).cast_signed();
        // A timestamp that lags behind the time passed is none: the network, or the sender, paused.
        let broken = moved.saturating_sub(passed) > limit || moved < -limit;
        if sequence > map.highest && broken {
            map.timestamp_offset = self.fresh_timestamp(now).wrapping_sub(source_timestamp);
        }
        map
    }

    fn packet<'a>(
        &mut self,
        marker: bool,
        payload_type: PayloadType,
        sequence: u16,
        timestamp: u32,
        payload: &'a [u8],
    ) -> RtpPacket<'a> {
        self.packets += 1;
        self.octets += payload.len() as u64;
        self.sent.mark(sequence);
        RtpPacket { marker, payload_type, sequence, timestamp, ssrc: self.ssrc, payload }
    }
}

#[cfg(test)]
#[path = "sender_tests.rs"]
mod tests;
