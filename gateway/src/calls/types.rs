//! The words of the call API: what goes in, what comes out.

use crate::ids::CallId;

/// A call that was taken.
#[derive(Debug, Clone)]
pub struct Started {
    /// Its id.
    pub call: CallId,
    /// SDP answer.
    pub answer: String,
    /// Strong entity tag of the ICE session, without quotes.
    pub etag: String,
}

/// An ICE restart that was taken.
#[derive(Debug, Clone)]
pub struct Restart {
    /// `application/trickle-ice-sdpfrag` body.
    pub fragment: String,
    /// The new entity tag, without quotes.
    pub etag: String,
}

/// What a PATCH came to.
#[derive(Debug, Clone)]
pub enum Patched {
    /// Trickled candidates were noted.
    Trickled,
    /// ICE was restarted.
    Restarted(Restart),
}

/// Who ends a call through the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HangupBy {
    /// DELETE on the call.
    Visitor,
    /// `hangup` on the control listener, with the reason given there.
    Operator(String),
}

/// `If-Match` of a PATCH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfMatch {
    /// `*` or `"*"`.
    Any,
    /// One tag, without quotes.
    Tag(String),
}

/// Filter of a call list.
#[derive(Debug, Clone, Default)]
pub struct CallFilter {
    /// `setup|ringing|talking|reconnecting|ended`
    pub state: Option<String>,
    /// App id.
    pub app: Option<String>,
    /// Outcome reason.
    pub reason: Option<String>,
    /// RFC 3339, inclusive.
    pub since: Option<String>,
    /// RFC 3339, exclusive.
    pub until: Option<String>,
    /// Opaque, from the page before.
    pub cursor: Option<String>,
    /// Rows, 1..=200.
    pub limit: usize,
}

/// A page of records.
#[derive(Debug, Clone)]
pub struct CallPage {
    /// Records, newest first.
    pub calls: Vec<serde_json::Value>,
    /// Where the next page begins.
    pub next_cursor: Option<String>,
}
