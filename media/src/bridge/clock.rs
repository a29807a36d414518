//! The playout clock: when a frame of our own is due, and how far it catches up after a stall.

use std::time::{Duration, Instant};

/// At most this much audio is sent at once after a late wake-up; the rest of the stall is skipped, never sent in a burst.
const CATCH_UP: Duration = Duration::from_millis(60);

/// The clocks of all calls of a worker tick together, every 5 ms: woken for a few frames a processor takes up to half as long
/// again for each as where it codes many in a row. A packet is a whole number of these, and so is a second.
const GRID_NANOS: u32 = 5_000_000;

/// Ticks at a steady pace while it runs.
#[derive(Debug)]
pub(crate) struct Clock {
    /// One of the moments at which clocks tick.
    epoch: Instant,
    next: Option<Instant>,
}

impl Clock {
    /// A clock that does not run; all of the same `epoch` tick together.
    pub(crate) fn new(epoch: Instant) -> Self {
        Self { epoch, next: None }
    }

    /// The next tick is at `at`, or as soon after it as clocks tick, whatever was planned.
    pub(crate) fn set(&mut self, at: Instant) {
        self.next = Some(self.on_grid(at));
    }

    /// The next tick is at `at`, or as soon after it as clocks tick, at the latest.
    pub(crate) fn by(&mut self, at: Instant) {
        let at = self.on_grid(at);
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    pub(crate) fn stop(&mut self) {
        self.next = None;
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// The nominal time of a tick that is due, if one is; the one after it is a `frame` later. After a stall the ticks
    /// that are too old to be worth sending are skipped.
    pub(crate) fn tick(&mut self, now: Instant, frame: Duration) -> Option<Instant> {
        let mut due = self.next.filter(|next| *next <= now)?;
        let behind = now.saturating_duration_since(due);
        let kept = CATCH_UP.saturating_sub(frame);
        if behind > kept + frame {
            due = self.on_grid(now.checked_sub(kept).unwrap_or(now));
        }
        self.next = Some(due + frame);
        Some(due)
    }

    fn on_grid(&self, at: Instant) -> Instant {
        let over = at.saturating_duration_since(self.epoch).subsec_nanos() % GRID_NANOS;
        if over == 0 { at } else { at + Duration::from_nanos(u64::from(GRID_NANOS - over)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Duration = Duration::from_millis(20);

    fn ticks_after(behind_ms: u64) -> (usize, Duration) {
        #[allow(clippy::disallowed_methods)] // Where virtual time begins.
        let now = Instant::now() + Duration::from_secs(3600);
        let mut clock = Clock::new(now - Duration::from_secs(100_000));
        clock.set(now - Duration::from_millis(behind_ms));
        let count = std::iter::from_fn(|| clock.tick(now, FRAME)).count();
        (count, clock.next().unwrap().saturating_duration_since(now))
    }

    #[test]
    fn a_punctual_clock_ticks_once() {
        assert_eq!(ticks_after(0), (1, FRAME));
    }

    #[test]
    fn a_late_clock_keeps_its_phase() {
        assert_eq!(ticks_after(15), (1, Duration::from_millis(5)));
        assert_eq!(ticks_after(45), (3, Duration::from_millis(15)));
    }

    #[test]
    fn clocks_of_one_epoch_tick_together_and_not_before_they_are_asked_to() {
        #[allow(clippy::disallowed_methods)] // Where virtual time begins.
        let epoch = Instant::now();
        let at = |us: u64| epoch + Duration::from_micros(us);
        let mut clock = Clock::new(epoch);
        for (asked, ticks) in [(40_000, 40_000), (20_001, 25_000), (22_000, 25_000), (16_000, 20_000)] {
            clock.by(at(asked));
            assert_eq!(clock.next(), Some(at(ticks)), "{asked}");
        }
        assert_eq!(clock.tick(at(21_300), FRAME), Some(at(20_000)));
        assert_eq!(clock.next(), Some(at(40_000)));
        // After a stall, too.
        assert_eq!(clock.tick(at(3_000_100), FRAME), Some(at(2_965_000)));
        clock.set(at(4_000_001));
        assert_eq!(clock.next(), Some(at(4_005_000)));
    }

    #[test]
    fn a_stalled_clock_sends_no_burst() {
        assert_eq!(ticks_after(3_000), (3, FRAME));
        assert_eq!(ticks_after(86_400_000), (3, FRAME));
    }
}
