//! SIP messages: parsed strictly where identity, framing or routing is at stake, liberally elsewhere. Values are
//! slices of the datagram ([`Bytes`]); nothing is copied until somebody builds a new message.

use bytes::Bytes;

pub mod build;
pub mod headers;
pub mod method;
pub mod name_addr;
pub mod parse;
pub mod uri;
pub mod via;

pub use headers::{HeaderName, Headers};
pub use method::Method;
pub use name_addr::NameAddr;
pub use parse::{ParseError, parse};
pub use uri::{Host, Uri};
pub use via::Via;

/// A whole SIP message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A request.
    Request(Request),
    /// A response.
    Response(Response),
}

/// A request whose mandatory fields (Via, From, To, Call-ID, CSeq, Max-Forwards where RFC 3261 demands it) are there
/// once and parse.
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
