//! How much of a half-leg is lost, over the time for which that was the same.
//!
//! The last five seconds answer quickest, but 250 packets say little about one percent: at a steady loss they wander
//! to and fro across any threshold. So everything older counts as well, as long as it does not contradict the newest
//! seconds. Once it does, the network has changed, and only the newest seconds count.

/// Seconds kept one by one.
const SECONDS: usize = 16;

/// The newest seconds that are compared with what was before them.
const RECENT: [usize; 3] = [5, 10, 15];

/// What is older fades by this much a second: half of it in a minute and a half.
const FADE: f32 = 0.992;

/// Standard deviations apart that are no chance, for worse and for better: asked every second, for hours.
const WORSE: f32 = 3.5;
const BETTER: f32 = 3.7;

/// Packets expected and lost in some time.
#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    seconds: f32,
    expected: f32,
    lost: f32,
}

#[derive(Debug, Default, Clone, Copy)]
struct Second {
    expected: u16,
    /// Below zero when packets came that an earlier second had counted as lost.
    lost: i16,
}

/// Loss and discard of one half-leg.
#[derive(Debug, Default, Clone)]
pub(crate) struct LossWindow {
    /// Newest first.
    ring: [Second; SECONDS],
    /// How many of them count.
    used: u8,
    older: Sum,
}

impl LossWindow {
    /// One more second.
    pub(crate) fn push(&mut self, expected: u32, lost: i32) {
        let fallen = self.take_oldest();
        self.older = Sum {
            seconds: self.older.seconds * FADE + fallen.seconds,
            expected: self.older.expected * FADE + fallen.expected,
            lost: self.older.lost * FADE + fallen.lost,
        };
        self.ring.copy_within(..SECONDS - 1, 1);
        if let Some(first) = self.ring.first_mut() {
            *first = Second {
                expected: u16::try_from(expected).unwrap_or(u16::MAX),
                lost: lost.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16,
            };
        }
        self.used = self.used.saturating_add(1).min(SECONDS as u8);
        for recent in RECENT.into_iter().filter(|recent| *recent <= usize::from(self.used)) {
            let distance = self.distance(recent);
            if distance > WORSE {
                self.keep(recent);
                break;
            }
            if distance < -BETTER {
                // Nothing of what was worse must stay: the cut is where the two sides differ most.
                let apart = (1..=recent).min_by(|a, b| self.distance(*a).total_cmp(&self.distance(*b)));
                self.keep(apart.unwrap_or(recent));
                break;
            }
        }
    }

    /// Share lost, 0..1; `None` without packets in the last `within` seconds.
    pub(crate) fn rate(&self, within: usize) -> Option<f32> {
        let all = self.all();
        (self.newest(within).expected > 0.0).then(|| all.rate())
    }

    /// Whether it is safe to say that less than this share is lost.
    pub(crate) fn is_below(&self, share: f32) -> bool {
        let all = self.all();
        let lost = all.lost.max(0.0);
        if lost <= 0.0 && all.seconds >= 2.0 {
            return true;
        }
        // Far up where the truth may be, and somewhat below: who has just got better must not be worse again by chance.
        lost + 2.5 * (lost + 1.0).sqrt() < 0.8 * share * all.expected
    }

    /// How many standard deviations the newest seconds are worse than what was before (square roots of Poisson counts
    /// differ by one half).
    fn distance(&self, recent: usize) -> f32 {
        let (recent, before) = (self.newest(recent), self.before(recent));
        if recent.expected <= 0.0 || before.expected <= 0.0 {
            return 0.0;
        }
        let share = recent.expected / before.expected;
        let now = (recent.lost.max(0.0) + 0.375).sqrt();
        let then = (share * (before.lost.max(0.0) + 0.375)).sqrt();
        2.0 * (now - then) / (1.0 + share).sqrt()
    }

    /// Forgets all but the newest seconds.
    fn keep(&mut self, seconds: usize) {
        self.used = self.used.min(u8::try_from(seconds).unwrap_or(u8::MAX));
        self.older = Sum::default();
    }

    fn all(&self) -> Sum {
        self.newest(SECONDS).plus(self.older)
    }

    fn newest(&self, seconds: usize) -> Sum {
        self.ring
            .iter()
            .take(seconds.min(usize::from(self.used)))
            .fold(Sum::default(), |sum, second| sum.plus(second.sum()))
    }

    fn before(&self, seconds: usize) -> Sum {
        let kept = self.ring.iter().take(usize::from(self.used)).skip(seconds);
        kept.fold(self.older, |sum, second| sum.plus(second.sum()))
    }

    fn take_oldest(&mut self) -> Sum {
        let oldest = self.ring.last().filter(|_| usize::from(self.used) == SECONDS);
        oldest.map(|second| second.sum()).unwrap_or_default()
    }
}

impl Second {
    fn sum(self) -> Sum {
        // A second without packets (silence, no report) is no time without loss.
        let seconds = if self.expected > 0 { 1.0 } else { 0.0 };
        Sum { seconds, expected: f32::from(self.expected), lost: f32::from(self.lost) }
    }
}

impl Sum {
    fn plus(self, other: Self) -> Self {
        Self {
            seconds: self.seconds + other.seconds,
            expected: self.expected + other.expected,
            lost: self.lost + other.lost,
        }
    }

    fn rate(self) -> f32 {
        if self.expected > 0.0 { (self.lost / self.expected).clamp(0.0, 1.0) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steady(window: &mut LossWindow, seconds: usize, lost: i32) {
        (0..seconds).for_each(|_| window.push(50, lost));
    }

    fn rate(window: &LossWindow) -> f32 {
        window.rate(5).unwrap()
    }

    #[test]
    fn a_sharp_change_leaves_five_seconds() {
        let mut window = LossWindow::default();
        steady(&mut window, 100, 0);
        assert!(rate(&window) == 0.0 && window.is_below(0.01));
        window.push(50, 15);
        assert!((rate(&window) - 0.06).abs() < 0.001, "{}", rate(&window));
        steady(&mut window, 4, 15);
        assert!((rate(&window) - 0.3).abs() < 0.001, "{}", rate(&window));
        steady(&mut window, 60, 15);
        window.push(50, 0);
        assert!(!window.is_below(0.05));
        steady(&mut window, 3, 0);
        assert!(window.is_below(0.01), "four seconds without loss end thirty percent");
    }

    #[test]
    fn a_steady_loss_is_averaged_over_all_its_time() {
        let mut window = LossWindow::default();
        for n in 0..300 {
            window.push(50, i32::from(n % 3 == 0));
        }
        assert!((rate(&window) - 1.0 / 150.0).abs() < 0.0007, "{}", rate(&window));
        // Seven seconds without any happen at such a rate.
        steady(&mut window, 7, 0);
        assert!(rate(&window) > 0.005);
    }

    #[test]
    fn late_arrivals_take_back_what_was_lost() {
        let mut window = LossWindow::default();
        window.push(50, 5);
        window.push(50, -5);
        assert!(rate(&window) == 0.0);
        window.push(50, -5);
        assert!(rate(&window) == 0.0, "never below zero");
    }

    #[test]
    fn silence_says_nothing() {
        let mut window = LossWindow::default();
        assert_eq!(window.rate(5), None);
        window.push(50, 0);
        (0..5).for_each(|_| window.push(0, 0));
        assert_eq!(window.rate(5), None);
        assert_eq!(window.rate(8), Some(0.0));
    }
}
