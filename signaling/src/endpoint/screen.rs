//! What a request is refused for before anything is done for it (RFC 3261 section 8.2), and the answers that need no
//! memory (section 8.2.7).

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;

use super::compose::{self, ALLOW, SDP};
use super::core::Core;
use super::early::RELIABLE;
use super::receive::Arrival;
use super::refresh;
use super::way::Way;
use crate::message::{HeaderName, Headers, Method, ParseError, Request, Response, Uri};

/// Seconds until somebody refused for lack of room may come again.
const RETRY_AFTER: &str = "5";

/// A refusal: the status and the field that explains it.
pub(super) type Refusal = (u16, Option<(HeaderName, String)>);

/// Whether a request is one we can do something with.
pub(super) fn screen(request: &Request) -> Result<(), Refusal> {
    match request.method {
        Method::Invite | Method::Update => {
            check_common(request)?;
            if refresh::is_too_short(&request.headers) {
                return Err((422, Some((HeaderName::MinSe, refresh::MIN_SE.to_string()))));
            }
            check_offer(request)
        }
        Method::Bye | Method::Prack | Method::Options | Method::Info => check_common(request),
        // Nobody has subscribed to anything, and nobody is referred, outside of a call.
        Method::Refer | Method::Notify if is_in_dialog(request) => check_common(request),
        // Those have no answer of this kind, or their own rules.
        Method::Ack | Method::Cancel => Ok(()),
        Method::Register | Method::Refer | Method::Notify | Method::Subscribe | Method::Message | Method::Publish => {
            Err((405, allow()))
        }
        // A method nobody knows (RFC 3261 section 21.5.2).
        Method::Other(_) => Err((501, allow())),
    }
}

fn allow() -> Option<(HeaderName, String)> {
    Some((HeaderName::Allow, ALLOW.to_owned()))
}

fn is_in_dialog(request: &Request) -> bool {
    request.headers.to().is_ok_and(|to| to.tag().is_some())
}

fn check_common(request: &Request) -> Result<(), Refusal> {
    if matches!(request.uri, Uri::Other(_)) {
        return Err((416, None));
    }
    // Of extensions that a peer could require we do these alone.
    let required: Vec<Bytes> =
        request.headers.unsupported(&HeaderName::Require, &["timer", RELIABLE, "replaces", "norefersub"]);
    if !required.is_empty() {
        let names: Vec<_> = required.iter().map(|option| String::from_utf8_lossy(option)).collect();
        return Err((420, Some((HeaderName::Unsupported, names.join(", ")))));
    }
    Ok(())
}

fn check_offer(request: &Request) -> Result<(), Refusal> {
    let headers = &request.headers;
    let accept_sdp = || Some((HeaderName::Accept, SDP.to_owned()));
    if !request.body.is_empty() {
        if headers.list(&HeaderName::ContentEncoding).any(|coding| !coding.eq_ignore_ascii_case(b"identity")) {
            return Err((415, Some((HeaderName::AcceptEncoding, "identity".to_owned()))));
        }
        if compose::sdp_of(headers, &request.body).is_none() {
            return Err((415, accept_sdp()));
        }
    }
    if request.method == Method::Invite && !accepts_sdp(headers) {
        return Err((406, accept_sdp()));
    }
    Ok(())
}

/// Whether SDP may go into the answer: it may if Accept is absent; an empty Accept takes nothing.
fn accepts_sdp(headers: &Headers) -> bool {
    if headers.get(&HeaderName::Accept).is_none() {
        return true;
    }
    headers.list(&HeaderName::Accept).any(|range| {
        let range = String::from_utf8_lossy(&range).to_ascii_lowercase();
        let range: String = range.split(';').next().unwrap_or_default().split_whitespace().collect();
        [SDP, "application/*", "*/*"].contains(&range.as_str())
    })
}

impl Core {
    /// Refuses without state: the one answer a request of this kind gets, and no larger than it can help.
    pub(super) fn refuse(&mut self, request: &Request, arrival: Arrival, (status, field): Refusal) {
        self.stats.refused += 1;
        self.answer_stateless(request, arrival, status, field);
    }

    /// Refuses for lack of room.
    pub(super) fn refuse_overload(&mut self, request: &Request, arrival: Arrival) {
        self.stats.overload += 1;
        let field = Some((HeaderName::RetryAfter, RETRY_AFTER.to_owned()));
        self.answer_stateless(request, arrival, 503, field);
    }

    /// The answer to OPTIONS (RFC 3261 section 11.2).
    pub(super) fn answer_options(&mut self, request: &Request, arrival: Arrival) {
        let tag = self.stateless_tag(&request.headers);
        let mut response = Response::to_request(request, 200, Some(&tag));
        let optional =
            [(HeaderName::Allow, ALLOW), (HeaderName::Accept, SDP), (HeaderName::Supported, "timer, 100rel")];
        for (name, value) in optional {
            response.headers.push(name, value);
        }
        response.headers.push(HeaderName::Server, self.config.user_agent.clone());
        let dispensable = [HeaderName::Server, HeaderName::Supported, HeaderName::Accept, HeaderName::Allow];
        self.send_slim(response, arrival, &dispensable);
    }

    pub(super) fn answer_stateless(
        &mut self,
        request: &Request,
        arrival: Arrival,
        status: u16,
        field: Option<(HeaderName, String)>,
    ) {
        let tag = self.stateless_tag(&request.headers);
        let mut response = Response::to_request(request, status, Some(&tag));
        if let Some((name, value)) = field {
            response.headers.push(name, value);
        }
        response.headers.push(HeaderName::Server, self.config.user_agent.clone());
        self.send_slim(response, arrival, &[HeaderName::Server]);
    }

    /// Answers what is no message, but nearly.
    pub(super) fn answer_malformed(&mut self, now: Instant, from: SocketAddr, way: Way, error: ParseError) {
        self.stats.malformed += 1;
        let Some((status, mut headers)) = error.answer.map(|answer| *answer) else { return };
        self.stats.refused += 1;
        let reply = self.reply_to(&mut headers, from, way);
        let tag = self.stateless_tag(&headers);
        // The answer has nothing that could be left out, however small the request was.
        let arrival = Arrival { now, from, way, reply, size: 0, leg: None, is_peers: self.is_peers(from.ip()) };
        self.send_slim(Response::to_headers(&headers, status, Some(&tag)), arrival, &[]);
    }

    /// Sends, leaving out dispensable fields while the answer is larger than the request: whoever forges a sender
    /// address must not win by it.
    fn send_slim(&mut self, mut response: Response, arrival: Arrival, dispensable: &[HeaderName]) {
        if !self.may_answer(arrival) {
            return;
        }
        let mut bytes = response.to_bytes();
        for name in dispensable {
            if bytes.len() <= arrival.size {
                break;
            }
            response.headers.remove(name);
            bytes = response.to_bytes();
        }
        self.send_reply(arrival.leg, arrival.reply, bytes);
    }
}
