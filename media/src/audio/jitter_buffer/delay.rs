//! How much delay a stream needs: a histogram of how late packets come against the fastest of the last seconds.

/// Width of a class.
const CLASS_MS: i64 = 5;
const CLASSES: usize = 100;

/// The fastest packet is sought in the last one to two of these.
const BASE_SECONDS: i64 = 5;

/// This share of packets may come after its time.
const LATE_SHARE: f32 = 0.03;

/// Newest packets count most; the past fades by this much with each packet.
const FORGET: f32 = 0.005;
/// In the beginning the assumption below counts as much as this many packets.
const PRIOR_PACKETS: f32 = 10.0;
/// Delay assumed before anything is known.
const PRIOR_MS: i64 = 40;

const LEAST_MS: i64 = 20;

/// A pause after which the path may be another.
const PAUSE_SECONDS: i64 = 1;

/// Learns the delay that a stream needs. All times are clock units.
#[derive(Debug)]
pub(super) struct DelayEstimator {
    clock_rate: i64,
    max: i64,
    classes: [f32; CLASSES],
    packets: f32,
    /// Least transit time of the period before, and of the present one.
    base: Option<(i64, i64)>,
    period_began: i64,
    /// Since when there is a base.
    base_began: i64,
    last_arrival: i64,
    target: i64,
}

impl DelayEstimator {
    pub(super) fn new(clock_rate: u32, max: i64) -> Self {
        let mut classes = [0.0; CLASSES];
        if let Some(prior) = classes.get_mut((PRIOR_MS / CLASS_MS - 1) as usize) {
            *prior = 1.0;
        }
        let clock_rate = i64::from(clock_rate);
        let mut new = Self {
            clock_rate,
            max,
            classes,
            packets: PRIOR_PACKETS,
            base: None,
            period_began: 0,
            base_began: 0,
            last_arrival: 0,
            target: 0,
        };
        new.aim();
        new
    }

    /// A packet that begins at `timestamp` came at `arrival`.
    pub(super) fn arrived(&mut self, arrival: i64, timestamp: i64) {
        if arrival - self.last_arrival > PAUSE_SECONDS * self.clock_rate {
            self.base = None;
        }
        self.last_arrival = arrival;
        let transit = arrival - timestamp;
        let before = self.base();
        self.base = Some(match self.base {
            None => {
                self.period_began = arrival;
                self.base_began = arrival;
                (transit, transit)
            }
            Some((_, now)) if arrival - self.period_began > BASE_SECONDS * self.clock_rate => {
                self.period_began = arrival;
                (now, transit)
            }
            Some((old, now)) => (old, now.min(transit)),
        });
        let base = self.base().unwrap_or(transit);
        // A base that is still being found says nothing about what was learnt before.
        if arrival - self.base_began > PAUSE_SECONDS * self.clock_rate {
            self.shift(before.map_or(0, |before| before - base));
        }
        let lateness = transit - base;
        if lateness > self.max {
            // No delay allowed would have helped this packet: a stall is not learnt from.
            return;
        }
        let weight = FORGET.max(1.0 / (self.packets + 1.0));
        self.packets += 1.0;
        let class = usize::try_from(lateness / self.class_units()).unwrap_or(0).min(CLASSES - 1);
        self.classes.iter_mut().for_each(|share| *share *= 1.0 - weight);
        self.classes.get_mut(class).into_iter().for_each(|share| *share += weight);
        self.aim();
    }

    /// Delay to aim at.
    pub(super) fn target(&self) -> i64 {
        self.target
    }

    /// Delay (against the fastest packets) at which audio of `timestamp` is played when it is played at `now`.
    pub(super) fn delay_at(&self, now: i64, timestamp: i64) -> i64 {
        self.base().map_or(0, |base| now - timestamp - base)
    }

    /// The stream's timeline is another; what was learnt of the path stays.
    pub(super) fn forget_base(&mut self) {
        self.base = None;
    }

    fn base(&self) -> Option<i64> {
        self.base.map(|(old, now)| old.min(now))
    }

    fn class_units(&self) -> i64 {
        (CLASS_MS * self.clock_rate / 1000).max(1)
    }

    /// The fastest packet changed, so every packet's lateness against it did: by `change`, to more if positive.
    fn shift(&mut self, change: i64) {
        let classes = change / self.class_units();
        let by = usize::try_from(classes.unsigned_abs()).unwrap_or(CLASSES).min(CLASSES - 1);
        if by == 0 {
            return;
        }
        if classes > 0 {
            self.classes.rotate_right(by);
            let (wrapped, rest) = self.classes.split_at_mut(by);
            let beyond: f32 = wrapped.iter().sum();
            wrapped.fill(0.0);
            rest.last_mut().into_iter().for_each(|last| *last += beyond);
        } else {
            self.classes.rotate_left(by);
            let (rest, wrapped) = self.classes.split_at_mut(CLASSES - by);
            let below: f32 = wrapped.iter().sum();
            wrapped.fill(0.0);
            rest.first_mut().into_iter().for_each(|first| *first += below);
        }
    }

    fn aim(&mut self) {
        let mut later = 0.0;
        let needed = self.classes.iter().rposition(|share| {
            later += share;
            later > LATE_SHARE
        });
        let classes = needed.map_or(1, |class| class as i64 + 1);
        let least = (LEAST_MS * self.clock_rate / 1000).min(self.max);
        self.target = (classes * self.class_units()).clamp(least, self.max);
    }
}
