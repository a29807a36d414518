//! Events: one envelope, one sequence per call without gaps, replay.

use serde::Serialize;
use serde_json::{Map, Value};

/// The envelope of every event, on every stream.
#[derive(Debug, Clone, Serialize)]
pub struct Envelope {
    /// `evt_…`
    pub id: crate::ids::EventId,
    /// e.g. `call_started`.
    pub name: &'static str,
    /// RFC 3339, UTC, milliseconds.
    pub timestamp: String,
    /// The app.
    pub app: String,
    /// Per call, from 1, without gaps.
    pub seq: u64,
    /// Call, session, context and the event's own fields.
    pub data: Map<String, Value>,
}
