//! Messages to bytes, and answers to requests.

use bytes::Bytes;

use super::{Message, Request, Response};

impl Message {
    /// The message as it goes on the wire, with a right Content-Length.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        todo!()
    }
}

impl Response {
    /// An answer to `request`: copies Via, From, To (adding `tag` unless it has one), Call-ID, CSeq, and Record-Route
    /// where a dialog may come of it (RFC 3261 section 8.2.6, 12.1.1).
    #[must_use]
    pub fn to_request(request: &Request, status: u16, tag: Option<&str>) -> Self {
        todo!()
    }
}

/// The usual reason phrase of a status.
#[must_use]
pub fn reason_phrase(status: u16) -> &'static str {
    todo!()
}
