//! What one integration is told, and when: a value that is told the time.
//!
//! Deliveries of one call go out one after another: the next one waits until the one before has been delivered or given
//! up. Those of different calls go out at once, up to a limit. What is not in the window stays in the store.
//!
//! ```text
//! offer ─▶ behind its call ─▶ ready ─ poll ─▶ sent ─ answered ─▶ being written ─ recorded ─▶ gone
//!                               ▲                                     │
//!                               └────────────── backing off ◀────────┘
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::breaker::Breaker;
use crate::ids::CallId;

/// Deliveries in the window; a call whose delivery backs off holds its others there.
pub const WINDOW: usize = 1_024;
/// Longest wait a receiver may ask for.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);

/// How deliveries are tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Waits between attempts, before jitter; there is one attempt more.
    pub waits: Vec<Duration>,
    /// Deliveries under way at once.
    pub in_flight_max: usize,
}

/// A delivery as the lane knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its place in the order of all deliveries.
    pub id: i64,
    /// The call whose order it keeps.
    pub call: Option<CallId>,
    /// Attempts made.
    pub attempts: u32,
    /// Not earlier.
    pub not_before: Option<Instant>,
}

/// What an attempt came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// 2xx.
    Accepted,
    /// 4xx: trying again is of no use.
    Refused,
    /// Anything else.
    Failed {
        /// The receiver said when to come again.
        retry_after: Option<Duration>,
    },
}

/// What becomes of a delivery after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The receiver has it.
    Delivered,
    /// It is tried again after this.
    Again(Duration),
    /// It failed for good.
    GivenUp,
    /// It failed while the pause had begun already, and waits for its end with the others.
    Held,
}

/// The outcome of an attempt, to be written before [`Lane::recorded`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// What becomes of it.
    pub fate: Fate,
    /// Attempts made, with this one.
    pub attempts: u32,
    /// The pause begins with it.
    pub pauses: bool,
}

/// One integration's deliveries.
#[derive(Debug)]
pub struct Lane {
    plan: Plan,
    breaker: Breaker,
    random: StdRng,
    items: BTreeMap<i64, Item>,
    /// Of each call, in order; only the first may go.
    calls: HashMap<CallId, BTreeSet<i64>>,
    ready: BTreeSet<i64>,
    backing_off: BTreeSet<(Instant, i64)>,
    sent: usize,
}

#[derive(Debug)]
struct Item {
    call: Option<CallId>,
    attempts: u32,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Waits for its turn; not earlier than this.
    Queued(Option<Instant>),
    Sent,
    /// Its outcome is being written; tried again at that time, or done with.
    Recording(Option<Instant>),
}

impl Lane {
    /// An empty window.
    #[must_use]
    pub fn new(plan: Plan, breaker: Breaker, seed: u64) -> Self {
        Self {
            plan,
            breaker,
            random: StdRng::seed_from_u64(seed),
            items: BTreeMap::new(),
            calls: HashMap::new(),
            ready: BTreeSet::new(),
            backing_off: BTreeSet::new(),
            sent: 0,
        }
    }

    /// Tries by another plan from now on.
    pub fn set_plan(&mut self, plan: Plan) {
        self.plan = plan;
    }

    /// Whether, and how near, it is paused.
    #[must_use]
    pub fn breaker(&self) -> Breaker {
        self.breaker
    }

    /// How many more deliveries the window takes.
    #[must_use]
    pub fn room(&self) -> usize {
        if self.breaker.is_paused() { 0 } else { WINDOW.saturating_sub(self.items.len()) }
    }

    /// Deliveries in the window.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether the window is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether a delivery is in the window.
    #[must_use]
    pub fn holds(&self, id: i64) -> bool {
        self.items.contains_key(&id)
    }

    /// Whether an attempt of it is over and not yet [`Self::recorded`].
    #[must_use]
    pub fn is_being_written(&self, id: i64) -> bool {
        self.items.get(&id).is_some_and(|item| matches!(item.stage, Stage::Recording(_)))
    }

    /// Takes a delivery into the window; `false` if it is there, or there is no room.
    pub fn offer(&mut self, waiting: Waiting) -> bool {
        let Waiting { id, call, attempts, not_before } = waiting;
        if self.room() == 0 || self.items.contains_key(&id) {
            return false;
        }
        let first = call.as_ref().is_none_or(|call| !self.calls.contains_key(call));
        if let Some(call) = &call {
            self.calls.entry(call.clone()).or_default().insert(id);
        }
        self.items.insert(id, Item { call, attempts, stage: Stage::Queued(not_before) });
        if first {
            self.arm(id);
        }
        true
    }

    /// The next delivery to be sent now.
    pub fn poll(&mut self, now: Instant) -> Option<i64> {
        if self.breaker.is_paused() || self.sent >= self.plan.in_flight_max {
            return None;
        }
        while let Some(&(at, id)) = self.backing_off.first().filter(|(at, _)| *at <= now) {
            self.backing_off.remove(&(at, id));
            self.ready.insert(id);
        }
        let id = self.ready.pop_first()?;
        let item = self.items.get_mut(&id)?;
        item.stage = Stage::Sent;
        self.sent = self.sent.saturating_add(1);
        Some(id)
    }

    /// When [`Self::poll`] has something next, if nothing else happens.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let may = !self.breaker.is_paused() && self.sent < self.plan.in_flight_max;
        self.backing_off.first().map(|(at, _)| *at).filter(|_| may)
    }

    /// An attempt is over. Nothing of its call goes out before the outcome is [`Self::recorded`].
    pub fn answered(&mut self, now: Instant, id: i64, verdict: Verdict) -> Option<Decision> {
        let item = self.items.get_mut(&id).filter(|item| item.stage == Stage::Sent)?;
        item.attempts = item.attempts.saturating_add(1);
        let attempts = item.attempts;
        let fate = match verdict {
            Verdict::Accepted => Fate::Delivered,
            _ if self.breaker.is_paused() => Fate::Held,
            Verdict::Refused => Fate::GivenUp,
            Verdict::Failed { retry_after } => match self.plan.wait_after(attempts) {
                Some(wait) => Fate::Again(jittered(wait, retry_after, &mut self.random)),
                None => Fate::GivenUp,
            },
        };
        item.stage = match fate {
            Fate::Again(wait) => Stage::Recording(Some(now.checked_add(wait).unwrap_or(now))),
            Fate::Delivered | Fate::GivenUp | Fate::Held => Stage::Recording(None),
        };
        let mut pauses = false;
        match fate {
            Fate::Delivered => self.breaker.delivered(),
            Fate::GivenUp => pauses = self.breaker.failed(),
            Fate::Again(_) | Fate::Held => {}
        }
        if pauses {
            self.forget_queued();
        }
        Some(Decision { fate, attempts, pauses })
    }

    /// The outcome of an attempt is durable.
    pub fn recorded(&mut self, id: i64) {
        let Some(item) = self.items.get_mut(&id) else { return };
        let Stage::Recording(again) = item.stage else { return };
        self.sent = self.sent.saturating_sub(1);
        if again.is_some() && !self.breaker.is_paused() {
            item.stage = Stage::Queued(again);
            self.arm(id);
            return;
        }
        self.remove(id);
    }

    /// The pause is over; all is offered anew.
    pub fn reactivate(&mut self) {
        self.breaker.reactivate();
    }

    /// What waits in the window goes back to the store's care.
    fn forget_queued(&mut self) {
        self.ready.clear();
        self.backing_off.clear();
        self.items.retain(|_, item| !matches!(item.stage, Stage::Queued(_)));
        for ids in self.calls.values_mut() {
            ids.retain(|id| self.items.contains_key(id));
        }
        self.calls.retain(|_, ids| !ids.is_empty());
    }

    fn remove(&mut self, id: i64) {
        let Some(call) = self.items.remove(&id).and_then(|item| item.call) else { return };
        let Some(ids) = self.calls.get_mut(&call) else { return };
        ids.remove(&id);
        match ids.first().copied() {
            Some(next) => self.arm(next),
            None => {
                self.calls.remove(&call);
            }
        }
    }

    /// It is its call's turn.
    fn arm(&mut self, id: i64) {
        let Some(Item { stage: Stage::Queued(not_before), .. }) = self.items.get(&id) else { return };
        match not_before {
            Some(at) => self.backing_off.insert((*at, id)),
            None => self.ready.insert(id),
        };
    }
}

impl Plan {
    fn wait_after(&self, attempts: u32) -> Option<Duration> {
        let made = usize::try_from(attempts).unwrap_or(usize::MAX);
        self.waits.get(made.saturating_sub(1)).copied()
    }
}

/// Full jitter: anything up to the wait, so that those who failed together do not come back together. What the receiver
/// asks for comes first.
fn jittered(wait: Duration, retry_after: Option<Duration>, random: &mut StdRng) -> Duration {
    let jitter = wait.mul_f64(random.random_range(0.0..=1.0));
    retry_after.map_or(jitter, |asked| asked.min(RETRY_AFTER_MAX).saturating_add(jitter))
}
