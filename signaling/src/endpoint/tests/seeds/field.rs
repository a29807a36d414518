//! A caller, phones, and the network between them: everything that happens comes out of one seed.

use super::people::{Act, Faults, Life, Manners, Node};
use super::proxy::Proxy;
use super::streams::{Side, Streams};
use super::*;
use crate::transport::tests::handshakes::refused_without_a_network;

enum Arrival {
    Datagram { from: SocketAddr, to: SocketAddr, bytes: Bytes },
    Accepted { stream: u64 },
    Message { stream: u64, to: Side, bytes: Bytes },
    Broken { node: SocketAddr, peer: SocketAddr, error: StreamError },
}

pub(super) struct Field {
    pub(super) now: Instant,
    pub(super) start: Instant,
    /// The first is the caller.
    pub(super) nodes: Vec<Node>,
    pub(super) proxy: Option<Proxy>,
    pub(super) rng: StdRng,
    pub(super) faults: Faults,
    pub(super) log: Vec<String>,
    wire: BTreeMap<(Instant, u64), Arrival>,
    streams: Streams,
    acts: BTreeMap<(Instant, u64), (usize, Act)>,
    serial: u64,
}

impl Field {
    pub(super) fn new(mut rng: StdRng, manners: &[Manners], faults: Faults) -> Self {
        let now = World::new(0).now;
        let silent = Manners { rings_after: None, answers: None };
        let node = |(index, manners): (usize, &Manners)| {
            let address: SocketAddr = format!("203.0.113.{}:5060", index + 1).parse().unwrap();
            let end = endpoint(address, &mut rng);
            Node { address, end, manners: *manners, lives: BTreeMap::new(), done: None, clear: None }
        };
        let nodes: Vec<_> = std::iter::once(&silent).chain(manners).enumerate().map(node).collect();
        let phones: Vec<_> = nodes.iter().skip(1).map(|node| node.address).collect();
        let proxy = (phones.len() > 1).then(|| Proxy::new(phones));
        Self {
            now,
            start: now,
            nodes,
            proxy,
            rng,
            faults,
            log: Vec::new(),
            wire: BTreeMap::new(),
            streams: Streams::default(),
            acts: BTreeMap::new(),
            serial: 0,
        }
    }

    pub(super) fn at(&mut self, after: Duration, node: usize, act: Act) {
        self.serial += 1;
        self.acts.insert((self.start + after, self.serial), (node, act));
    }

    fn soon(&mut self, after: Duration, node: usize, act: Act) {
        self.serial += 1;
        self.acts.insert((self.now + after, self.serial), (node, act));
    }

    pub(super) fn run_until(&mut self, after: Duration) {
        let end = self.start + after;
        for _ in 0..100_000 {
            self.drain();
            let timers = self.nodes.iter().filter_map(|node| node.end.poll_timeout().map(|(at, _)| at));
            let first = [self.wire.keys().next(), self.acts.keys().next()].into_iter().flatten().map(|(at, _)| *at);
            let Some(next) = timers.chain(first).min().filter(|next| *next <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            while let Some(entry) = self.wire.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let arrival = entry.remove();
                self.deliver(arrival);
            }
            while let Some(entry) = self.acts.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let (node, act) = entry.remove();
                self.drain();
                self.act(node, act);
            }
            for node in &mut self.nodes {
                node.end.handle_timeout(self.now);
            }
        }
        panic!("no end: {}", self.tell());
    }

    /// What happened, for who has to find out why.
    pub(super) fn tell(&self) -> String {
        self.log.join("\n")
    }

    fn ms(&self) -> u128 {
        (self.now - self.start).as_millis()
    }

    fn deliver(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Datagram { from, to, bytes } => self.deliver_datagram(from, to, bytes),
            Arrival::Accepted { stream } => {
                if let Some((node, peer)) = self.streams.at(stream, Side::Acceptor)
                    && let Some(node) = self.node(node)
                {
                    node.end.handle_accepted(peer, &Transport::Tcp);
                }
            }
            Arrival::Message { stream, to, bytes } => {
                let now = self.now;
                if let Some((node, peer)) = self.streams.at(stream, to)
                    && let Some(node) = self.node(node)
                {
                    node.end.handle_message(now, peer, &Transport::Tcp, bytes);
                }
            }
            Arrival::Broken { node, peer, error } => {
                let (now, over) = (self.now, self.faults.over.clone());
                if let Some(node) = self.node(node) {
                    node.end.handle_stream_error(now, peer, &over, error);
                }
            }
        }
    }

    fn node(&mut self, address: SocketAddr) -> Option<&mut Node> {
        self.nodes.iter_mut().find(|node| node.address == address)
    }

    fn deliver_datagram(&mut self, from: SocketAddr, to: SocketAddr, bytes: Bytes) {
        let now = self.now;
        if let Some(node) = self.node(to) {
            return node.end.handle_datagram(now, from, bytes);
        }
        let proxy = self.proxy.as_mut().expect("sent to a stranger");
        for (to, bytes) in proxy.handle(from, bytes) {
            let is_of_its_hop = !is_of_both_ends(&bytes);
            self.send(proxy::ADDRESS.parse().unwrap(), to, bytes, is_of_its_hop);
        }
    }

    fn is_dark(&self) -> bool {
        let since = self.now - self.start;
        self.faults.dark.is_some_and(|(from, to)| (from..to).contains(&since))
    }

    fn later(&mut self, at: Instant, arrival: Arrival) {
        self.serial += 1;
        self.wire.insert((at, self.serial), arrival);
    }

    fn latency(&mut self) -> Duration {
        let latency = &self.faults.latency_ms;
        ms(latency.start + self.rng.next_u64() % (latency.end - latency.start))
    }

    /// Sends along a connection, which is opened where there is none.
    fn send_along(&mut self, from: SocketAddr, to: SocketAddr, bytes: Bytes) {
        let line = String::from_utf8_lossy(&bytes).lines().next().unwrap_or_default().to_owned();
        self.log.push(format!("{:>6} {from} => {to} {line}", self.ms()));
        let (now, is_dark, latency) = (self.now, self.is_dark(), self.latency());
        let found = self.streams.find(from, to);
        if let (None, Transport::Tls(_)) = (found, &self.faults.over) {
            let error = StreamError::Tls(refused_without_a_network(|| self.rng.next_u64()));
            return self.later(now + latency, Arrival::Broken { node: from, peer: to, error });
        }
        if found.is_none() && (is_dark || self.node(to).is_none()) {
            let (after, error) =
                if is_dark { (secs(4), StreamError::TimedOut) } else { (latency, StreamError::Unreachable) };
            return self.later(now + after, Arrival::Broken { node: from, peer: to, error });
        }
        let (stream, side) = found.unwrap_or_else(|| {
            let stream = self.streams.open(from, to);
            self.later(now + latency, Arrival::Accepted { stream });
            (stream, Side::Acceptor)
        });
        // What is sent into a connection that died unnoticed is lost with it.
        if !is_dark {
            let at = self.streams.in_order(stream, side, now + latency);
            self.later(at, Arrival::Message { stream, to: side, bytes });
        }
    }

    /// Connections, all or those of one node, are no more; each end that is left finds out.
    fn break_streams(&mut self, of: Option<SocketAddr>) {
        for (node, peer) in self.streams.cut(of) {
            if of != Some(node) {
                self.later(self.now, Arrival::Broken { node, peer, error: StreamError::Lost });
            }
        }
    }

    fn drain(&mut self) {
        for index in 0..self.nodes.len() {
            while let Some(event) = self.nodes[index].end.poll_event() {
                self.note(index, &event);
            }
            let from = self.nodes[index].address;
            while let Some(transmit) = self.nodes[index].end.poll_transmit() {
                match transmit.over {
                    Transport::Udp => self.send(from, transmit.to, transmit.bytes, false),
                    Transport::Tcp | Transport::Tls(_) => self.send_along(from, transmit.to, transmit.bytes),
                }
            }
            let node = &mut self.nodes[index];
            for life in node.lives.values_mut().filter(|life| life.is_over()) {
                life.over_at.get_or_insert(self.now);
            }
            let is_done = node.lives.values().all(Life::is_over);
            let is_clear = node.end.stats().legs == 0;
            node.done = is_done.then_some(node.done.unwrap_or(self.now));
            node.clear = is_clear.then_some(node.clear.unwrap_or(self.now));
        }
    }

    fn send(&mut self, from: SocketAddr, to: SocketAddr, bytes: Bytes, is_sure: bool) {
        let line = String::from_utf8_lossy(&bytes).lines().next().unwrap_or_default().to_owned();
        let fate = if is_sure { 1 } else { self.fate(&bytes) };
        self.log.push(format!("{:>6} {from} -> {to} x{fate} {line}", self.ms()));
        for _ in 0..fate {
            let at = self.now + self.latency();
            self.later(at, Arrival::Datagram { from, to, bytes: bytes.clone() });
        }
    }

    /// How often it arrives.
    fn fate(&mut self, bytes: &Bytes) -> usize {
        if self.is_dark() {
            return 0;
        }
        if let Some((start, method, times)) = &mut self.faults.swallowed
            && *times > 0
            && bytes.starts_with(start.as_bytes())
            && cseq_method(&String::from_utf8_lossy(bytes)) == *method
        {
            *times -= 1;
            return 0;
        }
        let dice = self.rng.next_u32() % 1000;
        if dice < self.faults.lost {
            0
        } else if dice < self.faults.lost + self.faults.doubled {
            2
        } else {
            1
        }
    }

    fn act(&mut self, index: usize, act: Act) {
        let (now, ms) = (self.now, self.ms());
        self.log.push(format!("{ms:>6} node {index}: {act:?}"));
        if act == Act::Restart {
            let end = endpoint(self.nodes[index].address, &mut self.rng);
            self.nodes[index].end = end;
            self.break_streams(Some(self.nodes[index].address));
            // What it knew is gone with it.
            return self.nodes[index].lives.clear();
        }
        if act == Act::Break {
            return self.break_streams(None);
        }
        let over = self.faults.over.clone();
        let target = self.proxy.as_ref().map_or(self.nodes[1].address, |_| proxy::ADDRESS.parse().unwrap());
        let Node { end, lives, .. } = &mut self.nodes[index];
        // Whatever is too late is refused, and that is all.
        match act {
            Act::Dial => {
                let leg = end.invite(now, Invite { over, ..call(target) }).unwrap();
                lives.insert(leg, Life { is_ours: true, ..Life::default() });
            }
            Act::Ring(leg) => drop(end.ring(now, leg, 180, None)),
            Act::Accept(leg) => {
                if end.accept(now, leg, answer()).is_ok()
                    && let Some(life) = lives.get_mut(&leg)
                {
                    life.is_answered = true;
                }
            }
            Act::Reject(leg, status) => {
                if end.reject(now, leg, status).is_ok()
                    && let Some(life) = lives.get_mut(&leg)
                {
                    life.ends.push(format!("refused {status}"));
                }
            }
            Act::Answer(leg, status) => drop(end.answer_offer(now, leg, status.map_or_else(|| Ok(answer()), Err))),
            Act::Offer => {
                for leg in lives.keys() {
                    let _ = end.reinvite(now, *leg, answer());
                }
            }
            Act::HangUp => {
                for (leg, life) in lives.iter_mut().filter(|(_, life)| !life.is_over() && !life.is_given_up) {
                    end.hangup(now, *leg, None).unwrap_or_else(|error| panic!("{error}: {}", self.log.join("\n")));
                    // An unanswered call of ours says itself how it ended.
                    life.is_given_up = true;
                    life.waits_for_ack = !life.is_ours && life.is_answered && !life.is_confirmed;
                    if !life.is_ours || life.is_answered {
                        life.ends.push("hung up".into());
                    }
                }
            }
            Act::Restart | Act::Break => {}
        }
    }

    fn note(&mut self, index: usize, event: &Event) {
        let (leg, what, ms) = (leg_of(event), name(event), self.ms());
        self.log.push(format!("{ms:>6} node {index}: {what}"));
        if let Event::Incoming { .. } = event {
            self.nodes[index].lives.insert(leg, Life::default());
            let Manners { rings_after, answers } = self.nodes[index].manners;
            if let Some(after) = rings_after {
                self.soon(after, index, Act::Ring(leg));
            }
            match answers {
                Some((after, 200)) => self.soon(after, index, Act::Accept(leg)),
                Some((after, status)) => self.soon(after, index, Act::Reject(leg, status)),
                None => {}
            }
            return;
        }
        let tale = format!("node {index}: {what} after the end\n{}", self.log.join("\n"));
        let life = self.nodes[index].lives.get_mut(&leg).expect("an event of no leg");
        assert!(!life.is_over(), "{tale}");
        if is_end(event) {
            life.ends.push(what);
        } else if matches!(event, Event::Answered { .. }) {
            life.is_answered = true;
        } else if matches!(event, Event::Confirmed { .. }) {
            life.is_confirmed = true;
        } else if matches!(event, Event::Offer { .. }) {
            let status = self.rng.next_u32().is_multiple_of(4).then_some(488);
            let after = Duration::from_millis(self.rng.next_u64() % 400);
            self.soon(after, index, Act::Answer(leg, status));
        }
    }
}

fn endpoint(address: SocketAddr, rng: &mut StdRng) -> Endpoint {
    let mut seed = [0; 32];
    rng.fill_bytes(&mut seed);
    Endpoint::new(EndpointConfig { advertised: address, ..config(A) }, seed)
}

/// A 2xx to INVITE, which both ends repeat until it is acknowledged, and 1xx, of which nothing depends on one.
fn is_of_both_ends(bytes: &Bytes) -> bool {
    bytes.starts_with(b"SIP/2.0 1") || bytes.starts_with(b"SIP/2.0 2")
}
