//! Messages to bytes, and answers to requests.

use std::fmt::Write;

use bytes::{BufMut, Bytes, BytesMut};

use super::grammar::{is_token_byte, visible};
use super::{HeaderName, Headers, Message, Method, NameAddr, Request, Response, Uri};

impl Message {
    /// The message as it goes on the wire, with a right Content-Length.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        match self {
            Self::Request(request) => request.to_bytes(),
            Self::Response(response) => response.to_bytes(),
        }
    }
}

impl Request {
    /// A request without header fields and body.
    #[must_use]
    pub fn new(method: Method, uri: impl Into<Uri>) -> Self {
        Self { method, uri: uri.into(), headers: Headers::default(), body: Bytes::new() }
    }

    /// With one more header field.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: impl Into<Bytes>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// With a body and its type.
    #[must_use]
    pub fn with_body(mut self, content_type: &'static str, body: Bytes) -> Self {
        self.headers.set(HeaderName::ContentType, content_type);
        self.body = body;
        self
    }

    /// As it goes on the wire.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut out = start(&self.headers, &self.body);
        // A hand-made method must not bring a second request line along.
        out.extend(self.method.as_bytes().iter().map(|b| if is_token_byte(*b) { *b } else { b'_' }));
        // Writing to a growable buffer cannot fail.
        let _ = write!(out, " {} SIP/2.0\r\n", self.uri);
        finish(out, &self.headers, &self.body)
    }
}

impl Response {
    /// An answer to `request`: copies Via, From, To (adding `tag` unless it has one), Call-ID, CSeq, and Record-Route
    /// where a dialog may come of it (RFC 3261 section 8.2.6, 12.1.1).
    #[must_use]
    pub fn to_request(request: &Request, status: u16, tag: Option<&str>) -> Self {
        let mut response = Self::to_headers(&request.headers, status, tag);
        if request.method.creates_dialog() && (101..300).contains(&status) {
            response.headers.copy_from(&request.headers, &HeaderName::RecordRoute);
        }
        if status == 100 {
            response.headers.copy_from(&request.headers, &HeaderName::other("Timestamp"));
        }
        response
    }

    /// An answer to a request of which only header fields are left ([`super::ParseError::answer`]).
    #[must_use]
    pub fn to_headers(request: &Headers, status: u16, tag: Option<&str>) -> Self {
        let mut headers = Headers::with_capacity(12);
        headers.copy_from(request, &HeaderName::Via);
        headers.copy_from(request, &HeaderName::From);
        if let Some(to) = request.get(&HeaderName::To) {
            headers.push_verbatim(HeaderName::To, tagged(to, tag));
        }
        headers.copy_from(request, &HeaderName::CallId);
        headers.copy_from(request, &HeaderName::CSeq);
        Self { status, reason: Bytes::from_static(reason_phrase(status).as_bytes()), headers, body: Bytes::new() }
    }

    /// With one more header field.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: impl Into<Bytes>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// With a body and its type.
    #[must_use]
    pub fn with_body(mut self, content_type: &'static str, body: Bytes) -> Self {
        self.headers.set(HeaderName::ContentType, content_type);
        self.body = body;
        self
    }

    /// As it goes on the wire.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut out = start(&self.headers, &self.body);
        let _ = write!(out, "SIP/2.0 {} ", self.status);
        out.extend(self.reason.iter().copied().map(visible));
        out.put_slice(b"\r\n");
        finish(out, &self.headers, &self.body)
    }
}

/// A To value with a tag: nothing but the tag is added, the rest stays byte by byte. A value that does not parse (in the
/// answer to a malformed request) is left alone.
fn tagged(to: &Bytes, tag: Option<&str>) -> Bytes {
    let untagged = NameAddr::parse(to).is_ok_and(|to| to.parameter("tag").is_none());
    let Some(tag) = tag.filter(|_| untagged) else { return to.clone() };
    let mut out = BytesMut::with_capacity(to.len() + 5 + tag.len());
    out.extend_from_slice(to);
    super::grammar::put_parameter(&mut out, b"tag", Some(tag.as_bytes()));
    out.freeze()
}

fn start(headers: &Headers, body: &Bytes) -> BytesMut {
    let fields: usize = headers.iter().map(|(name, value)| name.as_bytes().len() + value.len() + 4).sum();
    BytesMut::with_capacity(256 + fields + body.len())
}

fn finish(mut out: BytesMut, headers: &Headers, body: &Bytes) -> Bytes {
    let mut has_length = false;
    for (name, value) in headers.iter() {
        if *name == HeaderName::ContentLength {
            if !has_length {
                put_length(&mut out, body);
            }
            has_length = true;
            continue;
        }
        out.put_slice(name.as_bytes());
        out.put_slice(b": ");
        out.put_slice(value);
        out.put_slice(b"\r\n");
    }
    if !has_length {
        put_length(&mut out, body);
    }
    out.put_slice(b"\r\n");
    out.put_slice(body);
    out.freeze()
}

fn put_length(out: &mut BytesMut, body: &Bytes) {
    let _ = write!(out, "Content-Length: {}\r\n", body.len());
}

/// The usual reason phrase of a status.
#[must_use]
pub const fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        182 => "Queued",
        183 => "Session Progress",
        199 => "Early Dialog Terminated",
        200 => "OK",
        202 => "Accepted",
        204 => "No Notification",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        305 => "Use Proxy",
        380 => "Alternative Service",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        410 => "Gone",
        412 => "Conditional Request Failed",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        421 => "Extension Required",
        422 => "Session Interval Too Small",
        423 => "Interval Too Brief",
        433 => "Anonymity Disallowed",
        469 => "Bad Info Package",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        484 => "Address Incomplete",
        485 => "Ambiguous",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        489 => "Bad Event",
        491 => "Request Pending",
        493 => "Undecipherable",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        580 => "Precondition Failure",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        606 => "Not Acceptable",
        607 => "Unwanted",
        608 => "Rejected",
        _ => class_phrase(status),
    }
}

/// A phrase for a status nobody registered.
const fn class_phrase(status: u16) -> &'static str {
    match status / 100 {
        1 => "Session Progress",
        2 => "OK",
        3 => "Redirection",
        4 => "Client Error",
        5 => "Server Error",
        _ => "Global Failure",
    }
}
