//! What is told of one call, live, just ended or long on the disk: record, series, findings, support bundle.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::Shared;
use crate::clock::rfc3339;
use crate::ids::CallId;
use crate::store::{Papers, ReadError};

/// All there is to tell of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct CallPapers {
    /// The record of `api.md`.
    pub record: Value,
    /// Who made it, series, findings, trail; null for a call whose details were given up.
    details: Value,
}

impl CallPapers {
    /// `GET /v1/calls/{call}/quality`.
    #[must_use]
    pub fn quality(&self) -> Value {
        self.detail("quality", json!({ "half_legs": {} }))
    }

    /// `GET /v1/calls/{call}/diagnosis`.
    #[must_use]
    pub fn diagnosis(&self) -> Value {
        let findings = self.record.get("findings").cloned().unwrap_or_else(|| json!([]));
        self.detail(
            "diagnosis",
            json!({ "findings": findings, "half_legs": {}, "outcome": self.record.get("outcome") }),
        )
    }

    /// `GET /v1/calls/{call}/bundle`: everything above and the trail. What the page and the back end attached to the
    /// session is left out unless asked for.
    #[must_use]
    pub fn bundle(&self, generated_at: &str, with_context: bool) -> Value {
        let mut record = self.record.clone();
        if let Some(record) = record.as_object_mut().filter(|_| !with_context) {
            record.remove("context");
            record.remove("metadata");
        }
        let of = |part: &str, name: &str| self.details.get(part).and_then(|part| part.get(name)).cloned();
        let list = |name: &str| of("trail", name).unwrap_or_else(|| json!([]));
        json!({
            "bundle_version": 1,
            "generated_at": generated_at,
            "node": of("made_by", "node"),
            "version": of("made_by", "version"),
            "config_version": of("made_by", "config_version"),
            "quality": self.quality(),
            "diagnosis": self.diagnosis(),
            "timeline": list("timeline"),
            "sdp": list("sdp"),
            "candidates": of("trail", "candidates").unwrap_or_else(|| json!({ "local": [], "remote": [] })),
            "sip_ladder": list("sip_ladder"),
            "left_out": of("trail", "left_out"),
            "client_reports": record.get("client_reports").cloned().unwrap_or_else(|| json!([])),
            "outcome": record.get("outcome"),
            "record": record,
        })
    }

    fn detail(&self, name: &str, otherwise: Value) -> Value {
        let mut part = self.details.get(name).cloned().unwrap_or(otherwise);
        if let (Some(part), Some(call)) = (part.as_object_mut(), self.record.get("call")) {
            part.entry("call").or_insert_with(|| call.clone());
        }
        part
    }
}

/// Wherever the call is. `None`: nobody knows it.
pub(super) async fn find(shared: &Shared, call: &CallId) -> Result<Option<CallPapers>, ReadError> {
    let papers: Option<Arc<dyn Papers>> = match shared.body(call) {
        Some(body) => Some(body),
        None => shared.store.waiting(call).map(|kept| Arc::clone(&kept.papers)),
    };
    let Some(papers) = papers else {
        let found = shared.store.papers(call).await?;
        return Ok(found.map(|(record, details)| CallPapers { record, details }));
    };
    // The series of a long call take a while to write out.
    let made = tokio::task::spawn_blocking(move || CallPapers { record: papers.record(), details: papers.details() });
    made.await.map(Some).map_err(|_| ReadError::Stopped)
}

/// The record alone.
pub(super) async fn record(shared: &Shared, call: &CallId) -> Result<Option<Value>, ReadError> {
    match in_memory(shared, call) {
        Some(record) => Ok(Some(record)),
        None => shared.store.record(call).await,
    }
}

/// The record, if it can be had without the disk.
pub(super) fn in_memory(shared: &Shared, call: &CallId) -> Option<Value> {
    let body = shared.body(call).map(|body| body.record());
    body.or_else(|| shared.store.waiting(call).map(|kept| kept.papers.record()))
}

/// The papers of a call whose gateway crashed.
pub(super) struct Closed {
    pub(super) record: Value,
    pub(super) details: Value,
}

impl Papers for Closed {
    fn record(&self) -> Value {
        self.record.clone()
    }

    fn details(&self) -> Value {
        self.details.clone()
    }
}

/// A details object with nothing in it yet.
pub(super) fn no_details(call: &CallId) -> Map<String, Value> {
    let nothing = json!({
        "quality": { "call": call.as_str(), "half_legs": {} },
        "diagnosis": { "call": call.as_str(), "findings": [], "half_legs": {} },
        "trail": { "timeline": [], "sdp": [], "candidates": { "local": [], "remote": [] }, "sip_ladder": [] },
    });
    match nothing {
        Value::Object(map) => map,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

/// How every time is written.
pub(super) fn time(at: jiff::Timestamp) -> Value {
    rfc3339(at).into()
}
