//! A network that loses and delays packets by a seed, in virtual time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::Serialize;

/// How packets get lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// Each by itself.
    Random,
    /// In runs of three on the average.
    Burst,
}

/// What a network does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Impairment {
    pub(super) loss_percent: u32,
    pub(super) kind: Kind,
    /// Each packet is late by up to this; none overtakes another.
    pub(super) jitter_ms: u64,
}

/// A link in one direction. The same seed loses and delays the same packets.
pub(super) struct Link {
    impairment: Impairment,
    chance: u64,
    in_burst: bool,
    last: Option<Instant>,
    under_way: VecDeque<(Instant, Vec<u8>)>,
}

/// Mean length of a burst.
const BURST: f64 = 3.0;

impl Link {
    pub(super) fn new(impairment: Impairment, seed: u64) -> Self {
        let chance = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Self { impairment, chance, in_burst: false, last: None, under_way: VecDeque::new() }
    }

    /// Takes a packet.
    pub(super) fn send(&mut self, now: Instant, packet: Vec<u8>) {
        let loses = self.loses();
        let late = self.next() * self.impairment.jitter_ms as f64 / 1000.0;
        if !loses {
            let at = now + Duration::from_secs_f64(late);
            let at = self.last.map_or(at, |last| last.max(at));
            self.last = Some(at);
            self.under_way.push_back((at, packet));
        }
    }

    /// The next packet that has arrived.
    pub(super) fn receive(&mut self, now: Instant) -> Option<Vec<u8>> {
        self.under_way.pop_front_if(|(at, _)| *at <= now).map(|(_, packet)| packet)
    }

    fn loses(&mut self) -> bool {
        let loss = f64::from(self.impairment.loss_percent) / 100.0;
        let chance = self.next();
        match self.impairment.kind {
            Kind::Random => chance < loss,
            Kind::Burst => {
                let begins = loss / (BURST * (1.0 - loss).max(f64::EPSILON));
                self.in_burst = if self.in_burst { chance >= 1.0 / BURST } else { chance < begins };
                self.in_burst
            }
        }
    }

    /// 0..1.
    fn next(&mut self) -> f64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        (self.chance >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_much_is_lost_as_was_asked_for_and_nothing_overtakes() {
        for (kind, jitter_ms) in [(Kind::Random, 0), (Kind::Random, 80), (Kind::Burst, 30)] {
            let mut link = Link::new(Impairment { loss_percent: 10, kind, jitter_ms }, 7);
            let began = Instant::now();
            let mut came = Vec::new();
            for n in 0..20_000u32 {
                let now = began + Duration::from_millis(20 * u64::from(n));
                link.send(now, n.to_be_bytes().to_vec());
                while let Some(packet) = link.receive(now) {
                    came.push(packet);
                }
            }
            assert!(came.is_sorted());
            assert!((17_500..18_500).contains(&came.len()), "{kind:?}: {}", came.len());
            let runs = came.windows(2).filter(|pair| number(&pair[1]) - number(&pair[0]) > 1).count();
            let mean = (20_000 - came.len()) as f64 / runs as f64;
            let expected = if kind == Kind::Burst { 2.6..3.4 } else { 1.0..1.3 };
            assert!(expected.contains(&mean), "{kind:?}: runs of {mean}");
        }
    }

    fn number(packet: &[u8]) -> u32 {
        u32::from_be_bytes(packet.try_into().unwrap())
    }
}
