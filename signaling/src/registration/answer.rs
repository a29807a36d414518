//! What an answer to REGISTER says (RFC 3261 section 10.2.4, RFC 3327, RFC 3608).

use std::net::SocketAddr;

use bytes::Bytes;

use crate::message::uri::unescape;
use crate::message::{HeaderName, Headers, NameAddr, SipUri, Uri};

/// Values of Service-Route and of Path that are kept; with more, none is.
const MAX_VALUES: usize = 8;

/// What a 2xx grants.
#[derive(Debug)]
pub(super) struct Grant {
    /// How long the first of our contacts to go is bound; `None` if none of them is.
    pub(super) seconds: Option<u32>,
    pub(super) service_route: Vec<Bytes>,
    pub(super) path: Vec<Bytes>,
    /// Where the request came from, as its Via came back.
    pub(super) observed: Option<SocketAddr>,
}

impl Grant {
    pub(super) fn read(headers: &Headers, ours: &[SipUri], asked: u32) -> Self {
        Self {
            seconds: granted(headers, ours, asked),
            service_route: values(headers, "Service-Route"),
            path: values(headers, "Path"),
            observed: observed(headers),
        }
    }
}

/// The least a registrar takes.
pub(super) fn min_expires(headers: &Headers) -> Option<u32> {
    number(headers.get(&HeaderName::other("Min-Expires"))?)
}

/// Where a 3xx points first, as far as a request can go there.
pub(super) fn redirection(headers: &Headers) -> Option<SipUri> {
    let contacts = headers.list(&HeaderName::Contact).filter_map(|value| NameAddr::parse(&value).ok());
    let mut targets = contacts.filter_map(|contact| match contact.uri {
        Uri::Sip(uri) => Some(uri),
        Uri::Tel(_) | Uri::Other(_) => None,
    });
    let mut target = targets.next()?;
    target.headers = None;
    target.parameters.retain(|(name, _)| !name.eq_ignore_ascii_case(b"method") && !name.eq_ignore_ascii_case(b"maddr"));
    Some(target)
}

/// Each contact has its own time; without one that of the whole answer holds, and without that what was asked for. Some
/// registrars write down where they see us in place of what we said: a single binding is ours then.
fn granted(headers: &Headers, ours: &[SipUri], asked: u32) -> Option<u32> {
    let of_all = headers.expires().unwrap_or(asked);
    let bound: Vec<(SipUri, u32)> = headers
        .list(&HeaderName::Contact)
        .filter_map(|value| NameAddr::parse(&value).ok())
        .filter_map(|contact| {
            let seconds = contact.parameter("expires").flatten().and_then(number).unwrap_or(of_all);
            contact.uri.as_sip().cloned().map(|uri| (uri, seconds))
        })
        .collect();
    if bound.is_empty() {
        // Not what section 10.3 wants of a registrar, and common: the answer says nothing but yes.
        return Some(of_all).filter(|_| headers.get(&HeaderName::Contact).is_none());
    }
    let of = |contact: &SipUri| bound.iter().find(|(uri, _)| is_same(uri, contact)).map(|(_, seconds)| *seconds);
    let found: Option<Vec<u32>> = ours.iter().map(of).collect();
    match (found, bound.as_slice()) {
        (Some(all), _) => all.into_iter().min(),
        (None, [(_, seconds)]) if ours.len() == 1 => Some(*seconds),
        (None, _) => None,
    }
}

/// RFC 3261 section 19.1.4, as far as it tells contacts apart: parameters a registrar adds do not.
fn is_same(a: &SipUri, b: &SipUri) -> bool {
    let user = |uri: &SipUri| uri.user.as_ref().map(|user| unescape(user));
    let transport = |uri: &SipUri| uri.parameter("transport").flatten().map(|name| name.to_ascii_lowercase());
    let port = |uri: &SipUri| uri.port.unwrap_or(5060);
    a.secure == b.secure && user(a) == user(b) && a.host == b.host && port(a) == port(b) && transport(a) == transport(b)
}

fn values(headers: &Headers, name: &'static str) -> Vec<Bytes> {
    let values: Vec<Bytes> = headers.list(&HeaderName::other(name)).take(MAX_VALUES + 1).collect();
    let is_whole = values.len() <= MAX_VALUES
        && values.iter().all(|value| NameAddr::parse(value).is_ok_and(|value| value.uri.as_sip().is_some()));
    if is_whole { values } else { Vec::new() }
}

fn observed(headers: &Headers) -> Option<SocketAddr> {
    let via = headers.top_via().ok()?;
    Some(SocketAddr::new(via.received?, via.rport.flatten()?))
}

/// Digits; a number beyond all measure is the largest there is.
fn number(value: &Bytes) -> Option<u32> {
    let text = std::str::from_utf8(value).ok()?.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u32::MAX))
}
