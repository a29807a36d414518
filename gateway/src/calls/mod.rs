//! The calls of this node: start, steer, look up. What both HTTP listeners and the drivers share.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use dashmap::DashMap;
use tokio::sync::{Notify, mpsc};
use trunkline_media::api::{CallKey, Report};
use trunkline_signaling::endpoint::Event;

use crate::call::{Api, Input};
use crate::clock::Clock;
use crate::events::{Herald, Seats};
use crate::ids::{CallId, SessionId};
use crate::outcome::Refusal;
use crate::problem::Problem;
use crate::prompts::Prompts;
use crate::receivers::Receivers;
use crate::session::Session;
use crate::settings::Settings;
use crate::store::{Orphan, ReadError, Store};
use crate::targets::Finder;
use crate::trunks::Registrations;

#[cfg(test)]
mod agreement_tests;
mod answering;
mod browser_leg;
mod closing;
mod counters;
mod crash;
mod drain;
mod driver;
mod inbox;
mod incoming;
mod journal;
mod limits;
mod list;
mod pace;
mod papers;
mod ports;
mod probes;
mod reports;
mod start;
mod steer;
mod store;
mod tally;
mod telling;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod transferring;
mod types;

pub use counters::CallCounters;
pub use drain::Drain;
pub use papers::CallPapers;
pub use ports::{MediaPort, Placed, SipPort};
pub use probes::{Begun, Verdict};
pub use transferring::{HandOverBy, HandOverTo};
pub use types::{CallFilter, CallPage, HangupBy, IfMatch, Patched, Restart, Started};

pub use crate::events::EventStream;

use counters::{Counters, bump};
use inbox::{Desk, Inbox};
use incoming::Incoming;
use limits::Slots;
use steer::Helpers;
use store::{EndedCalls, Live};

/// All calls; clones share them.
#[derive(Clone)]
pub struct Calls {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Settings,
    media: Arc<dyn MediaPort>,
    sip: Arc<dyn SipPort>,
    prompts: Prompts,
    clock: Clock,
    herald: Herald,
    seats: Seats,
    counters: Arc<Counters>,
    apps: Slots,
    trunks: Slots,
    receivers: Receivers,
    paces: Mutex<pace::Paces>,
    desk: Desk,
    finder: Finder,
    live: DashMap<CallId, Arc<Live>>,
    /// From before the media plane knows the call, so that none of its reports is missed.
    by_key: DashMap<CallKey, Inbox>,
    by_session: DashMap<SessionId, CallId>,
    probes: probes::Probes,
    ended: Mutex<EndedCalls>,
    /// Whose calls ended a moment ago.
    just_ended: Mutex<reports::JustEnded>,
    store: Store,
    helpers: OnceLock<Helpers>,
    registrations: OnceLock<Registrations>,
    next_key: AtomicU64,
    /// Drivers that have not come to their end: their calls may be over, but not yet hung up.
    driving: AtomicUsize,
    drain: OnceLock<Drain>,
    stopping: AtomicBool,
    one_ended: Notify,
}

impl Calls {
    /// No calls yet. `sip` and `media` are the two protocol sides; see [`Self::listen`] for what they say. Ended calls go
    /// to the store.
    #[must_use]
    pub fn with_store(
        settings: Settings,
        media: Arc<dyn MediaPort>,
        sip: Arc<dyn SipPort>,
        prompts: Prompts,
        clock: Clock,
        store: Store,
    ) -> Self {
        let herald = Herald::new(settings.clone(), store.clone(), clock.clone());
        let finder = Finder::new(&settings.load());
        let shared = Shared {
            settings,
            media,
            sip,
            prompts,
            clock,
            herald,
            seats: Seats::default(),
            counters: Arc::default(),
            apps: Slots::default(),
            trunks: Slots::default(),
            receivers: Receivers::default(),
            paces: Mutex::default(),
            desk: Desk::default(),
            finder,
            live: DashMap::new(),
            by_key: DashMap::new(),
            by_session: DashMap::new(),
            probes: probes::Probes::default(),
            ended: Mutex::default(),
            just_ended: Mutex::default(),
            store,
            helpers: OnceLock::new(),
            registrations: OnceLock::new(),
            next_key: AtomicU64::new(1),
            driving: AtomicUsize::new(0),
            drain: OnceLock::new(),
            stopping: AtomicBool::new(false),
            one_ended: Notify::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Hands the media plane's reports and the SIP side's events to their calls, on two tasks of the current runtime,
    /// until the senders are gone. Once, at start.
    pub fn listen(&self, mut reports: mpsc::Receiver<Report>, mut events: mpsc::Receiver<Event>) {
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            while let Some(report) = reports.recv().await {
                match shared.by_key.get(&report.key) {
                    Some(inbox) => drop(inbox.offer(Input::Media(report.event))),
                    None => shared.probes.reported(report.key, report.event),
                }
            }
        });
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                if let Event::Snapshot { leg, call_id, serial, snapshot } = event {
                    journal::note(&shared, journal::Told { leg, call_id, serial, snapshot });
                } else if let Event::Pinged { leg, result } = event {
                    shared.sip.pinged(leg, result);
                } else if let Event::Replied { leg, result } = event {
                    shared.sip.replied(leg, result);
                } else if let Event::Incoming { leg, door, peer, over, from, uri, told, headers, sdp } = event {
                    incoming::incoming(&shared, Incoming { leg, door, peer, over, from, uri, told, headers, sdp });
                } else {
                    transferring::announce(&shared, &event);
                    shared.desk.dispatch(event, &shared.counters);
                }
            }
            shared.desk.gone();
        });
    }

    /// Calls go out only over trunks that are registered with, where they must be, and the way the registrar says. Once,
    /// at start.
    pub fn heed(&self, registrations: Registrations) {
        let _ = self.shared.registrations.set(registrations);
    }

    /// Starts a call for a session: admission (caps, one live call a session, drain), routing, media; the SIP side is
    /// dialled by the call's own task. Problems: `preview-session` 403, `call-in-progress` 409, `invalid-sdp` 400,
    /// `unsupported-sdp` 422, `unknown-app` 404, `capacity` 503, `draining` 503.
    pub async fn start(&self, session: &Session, offer: &[u8]) -> Result<Started, Problem> {
        start::start(self, session, offer).await
    }

    /// Which session a call belongs to: how a token is checked against a call.
    #[must_use]
    pub fn session_of(&self, call: &CallId) -> Option<SessionId> {
        let live = self.shared.live.get(call).and_then(|live| live.session.get().cloned());
        live.or_else(|| self.shared.ended().session_of(call).cloned())
    }

    /// Whether it is a live call, or one that is remembered beside its record.
    #[must_use]
    pub fn knows(&self, call: &CallId) -> bool {
        self.shared.get_live(call).is_some() || self.shared.ended().knows(call)
    }

    /// Whether the session has a call that has not ended.
    #[must_use]
    pub fn live_call_of(&self, session: &SessionId) -> Option<CallId> {
        self.shared.by_session.get(session).map(|call| call.clone())
    }

    /// PATCH: trickle or ICE restart. Problems: `precondition-failed` 412, `invalid-sdp` 400, `call-ended` 409.
    pub async fn patch(&self, call: &CallId, if_match: &IfMatch, fragment: &[u8]) -> Result<Patched, Problem> {
        browser_leg::patch(&self.shared, call, if_match, fragment).await
    }

    /// A new peer connection for a live call. Problems as for [`Self::start`], and `call-ended` 409.
    pub async fn reattach(&self, call: &CallId, offer: &[u8]) -> Result<Started, Problem> {
        browser_leg::reattach(&self.shared, call, offer).await
    }

    /// Ends a call; ending an ended call is no error. `false`: unknown call.
    pub fn hangup(&self, call: &CallId, by: HangupBy) -> bool {
        let Some(live) = self.shared.get_live(call) else { return self.shared.ended().knows(call) };
        live.inbox.offer(Input::Api(match by {
            HangupBy::Visitor => Api::VisitorHangup,
            HangupBy::Operator(reason) => Api::OperatorHangup(reason.chars().take(128).collect()),
        }));
        true
    }

    /// The record of `api.md`, of a live call or one that has just ended; [`Self::find`] knows all.
    #[must_use]
    pub fn record(&self, call: &CallId) -> Option<serde_json::Value> {
        papers::in_memory(&self.shared, call)
    }

    /// The record of `api.md`, wherever the call is. `None`: nobody knows it.
    ///
    /// # Errors
    /// `records-unavailable` 503.
    pub async fn find(&self, call: &CallId) -> Result<Option<serde_json::Value>, Problem> {
        papers::record(&self.shared, call).await.map_err(|error| unreadable(&error))
    }

    /// Everything about a call, wherever it is. `None`: nobody knows it.
    ///
    /// # Errors
    /// `records-unavailable` 503.
    pub async fn papers(&self, call: &CallId) -> Result<Option<CallPapers>, Problem> {
        papers::find(&self.shared, call).await.map_err(|error| unreadable(&error))
    }

    /// A page of records.
    ///
    /// # Errors
    /// `records-unavailable` 503.
    pub async fn list(&self, filter: &CallFilter) -> Result<CallPage, Problem> {
        list::list(&self.shared, filter).await.map_err(|error| unreadable(&error))
    }

    /// Closes calls that an earlier process of this node left behind. Once, at start.
    pub fn adopt(&self, orphans: Vec<Orphan>) {
        crash::close(&self.shared, orphans);
    }

    /// Ends SIP legs that an earlier process of this node left behind, on a task of its own. Once, at start.
    pub fn end_lost_legs(&self, legs: Vec<bytes::Bytes>) {
        tokio::spawn(journal::end(Arc::clone(&self.shared), legs));
    }

    /// Who knows where calls go.
    #[must_use]
    pub fn finder(&self) -> &Finder {
        &self.shared.finder
    }

    /// Where ended calls are.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// Counts a request that was refused before it came to a call.
    pub fn refused(&self, refusal: Refusal) {
        self.shared.counters.refused(refusal);
    }

    /// Forgets what is remembered of ended calls beyond their sessions' time; the store has it all.
    pub fn forget_old(&self, now: Instant) {
        self.shared.forget_old(now);
    }

    /// Live calls.
    #[must_use]
    pub fn live(&self) -> usize {
        self.shared.live.len()
    }

    /// Ended calls and refused requests: class, reason, phase, how often.
    #[must_use]
    pub fn outcomes(&self) -> Vec<([&'static str; 3], u64)> {
        self.shared.counters.outcomes()
    }

    /// Everything that is counted, and what is live.
    #[must_use]
    pub fn counters(&self) -> CallCounters {
        let config = self.shared.settings.load();
        CallCounters {
            live: self.live(),
            with_media: self.shared.by_key.len(),
            receivers: self.shared.receivers.len(),
            tasks: self.shared.driving.load(Ordering::Acquire),
            live_by_app: self.shared.apps.live(config.apps.iter().map(|app| app.id.as_str())),
            live_by_trunk: self.shared.trunks.live(config.trunks.iter().map(|trunk| trunk.id.as_str())),
            records_dropped: self.shared.store.stats().dropped,
            ..self.shared.counters.snapshot()
        }
    }
}

impl Shared {
    fn get_live(&self, call: &CallId) -> Option<Arc<Live>> {
        self.live.get(call).map(|live| Arc::clone(&live))
    }

    fn find_live(&self, call: &CallId) -> Result<Arc<Live>, Problem> {
        self.get_live(call).ok_or_else(|| {
            if self.ended().knows(call) { over(call) } else { Problem::unknown_call("there is no such call") }
        })
    }

    fn paces(&self) -> MutexGuard<'_, pace::Paces> {
        self.paces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self) -> MutexGuard<'_, EndedCalls> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count_dropped_fields(&self, dropped: usize) {
        self.counters.fields_dropped.fetch_add(u64::try_from(dropped).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

fn over(call: &CallId) -> Problem {
    Problem::call_ended("the call has ended").with("call", call.as_str())
}

pub(crate) fn unreadable(error: &ReadError) -> Problem {
    tracing::warn!(%error, "stored calls cannot be read");
    Problem::records_unavailable("the database of ended calls cannot be read now").retry_in(5)
}
