//! Calls by id: the live ones, and a small memory of those that have just ended. All that ended are in [`crate::store`].

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};
use trunkline_config::Config;
use trunkline_media::api::CallKey;

use super::inbox::Inbox;
use crate::call::Call;
use crate::events::EventLog;
use crate::ids::{CallId, SessionId};
use crate::room::give_back;
use crate::session::LIFETIME;
use crate::settings::Edition;
use crate::store::{Kept, Papers};

/// Ended calls whose events can still be replayed and whose record needs no disk.
pub(super) const KEPT_CALLS: usize = 256;
/// For so long: their browsers' last words come at once, and so do most questions.
const KEPT_FOR: Duration = Duration::from_mins(1);
/// Idempotency keys remembered of one live call.
const TAKEN_KEYS: usize = 32;
/// Ended calls whose session is remembered, for as long as one lasts, so that its token is good for asking about them.
pub(super) const KEPT_SESSIONS: usize = 10_000;

/// A live call, shared by its driver and the API.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) id: CallId,
    pub(super) key: CallKey,
    /// Whose it is: of a call from a trunk, once somebody has answered.
    pub(super) session: OnceLock<SessionId>,
    /// A browser is taking a call from a trunk, or has it.
    pub(super) is_taken: AtomicBool,
    pub(super) started_at: Timestamp,
    pub(super) inbox: Inbox,
    pub(super) log: Arc<EventLog>,
    /// Held across a restart or reattach, so that two of them come one after the other.
    pub(super) ice: tokio::sync::Mutex<IceSession>,
    pub(super) body: Arc<Body>,
    /// Requests that are not done twice.
    taken: Mutex<Taken>,
}

/// Keys of the last requests that were taken.
#[derive(Debug, Default)]
pub(super) struct Taken(VecDeque<String>);

impl Taken {
    pub(super) fn contains(&self, key: &str) -> bool {
        self.0.iter().any(|taken| taken == key)
    }

    pub(super) fn push(&mut self, key: String) {
        // overflow: the oldest is forgotten; whoever repeats a request does so at once.
        if self.0.len() >= TAKEN_KEYS {
            self.0.pop_front();
        }
        self.0.push_back(key);
    }
}

/// The call itself, and what is written of it.
#[derive(Debug)]
pub(super) struct Body {
    call: Mutex<Call>,
    /// The configuration it began with, and ends with.
    edition: Edition,
}

/// The browser's ICE session.
#[derive(Debug)]
pub(super) struct IceSession {
    /// Entity tag.
    pub(super) tag: String,
    /// The browser's user fragment.
    pub(super) remote_ufrag: String,
}

impl IceSession {
    /// Of a call without a browser.
    pub(super) fn none() -> Self {
        Self { tag: String::new(), remote_ufrag: String::new() }
    }
}

impl Live {
    pub(super) fn new(
        key: CallKey,
        started_at: Timestamp,
        inbox: Inbox,
        ice: IceSession,
        call: Call,
        edition: Edition,
    ) -> Self {
        Self {
            id: call.about().call.clone(),
            key,
            session: call.about().session.clone().map(OnceLock::from).unwrap_or_default(),
            is_taken: AtomicBool::new(false),
            started_at,
            inbox,
            log: Arc::default(),
            ice: tokio::sync::Mutex::new(ice),
            body: Arc::new(Body { call: Mutex::new(call), edition }),
            taken: Mutex::default(),
        }
    }

    pub(super) fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether recordings may be fetched by http and from private addresses.
    pub(super) fn allows_insecure_urls(&self) -> bool {
        let app = self.call().about().app.clone();
        self.config().apps.iter().any(|a| a.id == app && a.allow_insecure_urls)
    }

    /// The call itself. Held for one input or one look; a panic in between is dealt with by the driver.
    pub(super) fn call(&self) -> MutexGuard<'_, Call> {
        self.body.call()
    }

    /// The configuration it began with.
    pub(super) fn config(&self) -> &Config {
        &self.body.edition.config
    }

    /// Its place in the journal: what is needed to close it should this process end before it does.
    pub(super) fn journal(&self, with_details: bool) -> Kept {
        self.kept(None, with_details)
    }

    /// What stays of it.
    pub(super) fn ended(&self, at: Timestamp, reason: &'static str) -> Ended {
        Ended { kept: self.kept(Some((at, reason)), true), body: Arc::clone(&self.body), log: Arc::clone(&self.log) }
    }

    fn kept(&self, ended: Option<(Timestamp, &'static str)>, with_details: bool) -> Kept {
        let (id, session, started) = (self.id.clone(), self.session.get().cloned(), self.started_at);
        let app = self.call().about().app.clone();
        Kept { id, session, app, started, ended, papers: Arc::clone(&self.body) as Arc<dyn Papers>, with_details }
    }
}

impl Body {
    pub(super) fn call(&self) -> MutexGuard<'_, Call> {
        self.call.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn made_by(&self) -> Value {
        let Edition { config, version } = &self.edition;
        json!({ "node": config.node.name, "version": env!("CARGO_PKG_VERSION"), "config_version": **version })
    }
}

impl Papers for Body {
    fn record(&self) -> Value {
        self.call().record(Instant::now())
    }

    fn details(&self) -> Value {
        let (now, call) = (Instant::now(), self.call());
        json!({
            "made_by": self.made_by(),
            "quality": call.quality_series(now),
            "diagnosis": call.diagnosis(now),
            "trail": call.trail(now),
        })
    }
}

/// What stays in memory of an ended call.
#[derive(Clone)]
pub(super) struct Ended {
    pub(super) kept: Kept,
    pub(super) body: Arc<Body>,
    pub(super) log: Arc<EventLog>,
}

/// The calls that ended last.
#[derive(Default)]
pub(super) struct EndedCalls {
    by_id: HashMap<CallId, Ended>,
    order: VecDeque<(Instant, CallId)>,
    sessions: HashMap<CallId, Option<SessionId>>,
    sessions_order: VecDeque<(Instant, CallId)>,
}

impl EndedCalls {
    /// Keeps a call that has ended now.
    pub(super) fn insert(&mut self, now: Instant, ended: Ended) {
        let (id, session) = (ended.kept.id.clone(), ended.kept.session.clone());
        self.order.push_back((now, id.clone()));
        self.by_id.insert(id.clone(), ended);
        self.sessions_order.push_back((now, id.clone()));
        self.sessions.insert(id, session);
        // overflow: the oldest call's events, then its session, are forgotten.
        if self.order.len() > KEPT_CALLS
            && let Some((_, oldest)) = self.order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
        if self.sessions_order.len() > KEPT_SESSIONS
            && let Some((_, oldest)) = self.sessions_order.pop_front()
        {
            self.sessions.remove(&oldest);
        }
    }

    /// Forgets calls no token is good for any more: who may ask for them is answered from the store.
    pub(super) fn forget_old(&mut self, now: Instant) {
        let since = |(at, _): &(Instant, CallId)| now.saturating_duration_since(*at);
        while let Some((_, id)) = self.order.pop_front_if(|ended| since(ended) >= KEPT_FOR) {
            self.by_id.remove(&id);
        }
        while let Some((_, id)) = self.sessions_order.pop_front_if(|ended| since(ended) >= LIFETIME) {
            self.sessions.remove(&id);
        }
        give_back(&mut self.by_id);
        give_back(&mut self.sessions);
        give_back(&mut self.sessions_order);
    }

    pub(super) fn get(&self, id: &CallId) -> Option<&Ended> {
        self.by_id.get(id)
    }

    /// Of a call that ended; remembered longer than the call.
    pub(super) fn session_of(&self, id: &CallId) -> Option<&SessionId> {
        self.sessions.get(id)?.as_ref()
    }

    /// Whether it ended here, and not too long ago.
    pub(super) fn knows(&self, id: &CallId) -> bool {
        self.sessions.contains_key(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl Papers for Nothing {
        fn record(&self) -> Value {
            Value::Null
        }

        fn details(&self) -> Value {
            Value::Null
        }
    }

    #[test]
    fn the_oldest_calls_and_sessions_go_first() {
        let live = super::super::testing::lonely_call();
        let ended = |n: usize| {
            let id = CallId::from_client(&format!("call_{n}"));
            let kept = Kept { id, papers: Arc::new(Nothing), ..live.journal(true) };
            Ended { kept, ..live.ended(Timestamp::UNIX_EPOCH, "user_hangup") }
        };
        let mut calls = EndedCalls::default();
        let now = Instant::now();
        (0..=10_001).for_each(|n| calls.insert(now, ended(n)));
        let id = |n: usize| CallId::from_client(&format!("call_{n}"));
        assert!(calls.get(&id(10_001 - 256)).is_none() && calls.get(&id(10_002 - 256)).is_some());
        assert!(calls.session_of(&id(1)).is_none() && calls.session_of(&id(2)).is_some());
        assert_eq!((calls.by_id.len(), calls.sessions.len()), (KEPT_CALLS, KEPT_SESSIONS));
        calls.insert(now + LIFETIME, ended(10_002));
        calls.forget_old(now + LIFETIME);
        assert!(calls.knows(&id(10_002)) && calls.get(&id(10_002)).is_some() && !calls.knows(&id(10_001)));
        assert_eq!((calls.by_id.len(), calls.sessions.len(), calls.order.len()), (1, 1, 1));
        assert!(calls.sessions.capacity() < 500, "{}", calls.sessions.capacity());
    }
}
