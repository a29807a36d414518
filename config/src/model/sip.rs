//! `[sip]`

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use super::{Strangers, Tls};

/// The SIP side. Of addresses there is one of each family at most.
#[derive(Debug, Clone)]
pub struct Sip {
    /// UDP.
    pub udp_listen: SocketAddr,
    /// UDP for the other family.
    pub udp_listen_beside: Option<SocketAddr>,
    /// TCP.
    pub tcp_listen: Vec<SocketAddr>,
    /// TLS.
    pub tls_listen: Vec<SocketAddr>,
    /// What connections over TLS are taken with, and shown to trunks that ask for it.
    pub tls: Option<Tls>,
    /// Connections that peers may have in all.
    pub max_connections: usize,
    /// And from one place.
    pub max_connections_per_address: usize,
    /// Addresses in Via, Contact and SDP.
    pub advertise: Vec<IpAddr>,
    /// From host; the advertised or listening address when empty.
    pub domain: String,
    /// Certificate authorities of TLS trunks; the system's when absent.
    pub tls_ca: Option<PathBuf>,
    /// Name servers; the machine's when empty.
    pub dns_servers: Vec<SocketAddr>,
    /// How those are met whom no trunk knows.
    pub strangers: Strangers,
}

impl Sip {
    /// Every address for datagrams.
    pub fn udp(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        [self.udp_listen].into_iter().chain(self.udp_listen_beside)
    }

    /// What peers are told in place of an address of this family.
    #[must_use]
    pub fn advertised(&self, own: IpAddr) -> Option<IpAddr> {
        self.advertise.iter().copied().find(|told| told.is_ipv4() == own.is_ipv4())
    }

    /// What peers are told of a socket.
    #[must_use]
    pub fn told(&self, own: SocketAddr) -> SocketAddr {
        SocketAddr::new(self.advertised(own.ip()).unwrap_or_else(|| own.ip()), own.port())
    }

    /// What trunks are told in place of an address where RTP is received. A socket at `::` receives both families.
    #[must_use]
    pub fn rtp_told(&self, listen: IpAddr) -> Vec<IpAddr> {
        let is_both = listen == IpAddr::from(Ipv6Addr::UNSPECIFIED);
        self.advertise.iter().copied().filter(|told| is_both || told.is_ipv4() == listen.is_ipv4()).collect()
    }

    /// Of those the one a peer there can reach, as far as there is one.
    #[must_use]
    pub fn rtp_told_to(&self, listen: IpAddr, peer: IpAddr) -> Option<IpAddr> {
        let (told, is_ipv4) = (self.rtp_told(listen), peer.to_canonical().is_ipv4());
        told.iter().find(|told| told.is_ipv4() == is_ipv4).or(told.first()).copied()
    }

    /// Address in Via and Contact over UDP.
    #[must_use]
    pub fn contact(&self) -> SocketAddr {
        self.told(self.udp_listen)
    }

    /// Host in From; an IPv6 address stands in brackets.
    #[must_use]
    pub fn from_host(&self) -> String {
        if !self.domain.is_empty() {
            return self.domain.clone();
        }
        match self.contact().ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        }
    }
}
