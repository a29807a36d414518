//! The network between the gateway and everybody else: datagrams under way in a heap, one link per host, address
//! translators in front of some.

mod link;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use self::link::Way;
pub use self::link::{Link, Loss, Towards};
use super::chance::Chance;

/// Datagrams under way at once; more is a storm, which no scenario wants.
pub const MAX_IN_FLIGHT: usize = 20_000;

/// Datagrams to the gateway that are remembered.
const REMEMBERED: usize = 256;

/// A datagram under way.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct InFlight {
    at: Instant,
    number: u64,
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

/// A datagram that has arrived.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// As the receiver sees it.
    pub from: SocketAddr,
    /// The receiver's own address.
    pub to: SocketAddr,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// The network.
#[derive(Debug)]
pub struct SimNet {
    chance: Chance,
    in_flight: BinaryHeap<Reverse<InFlight>>,
    number: u64,
    ways: HashMap<(IpAddr, Towards), Way>,
    gateway: IpAddr,
    /// Inner to outer address, for hosts behind a translator.
    translated: HashMap<SocketAddr, SocketAddr>,
    /// The latest datagrams that the gateway got, for those who want to send the like.
    pub recent: VecDeque<Arrival>,
    /// Datagrams that got lost.
    pub lost: u64,
    /// Datagrams that arrived.
    pub delivered: u64,
    /// When the last one did.
    pub last_at: Option<Instant>,
}

impl SimNet {
    /// A network around a gateway.
    #[must_use]
    pub fn new(seed: u64, gateway: IpAddr) -> Self {
        Self {
            chance: Chance::new(seed ^ 0x4E45_5457),
            in_flight: BinaryHeap::new(),
            number: 0,
            ways: HashMap::new(),
            gateway,
            translated: HashMap::new(),
            recent: VecDeque::new(),
            lost: 0,
            delivered: 0,
            last_at: None,
        }
    }

    /// What the way between this host and the gateway is like from now on, in both directions.
    pub fn set_link(&mut self, host: IpAddr, link: Link) {
        self.set_way(host, Towards::Gateway, link.clone());
        self.set_way(host, Towards::Host, link);
    }

    /// What one direction between this host and the gateway is like from now on.
    pub fn set_way(&mut self, host: IpAddr, towards: Towards, link: Link) {
        self.ways.entry((host, towards)).or_default().link = link;
    }

    /// Nothing passes between this host and the gateway until then.
    pub fn black_out(&mut self, host: IpAddr, until: Instant) {
        self.black_out_way(host, Towards::Gateway, until);
        self.black_out_way(host, Towards::Host, until);
    }

    /// Nothing passes in this direction until then.
    pub fn black_out_way(&mut self, host: IpAddr, towards: Towards, until: Instant) {
        self.ways.entry((host, towards)).or_default().dark_until = Some(until);
    }

    /// The host's address looks like this outside, from now on; what goes to the address before that is lost.
    pub fn translate(&mut self, inner: SocketAddr, outer: SocketAddr) {
        self.translated.insert(inner, outer);
    }

    /// How many datagrams are under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// A datagram leaves.
    pub fn send(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let outwards = from.ip() == self.gateway;
        let (from, to) = if outwards {
            match self.inner(to) {
                Some(inner) => (from, inner),
                None => return self.lost += 1,
            }
        } else {
            (self.translated.get(&from).copied().unwrap_or(from), to)
        };
        let way = match outwards {
            true => (to.ip(), Towards::Host),
            false => (self.inner(from).unwrap_or(from).ip(), Towards::Gateway),
        };
        let way = self.ways.entry(way).or_default();
        let Some(at) = way.passes(now, &mut self.chance, bytes) else { return self.lost += 1 };
        let copies = 1 + u64::from(self.chance.happens(way.link.duplicate));
        let mut bytes = bytes.to_vec();
        if way.link.corrupt_media {
            link::corrupt(&mut bytes);
        }
        for copy in 0..copies {
            self.number += 1;
            let at = at + Duration::from_micros(copy * 1_500);
            self.in_flight.push(Reverse(InFlight { at, number: self.number, from, to, bytes: bytes.clone() }));
        }
    }

    /// A datagram from nowhere: it arrives at once, whatever it says it comes from.
    pub fn inject(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        self.number += 1;
        self.in_flight.push(Reverse(InFlight { at: now, number: self.number, from, to, bytes }));
    }

    /// The next datagram that has arrived.
    pub fn poll(&mut self, now: Instant) -> Option<Arrival> {
        if self.in_flight.peek()?.0.at > now {
            return None;
        }
        let Reverse(InFlight { from, to, bytes, .. }) = self.in_flight.pop()?;
        self.delivered += 1;
        self.last_at = Some(now);
        let arrival = Arrival { from, to, bytes };
        if to.ip() == self.gateway {
            self.recent.truncate(REMEMBERED - 1);
            self.recent.push_front(arrival.clone());
        }
        Some(arrival)
    }

    /// When the next datagram arrives.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.in_flight.peek().map(|next| next.0.at)
    }

    /// Who is behind an outer address; addresses without a translator are their own.
    fn inner(&self, outer: SocketAddr) -> Option<SocketAddr> {
        if let Some((inner, _)) = self.translated.iter().find(|(_, o)| **o == outer) {
            return Some(*inner);
        }
        // An address of a translator that no longer leads anywhere.
        let was_translated = self.translated.values().any(|o| o.ip() == outer.ip());
        (!was_translated).then_some(outer)
    }
}
