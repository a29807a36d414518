//! Non-INVITE server transaction (RFC 3261 section 17.2.2).

use std::time::Instant;

use bytes::Bytes;

use super::{Deadlines, Reaction, Reliability, Timer, Timers};

/// Where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerState {
    /// No response was given.
    Trying,
    /// A provisional response was given.
    Proceeding {
        /// The latest.
        last: Bytes,
    },
    /// The final response was given; it is repeated for each repeated request.
    Completed {
        /// The response.
        response: Bytes,
    },
    /// To be dropped.
    Terminated,
}

/// The machine.
#[derive(Debug)]
pub struct Server {
    state: ServerState,
    timers: Timers,
    reliability: Reliability,
    deadlines: Deadlines<Timer>,
}

impl Server {
    /// For a request that goes up to the user now.
    #[must_use]
    pub fn new(timers: Timers, reliability: Reliability) -> Self {
        Self { state: ServerState::Trying, timers, reliability, deadlines: Deadlines::default() }
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> &ServerState {
        &self.state
    }

    /// The request came again.
    pub fn handle_request(&mut self) -> Reaction {
        match &self.state {
            ServerState::Proceeding { last } => Reaction::transmit(last.clone()),
            ServerState::Completed { response } => Reaction::transmit(response.clone()),
            ServerState::Trying | ServerState::Terminated => Reaction::nothing(),
        }
    }

    /// The user answers.
    pub fn handle_answer(&mut self, now: Instant, status: u16, response: Bytes) -> Reaction {
        match self.state {
            ServerState::Trying | ServerState::Proceeding { .. } => {
                if status < 200 {
                    self.state = ServerState::Proceeding { last: response.clone() };
                } else {
                    self.complete(now, response.clone());
                }
                Reaction::transmit(response)
            }
            ServerState::Completed { .. } | ServerState::Terminated => Reaction::nothing(),
        }
    }

    /// Handles one timer that is due.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Reaction> {
        // Timer J is the only one there is.
        self.deadlines.pop_due(now)?;
        self.state = ServerState::Terminated;
        Some(Reaction::nothing())
    }

    /// The next deadline and why.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        self.deadlines.next()
    }

    fn complete(&mut self, now: Instant, response: Bytes) {
        match self.reliability {
            Reliability::Reliable => self.state = ServerState::Terminated,
            Reliability::Unreliable => {
                self.deadlines.set(Timer::J, now + self.timers.patience());
                self.state = ServerState::Completed { response };
            }
        }
    }
}
