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

impl Impairment {
    pub(super) const NONE: Self = Self { loss_percent: 0, kind: Kind::Random, jitter_ms: 0 };
}

/// A link in one direction. The same seed loses and delays the same packets of audio, whatever else goes over it.
pub(super) struct Link {
    impairment: Impairment,
    audio: u64,
    other: u64,
    in_burst: bool,
    last: Option<Instant>,
    under_way: VecDeque<(Instant, Vec<u8>)>,
}

/// Mean length of a burst.
const BURST: f64 = 3.0;

impl Link {
    pub(super) fn new(impairment: Impairment, seed: u64) -> Self {
        let chance = |seed: u64| seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let (audio, other) = (chance(seed), chance(!seed));
        Self { impairment, audio, other, in_burst: false, last: None, under_way: VecDeque::new() }
    }

    /// Takes a packet of audio.
    pub(super) fn send(&mut self, now: Instant, packet: Vec<u8>) {
        let loses = self.loses();
        let late = next(&mut self.audio);
        self.carry(now, loses, late, packet);
    }

    /// Whether it would carry the next packet of audio, which is counted as sent.
    pub(super) fn carries(&mut self, now: Instant) -> bool {
        self.impairment.jitter_ms = 0;
        self.send(now, Vec::new());
        self.receive(now).is_some()
    }

    /// Takes any other packet, which gets lost by itself.
    pub(super) fn send_other(&mut self, now: Instant, packet: Vec<u8>) {
        let loses = next(&mut self.other) < f64::from(self.impairment.loss_percent) / 100.0;
        let late = next(&mut self.other);
        self.carry(now, loses, late, packet);
    }

    fn carry(&mut self, now: Instant, loses: bool, late: f64, packet: Vec<u8>) {
        if !loses {
            let at = now + Duration::from_secs_f64(late * self.impairment.jitter_ms as f64 / 1000.0);
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
        let chance = next(&mut self.audio);
        match self.impairment.kind {
            Kind::Random => chance < loss,
            Kind::Burst => {
                let begins = loss / (BURST * (1.0 - loss).max(f64::EPSILON));
                self.in_burst = if self.in_burst { chance >= 1.0 / BURST } else { chance < begins };
                self.in_burst
            }
        }
    }
}

/// 0..1.
fn next(chance: &mut u64) -> f64 {
    *chance ^= *chance << 13;
    *chance ^= *chance >> 7;
    *chance ^= *chance << 17;
    (*chance >> 11) as f64 / (1u64 << 53) as f64
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

    #[test]
    fn what_else_is_sent_does_not_change_what_audio_is_lost() {
        let came = |chatter: bool| {
            let mut link = Link::new(Impairment { loss_percent: 10, kind: Kind::Burst, jitter_ms: 0 }, 7);
            let now = Instant::now();
            for n in 0..1_000u32 {
                if chatter && n % 7 == 0 {
                    link.send_other(now, Vec::new());
                }
                link.send(now, n.to_be_bytes().to_vec());
            }
            std::iter::from_fn(|| link.receive(now)).filter(|packet| !packet.is_empty()).collect::<Vec<_>>()
        };
        assert_eq!(came(false), came(true));
    }

    fn number(packet: &[u8]) -> u32 {
        u32::from_be_bytes(packet.try_into().unwrap())
    }
}
