//! Sessions: what a widget gets before a call, with its token. A session is memory only; no port, ICE agent or SIP
//! message exists because of one.
//!
//! ```text
//! Desk::open ─ request (parse) ─ keys (whose widget) ─ context (what is kept) ─ store (count, expiry) ─ token (JWT)
//!          └─ hours (ready or closed)                              └─ idempotency (a retry gets the same session)
//! ```

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::ids::SessionId;

pub mod context;
pub mod desk;
pub mod hours;
pub mod ice;
pub mod idempotency;
pub mod keys;
mod packed;
mod quotas;
pub mod request;
pub mod store;
#[cfg(test)]
mod tests;
pub mod token;

pub use desk::{Caller, Desk};
pub use request::NewSession;
pub use store::Sessions;
pub use token::{Claims, Mode, TokenKeys, Verified};

/// How long a session may start calls; its token says the same.
pub const LIFETIME: Duration = Duration::from_secs(600);

/// A session that may start one call at a time.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Its app.
    pub app: String,
    /// The profile in use (after fallback), if the app has any.
    pub profile: Option<String>,
    /// What the widget asked for was not there.
    pub profile_fallback: bool,
    /// What it asked for then.
    pub asked_profile: Option<String>,
    /// BCP 47, `en` when not said.
    pub lang: String,
    /// No call may ever come of it.
    pub preview: bool,
    /// It waits for calls under this name, and starts none.
    pub receive: Option<String>,
    /// Accepted context, in order.
    pub context: Vec<(String, String)>,
    /// Form values, sanitised like context.
    pub form: Vec<(String, String)>,
    /// Destinations given by the back end; they win over the profile.
    pub destination: Option<String>,
    /// SIP header fields given by the back end.
    pub headers: Vec<(String, String)>,
    /// The back end's own data, returned in records.
    pub metadata: Option<Value>,
    /// When it was made.
    pub created: Instant,
}
