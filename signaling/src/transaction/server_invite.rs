//! INVITE server transaction (RFC 3261 section 17.2.1, RFC 6026 section 8.7).

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Deadlines, Fault, Reaction, Reliability, Timer, Timers};

/// Where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerInviteState {
    /// No final response was given.
    Proceeding {
        /// The latest provisional one, repeated for each repeated INVITE.
        last: Option<Bytes>,
    },
    /// A final response of 300 or more was given; the ACK is awaited.
    Completed {
        /// The response.
        response: Bytes,
        /// Of timer G.
        interval: Duration,
    },
    /// The ACK came; its repetitions are absorbed.
    Confirmed,
    /// A 2xx was given. Its user repeats it; this machine only absorbs repeated INVITEs.
    Accepted,
    /// To be dropped.
    Terminated,
}

/// The machine. A transport error changes nothing in it (RFC 6026 section 7.1), so it is not told of any.
#[derive(Debug)]
pub struct ServerInvite {
    state: ServerInviteState,
    timers: Timers,
    reliability: Reliability,
    deadlines: Deadlines<Timer>,
}

impl ServerInvite {
    /// For an INVITE that goes up to the user now.
    #[must_use]
    pub fn new(timers: Timers, reliability: Reliability) -> Self {
        let state = ServerInviteState::Proceeding { last: None };
        Self { state, timers, reliability, deadlines: Deadlines::default() }
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> &ServerInviteState {
        &self.state
    }

    /// The INVITE came again.
    pub fn handle_request(&mut self) -> Reaction {
        match &self.state {
            ServerInviteState::Proceeding { last } => Reaction { transmit: last.clone(), ..Reaction::default() },
            ServerInviteState::Completed { response, .. } => Reaction::transmit(response.clone()),
            ServerInviteState::Confirmed | ServerInviteState::Accepted | ServerInviteState::Terminated => {
                Reaction::nothing()
            }
        }
    }

    /// The user answers, or repeats its 2xx.
    pub fn handle_answer(&mut self, now: Instant, status: u16, response: Bytes) -> Reaction {
        match (&self.state, status) {
            (ServerInviteState::Proceeding { .. }, ..=199) => {
                self.state = ServerInviteState::Proceeding { last: Some(response.clone()) };
                Reaction::transmit(response)
            }
            (ServerInviteState::Proceeding { .. }, 200..=299) => {
                self.deadlines.set(Timer::L, now + self.timers.patience());
                self.state = ServerInviteState::Accepted;
                Reaction::transmit(response)
            }
            (ServerInviteState::Proceeding { .. }, 300..) => {
                if self.reliability == Reliability::Unreliable {
                    self.deadlines.set(Timer::G, now + self.timers.t1);
                }
                self.deadlines.set(Timer::H, now + self.timers.patience());
                self.state = ServerInviteState::Completed { response: response.clone(), interval: self.timers.t1 };
                Reaction::transmit(response)
            }
            (ServerInviteState::Accepted, 200..=299) => Reaction::transmit(response),
            (
                ServerInviteState::Completed { .. }
                | ServerInviteState::Confirmed
                | ServerInviteState::Accepted
                | ServerInviteState::Terminated,
                _,
            ) => Reaction::nothing(),
        }
    }

    /// An ACK that matches came.
    pub fn handle_ack(&mut self, now: Instant) -> Reaction {
        match self.state {
            ServerInviteState::Completed { .. } => {
                self.deadlines.clear();
                match self.reliability {
                    Reliability::Reliable => self.state = ServerInviteState::Terminated,
                    Reliability::Unreliable => {
                        self.deadlines.set(Timer::I, now + self.timers.t4);
                        self.state = ServerInviteState::Confirmed;
                    }
                }
                Reaction::nothing()
            }
            ServerInviteState::Accepted => Reaction::deliver(),
            ServerInviteState::Proceeding { .. } | ServerInviteState::Confirmed | ServerInviteState::Terminated => {
                Reaction::nothing()
            }
        }
    }

    /// Handles one timer that is due.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Reaction> {
        let timer = self.deadlines.pop_due(now)?;
        Some(match (timer, &mut self.state) {
            (Timer::G, ServerInviteState::Completed { response, interval }) => {
                *interval = self.timers.back_off(*interval);
                self.deadlines.set(Timer::G, now + *interval);
                Reaction::transmit(response.clone())
            }
            (Timer::H, ServerInviteState::Completed { .. }) => {
                self.terminate();
                Reaction::fault(Fault::Timeout)
            }
            (Timer::I | Timer::L, _) => {
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
                | Timer::J
                | Timer::K
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

    fn terminate(&mut self) {
        self.deadlines.clear();
        self.state = ServerInviteState::Terminated;
    }
}
