//! The connections of an endpoint: one for each peer and transport that we open, by the first message and again by the
//! next one after it broke; and those that peers open, which end for good.
#![allow(clippy::disallowed_methods)] // The edge: it starts tasks.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::connection::{self, Plan, Report};
use super::counters::{Counters, count};
use super::datagrams::source;
use super::listeners::Reception;
use super::redial::Redial;
use super::room::{Limits, Room};
use super::tls::Tls;
use crate::endpoint::{StreamError, Transport};
use crate::message::ParseError;

/// Messages that wait for a connection; a peer that takes none for so long is gone.
pub(super) const QUEUE: usize = 256;
/// Messages of all connections that wait for the endpoint; the connections wait beyond that.
const REPORTS: usize = 256;
/// Connections of ours at once.
const MAX_CONNECTIONS: usize = 4_096;
/// When nothing is said for so long, we ping: between 80 and 100 % of two minutes (RFC 5626 section 4.4.1), which not all
/// connections are to do at once.
const PING: Duration = Duration::from_secs(120);

/// A peer, and over what.
pub(super) type Key = (SocketAddr, Transport);

/// Something came from a connection.
#[derive(Debug)]
pub(super) struct Arrived {
    key: Key,
    number: u64,
    report: Report,
}

/// What happened.
pub(super) enum Happened {
    Arrived(Arrived),
    /// A connection is to be tried again.
    Due,
}

/// What that means to the endpoint.
pub(super) enum Arrival {
    Message(SocketAddr, Transport, Bytes),
    /// One came that is none to take; its connection takes no more.
    Refused(SocketAddr, Transport, ParseError),
    /// A peer has opened a connection.
    Accepted(SocketAddr, Transport),
    /// One is gone; `true`: one of ours, that calls may depend on.
    Failed(SocketAddr, Transport, StreamError, bool),
    /// If calls depend on it, it is to be opened again.
    Missing(SocketAddr, Transport),
}

/// The writing end of a connection's task.
pub(super) struct Teller {
    key: Key,
    number: u64,
    reports: mpsc::Sender<Arrived>,
}

impl Teller {
    pub(super) fn new(key: Key, number: u64, reports: mpsc::Sender<Arrived>) -> Self {
        Self { key, number, reports }
    }

    /// `false` once nobody listens.
    pub(super) async fn tell(&self, report: Report) -> bool {
        // overflow: awaited; the peer is slowed down by its own connection.
        self.reports.send(Arrived { key: self.key.clone(), number: self.number, report }).await.is_ok()
    }
}

struct Connection {
    number: u64,
    queue: mpsc::Sender<Bytes>,
    is_ours: bool,
}

pub(super) struct Streams {
    live: HashMap<Key, Connection>,
    bound: Vec<SocketAddr>,
    redial: Redial,
    shared: Reception,
    arrivals: mpsc::Receiver<Arrived>,
}

impl Streams {
    /// Connections from these addresses (at any port).
    pub(super) fn new(bound: Vec<SocketAddr>, keys: Tls, limits: Limits, seed: [u8; 32]) -> Self {
        let (reports, arrivals) = mpsc::channel(REPORTS);
        let shared = Reception {
            keys,
            room: Room::new(limits),
            counters: Arc::new(Counters::default()),
            reports,
            latest: Arc::new(AtomicU64::new(0)),
        };
        Self { live: HashMap::new(), bound, redial: Redial::new(seed), shared, arrivals }
    }

    /// What listeners need to hand connections over.
    pub(super) fn reception(&self) -> Reception {
        self.shared.clone()
    }

    pub(super) fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.shared.counters)
    }

    /// Hands a message to the connection that goes there, opening one if there is none.
    pub(super) fn send(
        &mut self,
        now: Instant,
        to: SocketAddr,
        over: Transport,
        bytes: Bytes,
    ) -> Result<(), StreamError> {
        let key = (to, over);
        if let Some(connection) = self.live.get(&key) {
            match connection.queue.try_send(bytes) {
                Ok(()) => return Ok(()),
                // overflow: the message's transaction fails.
                Err(mpsc::error::TrySendError::Full(_)) => {
                    count(&self.shared.counters.queue_full);
                    return Err(StreamError::TimedOut);
                }
                // Its end has not been heard of here.
                Err(mpsc::error::TrySendError::Closed(_)) if !connection.is_ours => return Err(StreamError::Lost),
                Err(mpsc::error::TrySendError::Closed(bytes)) => return self.open(key, Some(bytes)),
            }
        }
        if !self.redial.may_dial(&key, now) {
            return Err(StreamError::Unreachable);
        }
        self.open(key, Some(bytes))
    }

    /// Opens a connection that calls depend on.
    pub(super) fn reopen(&mut self, to: SocketAddr, over: Transport) {
        let key = (to, over);
        if !self.live.contains_key(&key) {
            // overflow: with so many connections this one waits for its next message.
            let _ = self.open(key, None);
        }
    }

    /// A connection that calls depend on broke: it will be tried again until it is there.
    pub(super) fn want(&mut self, now: Instant, to: SocketAddr, over: &Transport) {
        self.redial.lost(&(to, over.clone()), now);
    }

    /// Nobody needs it any more.
    pub(super) fn give_up(&mut self, to: SocketAddr, over: &Transport) {
        self.redial.forget(&(to, over.clone()));
    }

    /// The next thing that happens.
    pub(super) async fn next(&mut self) -> Happened {
        let again = self.redial.poll_timeout();
        let due = async {
            match again {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // Its other end is held here as well: it does not end.
            Some(arrived) = self.arrivals.recv() => Happened::Arrived(arrived),
            () = due => Happened::Due,
        }
    }

    /// What that means; nothing if it comes from a connection that has a successor.
    pub(super) fn accept(&mut self, now: Instant, happened: Happened) -> Option<Arrival> {
        let Arrived { key, number, report } = match happened {
            Happened::Due => return self.redial.pop_due(now).map(|(to, over)| Arrival::Missing(to, over)),
            Happened::Arrived(arrived) => arrived,
        };
        match report {
            Report::Message(bytes) => {
                self.redial.forget(&key);
                Some(Arrival::Message(key.0, key.1, bytes))
            }
            Report::Refused(error) => Some(Arrival::Refused(key.0, key.1, error)),
            Report::Opened(queue) => {
                self.live.insert(key.clone(), Connection { number, queue, is_ours: false });
                Some(Arrival::Accepted(key.0, key.1))
            }
            Report::Closed(error) => {
                let closed = self.live.get(&key).filter(|connection| connection.number == number)?;
                let is_ours = closed.is_ours;
                self.live.remove(&key);
                if error != StreamError::Lost {
                    self.redial.failed(&key, now);
                }
                Some(Arrival::Failed(key.0, key.1, error, is_ours))
            }
        }
    }

    fn open(&mut self, key: Key, first: Option<Bytes>) -> Result<(), StreamError> {
        if self.live.values().filter(|connection| connection.is_ours).count() >= MAX_CONNECTIONS {
            return Err(StreamError::Unreachable);
        }
        let number = self.shared.latest.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let (queue, mut receiver) = mpsc::channel(QUEUE);
        if let Some(first) = first {
            // overflow: cannot be, the queue is new.
            queue.try_send(first).map_err(|_| StreamError::Unreachable)?;
        }
        self.live.insert(key.clone(), Connection { number, queue, is_ours: true });
        let ping = PING.mul_f64(0.8) + PING.mul_f64(0.2).mul_f64(self.redial.chance());
        let from = source(&self.bound, key.0);
        let plan = Plan { to: key.0, from, over: key.1.clone(), tls: self.shared.keys.clone(), ping };
        let (teller, counters) = (Teller::new(key, number, self.shared.reports.clone()), self.counters());
        tokio::spawn(async move {
            let error = connection::run(plan, &mut receiver, &teller, &counters).await;
            teller.tell(Report::Closed(error)).await;
        });
        Ok(())
    }
}
