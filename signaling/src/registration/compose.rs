//! The REGISTER itself.

use bytes::Bytes;

use super::{Order, Phase, Registration};
use crate::message::{HeaderName, Headers, Method, NameAddr, Request, SipUri};

impl Registration {
    pub(super) fn ask(&mut self) {
        self.round.is_removal = self.removing;
        self.cseq = self.cseq.saturating_add(1);
        let uri = self.round.moved.as_ref().map_or(&self.settings.registrar, |(uri, _)| uri).clone();
        let proxy = self.settings.outbound_proxy.clone();
        let usual = proxy.clone().unwrap_or_else(|| self.settings.registrar.clone());
        let hop = self.round.moved.as_ref().map_or(usual, |(_, hop)| hop.clone());
        let mut headers = self.headers(proxy.filter(|_| self.round.moved.is_none()).as_ref());
        let is_known = self.is_known(&hop);
        if let Some(auth) = self.auth.as_mut().filter(|_| is_known) {
            auth.authorize(&Method::Register, &uri.to_string(), &Bytes::new(), &mut headers);
        }
        let request = Request { method: Method::Register, uri: uri.into(), headers, body: Bytes::new() };
        self.orders = Some(Order { hop, request });
        self.phase = Phase::Asking;
    }

    fn headers(&self, proxy: Option<&SipUri>) -> Headers {
        let mut headers = Headers::default();
        let record = &self.settings.address_of_record;
        let seconds = if self.removing { 0 } else { self.interval };
        headers.push(HeaderName::MaxForwards, "70");
        if let Some(proxy) = proxy {
            headers.push(HeaderName::Route, route(proxy));
        }
        headers.push(HeaderName::From, format!("<{record}>;tag={}", self.tag));
        headers.push(HeaderName::To, format!("<{record}>"));
        headers.push(HeaderName::CallId, self.call_id.clone());
        headers.push(HeaderName::CSeq, format!("{} REGISTER", self.cseq));
        for contact in &self.settings.contacts {
            headers.push(HeaderName::Contact, format!("<{contact}>;expires={seconds}"));
        }
        for contact in &self.stale {
            headers.push(HeaderName::Contact, format!("<{contact}>;expires=0"));
        }
        headers.push(HeaderName::Expires, seconds.to_string());
        headers.push(HeaderName::Supported, "path");
        headers
    }

    /// Whether our credentials may go there: to the registrar and its proxy, and nobody they point at.
    pub(super) fn is_known(&self, hop: &SipUri) -> bool {
        let own = [Some(&self.settings.registrar), self.settings.outbound_proxy.as_ref()];
        own.into_iter().flatten().any(|known| known.host == hop.host)
    }
}

/// A Route value that a loose router takes.
fn route(proxy: &SipUri) -> Bytes {
    let mut proxy = proxy.clone();
    if !proxy.is_loose_router() {
        proxy.parameters.push((Bytes::from_static(b"lr"), None));
    }
    NameAddr::new(proxy).to_value()
}
