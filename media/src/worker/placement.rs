//! Which worker takes the next call: the first that is not half full; once all are, the one with the least to do. A thread
//! that wakes for many calls costs each of them less, and one that sleeps on costs nothing.

/// Thousandths of a core that are no difference: within so much the worker with fewer calls is the emptier one.
const STEP: i64 = 50;

/// What a call is thought to cost until its worker's processor time shows it, thousandths of a core: a transcoded one.
const EXPECTED: i64 = 4;

/// Thousandths of a core that a worker is filled with before the next one is begun: the other half of it is for bursts.
const FILL: i64 = 500;

/// And not with more calls than it could still transcode, should all their networks get bad at once.
const FILL_CALLS: usize = 200;

/// How a worker stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Load {
    /// Calls it has or is about to have.
    pub(super) calls: usize,
    /// Thousandths of a core it used in the last second it looked at, and the calls it had then.
    pub(super) busy: u64,
    pub(super) calls_then: u64,
}

impl Load {
    /// What it will be used, as far as can be told. Nobody looks at a thread that sleeps: without calls it is idle.
    fn expected(&self) -> i64 {
        let calls = i64::try_from(self.calls).unwrap_or(i64::MAX);
        if calls == 0 {
            return 0;
        }
        let since = calls.saturating_sub_unsigned(self.calls_then);
        since.saturating_mul(EXPECTED).saturating_add_unsigned(self.busy).max(0)
    }
}

/// Who takes the next call, of those with room for one more.
pub(super) fn next_home(loads: impl Iterator<Item = Load> + Clone, max_calls: usize) -> Option<usize> {
    let with_room = loads.enumerate().filter(|(_, load)| load.calls < max_calls);
    let begun = with_room.clone().find(|(_, load)| load.calls < FILL_CALLS && load.expected() < FILL);
    let emptiest = || with_room.min_by_key(|(_, load)| (load.expected() / STEP, load.calls));
    begun.or_else(emptiest).map(|(worker, _)| worker)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(calls: usize, busy: u64) -> Load {
        Load { calls, busy, calls_then: calls as u64 }
    }

    #[test]
    fn workers_are_filled_one_by_one_and_evenly_from_then_on() {
        for (what, loads, expected) in [
            ("none", vec![], None),
            ("none is begun before the last is half full", vec![load(100, 450), load(2, 0), load(0, 0)], Some(0)),
            ("then the next is", vec![load(150, 500), load(2, 0), load(0, 0)], Some(1)),
            ("so many relayed ones might all be transcoded", vec![load(200, 180), load(0, 0)], Some(1)),
            ("of full ones the one with the least to do", vec![load(130, 620), load(220, 560)], Some(1)),
            ("a little apart is not apart", vec![load(201, 549), load(202, 502)], Some(0)),
            ("fewer calls decide then", vec![load(230, 530), load(229, 520)], Some(1)),
            ("one whose calls have gone is begun anew", vec![load(0, 900), load(40, 100)], Some(0)),
            ("the full one is left out", vec![load(300, 0), load(299, 900)], Some(1)),
            ("all are full", vec![load(300, 0), load(300, 0)], None),
        ] {
            assert_eq!(next_home(loads.into_iter(), 300), expected, "{what}");
        }
    }

    #[test]
    fn calls_that_come_at_once_do_not_all_go_to_one() {
        let mut loads = [load(0, 0); 3];
        for _ in 0..600 {
            let worker = next_home(loads.iter().copied(), 1000).unwrap();
            loads[worker].calls += 1;
        }
        assert!(loads.iter().all(|load| (190..=210).contains(&load.calls)), "{loads:?}");
    }
}
