//! Browsers that reach us over TCP (ICE-TCP, RFC 6544): we take their connections and open none.
//!
//! One address serves all workers. A thread of its own ([`door`]) takes connections, waits a little for the first frame,
//! which is the browser's STUN check, and hands the connection to the worker whose call the check names. From there on it
//! is another way for datagrams to come and go.

pub(super) mod door;
mod names;
mod table;

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

pub(super) use self::names::Names;
pub(super) use self::table::{Connections, index_of};
use super::thread::{HASTE, Worker};
use crate::api::Path;
use crate::browser::demux::{Kind, classify};
use crate::browser::framing::{Deframer, TooLong};

/// Connections of one call: a browser has a few candidates, and some more after an ICE restart.
const PER_CALL: usize = 8;

/// Reads of one connection in one wake-up; the rest waits its turn.
const READS: usize = 4;

/// A connection whose first frame names a call.
pub(super) struct Arrived {
    pub(super) socket: TcpStream,
    pub(super) from: SocketAddr,
    /// The call's local ufrag.
    pub(super) ufrag: String,
    /// What came so far, the first frame in front.
    pub(super) deframer: Deframer,
}

/// How browsers' connections fare.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConnectionStats {
    /// Live ones.
    pub live: u64,
    /// Taken so far.
    pub accepted: u64,
    /// Closed because they named no call in time, proved to be of none, or were too many.
    pub refused: u64,
    /// Datagrams that a connection had no room for.
    pub dropped: u64,
}

/// The same, shared by the door and the workers.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) live: AtomicU64,
    pub(super) accepted: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) dropped: AtomicU64,
}

impl Counters {
    pub(super) fn read(&self) -> ConnectionStats {
        let [live, accepted, refused, dropped] =
            [&self.live, &self.accepted, &self.refused, &self.dropped].map(|count| count.load(Ordering::Relaxed));
        ConnectionStats { live, accepted, refused, dropped }
    }

    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
}

/// Where the door leaves connections.
pub(super) type SharedCounters = Arc<Counters>;

impl Worker {
    /// A connection comes from the door.
    pub(super) fn take_connection(&mut self, now: Instant, arrived: Arrived) {
        let Some(index) = self.calls.named(&arrived.ufrag) else { return self.connections.counters.refuse() };
        let full = self.calls.get_mut(index).filter(|slot| slot.connections.len() >= PER_CALL);
        if let Some(held) = full.map(|slot| slot.connections.clone()) {
            // overflow: the oldest goes, and of those that proved nothing first.
            let unproven = held.iter().copied().find(|at| !self.connections.is_proven(*at));
            if let Some(at) = unproven.or(held.first().copied()) {
                self.disconnect(now, at);
                self.connections.counters.refuse();
            }
        }
        let Some(at) = self.connections.add(now, self.poll.registry(), index, arrived) else { return };
        if let Some(slot) = self.calls.get_mut(index) {
            slot.connections.push(at);
        }
        self.take_frames(now, at);
        // What came between the door and here is not told again.
        self.ready.push(table::token(at));
    }

    /// Reads a connection within its budget; `true` if there may be more.
    pub(super) fn read_connection(&mut self, now: Instant, at: usize) -> bool {
        for _ in 0..READS {
            match self.connections.read(at) {
                table::Read::Some => self.take_frames(now, at),
                table::Read::Nothing => return false,
                table::Read::End => {
                    self.disconnect(now, at);
                    return false;
                }
            }
        }
        true
    }

    /// Hands all whole frames that have come to their call.
    fn take_frames(&mut self, now: Instant, at: usize) {
        let Some((owner, from, mut deframer)) = self.connections.borrow_frames(at) else { return };
        let sound = loop {
            match deframer.take() {
                Ok(Some(datagram)) => self.framed(now, at, (owner, from), datagram),
                Ok(None) => break true,
                Err(TooLong) => break false,
            }
        };
        self.connections.return_frames(at, deframer);
        if !sound {
            self.disconnect(now, at);
        }
    }

    fn framed(&mut self, now: Instant, at: usize, (owner, from): (usize, SocketAddr), datagram: &mut [u8]) {
        self.stats.received += 1;
        let turn = self.turn;
        // The call may have ended with the frame before.
        if !self.connections.is_of(at, owner) {
            self.stats.stray += 1;
        } else if self.calls.get_mut(owner).is_some_and(|slot| !slot.take(turn)) {
            self.stats.flooded += 1;
        } else {
            if classify(datagram) == Kind::Dtls {
                self.haste_until = now + HASTE;
            }
            let proven = self.enter(now, owner, |call, out| call.handle_browser(now, Path::Tcp, from, datagram, out));
            if proven == Some(true) {
                self.connections.prove(at);
            }
        }
    }

    /// The connection is over; its call is told.
    fn disconnect(&mut self, now: Instant, at: usize) {
        let Some((owner, from)) = self.connections.remove(self.poll.registry(), at) else { return };
        let Some(index) = owner else { return };
        if let Some(slot) = self.calls.get_mut(index) {
            slot.connections.retain(|held| *held != at);
        }
        self.enter(now, index, |call, _| call.handle_disconnect(now, from));
    }

    /// Closes what proved to be of no call in time.
    pub(super) fn expire_connections(&mut self, now: Instant) {
        while let Some(at) = self.connections.expired(now) {
            self.connections.counters.refuse();
            self.disconnect(now, at);
        }
    }

    /// The call is over or has a new peer connection: its connections end once what waits to be sent is.
    pub(super) fn retire_connections(&mut self, held: Vec<usize>) {
        for at in held {
            self.connections.retire(at);
        }
    }

    /// The connections of a call that goes on without them.
    pub(super) fn forget_connections(&mut self, index: usize) {
        if let Some(held) = self.calls.get_mut(index).map(|slot| std::mem::take(&mut slot.connections)) {
            self.retire_connections(held);
        }
    }
}
