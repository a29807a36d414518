//! What waits to be written, in order. Handing over never waits; what there is no room for is counted.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Kept, Papers, StoreStats};
use crate::ids::CallId;

/// Entries from which on the journal of live calls is left out and ended calls keep their record alone. The disk has
/// been away for a while then.
pub(super) const LONG: usize = 2_048;
/// Entries from which on ended calls are dropped.
pub(super) const FULL: usize = 16_384;

/// The queue between the calls and the writer.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    /// Pages the file may have: how tests fill a disk. 0: as many as there are.
    #[cfg(test)]
    pub(super) disk_pages: std::sync::atomic::AtomicU32,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Arc<Kept>>,
    /// Entries pushed, and entries the writer is done with, ever.
    pushed: u64,
    done: u64,
    /// What is closing has until then.
    closing: Option<Instant>,
    stats: StoreStats,
}

/// What the writer finds.
pub(super) struct Batch {
    pub(super) entries: Vec<Arc<Kept>>,
    /// No more will come; be done by then.
    pub(super) closing: Option<Instant>,
}

impl Queue {
    pub(super) fn push(&self, mut kept: Kept) {
        let live = kept.ended.is_none();
        let mut shed = false;
        if !live && kept.with_details && self.lock().waiting.len() >= LONG {
            // Outside of the lock: it takes the call's own.
            kept.papers = Arc::new(RecordOnly(kept.papers.record().to_string()));
            (kept.with_details, shed) = (false, true);
        }
        let mut state = self.lock();
        let length = state.waiting.len();
        // overflow: first the journal and the details go, then whole calls, all counted; WARN at the first of each.
        if live && length >= LONG {
            state.stats.unjournalled = state.stats.unjournalled.saturating_add(1);
            return;
        }
        if length >= FULL {
            if state.stats.dropped == 0 {
                tracing::warn!(call = %kept.id, "the store has fallen so far behind that calls are not kept");
            }
            state.stats.dropped = state.stats.dropped.saturating_add(1);
            return;
        }
        if shed {
            if state.stats.shed == 0 {
                tracing::warn!("the store has fallen behind: only the records of calls are kept, not their details");
            }
            state.stats.shed = state.stats.shed.saturating_add(1);
        }
        state.waiting.push_back(Arc::new(kept));
        state.pushed = state.pushed.saturating_add(1);
        drop(state);
        self.changed.notify_all();
    }

    pub(super) fn find(&self, id: &CallId) -> Option<Arc<Kept>> {
        self.lock().waiting.iter().rev().find(|kept| kept.ended.is_some() && kept.id == *id).cloned()
    }

    pub(super) fn ended(&self) -> Vec<Arc<Kept>> {
        self.lock().waiting.iter().filter(|kept| kept.ended.is_some()).cloned().collect()
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

    /// The first `count` entries are written, but for `lost` of them.
    pub(super) fn done(&self, count: usize, lost: u64) {
        let mut state = self.lock();
        let count = count.min(state.waiting.len());
        drop(state.waiting.drain(..count));
        if state.waiting.is_empty() {
            state.waiting.shrink_to(64);
        }
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        state.done = state.done.saturating_add(count);
        state.stats.written = state.stats.written.saturating_add(count.saturating_sub(lost));
        state.stats.dropped = state.stats.dropped.saturating_add(lost);
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
        let state = self.lock();
        StoreStats { waiting: state.waiting.len(), ..state.stats }
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
