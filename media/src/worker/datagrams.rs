//! Datagrams between a worker's sockets and its calls.

use std::net::SocketAddr;
use std::time::Instant;

use mio::Token;

use super::batch::{BATCH, Inbox};
use super::ports::{Side, link_of};
use super::tcp::index_of;
use super::thread::{HASTE, Worker};
use crate::api::Path;
use crate::browser::demux::{Kind, classify};
use crate::outbox::Port;

/// Batches read from the public port in one wake-up; the rest waits its turn behind timers and trunks.
const PUBLIC_BATCHES: usize = 8;

/// Datagrams a system call takes from a trunk's socket, where one is the rule, and calls in one wake-up.
const TRUNK_BATCH: usize = 4;
const TRUNK_BATCHES: usize = 8;

impl Worker {
    /// Reads a socket within its budget; `true` if there may be more.
    pub(super) fn read(&mut self, now: Instant, token: Token) -> bool {
        if let Some(at) = index_of(token) {
            return self.read_connection(now, at);
        }
        match link_of(token) {
            Some((link, side)) => self.read_trunk(now, link, side),
            None => self.read_public(now),
        }
    }

    fn read_public(&mut self, now: Instant) -> bool {
        for _ in 0..PUBLIC_BATCHES {
            let mut inbox = std::mem::replace(&mut self.inbox, Inbox::absent());
            let count = inbox.receive(&self.public, BATCH).unwrap_or_default();
            for at in 0..count {
                self.stats.received += 1;
                match inbox.datagram(at) {
                    Some((from, datagram)) => self.browser_datagram(now, from, datagram),
                    None => self.stats.stray += 1,
                }
            }
            self.inbox = inbox;
            if count < BATCH {
                return false;
            }
        }
        true
    }

    fn browser_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &mut [u8]) {
        let Some((index, known)) = self.calls.find(from, datagram) else {
            self.stats.stray += 1;
            return;
        };
        let turn = self.turn;
        if self.calls.get_mut(index).is_some_and(|slot| !slot.take(turn)) {
            self.stats.flooded += 1;
            return;
        }
        if !known || classify(datagram) == Kind::Dtls {
            self.haste_until = now + HASTE;
        }
        let proven = self.enter(now, index, |call, out| call.handle_browser(now, Path::Udp, from, datagram, out));
        if proven == Some(true) && !known {
            self.calls.learn_tuple(index, from);
        }
    }

    fn read_trunk(&mut self, now: Instant, link: usize, side: Side) -> bool {
        for _ in 0..TRUNK_BATCHES {
            let Some(held) = self.ports.link(link) else { return false };
            let mut inbox = std::mem::replace(&mut self.inbox, Inbox::absent());
            let count = inbox.receive(held.socket(side), TRUNK_BATCH).unwrap_or_default();
            // What comes on a pair that is not the call's yet is for nobody.
            let owner =
                held.owner.filter(|index| self.calls.get_mut(*index).is_some_and(|slot| slot.link == Some(link)));
            for at in 0..count {
                self.stats.received += 1;
                let (Some(index), Some((from, datagram))) = (owner, inbox.datagram(at)) else {
                    self.stats.stray += 1;
                    continue;
                };
                self.enter(now, index, |call, out| match side {
                    Side::Rtp => call.handle_trunk_rtp(now, from, datagram, out),
                    Side::Rtcp => call.handle_trunk_rtcp(now, from, datagram, out),
                });
            }
            self.inbox = inbox;
            if count < TRUNK_BATCH {
                return false;
            }
        }
        true
    }

    /// Sends everything that waits: the public port's in one go, trunks' in runs of one socket.
    pub(super) fn flush(&mut self) {
        let (outbox, owners) = (&self.outbox, &self.owners);
        let to_browsers = outbox.iter().filter(|d| d.port == Port::Browser).map(|d| (d.to, d.bytes));
        let mut posted = self.postman.send(&self.public, self.public_v6, to_browsers);
        for datagram in outbox.iter().filter(|d| d.port == Port::BrowserTcp) {
            let taken = self.connections.push(datagram.to, datagram.bytes);
            *if taken { &mut posted.sent } else { &mut posted.failed } += 1;
        }
        let v6 = self.ports.is_v6();
        let mut start = 0;
        for &(link, end) in owners {
            for (side, port) in [(Side::Rtp, Port::TrunkRtp), (Side::Rtcp, Port::TrunkRtcp)] {
                let Some(held) = link.and_then(|link| self.ports.link(link)) else { continue };
                let run = (start..end).filter_map(|at| outbox.get(at)).filter(|d| d.port == port);
                let trunk = self.postman.send(held.socket(side), v6, run.map(|d| (d.to, d.bytes)));
                posted.sent += trunk.sent;
                posted.failed += trunk.failed;
            }
            start = end;
        }
        self.stats.sent += posted.sent;
        self.stats.send_failures += posted.failed;
        self.connections.flush(self.poll.registry());
        self.forget_unsent();
    }

    pub(super) fn forget_unsent(&mut self) {
        self.outbox.clear();
        self.owners.clear();
    }
}
