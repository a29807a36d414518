//! What is counted of an integration, as plain numbers; kept while its task comes and goes.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::send::RESULTS;
use crate::store::DeliveryState;

/// Shared by an integration's task and whoever reads.
#[derive(Debug, Default)]
pub(super) struct Counters {
    attempts: [AtomicU64; RESULTS.len()],
    delivered: AtomicU64,
    failed: AtomicU64,
    too_large: AtomicU64,
    paused: AtomicBool,
}

/// An integration at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutletStats {
    /// Its name.
    pub integration: String,
    /// Deliveries that wait.
    pub pending: u64,
    /// Nothing is delivered.
    pub paused: bool,
    /// Attempts since the start, by what they came to.
    pub attempts: Vec<(&'static str, u64)>,
    /// Deliveries since the start, by what became of them: as in [`DELIVERIES`].
    pub deliveries: Vec<(&'static str, u64)>,
}

/// What becomes of deliveries.
pub const DELIVERIES: [&str; 3] = ["delivered", "failed", "too_large"];

impl Counters {
    /// An attempt is over; `state` is what it made of the delivery.
    pub(super) fn attempted(&self, word: &'static str, state: DeliveryState) {
        if let Some((_, count)) = RESULTS.iter().zip(&self.attempts).find(|(known, _)| **known == word) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        match state {
            DeliveryState::Delivered => self.delivered.fetch_add(1, Ordering::Relaxed),
            DeliveryState::Failed => self.failed.fetch_add(1, Ordering::Relaxed),
            DeliveryState::Pending | DeliveryState::Skipped => 0,
        };
    }

    pub(super) fn too_large(&self) {
        self.too_large.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn set_paused(&self, paused: bool) {
        self.paused.store(paused, Ordering::Relaxed);
    }

    pub(super) fn read(&self, integration: &str, pending: u64) -> OutletStats {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let became = [&self.delivered, &self.failed, &self.too_large].map(count);
        OutletStats {
            integration: integration.to_owned(),
            pending,
            paused: self.paused.load(Ordering::Relaxed),
            attempts: RESULTS.into_iter().zip(self.attempts.iter().map(count)).collect(),
            deliveries: DELIVERIES.into_iter().zip(became).collect(),
        }
    }
}
