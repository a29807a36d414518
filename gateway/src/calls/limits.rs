//! How many calls an app or a trunk has at once: counted exactly, given back when the permit is dropped.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Live calls by name, each with its limit.
#[derive(Debug, Default)]
pub(super) struct Slots {
    by_name: HashMap<String, Arc<Slot>>,
}

#[derive(Debug)]
struct Slot {
    live: AtomicU32,
    max: u32,
}

/// One call's place. Dropping it gives the place back.
#[derive(Debug)]
pub(super) struct Permit {
    slot: Arc<Slot>,
}

impl Slots {
    pub(super) fn new(limits: impl IntoIterator<Item = (String, u32)>) -> Self {
        let slot = |max| Arc::new(Slot { live: AtomicU32::new(0), max });
        Self { by_name: limits.into_iter().map(|(name, max)| (name, slot(max))).collect() }
    }

    /// Takes a place; `None`: at the limit, or no such name.
    pub(super) fn acquire(&self, name: &str) -> Option<Permit> {
        let slot = self.by_name.get(name)?;
        let one_more = |live: u32| live.checked_add(1).filter(|&n| n <= slot.max);
        slot.live.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).ok()?;
        Some(Permit { slot: Arc::clone(slot) })
    }

    /// Live calls of each name, by name.
    pub(super) fn live(&self) -> Vec<(String, u32)> {
        let mut live: Vec<_> =
            self.by_name.iter().map(|(name, slot)| (name.clone(), slot.live.load(Ordering::Acquire))).collect();
        live.sort();
        live
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.slot.live.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_limit_and_places_come_back() {
        let slots = Slots::new([("acme".to_owned(), 2), ("shut".to_owned(), 0)]);
        let first = slots.acquire("acme").unwrap();
        let _second = slots.acquire("acme").unwrap();
        assert!(slots.acquire("acme").is_none());
        assert_eq!(slots.live(), [("acme".to_owned(), 2), ("shut".to_owned(), 0)]);
        drop(first);
        assert!(slots.acquire("acme").is_some());
        assert!(slots.acquire("shut").is_none());
        assert!(slots.acquire("unknown").is_none());
    }
}
