//! One call's events, for its visitor: written by the call's driver, read by any number of streams, which can never hold
//! the driver up.
//!
//! An event is told when it is durable, or a second after it happened: a widget must see its call end while the disk is
//! away.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::Envelope;

/// Events kept per call for replay. A call has about ten; only floods of digits come near it, and then the oldest are
/// read from the database.
pub(super) const KEPT_PER_CALL: usize = 256;
/// How long a visitor waits for the disk.
const PATIENCE: Duration = Duration::from_secs(1);

/// One call's events.
#[derive(Debug, Default)]
pub struct EventLog {
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    /// With the time from which on they are told, durable or not.
    events: VecDeque<(Arc<Envelope>, Instant)>,
    /// Up to this `seq` they are durable, or never will be.
    settled: u64,
    /// Up to this `seq` they were told before they were durable.
    early: u64,
    closed: bool,
}

/// What a reader finds.
pub(super) enum Next {
    /// The next event; whether it is the first time that it is told before it is durable.
    Event(Arc<Envelope>, bool),
    /// Events before this one are not here any more.
    From(u64),
    /// Nothing before something changes, or before that time.
    Wait(Option<Instant>),
    Over,
}

impl EventLog {
    /// Adds an event. Its `seq` is one above the last.
    pub(crate) fn push(&self, now: Instant, event: Arc<Envelope>) {
        let mut inner = self.lock();
        // overflow: the oldest event is read from the database from now on.
        if inner.events.len() >= KEPT_PER_CALL {
            inner.events.pop_front();
        }
        inner.events.push_back((event, now + PATIENCE));
        drop(inner);
        self.changed.notify_waiters();
    }

    /// All up to this one are durable, or have been given up.
    pub(crate) fn settle(&self, seq: u64) {
        let mut inner = self.lock();
        inner.settled = inner.settled.max(seq);
        drop(inner);
        self.changed.notify_waiters();
    }

    /// No event follows.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_waiters();
    }

    /// Made before [`Self::after`], so that an event between look and wait is not slept through.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    pub(super) fn after(&self, now: Instant, seq: u64) -> Next {
        let mut inner = self.lock();
        let skip = inner.events.partition_point(|(event, _)| event.seq <= seq);
        let Some((event, due)) = inner.events.get(skip).cloned() else {
            return if inner.closed { Next::Over } else { Next::Wait(None) };
        };
        if event.seq > seq.saturating_add(1) && skip == 0 {
            return Next::From(event.seq);
        }
        if event.seq <= inner.settled {
            return Next::Event(event, false);
        }
        if now < due {
            return Next::Wait(Some(due));
        }
        let first = event.seq > inner.early;
        inner.early = inner.early.max(event.seq);
        Next::Event(event, first)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
