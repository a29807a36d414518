//! Hosts: names and address literals.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::Bytes;

use super::grammar::{number, trim};

/// A host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// An address literal.
    Ip(IpAddr),
    /// A name, lower case.
    Name(String),
}

impl Host {
    /// `host` alone (IPv6 in brackets).
    pub fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(bytes).map_err(|_| "host is no ASCII")?;
        if let Some(inner) = text.strip_prefix('[') {
            let address = inner.strip_suffix(']').ok_or("IPv6 reference without an end")?;
            return ipv6(address).map(|ip| Self::Ip(ip.into())).ok_or("malformed IPv6 reference");
        }
        if let Ok(ip) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Ip(ip.into()));
        }
        // Looks like an address and is none: a resolver might read it in a way of its own.
        if text.contains('.') && text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            return Err("malformed IPv4 address");
        }
        // Underscores are not in the grammar and common in the field.
        let is_name = !text.is_empty()
            && text.len() <= 255
            && !text.starts_with(['.', '-'])
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
            && !text.contains("..");
        if is_name { Ok(Self::Name(text.to_ascii_lowercase())) } else { Err("malformed host") }
    }

    /// `host [":" port]`; white space around the colon is let through (Via allows it).
    pub(crate) fn parse_with_port(bytes: &Bytes) -> Result<(Self, Option<u16>), &'static str> {
        let host_end = match bytes.strip_prefix(b"[") {
            Some(inner) => {
                inner.iter().position(|b| *b == b']').map(|at| at + 2).ok_or("IPv6 reference without an end")?
            }
            None => bytes.iter().position(|b| *b == b':').unwrap_or(bytes.len()),
        };
        let host = Self::parse(&trim(&bytes.slice(..host_end)))?;
        let rest = trim(&bytes.slice(host_end..));
        if rest.is_empty() {
            return Ok((host, None));
        }
        let digits = rest.strip_prefix(b":").ok_or("text after the host")?;
        let port =
            number(&trim(&rest.slice_ref(digits)), u64::from(u16::MAX)).and_then(|port| u16::try_from(port).ok());
        match port {
            None | Some(0) => Err("malformed port"),
            Some(port) => Ok((host, Some(port))),
        }
    }
}

/// An address without its brackets. The grammar of RFC 3261 writes a colon too many before an embedded IPv4 address, and
/// both forms are to be taken (RFC 5118 section 4.10).
fn ipv6(text: &str) -> Option<Ipv6Addr> {
    let repaired = || {
        let (front, last) = text.rsplit_once(":::")?;
        last.parse::<Ipv4Addr>().ok()?;
        format!("{front}::{last}").parse().ok()
    };
    text.parse().ok().or_else(repaired)
}

impl From<IpAddr> for Host {
    fn from(ip: IpAddr) -> Self {
        Self::Ip(ip)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V4(ip)) => write!(f, "{ip}"),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            // A hand-made name must not bring delimiters along.
            Self::Name(name) => name
                .chars()
                .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))
                .try_for_each(|c| fmt::Write::write_char(f, c)),
        }
    }
}
