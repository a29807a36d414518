//! What support asks for beyond the record: the quality series, the findings, and the trail of messages.

use std::time::Instant;

use serde_json::{Value, json};

use super::Call;

impl Call {
    /// The sampled series of each half-leg (`GET /v1/calls/{call}/quality`).
    #[must_use]
    pub fn quality_series(&self, _now: Instant) -> Value {
        json!({ "call": self.about.call.as_str(), "half_legs": {} })
    }

    /// The findings (`GET /v1/calls/{call}/diagnosis`).
    #[must_use]
    pub fn diagnosis(&self, _now: Instant) -> Value {
        json!({ "call": self.about.call.as_str(), "findings": [], "outcome": self.notes.outcome })
    }
}
