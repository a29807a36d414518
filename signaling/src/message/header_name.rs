//! Names of header fields.

use std::fmt;
use std::hash::{Hash, Hasher};

use bytes::Bytes;

/// A header field's name. The ones the core works with are variants; others keep their spelling.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum HeaderName {
    Accept,
    AcceptEncoding,
    AcceptLanguage,
    Allow,
    Authorization,
    CallId,
    Contact,
    ContentDisposition,
    ContentEncoding,
    ContentLength,
    ContentType,
    CSeq,
    Date,
    Event,
    Expires,
    From,
    MaxForwards,
    MinSe,
    ProxyAuthenticate,
    ProxyAuthorization,
    ProxyRequire,
    RAck,
    Reason,
    RecordRoute,
    ReferTo,
    Require,
    RetryAfter,
    Route,
    RSeq,
    Server,
    SessionExpires,
    Supported,
    To,
    Unsupported,
    UserAgent,
    UserToUser,
    Via,
    Warning,
    WwwAuthenticate,
    /// Any other name; compared without case.
    Other(Bytes),
}

/// Long and compact forms (RFC 3261 section 7.3.3, RFC 4028, RFC 3515, RFC 6665), frequent names first.
static NAMES: [(HeaderName, &[u8], Option<u8>); 39] = [
    (HeaderName::Via, b"Via", Some(b'v')),
    (HeaderName::From, b"From", Some(b'f')),
    (HeaderName::To, b"To", Some(b't')),
    (HeaderName::CallId, b"Call-ID", Some(b'i')),
    (HeaderName::CSeq, b"CSeq", None),
    (HeaderName::MaxForwards, b"Max-Forwards", None),
    (HeaderName::Contact, b"Contact", Some(b'm')),
    (HeaderName::ContentLength, b"Content-Length", Some(b'l')),
    (HeaderName::ContentType, b"Content-Type", Some(b'c')),
    (HeaderName::RecordRoute, b"Record-Route", None),
    (HeaderName::Route, b"Route", None),
    (HeaderName::Allow, b"Allow", None),
    (HeaderName::Supported, b"Supported", Some(b'k')),
    (HeaderName::UserAgent, b"User-Agent", None),
    (HeaderName::Server, b"Server", None),
    (HeaderName::SessionExpires, b"Session-Expires", Some(b'x')),
    (HeaderName::MinSe, b"Min-SE", None),
    (HeaderName::Require, b"Require", None),
    (HeaderName::Authorization, b"Authorization", None),
    (HeaderName::ProxyAuthorization, b"Proxy-Authorization", None),
    (HeaderName::WwwAuthenticate, b"WWW-Authenticate", None),
    (HeaderName::ProxyAuthenticate, b"Proxy-Authenticate", None),
    (HeaderName::Reason, b"Reason", None),
    (HeaderName::RetryAfter, b"Retry-After", None),
    (HeaderName::Warning, b"Warning", None),
    (HeaderName::Accept, b"Accept", None),
    (HeaderName::AcceptEncoding, b"Accept-Encoding", None),
    (HeaderName::AcceptLanguage, b"Accept-Language", None),
    (HeaderName::ContentDisposition, b"Content-Disposition", None),
    (HeaderName::ContentEncoding, b"Content-Encoding", Some(b'e')),
    (HeaderName::Date, b"Date", None),
    (HeaderName::Event, b"Event", Some(b'o')),
    (HeaderName::Expires, b"Expires", None),
    (HeaderName::ProxyRequire, b"Proxy-Require", None),
    (HeaderName::RAck, b"RAck", None),
    (HeaderName::RSeq, b"RSeq", None),
    (HeaderName::ReferTo, b"Refer-To", Some(b'r')),
    (HeaderName::Unsupported, b"Unsupported", None),
    (HeaderName::UserToUser, b"User-to-User", None),
];

/// Compact forms of names that have no variant; two spellings of one field must compare equal.
const OTHER_COMPACT: [(u8, &str); 5] = [
    (b's', "Subject"),
    (b'b', "Referred-By"),
    (b'u', "Allow-Events"),
    (b'a', "Accept-Contact"),
    (b'd', "Request-Disposition"),
];

impl HeaderName {
    /// From any spelling, long or compact. Whether it is a token is for the caller to see.
    #[must_use]
    pub fn parse(name: &Bytes) -> Self {
        if let [letter] = name.as_ref() {
            return Self::from_compact(letter.to_ascii_lowercase()).unwrap_or_else(|| Self::Other(name.clone()));
        }
        NAMES
            .iter()
            .find(|(_, long, _)| long.eq_ignore_ascii_case(name))
            .map_or_else(|| Self::Other(name.clone()), |(known, _, _)| known.clone())
    }

    /// A name without a variant of its own (or with one: it is found).
    #[must_use]
    pub fn other(name: &'static str) -> Self {
        Self::parse(&Bytes::from_static(name.as_bytes()))
    }

    fn from_compact(letter: u8) -> Option<Self> {
        let known = NAMES.iter().find(|(_, _, compact)| *compact == Some(letter)).map(|(name, _, _)| name.clone());
        known.or_else(|| {
            let (_, long) = OTHER_COMPACT.iter().find(|(compact, _)| *compact == letter)?;
            Some(Self::Other(Bytes::from_static(long.as_bytes())))
        })
    }

    /// The long form.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        if let Self::Other(name) = self {
            return name;
        }
        let this = std::mem::discriminant(self);
        NAMES.iter().find(|(name, _, _)| std::mem::discriminant(name) == this).map_or(b"", |(_, long, _)| long)
    }
}

impl PartialEq for HeaderName {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Other(a), Self::Other(b)) => a.eq_ignore_ascii_case(b),
            // A hand-made `Other` may spell a known name.
            (Self::Other(spelled), known) | (known, Self::Other(spelled)) => {
                known.as_bytes().eq_ignore_ascii_case(spelled)
            }
            (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
        }
    }
}

impl Eq for HeaderName {}

impl Hash for HeaderName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for byte in self.as_bytes() {
            state.write_u8(byte.to_ascii_lowercase());
        }
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}
