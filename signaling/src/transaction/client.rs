//! Non-INVITE client transaction (RFC 3261 section 17.1.2).

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Deadlines, Fault, Reaction, Reliability, Timer, Timers};

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientState {
    /// Nothing came yet.
    Trying {
        /// Of timer E.
        interval: Duration,
    },
    /// A provisional response came.
    Proceeding,
    /// The final response came; repetitions are absorbed.
    Completed,
    /// To be dropped.
    Terminated,
}

/// The machine.
#[derive(Debug)]
pub struct Client {
    state: ClientState,
    request: Bytes,
    timers: Timers,
    reliability: Reliability,
    deadlines: Deadlines<Timer>,
}

impl Client {
    /// Starts with the request, which the caller sends once now.
    #[must_use]
    pub fn new(now: Instant, request: Bytes, timers: Timers, reliability: Reliability) -> Self {
        let mut deadlines = Deadlines::default();
        if reliability == Reliability::Unreliable {
            deadlines.set(Timer::E, now + timers.t1);
        }
        deadlines.set(Timer::F, now + timers.patience());
        Self { state: ClientState::Trying { interval: timers.t1 }, request, timers, reliability, deadlines }
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> ClientState {
        self.state
    }

    /// The request, while nothing came for it.
    #[must_use]
    pub fn unanswered(&self) -> Option<Bytes> {
        matches!(self.state, ClientState::Trying { .. }).then(|| self.request.clone())
    }

    /// A response came.
    pub fn handle_response(&mut self, now: Instant, status: u16) -> Reaction {
        match self.state {
            ClientState::Trying { .. } | ClientState::Proceeding => {
                if status < 200 {
                    self.state = ClientState::Proceeding;
                } else {
                    self.complete(now);
                }
                Reaction::deliver()
            }
            ClientState::Completed | ClientState::Terminated => Reaction::nothing(),
        }
    }

    /// The network refused the request.
    pub fn handle_transport_error(&mut self) -> Reaction {
        match self.state {
            ClientState::Trying { .. } | ClientState::Proceeding => {
                self.terminate();
                Reaction::fault(Fault::Transport)
            }
            ClientState::Completed | ClientState::Terminated => Reaction::nothing(),
        }
    }

    /// Handles one timer that is due.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Reaction> {
        let timer = self.deadlines.pop_due(now)?;
        Some(match (timer, self.state) {
            (Timer::E, ClientState::Trying { interval }) => {
                let interval = self.timers.back_off(interval);
                self.state = ClientState::Trying { interval };
                self.deadlines.set(Timer::E, now + interval);
                Reaction::transmit(self.request.clone())
            }
            (Timer::E, ClientState::Proceeding) => {
                self.deadlines.set(Timer::E, now + self.timers.t2);
                Reaction::transmit(self.request.clone())
            }
            (Timer::F, ClientState::Trying { .. } | ClientState::Proceeding) => {
                self.terminate();
                Reaction::fault(Fault::Timeout)
            }
            (Timer::K, _) => {
                self.terminate();
                Reaction::nothing()
            }
            (
                Timer::A
                | Timer::B
                | Timer::C
                | Timer::D
                | Timer::E
                | Timer::F
                | Timer::G
                | Timer::H
                | Timer::I
                | Timer::J
                | Timer::L
                | Timer::M,
                _,
            ) => Reaction::nothing(),
        })
    }

    /// The next deadline and why.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        self.deadlines.next()
    }

    fn complete(&mut self, now: Instant) {
        self.deadlines.clear();
        match self.reliability {
            Reliability::Reliable => self.state = ClientState::Terminated,
            Reliability::Unreliable => {
                self.deadlines.set(Timer::K, now + self.timers.t4);
                self.state = ClientState::Completed;
            }
        }
    }

    fn terminate(&mut self) {
        self.deadlines.clear();
        self.state = ClientState::Terminated;
    }
}
