//! Who calls from the trunk, and who answers.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use trunkline_media::audio::Codec;
use trunkline_media::audio::prompt::Prompt;
use trunkline_signaling::targets::Target;

use crate::ids::SessionId;
use crate::routing::Route;

/// Who calls, in the trunk's words: whatever it is told, and no more to be believed than that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Caller {
    /// User of the From URI: never taken from a display name.
    pub number: String,
    /// Display name.
    pub display: Option<String>,
    /// Whom the trunk calls: user of the Request-URI.
    pub called: String,
    /// Who is called by that, in the app.
    pub name: String,
}

/// An INVITE of the trunk's.
#[derive(Debug, Clone)]
pub struct Called {
    /// The trunk's terms, as for a call to it.
    pub route: Arc<Route>,
    /// Where it came from.
    pub peer: Target,
    /// Its Call-ID.
    pub call_id: Option<String>,
    /// Its offer; `None`: it wants one of ours.
    pub offer: Option<Bytes>,
    /// Who waits for it.
    pub receivers: Vec<SessionId>,
    /// How many more would, but are in a call.
    pub busy: usize,
}

/// The browser that answers.
#[derive(Debug, Clone)]
pub struct Answerer {
    /// Its session.
    pub session: SessionId,
    /// The session's profile.
    pub profile: Option<String>,
    /// And its back end's data.
    pub metadata: Option<Value>,
    /// Its language.
    pub lang: String,
    /// What it will send.
    pub codec: Codec,
    /// In its language: see [`super::About`].
    pub ending_soon: Option<Arc<Prompt>>,
    /// See there.
    pub hold: Option<Arc<Prompt>>,
    /// See there.
    pub please_wait: Option<Arc<Prompt>>,
}

/// What a session has to do with a call from the trunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rings {
    /// Nothing.
    No,
    /// It rings there.
    Yes,
    /// It rang there, until somebody else had it or it was over.
    NoMore,
}
