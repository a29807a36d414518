//! What carries messages, and what can go wrong with it.

use std::sync::Arc;

use crate::transaction::Reliability;

/// What carries the messages of a leg.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A connection.
    Tcp,
    /// An encrypted connection to whoever proves to be this domain. Of the peer of a connection that we took nothing is
    /// proven: its domain is empty, and no connection of ours can be opened to it.
    Tls(Arc<str>),
}

impl Transport {
    /// An encrypted connection that a peer opened.
    #[must_use]
    pub fn accepted_tls() -> Self {
        Self::Tls("".into())
    }

    /// As a Via says it.
    #[must_use]
    pub fn token(&self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls(_) => "TLS",
        }
    }

    /// Where it is expected when nobody names a port (RFC 3261 section 19.1.2).
    #[must_use]
    pub fn default_port(&self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls(_) => 5061,
        }
    }

    /// Whether it repeats by itself what is lost.
    #[must_use]
    pub fn reliability(&self) -> Reliability {
        match self {
            Self::Udp => Reliability::Unreliable,
            Self::Tcp | Self::Tls(_) => Reliability::Reliable,
        }
    }
}

/// Why a connection does not carry messages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// Refused or unreachable.
    #[error("no connection")]
    Unreachable,
    /// It was there and broke.
    #[error("the connection was lost")]
    Lost,
    /// Nothing answers.
    #[error("no connection in time")]
    TimedOut,
    /// The handshake, the certificate or the name in it.
    #[error("{0}")]
    Tls(String),
}
