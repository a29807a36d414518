//! Where peers see us from outside of a NAT that nobody told us of: what came back in the Via of our requests (RFC 3581). A
//! peer is told in Contact what it sees itself, and Via says what we are, as section 3 wants.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use crate::message::{Headers, Host};

/// Peers that see us elsewhere; of more, the ones heard of longest ago are told our own address again.
const MAX_PEERS: usize = 1_024;

#[derive(Debug, Default)]
pub(super) struct Outside {
    /// Nobody told us our address: it is for peers to say.
    is_followed: bool,
    seen: HashMap<IpAddr, Seen>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    address: SocketAddr,
    heard: Instant,
}

impl Outside {
    pub(super) fn follow(&mut self) {
        self.is_followed = true;
    }

    /// Where a peer sees us, if not at our own address.
    pub(super) fn of(&self, peer: IpAddr) -> Option<SocketAddr> {
        self.seen.get(&peer.to_canonical()).map(|seen| seen.address)
    }

    /// A peer answered a datagram; `own` is what it would be told by itself. Whether it is told another address from now on.
    pub(super) fn note(&mut self, now: Instant, peer: IpAddr, own: SocketAddr, answer: &Headers) -> bool {
        let Some(address) = self.is_followed.then(|| observed(answer)).flatten() else { return false };
        let peer = peer.to_canonical();
        let before = self.of(peer).unwrap_or(own);
        if address == own {
            self.seen.remove(&peer);
        } else {
            self.make_room(peer);
            self.seen.insert(peer, Seen { address, heard: now });
        }
        address != before
    }

    fn make_room(&mut self, peer: IpAddr) {
        if self.seen.len() < MAX_PEERS || self.seen.contains_key(&peer) {
            return;
        }
        let oldest = self.seen.iter().min_by_key(|(_, seen)| seen.heard).map(|(peer, _)| *peer);
        oldest.map(|oldest| self.seen.remove(&oldest));
    }
}

/// Where a request of ours came from, as far as its answer says so: not without the port.
fn observed(answer: &Headers) -> Option<SocketAddr> {
    let via = answer.top_via().ok()?;
    let sent_by = match via.host {
        Host::Ip(ip) => Some(ip),
        Host::Name(_) => None,
    };
    // A port of nothing is none to be reached at.
    let port = via.rport.flatten().filter(|port| *port != 0)?;
    Some(SocketAddr::new(via.received.or(sent_by)?, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::HeaderName;

    #[test]
    fn no_more_peers_are_known_than_there_is_room_for() {
        #[expect(clippy::disallowed_methods, reason = "virtual time has to begin somewhere")]
        let start = Instant::now();
        let (mut outside, mut answer) = (Outside::default(), Headers::default());
        let own = "192.168.1.9:5060".parse().unwrap();
        answer.push(HeaderName::Via, "SIP/2.0/UDP 192.168.1.9:5060;received=203.0.113.7;rport=40000;branch=z9hG4bK1");
        let peer = |n: usize| IpAddr::from(u32::try_from(n).unwrap().to_be_bytes());
        assert!(!outside.note(start, peer(1), own, &answer), "it is not to be followed");
        outside.follow();
        for n in 0..MAX_PEERS + 10 {
            assert!(outside.note(start + std::time::Duration::from_secs(n as u64), peer(n), own, &answer));
        }
        assert_eq!(outside.seen.len(), MAX_PEERS);
        assert!(outside.of(peer(9)).is_none() && outside.of(peer(10)).is_some());
    }
}
