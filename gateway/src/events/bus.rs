//! All events of this node as they become durable: a ring of the latest, which any number of readers look at from where
//! they stand. A reader costs its place in it and nothing else.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use super::Envelope;
use crate::ids::EventId;
use crate::room::give_back;

/// What the ring holds at most.
const EVENTS: usize = 4_096;
const BYTES: u64 = 16 << 20;
/// And for how long.
const KEPT: SignedDuration = SignedDuration::from_mins(1);

/// An event and its place in the order of all.
#[derive(Debug, Clone)]
pub struct Published {
    /// Grows with each event of the database; numbers may be missing.
    pub position: i64,
    /// The event.
    pub event: Arc<Envelope>,
}

/// All events of this node; clones share it.
#[derive(Debug, Clone)]
pub struct Bus {
    ring: Arc<RwLock<Ring>>,
    last: Arc<watch::Sender<i64>>,
    closed: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Ring {
    events: VecDeque<Published>,
    bytes: u64,
    /// What comes after this position is in the ring.
    floor: i64,
    /// The event at the end, whether or not it is in the ring.
    end: Option<EventId>,
}

/// A look at the ring.
pub(super) enum Look {
    /// What follows, if anything does.
    Here(Vec<Published>),
    /// What follows is not here any more; so many places behind the end.
    Behind(u64),
}

impl Bus {
    /// With what the database ends.
    #[must_use]
    pub fn new(end: Option<(i64, EventId)>) -> Self {
        let (floor, end) = end.map_or((0, None), |(position, id)| (position, Some(id)));
        let ring = Ring { events: VecDeque::new(), bytes: 0, floor, end };
        Self { ring: Arc::new(RwLock::new(ring)), last: Arc::new(watch::Sender::new(floor)), closed: Arc::default() }
    }

    /// Tells everybody, in order.
    pub fn publish(&self, events: Vec<Published>) {
        let Some(last) = events.last() else { return };
        let (position, id) = (last.position, last.event.id.clone());
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        ring.end = Some(id);
        for event in events {
            ring.bytes = ring.bytes.saturating_add(event.event.bytes());
            ring.events.push_back(event);
        }
        // overflow: the oldest go; who has not read them yet is told, and finds them in the database.
        while ring.events.len() > EVENTS || ring.bytes > BYTES {
            let Some(oldest) = ring.events.pop_front() else { break };
            ring.bytes = ring.bytes.saturating_sub(oldest.event.bytes());
            ring.floor = oldest.position;
        }
        drop(ring);
        self.last.send_replace(position);
    }

    /// Forgets events that happened too long ago for a reader who keeps up: the database has them.
    pub fn forget(&self, now: Timestamp) {
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        let is_old = |oldest: &mut Published| now.duration_since(oldest.event.at) >= KEPT;
        while let Some(oldest) = ring.events.pop_front_if(is_old) {
            ring.bytes = ring.bytes.saturating_sub(oldest.event.bytes());
            ring.floor = oldest.position;
        }
        give_back(&mut ring.events);
    }

    /// No event follows: readers end when they have read what there is.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.last.send_modify(|_| {});
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Changes with every event.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<i64> {
        self.last.subscribe()
    }

    /// Where everything that follows is new.
    pub(super) fn end(&self) -> (i64, Option<EventId>) {
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        (ring.events.back().map_or(ring.floor, |last| last.position), ring.end.clone())
    }

    /// Up to `most` of what follows a position.
    pub(super) fn after(&self, position: i64, most: usize) -> Look {
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        if position < ring.floor {
            let end = ring.events.back().map_or(ring.floor, |last| last.position);
            return Look::Behind(end.abs_diff(position));
        }
        let skip = ring.events.partition_point(|event| event.position <= position);
        Look::Here(ring.events.iter().skip(skip).take(most).cloned().collect())
    }

    /// The place of an event that is in the ring.
    pub(super) fn find(&self, id: &EventId) -> Option<i64> {
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        ring.events.iter().rev().find(|event| event.event.id == *id).map(|event| event.position)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    fn event(position: i64, at: Timestamp) -> Published {
        let id = EventId::from_client(&format!("evt_{position}"));
        Published { position, event: Arc::new(Envelope::new(id, "call_started", at, "acme".into(), None, &Map::new())) }
    }

    #[test]
    fn events_are_read_from_the_database_once_they_are_old() {
        let (bus, start) = (Bus::new(None), Timestamp::UNIX_EPOCH);
        let at = |seconds| start + SignedDuration::from_secs(seconds);
        bus.publish((1..=1_000).map(|n| event(n, start)).collect());
        bus.publish(vec![event(1_001, at(30))]);
        bus.forget(at(59));
        assert!(matches!(bus.after(0, 10), Look::Here(events) if events.len() == 10));
        bus.forget(at(60));
        assert!(matches!(bus.after(999, 10), Look::Behind(2)));
        assert!(matches!(bus.after(1_000, 10), Look::Here(events) if events.len() == 1));
        bus.forget(at(90));
        assert!(matches!(bus.after(1_001, 10), Look::Here(events) if events.is_empty()), "who kept up missed nothing");
        assert_eq!(bus.end(), (1_001, Some(EventId::from_client("evt_1001"))));
        let ring = bus.ring.read().unwrap();
        assert!(ring.bytes == 0 && ring.events.capacity() < 300, "{} bytes, {}", ring.bytes, ring.events.capacity());
    }
}
