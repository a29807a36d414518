//! Timers as data: RFC 3261 table 4, RFC 6026 timers L and M.

use std::time::{Duration, Instant};

/// Timer values (RFC 3261 table 4).
#[derive(Debug, Clone, Copy)]
pub struct Timers {
    /// RTT estimate, 500 ms.
    pub t1: Duration,
    /// Longest retransmit interval, 4 s.
    pub t2: Duration,
    /// How long a message stays in the network, 5 s.
    pub t4: Duration,
}

impl Timers {
    /// How long anything is worth waiting for: 64*T1.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.t1.saturating_mul(64)
    }

    /// The retransmit interval after `interval`: doubled, at most T2.
    #[must_use]
    pub fn back_off(&self, interval: Duration) -> Duration {
        interval.saturating_mul(2).min(self.t2)
    }
}

/// Whether the transport retransmits by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reliability {
    /// UDP.
    Unreliable,
    /// TCP, TLS.
    Reliable,
}

impl Reliability {
    /// How long to absorb what may still be in the network: nothing on a reliable transport.
    #[must_use]
    pub fn linger(self, on_unreliable: Duration) -> Duration {
        match self {
            Self::Unreliable => on_unreliable,
            Self::Reliable => Duration::ZERO,
        }
    }
}

/// The timers of the four machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// INVITE request retransmission, unreliable transports only.
    A,
    /// INVITE transaction time-out.
    B,
    /// A provisional response came, the final one is overdue (a proxy's timer in RFC 3261 section 16.6; a user agent
    /// needs a limit as well).
    C,
    /// Wait for retransmitted non-2xx responses to INVITE.
    D,
    /// Non-INVITE request retransmission, unreliable transports only.
    E,
    /// Non-INVITE transaction time-out.
    F,
    /// INVITE response retransmission.
    G,
    /// Wait for the ACK.
    H,
    /// Wait for retransmitted ACKs.
    I,
    /// Wait for retransmitted non-INVITE requests.
    J,
    /// Wait for retransmitted responses to non-INVITE requests.
    K,
    /// Wait for retransmitted INVITEs after a 2xx (RFC 6026).
    L,
    /// Wait for retransmitted 2xx, and for those of other forks (RFC 6026).
    M,
}

impl Timer {
    /// For a log line about a loop that is stuck or spins.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::A => "timer A: retransmit INVITE",
            Self::B => "timer B: no response to INVITE",
            Self::C => "timer C: no final response to INVITE",
            Self::D => "timer D: absorb final responses",
            Self::E => "timer E: retransmit request",
            Self::F => "timer F: no final response",
            Self::G => "timer G: retransmit final response",
            Self::H => "timer H: no ACK",
            Self::I => "timer I: absorb ACKs",
            Self::J => "timer J: absorb requests",
            Self::K => "timer K: absorb responses",
            Self::L => "timer L: absorb INVITEs",
            Self::M => "timer M: await further 2xx",
        }
    }
}

/// A table of the few deadlines of one machine, one per timer.
#[derive(Debug, Clone)]
pub struct Deadlines<T> {
    entries: Vec<(Instant, T)>,
}

impl<T> Default for Deadlines<T> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<T: Copy + PartialEq> Deadlines<T> {
    /// Starts or restarts a timer.
    pub fn set(&mut self, timer: T, at: Instant) {
        self.stop(timer);
        self.entries.push((at, timer));
    }

    /// Stops a timer.
    pub fn stop(&mut self, timer: T) {
        self.entries.retain(|(_, other)| *other != timer);
    }

    /// Stops all.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// Whether a timer runs.
    #[must_use]
    pub fn is_set(&self, timer: T) -> bool {
        self.entries.iter().any(|(_, other)| *other == timer)
    }

    /// The soonest.
    #[must_use]
    pub fn next(&self) -> Option<(Instant, T)> {
        self.entries.iter().min_by_key(|(at, _)| *at).copied()
    }

    /// Takes the soonest timer that is due.
    pub fn pop_due(&mut self, now: Instant) -> Option<T> {
        let (at, timer) = self.next()?;
        if at > now {
            return None;
        }
        self.stop(timer);
        Some(timer)
    }
}
