//! The shapes of bodies that are written as JSON values where they are made. Nothing here is ever constructed: these
//! types exist to be published, and the fuzzing test holds every answer against them.

use utoipa::ToSchema;

mod calls;
mod node;

pub use calls::*;
pub use node::*;

/// A refusal (RFC 9457).
#[derive(ToSchema)]
pub struct Problem {
    /// `urn:trunkline:problem:<slug>`
    #[schema(rename = "type", pattern = "^urn:trunkline:problem:[a-z-]+$")]
    pub kind: String,
    /// Stable for the slug.
    pub title: String,
    /// The real HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// What is wrong with this request and how to mend it.
    pub detail: String,
    /// The call it is about, where one exists.
    pub call: Option<String>,
    /// The session it is about, where one exists.
    pub session: Option<String>,
    /// When calls are taken again (`closed`), RFC 3339; null when that is not within a year.
    pub opens_at: Option<String>,
    /// What the day is called, if calls are not taken because of it.
    pub label: Option<String>,
}

/// The process answers.
#[derive(ToSchema)]
pub struct Health {
    /// `ok` or `ready`.
    pub status: String,
}

/// A session that was opened.
#[derive(ToSchema)]
pub struct SessionAnswer {
    /// `ses_…`
    #[schema(pattern = "^ses_")]
    pub session: String,
    /// A JWT, good to start calls until `expires_at`, and for a call it started until that ends.
    pub token: String,
    /// RFC 3339, UTC, milliseconds.
    #[schema(format = DateTime)]
    pub expires_at: String,
    /// Whether calls can be started.
    pub state: SessionState,
    /// When calls can be started, if the state is `closed`; null when that is not within a year.
    pub opens_at: Option<String>,
    /// What the day is called, if the state is `closed` because of it.
    pub label: Option<String>,
    /// The profile in use.
    #[schema(required)]
    pub profile: Option<String>,
    /// The profile that was asked for does not exist; this is the default one.
    pub profile_fallback: bool,
    /// Whether the widget may ask for an opinion after a clean end.
    pub survey: bool,
    /// For the browser's peer connection.
    pub ice_servers: Vec<IceServer>,
    /// What became of the context.
    pub context_report: ContextReport,
    /// `receive`, if it waits for calls.
    pub mode: Option<String>,
    /// The address at which it is called, if it waits for calls.
    pub address: Option<String>,
}

/// Whether a session's calls can be started.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum SessionState {
    /// They can.
    Ready,
    /// Not at this hour.
    Closed,
    /// Never: a preview.
    Preview,
}

/// A STUN or TURN server, as `RTCPeerConnection` takes it.
#[derive(ToSchema)]
pub struct IceServer {
    /// `stun:`, `turn:` and `turns:` URIs.
    pub urls: Vec<String>,
    /// Of TURN.
    pub username: Option<String>,
    /// Of TURN.
    pub credential: Option<String>,
}

/// What became of each context key.
#[derive(ToSchema)]
pub struct ContextReport {
    /// Kept.
    pub accepted: Vec<String>,
    /// Not kept.
    pub dropped: Vec<DroppedKey>,
    /// Kept, cut to size.
    pub truncated: Vec<String>,
}

/// A context key that was not kept.
#[derive(ToSchema)]
pub struct DroppedKey {
    /// The key.
    pub key: String,
    /// `invalid_key`, `reserved`, `budget`, `duplicate` or `invalid_value`.
    pub reason: String,
}
