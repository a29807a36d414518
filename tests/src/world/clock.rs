//! Virtual time.

use std::time::{Duration, Instant};

/// The world's clock. It starts an hour ahead of the real one: a core that reads a clock of its own falls an hour behind,
/// and no test with a deadline in it passes.
#[derive(Debug, Clone, Copy)]
pub struct SimClock {
    start: Instant,
    now: Instant,
}

impl Default for SimClock {
    fn default() -> Self {
        let start = Instant::now() + Duration::from_secs(3600);
        Self { start, now: start }
    }
}

impl SimClock {
    /// The time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Since the world began.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.now.saturating_duration_since(self.start)
    }

    /// Moves on; never back.
    pub fn advance_to(&mut self, to: Instant) {
        self.now = self.now.max(to);
    }
}
