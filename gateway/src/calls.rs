//! The calls of this node: start, steer, look up. What both HTTP listeners and the drivers share.

use std::sync::Arc;

use crate::events::Envelope;
use crate::ids::{CallId, SessionId};
use crate::problem::Problem;
use crate::session::Session;

/// All calls; clones share them.
#[derive(Clone)]
pub struct Calls {}

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

/// A live view of one call's events: everything after a sequence number, then as they come; ends with the call.
pub struct EventStream {}

impl EventStream {
    /// The next event; `None` when the call is over and all has been handed out.
    pub async fn next(&mut self) -> Option<Arc<Envelope>> {
        todo!()
    }
}

impl Calls {
    /// Starts a call for a session: admission (caps, one live call a session, drain), routing, media; the SIP side is
    /// dialled by the call's own task. Problems: `call-in-progress` 409, `invalid-sdp` 400, `unsupported-sdp` 422,
    /// `capacity` 503, `draining` 503.
    pub async fn start(&self, session: &Session, offer: &[u8]) -> Result<Started, Problem> {
        todo!()
    }

    /// Which session a call belongs to: how a token is checked against a call.
    #[must_use]
    pub fn session_of(&self, call: &CallId) -> Option<SessionId> {
        todo!()
    }

    /// Whether the session has a call that has not ended.
    #[must_use]
    pub fn live_call_of(&self, session: &SessionId) -> Option<CallId> {
        todo!()
    }

    /// PATCH: trickle or ICE restart. Problems: `precondition-failed` 412, `invalid-sdp` 400, `call-ended` 409.
    pub async fn patch(&self, call: &CallId, if_match: &IfMatch, fragment: &[u8]) -> Result<Patched, Problem> {
        todo!()
    }

    /// A new peer connection for a live call.
    pub async fn reattach(&self, call: &CallId, offer: &[u8]) -> Result<Started, Problem> {
        todo!()
    }

    /// Ends a call; ending an ended call is no error. `false`: unknown call.
    pub fn hangup(&self, call: &CallId, by: HangupBy) -> bool {
        todo!()
    }

    /// Sends digits towards a leg. Problems: `call-not-connected` 409, `invalid-digits` 400.
    pub fn dtmf(
        &self,
        call: &CallId,
        towards: trunkline_media::api::Leg,
        digits: &str,
        duration_ms: u32,
    ) -> Result<(), Problem> {
        todo!()
    }

    /// Mutes what a leg says.
    pub fn mute(&self, call: &CallId, leg: trunkline_media::api::Leg, muted: bool) -> Result<(), Problem> {
        todo!()
    }

    /// The record of `api.md`, live or ended.
    #[must_use]
    pub fn record(&self, call: &CallId) -> Option<serde_json::Value> {
        todo!()
    }

    /// A page of records.
    #[must_use]
    pub fn list(&self, filter: &CallFilter) -> CallPage {
        todo!()
    }

    /// A call's events after `seq` (0: from the beginning).
    #[must_use]
    pub fn events(&self, call: &CallId, after: u64) -> Option<EventStream> {
        todo!()
    }

    /// Notes a client report in the session's live call, if it has one.
    pub fn client_report(&self, session: &SessionId, code: &str, detail: Option<&str>) {
        todo!()
    }

    /// Live calls.
    #[must_use]
    pub fn live(&self) -> usize {
        todo!()
    }

    /// No new calls from now on.
    pub fn drain(&self) {
        todo!()
    }

    /// Whether [`Self::drain`] was called.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        todo!()
    }

    /// Ends every live call with `node_shutdown` and waits until all have ended (at most five seconds).
    pub async fn shutdown(&self) {
        todo!()
    }
}
