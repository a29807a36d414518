//! What waits to be written. What is in one entry is written together or not at all.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::oneshot;

use super::Kept;
use super::legs::LegChange;
use super::outbox::Change;
use crate::events::{Envelope, EventLog};

/// An event to keep: durable with its deliveries in one transaction, and told afterwards.
pub struct Filed {
    /// The event.
    pub envelope: Arc<Envelope>,
    /// Integrations it goes to.
    pub to: Vec<String>,
    /// The call's own events, if it belongs to a live call.
    pub log: Option<Arc<EventLog>>,
    /// It is the call's last: what stays of the call, written together with it.
    pub closes: Option<Arc<Kept>>,
    /// When it happened.
    pub since: Instant,
}

impl Filed {
    /// It is durable, or never will be: the call's visitor need not wait.
    pub(super) fn settle(&self) {
        if let Some(log) = &self.log {
            log.settle(self.envelope.seq);
        }
    }
}

/// A change of the outbox, and who waits for it.
pub(super) struct Order {
    pub(super) change: Change,
    reply: Mutex<Option<oneshot::Sender<u64>>>,
}

impl Order {
    pub(super) fn new(change: Change) -> (Self, oneshot::Receiver<u64>) {
        let (reply, answer) = oneshot::channel();
        (Self { change, reply: Mutex::new(Some(reply)) }, answer)
    }

    /// It is durable; so many rows were changed.
    pub(super) fn done(&self, rows: u64) {
        let reply = self.reply.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(reply) = reply {
            // Whoever asked may have gone.
            let _ = reply.send(rows);
        }
    }
}

/// One line of the queue.
#[derive(Clone)]
pub(super) enum Entry {
    Call(Arc<Kept>, Instant),
    Event(Arc<Filed>),
    Order(Arc<Order>, Instant),
    Leg(Arc<LegChange>, Instant),
}

impl Entry {
    /// The call that is written with it.
    pub(super) fn call(&self) -> Option<&Arc<Kept>> {
        match self {
            Self::Call(kept, _) => Some(kept),
            Self::Event(filed) => filed.closes.as_ref(),
            Self::Order(..) | Self::Leg(..) => None,
        }
    }

    /// What it takes of the room for events.
    pub(super) fn event_bytes(&self) -> u64 {
        match self {
            Self::Event(filed) => filed.envelope.bytes(),
            Self::Call(..) | Self::Order(..) | Self::Leg(..) => 0,
        }
    }

    /// A SIP leg's change is written: what waits for it goes on.
    pub(super) fn settle_leg(&self) {
        match self {
            Self::Leg(change, _) => change.settle(),
            Self::Call(..) | Self::Event(_) | Self::Order(..) => {}
        }
    }

    /// Since when it waits.
    pub(super) fn since(&self) -> Instant {
        match self {
            Self::Call(_, since) | Self::Order(_, since) | Self::Leg(_, since) => *since,
            Self::Event(filed) => filed.since,
        }
    }
}
