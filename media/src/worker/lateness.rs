//! How late deadlines are met: a thread that cannot keep up shows it here first.

use std::time::Duration;

/// Bounds of the buckets, milliseconds; the last bucket is above all of them.
pub const LATENESS_MS: [u64; 8] = [1, 2, 5, 10, 20, 50, 100, 500];

/// A thread that is not short of time meets its deadlines within this.
const TARDY_MS: u64 = 5;

/// A histogram of how late deadlines were met.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lateness {
    /// Deadlines in each bucket, not cumulative.
    pub counts: [u64; LATENESS_MS.len() + 1],
    /// All of them together, microseconds.
    pub sum_us: u64,
}

impl Lateness {
    pub(super) fn note(&mut self, late: Duration) {
        let bucket = LATENESS_MS.iter().take_while(|bound| late > Duration::from_millis(**bound)).count();
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.sum_us = self.sum_us.saturating_add(u64::try_from(late.as_micros()).unwrap_or(u64::MAX));
    }

    /// How many deadlines there were, and how many of them were met later than packets may wait in any case.
    pub(super) fn late(&self) -> (u64, u64) {
        let late = LATENESS_MS.iter().chain(&[u64::MAX]).zip(&self.counts).filter(|(bound, _)| **bound > TARDY_MS);
        (self.counts.iter().sum(), late.map(|(_, count)| count).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_deadline_falls_into_the_bucket_of_its_lateness() {
        let mut lateness = Lateness::default();
        for us in [0, 1_000, 1_001, 20_000, 60_000, 3_600_000_000] {
            lateness.note(Duration::from_micros(us));
        }
        assert_eq!(lateness.counts, [2, 1, 0, 0, 1, 0, 1, 0, 1]);
        assert_eq!(lateness.sum_us, 3_600_082_001);
        assert_eq!(lateness.late(), (6, 3));
    }
}
