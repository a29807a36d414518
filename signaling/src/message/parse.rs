//! Bytes to messages.

use bytes::Bytes;

use super::{Headers, Message};

/// Limits of a message: over them it is refused, with the status an answer would carry.
pub const MAX_MESSAGE: usize = 65_535;
/// Most header fields in a message.
pub const MAX_HEADERS: usize = 256;

/// A datagram that is no acceptable message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct ParseError {
    /// What is wrong, for the log and for the reason phrase.
    pub what: &'static str,
    /// Where to answer, if this was a request (never ACK) with enough left to answer: the status (400, 505, 513, …)
    /// and the header fields an answer copies (Via, From, To, Call-ID, CSeq).
    pub answer: Option<Box<(u16, Headers)>>,
}

/// Parses one datagram. Octets after Content-Length are ignored (RFC 3261 section 18.3); a keep-alive (CRLFs or
/// nothing) is an error without an answer.
pub fn parse(datagram: Bytes) -> Result<Message, ParseError> {
    todo!()
}
