//! The top Via of a message: marked on the way in, followed on the way out (RFC 3261 section 18.2, RFC 3581).

use std::net::SocketAddr;

use crate::message::{Headers, Host, Via};

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

/// Whether the only Via of a response is ours.
pub(super) fn is_ours(headers: &Headers, advertised: SocketAddr) -> bool {
    let Ok(via) = headers.top_via() else { return false };
    via.host == Host::Ip(advertised.ip())
        && via.port.unwrap_or(5060) == advertised.port()
        && headers.list(&crate::message::HeaderName::Via).nth(1).is_none()
}

/// Whether a request has passed here before: one of its Via is ours.
pub(super) fn passed(headers: &Headers, advertised: SocketAddr) -> bool {
    headers
        .list(&crate::message::HeaderName::Via)
        .filter_map(|value| Via::parse(&value).ok())
        .any(|via| via.host == Host::Ip(advertised.ip()) && via.port.unwrap_or(5060) == advertised.port())
}
