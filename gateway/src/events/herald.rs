//! Where events begin: they get their id, their time and whom they go to, and are handed to the store. Nobody waits.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Map, Value, json};
use trunkline_config::App;

use super::{Envelope, EventLog};
use crate::clock::Clock;
use crate::ids::{CallId, EventId, random_bits};
use crate::settings::Settings;
use crate::store::{Filed, Kept, Store};

/// An event of no call: of a session, a trunk, an integration or the node.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// One of [`super::NAMES`].
    pub name: &'static str,
    /// The app; empty for what belongs to none.
    pub app: String,
    /// Of a preview: no webhook ever hears of it.
    pub preview: bool,
    /// The session's context, if it has one.
    pub context: Value,
    /// The event's own fields, beside `context`.
    pub fields: Map<String, Value>,
}

impl Notice {
    /// Of no app, without fields.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self { name, app: String::new(), preview: false, context: json!({}), fields: Map::new() }
    }

    /// Of an app.
    #[must_use]
    pub fn of_app(mut self, app: &str) -> Self {
        self.app = app.to_owned();
        self
    }

    /// Adds a field.
    #[must_use]
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(field.to_owned(), value.into());
        self
    }
}

/// An event of a call.
pub(crate) struct Word {
    pub(crate) name: &'static str,
    pub(crate) app: String,
    pub(crate) call: CallId,
    pub(crate) seq: u64,
    pub(crate) at: jiff::Timestamp,
    pub(crate) data: Map<String, Value>,
}

impl Word {
    /// Whether the call is over with it.
    pub(crate) fn is_last(&self) -> bool {
        matches!(self.name, "call_ended" | "call_error")
    }
}

/// Announces events; clones are alike.
#[derive(Clone)]
pub struct Herald {
    settings: Settings,
    store: Store,
    clock: Clock,
}

impl Herald {
    /// Events go to integrations as they are configured at that moment.
    #[must_use]
    pub fn new(settings: Settings, store: Store, clock: Clock) -> Self {
        Self { settings, store, clock }
    }

    /// Announces an event of no call.
    pub fn announce(&self, notice: Notice) {
        let Notice { name, app, preview, context, fields } = notice;
        let mut data = Map::from_iter([("context".to_owned(), context)]);
        data.extend(fields);
        let to = if preview { Vec::new() } else { self.recipients(&app, name) };
        let (id, now) = (EventId::from_random(random_bits()), self.clock.now());
        tracing::info!(event = name, app);
        let envelope = Arc::new(Envelope::new(id, name, now.wall, app, None, &data));
        self.store.append(Filed { envelope, to, log: None, closes: None, since: now.instant });
    }

    /// Announces an event of a call. `closes`: it is the last, and this stays of the call.
    pub(crate) fn tell(&self, now: Instant, word: Word, log: Option<&Arc<EventLog>>, closes: Option<Kept>) {
        let Word { name, app, call, seq, at, data } = word;
        let to = self.recipients(&app, name);
        let id = EventId::from_random(random_bits());
        let envelope = Arc::new(Envelope::new(id, name, at, app, Some((call, seq)), &data));
        let closes = closes.map(Arc::new);
        self.store.append(Filed { envelope, to, log: log.cloned(), closes, since: now });
    }

    /// Integrations that asked for it: those of the app; of every app for what belongs to none.
    fn recipients(&self, app: &str, name: &str) -> Vec<String> {
        let concerned = |one: &&App| app.is_empty() || one.id == app;
        let config = self.settings.load();
        let integrations = config.apps.iter().filter(concerned).flat_map(|app| &app.integrations);
        integrations.filter(|one| one.events.iter().any(|wanted| wanted == name)).map(|one| one.id.clone()).collect()
    }
}
