//! The room of tables: what a busy hour made them grow to is given back when it is over.

use std::collections::HashMap;
use std::hash::Hash;

/// Tables smaller than this are not worth the trouble.
const SMALL: usize = 1_024;
/// Of its room, what a table must still use to keep it.
const USED: usize = 8;

/// Gives back most of a table's room once hardly any of it is used. To be called after each removal: it moves the entries at
/// most once per many removals.
pub(super) fn give_back<K: Eq + Hash, V>(table: &mut HashMap<K, V>) {
    if table.capacity() > SMALL && table.len() < table.capacity() / USED {
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
        assert!(busy >= 100_000 && table.capacity() <= SMALL, "{busy}, then {}", table.capacity());
        assert_eq!((table.len(), table.get(&99_999)), (10, Some(&99_999)));
    }
}
