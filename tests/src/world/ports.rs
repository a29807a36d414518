//! The gateway's RTP port pairs, as its workers lease them: the one that was free for longest first, and a quarantine in
//! which a pair belongs to nobody.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A pool of port pairs, named by their even port.
#[derive(Debug)]
pub struct Ports {
    free: VecDeque<u16>,
    leased: Vec<u16>,
    quarantine: VecDeque<(Instant, u16)>,
    quarantine_for: Duration,
}

impl Ports {
    /// `pairs` pairs from `first`.
    #[must_use]
    pub fn new(first: u16, pairs: u16, quarantine_for: Duration) -> Self {
        let free = (0..pairs).map(|n| first + 2 * n).collect();
        Self { free, leased: Vec::new(), quarantine: VecDeque::new(), quarantine_for }
    }

    /// Leases a pair, if there is one.
    pub fn lease(&mut self, now: Instant) -> Option<u16> {
        self.expire(now);
        let port = self.free.pop_front()?;
        self.leased.push(port);
        Some(port)
    }

    /// Gives a pair back.
    pub fn release(&mut self, now: Instant, port: u16) {
        self.leased.retain(|p| *p != port);
        self.quarantine.push_back((now + self.quarantine_for, port));
    }

    /// Pairs that belong to a call.
    #[must_use]
    pub fn leased(&self) -> &[u16] {
        &self.leased
    }

    fn expire(&mut self, now: Instant) {
        while let Some(&(until, port)) = self.quarantine.front()
            && until <= now
        {
            self.quarantine.pop_front();
            self.free.push_back(port);
        }
    }
}
