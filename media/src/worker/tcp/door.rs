//! The door: takes browsers' connections and waits for the check that says whose they are.
#![allow(clippy::disallowed_methods)] // The edge: the clock is read here, once a wake-up.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};

use super::{Arrived, SharedCounters};
use crate::browser::demux::local_ufrag;
use crate::browser::framing::{Deframer, TooLong};

/// A browser's check follows its connection at once; whoever waits longer has nothing to say here.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connections that wait for their first frame, in all and from one address.
const WAITING: usize = 512;
const WAITING_EACH: usize = 32;

/// The kernel had no descriptor for a connection: it is asked again after this, for readiness is told once.
const RETRY: Duration = Duration::from_millis(500);

const WAKER: Token = Token(0);
const LISTENER: Token = Token(1);
const FIRST: usize = 2;

/// How the door is told to close, and where it is.
pub(in crate::worker) struct Doorbell {
    pub(in crate::worker) address: SocketAddr,
    pub(in crate::worker) counters: SharedCounters,
    waker: Waker,
    stop: Arc<AtomicBool>,
}

impl Doorbell {
    /// Ends the door's thread.
    pub(in crate::worker) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "cannot wake the thread that takes connections");
        }
    }
}

/// Takes connections until it is told to stop.
pub(in crate::worker) struct Door {
    poll: Poll,
    listener: TcpListener,
    stop: Arc<AtomicBool>,
    counters: SharedCounters,
    /// By number, which is the order they came in.
    waiting: BTreeMap<usize, Waiting>,
    next: usize,
    /// When to ask the kernel again.
    retry: Option<Instant>,
}

struct Waiting {
    socket: TcpStream,
    from: SocketAddr,
    until: Instant,
    deframer: Deframer,
}

/// What a connection has shown so far.
enum Shown {
    /// Not enough.
    Nothing,
    /// The call it wants to.
    Call(String),
    /// That it is none of ours.
    Nobody,
}

impl Door {
    /// Binds the address.
    pub(in crate::worker) fn open(address: SocketAddr) -> io::Result<(Self, Doorbell)> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        poll.registry().register(&mut SourceFd(&listener.as_raw_fd()), LISTENER, Interest::READABLE)?;
        let (stop, counters) = (Arc::new(AtomicBool::new(false)), SharedCounters::default());
        let bell = Doorbell { address, counters: Arc::clone(&counters), waker, stop: Arc::clone(&stop) };
        Ok((Self { poll, listener, stop, counters, waiting: BTreeMap::new(), next: FIRST, retry: None }, bell))
    }

    /// Runs until it is told to stop. `admit` takes a connection to its call; `false` if there is none.
    pub(in crate::worker) fn run(mut self, admit: impl Fn(Arrived) -> bool) {
        let mut events = Events::with_capacity(256);
        let mut now = Instant::now();
        while !self.stop.load(Ordering::Acquire) {
            if let Err(error) = self.poll.poll(&mut events, self.wait(now))
                && error.kind() != ErrorKind::Interrupted
            {
                tracing::error!(%error, "poll failed: no more connections of browsers are taken");
                return;
            }
            now = Instant::now();
            if self.retry.is_some_and(|at| at <= now) || events.iter().any(|event| event.token() == LISTENER) {
                self.accept(now);
            }
            for event in &events {
                self.look(event.token().0, &admit);
            }
            self.expire(now);
        }
    }

    fn wait(&self, now: Instant) -> Option<Duration> {
        let oldest = self.waiting.first_key_value().map(|(_, waiting)| waiting.until);
        let next = [oldest, self.retry].into_iter().flatten().min()?;
        Some(next.saturating_duration_since(now))
    }

    fn accept(&mut self, now: Instant) {
        self.retry = None;
        loop {
            match self.listener.accept() {
                Ok((socket, from)) => {
                    self.counters.accepted.fetch_add(1, Ordering::Relaxed);
                    let from = SocketAddr::new(from.ip().to_canonical(), from.port());
                    if self.receive(now, socket, from).is_none() {
                        self.counters.refuse();
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                Err(error) => {
                    tracing::warn!(%error, "a browser's connection could not be taken");
                    self.retry = Some(now + RETRY);
                    return;
                }
            }
        }
    }

    /// Lets a connection wait for its first frame. `None`: it is closed.
    fn receive(&mut self, now: Instant, socket: TcpStream, from: SocketAddr) -> Option<()> {
        let same = |ip: IpAddr| self.waiting.values().filter(|waiting| waiting.from.ip() == ip).count();
        if same(from.ip()) >= WAITING_EACH {
            return None;
        }
        socket.set_nonblocking(true).ok()?;
        // Audio is not worth waiting for more of it.
        socket.set_nodelay(true).ok()?;
        let number = self.next;
        self.next += 1;
        let source = socket.as_raw_fd();
        self.poll.registry().register(&mut SourceFd(&source), Token(number), Interest::READABLE).ok()?;
        // overflow: who has waited for longest goes; a browser's check is here within a round trip.
        if self.waiting.len() >= WAITING && self.waiting.pop_first().is_some() {
            self.counters.refuse();
        }
        self.waiting.insert(number, Waiting { socket, from, until: now + PATIENCE, deframer: Deframer::default() });
        Some(())
    }

    fn look(&mut self, number: usize, admit: &impl Fn(Arrived) -> bool) {
        let Some(waiting) = self.waiting.get_mut(&number) else { return };
        let shown = waiting.look();
        if matches!(shown, Shown::Nothing) {
            return;
        }
        let Some(Waiting { socket, from, deframer, .. }) = self.waiting.remove(&number) else { return };
        // The worker watches it from now on.
        let _ = self.poll.registry().deregister(&mut SourceFd(&socket.as_raw_fd()));
        let admitted = match shown {
            Shown::Call(ufrag) => admit(Arrived { socket, from, ufrag, deframer }),
            Shown::Nothing | Shown::Nobody => false,
        };
        if !admitted {
            self.counters.refuse();
        }
    }

    fn expire(&mut self, now: Instant) {
        while self.waiting.first_key_value().is_some_and(|(_, waiting)| waiting.until <= now) {
            self.waiting.pop_first();
            self.counters.refuse();
        }
    }
}

impl Waiting {
    /// Reads up to the first frame and no further: what comes after it is the worker's.
    fn look(&mut self) -> Shown {
        let mut octets = [0; 1024];
        loop {
            match self.deframer.peek() {
                Ok(Some(first)) => {
                    return local_ufrag(first).map_or(Shown::Nobody, |name| Shown::Call(name.to_owned()));
                }
                Ok(None) => {}
                Err(TooLong) => return Shown::Nobody,
            }
            match self.socket.read(&mut octets) {
                Ok(0) => return Shown::Nobody,
                Ok(length) => self.deframer.push(octets.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Shown::Nothing,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Shown::Nobody,
            }
        }
    }
}
