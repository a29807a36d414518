//! The network between the gateway and everybody else: datagrams under way in a heap, one link per host, address
//! translators in front of some.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::chance::Chance;

/// Datagrams under way at once; more is a storm, which no scenario wants.
pub const MAX_IN_FLIGHT: usize = 20_000;

/// Datagrams to the gateway that are remembered.
const REMEMBERED: usize = 256;

/// What a slow link holds back before it drops, in time.
const LINK_QUEUE: Duration = Duration::from_millis(400);

/// How datagrams get lost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Loss {
    /// Each alike, with this probability.
    Random(f64),
    /// Gilbert–Elliott: a good state that loses nothing, a bad one that loses all; probabilities per datagram.
    Burst {
        /// From good to bad.
        enter: f64,
        /// From bad to good; its inverse is the mean length of a burst.
        leave: f64,
    },
}

impl Loss {
    /// This fraction is lost, in bursts of `length` datagrams on average.
    #[must_use]
    pub fn bursty(fraction: f64, length: f64) -> Self {
        let leave = 1.0 / length;
        Self::Burst { enter: leave * fraction / (1.0 - fraction), leave }
    }
}

/// What a host's way to the gateway is like, in each direction.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// One way.
    pub delay: Duration,
    /// At most this much more, evenly spread; may overtake.
    pub jitter: Duration,
    /// What is lost.
    pub loss: Loss,
    /// Probability that a datagram comes twice.
    pub duplicate: f64,
    /// Probability that a datagram is held up by 10 to 50 ms, so that later ones overtake it.
    pub reorder: f64,
    /// Octets per second; `None`: no limit.
    pub rate: Option<f64>,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(15),
            jitter: Duration::ZERO,
            loss: Loss::Random(0.0),
            duplicate: 0.0,
            reorder: 0.0,
            rate: None,
        }
    }
}

impl Link {
    /// A good line.
    #[must_use]
    pub fn good() -> Self {
        Self::default()
    }

    /// A phone in a train: 60 ms, up to 30 ms jitter.
    #[must_use]
    pub fn mobile() -> Self {
        Self { delay: Duration::from_millis(60), jitter: Duration::from_millis(30), ..Self::default() }
    }

    /// With this loss.
    #[must_use]
    pub fn loss(self, loss: Loss) -> Self {
        Self { loss, ..self }
    }

    /// With this many datagrams twice and this many overtaken.
    #[must_use]
    pub fn shuffled(self, duplicate: f64, reorder: f64) -> Self {
        Self { duplicate, reorder, ..self }
    }
}

/// One direction of a link.
#[derive(Debug, Default)]
struct Way {
    in_burst: bool,
    busy_until: Option<Instant>,
    /// No datagram passes until then.
    dark_until: Option<Instant>,
}

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
    links: BTreeMap<IpAddr, Link>,
    ways: HashMap<(IpAddr, bool), Way>,
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
            links: BTreeMap::new(),
            ways: HashMap::new(),
            gateway,
            translated: HashMap::new(),
            recent: VecDeque::new(),
            lost: 0,
            delivered: 0,
            last_at: None,
        }
    }

    /// What the way between this host and the gateway is like from now on.
    pub fn set_link(&mut self, host: IpAddr, link: Link) {
        self.links.insert(host, link);
    }

    /// Nothing passes between this host and the gateway until then.
    pub fn black_out(&mut self, host: IpAddr, until: Instant) {
        for outwards in [true, false] {
            self.ways.entry((host, outwards)).or_default().dark_until = Some(until);
        }
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
        let host = if outwards { to.ip() } else { self.inner(from).unwrap_or(from).ip() };
        let link = self.links.get(&host).cloned().unwrap_or_default();
        let Some(at) = self.passes(now, (host, outwards), &link, bytes.len()) else { return self.lost += 1 };
        let copies = 1 + u64::from(self.chance.happens(link.duplicate));
        for copy in 0..copies {
            self.number += 1;
            let at = at + Duration::from_micros(copy * 1_500);
            self.in_flight.push(Reverse(InFlight { at, number: self.number, from, to, bytes: bytes.to_vec() }));
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

    /// When a datagram arrives, if it does.
    fn passes(&mut self, now: Instant, way: (IpAddr, bool), link: &Link, length: usize) -> Option<Instant> {
        let way = self.ways.entry(way).or_default();
        if way.dark_until.is_some_and(|until| now < until) {
            return None;
        }
        let lost = match link.loss {
            Loss::Random(probability) => self.chance.happens(probability),
            Loss::Burst { enter, leave } => {
                let turn = if way.in_burst { leave } else { enter };
                way.in_burst ^= self.chance.happens(turn);
                way.in_burst
            }
        };
        if lost {
            return None;
        }
        let mut leaves = now;
        if let Some(rate) = link.rate {
            let begins = way.busy_until.map_or(now, |until| until.max(now));
            if begins.saturating_duration_since(now) > LINK_QUEUE {
                return None;
            }
            leaves = begins + Duration::from_secs_f64(length as f64 / rate);
            way.busy_until = Some(leaves);
        }
        let mut at = leaves + link.delay + link.jitter.mul_f64(self.chance.fraction());
        if self.chance.happens(link.reorder) {
            at += Duration::from_millis(10 + self.chance.below(40));
        }
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn net() -> (SimNet, Instant) {
        (SimNet::new(1, at("192.0.2.10:1").ip()), Instant::now())
    }

    fn lost_of(link: Link, sent: u32) -> f64 {
        let (mut net, now) = net();
        net.set_link(at("10.0.0.1:1").ip(), link);
        for _ in 0..sent {
            net.send(now, at("10.0.0.1:1"), at("192.0.2.10:5"), b"x");
        }
        net.lost as f64 / f64::from(sent)
    }

    #[test]
    fn links_lose_what_they_say() {
        assert!((lost_of(Link::good(), 1000)).abs() < 1e-9);
        assert!((lost_of(Link::good().loss(Loss::Random(0.2)), 20_000) - 0.2).abs() < 0.02);
        assert!((lost_of(Link::good().loss(Loss::bursty(0.05, 4.0)), 50_000) - 0.05).abs() < 0.01);
    }

    #[test]
    fn a_translator_shows_its_own_address_and_forgets_the_one_before() {
        let (mut net, now) = net();
        let (inner, gateway) = (at("10.0.0.1:50000"), at("192.0.2.10:20000"));
        net.translate(inner, at("198.51.100.1:40000"));
        net.send(now, inner, gateway, b"up");
        let later = now + Duration::from_secs(1);
        let arrival = net.poll(later).unwrap();
        assert_eq!((arrival.from, arrival.to), (at("198.51.100.1:40000"), gateway));
        net.translate(inner, at("198.51.100.1:40001"));
        net.send(later, gateway, at("198.51.100.1:40000"), b"lost");
        net.send(later, gateway, at("198.51.100.1:40001"), b"down");
        let arrival = net.poll(later + Duration::from_secs(1)).unwrap();
        assert_eq!((arrival.to, arrival.bytes.as_slice()), (inner, b"down".as_slice()));
        assert!(net.poll(later + Duration::from_secs(1)).is_none());
    }

    #[test]
    fn a_blackout_takes_everything_and_ends() {
        let (mut net, now) = net();
        net.black_out(at("10.0.0.1:1").ip(), now + Duration::from_secs(10));
        net.send(now, at("10.0.0.1:1"), at("192.0.2.10:5"), b"x");
        assert_eq!((net.in_flight(), net.lost), (0, 1));
        net.send(now + Duration::from_secs(10), at("10.0.0.1:1"), at("192.0.2.10:5"), b"x");
        assert_eq!(net.in_flight(), 1);
    }
}
