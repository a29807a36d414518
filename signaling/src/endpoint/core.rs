//! What every part of the endpoint works with: configuration, randomness, transactions, and the two queues out.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

use super::addresses::Addresses;
use super::connections::Connections;
use super::gate::{Gate, Passage};
use super::outside::Outside;
use super::receive::Reply;
use super::schedule::{Owner, Schedule};
use super::sending::{Finished, Sending};
use super::trace::{self, Tracer};
use super::transactions::{ClientMachine, Transactions, TxId, User};
use super::way::{Way, Ways};
use super::{EndpointConfig, EndpointStats, Event, LegId, StreamError, Transmit, Transport, compose};
use crate::admission::Guard;
use crate::message::{HeaderName, Headers, Method, Request, Response};
use crate::transaction::{Client, ClientInvite, ClientKey, Reaction, Reliability};

/// Datagrams that wait for `poll_transmit`; more are dropped, as the network would.
const MAX_TRANSMITS: usize = 16_384;
/// Provisional events are dropped while so many events wait; the others are few per leg.
const MAX_EVENTS: usize = 16_384;

pub(super) struct Core {
    pub(super) config: EndpointConfig,
    pub(super) transactions: Transactions,
    pub(super) schedule: Schedule,
    pub(super) stats: EndpointStats,
    pub(super) transmits: VecDeque<Transmit>,
    pub(super) events: VecDeque<Event>,
    pub(super) tracer: Tracer,
    /// Why the connection broke whose transactions fail just now.
    pub(super) cause: Option<StreamError>,
    pub(super) addresses: Addresses,
    pub(super) outside: Outside,
    pub(super) connections: Connections,
    gate: Gate,
    pub(super) ways: Ways,
    rng: StdRng,
    /// Makes To tags of stateless answers: the same for each copy of a request, not to be foretold by others.
    secret: [u8; 32],
    /// Who may begin something; `None`: everybody.
    pub(super) guard: Option<Box<Guard>>,
}

impl Core {
    pub(super) fn new(mut config: EndpointConfig, seed: [u8; 32]) -> Self {
        // A retransmit interval of nothing would never let time pass.
        config.timers.t1 = config.timers.t1.max(Duration::from_millis(1));
        config.timers.t2 = config.timers.t2.max(config.timers.t1);
        let mut rng = StdRng::from_seed(seed);
        let mut secret = [0; 32];
        rng.fill_bytes(&mut secret);
        Self {
            addresses: Addresses::new(config.advertised),
            outside: Outside::default(),
            connections: Connections::default(),
            config,
            transactions: Transactions::default(),
            schedule: Schedule::default(),
            stats: EndpointStats::default(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            tracer: Tracer::default(),
            cause: None,
            gate: Gate::default(),
            ways: Ways::default(),
            rng,
            secret,
            guard: None,
        }
    }

    /// 96 random bits in hex: a tag, branch or Call-ID that nobody guesses.
    pub(super) fn token(&mut self) -> String {
        format!("{:016x}{:08x}", self.rng.next_u64(), self.rng.next_u32())
    }

    /// 256 random bits, for what has to be kept from others.
    pub(super) fn secret(&mut self) -> [u8; 32] {
        let mut secret = [0; 32];
        self.rng.fill_bytes(&mut secret);
        secret
    }

    pub(super) fn random_u64(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// Random, up to `steps` times 10 ms (the unit of RFC 3261 section 14.1).
    pub(super) fn random_delay(&mut self, steps: u32) -> Duration {
        Duration::from_millis(10).saturating_mul(self.rng.next_u32() % steps.saturating_add(1))
    }

    /// To tag of a stateless answer (RFC 3261 section 8.2.7).
    pub(super) fn stateless_tag(&self, headers: &Headers) -> String {
        let mut hash = Sha256::new();
        hash.update(self.secret);
        for name in [HeaderName::CallId, HeaderName::From, HeaderName::CSeq] {
            hash.update(headers.get(&name).map_or(&b""[..], |value| value));
            hash.update([0]);
        }
        hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    pub(super) fn event(&mut self, event: Event) {
        let is_provisional = matches!(event, Event::Provisional { .. } | Event::Trying { .. });
        if is_provisional && self.is_choked() {
            self.stats.dropped += 1;
            return;
        }
        self.events.push_back(event);
    }

    /// Whether the caller lags so far behind that nothing new is to be begun.
    pub(super) fn is_choked(&self) -> bool {
        self.events.len().saturating_sub(self.tracer.waiting) >= MAX_EVENTS
    }

    /// Sends a message, of a leg or of none.
    pub(super) fn send_over(&mut self, way: Way, leg: Option<LegId>, to: SocketAddr, bytes: Bytes) {
        self.trace(leg, &bytes, to, true, false);
        self.put(way, leg, to, bytes);
    }

    /// Sends a message that was sent before.
    pub(super) fn resend_over(&mut self, way: Way, leg: Option<LegId>, to: SocketAddr, bytes: Bytes) {
        // What it repeats has not left yet.
        if leg.is_some_and(|leg| self.gate.is_held(leg)) {
            return;
        }
        self.stats.retransmitted += 1;
        self.trace(leg, &bytes, to, true, true);
        self.put(way, leg, to, bytes);
    }

    /// Sends an answer the way its request came.
    pub(super) fn send_reply(&mut self, leg: Option<LegId>, reply: Reply, bytes: Bytes) {
        let to = self.connections.answer_at(reply);
        self.send_over(reply.way, leg, to, bytes);
    }

    pub(super) fn resend_reply(&mut self, leg: LegId, reply: Reply, bytes: Bytes) {
        let to = self.connections.answer_at(reply);
        self.resend_over(reply.way, Some(leg), to, bytes);
    }

    /// Tells a message of a leg.
    pub(super) fn trace(&mut self, leg: Option<LegId>, bytes: &Bytes, peer: SocketAddr, outgoing: bool, again: bool) {
        let Some(leg) = leg.filter(|_| self.config.trace) else { return };
        match self.tracer.admit(leg) {
            Some(true) => {
                let traced = Box::new(trace::describe(bytes, peer, outgoing, again));
                self.events.push_back(Event::Traced { leg, traced });
            }
            Some(false) => self.stats.untold += 1,
            None => {}
        }
    }

    pub(super) fn way_of(&self, over: &Transport) -> Option<Way> {
        self.ways.find(over)
    }

    pub(super) fn learn_way(&mut self, over: &Transport) -> Option<Way> {
        self.ways.learn(over)
    }

    /// Holds back what a leg sends, if snapshots are told; the number of this telling.
    pub(super) fn hold(&mut self, now: Instant, leg: LegId) -> Option<u64> {
        let limit = self.config.snapshots?;
        self.schedule.set(Owner::Gate(leg), Some((now + limit, "leg: its snapshot is not kept")));
        Some(self.gate.hold(leg))
    }

    /// Lets go what was held back.
    pub(super) fn release(&mut self, leg: LegId, serial: Option<u64>) {
        let waiting = self.gate.open(leg, serial);
        if !self.gate.is_held(leg) {
            self.schedule.set(Owner::Gate(leg), None);
        }
        for (way, to, bytes) in waiting {
            self.put(way, None, to, bytes);
        }
    }

    /// Nobody has kept the snapshot in time: a slow disk does not hold up calls.
    pub(super) fn give_up_holding(&mut self, leg: LegId) {
        self.stats.unkept += 1;
        self.release(leg, None);
    }

    /// A leg is settled.
    pub(super) fn forget_snapshot(&mut self, leg: LegId, call_id: &Bytes) {
        self.release(leg, None);
        if self.config.snapshots.is_some() {
            self.event(Event::Snapshot { leg, call_id: call_id.clone(), serial: 0, snapshot: None });
        }
    }

    /// What carries a leg.
    pub(super) fn transport(&self, leg: LegId) -> Transport {
        self.ways.transport(Way::of(leg)).cloned().unwrap_or(Transport::Udp)
    }

    pub(super) fn reliability(&self, way: Way) -> Reliability {
        self.ways.transport(way).map_or(Reliability::Unreliable, Transport::reliability)
    }

    /// What a leg's peer there is told to reach us by.
    pub(super) fn contact(&self, leg: LegId, to: SocketAddr) -> String {
        let over = self.ways.transport(Way::of(leg)).unwrap_or(&Transport::Udp);
        compose::contact_over(self.told(over, to.ip()), over)
    }

    /// Where a peer there is told to reach us over this transport.
    pub(super) fn told(&self, over: &Transport, peer: IpAddr) -> SocketAddr {
        let outside = self.outside.of(peer).filter(|_| *over == Transport::Udp);
        outside.unwrap_or_else(|| self.addresses.toward(over, peer))
    }

    /// What the answer to a request that went there tells of where we are.
    pub(super) fn look_outside(&mut self, now: Instant, to: SocketAddr, way: Way, answer: &Headers) {
        if way == Way::UDP {
            let own = self.addresses.toward(&Transport::Udp, to.ip());
            self.stats.moved += u64::from(self.outside.note(now, to.ip(), own, answer));
        }
    }

    pub(super) fn set_contact(&self, leg: LegId, to: SocketAddr, headers: &mut Headers) {
        let open = compose::contact(self.config.advertised);
        if headers.get(&HeaderName::Contact).is_some_and(|contact| *contact == open.as_bytes()) {
            headers.set(HeaderName::Contact, self.contact(leg, to));
        }
    }

    fn put(&mut self, way: Way, leg: Option<LegId>, to: SocketAddr, bytes: Bytes) {
        let passage = self.gate.pass(leg, (way, to), &bytes);
        if passage == Passage::Waits {
            return;
        }
        if passage == Passage::Dropped || self.transmits.len() >= MAX_TRANSMITS {
            self.stats.dropped += 1;
            return;
        }
        let Some(over) = self.ways.transport(way).cloned() else { return };
        self.stats.sent += 1;
        self.transmits.push_back(Transmit { to, over, bytes });
    }

    /// Sends an INVITE and starts its transaction.
    pub(super) fn send_invite(
        &mut self,
        now: Instant,
        leg: LegId,
        request: Request,
        to: SocketAddr,
        user: impl FnOnce(Request) -> User,
    ) -> TxId {
        let may = self.connections.may(now, to);
        let Finished { request, branch, sending } = self.finish_request(leg, to, request, may);
        let reliability = self.reliability(sending.way);
        let machine = ClientInvite::new(now, sending.bytes.clone(), self.config.timers, reliability);
        let key = ClientKey { branch, method: Method::Invite };
        self.start(key, ClientMachine::Invite(machine), sending, to, user(request))
    }

    /// Sends any other request inside a dialog and starts its transaction.
    pub(super) fn send_other(&mut self, now: Instant, request: Request, to: SocketAddr, user: User) -> TxId {
        let may = self.connections.may(now, to);
        let Finished { request, branch, sending } = self.finish_request(user.leg(), to, request, may);
        self.start_over(now, ClientKey { branch, method: request.method }, sending, to, user)
    }

    pub(super) fn start_over(
        &mut self,
        now: Instant,
        key: ClientKey,
        sending: Sending,
        to: SocketAddr,
        user: User,
    ) -> TxId {
        let machine = Client::new(now, sending.bytes.clone(), self.config.timers, self.reliability(sending.way));
        self.start(key, ClientMachine::Other(machine), sending, to, user)
    }

    fn start(&mut self, key: ClientKey, machine: ClientMachine, sending: Sending, to: SocketAddr, user: User) -> TxId {
        let (leg, Sending { bytes, way, plain }) = (user.leg(), sending);
        let id = self.transactions.add_client(key, machine, to, user);
        if let Some(transaction) = self.transactions.client(id) {
            (transaction.way, transaction.plain) = (way, plain);
        }
        self.send_over(way, Some(leg), to, bytes);
        self.reschedule_client(id);
        id
    }

    /// After each input of a client transaction: its next deadline, or its end.
    pub(super) fn reschedule_client(&mut self, id: TxId) {
        let Some(transaction) = self.transactions.client(id) else { return };
        let deadline = transaction.poll_timeout();
        if transaction.is_terminated() {
            self.transactions.remove_client(id);
            self.schedule.set(Owner::Client(id), None);
        } else {
            self.schedule.set(Owner::Client(id), deadline);
        }
    }

    pub(super) fn reschedule_server(&mut self, id: TxId) {
        let Some(transaction) = self.transactions.server(id) else { return };
        let deadline = transaction.poll_timeout();
        if transaction.is_terminated() {
            self.transactions.remove_server(id);
            self.schedule.set(Owner::Server(id), None);
        } else {
            self.schedule.set(Owner::Server(id), deadline);
        }
    }

    /// Answers inside a server transaction. Gives the bytes, for a 2xx that has to be repeated.
    pub(super) fn answer(&mut self, now: Instant, id: TxId, mut response: Response) -> Bytes {
        response.headers.push(HeaderName::Server, self.config.user_agent.clone());
        if let Some((leg, reply)) = self.transactions.server(id).map(|server| (server.leg, server.reply)) {
            self.set_contact(leg, reply.to, &mut response.headers);
        }
        let status = response.status;
        let bytes = response.to_bytes();
        if let Some(transaction) = self.transactions.server(id) {
            let (reply, leg) = (transaction.reply, transaction.leg);
            let Reaction { transmit, .. } = transaction.handle_answer(now, status, bytes.clone());
            if let Some(bytes) = transmit {
                self.send_reply(Some(leg), reply, bytes);
            }
            self.reschedule_server(id);
        }
        bytes
    }
}
