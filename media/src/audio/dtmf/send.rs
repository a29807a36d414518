//! The sending side (RFC 4733 section 2.5.1).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{END, EventPacket, INTERVAL, PAUSE, SEGMENT};
use crate::api::Digit;
use crate::rtp::{clock_span, clock_units};

/// Digits that may wait.
const QUEUE: usize = 64;
/// The last packet is sent this often (section 2.5.1.4).
const END_PACKETS: u8 = 3;
/// -10 dBm0.
const VOLUME: u8 = 10;
const SHORTEST: Duration = Duration::from_millis(40);
const LONGEST: Duration = Duration::from_secs(6);

/// Plays queued digits as telephone events: a packet every 20 ms, three end packets, a pause between digits.
#[derive(Debug)]
pub struct DtmfSender {
    clock_rate: u32,
    queue: VecDeque<(Digit, Duration)>,
    playing: Option<Playing>,
    /// No digit begins before this.
    not_before: Option<Instant>,
}

/// A digit on its way.
#[derive(Debug)]
struct Playing {
    digit: Digit,
    /// When the digit began; its segments count from here.
    began: Instant,
    /// Clock units the digit lasts in all.
    total: u64,
    /// Clock units reported so far, and those before the present segment.
    reported: u64,
    segment_start: u64,
    first: bool,
    ends_sent: u8,
    next: Instant,
}

impl DtmfSender {
    /// A sender for events on this RTP clock (Hz).
    #[must_use]
    pub fn new(clock_rate: u32) -> Self {
        Self { clock_rate: clock_rate.max(1), queue: VecDeque::new(), playing: None, not_before: None }
    }

    /// Queues digits of this duration each (kept within 40 ms and 6 s); at most 64 wait, the rest is refused (returns
    /// how many were taken).
    pub fn push(&mut self, now: Instant, digits: &[Digit], duration: Duration) -> usize {
        let taken = digits.len().min(QUEUE - self.queue.len());
        let duration = duration.clamp(SHORTEST, LONGEST);
        self.queue.extend(digits.iter().take(taken).map(|&digit| (digit, duration)));
        self.begin(now);
        taken
    }

    /// Whether a digit is being sent (audio gives way).
    #[must_use]
    pub fn is_sending(&self) -> bool {
        self.playing.is_some()
    }

    /// The next packet, if one is due. Call until `None`.
    pub fn poll(&mut self, now: Instant) -> Option<EventPacket> {
        let clock_rate = self.clock_rate;
        let playing = self.playing.as_mut().filter(|playing| playing.next <= now)?;
        let packet = playing.packet(now, clock_rate);
        if playing.ends_sent >= END_PACKETS {
            let ended = playing.began + clock_span(playing.total, clock_rate);
            self.not_before = Some((ended + PAUSE).max(now));
            self.playing = None;
            self.begin(now);
        }
        Some(packet)
    }

    /// When the next packet is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.playing.as_ref().map(|playing| playing.next)
    }

    fn begin(&mut self, now: Instant) {
        if self.playing.is_some() {
            return;
        }
        let Some((digit, duration)) = self.queue.pop_front() else { return };
        let began = self.not_before.map_or(now, |at| at.max(now));
        self.playing = Some(Playing {
            digit,
            began,
            total: clock_units(duration, self.clock_rate),
            reported: 0,
            segment_start: 0,
            first: true,
            ends_sent: 0,
            next: began,
        });
    }
}

impl Playing {
    /// A packet reports the digit up to the end of the 20 ms it stands for.
    fn packet(&mut self, now: Instant, clock_rate: u32) -> EventPacket {
        let step = clock_units(INTERVAL, clock_rate);
        let reach = (self.reported + step).min(self.total);
        let limit = self.segment_start + SEGMENT;
        let segment_start = self.segment_start;
        let (duration, end) = if reach > limit {
            // The segment is full. It is stated once, then the next one follows at once.
            self.segment_start = limit;
            (SEGMENT, false)
        } else {
            self.reported = reach;
            // A busy thread may be late: then the packets after this one shift rather than come in a burst.
            self.next = if now > self.next + 5 * INTERVAL { now } else { self.next } + INTERVAL;
            (reach - segment_start, reach == self.total)
        };
        self.ends_sent += u8::from(end);
        let [high, low] = (duration as u16).to_be_bytes();
        EventPacket {
            marker: std::mem::take(&mut self.first),
            began: self.began + clock_span(segment_start, clock_rate),
            payload: [self.digit.event(), if end { END | VOLUME } else { VOLUME }, high, low],
        }
    }
}
