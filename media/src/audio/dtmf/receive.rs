//! The receiving side (RFC 4733 section 2.5.2).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{END, SEGMENT};
use crate::api::Digit;
use crate::rtp::clock_span;

/// An event whose packets stop for this long is over: all its end packets were lost.
const LOST_END: Duration = Duration::from_millis(200);

/// Events whose late packets are still known as such.
const REMEMBERED: usize = 8;

/// Collects telephone-event packets and reports each digit once: on its end bit, on the start of the next, or when
/// its packets stop coming (lost end packets).
#[derive(Debug)]
pub struct DtmfReceiver {
    clock_rate: u32,
    current: Option<Current>,
    /// Timestamps (of the last segment) of the digits reported last.
    over: VecDeque<u32>,
    /// Digits that completed together with another one, and since when they wait.
    ready: VecDeque<(Digit, Duration, Instant)>,
}

/// A digit that is held.
#[derive(Debug, Clone, Copy)]
struct Current {
    digit: Digit,
    /// Timestamp of the present segment.
    timestamp: u32,
    /// Clock units of the segments before.
    before: u64,
    /// Clock units of the present segment.
    duration: u16,
    last_packet: Instant,
}

impl DtmfReceiver {
    /// A receiver for events on this RTP clock (Hz).
    #[must_use]
    pub fn new(clock_rate: u32) -> Self {
        Self { clock_rate, current: None, over: VecDeque::new(), ready: VecDeque::new() }
    }

    /// Takes a telephone-event payload; a digit that this packet completes comes back with its duration. Other events
    /// than digits, and payloads too short, are nothing.
    pub fn push(&mut self, now: Instant, timestamp: u32, payload: &[u8]) -> Option<(Digit, Duration)> {
        if let Some(&[event, flags, high, low]) = payload.first_chunk::<4>()
            && let Some(digit) = Digit::from_event(event)
        {
            self.take(now, timestamp, digit, flags & END != 0, u16::from_be_bytes([high, low]));
        }
        self.next_ready()
    }

    /// A digit whose end never came, or that completed together with one already reported.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<(Digit, Duration)> {
        if self.current.is_some_and(|current| current.last_packet + LOST_END <= now) {
            self.finish(now);
        }
        self.next_ready()
    }

    /// When to call [`Self::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let waiting = self.ready.front().map(|&(_, _, since)| since);
        waiting.or_else(|| self.current.map(|current| current.last_packet + LOST_END))
    }

    fn take(&mut self, now: Instant, timestamp: u32, digit: Digit, end: bool, duration: u16) {
        if self.over.contains(&timestamp) {
            return;
        }
        match &mut self.current {
            Some(current) if current.timestamp == timestamp => {
                current.duration = current.duration.max(duration);
                current.last_packet = now;
            }
            Some(current) if current.continues_at(timestamp, digit) => {
                current.before += SEGMENT;
                current.timestamp = timestamp;
                current.duration = duration;
                current.last_packet = now;
            }
            // A packet of an earlier segment or event, overtaken.
            Some(current) if timestamp.wrapping_sub(current.timestamp) > u32::MAX / 2 => return,
            Some(_) | None => {
                // A duration of zero is for states, which digits are not (section 2.3.5).
                if duration == 0 {
                    return;
                }
                self.finish(now);
                self.current = Some(Current { digit, timestamp, before: 0, duration, last_packet: now });
            }
        }
        if end {
            self.finish(now);
        }
    }

    fn finish(&mut self, now: Instant) {
        let Some(current) = self.current.take() else { return };
        if self.over.len() >= REMEMBERED {
            self.over.pop_front();
        }
        self.over.push_back(current.timestamp);
        // overflow: cannot be, each packet adds at most two and takes one, and a timeout follows at once; the oldest
        // digits are kept.
        if self.ready.len() < REMEMBERED {
            let duration = clock_span(current.before + u64::from(current.duration), self.clock_rate);
            self.ready.push_back((current.digit, duration, now));
        }
    }

    fn next_ready(&mut self) -> Option<(Digit, Duration)> {
        self.ready.pop_front().map(|(digit, duration, _)| (digit, duration))
    }
}

impl Current {
    /// Whether a packet with this timestamp reports the next segment of this digit (section 2.5.1.3).
    fn continues_at(&self, timestamp: u32, digit: Digit) -> bool {
        digit == self.digit && timestamp.wrapping_sub(self.timestamp) == SEGMENT as u32
    }
}
