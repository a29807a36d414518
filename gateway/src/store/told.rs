//! Who hears of what has become durable: the call's own events, the bus, the outbox, whoever asked for a change.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::entry::{Filed, Order};
use super::events::Ledger;
use crate::events::{Bus, NAMES, Published};

/// Whom the writer tells after a commit.
pub(super) struct Told {
    pub(super) bus: Bus,
    /// Changes when there is more to deliver.
    outbox: watch::Sender<u64>,
    /// By name, as in [`NAMES`].
    names: [AtomicU64; NAMES.len()],
    /// Told to a visitor before it was durable.
    pub(super) early: AtomicU64,
    skipped: AtomicU64,
    pending: Mutex<HashMap<String, u64>>,
}

impl Told {
    pub(super) fn new(bus: Bus, ledger: &Ledger) -> Self {
        Self {
            bus,
            outbox: watch::Sender::new(0),
            names: std::array::from_fn(|_| AtomicU64::new(0)),
            early: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            pending: Mutex::new(ledger.pending.clone()),
        }
    }

    /// A transaction is through.
    pub(super) fn tell(&self, ledger: &Ledger, events: Vec<(i64, Arc<Filed>)>, orders: Vec<(Arc<Order>, u64)>) {
        self.skipped.store(ledger.skipped, Ordering::Relaxed);
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&ledger.pending);
        let mut deliveries = orders.iter().any(|(order, rows)| *rows > 0 && order.change.gives_work());
        let mut published = Vec::with_capacity(events.len());
        for (position, filed) in events {
            deliveries |= !filed.to.is_empty();
            self.count(filed.envelope.name);
            filed.settle();
            published.push(Published { position, event: Arc::clone(&filed.envelope) });
        }
        self.bus.publish(published);
        if deliveries {
            self.outbox.send_modify(|times| *times = times.wrapping_add(1));
        }
        for (order, rows) in orders {
            order.done(rows);
        }
    }

    pub(super) fn outbox(&self) -> watch::Receiver<u64> {
        self.outbox.subscribe()
    }

    pub(super) fn pending(&self) -> HashMap<String, u64> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }

    /// Events since the start, by name.
    pub(super) fn by_name(&self) -> Vec<(&'static str, u64)> {
        NAMES.iter().zip(&self.names).map(|(name, count)| (*name, count.load(Ordering::Relaxed))).collect()
    }

    fn count(&self, name: &str) {
        if let Some((_, count)) = NAMES.iter().zip(&self.names).find(|(known, _)| **known == name) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}
