//! Bytes to messages.

use bytes::Bytes;

use super::fields::{self, Fault, Fields, take_line};
use super::grammar::{number, split_once, trim};
use super::uri::MAX_URI;
use super::{HeaderError, HeaderName, Headers, Message, Method, NameAddr, Request, Response, Uri, Via};

/// Limits of a message: over them it is refused, with the status an answer would carry.
pub const MAX_MESSAGE: usize = 65_535;
/// Most header fields in a message.
pub const MAX_HEADERS: usize = fields::MAX_HEADERS;
/// Longest header field, folded lines together.
pub const MAX_HEADER_LINE: usize = fields::MAX_HEADER_LINE;
/// Most Via values in a message.
pub const MAX_VIAS: usize = 64;

/// A datagram that is no acceptable message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct ParseError {
    /// What is wrong, for the log and for the reason phrase.
    pub what: &'static str,
    /// Where to answer, if this was a request (never ACK) with enough left to answer: the status (400, 505, 513, …)
    /// and the header fields an answer copies (Via, From, To, Call-ID, CSeq), so far as they are there. They are as
    /// they came: the Via need not parse, then the datagram's source is the only place to answer to.
    pub answer: Option<Box<(u16, Headers)>>,
}

/// Parses one datagram. Octets after Content-Length are ignored (RFC 3261 section 18.3); a keep-alive (CRLFs or
/// nothing) is an error without an answer.
pub fn parse(datagram: Bytes) -> Result<Message, ParseError> {
    let too_long = datagram.len() > MAX_MESSAGE;
    let start = datagram.iter().position(|b| !matches!(b, b'\r' | b'\n')).ok_or(ParseError::silent("keep-alive"))?;
    let mut rest = datagram.slice(start..);
    let line = take_line(&mut rest).ok_or(ParseError::silent("no start line"))?;
    if is_status_line(&line) {
        let (status, reason) = read_status_line(&line)?;
        let fields = fields::read(rest);
        return read_response(status, reason, fields, too_long).map_err(|(_, what)| ParseError::silent(what));
    }
    let start = read_request_line(&line)?;
    let mut fields = fields::read(rest);
    read_request(&start, &mut fields, too_long).map_err(|fault| refuse(&start.method, &fields.headers, fault))
}

/// The refusal of a message that begins with this line and these header fields.
pub(super) fn refuse_by_line(line: &Bytes, headers: &Headers, fault: Fault) -> ParseError {
    if is_status_line(line) {
        return ParseError::silent(fault.1);
    }
    match read_request_line(line) {
        Ok(start) => refuse(&start.method, headers, check_start(&start).err().unwrap_or(fault)),
        Err(error) => error,
    }
}

impl ParseError {
    const fn silent(what: &'static str) -> Self {
        Self { what, answer: None }
    }
}

/// A request line so far as it can be answered.
struct RequestLine {
    method: Method,
    uri: Bytes,
    version: Bytes,
}

fn is_status_line(line: &[u8]) -> bool {
    line.iter().take(4).map(u8::to_ascii_uppercase).eq(*b"SIP/")
}

/// `SIP-Version SP Status-Code SP Reason-Phrase`; the last space may be missing.
fn read_status_line(line: &Bytes) -> Result<(u16, Bytes), ParseError> {
    let (version, rest) = split_once(line, b' ').ok_or(ParseError::silent("malformed status line"))?;
    if !is_our_version(&version) {
        return Err(ParseError::silent("response of another SIP version"));
    }
    let (status, reason) = split_once(&rest, b' ').unwrap_or_else(|| (rest.clone(), Bytes::new()));
    let status = (status.len() == 3).then(|| number(&status, 699)).flatten().and_then(|s| u16::try_from(s).ok());
    match status {
        Some(status @ 100..) if !has_line_end(&reason) => Ok((status, reason)),
        Some(_) | None => Err(ParseError::silent("malformed status line")),
    }
}

/// `Method SP Request-URI SP SIP-Version`. More spaces than one between the three, and after them, are let through
/// (RFC 4475 sections 3.1.2.9 and 3.1.2.10): nothing can be misread by that.
fn read_request_line(line: &Bytes) -> Result<RequestLine, ParseError> {
    let malformed = ParseError::silent("no SIP start line");
    let line = trim(line);
    let (method, rest) = split_once(&line, b' ').ok_or(malformed.clone())?;
    let at = rest.iter().rposition(|b| *b == b' ').ok_or(malformed.clone())?;
    let (uri, version) = (trim(&rest.slice(..at)), rest.slice(at + 1..));
    let method = Method::parse(&method).ok_or(malformed.clone())?;
    if !is_version(&version) || has_line_end(&uri) {
        return Err(malformed);
    }
    Ok(RequestLine { method, uri, version })
}

/// `"SIP" "/" 1*DIGIT "." 1*DIGIT`
fn is_version(version: &[u8]) -> bool {
    let (name, numbers) = version.split_at(version.len().min(4));
    let mut halves = numbers.split(|b| *b == b'.');
    let is_digits = |half: Option<&[u8]>| half.is_some_and(|half| number(half, u64::MAX).is_some());
    name.eq_ignore_ascii_case(b"SIP/")
        && is_digits(halves.next())
        && is_digits(halves.next())
        && halves.next().is_none()
}

fn is_our_version(version: &[u8]) -> bool {
    version.eq_ignore_ascii_case(b"SIP/2.0")
}

fn has_line_end(bytes: &[u8]) -> bool {
    bytes.iter().any(|b| matches!(b, b'\r' | b'\n'))
}

fn check_start(start: &RequestLine) -> Result<(), Fault> {
    if !is_our_version(&start.version) {
        return Err((505, "SIP version not supported"));
    }
    if start.uri.len() > MAX_URI {
        return Err((414, "Request-URI too long"));
    }
    Ok(())
}

fn read_request(start: &RequestLine, fields: &mut Fields, too_long: bool) -> Result<Message, Fault> {
    check_start(start)?;
    let body = read_body(fields, too_long)?;
    let uri = Uri::parse(&start.uri).map_err(|what| (400, what))?;
    // A Request-URI holds no headers (RFC 3261 section 19.1.1); some would turn them into header fields.
    if uri.as_sip().is_some_and(|sip| sip.headers.is_some()) {
        return Err((400, "headers in the Request-URI"));
    }
    check_common(&fields.headers)?;
    check_method(&start.method, &fields.headers)?;
    check_hops(&fields.headers)?;
    check_contacts(&fields.headers)?;
    for name in [HeaderName::Route, HeaderName::RecordRoute] {
        fields.headers.routes(&name).map_err(fault)?;
    }
    let headers = std::mem::take(&mut fields.headers);
    Ok(Request { method: start.method.clone(), uri, headers, body }.into())
}

fn read_response(status: u16, reason: Bytes, fields: Fields, too_long: bool) -> Result<Message, Fault> {
    let body = read_body(&fields, too_long)?;
    check_common(&fields.headers)?;
    fields.headers.cseq().map_err(fault)?;
    Ok(Response { status, reason, headers: fields.headers, body }.into())
}

/// Content-Length says where the body ends; without it, it is all of the datagram (RFC 3261 section 18.3).
fn read_body(fields: &Fields, too_long: bool) -> Result<Bytes, Fault> {
    if too_long {
        return Err((513, "message too long"));
    }
    if let Some(fault) = fields.fault {
        return Err(fault);
    }
    let Some(value) = fields.headers.get(&HeaderName::ContentLength) else { return Ok(fields.rest.clone()) };
    let len = number(value, u64::MAX).ok_or((400, "malformed Content-Length"))?;
    match usize::try_from(len) {
        Ok(len) if len <= fields.rest.len() => Ok(fields.rest.slice(..len)),
        Ok(_) | Err(_) => Err((400, "Content-Length beyond the message")),
    }
}

/// What requests and responses alike must hold, CSeq excepted.
fn check_common(headers: &Headers) -> Result<(), Fault> {
    let mut vias = 0;
    for via in headers.pieces(&HeaderName::Via) {
        Via::parse(&via).map_err(|what| (400, what))?;
        vias += 1;
        if vias > MAX_VIAS {
            return Err((513, "too many Via values"));
        }
    }
    if vias == 0 {
        return Err((400, "Via missing"));
    }
    headers.call_id().map_err(fault)?;
    check_party(&headers.from().map_err(fault)?)?;
    check_party(&headers.to().map_err(fault)?)
}

/// A tag is part of a dialog's identity, so it must be a plain value.
fn check_party(party: &NameAddr) -> Result<(), Fault> {
    match party.parameter("tag") {
        None => Ok(()),
        Some(Some(tag)) if !tag.starts_with(b"\"") => Ok(()),
        Some(_) => Err((400, "malformed tag")),
    }
}

fn check_method(method: &Method, headers: &Headers) -> Result<(), Fault> {
    if headers.cseq().map_err(fault)?.method == *method {
        return Ok(());
    }
    // RFC 4475 section 3.1.2.18: for a method nobody knows, 501 says more.
    let status = if matches!(method, Method::Other(_)) { 501 } else { 400 };
    Err((status, "CSeq method differs from the request's"))
}

fn check_hops(headers: &Headers) -> Result<(), Fault> {
    if headers.get(&HeaderName::MaxForwards).is_some() && headers.max_forwards().is_none() {
        return Err((400, "Max-Forwards malformed or out of range"));
    }
    Ok(())
}

fn check_contacts(headers: &Headers) -> Result<(), Fault> {
    for contact in headers.pieces(&HeaderName::Contact) {
        if contact.as_ref() != b"*" {
            NameAddr::parse(&contact).map_err(|what| (400, what))?;
        }
    }
    Ok(())
}

fn fault(error: HeaderError) -> Fault {
    (400, error.text())
}

/// An ACK is never answered (RFC 3261 section 17.1.1.3), nor is what has no Via.
fn refuse(method: &Method, headers: &Headers, (status, what): Fault) -> ParseError {
    let answerable = *method != Method::Ack && headers.get(&HeaderName::Via).is_some();
    let answer = answerable.then(|| {
        let mut copied = Headers::with_capacity(5);
        for name in [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq] {
            copied.copy_from(headers, &name);
        }
        Box::new((status, copied))
    });
    ParseError { what, answer }
}
