//! Connections that wait for the next request to the same peer.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::connect::Connection;
use super::target::Peer;

/// Connections that wait, of one peer and of all.
const PER_PEER: usize = 16;
const IN_ALL: usize = 256;
/// Receivers close idle connections after a minute or so: ours go first.
const IDLE: Duration = Duration::from_secs(20);
/// A name is resolved and checked again at least so often.
const AGE: Duration = Duration::from_secs(300);

#[derive(Default)]
pub(super) struct Pool {
    waiting: Mutex<HashMap<Peer, Vec<Waiting>>>,
}

struct Waiting {
    connection: Connection,
    since: Instant,
}

impl Pool {
    /// The connection that was used last.
    pub(super) fn take(&self, peer: &Peer, now: Instant) -> Option<Connection> {
        let mut waiting = self.lock();
        let of_peer = waiting.get_mut(peer)?;
        while let Some(one) = of_peer.pop() {
            if one.is_fresh(now) {
                return Some(one.connection);
            }
        }
        waiting.remove(peer);
        None
    }

    /// Keeps a connection for the next one.
    pub(super) fn give(&self, peer: &Peer, connection: Connection, now: Instant) {
        let mut waiting = self.lock();
        waiting.retain(|_, of_peer| {
            of_peer.retain(|one| one.is_fresh(now));
            !of_peer.is_empty()
        });
        let in_all: usize = waiting.values().map(Vec::len).sum();
        let one = Waiting { connection, since: now };
        // overflow: the connection is closed, the next request opens another one.
        if one.is_fresh(now) && in_all < IN_ALL {
            let of_peer = waiting.entry(peer.clone()).or_default();
            if of_peer.len() < PER_PEER {
                of_peer.push(one);
            }
        }
    }

    /// Closes all.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Peer, Vec<Waiting>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn is_fresh(&self, now: Instant) -> bool {
        !self.connection.is_closed()
            && now.saturating_duration_since(self.since) < IDLE
            && now.saturating_duration_since(self.connection.born) < AGE
    }
}
