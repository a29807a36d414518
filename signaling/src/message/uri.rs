//! SIP, SIPS and tel URIs (RFC 3261 section 19.1, RFC 3966).

use std::fmt::{self, Write};
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};

use super::grammar::{Parameters, find, split_once};
pub use super::host::Host;

/// Longest URI taken; a longer Request-URI is answered 414.
pub const MAX_URI: usize = 2048;

/// A URI.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Uri {
    /// `sip:` or `sips:`
    Sip(SipUri),
    /// `tel:` number with its parameters, as it came (without the scheme).
    Tel(Bytes),
    /// Any other scheme, as it came (with the scheme; answered 416 in a Request-URI).
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

impl Uri {
    /// Parses a URI that stands alone (Request-URI, inside `<>`).
    pub fn parse(bytes: &Bytes) -> Result<Self, &'static str> {
        if bytes.len() > MAX_URI {
            return Err("URI too long");
        }
        let (scheme, rest) = split_once(bytes, b':').ok_or("URI without a scheme")?;
        if !is_scheme(&scheme) {
            return Err("malformed URI scheme");
        }
        if rest.is_empty() || rest.iter().any(|b| *b <= b' ' || matches!(b, 0x7f | b'<' | b'>' | b'"')) {
            return Err("character not allowed in a URI");
        }
        match scheme.to_ascii_lowercase().as_slice() {
            b"sip" => SipUri::parse(false, &rest).map(Self::Sip),
            b"sips" => SipUri::parse(true, &rest).map(Self::Sip),
            b"tel" => Ok(Self::Tel(rest)),
            _ => Ok(Self::Other(bytes.clone())),
        }
    }

    /// The SIP URI, if it is one.
    #[must_use]
    pub const fn as_sip(&self) -> Option<&SipUri> {
        match self {
            Self::Sip(sip) => Some(sip),
            Self::Tel(_) | Self::Other(_) => None,
        }
    }
}

fn is_scheme(scheme: &[u8]) -> bool {
    scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

impl SipUri {
    /// `sip:user@host:port`; whatever the user part may not hold is escaped.
    #[must_use]
    pub fn new(user: Option<&str>, host: Host, port: Option<u16>) -> Self {
        let user = user.filter(|user| !user.is_empty()).map(escape_user);
        Self { secure: false, user, password: None, host, port, parameters: Vec::new(), headers: None }
    }

    /// `sip:user@address`, as in a Contact.
    #[must_use]
    pub fn at(user: Option<&str>, address: SocketAddr) -> Self {
        Self::new(user, Host::Ip(address.ip()), Some(address.port()))
    }

    /// Value of a parameter (`Some(None)`: there without a value).
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<Option<&Bytes>> {
        find(&self.parameters, name.as_bytes()).map(Option::as_ref)
    }

    /// Whether the `lr` parameter marks a loose router (RFC 3261 section 19.1.1).
    #[must_use]
    pub fn is_loose_router(&self) -> bool {
        self.parameter("lr").is_some()
    }

    /// User part with escapes resolved (once), not cut at a NUL.
    #[must_use]
    pub fn user_text(&self) -> Option<String> {
        self.user.as_ref().map(|user| String::from_utf8_lossy(&unescape(user)).into_owned())
    }

    fn parse(secure: bool, rest: &Bytes) -> Result<Self, &'static str> {
        if !escapes_are_whole(rest) {
            return Err("malformed escape in a URI");
        }
        let (userinfo, host) = match split_once(rest, b'@') {
            Some((userinfo, host)) => (Some(userinfo), host),
            None => (None, rest.clone()),
        };
        // Outside the user part there is nothing but ASCII; a second `@` would make two readers see two identities.
        if host.iter().any(|b| !b.is_ascii() || matches!(b, b'@' | b'\\')) {
            return Err("character not allowed in a URI");
        }
        let (user, password) = match userinfo.as_ref().and_then(|info| split_once(info, b':')) {
            Some((user, password)) => (Some(user), Some(password)),
            None => (userinfo, None),
        };
        if user.as_ref().is_some_and(Bytes::is_empty) {
            return Err("empty user part");
        }
        let (host, headers) = match split_once(&host, b'?') {
            Some((_, headers)) if headers.is_empty() => return Err("empty URI headers"),
            Some((host, headers)) => (host, Some(headers)),
            None => (host, None),
        };
        let (host, parameters) = match split_once(&host, b';') {
            Some((host, parameters)) => (host, uri_parameters(&parameters)?),
            None => (host, Parameters::new()),
        };
        let (host, port) = Host::parse_with_port(&host)?;
        Ok(Self { secure, user, password, host, port, parameters, headers })
    }
}

fn uri_parameters(bytes: &Bytes) -> Result<Parameters, &'static str> {
    let mut parsed = Parameters::new();
    for piece in bytes.split(|b| *b == b';') {
        let piece = bytes.slice_ref(piece);
        let (name, value) = match split_once(&piece, b'=') {
            Some((name, value)) => (name, Some(value)),
            None => (piece, None),
        };
        if name.is_empty() {
            return Err("empty URI parameter");
        }
        parsed.push((name, value));
    }
    Ok(parsed)
}

fn escapes_are_whole(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|b| *b == b'%') {
        match rest.get(at + 1..at + 3) {
            Some(hex) if hex.iter().all(u8::is_ascii_hexdigit) => rest = rest.get(at + 3..).unwrap_or_default(),
            _ => return false,
        }
    }
    true
}

/// Resolves `%HH` once; what is no escape stays.
#[must_use]
pub fn unescape(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, tail)) = rest.split_first() {
        let hex = (*first == b'%').then(|| tail.get(..2)).flatten().and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

/// A user part: everything that is neither `unreserved` nor `user-unreserved` (RFC 3261 section 25.1) is escaped.
#[must_use]
pub fn escape_user(user: &str) -> Bytes {
    let mut out = BytesMut::with_capacity(user.len());
    for byte in user.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/".contains(&byte);
        let _ = if plain { out.write_char(char::from(byte)) } else { write!(out, "%{byte:02X}") };
    }
    out.freeze()
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sip(sip) => sip.fmt(f),
            Self::Tel(number) => {
                f.write_str("tel:")?;
                write_escaped(f, number, b"")
            }
            Self::Other(uri) => write_escaped(f, uri, b""),
        }
    }
}

impl fmt::Display for SipUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.secure { "sips:" } else { "sip:" })?;
        if let Some(user) = &self.user {
            write_escaped(f, user, b"@:")?;
            if let Some(password) = &self.password {
                f.write_char(':')?;
                write_escaped(f, password, b"@")?;
            }
            f.write_char('@')?;
        }
        self.host.fmt(f)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        for (name, value) in &self.parameters {
            f.write_char(';')?;
            write_escaped(f, name, b"@;?=")?;
            if let Some(value) = value {
                f.write_char('=')?;
                write_escaped(f, value, b"@;?")?;
            }
        }
        if let Some(headers) = &self.headers {
            f.write_char('?')?;
            write_escaped(f, headers, b"@")?;
        }
        Ok(())
    }
}

/// Writes bytes that are escaped already; what could end the URI (or this part of it) is escaped all the same, so that
/// a hand-made value cannot add anything.
fn write_escaped(f: &mut fmt::Formatter<'_>, bytes: &[u8], delimiters: &[u8]) -> fmt::Result {
    for byte in bytes {
        if byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"') && !delimiters.contains(byte) {
            f.write_char(char::from(*byte))?;
        } else {
            write!(f, "%{byte:02X}")?;
        }
    }
    Ok(())
}

impl From<SipUri> for Uri {
    fn from(uri: SipUri) -> Self {
        Self::Sip(uri)
    }
}
