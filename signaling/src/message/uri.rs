//! SIP, SIPS and tel URIs.

use std::net::IpAddr;

use bytes::Bytes;

/// A URI.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Uri {
    /// `sip:` or `sips:`
    Sip(SipUri),
    /// `tel:` number with its parameters, as it came.
    Tel(Bytes),
    /// Any other scheme, as it came (answered 416 in a Request-URI).
    Other(Bytes),
}

/// A `sip:` or `sips:` URI. Escapes are kept as they came.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SipUri {
    /// `sips:`
    pub secure: bool,
    /// User part (with its parameters), still escaped.
    pub user: Option<Bytes>,
    /// Password, still escaped.
    pub password: Option<Bytes>,
    /// Host.
    pub host: Host,
    /// Port.
    pub port: Option<u16>,
    /// `;name=value` parameters.
    pub parameters: Vec<(Bytes, Option<Bytes>)>,
    /// `?name=value` headers, as they came.
    pub headers: Option<Bytes>,
}

/// A host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// An address literal.
    Ip(IpAddr),
    /// A name, lower case.
    Name(String),
}

impl Uri {
    /// Parses a URI that stands alone (Request-URI, inside `<>`).
    pub fn parse(bytes: &Bytes) -> Result<Self, &'static str> {
        todo!()
    }
}

impl std::fmt::Display for Uri {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        todo!()
    }
}
