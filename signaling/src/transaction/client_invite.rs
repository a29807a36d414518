//! INVITE client transaction (RFC 3261 section 17.1.1, RFC 6026 section 8.4).

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Deadlines, Fault, Reaction, Reliability, Timer, Timers};

/// How long a call may ring without a word from the other side: the three minutes of RFC 3261's timer C.
const RING_LIMIT: Duration = Duration::from_secs(180);

/// Where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientInviteState {
    /// Nothing came yet.
    Calling {
        /// Of timer A.
        interval: Duration,
    },
    /// A provisional response came.
    Proceeding {
        /// A CANCEL was sent, or should have been: timer C is the end now (RFC 3261 section 9.1).
        cancelled: bool,
    },
    /// A final response of 300 or more came; each repetition of it is answered with this ACK.
    Completed {
        /// The ACK.
        ack: Bytes,
    },
    /// A 2xx came; more may.
    Accepted,
    /// To be dropped.
    Terminated,
}

/// The machine.
#[derive(Debug)]
pub struct ClientInvite {
    state: ClientInviteState,
    /// What is repeated; empty once anything came for it.
    request: Bytes,
    timers: Timers,
    reliability: Reliability,
    deadlines: Deadlines<Timer>,
    is_given_up: bool,
}

impl ClientInvite {
    /// Starts with the request, which the caller sends once now.
    #[must_use]
    pub fn new(now: Instant, request: Bytes, timers: Timers, reliability: Reliability) -> Self {
        let mut deadlines = Deadlines::default();
        if reliability == Reliability::Unreliable {
            deadlines.set(Timer::A, now + timers.t1);
        }
        deadlines.set(Timer::B, now + timers.patience());
        let state = ClientInviteState::Calling { interval: timers.t1 };
        Self { state, request, timers, reliability, deadlines, is_given_up: false }
    }

    /// Takes up one whose request went out before this process lived, and whose CANCEL goes out now. It repeats nothing:
    /// the request either arrived or does no harm.
    #[must_use]
    pub fn cancelled(now: Instant, timers: Timers, reliability: Reliability) -> Self {
        let mut deadlines = Deadlines::default();
        deadlines.set(Timer::C, now + timers.patience());
        let state = ClientInviteState::Proceeding { cancelled: true };
        Self { state, request: Bytes::new(), timers, reliability, deadlines, is_given_up: true }
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> &ClientInviteState {
        &self.state
    }

    /// The request, while nothing came for it.
    #[must_use]
    pub fn unanswered(&self) -> Option<Bytes> {
        matches!(self.state, ClientInviteState::Calling { .. }).then(|| self.request.clone())
    }

    /// A response came; `ack` builds the ACK for a non-2xx one.
    pub fn handle_response(&mut self, now: Instant, status: u16, ack: impl FnOnce() -> Bytes) -> Reaction {
        match (&self.state, status) {
            (ClientInviteState::Calling { .. }, 100..=199) => {
                self.proceed(now, false);
                Reaction::deliver()
            }
            (ClientInviteState::Proceeding { cancelled }, 100..=199) => {
                let cancelled = *cancelled;
                self.proceed(now, cancelled);
                Reaction::deliver()
            }
            (ClientInviteState::Calling { .. } | ClientInviteState::Proceeding { .. }, 200..=299) => {
                self.deadlines.clear();
                self.request = Bytes::new();
                self.deadlines.set(Timer::M, now + self.timers.patience());
                self.state = ClientInviteState::Accepted;
                Reaction::deliver()
            }
            (ClientInviteState::Calling { .. } | ClientInviteState::Proceeding { .. }, _) => {
                let ack = ack();
                self.complete(now, ack.clone());
                Reaction { transmit: Some(ack), deliver: true, fault: None }
            }
            (ClientInviteState::Completed { ack }, 300..) => Reaction::transmit(ack.clone()),
            (ClientInviteState::Accepted, 200..=299) => Reaction::deliver(),
            (ClientInviteState::Completed { .. } | ClientInviteState::Accepted | ClientInviteState::Terminated, _) => {
                Reaction::nothing()
            }
        }
    }

    /// The user sent a CANCEL: if no final response comes in 64*T1, the transaction is over (RFC 3261 section 9.1).
    pub fn handle_cancel(&mut self, now: Instant) {
        if self.state == (ClientInviteState::Proceeding { cancelled: false }) {
            self.state = ClientInviteState::Proceeding { cancelled: true };
            self.deadlines.set(Timer::C, now + self.timers.patience());
        }
    }

    /// The user has given up before anything came: the request is not repeated, its answer is still waited for.
    pub fn stop_repeating(&mut self) {
        self.deadlines.stop(Timer::A);
        self.is_given_up = true;
    }

    /// Whether the user has given up before anything came.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        self.is_given_up
    }

    /// The network refused the request, or the ACK. Once a provisional response came this means nothing: the request
    /// arrived.
    pub fn handle_transport_error(&mut self) -> Reaction {
        match self.state {
            ClientInviteState::Calling { .. } | ClientInviteState::Completed { .. } => {
                self.terminate();
                Reaction::fault(Fault::Transport)
            }
            ClientInviteState::Proceeding { .. } | ClientInviteState::Accepted | ClientInviteState::Terminated => {
                Reaction::nothing()
            }
        }
    }

    /// Handles one timer that is due.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Reaction> {
        let timer = self.deadlines.pop_due(now)?;
        Some(match (timer, &mut self.state) {
            (Timer::A, ClientInviteState::Calling { interval }) => {
                // Not capped by T2: timer B ends the ladder (RFC 3261 section 17.1.1.2).
                *interval = interval.saturating_mul(2);
                let at = now + *interval;
                self.deadlines.set(Timer::A, at);
                Reaction::transmit(self.request.clone())
            }
            (Timer::C, ClientInviteState::Proceeding { cancelled: false }) => {
                self.handle_cancel(now);
                Reaction::fault(Fault::NoFinal)
            }
            (Timer::B, _) | (Timer::C, ClientInviteState::Proceeding { cancelled: true }) => {
                self.terminate();
                Reaction::fault(Fault::Timeout)
            }
            (Timer::D | Timer::M, _) => {
                self.terminate();
                Reaction::nothing()
            }
            (
                Timer::A
                | Timer::C
                | Timer::E
                | Timer::F
                | Timer::G
                | Timer::H
                | Timer::I
                | Timer::J
                | Timer::K
                | Timer::L,
                _,
            ) => Reaction::nothing(),
        })
    }

    /// The next deadline and why.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        self.deadlines.next()
    }

    fn proceed(&mut self, now: Instant, cancelled: bool) {
        self.request = Bytes::new();
        self.deadlines.stop(Timer::A);
        self.deadlines.stop(Timer::B);
        if !cancelled {
            self.deadlines.set(Timer::C, now + RING_LIMIT);
        }
        self.state = ClientInviteState::Proceeding { cancelled };
    }

    fn complete(&mut self, now: Instant, ack: Bytes) {
        self.request = Bytes::new();
        self.deadlines.clear();
        match self.reliability {
            Reliability::Reliable => self.state = ClientInviteState::Terminated,
            Reliability::Unreliable => {
                self.deadlines.set(Timer::D, now + self.timers.patience());
                self.state = ClientInviteState::Completed { ack };
            }
        }
    }

    fn terminate(&mut self) {
        self.deadlines.clear();
        self.state = ClientInviteState::Terminated;
    }
}
