//! The room of tables: what a busy hour made them grow to is given back when it is over.

use std::collections::HashMap;
use std::hash::Hash;

/// Tables of fewer octets are not worth the trouble.
const SMALL: usize = 4_096;
/// Of its room, what a table must still use to keep it.
const USED: usize = 8;

/// Gives back most of a table's room once hardly any of it is used. To be called after each removal: it moves the entries at
/// most once per many removals.
pub(super) fn give_back<K: Eq + Hash, V>(table: &mut HashMap<K, V>) {
    let octets = table.capacity().saturating_mul(size_of::<(K, V)>());
    if octets > SMALL && table.len() < table.capacity() / USED {
        table.shrink_to(table.len().saturating_mul(2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_was_busy_once_is_small_again() {
        let mut table: HashMap<u32, u32> = (0..100_000).map(|n| (n, n)).collect();
        let busy = table.capacity();
        for n in 0..99_990 {
            table.remove(&n);
            give_back(&mut table);
            assert!(table.capacity() >= table.len());
        }
        assert!(busy >= 100_000 && table.capacity() * 8 <= SMALL, "{busy}, then {}", table.capacity());
        assert_eq!((table.len(), table.get(&99_999)), (10, Some(&99_999)));
        let mut large: HashMap<u32, [u8; 400]> = (0..500).map(|n| (n, [0; 400])).collect();
        large.clear();
        give_back(&mut large);
        assert!(large.capacity() * 404 <= SMALL, "a few large entries take as much as many small ones");
    }
}
