//! The room of tables: what a busy hour made them grow to is given back when it is over.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Tables smaller than this are not worth the trouble.
const SMALL: usize = 256;
/// Of its room, what a table must still use to keep it.
const USED: usize = 8;

/// What a table holds and has room for.
pub(crate) trait Room {
    /// Entries, and room for entries.
    fn taken(&self) -> (usize, usize);
    /// Keeps room for so many.
    fn shrink(&mut self, to: usize);
}

/// Gives back most of a table's room once hardly any of it is used. To be called after removals: it moves the entries at most
/// once per many of them.
pub(crate) fn give_back(table: &mut impl Room) {
    let (len, capacity) = table.taken();
    if capacity > SMALL && len < capacity / USED {
        table.shrink(len.saturating_mul(2));
    }
}

impl<K: Eq + Hash, V> Room for HashMap<K, V> {
    fn taken(&self) -> (usize, usize) {
        (self.len(), self.capacity())
    }

    fn shrink(&mut self, to: usize) {
        self.shrink_to(to);
    }
}

impl<T> Room for VecDeque<T> {
    fn taken(&self) -> (usize, usize) {
        (self.len(), self.capacity())
    }

    fn shrink(&mut self, to: usize) {
        self.shrink_to(to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_and_a_queue_that_were_busy_once_are_small_again() {
        let mut table: HashMap<u32, u32> = (0..100_000).map(|n| (n, n)).collect();
        let mut queue: VecDeque<u32> = (0..100_000).collect();
        for n in 0..99_990 {
            table.remove(&n);
            queue.pop_front();
            give_back(&mut table);
            give_back(&mut queue);
        }
        assert!(table.capacity() <= SMALL && queue.capacity() <= SMALL, "{}, {}", table.capacity(), queue.capacity());
        assert_eq!((table.get(&99_999), queue.back(), queue.len()), (Some(&99_999), Some(&99_999), 10));
    }
}
