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

/// Seventeen numbers; the sum of lateness, and how often it fell into each bucket.
const FIELDS: usize = 18 + LATENESS_MS.len() + 1;

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
        for (cell, number) in self.stats.iter().zip(cells(&mut { *stats })) {
            cell.store(*number, Ordering::Relaxed);
        }
    }

    pub(super) fn stats(&self) -> WorkerStats {
        let mut stats = WorkerStats::default();
        for (cell, number) in self.stats.iter().zip(cells(&mut stats)) {
            *number = cell.load(Ordering::Relaxed);
        }
        stats
    }

    /// How busy the worker was in the last second it looked, and with how many calls.
    pub(super) fn busy(&self) -> (u64, u64) {
        let stats = self.stats();
        (stats.busy, stats.busy_calls)
    }
}

/// Each number where it is kept, in the order of the cells.
fn cells(stats: &mut WorkerStats) -> [&mut u64; FIELDS] {
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
        complexity,
        lateness: Lateness { counts: [a, b, c, d, e, f, g, h, i], sum_us },
    } = stats;
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
        complexity,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_is_read_number_by_number() {
        let mut stats = WorkerStats::default();
        cells(&mut stats).into_iter().zip(1..).for_each(|(number, value)| *number = value);
        let shared = Shared::default();
        shared.publish(&stats);
        assert_eq!((shared.stats(), shared.busy()), (stats, (stats.busy, stats.busy_calls)));
        assert_eq!(stats.lateness.counts.iter().max(), Some(&(FIELDS as u64)));
    }
}
