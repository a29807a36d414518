//! Events: one envelope, one sequence per call without gaps, durable before anything outside hears of one.
//!
//! ```text
//! calls, sessions, trunks, node ─ Herald ─▶ Store::append ─ one transaction: event + deliveries ─┬─▶ EventLog   the call's own
//!                                                                                              ├─▶ Bus        everybody's
//!                                                                                              └─▶ outbox     webhooks
//! EventStream (a visitor) ◀─ EventLog, else the database        Feed (a back end) ◀─ Bus, else the database
//! ```

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::clock::rfc3339;
use crate::ids::{CallId, EventId};

mod bus;
mod feed;
mod herald;
mod log;
mod seats;
mod stream;

pub use bus::{Bus, Published};
pub use feed::{Feed, Filter, Heard};
pub(crate) use herald::Word;
pub use herald::{Herald, Notice};
pub use log::EventLog;
pub use seats::{Seat, SeatStats, Seats};
pub use stream::EventStream;
pub use trunkline_config::EVENT_NAMES as NAMES;

/// An event: what it is found by, and its JSON, which is written once and shared by all who are told.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// `evt_…`
    pub id: EventId,
    /// One of [`NAMES`].
    pub name: &'static str,
    /// When it happened.
    pub at: Timestamp,
    /// The app; empty for what belongs to none.
    pub app: String,
    /// The call, if it belongs to one.
    pub call: Option<CallId>,
    /// Per call, from 1, without gaps; 0 for what belongs to no call.
    pub seq: u64,
    frame: Bytes,
    body: Bytes,
}

/// The envelope of `api.md`.
#[derive(Serialize)]
struct Told<'a> {
    id: &'a EventId,
    name: &'a str,
    timestamp: String,
    app: &'a str,
    seq: u64,
    data: &'a Map<String, Value>,
}

impl Envelope {
    /// Writes the JSON. `data` is the call, session and context, and the event's own fields.
    #[must_use]
    pub fn new(
        id: EventId,
        name: &'static str,
        at: Timestamp,
        app: String,
        of: Option<(CallId, u64)>,
        data: &Map<String, Value>,
    ) -> Self {
        let (call, seq) = of.map_or((None, 0), |(call, seq)| (Some(call), seq));
        let told = Told { id: &id, name, timestamp: rfc3339(at), app: &app, seq, data };
        let body = serde_json::to_string(&told).unwrap_or_default();
        let (frame, body) = framed(&id, name, &body);
        Self { id, name, at, app, call, seq, frame, body }
    }

    /// Of a session: no call's sequence knows it, and no database.
    pub(crate) fn of_session(
        id: EventId,
        name: &'static str,
        at: Timestamp,
        app: String,
        seq: u64,
        data: &Map<String, Value>,
    ) -> Self {
        let told = Told { id: &id, name, timestamp: rfc3339(at), app: &app, seq, data };
        let body = serde_json::to_string(&told).unwrap_or_default();
        let (frame, body) = framed(&id, name, &body);
        Self { id, name, at, app, call: None, seq, frame, body }
    }

    /// As it was written.
    pub(crate) fn stored(
        id: EventId,
        name: &str,
        at: Timestamp,
        app: String,
        of: (Option<CallId>, u64),
        body: &str,
    ) -> Arc<Self> {
        let (frame, body) = framed(&id, name, body);
        // A name of another version is told as it was written; only who filters by name does not know it.
        let name = NAMES.iter().find(|known| **known == name).copied().unwrap_or_default();
        Arc::new(Self { id, name, at, app, call: of.0, seq: of.1, frame, body })
    }

    /// The envelope as JSON: the body of a webhook, the data of a stream.
    #[must_use]
    pub fn body(&self) -> Bytes {
        self.body.clone()
    }

    /// The event on the stream of all events, where its id is `evt_…`.
    #[must_use]
    pub fn frame(&self) -> Bytes {
        self.frame.clone()
    }

    /// The call, session and context, and the event's own fields.
    #[must_use]
    pub fn data(&self) -> Map<String, Value> {
        let envelope: Map<String, Value> = serde_json::from_slice(&self.body).unwrap_or_default();
        envelope.get("data").and_then(Value::as_object).cloned().unwrap_or_default()
    }

    /// What it takes in memory, about.
    pub(crate) fn bytes(&self) -> u64 {
        /// The rest of an event's memory.
        const BESIDES: u64 = 512;
        u64::try_from(self.frame.len()).unwrap_or(u64::MAX).saturating_add(BESIDES)
    }
}

/// The frame, and the body in it. JSON has no line ends of its own, so that one line of data is all there is.
fn framed(id: &EventId, name: &str, body: &str) -> (Bytes, Bytes) {
    let head = format!("id: {id}\nevent: {name}\ndata: ");
    let from = head.len();
    // Events stay in memory as long as their call: no octet more than they have.
    let mut frame = String::with_capacity(from.saturating_add(body.len()).saturating_add(2));
    frame.extend([head.as_str(), body, "\n\n"]);
    let frame = Bytes::from(frame);
    let body = frame.slice(from..from.saturating_add(body.len()));
    (frame, body)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_envelope_is_the_contracts_and_comes_back_from_the_database_as_it_was() {
        let id = EventId::from_random([0; 16]);
        let at = Timestamp::from_millisecond(1_700_000_000_007).unwrap();
        let data = Map::from_iter([("context".into(), json!({"plan": "go\nld"}))]);
        let of = Some((CallId::from_client("call_1"), 7));
        let event = Envelope::new(id.clone(), "call_ended", at, "acme".into(), of, &data);
        assert_eq!(
            serde_json::from_slice::<Value>(&event.body()).unwrap(),
            json!({
                "id": id, "name": "call_ended", "timestamp": "2023-11-14T22:13:20.007Z", "app": "acme", "seq": 7,
                "data": {"context": {"plan": "go\nld"}},
            })
        );
        let frame = String::from_utf8(event.frame().to_vec()).unwrap();
        assert_eq!(frame.lines().count(), 4, "{frame}");
        assert!(frame.starts_with(&format!("id: {id}\nevent: call_ended\ndata: {{")) && frame.ends_with("}\n\n"));
        assert_eq!(event.data(), data);
        let body = String::from_utf8(event.body().to_vec()).unwrap();
        let of = (event.call.clone(), event.seq);
        assert_eq!(*Envelope::stored(id, "call_ended", at, "acme".into(), of, &body), event);
    }

    #[test]
    fn what_belongs_to_no_call_has_no_place_in_a_sequence() {
        let id = EventId::from_random([1; 16]);
        let event = Envelope::new(id, "node_draining", Timestamp::UNIX_EPOCH, String::new(), None, &Map::new());
        assert_eq!((event.call, event.seq), (None, 0));
    }
}
