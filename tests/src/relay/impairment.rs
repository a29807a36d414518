//! What a direction of a relay does to datagrams, and to which ones.

use std::time::Duration;

use tokio::time::Instant;

use crate::world::chance::Chance;

/// What a throttled direction holds back before it drops.
const QUEUE: Duration = Duration::from_millis(250);
/// How much later a datagram comes that is overtaken.
const HELD_BACK: Duration = Duration::from_millis(60);

/// What a direction does to datagrams. The default does nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Impairment {
    /// Share of datagrams lost at random, 0..1.
    pub loss: f64,
    /// Losses in a row (Gilbert-Elliott), in addition.
    pub burst: Option<Burst>,
    /// Every datagram comes so much later.
    pub delay_ms: u64,
    /// Up to so much more, evenly distributed; the order is kept.
    pub jitter_ms: u64,
    /// Share of datagrams that are overtaken by those behind them.
    pub reorder: f64,
    /// Share of datagrams that come twice.
    pub duplicate: f64,
    /// Bits per second that pass; what would wait longer than 250 ms is dropped.
    pub rate_bps: Option<u64>,
    /// Nothing passes.
    pub blackout: bool,
}

/// Loss in bursts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Burst {
    /// Chance that a burst begins with a datagram.
    pub begins: f64,
    /// Chance that it is over with a datagram: 0.2 makes bursts of five.
    pub ends: f64,
}

impl Impairment {
    /// Random loss, 0..1.
    #[must_use]
    pub fn loss(loss: f64) -> Self {
        Self { loss, ..Self::default() }
    }

    /// Loss in bursts of so many datagrams, so much of it in the long run (0..1).
    #[must_use]
    pub fn bursts(loss: f64, length: f64) -> Self {
        let ends = 1.0 / length.max(1.0);
        Self { burst: Some(Burst { begins: loss * ends / (1.0 - loss).max(0.01), ends }), ..Self::default() }
    }

    /// Nothing passes.
    #[must_use]
    pub fn blackout() -> Self {
        Self { blackout: true, ..Self::default() }
    }
}

/// What passed a direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Datagrams that came.
    pub received: u64,
    /// Datagrams that were sent on, duplicates with them.
    pub sent: u64,
    /// Datagrams that were lost here.
    pub lost: u64,
}

/// One direction of a relay.
#[derive(Default)]
pub(super) struct Direction {
    pub(super) impairment: Impairment,
    in_burst: bool,
    /// When the last datagram that keeps its order leaves.
    last: Option<Instant>,
    /// When the wire is free again.
    wire_free: Option<Instant>,
    pub(super) tally: Tally,
}

impl Direction {
    /// When a datagram leaves: never, once, or twice.
    pub(super) fn times(&mut self, chance: &mut Chance, now: Instant, length: usize) -> Vec<Instant> {
        let Impairment { loss, burst, delay_ms, jitter_ms, reorder, duplicate, rate_bps, blackout } = self.impairment;
        self.tally.received += 1;
        if let Some(burst) = burst {
            self.in_burst = if self.in_burst { !chance.happens(burst.ends) } else { chance.happens(burst.begins) };
        }
        let bits = u32::try_from(8 * (length + 28)).unwrap_or(u32::MAX);
        let wire = match rate_bps {
            Some(rate) => {
                let begins = self.wire_free.map_or(now, |free| free.max(now));
                begins + Duration::from_secs_f64(f64::from(bits) / rate.max(1) as f64)
            }
            None => now,
        };
        let full = rate_bps.is_some() && wire.saturating_duration_since(now) > QUEUE;
        if blackout || full || chance.happens(loss) || (burst.is_some() && self.in_burst) {
            self.tally.lost += 1;
            return Vec::new();
        }
        self.wire_free = rate_bps.map(|_| wire);
        let late = Duration::from_millis(delay_ms + chance.below(jitter_ms + 1));
        let mut at = wire + late;
        if chance.happens(reorder) {
            at += HELD_BACK;
        } else {
            at = self.last.map_or(at, |last| last.max(at));
            self.last = Some(at);
        }
        let copies = 1 + usize::from(chance.happens(duplicate));
        self.tally.sent += copies as u64;
        vec![at; copies]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(impairment: Impairment, packets: u64) -> (Direction, Vec<Vec<Duration>>) {
        let mut direction = Direction { impairment, ..Direction::default() };
        let (mut chance, start) = (Chance::new(7), Instant::now());
        let left = (0..packets).map(|n| {
            let now = start + Duration::from_millis(20 * n);
            direction.times(&mut chance, now, 172).into_iter().map(|at| at - now).collect()
        });
        let left = left.collect();
        (direction, left)
    }

    #[test]
    fn each_impairment_does_what_it_says() {
        let late = |left: &[Vec<Duration>]| left.iter().flatten().map(|d| d.as_millis()).max().unwrap_or(0);
        let (none, left) = run(Impairment::default(), 1000);
        assert_eq!((none.tally.sent, none.tally.lost, late(&left)), (1000, 0, 0));
        let (random, _) = run(Impairment::loss(0.1), 10_000);
        assert!((900..1100).contains(&random.tally.lost), "{:?}", random.tally);
        let (bursts, left) = run(Impairment::bursts(0.1, 5.0), 20_000);
        assert!((1600..2400).contains(&bursts.tally.lost), "{:?}", bursts.tally);
        let runs = left.windows(2).filter(|w| !w[0].is_empty() && w[1].is_empty()).count();
        assert!((300..560).contains(&runs), "{runs}");
        assert_eq!(run(Impairment::blackout(), 100).0.tally.lost, 100);
        let (_, left) = run(Impairment { delay_ms: 100, jitter_ms: 50, ..Impairment::default() }, 1000);
        assert!((140..=150).contains(&late(&left)) && left.iter().flatten().all(|d| d.as_millis() >= 100));
        let (doubled, _) = run(Impairment { duplicate: 0.5, ..Impairment::default() }, 1000);
        assert!((1400..1600).contains(&doubled.tally.sent));
        // 50 packets a second of 200 octets with their headers are 80 kbit/s.
        let (throttled, left) = run(Impairment { rate_bps: Some(40_000), ..Impairment::default() }, 1000);
        assert!((450..550).contains(&throttled.tally.sent) && late(&left) <= 250, "{:?}", throttled.tally);
    }
}
