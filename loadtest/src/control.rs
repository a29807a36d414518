//! What the conductor tells the load threads.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Shared by all threads of a row.
#[derive(Debug, Default)]
pub(crate) struct Control {
    /// Send no more audio; still listen.
    hushed: AtomicBool,
    /// The steady window: transit is noted.
    measuring: AtomicBool,
    /// Come home.
    over: AtomicBool,
    /// Calls that hear audio, on each side.
    hearing: [AtomicUsize; 2],
}

/// A side of the calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The browsers.
    Browser,
    /// The agent.
    Agent,
}

impl Control {
    pub(crate) fn hush(&self) {
        self.hushed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_hushed(&self) -> bool {
        self.hushed.load(Ordering::Relaxed)
    }

    pub(crate) fn set_measuring(&self, measuring: bool) {
        self.measuring.store(measuring, Ordering::Relaxed);
    }

    pub(crate) fn is_measuring(&self) -> bool {
        self.measuring.load(Ordering::Relaxed)
    }

    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// A call hears its first packet on this side.
    pub(crate) fn hears(&self, side: Side) {
        self.counter(side).fetch_add(1, Ordering::Relaxed);
    }

    /// Calls that hear both ways.
    pub(crate) fn talking(&self) -> usize {
        [Side::Browser, Side::Agent]
            .map(|side| self.counter(side).load(Ordering::Relaxed))
            .into_iter()
            .min()
            .unwrap_or(0)
    }

    fn counter(&self, side: Side) -> &AtomicUsize {
        let [browser, agent] = &self.hearing;
        match side {
            Side::Browser => browser,
            Side::Agent => agent,
        }
    }
}
