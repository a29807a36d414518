//! Via (RFC 3261 section 20.42, RFC 3581).

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use bytes::{BufMut, Bytes, BytesMut};

use super::Host;
use super::grammar::{self, is_space, is_token, number, split_once, trim};

/// What a branch of RFC 3261 begins with (section 8.1.1.7).
pub const MAGIC_COOKIE: &[u8] = b"z9hG4bK";

/// One Via value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Via {
    /// `UDP`, `TCP`, …, upper case.
    pub transport: Bytes,
    /// sent-by host.
    pub host: Host,
    /// sent-by port.
    pub port: Option<u16>,
    /// `branch`.
    pub branch: Option<Bytes>,
    /// `received`.
    pub received: Option<IpAddr>,
    /// `rport`: asked for (`None` inside) or filled in.
    pub rport: Option<Option<u16>>,
    /// `maddr`, `ttl` and others, as they came.
    pub parameters: Vec<(Bytes, Option<Bytes>)>,
}

impl Via {
    /// A Via of our own, asking for `rport`.
    #[must_use]
    pub fn new(transport: &'static str, sent_by: SocketAddr, branch: impl Into<Bytes>) -> Self {
        Self {
            transport: Bytes::from_static(transport.as_bytes()),
            host: Host::Ip(sent_by.ip()),
            port: Some(sent_by.port()),
            branch: Some(branch.into()),
            received: None,
            rport: Some(None),
            parameters: Vec::new(),
        }
    }

    /// One Via value (no comma list).
    pub fn parse(value: &Bytes) -> Result<Self, &'static str> {
        let (name, rest) = split_once(value, b'/').ok_or("Via without a protocol")?;
        let (version, rest) = split_once(&rest, b'/').ok_or("Via without a protocol version")?;
        let rest = trim(&rest);
        let transport_end = rest.iter().position(|b| is_space(*b)).ok_or("Via without a sent-by")?;
        let transport = rest.slice(..transport_end);
        if !is_token(&trim(&name)) || !is_token(&trim(&version)) || !is_token(&transport) {
            return Err("malformed Via protocol");
        }
        let rest = trim(&rest.slice(transport_end..));
        let sent_by_end = rest.iter().position(|b| *b == b';').unwrap_or(rest.len());
        let (host, port) = Host::parse_with_port(&trim(&rest.slice(..sent_by_end)))?;
        let mut via = Self {
            transport: upper_case(transport),
            host,
            port,
            branch: None,
            received: None,
            rport: None,
            parameters: grammar::parameters(&rest.slice(sent_by_end..))?,
        };
        via.take_known()?;
        Ok(via)
    }

    /// The branch, if it names a transaction the way RFC 3261 section 17.2.3 wants; the cookie alone names none.
    #[must_use]
    pub fn transaction_branch(&self) -> Option<&Bytes> {
        self.branch.as_ref().filter(|branch| branch.starts_with(MAGIC_COOKIE) && branch.len() > MAGIC_COOKIE.len())
    }

    /// Notes where the request really came from (RFC 3261 section 18.2.1, RFC 3581 section 4): `received` where it
    /// differs from sent-by or `rport` was asked for, and the port into `rport`. What the sender claimed is overwritten.
    pub fn mark_source(&mut self, source: SocketAddr) {
        let asked = self.rport.is_some();
        let differs = self.host != Host::Ip(source.ip());
        self.received = (asked || differs).then_some(source.ip());
        self.rport = asked.then_some(Some(source.port()));
    }

    /// As on the wire.
    #[must_use]
    pub fn to_value(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(96);
        out.extend_from_slice(b"SIP/2.0/");
        out.extend(self.transport.iter().copied().filter(|b| grammar::is_token_byte(*b)));
        put_display(&mut out, format_args!(" {}", self.host));
        if let Some(port) = self.port {
            put_display(&mut out, format_args!(":{port}"));
        }
        if let Some(branch) = &self.branch {
            grammar::put_parameter(&mut out, b"branch", Some(branch));
        }
        if let Some(received) = self.received {
            put_display(&mut out, format_args!(";received={received}"));
        }
        if let Some(rport) = self.rport {
            out.put_slice(b";rport");
            if let Some(port) = rport {
                put_display(&mut out, format_args!("={port}"));
            }
        }
        grammar::put_parameters(&mut out, &self.parameters);
        out.freeze()
    }

    fn take_known(&mut self) -> Result<(), &'static str> {
        let mut others = Vec::new();
        for (name, value) in std::mem::take(&mut self.parameters) {
            if name.eq_ignore_ascii_case(b"branch") {
                self.branch = Some(value.ok_or("Via branch without a value")?);
            } else if name.eq_ignore_ascii_case(b"received") {
                self.received = Some(value.as_deref().and_then(address).ok_or("malformed Via received")?);
            } else if name.eq_ignore_ascii_case(b"rport") {
                self.rport = Some(value.map(|value| port(&value)).transpose()?);
            } else {
                others.push((name, value));
            }
        }
        self.parameters = others;
        Ok(())
    }
}

/// With or without brackets: RFC 3261 writes IPv6 bare here, RFC 5118 section 4.5 asks to take both.
fn address(value: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(value).ok()?;
    let bare = text.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok()
}

fn port(value: &[u8]) -> Result<u16, &'static str> {
    number(value, u64::from(u16::MAX)).and_then(|port| u16::try_from(port).ok()).ok_or("malformed Via rport")
}

fn upper_case(transport: Bytes) -> Bytes {
    if transport.iter().any(u8::is_ascii_lowercase) { transport.to_ascii_uppercase().into() } else { transport }
}

fn put_display(out: &mut BytesMut, what: fmt::Arguments<'_>) {
    // Writing to a growable buffer cannot fail.
    let _ = fmt::Write::write_fmt(out, what);
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_value()))
    }
}
