//! One endpoint, and a peer that the test makes up.

use super::*;

/// One endpoint; the test is the peer.
pub(super) struct Lone {
    pub(super) now: Instant,
    pub(super) end: Endpoint,
}

impl Lone {
    pub(super) fn new() -> Self {
        let world = World::new(1);
        let [end, _] = world.ends;
        Self { now: world.now, end }
    }

    pub(super) fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some((at, _)) = self.end.poll_timeout().filter(|(at, _)| *at <= end) {
            self.now = self.now.max(at);
            self.end.handle_timeout(self.now);
        }
        self.now = end;
    }

    pub(super) fn give(&mut self, bytes: impl Into<Bytes>) {
        self.end.handle_datagram(self.now, address(B), bytes.into());
    }

    pub(super) fn sent(&mut self) -> Vec<Message> {
        let parsed = |bytes: Bytes| {
            let message = parse(bytes.clone()).unwrap();
            // An answer repeats what the test made up.
            if matches!(message, Message::Request(_)) {
                oracle::assert_read_alike(&bytes);
            }
            message
        };
        std::iter::from_fn(|| self.end.poll_transmit()).map(|transmit| parsed(transmit.bytes)).collect()
    }

    pub(super) fn sent_requests(&mut self) -> Vec<Request> {
        let requests = self.sent().into_iter().filter_map(|message| match message {
            Message::Request(request) => Some(request),
            Message::Response(_) => None,
        });
        requests.collect()
    }

    pub(super) fn sent_responses(&mut self) -> Vec<Response> {
        let responses = self.sent().into_iter().filter_map(|message| match message {
            Message::Request(_) => None,
            Message::Response(response) => Some(response),
        });
        responses.collect()
    }

    pub(super) fn names(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.end.poll_event())
            .filter(|event| !is_trying(event))
            .map(|event| name(&event))
            .collect()
    }

    /// Answers a request of the endpoint.
    pub(super) fn answer(&mut self, request: &Request, status: u16, tag: &str, sdp: Option<&'static str>) {
        let mut response = Response::to_request(request, status, Some(tag));
        response.headers.push(crate::message::HeaderName::Contact, format!("<sip:{tag}@{}>", address(B)));
        if let Some(sdp) = sdp {
            response = response.with_body("application/sdp", Bytes::from_static(sdp.as_bytes()));
        }
        self.give(response.to_bytes());
    }

    /// Answers an INVITE of the endpoint reliably (RFC 3262).
    pub(super) fn ring_reliably(&mut self, invite: &Request, tag: &str, rseq: u32, sdp: Option<&'static str>) {
        use crate::message::HeaderName;
        let mut response = Response::to_request(invite, 183, Some(tag));
        response.headers.push(HeaderName::Contact, format!("<sip:{tag}@{}>", address(B)));
        response.headers.push(HeaderName::Allow, "INVITE, ACK, BYE, PRACK, UPDATE");
        response.headers.push(HeaderName::Require, "100rel");
        response.headers.push(HeaderName::RSeq, rseq.to_string());
        if let Some(sdp) = sdp {
            response = response.with_body("application/sdp", Bytes::from_static(sdp.as_bytes()));
        }
        self.give(response.to_bytes());
    }

    /// A call of the endpoint, answered; gives the INVITE.
    pub(super) fn answered_call(&mut self) -> (LegId, Request) {
        let leg = self.end.invite(self.now, call(address(B))).unwrap();
        let invite = self.sent_requests().remove(0);
        self.answer(&invite, 200, "far", Some(ANSWER));
        assert_eq!(self.names(), ["answered"]);
        assert_eq!(self.sent_requests().remove(0).method, crate::message::Method::Ack);
        (leg, invite)
    }

    /// A request of the peer in the dialog of the call that `invite` began.
    pub(super) fn in_dialog(invite: &Request, method: &str, cseq: u32, extra: &str, body: &str) -> String {
        let (from, call_id) = (invite.headers.from().unwrap(), invite.headers.call_id().unwrap());
        format!(
            "{method} sip:trunkline@{} SIP/2.0\r\nVia: SIP/2.0/UDP {};rport;branch=z9hG4bK{method}{cseq}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:agent@{}>;tag=far\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:far@{}>\r\n{extra}Content-Length: {}\r\n\r\n{body}",
            address(A),
            address(B),
            address(B),
            from,
            String::from_utf8_lossy(&call_id),
            address(B),
            body.len()
        )
    }
}
