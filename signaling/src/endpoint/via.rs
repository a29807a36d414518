//! The top Via of a message: marked on the way in, followed on the way out (RFC 3261 section 18.2, RFC 3581).

use std::net::SocketAddr;

use super::addresses::Addresses;
use crate::message::{Headers, Via};

/// Notes in the top Via where the request really came from, and says where answers go: back to that address; to the
/// port it came from if `rport` asks for it, else to the one the Via names. (`maddr` is not followed: answers would go
/// where the sender wants others to get them.) A Via that does not parse is left alone and says nothing.
pub(super) fn mark(headers: &mut Headers, from: SocketAddr) -> SocketAddr {
    let Ok(mut via) = headers.top_via() else { return from };
    let port = match via.rport {
        Some(_) => from.port(),
        None => via.port.unwrap_or(5060),
    };
    via.mark_source(from);
    headers.set_top_via(&via);
    SocketAddr::new(from.ip(), port)
}

/// The port the sender of a request listens on, by its Via.
pub(super) fn port(headers: &Headers, default: u16) -> u16 {
    headers.top_via().ok().and_then(|via| via.port).unwrap_or(default)
}

/// Whether the only Via of a response is ours.
pub(super) fn is_ours(headers: &Headers, ours: &Addresses) -> bool {
    let Ok(via) = headers.top_via() else { return false };
    ours.are(&via.host, via.port.unwrap_or(5060)) && headers.list(&crate::message::HeaderName::Via).nth(1).is_none()
}

/// Whether a request has passed here before: one of its Via is ours.
pub(super) fn passed(headers: &Headers, ours: &Addresses) -> bool {
    headers
        .list(&crate::message::HeaderName::Via)
        .filter_map(|value| Via::parse(&value).ok())
        .any(|via| ours.are(&via.host, via.port.unwrap_or(5060)))
}
