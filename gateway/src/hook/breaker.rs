//! A breaker for one URL, as a value that is told the time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// So many failures within so long open it.
const FAILURES: usize = 5;
const WITHIN: Duration = Duration::from_secs(10);
/// While it is open, one try in so long finds out whether it may close.
const PROBE_EVERY: Duration = Duration::from_secs(5);

/// What a breaker says to a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Go on.
    Try,
    /// Go on, once: others wait for what comes of it.
    Probe,
    /// Do not.
    Refused,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Breaker {
    /// The last failures.
    failures: VecDeque<Instant>,
    /// Open, and when the next probe may go.
    next_probe: Option<Instant>,
}

impl Breaker {
    /// Whether a try may be made now.
    pub fn permits(&mut self, now: Instant) -> Permission {
        match self.next_probe {
            None => Permission::Try,
            Some(at) if at <= now => {
                self.next_probe = Some(now + PROBE_EVERY);
                Permission::Probe
            }
            Some(_) => Permission::Refused,
        }
    }

    /// A try was a success: whatever was wrong is over.
    pub fn succeeded(&mut self) {
        if self.next_probe.take().is_some() {
            self.failures.clear();
        }
    }

    /// A try failed.
    pub fn failed(&mut self, now: Instant) {
        self.failures.push_back(now);
        while self.failures.len() > FAILURES
            || self.failures.front().is_some_and(|at| now.saturating_duration_since(*at) > WITHIN)
        {
            self.failures.pop_front();
        }
        if self.failures.len() >= FAILURES && self.next_probe.is_none() {
            self.next_probe = Some(now + PROBE_EVERY);
        }
    }

    /// Whether tries are refused.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.next_probe.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn five_failures_in_ten_seconds_open_it_and_one_probe_in_five_seconds_closes_it() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        for n in 0..4 {
            breaker.failed(start + secs(f64::from(n)));
            assert_eq!(breaker.permits(start + secs(f64::from(n))), Permission::Try);
        }
        breaker.failed(start + secs(9.0));
        assert!(breaker.is_open());
        assert_eq!(breaker.permits(start + secs(13.9)), Permission::Refused);
        assert_eq!(breaker.permits(start + secs(14.0)), Permission::Probe);
        assert_eq!(breaker.permits(start + secs(14.1)), Permission::Refused, "one probe at a time");
        breaker.failed(start + secs(15.0));
        assert_eq!(breaker.permits(start + secs(18.9)), Permission::Refused);
        assert_eq!(breaker.permits(start + secs(19.0)), Permission::Probe);
        breaker.succeeded();
        assert_eq!(breaker.permits(start + secs(19.1)), Permission::Try);
        breaker.failed(start + secs(19.2));
        assert!(!breaker.is_open(), "what was before the success does not count");
    }

    #[test]
    fn failures_far_apart_do_not_open_it() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        for n in 0..100 {
            breaker.failed(start + secs(2.6 * f64::from(n)));
            assert_eq!(breaker.permits(start + secs(2.6 * f64::from(n))), Permission::Try, "{n}");
        }
    }

    #[test]
    fn a_success_in_between_does_not_hide_failures() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        for n in 0..5 {
            breaker.succeeded();
            breaker.failed(start + secs(f64::from(n)));
        }
        assert!(breaker.is_open());
    }
}
