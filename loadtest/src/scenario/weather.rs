//! The network between a browser and the gateway: what it loses and delays, by a seed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::chance::Chance;
use super::file::Network;

/// A way over the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Up,
    Down,
}

/// A datagram under way, or what has come of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct UnderWay {
    due: Instant,
    number: u64,
    /// To the gateway; else from it.
    pub(crate) is_up: bool,
    /// The other end.
    pub(crate) peer: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

/// One browser's network.
#[derive(Debug)]
pub(crate) struct Weather {
    chance: Chance,
    network: Network,
    /// Datagrams still to be lost in a row, each way.
    losing: [u32; 2],
    held: BinaryHeap<Reverse<UnderWay>>,
    number: u64,
    /// Datagrams lost, each way.
    pub(crate) lost: [u64; 2],
}

impl Weather {
    /// `None` on a clear day.
    pub(crate) fn new(network: Network, seed: u64) -> Option<Self> {
        let clear = network.loss <= 0.0 && network.delay_ms <= 0.0 && network.jitter_ms <= 0.0;
        (!clear).then(|| Self {
            chance: Chance::new(seed),
            network,
            losing: [0; 2],
            held: BinaryHeap::new(),
            number: 0,
            lost: [0; 2],
        })
    }

    /// Takes a datagram in: it is lost, or comes out of [`Self::arrived`] when its time has come.
    pub(crate) fn take(&mut self, now: Instant, way: Way, peer: SocketAddr, bytes: Vec<u8>) {
        if self.loses(way) {
            let [up, down] = &mut self.lost;
            *(if way == Way::Up { up } else { down }) += 1;
            return;
        }
        let ms = self.network.delay_ms + self.network.jitter_ms * self.chance.share();
        self.number += 1;
        let due = now + Duration::from_secs_f64(ms / 1000.0);
        self.held.push(Reverse(UnderWay { due, number: self.number, is_up: way == Way::Up, peer, bytes }));
    }

    /// The next datagram whose time has come.
    pub(crate) fn arrived(&mut self, now: Instant) -> Option<UnderWay> {
        self.held.peek().filter(|Reverse(next)| next.due <= now)?;
        self.held.pop().map(|Reverse(next)| next)
    }

    /// When the next one arrives.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.held.peek().map(|Reverse(next)| next.due)
    }

    fn loses(&mut self, way: Way) -> bool {
        let Network { loss, burst, .. } = self.network;
        let [up, down] = &mut self.losing;
        let losing = if way == Way::Up { up } else { down };
        if *losing > 0 {
            *losing -= 1;
            return true;
        }
        let burst = burst.max(1.0);
        // Runs of `burst` begin so often that this share is lost in all.
        if self.chance.share() >= loss / (burst * (1.0 - loss) + loss) {
            return false;
        }
        while self.chance.share() > 1.0 / burst {
            *losing += 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(network: Network, datagrams: u32) -> (Vec<u32>, Weather) {
        let start = Instant::now();
        let mut weather = Weather::new(network, 7).unwrap();
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        for n in 0..datagrams {
            weather.take(start + Duration::from_millis(20) * n, Way::Up, peer, n.to_be_bytes().to_vec());
        }
        let end = start + Duration::from_secs(3600);
        let out = std::iter::from_fn(|| weather.arrived(end))
            .map(|datagram| u32::from_be_bytes(datagram.bytes.try_into().unwrap()))
            .collect();
        (out, weather)
    }

    #[test]
    fn the_share_asked_for_is_lost_in_runs_of_the_length_asked_for() {
        for (loss, burst) in [(0.1, 1.0), (0.1, 4.0), (0.02, 0.0)] {
            let (out, weather) = pass(Network { loss, burst, ..Network::default() }, 50_000);
            let lost = 50_000 - out.len();
            assert_eq!(weather.lost, [lost as u64, 0]);
            let share = lost as f64 / 50_000.0;
            assert!((share - loss).abs() < 0.2 * loss, "{share} of {loss}");
            let runs = out.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
            let length = lost as f64 / runs as f64;
            assert!((length - burst.max(1.0)).abs() < 0.25 * burst.max(1.0), "{length} of {burst}");
        }
    }

    #[test]
    fn jitter_delays_and_reorders_and_loses_nothing() {
        let (mut out, weather) = pass(Network { jitter_ms: 60.0, ..Network::default() }, 1_000);
        assert!(out.windows(2).any(|pair| pair[1] < pair[0]), "something overtakes");
        out.sort_unstable();
        assert_eq!((out, weather.lost), ((0..1_000).collect(), [0, 0]));
        assert!(Weather::new(Network::default(), 7).is_none(), "a clear day");
    }
}
