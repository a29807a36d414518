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

/// Writes the table of spellings and the way back from one list.
macro_rules! known_names {
    ($($variant:ident $long:literal $compact:expr;)*) => {
        static NAMES: [(HeaderName, &[u8], Option<u8>); 39] = [$((HeaderName::$variant, $long, $compact)),*];

        impl HeaderName {
            /// The long form.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8] {
                match self {
                    $(Self::$variant => $long,)*
                    Self::Other(name) => name,
                }
            }
        }
    };
}

// Long and compact forms (RFC 3261 section 7.3.3, RFC 4028, RFC 3515, RFC 6665), frequent names first.
known_names! {
    Via b"Via" Some(b'v');
    From b"From" Some(b'f');
    To b"To" Some(b't');
    CallId b"Call-ID" Some(b'i');
    CSeq b"CSeq" None;
    MaxForwards b"Max-Forwards" None;
    Contact b"Contact" Some(b'm');
    ContentLength b"Content-Length" Some(b'l');
    ContentType b"Content-Type" Some(b'c');
    RecordRoute b"Record-Route" None;
    Route b"Route" None;
    Allow b"Allow" None;
    Supported b"Supported" Some(b'k');
    UserAgent b"User-Agent" None;
    Server b"Server" None;
    SessionExpires b"Session-Expires" Some(b'x');
    MinSe b"Min-SE" None;
    Require b"Require" None;
    Authorization b"Authorization" None;
    ProxyAuthorization b"Proxy-Authorization" None;
    WwwAuthenticate b"WWW-Authenticate" None;
    ProxyAuthenticate b"Proxy-Authenticate" None;
    Reason b"Reason" None;
    RetryAfter b"Retry-After" None;
    Warning b"Warning" None;
    Accept b"Accept" None;
    AcceptEncoding b"Accept-Encoding" None;
    AcceptLanguage b"Accept-Language" None;
    ContentDisposition b"Content-Disposition" None;
    ContentEncoding b"Content-Encoding" Some(b'e');
    Date b"Date" None;
    Event b"Event" Some(b'o');
    Expires b"Expires" None;
    ProxyRequire b"Proxy-Require" None;
    RAck b"RAck" None;
    RSeq b"RSeq" None;
    ReferTo b"Refer-To" Some(b'r');
    Unsupported b"Unsupported" None;
    UserToUser b"User-to-User" None;
}

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
