//! OPTIONS outside of any call (RFC 3261 section 11): whether the other side is there, and how far away.

use std::time::Instant;

use bytes::Bytes;

use super::transactions::User;
use super::{Endpoint, Event, Failure, Full, LegId, Ping, StreamError, compose};
use crate::message::{HeaderName, Headers, Method, Request, Response};
use crate::transaction::Fault;

impl Endpoint {
    pub(super) fn start_ping(&mut self, now: Instant, ping: Ping) -> Result<LegId, Full> {
        let way = if self.is_full() { None } else { self.core.learn_way(&ping.over) };
        let Some(way) = way else {
            self.core.stats.overload += 1;
            return Err(Full);
        };
        let id = self.new_leg_id(way);
        let core = &mut self.core;
        let (tag, call_id, domain) = (core.token(), core.token(), core.config.domain.clone());
        let mut headers = Headers::default();
        headers.push(HeaderName::MaxForwards, "70");
        headers.push(HeaderName::From, format!("<sip:{domain}>;tag={tag}"));
        headers.push(HeaderName::To, format!("<{}>", ping.uri));
        headers.push(HeaderName::CallId, call_id);
        headers.push(HeaderName::CSeq, "1 OPTIONS");
        headers.push(HeaderName::Contact, compose::contact(core.config.advertised));
        headers.push(HeaderName::Accept, compose::SDP);
        let request = Request { method: Method::Options, uri: ping.uri, headers, body: Bytes::new() };
        core.send_other(now, request, ping.target, User::Ping(id, now));
        Ok(id)
    }

    pub(super) fn handle_ping_response(&mut self, now: Instant, leg: LegId, sent: Instant, response: &Response) {
        if response.status >= 200 {
            let after = now.saturating_duration_since(sent);
            self.core.event(Event::Pinged { leg, result: Ok((response.status, after)) });
        }
    }

    pub(super) fn handle_ping_fault(&mut self, leg: LegId, fault: Fault) {
        let failure = failure_of(fault, self.core.cause.clone());
        self.core.event(Event::Pinged { leg, result: Err(failure) });
    }
}

/// Why there is no answer.
pub(super) fn failure_of(fault: Fault, cause: Option<StreamError>) -> Failure {
    match (fault, cause) {
        (Fault::Transport, Some(StreamError::Tls(error))) => Failure::Tls(error),
        (Fault::Transport, Some(StreamError::Unreachable | StreamError::Lost) | None) => Failure::Transport,
        (Fault::Transport, Some(StreamError::TimedOut)) | (Fault::Timeout | Fault::NoFinal, _) => {
            Failure::NoProvisional
        }
    }
}
