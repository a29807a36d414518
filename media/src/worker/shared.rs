//! What a worker's thread and its handle share: atomics to read, and calls to close when the queue is full.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{LATENESS_MS, Lateness, WorkerStats};
use crate::api::CallKey;
use crate::quality::Policy;

/// Shared by one worker and its handle. Nothing here is touched while packets are handled.
#[derive(Default)]
pub(super) struct Shared {
    stop: AtomicBool,
    stats: [AtomicU64; FIELDS],
    has_closing: AtomicBool,
    closing: Mutex<Vec<CallKey>>,
    policy: Mutex<Policy>,
}

/// Sixteen numbers, and the lateness.
const FIELDS: usize = 17 + LATENESS_MS.len() + 1;

impl Shared {
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Closes a call by the side door, when the command queue is full: a close must never be lost.
    pub(super) fn close_later(&self, key: CallKey) {
        // As long as the worker's calls at most: each key is closed once.
        self.closing.lock().unwrap_or_else(PoisonError::into_inner).push(key);
        self.has_closing.store(true, Ordering::Release);
    }

    /// Calls to close, if any came by the side door.
    pub(super) fn take_closing(&self) -> Vec<CallKey> {
        if !self.has_closing.swap(false, Ordering::Acquire) {
            return Vec::new();
        }
        std::mem::take(&mut *self.closing.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How calls that are opened from now on are measured.
    pub(super) fn measure_by(&self, policy: Policy) {
        *self.policy.lock().unwrap_or_else(PoisonError::into_inner) = policy;
    }

    pub(super) fn policy(&self) -> Policy {
        *self.policy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn publish(&self, stats: &WorkerStats) {
        for (cell, value) in self.stats.iter().zip(to_cells(stats)) {
            cell.store(value, Ordering::Relaxed);
        }
    }

    pub(super) fn stats(&self) -> WorkerStats {
        from_cells(std::array::from_fn(|at| self.stats.get(at).map_or(0, |cell| cell.load(Ordering::Relaxed))))
    }

    /// How busy the worker was in the last second it looked, and with how many calls.
    pub(super) fn busy(&self) -> (u64, u64) {
        let stats = self.stats();
        (stats.busy, stats.busy_calls)
    }
}

fn to_cells(stats: &WorkerStats) -> [u64; FIELDS] {
    let WorkerStats {
        calls,
        leased_pairs,
        quarantined_pairs,
        received,
        sent,
        send_failures,
        stray,
        reports_dropped,
        commands_dropped,
        panics,
        flooded,
        ports_in_use,
        socket_drops,
        cpu_us,
        busy,
        busy_calls,
        lateness: Lateness { counts: [a, b, c, d, e, f, g, h, i], sum_us },
    } = *stats;
    [
        calls,
        leased_pairs,
        quarantined_pairs,
        received,
        sent,
        send_failures,
        stray,
        reports_dropped,
        commands_dropped,
        panics,
        flooded,
        ports_in_use,
        socket_drops,
        cpu_us,
        busy,
        busy_calls,
        sum_us,
        a,
        b,
        c,
        d,
        e,
        f,
        g,
        h,
        i,
    ]
}

fn from_cells(cells: [u64; FIELDS]) -> WorkerStats {
    let [
        calls,
        leased_pairs,
        quarantined_pairs,
        received,
        sent,
        send_failures,
        stray,
        reports_dropped,
        commands_dropped,
        panics,
        flooded,
        ports_in_use,
        socket_drops,
        cpu_us,
        busy,
        busy_calls,
        sum_us,
        counts @ ..,
    ] = cells;
    WorkerStats {
        calls,
        leased_pairs,
        quarantined_pairs,
        received,
        sent,
        send_failures,
        stray,
        reports_dropped,
        commands_dropped,
        panics,
        flooded,
        ports_in_use,
        socket_drops,
        cpu_us,
        busy,
        busy_calls,
        lateness: Lateness { counts, sum_us },
    }
}
