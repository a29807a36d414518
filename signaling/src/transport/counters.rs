//! What happened to connections.

use std::sync::atomic::{AtomicU64, Ordering};

use super::liveness::Ending;

/// What was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConnectionStats {
    /// Live ones, of either side.
    pub live: u64,
    /// Ours that came up.
    pub opened: u64,
    /// Ours that did not: refused, no answer, no handshake.
    pub failed: u64,
    /// Of peers, taken.
    pub accepted: u64,
    /// Of peers, closed at once: too many of theirs, or of all.
    pub refused: u64,
    /// Of peers, without a handshake in time or at all.
    pub unencrypted: u64,
    /// Closed for what came was no SIP.
    pub unreadable: u64,
    /// Closed for a message was longer than we take.
    pub too_long: u64,
    /// Closed for a message was not whole in time, or the first one never came.
    pub slow: u64,
    /// Closed for nothing came for very long.
    pub idle: u64,
    /// Closed for a ping was not answered.
    pub silent: u64,
    /// Closed for the peer did not take what we said.
    pub stalled: u64,
    /// Broken by the peer or the network.
    pub broken: u64,
    /// Messages that found the queue of their connection full.
    pub queue_full: u64,
    /// Pings of ours.
    pub pings: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) live: AtomicU64,
    pub(super) opened: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) accepted: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) unencrypted: AtomicU64,
    pub(super) queue_full: AtomicU64,
    pub(super) pings: AtomicU64,
    unreadable: AtomicU64,
    too_long: AtomicU64,
    slow: AtomicU64,
    idle: AtomicU64,
    silent: AtomicU64,
    stalled: AtomicU64,
    broken: AtomicU64,
}

/// One more.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    /// A connection is over.
    pub(super) fn end(&self, ending: Ending) {
        self.live.fetch_sub(1, Ordering::Relaxed);
        match ending {
            Ending::Broken => count(&self.broken),
            Ending::Unreadable => count(&self.unreadable),
            Ending::TooLong => count(&self.too_long),
            Ending::Slow => count(&self.slow),
            Ending::Idle => count(&self.idle),
            Ending::Silent => count(&self.silent),
            Ending::Stalled => count(&self.stalled),
            Ending::Dropped => {}
        }
    }

    pub(super) fn read(&self) -> ConnectionStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ConnectionStats {
            live: read(&self.live),
            opened: read(&self.opened),
            failed: read(&self.failed),
            accepted: read(&self.accepted),
            refused: read(&self.refused),
            unencrypted: read(&self.unencrypted),
            unreadable: read(&self.unreadable),
            too_long: read(&self.too_long),
            slow: read(&self.slow),
            idle: read(&self.idle),
            silent: read(&self.silent),
            stalled: read(&self.stalled),
            broken: read(&self.broken),
            queue_full: read(&self.queue_full),
            pings: read(&self.pings),
        }
    }
}
