//! How hard a worker's calls may try when they encode Opus: harder than needed only while the processor has nothing else to
//! do.

/// Complexities of libopus, the least first: the second and third cost twice and three times as much to encode.
const STEPS: [u8; 3] = [1, 3, 5];

/// Thousandths of a core: below this a worker is idle.
const IDLE: u64 = 100;
/// Above this it is not, step by step: as much as an idle worker comes to by that step alone, where all calls are coded anew
/// and half of that is to encode.
const LOADED: [u64; STEPS.len()] = [IDLE, 160, 210];

/// Of a thousand deadlines so many may be late, or somebody else needs the processor.
const LATE: u64 = 20;

/// It must be idle for so many seconds before each step up, and for twice as long each time that step was too much.
const CALM: u32 = 5;
const CALM_LIMIT: u32 = 320;

/// What is permitted, second by second.
#[derive(Debug)]
pub(super) struct Effort {
    step: usize,
    calm: u32,
    needed: u32,
    /// Deadlines so far, and those that were met late.
    met: (u64, u64),
}

impl Default for Effort {
    fn default() -> Self {
        Self { step: 0, calm: 0, needed: CALM, met: (0, 0) }
    }
}

impl Effort {
    /// The complexity that is permitted.
    pub(super) fn complexity(&self) -> u8 {
        STEPS.get(self.step).copied().unwrap_or(1)
    }

    /// A second is over, in which the thread was `busy` for so many thousandths; `met`: how many deadlines it has met so
    /// far, and how many of them late. The complexity, if it is another one from now on.
    pub(super) fn second(&mut self, busy: u64, met: (u64, u64)) -> Option<u8> {
        let before = self.step;
        let (deadlines, late) = (met.0.saturating_sub(self.met.0), met.1.saturating_sub(self.met.1));
        self.met = met;
        let loaded = LOADED.get(before).is_some_and(|limit| busy > *limit);
        if loaded || late * 1000 > deadlines * LATE {
            self.needed = if before > 0 { (self.needed * 2).min(CALM_LIMIT) } else { self.needed };
            (self.step, self.calm) = (0, 0);
        } else if busy >= IDLE {
            self.calm = 0;
        } else {
            self.calm += 1;
            if self.calm >= self.needed && self.step + 1 < STEPS.len() {
                (self.step, self.calm) = (self.step + 1, 0);
            } else if self.calm >= CALM_LIMIT {
                self.needed = CALM;
            }
        }
        (self.step != before).then(|| self.complexity())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What so many seconds of this bring, one by one where it changes.
    fn pass(effort: &mut Effort, seconds: u32, busy: u64, late: u64) -> Vec<(u32, u8)> {
        let mut second = |n| {
            let met = (effort.met.0 + 1000, effort.met.1 + late);
            effort.second(busy, met).map(|complexity| (n, complexity))
        };
        (1..=seconds).filter_map(&mut second).collect()
    }

    #[test]
    fn an_idle_worker_tries_harder_step_by_step_and_a_loaded_one_stops_at_once() {
        let mut effort = Effort::default();
        assert_eq!(effort.complexity(), 1);
        assert_eq!(pass(&mut effort, 60, 50, 0), [(5, 3), (10, 5)]);
        assert_eq!(pass(&mut effort, 60, 200, 0), [], "no more than it takes itself");
        assert_eq!(pass(&mut effort, 1, 211, 0), [(1, 1)]);
        assert_eq!(pass(&mut effort, 60, 101, 0), []);
        assert_eq!(pass(&mut effort, 20, 50, 0), [(10, 3), (20, 5)], "more careful the second time");
        assert_eq!(pass(&mut effort, 1, 50, 21), [(1, 1)], "deadlines are met late: others want the processor");
    }

    #[test]
    fn work_of_its_own_making_does_not_make_it_swing() {
        // Every call costs more with each step, so much that it is loaded with the second.
        let mut effort = Effort::default();
        let mut changes = 0;
        for _ in 0..3_600 {
            let busy = match effort.complexity() {
                1 => 70,
                3 => 90,
                _ => 250,
            };
            changes += u32::from(effort.second(busy, (0, 0)).is_some());
        }
        assert!(changes < 40, "{changes} in an hour");
    }

    #[test]
    fn it_tries_harder_for_no_more_calls_than_one_that_does_not_is_idle_with() {
        for (at_least, hardest) in [(99, 5), (115, 1), (160, 1)] {
            let mut effort = Effort::default();
            pass(&mut effort, 60, 50, 0);
            assert_eq!(effort.complexity(), 5);
            // Half of the work is to encode: more calls come, and it is done two and three times as hard.
            let cost = |complexity: u8| at_least / 2 * u64::from(complexity.div_ceil(2)) + at_least / 2;
            for _ in 0..60 {
                effort.second(cost(effort.complexity()), (0, 0));
            }
            assert_eq!(effort.complexity(), hardest, "{at_least}");
        }
    }

    #[test]
    fn a_long_calm_is_forgotten_trouble() {
        let mut effort = Effort::default();
        for _ in 0..10 {
            pass(&mut effort, 700, 50, 0);
            pass(&mut effort, 1, 900, 0);
        }
        assert_eq!(pass(&mut effort, 20, 50, 0), [(10, 3), (20, 5)]);
    }

    #[test]
    fn who_has_no_deadlines_meets_none_late() {
        let mut effort = Effort::default();
        let changes: Vec<u8> = (0..10).filter_map(|_| effort.second(0, (0, 0))).collect();
        assert_eq!(changes, [3, 5]);
    }
}
