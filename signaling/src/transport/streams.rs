//! The connections of an endpoint: one for each peer and transport, opened by the first message and again by the next
//! one after it broke.
#![allow(clippy::disallowed_methods)] // The edge: it starts tasks.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_rustls::rustls::ClientConfig;

use super::connection::{self, Plan, Report};
use crate::endpoint::{StreamError, Transport};

/// Messages that wait for a connection; a peer that takes none for so long is gone.
const QUEUE: usize = 256;
/// Messages of all connections that wait for the endpoint; the connections wait beyond that.
const REPORTS: usize = 256;
/// Connections at once.
const MAX_CONNECTIONS: usize = 4_096;

type Key = (SocketAddr, Transport);

/// Something came from a connection.
#[derive(Debug)]
pub(super) struct Arrived {
    key: Key,
    number: u64,
    report: Report,
}

/// What that means to the endpoint.
pub(super) enum Arrival {
    Message(SocketAddr, Transport, Bytes),
    Failed(SocketAddr, Transport, StreamError),
}

/// The writing end of a connection's task.
pub(super) struct Teller {
    key: Key,
    number: u64,
    reports: mpsc::Sender<Arrived>,
}

impl Teller {
    /// `false` once nobody listens.
    pub(super) async fn tell(&self, report: Report) -> bool {
        // overflow: awaited; the peer is slowed down by its own connection.
        self.reports.send(Arrived { key: self.key.clone(), number: self.number, report }).await.is_ok()
    }
}

struct Connection {
    number: u64,
    queue: mpsc::Sender<Bytes>,
}

pub(super) struct Streams {
    live: HashMap<Key, Connection>,
    next: u64,
    from: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    reports: mpsc::Sender<Arrived>,
    arrivals: mpsc::Receiver<Arrived>,
}

impl Streams {
    /// Connections from this address (its port is any).
    pub(super) fn new(from: SocketAddr, tls: Option<Arc<ClientConfig>>) -> Self {
        let (reports, arrivals) = mpsc::channel(REPORTS);
        Self { live: HashMap::new(), next: 0, from, tls, reports, arrivals }
    }

    /// Hands a message to the connection that goes there, opening one if there is none.
    pub(super) fn send(&mut self, to: SocketAddr, over: Transport, bytes: Bytes) -> Result<(), StreamError> {
        let key = (to, over);
        let bytes = match self.live.get(&key) {
            // overflow: the message's transaction fails.
            Some(connection) => match connection.queue.try_send(bytes) {
                Ok(()) => return Ok(()),
                Err(mpsc::error::TrySendError::Full(_)) => return Err(StreamError::TimedOut),
                Err(mpsc::error::TrySendError::Closed(bytes)) => bytes,
            },
            None => bytes,
        };
        if self.live.len() >= MAX_CONNECTIONS {
            return Err(StreamError::Unreachable);
        }
        self.open(key, bytes)
    }

    /// The next thing from any connection.
    pub(super) async fn next(&mut self) -> Arrived {
        match self.arrivals.recv().await {
            Some(arrived) => arrived,
            // Its other end is held here as well.
            None => std::future::pending().await,
        }
    }

    /// What has arrived means; nothing if it comes from a connection that has a successor.
    pub(super) fn accept(&mut self, arrived: Arrived) -> Option<Arrival> {
        let Arrived { key, number, report } = arrived;
        let is_current = self.live.get(&key).is_some_and(|connection| connection.number == number);
        match report {
            Report::Message(bytes) => Some(Arrival::Message(key.0, key.1, bytes)),
            Report::Closed(error) if is_current => {
                self.live.remove(&key);
                Some(Arrival::Failed(key.0, key.1, error))
            }
            Report::Closed(_) => None,
        }
    }

    fn open(&mut self, key: Key, first: Bytes) -> Result<(), StreamError> {
        self.next = self.next.wrapping_add(1);
        let number = self.next;
        let (queue, mut receiver) = mpsc::channel(QUEUE);
        // overflow: cannot be, the queue is new.
        queue.try_send(first).map_err(|_| StreamError::Unreachable)?;
        self.live.insert(key.clone(), Connection { number, queue });
        let plan = Plan { to: key.0, from: self.from, over: key.1.clone(), tls: self.tls.clone() };
        let reports = self.reports.clone();
        tokio::spawn(async move {
            let over = key.1.token();
            let teller = Teller { key, number, reports };
            let error = connection::run(plan, &mut receiver, &teller).await;
            tracing::debug!(%error, over, "a SIP connection is over");
            teller.tell(Report::Closed(error)).await;
        });
        Ok(())
    }
}
