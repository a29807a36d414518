//! When which call wants to be called. Entries are deleted lazily: one that its call no longer stands by is skipped.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// Deadlines of calls, soonest first.
#[derive(Default)]
pub(super) struct Timers(BinaryHeap<Reverse<Timer>>);

/// A call's deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Timer {
    pub(super) at: Instant,
    /// The call's slot.
    pub(super) index: usize,
    /// The slot's generation when it was set.
    pub(super) generation: u32,
}

impl Timers {
    pub(super) fn push(&mut self, timer: Timer) {
        self.0.push(Reverse(timer));
    }

    /// The next one that is due.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Timer> {
        self.0.peek().filter(|Reverse(timer)| timer.at <= now)?;
        self.0.pop().map(|Reverse(timer)| timer)
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse(timer)| timer.at)
    }
}
