//! Whether an integration is told anything at all.

/// Deliveries in a row that fail before nothing is sent any more.
pub const FAILURES_MAX: u32 = 20;

/// Counts deliveries that failed for good (after their last attempt, or refused), not attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Breaker {
    failures: u32,
    paused: bool,
}

impl Breaker {
    /// As it was.
    #[must_use]
    pub fn restored(failures: u32, paused: bool) -> Self {
        Self { failures, paused }
    }

    /// Nothing is sent.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Deliveries in a row that failed.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// One came through. What was under way when the pause began ends no pause: that is for people to do.
    pub fn delivered(&mut self) {
        if !self.paused {
            self.failures = 0;
        }
    }

    /// One failed for good; whether the pause begins with it.
    pub fn failed(&mut self) -> bool {
        if self.paused {
            return false;
        }
        self.failures = self.failures.saturating_add(1);
        self.paused = self.failures >= FAILURES_MAX;
        self.paused
    }

    /// Somebody has mended the receiver.
    pub fn reactivate(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nineteen_failures_and_a_success_are_forgotten() {
        let mut breaker = Breaker::default();
        assert!((0..19).all(|_| !breaker.failed()));
        breaker.delivered();
        assert_eq!((breaker.failures(), breaker.is_paused()), (0, false));
        assert!((0..19).all(|_| !breaker.failed()));
        assert!(breaker.failed(), "the twentieth in a row");
        assert!(breaker.is_paused());
    }

    #[test]
    fn a_pause_begins_once_and_ends_by_hand_alone() {
        let mut breaker = Breaker::restored(19, false);
        assert!(breaker.failed());
        assert!(!breaker.failed());
        breaker.delivered();
        assert_eq!((breaker.failures(), breaker.is_paused()), (20, true));
        breaker.reactivate();
        assert_eq!(breaker, Breaker::default());
    }
}
