//! Connections as far as the endpoint has to know them: those that peers opened, for what belongs to one goes back along
//! it; and who takes none.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::receive::Reply;
use super::sending::May;
use super::way::Way;
use super::{Endpoint, LegId, Transport};

/// Connections that peers opened; those beyond are answered on, but not reused.
const MAX_ACCEPTED: usize = 16_384;
/// Peers that are known to take no connections.
const MAX_CLOSED: usize = 1_024;
/// How long that is known: longer than a call is set up, shorter than somebody waits for his change to have an effect.
const CLOSED: Duration = Duration::from_secs(300);

#[derive(Debug, Default)]
pub(super) struct Connections {
    /// Whether any leg began on it.
    accepted: HashMap<(SocketAddr, Way), bool>,
    closed: HashMap<SocketAddr, Instant>,
}

impl Connections {
    pub(super) fn is_accepted(&self, from: SocketAddr, way: Way) -> bool {
        self.accepted.contains_key(&(from, way))
    }

    /// A leg begins with a request from there: the connection its requests may go back along.
    pub(super) fn begin_leg(&mut self, from: SocketAddr, way: Way) -> Option<SocketAddr> {
        let carries = self.accepted.get_mut(&(from, way))?;
        *carries = true;
        Some(from)
    }

    /// Where an answer goes: along the connection of its request; when that is gone, where the Via says (RFC 3261
    /// section 18.2.2).
    pub(super) fn answer_at(&self, reply: Reply) -> SocketAddr {
        if reply.otherwise == reply.to || self.is_accepted(reply.to, reply.way) { reply.to } else { reply.otherwise }
    }

    /// Whether what could be a datagram may try a connection there.
    pub(super) fn may(&self, now: Instant, to: SocketAddr) -> May {
        let may = self.closed.get(&to).is_none_or(|since| now.saturating_duration_since(*since) > CLOSED);
        May { grow: may, connect: may }
    }

    /// Nobody took a connection there.
    pub(super) fn close(&mut self, now: Instant, to: SocketAddr) {
        if self.closed.len() >= MAX_CLOSED {
            self.closed.retain(|_, since| now.saturating_duration_since(*since) <= CLOSED);
        }
        if self.closed.len() < MAX_CLOSED {
            self.closed.insert(to, now);
        }
    }
}

impl Endpoint {
    /// A peer has opened a connection from there.
    pub fn handle_accepted(&mut self, from: SocketAddr, over: &Transport) {
        if let Some(way) = self.core.learn_way(over)
            && self.core.connections.accepted.len() < MAX_ACCEPTED
        {
            self.core.connections.accepted.insert((from, way), false);
        }
    }

    /// Whether any leg has its peer there: a connection that broke is to be there for it again.
    #[must_use]
    pub fn has_legs_at(&self, to: SocketAddr, over: &Transport) -> bool {
        let way = self.core.way_of(over);
        self.legs.values().any(|leg| leg.peer.address == to && Some(Way::of(leg.id)) == way)
    }

    /// A connection is gone: no leg is to use it.
    pub(super) fn detach(&mut self, to: SocketAddr, way: Way) {
        if self.core.connections.accepted.remove(&(to, way)) == Some(true) {
            for leg in self.legs.values_mut().filter(|leg| Way::of(leg.id) == way) {
                leg.peer.connection.take_if(|connection| *connection == to);
            }
        }
    }

    /// Where the requests of a leg go now.
    pub(super) fn next_hop(&self, leg: LegId) -> Option<SocketAddr> {
        let leg = self.legs.get(&leg)?;
        leg.dialog().map(|dialog| leg.peer.next_hop(dialog))
    }
}
