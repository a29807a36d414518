//! What is asked of DNS, and what it says.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// A type of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Which services a domain offers (RFC 3403).
    Naptr,
    /// Who offers one (RFC 2782).
    Srv,
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
}

impl Kind {
    /// As zone files say it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Naptr => "NAPTR",
            Self::Srv => "SRV",
            Self::A => "A",
            Self::Aaaa => "AAAA",
        }
    }
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Question {
    /// The records' type.
    pub kind: Kind,
    /// Whose, without a dot at its end.
    pub name: Arc<str>,
}

/// A NAPTR record, as far as RFC 3263 section 4.1 uses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Naptr {
    /// Lower comes first.
    pub order: u16,
    /// Among those of one order, lower comes first.
    pub preference: u16,
    /// `s`: what follows is the name of SRV records.
    pub flags: String,
    /// `SIP+D2U`, …
    pub service: String,
    /// The next name.
    pub replacement: Arc<str>,
}

/// An SRV record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Srv {
    /// Lower comes first.
    pub priority: u16,
    /// How often it comes first among those of one priority.
    pub weight: u16,
    /// Port.
    pub port: u16,
    /// Host; empty: the service is not offered.
    pub target: Arc<str>,
}

/// Records of one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Records {
    /// Of [`Kind::Naptr`].
    Naptr(Vec<Naptr>),
    /// Of [`Kind::Srv`].
    Srv(Vec<Srv>),
    /// Of [`Kind::A`] or [`Kind::Aaaa`].
    Addresses(Vec<IpAddr>),
}

impl Records {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Naptr(records) => records.len(),
            Self::Srv(records) => records.len(),
            Self::Addresses(addresses) => addresses.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Each in a line, as zone files say it.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Naptr(records) => {
                let line = |r: &Naptr| {
                    format!("{} {} \"{}\" \"{}\" {}", r.order, r.preference, r.flags, r.service, r.replacement)
                };
                records.iter().map(line).collect()
            }
            Self::Srv(records) => {
                records.iter().map(|r| format!("{} {} {} {}", r.priority, r.weight, r.port, r.target)).collect()
            }
            Self::Addresses(addresses) => addresses.iter().map(ToString::to_string).collect(),
        }
    }
}

/// What DNS said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Not empty.
    pub records: Records,
    /// How long that may be believed.
    pub ttl: Duration,
}

/// Why there are no records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// DNS says that there are none, and for how long, if it does.
    #[error("there are no such records")]
    Nothing(Option<Duration>),
    /// DNS failed: SERVFAIL, a refusal, an answer that cannot be read.
    #[error("{0}")]
    Failed(String),
    /// DNS said nothing in time.
    #[error("no answer from DNS in time")]
    TimedOut,
}
