//! Dialogs (RFC 3261 section 12): who the two ends are, where the next request goes, and in which order requests come.

#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use bytes::Bytes;

use crate::message::headers::HeaderError;
use crate::message::uri::SipUri;
use crate::message::{HeaderName, Headers, Host, Method, Request, Response, Uri};

/// Our half of a dialog's identity; the remote tag is the dialog's own matter, since an early one may have several.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DialogId {
    /// Call-ID.
    pub call_id: Bytes,
    /// Our tag.
    pub local_tag: Bytes,
}

/// One hop of the route set.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Route {
    /// The Record-Route value as it came.
    value: Bytes,
    uri: Uri,
}

impl Route {
    /// Whether it routes loosely (RFC 3261 section 16.12).
    fn is_loose(&self) -> bool {
        match &self.uri {
            Uri::Sip(uri) => uri.is_loose_router(),
            Uri::Tel(_) | Uri::Other(_) => false,
        }
    }
}

/// State of a dialog, early or confirmed.
#[derive(Debug, Clone)]
pub struct Dialog {
    id: DialogId,
    remote_tag: Option<Bytes>,
    /// Our From in requests, with our tag.
    local: Bytes,
    /// Our To in requests, with the peer's tag.
    remote: Bytes,
    remote_target: Uri,
    routes: Vec<Route>,
    local_cseq: u32,
    remote_cseq: Option<u32>,
}

impl Dialog {
    /// The caller's side: made by a 1xx with a tag, or a 2xx, to `request` (RFC 3261 section 12.1.2). The route set of
    /// a 2xx replaces the one of its 1xx, so a dialog is always made anew from the 2xx.
    pub fn uac(request: &Request, response: &Response) -> Result<Self, HeaderError> {
        let from = request.headers.from()?;
        let mut route_set = routes(&response.headers, &HeaderName::RecordRoute)?;
        route_set.reverse();
        Ok(Self {
            id: DialogId { call_id: request.headers.call_id()?, local_tag: from.tag().cloned().unwrap_or_default() },
            remote_tag: response.headers.to()?.tag().cloned(),
            local: raw(&request.headers, &HeaderName::From)?,
            remote: raw(&response.headers, &HeaderName::To)?,
            // A 2xx must carry a Contact; peers that leave it out are reached where the INVITE went.
            remote_target: contact(&response.headers)?.unwrap_or_else(|| request.uri.clone()),
            routes: route_set,
            local_cseq: request.headers.cseq()?.number,
            remote_cseq: None,
        })
    }

    /// The callee's side: made by our answer with `local_tag` (RFC 3261 section 12.1.1).
    pub fn uas(request: &Request, local_tag: &str) -> Result<Self, HeaderError> {
        let from = request.headers.from()?;
        let to = raw(&request.headers, &HeaderName::To)?;
        let mut local = to.to_vec();
        local.extend_from_slice(b";tag=");
        local.extend_from_slice(local_tag.as_bytes());
        Ok(Self {
            id: DialogId {
                call_id: request.headers.call_id()?,
                local_tag: Bytes::copy_from_slice(local_tag.as_bytes()),
            },
            remote_tag: from.tag().cloned(),
            local: local.into(),
            remote: raw(&request.headers, &HeaderName::From)?,
            // RFC 2543 callers may leave the Contact out.
            remote_target: contact(&request.headers)?.unwrap_or(from.uri),
            routes: routes(&request.headers, &HeaderName::RecordRoute)?,
            local_cseq: 0,
            remote_cseq: Some(request.headers.cseq()?.number),
        })
    }

    /// Our half of its identity.
    #[must_use]
    pub fn id(&self) -> &DialogId {
        &self.id
    }

    /// The peer's tag; `None` for a peer of RFC 2543.
    #[must_use]
    pub fn remote_tag(&self) -> Option<&Bytes> {
        self.remote_tag.as_ref()
    }

    /// Where the peer is reached.
    #[must_use]
    pub fn remote_target(&self) -> &Uri {
        &self.remote_target
    }

    /// Number of our latest request.
    #[must_use]
    pub fn local_cseq(&self) -> u32 {
        self.local_cseq
    }

    /// Whether the fields of a request of the peer name this dialog.
    #[must_use]
    pub fn is_from_peer(&self, from_tag: Option<&Bytes>) -> bool {
        self.remote_tag.as_ref() == from_tag
    }

    /// A request of the peer came with this number: `false` if it is out of order and deserves a 500 (RFC 3261 section
    /// 12.2.2). The same number again is in order: retransmissions are told apart by their transaction.
    #[must_use]
    pub fn accept_cseq(&mut self, number: u32) -> bool {
        if self.remote_cseq.is_some_and(|latest| number < latest) {
            return false;
        }
        self.remote_cseq = Some(number);
        true
    }

    /// Takes over from the early dialog how far both ends have counted.
    pub fn continue_from(&mut self, early: &Self) {
        self.remote_cseq = self.remote_cseq.max(early.remote_cseq);
        self.local_cseq = self.local_cseq.max(early.local_cseq);
    }

    /// A target refresh request or its 2xx came (INVITE, UPDATE). A missing or broken Contact changes nothing; whether it
    /// changed something.
    pub fn refresh_target(&mut self, headers: &Headers) -> bool {
        match contact(headers) {
            Ok(Some(uri)) if uri != self.remote_target => {
                self.remote_target = uri;
                true
            }
            Ok(_) | Err(_) => false,
        }
    }

    /// Our side of it as a BYE that is never sent: the remote target, the whole route set, both ends, the number of our
    /// latest request.
    #[must_use]
    pub fn to_request(&self) -> Request {
        let mut headers = Headers::default();
        for route in &self.routes {
            headers.push(HeaderName::Route, route.value.clone());
        }
        self.push_ends(&mut headers, &Method::Bye, self.local_cseq);
        Request { method: Method::Bye, uri: request_uri(&self.remote_target), headers, body: Bytes::new() }
    }

    /// The dialog of [`Self::to_request`]; up to `unseen` requests were sent in it since.
    pub fn of_request(request: &Request, unseen: u32) -> Result<Self, HeaderError> {
        let headers = &request.headers;
        let local_tag = headers.from()?.tag().cloned().unwrap_or_default();
        Ok(Self {
            id: DialogId { call_id: headers.call_id()?, local_tag },
            remote_tag: headers.to()?.tag().cloned(),
            local: raw(headers, &HeaderName::From)?,
            remote: raw(headers, &HeaderName::To)?,
            remote_target: request.uri.clone(),
            routes: routes(headers, &HeaderName::Route)?,
            local_cseq: headers.cseq()?.number.saturating_add(unseen),
            remote_cseq: None,
        })
    }

    /// The next request (RFC 3261 section 12.2.1.1), still without Via, Contact and body.
    pub fn request(&mut self, method: Method) -> Request {
        self.local_cseq = self.local_cseq.saturating_add(1);
        self.build(method, self.local_cseq)
    }

    /// The ACK for a 2xx to the INVITE with this number (RFC 3261 section 13.2.2.4).
    #[must_use]
    pub fn ack(&self, cseq: u32) -> Request {
        self.build(Method::Ack, cseq)
    }

    /// Where requests go; `None` if that is a name, or no SIP URI: then to wherever the peer was met.
    #[must_use]
    pub fn next_hop(&self) -> Option<SocketAddr> {
        address_of(self.routes.first().map_or(&self.remote_target, |route| &route.uri))
    }

    /// Addresses the peer named for itself and the proxies between us.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.routes.iter().map(|route| &route.uri).chain([&self.remote_target]).filter_map(address_of)
    }

    fn build(&self, method: Method, cseq: u32) -> Request {
        let mut headers = Headers::default();
        headers.push(HeaderName::MaxForwards, "70");
        let uri = self.push_routes(&mut headers);
        self.push_ends(&mut headers, &method, cseq);
        Request { method, uri, headers, body: Bytes::new() }
    }

    fn push_ends(&self, headers: &mut Headers, method: &Method, cseq: u32) {
        headers.push(HeaderName::From, self.local.clone());
        headers.push(HeaderName::To, self.remote.clone());
        headers.push(HeaderName::CallId, self.id.call_id.clone());
        headers.push(HeaderName::CSeq, format!("{cseq} {method}"));
    }

    /// Adds the Route fields and gives the Request-URI: the remote target, unless the first hop is a strict router,
    /// which wants to find itself there and the target at the end of the route.
    fn push_routes(&self, headers: &mut Headers) -> Uri {
        let strict = self.routes.first().filter(|first| !first.is_loose());
        let skipped = usize::from(strict.is_some());
        for route in self.routes.iter().skip(skipped) {
            headers.push(HeaderName::Route, route.value.clone());
        }
        let Some(first) = strict else { return request_uri(&self.remote_target) };
        headers.push(HeaderName::Route, format!("<{}>", self.remote_target));
        request_uri(&first.uri)
    }
}

/// The socket address a URI names literally.
#[must_use]
pub fn address_of(uri: &Uri) -> Option<SocketAddr> {
    match uri {
        Uri::Sip(uri) => match uri.host {
            Host::Ip(ip) => Some(SocketAddr::new(ip, uri.port.unwrap_or(if is_encrypted(uri) { 5061 } else { 5060 }))),
            Host::Name(_) => None,
        },
        Uri::Tel(_) | Uri::Other(_) => None,
    }
}

fn is_encrypted(uri: &SipUri) -> bool {
    uri.secure || uri.parameter("transport").flatten().is_some_and(|over| over.eq_ignore_ascii_case(b"tls"))
}

/// A URI without what has no place in a Request-URI (RFC 3261 section 19.1.1).
fn request_uri(uri: &Uri) -> Uri {
    match uri {
        Uri::Sip(uri) => {
            let mut uri = uri.clone();
            uri.headers = None;
            uri.parameters.retain(|(name, _)| !name.eq_ignore_ascii_case(b"method"));
            Uri::Sip(uri)
        }
        Uri::Tel(_) | Uri::Other(_) => uri.clone(),
    }
}

fn routes(headers: &Headers, name: &HeaderName) -> Result<Vec<Route>, HeaderError> {
    let uris = headers.routes(name)?;
    let values = headers.list(name);
    Ok(values.zip(uris).map(|(value, parsed)| Route { value, uri: parsed.uri }).collect())
}

fn contact(headers: &Headers) -> Result<Option<Uri>, HeaderError> {
    Ok(headers.contact().transpose()?.map(|contact| contact.uri))
}

fn raw(headers: &Headers, name: &HeaderName) -> Result<Bytes, HeaderError> {
    headers.get(name).cloned().ok_or(HeaderError { name: "From or To", what: "missing" })
}
