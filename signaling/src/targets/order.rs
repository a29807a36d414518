//! Who comes first.

/// RFC 2782: a lower priority first; among equals by chance, each first as often as its weight says. `below` gives a
/// number below the one it is given, which is never 0.
pub fn by_priority_and_weight<T>(
    mut items: Vec<T>,
    key: impl Fn(&T) -> (u16, u16),
    mut below: impl FnMut(u32) -> u32,
) -> Vec<T> {
    // Those without weight stand first within their priority, so that they are chosen at all, if rarely.
    items.sort_by_key(|item| {
        let (priority, weight) = key(item);
        (priority, weight != 0)
    });
    let mut ordered = Vec::with_capacity(items.len());
    while let Some(priority) = items.first().map(|item| key(item).0) {
        let equals = items.iter().take_while(|item| key(item).0 == priority);
        let sum: u32 = equals.map(|item| u32::from(key(item).1)).sum();
        let drawn = below(sum.saturating_add(1));
        let mut passed = 0_u32;
        let at = items.iter().position(|item| {
            passed = passed.saturating_add(u32::from(key(item).1));
            passed >= drawn
        });
        ordered.push(items.remove(at.unwrap_or(0)));
    }
    ordered
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn lower_priorities_come_first_whatever_chance_says() {
        for drawn in 0..8 {
            let ordered =
                by_priority_and_weight(vec![(20, 9), (10, 0), (10, 5), (30, 1)], |item| *item, |n| drawn.min(n - 1));
            let priorities: Vec<u16> = ordered.iter().map(|(priority, _)| *priority).collect();
            assert_eq!(priorities, [10, 10, 20, 30], "{drawn}");
        }
    }

    #[test]
    fn among_equals_each_comes_first_as_often_as_its_weight_says() {
        let mut rng = StdRng::from_seed([7; 32]);
        let mut firsts = [0_u32; 3];
        for _ in 0..10_000 {
            let items = vec![(0, 60_u16), (1, 30), (2, 10)];
            let ordered = by_priority_and_weight(items, |(_, weight)| (1, *weight), |n| rng.next_u32() % n);
            assert_eq!(ordered.len(), 3);
            firsts[ordered[0].0] += 1;
        }
        for (seen, expected) in firsts.into_iter().zip([6_000_u32, 3_000, 1_000]) {
            assert!(seen.abs_diff(expected) < 300, "{firsts:?}");
        }
    }

    #[test]
    fn one_without_weight_is_rarely_first_and_never_lost() {
        let mut rng = StdRng::from_seed([8; 32]);
        let mut firsts = 0;
        for _ in 0..10_000 {
            let ordered = by_priority_and_weight(vec![0, 99_u16], |weight| (1, *weight), |n| rng.next_u32() % n);
            assert_eq!(ordered.len(), 2);
            firsts += u32::from(ordered[0] == 0);
        }
        assert!((30..300).contains(&firsts), "{firsts}");
    }
}
