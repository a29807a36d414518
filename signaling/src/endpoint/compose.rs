//! Text of the header fields we write, and requests that are derived from others.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};

use super::Transport;
use crate::message::grammar::put_quoted;
use crate::message::parts::find_part;
use crate::message::uri::escape_user;
use crate::message::{HeaderName, Headers, Method, Reason, Request, Response};

/// Methods we take.
pub(super) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO, REFER, NOTIFY";
/// Extensions of INVITE and REFER we know beside session timers (RFC 3891, RFC 4488).
pub(super) const EXTENSIONS: &str = "replaces, norefersub";
/// Bodies we take.
pub(super) const SDP: &str = "application/sdp";

pub(super) fn via(advertised: SocketAddr, token: &str, branch: &str) -> String {
    format!("SIP/2.0/{token} {advertised};rport;branch={branch}")
}

/// Stands for our Contact until it is known over what a message goes and where.
pub(super) fn contact(advertised: SocketAddr) -> String {
    contact_over(advertised, &Transport::Udp)
}

/// Our Contact: UDP goes without saying.
pub(super) fn contact_over(advertised: SocketAddr, over: &Transport) -> String {
    match over {
        Transport::Udp => format!("<sip:trunkline@{advertised}>"),
        Transport::Tcp | Transport::Tls(_) => {
            format!("<sip:trunkline@{advertised};transport={}>", over.token().to_ascii_lowercase())
        }
    }
}

/// A From value: the display name quoted, the user escaped (RFC 3261 section 25.1).
pub(super) fn from(display: Option<&str>, user: &str, domain: &str, tag: &str) -> String {
    let name = display.filter(|name| !name.is_empty()).map(|name| {
        let mut quoted = BytesMut::new();
        put_quoted(&mut quoted, name.as_bytes());
        format!("{} ", String::from_utf8_lossy(&quoted))
    });
    let user = escape_user(user);
    format!("{}<sip:{}@{domain}>;tag={tag}", name.unwrap_or_default(), String::from_utf8_lossy(&user))
}

/// The From value of somebody who does not want to be known (RFC 3323 section 4.1.1.3).
pub(super) fn anonymous(tag: &str) -> String {
    format!("\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag={tag}")
}

/// Why a description cannot be used (RFC 3261 section 20.43).
pub(super) fn push_warning(response: &mut Response, domain: &str) {
    if matches!(response.status, 488 | 606) {
        response.headers.push(HeaderName::Warning, format!("305 {domain} \"Incompatible media format\""));
    }
}

/// The Reason of a message (RFC 3326). Of several values the Q.850 one is taken: it says more about a call than a SIP
/// status does.
pub(super) fn reason_of(headers: &Headers) -> Option<Reason> {
    let all = headers.reasons();
    let q850 = all.iter().find(|reason| reason.protocol.eq_ignore_ascii_case("Q.850"));
    q850.or(all.first()).cloned()
}

/// Whether a header field is ours to write, so that a caller's own one is left out.
pub(super) fn is_ours(name: &HeaderName) -> bool {
    [
        HeaderName::Via,
        HeaderName::From,
        HeaderName::To,
        HeaderName::CallId,
        HeaderName::CSeq,
        HeaderName::Contact,
        HeaderName::MaxForwards,
        HeaderName::ContentLength,
        HeaderName::ContentType,
        HeaderName::RecordRoute,
        HeaderName::Require,
        HeaderName::Supported,
        HeaderName::Allow,
        HeaderName::UserAgent,
        HeaderName::SessionExpires,
        HeaderName::MinSe,
        HeaderName::Authorization,
        HeaderName::ProxyAuthorization,
    ]
    .contains(name)
}

/// What INVITE and its 2xx say about us.
pub(super) fn push_abilities(headers: &mut Headers, advertised: SocketAddr) {
    headers.push(HeaderName::Contact, contact(advertised));
    headers.push(HeaderName::Allow, ALLOW);
    headers.push(HeaderName::Accept, SDP);
    headers.push(HeaderName::Supported, EXTENSIONS);
}

pub(super) fn push_sdp(headers: &mut Headers, body: &mut Bytes, sdp: Bytes) {
    if !sdp.is_empty() {
        headers.set(HeaderName::ContentType, SDP);
        *body = sdp;
    }
}

/// The SDP of a message, by itself or among other parts; `None` without a body, or with others only.
pub(super) fn sdp_of(headers: &Headers, body: &Bytes) -> Option<Bytes> {
    if is_sdp(headers) {
        return (!body.is_empty()).then(|| body.clone());
    }
    find_part(headers, body, SDP)
}

/// Whether a body is SDP. One without Content-Type is taken for it: there is nothing else it could be.
fn is_sdp(headers: &Headers) -> bool {
    headers.get(&HeaderName::ContentType).is_none() || headers.content_type().as_deref() == Some(SDP)
}

/// The ACK for a response of 300 or more (RFC 3261 section 17.1.1.3): of the transaction, along its path.
pub(super) fn ack_of_refusal(invite: &Request, response: &Response) -> Bytes {
    let mut ack = sibling(invite, Method::Ack);
    if let Some(to) = response.headers.get(&HeaderName::To) {
        ack.headers.set(HeaderName::To, to.clone());
    }
    ack.to_bytes()
}

/// The CANCEL of an INVITE (RFC 3261 section 9.1).
pub(super) fn cancel(invite: &Request) -> Request {
    sibling(invite, Method::Cancel)
}

/// A request that goes the way of `invite`: its top Via, Route, From, To, Call-ID and CSeq number.
pub(super) fn sibling(invite: &Request, method: Method) -> Request {
    let mut headers = Headers::default();
    if let Some(via) = invite.headers.list(&HeaderName::Via).next() {
        headers.push(HeaderName::Via, via);
    }
    headers.push(HeaderName::MaxForwards, "70");
    for name in [HeaderName::Route, HeaderName::From, HeaderName::To, HeaderName::CallId] {
        for value in invite.headers.get_all(&name) {
            headers.push(name.clone(), value.clone());
        }
    }
    let number = invite.headers.cseq().map_or(0, |cseq| cseq.number);
    headers.push(HeaderName::CSeq, format!("{number} {method}"));
    Request { method, uri: invite.uri.clone(), headers, body: Bytes::new() }
}

/// The ACK for a 2xx to a later INVITE whose dialog is gone meanwhile: from the INVITE itself.
pub(super) fn ack_without_dialog(invite: &Request) -> Request {
    let mut ack = sibling(invite, Method::Ack);
    ack.headers.remove(&HeaderName::Via);
    ack
}

/// An ACK for a 2xx carries the credentials of its INVITE (RFC 3261 section 13.2.2.4).
pub(super) fn copy_credentials(invite: &Request, ack: &mut Request) {
    for name in [HeaderName::Authorization, HeaderName::ProxyAuthorization] {
        for value in invite.headers.get_all(&name) {
            ack.headers.push(name.clone(), value.clone());
        }
    }
}
