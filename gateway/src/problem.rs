//! Problems as `application/problem+json` (RFC 9457). Every refusal of the HTTP surface is one of these.

use serde_json::{Map, Value};

/// A refusal.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// HTTP status; also in the body.
    pub status: u16,
    /// The last part of `urn:trunkline:problem:<slug>`.
    pub slug: &'static str,
    /// Stable for the slug.
    pub title: &'static str,
    /// What is wrong with this request and how to mend it. No internals, no secrets.
    pub detail: String,
    /// Retry-After, seconds.
    pub retry_after: Option<u32>,
    /// Further members (`call`, `session`, `opens_at`, …).
    pub extra: Map<String, Value>,
}
