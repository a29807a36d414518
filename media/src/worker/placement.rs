//! Which worker takes the next call: the one with the least to do.

/// Thousandths of a core that are no difference: within so much the worker with fewer calls is the emptier one.
const STEP: i64 = 50;

/// What a call is thought to cost until its worker's processor time shows it, thousandths of a core: a transcoded one.
const EXPECTED: i64 = 4;

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

/// The emptiest of those with room for one more.
pub(super) fn emptiest(loads: impl Iterator<Item = Load>, max_calls: usize) -> Option<usize> {
    let with_room = loads.enumerate().filter(|(_, load)| load.calls < max_calls);
    with_room.min_by_key(|(_, load)| (load.expected() / STEP, load.calls)).map(|(worker, _)| worker)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(calls: usize, busy: u64) -> Load {
        Load { calls, busy, calls_then: calls as u64 }
    }

    #[test]
    fn the_worker_with_the_least_to_do_takes_the_next_call() {
        for (what, loads, expected) in [
            ("none", vec![], None),
            ("idle ones share", vec![load(3, 0), load(2, 0)], Some(1)),
            ("a few relayed calls more are no matter", vec![load(20, 30), load(19, 20)], Some(1)),
            ("fifty transcoded weigh more than ninety relayed", vec![load(50, 220), load(90, 110)], Some(1)),
            ("a little apart is not apart", vec![load(10, 49), load(11, 2)], Some(0)),
            ("a busy one whose calls have gone is empty", vec![load(40, 100), load(0, 900)], Some(1)),
            ("the full one is left out", vec![load(100, 0), load(99, 900)], Some(1)),
            ("all are full", vec![load(100, 0), load(100, 0)], None),
        ] {
            assert_eq!(emptiest(loads.into_iter(), 100), expected, "{what}");
        }
    }

    #[test]
    fn calls_that_come_at_once_do_not_all_go_to_one() {
        let mut loads = [load(40, 160), load(40, 20)];
        for _ in 0..120 {
            let worker = emptiest(loads.iter().copied(), 1000).unwrap();
            loads[worker].calls += 1;
        }
        let [busy, idle] = loads.map(|load| load.calls - 40);
        assert!(busy >= 35 && idle >= 60, "{busy} and {idle}");
    }
}
