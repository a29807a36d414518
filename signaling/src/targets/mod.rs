//! Where a request goes: from what a URI says to addresses, each with its transport (RFC 3263), and how those are.
//!
//! ```text
//! Wanted ── Resolver ─┬─ Search (section 4: NAPTR, SRV, A and AAAA, or less) ── Targets ── TargetHealth ── the order
//!                     └─ Cache (TTLs, what is not there, the last good answer)
//! ```
//! DNS itself is asked outside: [`Resolver::poll_question`] and [`Resolver::handle_answer`].

use std::net::SocketAddr;
use std::sync::Arc;

use crate::endpoint::Transport;

mod cache;
mod health;
mod lookup;
mod order;
mod resolver;
mod search;
#[cfg(test)]
mod tests;

pub use health::{Sign, Sorted, TargetHealth, TargetState};
pub use lookup::{Answer, Kind, Naptr, NoAnswer, Question, Records, Srv};
pub use order::by_priority_and_weight;
pub use resolver::{Found, Resolver, ResolverStats, SearchId, Source, Step};

/// A transport, without whom it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Datagrams.
    Udp,
    /// A connection.
    Tcp,
    /// An encrypted connection.
    Tls,
}

impl Protocol {
    /// RFC 3261 section 19.1.2.
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
        }
    }

    /// Carries messages to this domain: whoever takes an encrypted connection has to prove to be it (RFC 5922 section
    /// 7.2), whatever names DNS led through.
    #[must_use]
    pub fn towards(self, domain: &Arc<str>) -> Transport {
        match self {
            Self::Udp => Transport::Udp,
            Self::Tcp => Transport::Tcp,
            Self::Tls => Transport::Tls(Arc::clone(domain)),
        }
    }
}

/// What a URI says of where its requests go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// Name or address literal (IPv6 without brackets).
    pub host: Arc<str>,
    /// Port, if one is named.
    pub port: Option<u16>,
    /// Transport, if one is named.
    pub transport: Option<Protocol>,
    /// A sips URI: nothing but encrypted connections.
    pub secure: bool,
}

impl Wanted {
    /// The transport of a target that DNS says nothing of (RFC 3263 section 4.1).
    #[must_use]
    pub fn default_transport(&self) -> Protocol {
        match self.transport {
            Some(transport) => transport,
            None if self.secure => Protocol::Tls,
            None => Protocol::Udp,
        }
    }
}

/// One place a request can go to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// Address and port.
    pub address: SocketAddr,
    /// Over what.
    pub over: Transport,
    /// The host name (or literal) the address is of, for records.
    pub name: Arc<str>,
}

impl std::fmt::Display for Target {
    /// As records say it: `udp:192.0.2.1:5060`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.over.token().to_ascii_lowercase(), self.address)
    }
}

/// Which addresses are of use, and which of them first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Families {
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
    /// IPv4, then IPv6.
    V4ThenV6,
    /// IPv6, then IPv4.
    V6ThenV4,
}

impl Families {
    fn kinds(self) -> &'static [Kind] {
        match self {
            Self::V4 => &[Kind::A],
            Self::V6 => &[Kind::Aaaa],
            Self::V4ThenV6 => &[Kind::A, Kind::Aaaa],
            Self::V6ThenV4 => &[Kind::Aaaa, Kind::A],
        }
    }
}

/// Why there is no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// DNS knows of no address.
    #[error("the name has no address")]
    NoAddress,
    /// The domain says that it offers no SIP (RFC 2782: a record with the target `.`).
    #[error("the domain offers no SIP")]
    NotOffered,
    /// DNS failed.
    #[error("{0}")]
    Failed(String),
    /// DNS said nothing in time.
    #[error("no answer from DNS in time")]
    TimedOut,
}
