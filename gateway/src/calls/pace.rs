//! How many calls begin on a trunk in a second.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// The beginnings of the last second, by trunk: no more trunks than had calls begin in it, no more of each than its limit.
#[derive(Debug, Default)]
pub(super) struct Paces {
    begun: HashMap<String, VecDeque<Instant>>,
}

impl Paces {
    /// How long a call has to wait so that no second sees more than `limit` of them begin (0: there is no limit); `None`:
    /// longer than `patience`. Who is told a time has its place, in the order of asking.
    pub(super) fn reserve(&mut self, now: Instant, trunk: &str, limit: u32, patience: Duration) -> Option<Duration> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        if limit == 0 {
            self.begun.remove(trunk);
            return Some(Duration::ZERO);
        }
        if !self.begun.contains_key(trunk) {
            // Whoever is not configured any more is forgotten here, too.
            self.begun.retain(|_, begun| begun.back().is_some_and(|at| *at + SECOND > now));
            self.begun.insert(trunk.to_owned(), VecDeque::new());
        }
        let begun = self.begun.get_mut(trunk)?;
        while begun.len() > limit || begun.front().is_some_and(|at| *at + SECOND <= now) {
            begun.pop_front();
        }
        let at = match begun.front() {
            Some(oldest) if begun.len() >= limit => *oldest + SECOND,
            Some(_) | None => now,
        };
        let wait = at.saturating_duration_since(now);
        if wait > patience {
            return None;
        }
        begun.push_back(at.max(now));
        if begun.len() > limit {
            begun.pop_front();
        }
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_second_sees_more_calls_begin_than_the_limit() {
        let (mut paces, start) = (Paces::default(), Instant::now());
        let mut begun: Vec<Instant> = Vec::new();
        for n in 0..200_u64 {
            let now = start + Duration::from_millis(n * 37);
            if let Some(wait) = paces.reserve(now, "acme", 5, Duration::from_secs(2)) {
                begun.push(now + wait);
            }
        }
        assert!(begun.is_sorted(), "first come, first served");
        for window in begun.windows(6) {
            assert!(window[5] - window[0] >= SECOND, "{window:?}");
        }
        assert!(begun.len() > 35, "and no fewer than may: {}", begun.len());
    }

    #[test]
    fn trunks_where_nothing_begins_any_more_are_forgotten() {
        let (mut paces, start) = (Paces::default(), Instant::now());
        for n in 0..1_000_u64 {
            let now = start + Duration::from_millis(n * 400);
            assert!(paces.reserve(now, &format!("renamed {n}"), 5, Duration::ZERO).is_some());
            assert!(paces.begun.len() <= 3);
        }
    }

    #[test]
    fn who_would_wait_too_long_is_refused_and_keeps_no_place() {
        let (mut paces, now) = (Paces::default(), Instant::now());
        let mut ask = |patience| paces.reserve(now, "acme", 2, Duration::from_millis(patience));
        let answers = [0, 0, 0, 999, 1000, 1000, 1000].map(&mut ask);
        let second = Some(SECOND);
        assert_eq!(answers, [Some(Duration::ZERO), Some(Duration::ZERO), None, None, second, second, None]);
        assert_eq!(paces.reserve(now, "other", 2, Duration::ZERO), Some(Duration::ZERO));
        assert_eq!(paces.reserve(now, "acme", 0, Duration::ZERO), Some(Duration::ZERO), "no limit any more");
    }
}
