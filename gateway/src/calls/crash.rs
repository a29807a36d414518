//! Calls that were live when this gateway's process went away: found in the journal at the next start, and closed.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::Shared;
use super::papers::{Closed, no_details, time};
use crate::events::Word;
use crate::outcome::{Evidence, IceState, Outcome, Phase, QualityAtEnd, Reason};
use crate::store::{Kept, Orphan};

/// Closes them: record and last event together, counter, log.
pub(super) fn close(shared: &Shared, orphans: Vec<Orphan>) {
    for orphan in orphans {
        let phase = phase(&orphan.record);
        let kept = closed(&orphan, phase);
        tracing::info!(
            id = %orphan.id, class = "error", reason = Reason::NodeCrash.word(), phase = phase.word(), blame = "gateway",
            "call is over: it was live when the gateway went away"
        );
        shared.counters.crashed(phase);
        if orphan.end_told {
            shared.store.keep(kept);
        } else {
            let now = shared.clock.now();
            let word = last_word(&orphan, phase, now.wall, &kept.papers.record());
            shared.herald.tell(now.instant, word, None, Some(kept));
        }
    }
}

fn closed(orphan: &Orphan, phase: Phase) -> Kept {
    let end = orphan.last_known;
    let outcome = outcome(orphan, phase);
    let record = closed_record(orphan, &outcome);
    let mut details = no_details(&orphan.id);
    if let Value::Object(known) = orphan.details.clone() {
        details.extend(known);
    }
    if let Some(Value::Object(diagnosis)) = details.get_mut("diagnosis") {
        diagnosis.insert("outcome".into(), outcome);
    }
    if let Some(timeline) = details.get_mut("trail").and_then(|t| t.get_mut("timeline")).and_then(Value::as_array_mut) {
        if timeline.is_empty() {
            timeline.extend(stages(&record));
        }
        timeline.push(json!({ "at": time(end), "source": "call", "what": Reason::NodeCrash.word(), "detail": {} }));
    }
    Kept {
        id: orphan.id.clone(),
        session: orphan.session.clone(),
        app: orphan.app.clone(),
        started: orphan.started,
        ended: Some((end, Reason::NodeCrash.word())),
        papers: Arc::new(Closed { record, details: details.into() }),
        with_details: true,
    }
}

/// The event that its end never got.
fn last_word(orphan: &Orphan, phase: Phase, at: Timestamp, record: &Value) -> Word {
    let reason = Reason::NodeCrash;
    let of_record = |name: &str| record.get(name).cloned().unwrap_or(Value::Null);
    let data = json!({
        "call": orphan.id,
        "session": orphan.session,
        "context": record.get("context").cloned().unwrap_or_else(|| json!({})),
        "state": "ended",
        "class": reason.class().word(),
        "reason": reason.word(),
        "detail": reason.detail(),
        "phase": phase.word(),
        "blame": reason.blame().word(),
        "duration_seconds": of_record("duration_seconds"),
        "talk_seconds": of_record("talk_seconds"),
        "quality_at_end": record.pointer("/outcome/quality_at_end"),
    });
    let data = data.as_object().cloned().unwrap_or_default();
    let (app, call, seq) = (orphan.app.clone(), orphan.id.clone(), orphan.last_seq.saturating_add(1));
    Word { name: "call_error", app, call, seq, at, data }
}

/// How far the call had come.
fn phase(record: &Value) -> Phase {
    let state = record.get("state").and_then(Value::as_str).unwrap_or_default();
    let invited = record.pointer("/sip/attempts").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    match state {
        "talking" | "reconnecting" => Phase::Talking,
        "ringing" => Phase::Ringing,
        _ if invited => Phase::Setup,
        _ => Phase::Routing,
    }
}

fn outcome(orphan: &Orphan, phase: Phase) -> Value {
    let connected = orphan.record.pointer("/timings/ice_connected_at").is_some_and(|at| !at.is_null());
    let further = Map::from_iter([("last_known_at".to_owned(), time(orphan.last_known))]);
    let evidence = Evidence {
        ice_state: if connected { IceState::Connected } else { IceState::New },
        further,
        ..Evidence::default()
    };
    let outcome = Outcome::new(Reason::NodeCrash, phase, QualityAtEnd::unknown(), evidence);
    serde_json::to_value(outcome).unwrap_or(Value::Null)
}

/// The record as it was last written, with the end it never got.
fn closed_record(orphan: &Orphan, outcome: &Value) -> Value {
    let mut record = match &orphan.record {
        Value::Object(record) => record.clone(),
        // It was not readable: what the columns know.
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::from_iter([
            ("call".to_owned(), orphan.id.as_str().into()),
            ("session".to_owned(), orphan.session.as_ref().map(crate::ids::SessionId::as_str).into()),
            ("app".to_owned(), orphan.app.clone().into()),
            ("started_at".to_owned(), time(orphan.started)),
        ]),
    };
    let answered = record.get("timings").and_then(|t| t.get("answered_at")).and_then(Value::as_str);
    let answered = answered.and_then(|at| at.parse::<Timestamp>().ok());
    let end = orphan.last_known;
    record.insert("state".into(), "ended".into());
    record.insert("duration_seconds".into(), seconds(orphan.started, end).into());
    record.insert("talk_seconds".into(), answered.map_or(0.0, |answered| seconds(answered, end)).into());
    record.insert("outcome".into(), outcome.clone());
    let timings = record.entry("timings").or_insert_with(|| json!({}));
    if let Some(timings) = timings.as_object_mut() {
        timings.insert("ended_at".into(), time(end));
    }
    record.into()
}

/// What the record's timings tell of a call without a timeline.
fn stages(record: &Value) -> Vec<Value> {
    let timings = record.get("timings").and_then(Value::as_object);
    let mut stages: Vec<(&str, &str)> = timings
        .into_iter()
        .flatten()
        .filter(|(name, _)| *name != "ended_at")
        .filter_map(|(name, at)| Some((at.as_str()?, name.strip_suffix("_at")?)))
        .collect();
    stages.sort_unstable();
    stages.iter().map(|(at, what)| json!({ "at": at, "source": "call", "what": what, "detail": {} })).collect()
}

#[allow(clippy::cast_precision_loss)] // milliseconds of a call stay far below 2^52
fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.as_millisecond().saturating_sub(from.as_millisecond()).max(0) as f64 / 1_000.0
}
