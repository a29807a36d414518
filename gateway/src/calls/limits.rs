//! How many calls an app or a trunk has at once: counted exactly, given back when the permit is dropped. The limit is the
//! one of the moment a place is asked for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use dashmap::DashMap;

/// Live calls by name. Names come from configurations, so there are few.
#[derive(Debug, Default)]
pub(super) struct Slots {
    by_name: DashMap<String, Arc<AtomicU32>>,
}

/// One call's place. Dropping it gives the place back.
#[derive(Debug)]
pub(super) struct Permit {
    live: Arc<AtomicU32>,
}

impl Slots {
    /// Takes one of `max` places; `None`: all are taken.
    pub(super) fn acquire(&self, name: &str, max: u32) -> Option<Permit> {
        let known = self.by_name.get(name).map(|live| Arc::clone(&live));
        let live = known.unwrap_or_else(|| Arc::clone(&self.by_name.entry(name.to_owned()).or_default()));
        let one_more = |live: u32| live.checked_add(1).filter(|&n| n <= max);
        live.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).ok()?;
        Some(Permit { live })
    }

    /// Live calls of each of `names`, and of every other that has some, by name.
    pub(super) fn live<'a>(&self, names: impl Iterator<Item = &'a str>) -> Vec<(String, u32)> {
        let mut all: BTreeMap<String, u32> = names.map(|name| (name.to_owned(), 0)).collect();
        for slot in &self.by_name {
            let live = slot.load(Ordering::Acquire);
            if live > 0 {
                all.insert(slot.key().clone(), live);
            }
        }
        all.into_iter().collect()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.live.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_limit_and_places_come_back() {
        let slots = Slots::default();
        let first = slots.acquire("acme", 2).unwrap();
        let _second = slots.acquire("acme", 2).unwrap();
        assert!(slots.acquire("acme", 2).is_none());
        assert!(slots.acquire("shut", 0).is_none());
        let live = |names: &[&str]| slots.live(names.iter().copied());
        assert_eq!(live(&["shut", "acme"]), [("acme".to_owned(), 2), ("shut".to_owned(), 0)]);
        assert_eq!(live(&[]), [("acme".to_owned(), 2)], "of an app that is configured no more");
        drop(first);
        assert!(slots.acquire("acme", 2).is_some());
    }

    #[test]
    fn a_limit_that_changes_counts_from_the_next_call_on() {
        let slots = Slots::default();
        let calls: Vec<_> = (0..3).map(|_| slots.acquire("acme", 3).unwrap()).collect();
        assert!(slots.acquire("acme", 1).is_none());
        let _one_more = slots.acquire("acme", 4).unwrap();
        drop(calls);
        assert!(slots.acquire("acme", 2).is_some());
    }
}
