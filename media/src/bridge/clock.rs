//! The playout clock: when a frame of our own is due, and how far it catches up after a stall.

use std::time::{Duration, Instant};

/// At most this much audio is sent at once after a late wake-up; the rest of the stall is skipped, never sent in a burst.
const CATCH_UP: Duration = Duration::from_millis(60);

/// Ticks at a steady pace while it runs.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    next: Option<Instant>,
}

impl Clock {
    /// The next tick is at `at`, whatever was planned.
    pub(crate) fn set(&mut self, at: Instant) {
        self.next = Some(at);
    }

    /// The next tick is at `at` at the latest.
    pub(crate) fn by(&mut self, at: Instant) {
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
            due = now.checked_sub(kept).unwrap_or(now);
        }
        self.next = Some(due + frame);
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Duration = Duration::from_millis(20);

    fn ticks_after(behind_ms: u64) -> (usize, Duration) {
        #[allow(clippy::disallowed_methods)] // Where virtual time begins.
        let now = Instant::now() + Duration::from_secs(3600);
        let mut clock = Clock::default();
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
    fn a_stalled_clock_sends_no_burst() {
        assert_eq!(ticks_after(3_000), (3, FRAME));
        assert_eq!(ticks_after(86_400_000), (3, FRAME));
    }
}
