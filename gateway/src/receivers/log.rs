//! What one session was told last.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::events::Envelope;

/// Events kept for a stream that comes again.
const KEPT: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Log {
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    events: VecDeque<Arc<Envelope>>,
    last: u64,
    closed: bool,
}

impl Log {
    /// Adds an event, which is made with its `seq`.
    pub(super) fn push(&self, make: impl FnOnce(u64) -> Arc<Envelope>) {
        let mut inner = self.lock();
        inner.last = inner.last.saturating_add(1);
        let event = make(inner.last);
        // overflow: the oldest is forgotten; it is of a call that is long over.
        if inner.events.len() >= KEPT {
            inner.events.pop_front();
        }
        inner.events.push_back(event);
        drop(inner);
        self.changed.notify_waiters();
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_waiters();
    }

    /// The first event after `seen`, when there is one; `None`: no more come.
    pub(super) async fn next(&self, seen: u64) -> Option<Arc<Envelope>> {
        loop {
            // Before the look, so that nothing between look and wait is slept through.
            let changed = self.changed.notified();
            {
                let inner = self.lock();
                if let Some(event) = inner.events.iter().find(|event| event.seq > seen) {
                    return Some(Arc::clone(event));
                }
                if inner.closed {
                    return None;
                }
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
