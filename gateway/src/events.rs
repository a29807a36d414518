//! Events: one envelope, one sequence per call without gaps, replay.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::{Notify, broadcast};

/// The envelope of every event, on every stream.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Envelope {
    /// `evt_…`
    pub id: crate::ids::EventId,
    /// e.g. `call_started`.
    pub name: &'static str,
    /// RFC 3339, UTC, milliseconds.
    pub timestamp: String,
    /// The app.
    pub app: String,
    /// Per call, from 1, without gaps.
    pub seq: u64,
    /// Call, session, context and the event's own fields.
    pub data: Map<String, Value>,
}

/// Events kept per call for replay. A call has about ten; only floods of digits come near it.
const KEPT_PER_CALL: usize = 1024;

/// Events a slow consumer of the whole bus may lie behind before it misses some (it is told how many).
const BUS_DEPTH: usize = 4096;

/// One call's events: written by its driver, read by any number of streams, which can never hold the driver up.
#[derive(Debug, Default)]
pub struct EventLog {
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    events: VecDeque<Arc<Envelope>>,
    closed: bool,
}

impl EventLog {
    /// Adds an event. Its `seq` is one above the last.
    pub fn push(&self, event: Arc<Envelope>) {
        let mut inner = self.lock();
        // overflow: the oldest event is no longer replayed; a reader sees the gap in `seq`.
        if inner.events.len() >= KEPT_PER_CALL {
            inner.events.pop_front();
        }
        inner.events.push_back(event);
        drop(inner);
        self.changed.notify_waiters();
    }

    /// No event follows.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_waiters();
    }

    fn after(&self, seq: u64) -> Next {
        let inner = self.lock();
        let skip = inner.events.partition_point(|e| e.seq <= seq);
        match inner.events.get(skip) {
            Some(event) => Next::Event(Arc::clone(event)),
            None if inner.closed => Next::Over,
            None => Next::Wait,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Next {
    Event(Arc<Envelope>),
    Wait,
    Over,
}

/// A live view of one call's events: everything after a sequence number, then as they come; ends with the call.
pub struct EventStream {
    log: Arc<EventLog>,
    seen: u64,
}

impl EventStream {
    /// Everything after `seq` (0: from the beginning).
    #[must_use]
    pub fn new(log: Arc<EventLog>, seq: u64) -> Self {
        Self { log, seen: seq }
    }

    /// The next event; `None` when the call is over and all has been handed out.
    pub async fn next(&mut self) -> Option<Arc<Envelope>> {
        loop {
            // Made before the look, so that an event between look and wait is not slept through.
            let changed = self.log.changed.notified();
            match self.log.after(self.seen) {
                Next::Event(event) => {
                    self.seen = event.seq;
                    return Some(event);
                }
                Next::Over => return None,
                Next::Wait => changed.await,
            }
        }
    }
}

/// All events of this node, for whoever listens in this process.
#[derive(Debug, Clone)]
pub struct Bus {
    sender: broadcast::Sender<Arc<Envelope>>,
}

impl Default for Bus {
    fn default() -> Self {
        Self { sender: broadcast::channel(BUS_DEPTH).0 }
    }
}

impl Bus {
    /// Everything from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Envelope>> {
        self.sender.subscribe()
    }

    /// Tells everybody.
    pub fn publish(&self, event: Arc<Envelope>) {
        // overflow: a receiver that lies too far behind misses the oldest and is told how many.
        let _ = self.sender.send(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::EventId;

    fn event(seq: u64) -> Arc<Envelope> {
        Arc::new(Envelope {
            id: EventId::from_random([0; 16]),
            name: "call_started",
            timestamp: String::new(),
            app: "acme".into(),
            seq,
            data: Map::new(),
        })
    }

    async fn rest(mut stream: EventStream) -> Vec<u64> {
        let mut seen = Vec::new();
        while let Some(event) = stream.next().await {
            seen.push(event.seq);
        }
        seen
    }

    #[tokio::test]
    async fn replay_starts_after_the_last_seen_event() {
        let log = Arc::new(EventLog::default());
        (1..=4).for_each(|seq| log.push(event(seq)));
        log.close();
        for (after, expected) in [(0, vec![1, 2, 3, 4]), (2, vec![3, 4]), (4, vec![]), (9, vec![])] {
            assert_eq!(rest(EventStream::new(Arc::clone(&log), after)).await, expected);
        }
    }

    #[tokio::test]
    async fn a_waiting_stream_gets_events_as_they_come_and_ends_with_the_log() {
        let log = Arc::new(EventLog::default());
        let reader = tokio::spawn(rest(EventStream::new(Arc::clone(&log), 0)));
        for seq in 1..=3 {
            tokio::task::yield_now().await;
            log.push(event(seq));
        }
        log.close();
        assert_eq!(reader.await.unwrap(), [1, 2, 3]);
    }

    #[tokio::test]
    async fn the_log_keeps_a_bounded_tail() {
        let log = Arc::new(EventLog::default());
        (1..=2_000).for_each(|seq| log.push(event(seq)));
        log.close();
        let seen = rest(EventStream::new(log, 0)).await;
        assert_eq!((seen.len(), seen.first(), seen.last()), (KEPT_PER_CALL, Some(&977), Some(&2_000)));
    }
}
