//! The start line and the header fields of a message on a stream: how long its body is, and the refusal of one whose end
//! nobody knows or waits for.

use bytes::Bytes;

use super::HeaderName;
use super::fields::{self, Fields, take_line};
use super::grammar::number;
use super::parse::{self, ParseError};

pub(crate) use super::fields::Fault;

/// As much of it as came.
pub(crate) struct Head {
    line: Bytes,
    fields: Fields,
}

impl Head {
    pub(crate) fn read(mut octets: Bytes) -> Self {
        let line = take_line(&mut octets).unwrap_or_default();
        Self { line, fields: fields::read(octets) }
    }

    /// Content-Length, which a stream cannot do without (RFC 3261 section 20.14).
    pub(crate) fn body_length(&self) -> Result<usize, Fault> {
        if let Some(doubt) = self.fields.doubt {
            return Err(doubt);
        }
        let value = self.fields.headers.get(&HeaderName::ContentLength).ok_or((400, "no Content-Length"))?;
        let length = number(value, u64::MAX).ok_or((400, "malformed Content-Length"))?;
        usize::try_from(length).map_err(|_| (400, "malformed Content-Length"))
    }

    /// Refuses the message for this.
    pub(crate) fn refuse(&self, fault: Fault) -> ParseError {
        parse::refuse_by_line(&self.line, &self.fields.headers, fault)
    }
}
