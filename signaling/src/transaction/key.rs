//! Which transaction a message belongs to (RFC 3261 sections 17.1.3 and 17.2.3).

use bytes::Bytes;

use crate::message::headers::HeaderError;
use crate::message::{HeaderName, Host, Method, Request, Response};

/// What every branch of RFC 3261 starts with; older ones mean nothing.
pub const MAGIC_COOKIE: &str = "z9hG4bK";

/// Names a client transaction: our branch and the CSeq method (a CANCEL shares the branch of its INVITE).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientKey {
    /// Branch of the top Via.
    pub branch: Bytes,
    /// CSeq method.
    pub method: Method,
}

impl ClientKey {
    /// The transaction a response belongs to.
    pub fn of_response(response: &Response) -> Result<Self, HeaderError> {
        let branch = response.headers.top_via()?.branch;
        let branch = branch.ok_or(HeaderError { name: "Via", what: "no branch" })?;
        Ok(Self { branch, method: response.headers.cseq()?.method })
    }
}

/// Names a server transaction. An ACK has the key of its INVITE.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ServerKey {
    /// RFC 3261.
    Branch {
        /// Branch of the top Via.
        branch: Bytes,
        /// Its sent-by: two clients may choose the same branch.
        sent_by: (Host, u16),
        /// Method, INVITE for an ACK.
        method: Method,
    },
    /// RFC 2543, for requests without the magic cookie.
    Fields {
        /// Request-URI.
        uri: String,
        /// From tag.
        from_tag: Option<Bytes>,
        /// Call-ID.
        call_id: Bytes,
        /// CSeq number.
        number: u32,
        /// Method, INVITE for an ACK.
        method: Method,
        /// The whole top Via. (The To tag is left out: the ACK carries one that the INVITE has not, and the fields
        /// above already tell two requests of one client apart.)
        via: Bytes,
    },
}

impl ServerKey {
    /// The transaction a request belongs to, or would start.
    pub fn of_request(request: &Request) -> Result<Self, HeaderError> {
        let is_ack = request.method == Method::Ack;
        let method = if is_ack { Method::Invite } else { request.method.clone() };
        Self::with_method(request, method)
    }

    /// The INVITE transaction a CANCEL is about (RFC 3261 section 9.2).
    pub fn of_cancelled(cancel: &Request) -> Result<Self, HeaderError> {
        Self::with_method(cancel, Method::Invite)
    }

    fn with_method(request: &Request, method: Method) -> Result<Self, HeaderError> {
        let via = request.headers.top_via()?;
        match via.transaction_branch().cloned() {
            Some(branch) => Ok(Self::Branch { branch, sent_by: (via.host, via.port.unwrap_or(5060)), method }),
            None => Ok(Self::Fields {
                uri: request.uri.to_string(),
                from_tag: request.headers.from()?.tag().cloned(),
                call_id: request.headers.call_id()?,
                number: request.headers.cseq()?.number,
                method,
                via: request.headers.list(&HeaderName::Via).next().unwrap_or_default(),
            }),
        }
    }
}
