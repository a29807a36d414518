//! Requests outside of any call that somebody else writes and makes sense of (REGISTER): carried there and back.

use std::net::SocketAddr;
use std::time::Instant;

use super::ping::failure_of;
use super::transactions::User;
use super::{Endpoint, Event, Full, LegId, Transport};
use crate::message::{Request, Response};
use crate::transaction::Fault;

/// A request to send outside of any call.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Where it goes (already resolved).
    pub target: SocketAddr,
    /// And over what.
    pub over: Transport,
    /// Whole but for its Via and User-Agent.
    pub request: Request,
}

impl Endpoint {
    pub(super) fn start_ask(&mut self, now: Instant, ask: Ask) -> Result<LegId, Full> {
        let way = if self.is_full() { None } else { self.core.learn_way(&ask.over) };
        let Some(way) = way else {
            self.core.stats.overload += 1;
            return Err(Full);
        };
        let id = self.new_leg_id(way);
        self.core.send_other(now, ask.request, ask.target, User::Ask(id));
        Ok(id)
    }

    pub(super) fn handle_ask_response(&mut self, leg: LegId, response: &Response) {
        if response.status >= 200 {
            self.core.event(Event::Replied { leg, result: Ok(Box::new(response.clone())) });
        }
    }

    pub(super) fn handle_ask_fault(&mut self, leg: LegId, fault: Fault) {
        let result = Err(failure_of(fault, self.core.cause.clone()));
        self.core.event(Event::Replied { leg, result });
    }
}
