//! SIP messages: parsed strictly where identity, framing or routing is at stake, liberally elsewhere. Values are
//! slices of the datagram ([`Bytes`]); nothing is copied until somebody builds a new message (a folded value excepted:
//! it is unfolded).

use bytes::Bytes;

pub mod accessors;
pub mod build;
mod fields;
pub(crate) mod grammar;
pub(crate) mod head;
pub mod header_name;
pub mod headers;
pub mod host;
pub mod method;
pub mod name_addr;
pub mod parse;
pub(crate) mod parts;
pub mod replaces;
#[cfg(test)]
mod tests;
pub mod uri;
pub mod via;

pub use accessors::{RAck, Reason, Refresher, SessionExpires};
pub use build::reason_phrase;
pub(crate) use fields::take_line;
pub use headers::{CSeq, HeaderError, HeaderName, Headers};
pub use method::Method;
pub use name_addr::NameAddr;
pub use parse::{ParseError, parse};
pub use replaces::{Replaces, Replacing};
pub use uri::{Host, SipUri, Uri};
pub use via::Via;

/// The header fields of a message and what follows them, so far as they can be read; `bytes` begin behind the start line.
pub(crate) fn read_fields(bytes: Bytes) -> (Headers, Bytes) {
    let fields = fields::read(bytes);
    let rest = fields.rest;
    let declared = fields.headers.get(&HeaderName::ContentLength).and_then(|value| grammar::number(value, u64::MAX));
    let length = declared.and_then(|length| usize::try_from(length).ok()).map_or(rest.len(), |len| len.min(rest.len()));
    (fields.headers, rest.slice(..length))
}

/// A whole SIP message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A request.
    Request(Request),
    /// A response.
    Response(Response),
}

/// A request whose mandatory fields (Via, From, To, Call-ID, CSeq) are there once (Via: at least once) and parse.
/// Max-Forwards may be missing: RFC 2543 knew none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The Request-URI.
    pub uri: Uri,
    /// Header fields in wire order.
    pub headers: Headers,
    /// Exactly Content-Length octets (on UDP: to the datagram's end when absent).
    pub body: Bytes,
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// 100..=699.
    pub status: u16,
    /// Reason phrase as it came.
    pub reason: Bytes,
    /// Header fields in wire order.
    pub headers: Headers,
    /// Body.
    pub body: Bytes,
}

impl Message {
    /// Header fields of either kind.
    #[must_use]
    pub const fn headers(&self) -> &Headers {
        match self {
            Self::Request(request) => &request.headers,
            Self::Response(response) => &response.headers,
        }
    }

    /// Body of either kind.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        match self {
            Self::Request(request) => &request.body,
            Self::Response(response) => &response.body,
        }
    }
}

impl From<Request> for Message {
    fn from(request: Request) -> Self {
        Self::Request(request)
    }
}

impl From<Response> for Message {
    fn from(response: Response) -> Self {
        Self::Response(response)
    }
}
