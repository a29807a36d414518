//! The room of tables: what a busy hour made them grow to is given back when it is over.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Tables of fewer octets are not worth the trouble.
const SMALL: usize = 4_096;
/// Of its room, what a table must still use to keep it.
const USED: usize = 8;

/// What a table holds and has room for.
pub(crate) trait Room {
    /// Octets of an entry.
    const ENTRY: usize;

    /// Entries, and room for entries.
    fn taken(&self) -> (usize, usize);
    /// Keeps room for so many.
    fn shrink(&mut self, to: usize);
}

/// Gives back most of a table's room once hardly any of it is used. To be called after removals: it moves the entries at most
/// once per many of them.
pub(crate) fn give_back<T: Room>(table: &mut T) {
    let (len, capacity) = table.taken();
    if capacity.saturating_mul(T::ENTRY) > SMALL && len < capacity / USED {
        table.shrink(len.saturating_mul(2));
    }
}

impl<K: Eq + Hash, V> Room for HashMap<K, V> {
    const ENTRY: usize = size_of::<(K, V)>();

    fn taken(&self) -> (usize, usize) {
        (self.len(), self.capacity())
    }

    fn shrink(&mut self, to: usize) {
        self.shrink_to(to);
    }
}

impl<T> Room for VecDeque<T> {
    const ENTRY: usize = size_of::<T>();

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
        let mut large: HashMap<u32, [u8; 400]> = (0..500).map(|n| (n, [0; 400])).collect();
        for n in 0..99_990 {
            table.remove(&n);
            queue.pop_front();
            give_back(&mut table);
            give_back(&mut queue);
        }
        large.clear();
        give_back(&mut large);
        let octets = [table.capacity() * 8, queue.capacity() * 4, large.capacity() * 404];
        assert!(octets.iter().all(|octets| *octets <= SMALL), "{octets:?}");
        assert_eq!((table.get(&99_999), queue.back(), queue.len()), (Some(&99_999), Some(&99_999), 10));
    }
}
