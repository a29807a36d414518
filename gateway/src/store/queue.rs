//! What waits to be written, in order. Handing over never waits; what there is no room for is counted.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::entry::{Entry, Filed, Order};
use super::legs::LegChange;
use super::{Kept, Papers, StoreStats};
use crate::ids::CallId;

/// Entries of calls from which on the journal of live calls is left out and ended calls keep their record alone. The
/// disk has been away for a while then.
pub(super) const LONG: usize = 2_048;
/// Entries of calls from which on ended calls are dropped.
pub(super) const FULL: usize = 16_384;
/// Changes of the outbox that may wait. Whoever makes them waits for each, so there are as many as deliveries under way.
const ORDERS: usize = 4_096;
/// Changes of SIP legs that may wait.
const LEGS: usize = 16_384;
/// An entry that waits longer is an alarm, also while nothing fails: the disk is too slow.
const SLOW: Duration = Duration::from_secs(10);

/// The queue between the calls and the writer.
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    /// What events may take while they wait, bytes.
    event_bytes_max: u64,
    /// Pages the file may have: how tests fill a disk. 0: as many as there are.
    #[cfg(test)]
    pub(super) disk_pages: std::sync::atomic::AtomicU32,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Entry>,
    /// Of those: with a call, changes of the outbox, of SIP legs, and what the events take.
    calls: usize,
    orders: usize,
    legs: usize,
    event_bytes: u64,
    /// Entries pushed, and entries the writer is done with, ever.
    pushed: u64,
    done: u64,
    /// What is closing has until then.
    closing: Option<Instant>,
    stats: StoreStats,
}

/// What the writer finds.
pub(super) struct Batch {
    pub(super) entries: Vec<Entry>,
    /// No more will come; be done by then.
    pub(super) closing: Option<Instant>,
}

/// What of a batch could not be written, ever.
#[derive(Default)]
pub(super) struct Lost {
    pub(super) calls: u64,
    pub(super) events: u64,
}

impl Lost {
    pub(super) fn add(&mut self, more: &Self) {
        self.calls = self.calls.saturating_add(more.calls);
        self.events = self.events.saturating_add(more.events);
    }
}

impl Queue {
    pub(super) fn new(event_bytes_max: u64) -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            event_bytes_max,
            #[cfg(test)]
            disk_pages: std::sync::atomic::AtomicU32::new(0),
        }
    }

    pub(super) fn push(&self, kept: Kept) {
        let (kept, shed) = self.thinned(Arc::new(kept));
        let mut state = self.lock();
        if state.takes(&kept, shed) {
            state.add(Entry::Call(kept, Instant::now()));
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Whether there is room. If not, the call it closes is written all the same.
    pub(super) fn push_event(&self, mut filed: Filed) -> bool {
        let closes = filed.closes.take().map(|kept| self.thinned(kept));
        let mut state = self.lock();
        let closes = closes.and_then(|(kept, shed)| state.takes(&kept, shed).then_some(kept));
        // overflow: the event is never durable, no webhook hears of it; counted, WARN at the first.
        let room = state.event_bytes.saturating_add(filed.envelope.bytes()) <= self.event_bytes_max;
        if room {
            filed.closes = closes;
            state.add(Entry::Event(Arc::new(filed)));
        } else {
            if state.stats.events_lost == 0 {
                tracing::warn!("the store has fallen so far behind that events are lost");
            }
            state.stats.events_lost = state.stats.events_lost.saturating_add(1);
            if let Some(kept) = closes {
                state.add(Entry::Call(kept, filed.since));
            }
        }
        drop(state);
        self.changed.notify_all();
        room
    }

    /// Whether there is room.
    pub(super) fn push_order(&self, order: Order) -> bool {
        let mut state = self.lock();
        // overflow: refused to whoever asks, who asks again later.
        if state.orders >= ORDERS || state.closing.is_some() {
            return false;
        }
        state.add(Entry::Order(Arc::new(order), Instant::now()));
        drop(state);
        self.changed.notify_all();
        true
    }

    pub(super) fn push_leg(&self, change: LegChange) {
        let mut state = self.lock();
        // overflow: the leg goes on unjournalled, or its row stays until the next start; counted.
        if state.legs >= LEGS {
            state.stats.legs_left_out = state.stats.legs_left_out.saturating_add(1);
            return;
        }
        state.add(Entry::Leg(Arc::new(change), Instant::now()));
        drop(state);
        self.changed.notify_all();
    }

    pub(super) fn find(&self, id: &CallId) -> Option<Arc<Kept>> {
        let state = self.lock();
        let mut calls = state.waiting.iter().rev().filter_map(Entry::call);
        calls.find(|kept| kept.ended.is_some() && kept.id == *id).cloned()
    }

    pub(super) fn ended(&self) -> Vec<Arc<Kept>> {
        let state = self.lock();
        state.waiting.iter().filter_map(Entry::call).filter(|kept| kept.ended.is_some()).cloned().collect()
    }

    /// Up to `most` entries, which stay where they are until [`Self::done`]. Waits for the first until `until`.
    pub(super) fn next(&self, most: usize, until: Instant) -> Batch {
        let mut state = self.lock();
        while state.waiting.is_empty() && state.closing.is_none() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            (state, _) = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
        Batch { entries: state.waiting.iter().take(most).cloned().collect(), closing: state.closing }
    }

    /// The first `count` entries are written, but for those that are lost.
    pub(super) fn done(&self, count: usize, lost: &Lost) {
        let mut state = self.lock();
        let count = count.min(state.waiting.len());
        let gone: Vec<Entry> = state.waiting.drain(..count).collect();
        gone.iter().for_each(|entry| state.uncount(entry));
        if state.waiting.is_empty() {
            state.waiting.shrink_to(64);
        }
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        state.done = state.done.saturating_add(count);
        let stats = &mut state.stats;
        stats.written = stats.written.saturating_add(count.saturating_sub(lost.calls));
        stats.dropped = stats.dropped.saturating_add(lost.calls);
        stats.events_lost = stats.events_lost.saturating_add(lost.events);
        drop(state);
        self.changed.notify_all();
    }

    /// Waits before another try; closing cuts it short.
    pub(super) fn rest(&self, pause: Duration) {
        let state = self.lock();
        if state.closing.is_none() {
            let waits = |state: &mut State| state.closing.is_none();
            drop(self.changed.wait_timeout_while(state, pause, waits).unwrap_or_else(PoisonError::into_inner));
        } else {
            drop(self.changed.wait_timeout(state, pause.min(CLOSING_REST)).unwrap_or_else(PoisonError::into_inner));
        }
    }

    pub(super) fn note(&self, change: impl FnOnce(&mut StoreStats)) {
        change(&mut self.lock().stats);
    }

    pub(super) fn stats(&self) -> StoreStats {
        let now = Instant::now();
        let state = self.lock();
        let oldest = state.waiting.front().map(|entry| now.saturating_duration_since(entry.since()));
        StoreStats {
            waiting: state.waiting.len(),
            backlog_bytes: state.event_bytes,
            failing: state.stats.failing || oldest.is_some_and(|age| age > SLOW),
            ..state.stats
        }
    }

    pub(super) fn flush(&self, limit: Duration) -> bool {
        let state = self.lock();
        let goal = state.pushed;
        let behind = |state: &mut State| state.done < goal;
        let waited = self.changed.wait_timeout_while(state, limit, behind).unwrap_or_else(PoisonError::into_inner);
        waited.0.done >= goal
    }

    pub(super) fn close(&self, limit: Duration) {
        let end = Instant::now() + limit;
        self.lock().closing.get_or_insert(end);
        self.changed.notify_all();
    }

    /// An ended call without its details, if the queue is long; whether they were given up.
    fn thinned(&self, kept: Arc<Kept>) -> (Arc<Kept>, bool) {
        if kept.ended.is_none() || !kept.with_details || self.lock().calls < LONG {
            return (kept, false);
        }
        // Outside of the lock: it takes the call's own.
        let papers = Arc::new(RecordOnly(kept.papers.record().to_string()));
        (Arc::new(Kept { papers, with_details: false, ..Kept::clone(&kept) }), true)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether there is room for a call.
    fn takes(&mut self, kept: &Kept, shed: bool) -> bool {
        let stats = &mut self.stats;
        // overflow: first the journal and the details go, then whole calls, all counted; WARN at the first of each.
        if kept.ended.is_none() && self.calls >= LONG {
            stats.unjournalled = stats.unjournalled.saturating_add(1);
            return false;
        }
        if self.calls >= FULL {
            if stats.dropped == 0 {
                tracing::warn!(call = %kept.id, "the store has fallen so far behind that calls are not kept");
            }
            stats.dropped = stats.dropped.saturating_add(1);
            return false;
        }
        if shed {
            if stats.shed == 0 {
                tracing::warn!("the store has fallen behind: only the records of calls are kept, not their details");
            }
            stats.shed = stats.shed.saturating_add(1);
        }
        true
    }

    fn add(&mut self, entry: Entry) {
        self.calls = self.calls.saturating_add(usize::from(entry.call().is_some()));
        self.orders = self.orders.saturating_add(usize::from(matches!(entry, Entry::Order(..))));
        self.legs = self.legs.saturating_add(usize::from(matches!(entry, Entry::Leg(..))));
        self.event_bytes = self.event_bytes.saturating_add(entry.event_bytes());
        self.waiting.push_back(entry);
        self.pushed = self.pushed.saturating_add(1);
    }

    fn uncount(&mut self, entry: &Entry) {
        self.calls = self.calls.saturating_sub(usize::from(entry.call().is_some()));
        self.orders = self.orders.saturating_sub(usize::from(matches!(entry, Entry::Order(..))));
        self.legs = self.legs.saturating_sub(usize::from(matches!(entry, Entry::Leg(..))));
        self.event_bytes = self.event_bytes.saturating_sub(entry.event_bytes());
    }
}

/// Between two tries while the store is closing.
const CLOSING_REST: Duration = Duration::from_millis(50);

/// An ended call whose details were given up.
struct RecordOnly(String);

impl Papers for RecordOnly {
    fn record(&self) -> Value {
        serde_json::from_str(&self.0).unwrap_or(Value::Null)
    }

    fn details(&self) -> Value {
        Value::Null
    }
}
