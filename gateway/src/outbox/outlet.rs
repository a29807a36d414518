//! One integration: its lane, what the store holds behind the lane's window, and what is written of each attempt.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::breaker::Breaker;
use super::counters::Counters;
use super::lane::{Fate, Lane, Plan, Waiting};
use super::send::{BODY_BYTES_MAX, Outcome};
use crate::clock::Now;
use crate::events::Envelope;
use crate::ids::EventId;
use crate::store::{Attempt, ChangeError, Delivery, DeliveryState, IntegrationState, ReadError, Store};

/// Deliveries read at once, and bodies held before no more are read, bytes.
const PAGE: usize = 256;
const BODIES_BYTES_MAX: usize = 2 << 20;

/// The store cannot be used now.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("deliveries cannot be read: {0}")]
    Read(#[from] ReadError),
    #[error("a delivery cannot be written: {0}")]
    Change(#[from] ChangeError),
}

pub(super) struct Outlet {
    store: Store,
    lane: Lane,
    state: IntegrationState,
    counters: Arc<Counters>,
    events: HashMap<i64, Arc<Envelope>>,
    bytes: usize,
    /// All up to here has been looked at.
    read_upto: i64,
    /// Nothing waits behind it.
    read_all: bool,
    /// They wait again in the store, but were read while the outcome before was being written: read once more after it.
    passed_over: HashSet<i64>,
}

impl Outlet {
    /// Goes on where it was.
    pub(super) fn new(store: Store, plan: Plan, state: IntegrationState, seed: u64, counters: Arc<Counters>) -> Self {
        let breaker = Breaker::restored(state.consecutive_failures, state.paused);
        let lane = Lane::new(plan, breaker, seed);
        counters.set_paused(state.paused);
        Self {
            store,
            lane,
            state,
            counters,
            events: HashMap::new(),
            bytes: 0,
            read_upto: 0,
            read_all: false,
            passed_over: HashSet::new(),
        }
    }

    pub(super) fn set_plan(&mut self, plan: Plan) {
        self.lane.set_plan(plan);
    }

    pub(super) fn state(&self) -> &IntegrationState {
        &self.state
    }

    /// There is more in the store.
    pub(super) fn nudge(&mut self) {
        self.read_all = false;
    }

    /// Reads what waits, as far as there is room for it.
    pub(super) async fn fill(&mut self, now: Now) -> Result<(), Trouble> {
        while !self.read_all && self.lane.room() >= PAGE && self.bytes < BODIES_BYTES_MAX {
            let page = self.store.pending(&self.state.id, self.read_upto, PAGE).await?;
            self.read_all = page.is_empty();
            for delivery in page {
                let id = delivery.id;
                self.take(now, delivery).await?;
                self.read_upto = id;
            }
        }
        Ok(())
    }

    /// The next event to be sent now.
    pub(super) fn next(&mut self, now: Instant) -> Option<(i64, Arc<Envelope>)> {
        let id = self.lane.poll(now)?;
        self.events.get(&id).map(|event| (id, Arc::clone(event)))
    }

    /// When [`Self::next`] has something, if nothing else happens.
    pub(super) fn timeout(&self) -> Option<Instant> {
        self.lane.poll_timeout()
    }

    /// An attempt is over: what is to be written of it before [`Self::recorded`], and whether the pause begins.
    pub(super) fn answered(&mut self, now: Now, id: i64, outcome: &Outcome) -> Option<(Attempt, bool)> {
        let decision = self.lane.answered(now.instant, id, outcome.verdict)?;
        let state = match decision.fate {
            Fate::Delivered => DeliveryState::Delivered,
            Fate::GivenUp => DeliveryState::Failed,
            Fate::Again(_) | Fate::Held => DeliveryState::Pending,
        };
        self.counters.attempted(outcome.word, state);
        let next_attempt = match decision.fate {
            Fate::Again(wait) => Some(later(now.wall, wait)),
            Fate::Delivered | Fate::GivenUp | Fate::Held => None,
        };
        if decision.pauses {
            let queued: Vec<i64> = self.events.keys().copied().collect();
            queued.into_iter().for_each(|id| self.let_go(id));
        }
        if decision.fate == Fate::Held {
            // The pause may be over by the time it is written, and the window be filled again without it.
            self.rewind();
        }
        let attempt = Attempt {
            delivery: id,
            at: now.wall,
            state,
            attempts: decision.attempts,
            next_attempt,
            status: outcome.status,
            error: outcome.error.clone(),
            integration: self.changed(now.wall, outcome, decision.pauses),
        };
        Some((attempt, decision.pauses))
    }

    /// The outcome of an attempt is durable.
    pub(super) fn recorded(&mut self, id: i64) {
        self.lane.recorded(id);
        self.let_go(id);
        if self.passed_over.remove(&id) {
            self.rewind();
        }
    }

    /// Begins anew: what waited, what failed on the way into the pause, in order.
    pub(super) async fn reactivate(&mut self, at: Timestamp) -> Result<(), ChangeError> {
        if !self.state.paused {
            return Ok(());
        }
        let state = IntegrationState { paused: false, consecutive_failures: 0, paused_at: None, ..self.state.clone() };
        self.store.reactivate(self.state.clone(), at).await?;
        self.state = state;
        self.lane.reactivate();
        self.counters.set_paused(false);
        self.rewind();
        Ok(())
    }

    /// Delivers an event once more; `false` if it waits already or is not known.
    pub(super) async fn redeliver(&mut self, event: &EventId, at: Timestamp) -> Result<bool, ChangeError> {
        let queued = self.store.requeue(&self.state.id, event, at).await?;
        self.rewind();
        Ok(queued)
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> (usize, usize) {
        (self.lane.len(), self.bytes)
    }

    async fn take(&mut self, now: Now, delivery: Delivery) -> Result<(), ChangeError> {
        let Delivery { id, event, attempts, next_attempt, .. } = delivery;
        let size = event.body().len();
        if size > BODY_BYTES_MAX {
            tracing::warn!(integration = self.state.id, event = %event.id, size, "an event is too large to be delivered");
            self.counters.too_large();
            self.store.attempted(too_large(id, attempts, now.wall)).await?;
            return Ok(());
        }
        let not_before = next_attempt.and_then(|at| Duration::try_from(at.duration_since(now.wall)).ok());
        let not_before = not_before.filter(|wait| !wait.is_zero()).and_then(|wait| now.instant.checked_add(wait));
        if self.lane.offer(Waiting { id, call: event.call.clone(), attempts, not_before }) {
            self.bytes = self.bytes.saturating_add(size);
            self.events.insert(id, event);
        } else if self.lane.is_being_written(id) {
            self.passed_over.insert(id);
        }
        Ok(())
    }

    /// What outlives the process of the integration, if the attempt changed it.
    fn changed(&mut self, at: Timestamp, outcome: &Outcome, pauses: bool) -> Option<IntegrationState> {
        let breaker = self.lane.breaker();
        let state = IntegrationState {
            id: self.state.id.clone(),
            paused: breaker.is_paused(),
            consecutive_failures: breaker.failures(),
            // Of the receiver as it is: a success leaves nothing to say, but why it is paused stays.
            last_error: if self.state.paused { self.state.last_error.clone() } else { outcome.error.clone() },
            paused_at: if pauses { Some(at) } else { self.state.paused_at },
        };
        self.counters.set_paused(state.paused);
        if state == self.state {
            return None;
        }
        self.state = state.clone();
        Some(state)
    }

    /// Looks through all that waits once more.
    fn rewind(&mut self) {
        self.read_upto = 0;
        self.read_all = false;
    }

    /// Drops the body of what has left the window.
    fn let_go(&mut self, id: i64) {
        if self.lane.holds(id) {
            return;
        }
        if let Some(event) = self.events.remove(&id) {
            self.bytes = self.bytes.saturating_sub(event.body().len());
        }
    }
}

fn too_large(delivery: i64, attempts: u32, at: Timestamp) -> Attempt {
    Attempt {
        delivery,
        at,
        state: DeliveryState::Skipped,
        attempts,
        next_attempt: None,
        status: None,
        error: Some(format!("the event is larger than {BODY_BYTES_MAX} bytes")),
        integration: None,
    }
}

fn later(at: Timestamp, wait: Duration) -> Timestamp {
    at.checked_add(wait).unwrap_or(at)
}
