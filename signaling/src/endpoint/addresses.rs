//! Where peers reach us: what Via and Contact say, by transport and by the family of the peer's own address.

use std::net::{IpAddr, SocketAddr};

use super::Transport;
use crate::message::Host;

/// Addresses told apart: three transports, two families.
const MAX_ADDRESSES: usize = 8;

#[derive(Debug)]
pub(super) struct Addresses {
    /// Told where nothing fits better.
    main: SocketAddr,
    others: Vec<(&'static str, SocketAddr)>,
}

impl Addresses {
    /// This one over UDP.
    pub(super) fn new(main: SocketAddr) -> Self {
        Self { main, others: Vec::new() }
    }

    pub(super) fn add(&mut self, over: &Transport, address: SocketAddr) {
        if self.others.len() < MAX_ADDRESSES {
            self.others.push((over.token(), address));
        }
    }

    /// What a peer there is told. Where nothing listens for the transport that is the address over UDP: a peer that
    /// answers and asks along our own connection needs no other.
    pub(super) fn toward(&self, over: &Transport, peer: IpAddr) -> SocketAddr {
        let is_ipv4 = peer.to_canonical().is_ipv4();
        let all = || [(Transport::Udp.token(), self.main)].into_iter().chain(self.others.iter().copied());
        let of = |token: &str| {
            all().find(|(over, address)| *over == token && address.is_ipv4() == is_ipv4).map(|(_, address)| address)
        };
        of(over.token()).or_else(|| of(Transport::Udp.token())).unwrap_or(self.main)
    }

    /// Whether a Via names us.
    pub(super) fn are(&self, host: &Host, port: u16) -> bool {
        let mut all = [self.main].into_iter().chain(self.others.iter().map(|(_, address)| *address));
        all.any(|address| *host == Host::Ip(address.ip()) && port == address.port())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_told_what_it_can_reach() {
        let (tcp, tls) = (Transport::Tcp, Transport::Tls("a.example".into()));
        let mut addresses = Addresses::new("192.0.2.1:5060".parse().unwrap());
        let check = |addresses: &Addresses, over: &Transport, peer: &str, told: &str| {
            assert_eq!(addresses.toward(over, peer.parse().unwrap()), told.parse().unwrap(), "{over:?} {peer}");
        };
        check(&addresses, &tcp, "198.51.100.1", "192.0.2.1:5060");
        check(&addresses, &Transport::Udp, "2001:db8::9", "192.0.2.1:5060");
        let all = [
            (Transport::Udp, "[2001:db8::1]:5060"),
            (Transport::Tcp, "192.0.2.1:5062"),
            (Transport::Tls("".into()), "192.0.2.1:5061"),
            (Transport::Tls("".into()), "[2001:db8::1]:5061"),
        ];
        for (over, address) in &all {
            addresses.add(over, address.parse().unwrap());
        }
        check(&addresses, &Transport::Udp, "198.51.100.1", "192.0.2.1:5060");
        check(&addresses, &Transport::Udp, "::ffff:198.51.100.1", "192.0.2.1:5060");
        check(&addresses, &Transport::Udp, "2001:db8::9", "[2001:db8::1]:5060");
        check(&addresses, &tcp, "198.51.100.1", "192.0.2.1:5062");
        check(&addresses, &tcp, "2001:db8::9", "[2001:db8::1]:5060");
        check(&addresses, &tls, "198.51.100.1", "192.0.2.1:5061");
        check(&addresses, &tls, "2001:db8::9", "[2001:db8::1]:5061");
        let ours = |host: &str, port| addresses.are(&Host::Ip(host.parse().unwrap()), port);
        assert!(ours("192.0.2.1", 5060) && ours("192.0.2.1", 5062) && ours("2001:db8::1", 5061));
        assert!(!ours("192.0.2.1", 5063) && !ours("192.0.2.2", 5060));
    }
}
