//! Transfers that are asked for through the API: what is asked is checked and planned here, and done by the call.

use std::sync::Arc;

use bytes::Bytes;
use trunkline_signaling::endpoint::{Event, Refer, Transfer, TransferOrder};
use trunkline_signaling::message::{Replaces, Uri};

use super::steer::hand;
use super::store::Live;
use super::{Calls, Shared, over};
use crate::call::{Api, HandOver, State};
use crate::ids::CallId;
use crate::problem::Problem;
use crate::routing::{self, Limits, Planned, Route};

/// How a call is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandOverBy {
    /// The trunk is asked to.
    Refer,
    /// The gateway dials and bridges.
    Bridge,
}

/// To whom.
#[derive(Debug, Clone)]
pub enum HandOverTo {
    /// To somebody new, or to somebody who talks already, in the place of the dialog that the second value names.
    Destination(String, Option<String>),
    /// To whoever talks to another live call, in its place.
    Call(CallId),
}

impl Calls {
    /// Hands a call over. Problems: `call-not-connected`, `call-ended`, `transfer-in-progress`, `unknown-call`,
    /// `invalid-request`.
    pub async fn transfer(&self, call: &CallId, by: HandOverBy, to: HandOverTo) -> Result<(), Problem> {
        let live = self.connected(call, "a call can be transferred once it is answered")?;
        let busy = live.call().is_transferring();
        if busy {
            let problem = Problem::transfer_in_progress("the call is being transferred already");
            return Err(problem.with("call", call.as_str()));
        }
        let (destination, planned, replaces) = match to {
            HandOverTo::Destination(destination, replaces) => {
                let replaces = replaces.map(|value| read(&value)).transpose()?;
                let config = self.shared.settings.load();
                let app = live.call().about().app.clone();
                let plan = routing::dial(&config, &app, std::slice::from_ref(&destination), Limits::default());
                (destination, plan.into_iter().next(), replaces)
            }
            HandOverTo::Call(other) => {
                let (destination, route, replaces) = self.whoever_talks_to(call, &other).await?;
                (destination, Some(Planned::Dial(route)), replaces)
            }
        };
        let no_trunk = || Problem::invalid_request("the destination leads to no trunk");
        let planned = planned.ok_or_else(no_trunk)?;
        let route = planned.first_route().ok_or_else(no_trunk)?;
        let order = match by {
            HandOverBy::Refer => {
                let to = Uri::parse(&Bytes::from(route.request_uri.clone()))
                    .map_err(|_| Problem::invalid_request("the destination is no SIP URI"))?;
                HandOver::Refer { destination, refer: Box::new(Refer { to, replaces }) }
            }
            HandOverBy::Bridge => {
                let replaces = replaces.map(|replaces| replaces.to_string());
                HandOver::Bridge { destination, plan: vec![planned], replaces }
            }
        };
        hand(&live, Api::Transfer(Box::new(order)))
    }

    /// Where the trunk's side of another call is reached, and its dialog.
    async fn whoever_talks_to(
        &self,
        call: &CallId,
        other: &CallId,
    ) -> Result<(String, Arc<Route>, Option<Replaces>), Problem> {
        if call == other {
            return Err(Problem::invalid_request("a call cannot be transferred to itself"));
        }
        let live = self.connected(other, "the other call is not answered")?;
        let not_there = || Problem::call_not_connected("the other call is not answered").with("call", other.as_str());
        let (attempt, route) = live.call().talking_to().ok_or_else(not_there)?;
        let leg = self.shared.desk.leg(&live.inbox, attempt).ok_or_else(not_there)?;
        let Refer { to, replaces } = self.shared.sip.replaceable(leg).await.ok_or_else(not_there)?;
        // The way is the trunk's, whatever address its telephone calls its own.
        let there = Route { request_uri: to.to_string(), ..Route::clone(&route) };
        Ok((route.destination.clone(), Arc::new(there), replaces))
    }

    /// A call that is answered.
    pub(super) fn connected(&self, call: &CallId, why: &str) -> Result<Arc<Live>, Problem> {
        let live = self.shared.find_live(call)?;
        let state = live.call().state();
        match state {
            State::Talking | State::Reconnecting => Ok(live),
            State::Setup | State::Ringing => Err(Problem::call_not_connected(why).with("call", call.as_str())),
            State::Ended => Err(over(call)),
        }
    }
}

/// Somebody calls in the place of a leg: what the new leg says is kept until its call has heard of it.
pub(super) fn announce(shared: &Arc<Shared>, event: &Event) {
    let Event::Transfer { leg, transfer: Transfer::Replaced { by, .. } } = event else { return };
    if shared.desk.knows(*leg) {
        return shared.desk.placing();
    }
    let (sip, by) = (Arc::clone(&shared.sip), *by);
    tokio::spawn(async move { sip.transfer(by, TransferOrder::Reject(481)).await });
}

fn read(value: &str) -> Result<Replaces, Problem> {
    let parsed = Replaces::parse(&Bytes::copy_from_slice(value.as_bytes()));
    parsed.ok_or_else(|| Problem::invalid_request("replaces is call-id;to-tag=…;from-tag=… (RFC 3891)"))
}
