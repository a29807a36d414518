//! When packets come, and whether their absence is a fault: the pauses of a sender that is silent (discontinuous
//! transmission, comfort noise) are none.

use std::time::{Duration, Instant};

/// A shorter wait is the wobble of a network.
const PAUSE: Duration = Duration::from_millis(200);

/// A silent Opus sender sends a packet every 400 ms (RFC 6716 section 2.1.9): two of them may be missing.
const OPUS_REST: Duration = Duration::from_millis(1000);

/// A sender that is known to pause without a word may be quiet for this long.
const LONG_REST: Duration = Duration::from_secs(10);

/// Of those that end a rest so many may be lost. In time that passed without a rest more would be missing.
const LOST_IN_REST: u64 = 2;

/// Opus payloads of this size carry next to nothing.
const QUIET_OCTETS: usize = 8;

/// What the last packet said about the next.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// The next follows at once.
    #[default]
    None,
    /// A frame of discontinuous transmission.
    Opus,
    /// Comfort noise.
    Noise,
}

/// One packet, as far as its time matters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    /// Extended.
    pub(crate) sequence: u64,
    pub(crate) timestamp: u32,
    pub(crate) clock_rate: u32,
    pub(crate) restarted: bool,
    pub(crate) kind: Kind,
}

/// What is in a packet, as far as silence goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Opus of so many octets.
    Opus(usize),
    /// Comfort noise (RFC 3389).
    Noise,
    /// Digits: no words.
    Digits,
    /// Anything else.
    Other,
}

/// Watches the arrivals of one stream.
#[derive(Debug, Default, Clone)]
pub(crate) struct Arrivals {
    last: Option<(Instant, u64, u32)>,
    rest: Rest,
    /// The sender was seen to pause without having said so.
    pauses: bool,
    /// Longest gap that ended since it was asked for.
    longest: Duration,
}

impl Arrivals {
    /// A packet came.
    pub(crate) fn came(&mut self, now: Instant, arrival: &Arrival) {
        let Arrival { sequence, timestamp, clock_rate, restarted, kind } = *arrival;
        if let Some((at, newest, then)) = self.last {
            let wait = now.saturating_duration_since(at);
            if sequence < newest && !restarted {
                // A latecomer shows that the path lives, and nothing else.
                self.last = Some((now, newest, then));
                return;
            }
            if wait >= PAUSE {
                let moved = crate::rtp::clock_span(u64::from(timestamp.wrapping_sub(then)), clock_rate);
                let missing = sequence.saturating_sub(newest + 1);
                let few = if self.allowed() > Duration::ZERO { LOST_IN_REST } else { 0 };
                let silent = missing <= few && moved + PAUSE / 2 >= wait && moved <= wait * 2;
                if silent {
                    self.pauses |= missing == 0 && self.rest == Rest::None;
                } else if wait > self.allowed() || self.rest != Rest::Opus {
                    self.longest = self.longest.max(wait);
                }
            }
        }
        self.rest = match kind {
            Kind::Opus(octets) if octets <= QUIET_OCTETS => Rest::Opus,
            Kind::Noise => Rest::Noise,
            Kind::Digits => self.rest,
            Kind::Opus(_) | Kind::Other => Rest::None,
        };
        self.last = Some((now, sequence, timestamp));
    }

    /// How long audio has been missing now, or was at the longest since the last call; zero during a rest. `since`:
    /// from when on it is expected.
    pub(crate) fn gap(&mut self, now: Instant, since: Instant) -> Duration {
        let ended = std::mem::take(&mut self.longest).min(now.saturating_duration_since(since));
        let from = self.last.map_or(since, |(at, ..)| at.max(since));
        let waiting = now.saturating_duration_since(from);
        if self.last.is_some() && waiting <= self.allowed() { ended } else { ended.max(waiting) }
    }

    /// A wait that is no fault.
    fn allowed(&self) -> Duration {
        match (self.rest, self.pauses) {
            // It need not be said again before there is something else to say (RFC 3389 section 5).
            (Rest::Noise, _) => Duration::MAX,
            (Rest::None, true) => LONG_REST,
            (Rest::Opus, _) => OPUS_REST,
            (Rest::None, false) => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Line {
        now: Instant,
        start: Instant,
        arrivals: Arrivals,
        sequence: u64,
        timestamp: u32,
    }

    impl Line {
        fn new() -> Self {
            #[allow(clippy::disallowed_methods)] // Where virtual time begins.
            let now = Instant::now();
            Self { now, start: now, arrivals: Arrivals::default(), sequence: 1000, timestamp: 77 }
        }

        /// Waits, then a packet comes: `skipped` numbers and `moved` ms of timestamps after the last.
        fn after(&mut self, ms: u64, skipped: u64, moved: u32, kind: Kind) {
            self.now += Duration::from_millis(ms);
            self.sequence += 1 + skipped;
            self.timestamp = self.timestamp.wrapping_add(moved * 8);
            let (sequence, timestamp) = (self.sequence, self.timestamp);
            let arrival = Arrival { sequence, timestamp, clock_rate: 8000, restarted: false, kind };
            self.arrivals.came(self.now, &arrival);
        }

        fn talk(&mut self) {
            (0..50).for_each(|_| self.after(20, 0, 20, Kind::Other));
        }

        fn gap(&mut self, after_ms: u64) -> u128 {
            self.now += Duration::from_millis(after_ms);
            self.arrivals.gap(self.now, self.start).as_millis()
        }
    }

    #[test]
    fn what_never_came_is_missed_from_when_it_was_expected() {
        let mut line = Line::new();
        assert_eq!(line.gap(1500), 1500);
    }

    #[test]
    fn an_outage_is_a_gap_while_it_lasts_and_once_after() {
        let mut line = Line::new();
        line.talk();
        assert_eq!(line.gap(700), 700);
        line.after(1300, 99, 2000, Kind::Other);
        assert_eq!(line.gap(0), 2000);
        assert_eq!(line.gap(20), 20);
    }

    #[test]
    fn a_delayed_burst_is_a_gap_too() {
        let mut line = Line::new();
        line.talk();
        line.after(900, 0, 20, Kind::Other);
        assert_eq!(line.gap(0), 900);
    }

    #[test]
    fn silence_between_numbers_in_a_row_is_none() {
        let mut line = Line::new();
        line.talk();
        line.after(3000, 0, 3000, Kind::Other);
        assert_eq!(line.gap(0), 0);
        // From then on the sender is known to pause, but not for ever.
        line.talk();
        assert_eq!(line.gap(9000), 0);
        assert_eq!(line.gap(2000), 11_000);
    }

    #[test]
    fn opus_rests_with_a_packet_every_400_ms() {
        let mut line = Line::new();
        line.talk();
        for _ in 0..20 {
            line.after(400, 0, 400, Kind::Opus(1));
            assert_eq!(line.gap(0), 0);
        }
        assert_eq!(line.gap(900), 0, "two of them may get lost");
        assert_eq!(line.gap(1100), 2000);
        line.after(0, 4, 2000, Kind::Opus(1));
        assert_eq!(line.gap(0), 2000);
        line.after(800, 1, 800, Kind::Opus(1));
        assert_eq!(line.gap(0), 0);
    }

    #[test]
    fn comfort_noise_announces_a_rest() {
        let mut line = Line::new();
        line.talk();
        line.after(20, 0, 20, Kind::Noise);
        assert_eq!(line.gap(6000), 0);
        assert_eq!(line.gap(60_000), 0, "for as long as there is nothing to say");
        line.after(0, 0, 66_000, Kind::Digits);
        assert_eq!(line.gap(6000), 0, "digits do not end it");
        // The first words after it get lost like any others.
        line.after(1000, 1, 7000, Kind::Other);
        assert_eq!(line.gap(0), 0);
        // But what is missing for seconds is no rest.
        line.after(20, 0, 20, Kind::Noise);
        line.after(3000, 100, 3000, Kind::Other);
        assert_eq!(line.gap(0), 3000);
    }

    #[test]
    fn a_packet_lost_after_a_pause_is_no_gap() {
        let mut line = Line::new();
        line.talk();
        line.after(3000, 0, 3000, Kind::Other);
        line.talk();
        line.after(2500, 2, 2500, Kind::Other);
        assert_eq!(line.gap(0), 0, "it is known to pause");
        line.talk();
        line.after(2500, 3, 2500, Kind::Other);
        assert_eq!(line.gap(0), 2500);
        // Who is not known to pause has lost all that time.
        let mut line = Line::new();
        line.talk();
        line.after(600, 1, 600, Kind::Other);
        assert_eq!(line.gap(0), 600);
    }
}
