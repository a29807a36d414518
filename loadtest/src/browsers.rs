//! The thread that drives the browsers' media: their sockets, their clocks, their voices.
#![allow(clippy::disallowed_methods)] // The edge: the clock is read here.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use mio::Waker;

use crate::browser::{Browser, Out};
use crate::control::{Control, Side};
use crate::reactor::{PACKET_TIME, Phase, Reactor, wall_ns};
use crate::scenario::weather::{Way, Weather};
use crate::stream::{Heard, Packet, Voice};
use crate::sys::{Arrived, Inbox};

/// A browser whose offer was answered.
pub(crate) struct Answered {
    /// The call's number.
    pub(crate) party: u32,
    pub(crate) browser: Browser,
    pub(crate) socket: UdpSocket,
    pub(crate) voice: Voice,
    pub(crate) phase: Phase,
    /// What its network does, if it does anything.
    pub(crate) weather: Option<Weather>,
}

/// What the thread is told.
enum Order {
    Add(Box<Answered>),
    Remove(u32),
}

/// What the thread brings home.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) heard: Heard,
    /// Packets sent, by call.
    pub(crate) sent: BTreeMap<u32, u32>,
    /// When ICE and DTLS were done, by call, nanoseconds since the Unix epoch.
    pub(crate) connected_ns: BTreeMap<u32, u64>,
    /// How late packets were sent, microseconds: how far this load generator can be trusted.
    pub(crate) lateness_us: Vec<u32>,
    /// Datagrams that browsers' networks lost, up and down.
    pub(crate) weathered: [u64; 2],
    /// Browsers that failed, and why.
    pub(crate) failures: Vec<String>,
}

/// Reaches the thread.
#[derive(Clone)]
pub(crate) struct Handle {
    queue: Sender<Order>,
    waker: Arc<Waker>,
}

impl Handle {
    /// Hands a browser over.
    pub(crate) fn add(&self, answered: Answered) -> Result<()> {
        self.order(Order::Add(Box::new(answered)))
    }

    /// Forgets a browser.
    pub(crate) fn remove(&self, party: u32) -> Result<()> {
        self.order(Order::Remove(party))
    }

    fn order(&self, order: Order) -> Result<()> {
        // overflow: unbounded, but never more than two for each call asked for.
        self.queue.send(order).ok().context("the browser thread is gone")?;
        Ok(self.waker.wake()?)
    }
}

/// The running thread.
pub(crate) struct Browsers {
    pub(crate) handle: Handle,
    thread: JoinHandle<Result<Report>>,
}

impl Browsers {
    pub(crate) fn start(control: Arc<Control>) -> Result<Self> {
        let reactor = Reactor::new()?;
        let waker = reactor.waker();
        let (queue, orders) = channel();
        let ground = Ground { control, report: Report::default() };
        let drive = Drive { reactor, peers: BTreeMap::new(), inbox: Inbox::new(8), ground };
        let thread = std::thread::Builder::new().name("browsers".into()).spawn(move || drive.run(&orders))?;
        Ok(Self { handle: Handle { queue, waker }, thread })
    }

    /// Waits for the thread; [`Control::end`] comes first.
    pub(crate) fn join(self) -> Result<Report> {
        let _ = self.handle.waker.wake();
        self.thread.join().ok().context("the browser thread panicked")?
    }
}

struct Peer {
    party: u32,
    browser: Browser,
    socket: UdpSocket,
    voice: Voice,
    phase: Phase,
    weather: Option<Weather>,
    /// When the next packet is due, once it may speak.
    speaks_at: Option<Instant>,
}

impl Peer {
    fn handle(&mut self, now: Instant, arrived: &Arrived<'_>, ground: &mut Ground) -> Result<Instant> {
        if let Some(weather) = &mut self.weather {
            weather.take(now, Way::Down, arrived.from, arrived.bytes.to_vec());
            return self.tick(now, ground);
        }
        self.browser.handle_datagram(now, arrived.from, arrived.bytes)?;
        let next = self.drain(now, arrived.at_ns, ground)?;
        // Until it is connected its clock runs with every datagram: the pause of 50 ms between its checks (RFC 8445
        // section 14.2, the default of Ta) is its own, and not what is measured.
        if self.browser.is_connected() { Ok(next) } else { self.tick(now, ground) }
    }

    fn tick(&mut self, now: Instant, ground: &mut Ground) -> Result<Instant> {
        if ground.control.is_hushed() {
            self.speaks_at = None;
        }
        if let Some(due) = self.speaks_at.filter(|due| *due <= now) {
            let late_us = now.saturating_duration_since(due).as_micros();
            ground.report.lateness_us.push(u32::try_from(late_us).unwrap_or(u32::MAX));
            self.browser.say(now, wall_ns(), &mut self.voice);
            // The first packet leaves at once; the others keep to their phase.
            let first = self.voice.count == 1;
            self.speaks_at = Some(if first { self.phase.after(now) } else { due + PACKET_TIME });
        }
        self.browser.handle_timeout(now)?;
        let next = self.drain(now, 0, ground)?;
        self.let_through(now, next, ground)
    }

    /// What was under way and has arrived; when this peer wants to be called.
    fn let_through(&mut self, now: Instant, mut next: Instant, ground: &mut Ground) -> Result<Instant> {
        while let Some(arrived) = self.weather.as_mut().and_then(|weather| weather.arrived(now)) {
            if arrived.is_up {
                drop(self.socket.send_to(&arrived.bytes, arrived.peer));
                continue;
            }
            self.browser.handle_datagram(now, arrived.peer, &arrived.bytes)?;
            next = self.drain(now, wall_ns(), ground)?;
        }
        let under_way = self.weather.as_ref().and_then(Weather::next);
        Ok(under_way.map_or(next, |at| at.min(next)))
    }

    /// Carries out what the browser wants; when it wants to be called.
    fn drain(&mut self, now: Instant, at_ns: u64, ground: &mut Ground) -> Result<Instant> {
        loop {
            match self.browser.poll()? {
                // What the kernel does not take is lost, and is missed at the other end.
                Out::Send(to, bytes) => match &mut self.weather {
                    Some(weather) => weather.take(now, Way::Up, to, bytes),
                    None => drop(self.socket.send_to(&bytes, to)),
                },
                Out::Connected => {
                    ground.report.connected_ns.insert(self.party, wall_ns());
                    self.speaks_at = Some(now);
                }
                Out::Audio(packet) => {
                    let packet = Packet {
                        payload_type: *packet.header.payload_type,
                        sequence: packet.header.sequence_number,
                        timestamp: packet.header.timestamp,
                        payload: &packet.payload,
                    };
                    let measuring = ground.control.is_measuring();
                    if ground.report.heard.hear(self.party, packet, at_ns, measuring) {
                        ground.control.hears(Side::Browser);
                    }
                }
                // A browser that speaks is driven often enough by that.
                Out::Wait(at) => return Ok(self.speaks_at.unwrap_or(at)),
                Out::Gone => bail!("the connection is gone"),
            }
        }
    }
}

/// What all peers of the thread write to.
struct Ground {
    control: Arc<Control>,
    report: Report,
}

struct Drive {
    reactor: Reactor,
    peers: BTreeMap<usize, Peer>,
    inbox: Inbox,
    ground: Ground,
}

impl Drive {
    fn run(mut self, orders: &Receiver<Order>) -> Result<Report> {
        let mut ready = Vec::new();
        while !self.ground.control.is_over() {
            self.reactor.wait(&mut ready)?;
            while let Ok(order) = orders.try_recv() {
                match order {
                    Order::Add(answered) => self.add(*answered)?,
                    Order::Remove(party) => self.remove(party as usize),
                }
            }
            for token in ready.drain(..) {
                self.read(token);
            }
            let now = Instant::now();
            while let Some(who) = self.reactor.pop_due(now) {
                self.tick(who);
            }
        }
        for who in self.peers.keys().copied().collect::<Vec<_>>() {
            self.remove(who);
        }
        Ok(self.ground.report)
    }

    fn add(&mut self, answered: Answered) -> Result<()> {
        let Answered { party, browser, socket, voice, phase, weather } = answered;
        let who = party as usize;
        self.reactor.watch(&socket, who)?;
        self.peers.insert(who, Peer { party, browser, socket, voice, phase, weather, speaks_at: None });
        self.tick(who);
        Ok(())
    }

    fn tick(&mut self, who: usize) {
        if let Some(peer) = self.peers.get_mut(&who) {
            let ticked = peer.tick(Instant::now(), &mut self.ground);
            self.settle(who, ticked);
        }
    }

    fn read(&mut self, who: usize) {
        while let Some(peer) = self.peers.get_mut(&who) {
            let now = Instant::now();
            let count = self.inbox.receive(&peer.socket).unwrap_or_default();
            let mut outcome = None;
            for nth in 0..count {
                if let Some(arrived) = self.inbox.datagram(nth)
                    && !matches!(outcome, Some(Err(_)))
                {
                    outcome = Some(peer.handle(now, &arrived, &mut self.ground));
                }
            }
            let Some(outcome) = outcome else { return };
            self.settle(who, outcome);
            if count < self.inbox.slots() {
                return;
            }
        }
    }

    /// Notes when a peer wants to be called, or that it has failed.
    fn settle(&mut self, who: usize, outcome: Result<Instant>) {
        match outcome {
            Ok(at) => self.reactor.set(who, at),
            Err(error) => {
                self.remove(who);
                self.ground.report.failures.push(format!("call {who}: {error:#}"));
            }
        }
    }

    fn remove(&mut self, who: usize) {
        if let Some(peer) = self.peers.remove(&who) {
            self.ground.report.sent.insert(peer.party, peer.voice.count);
            let lost = peer.weather.map(|weather| weather.lost).unwrap_or_default();
            self.ground.report.weathered.iter_mut().zip(lost).for_each(|(sum, lost)| *sum += lost);
        }
    }
}
