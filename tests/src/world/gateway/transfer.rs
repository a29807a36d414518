//! What transfers ask of the edges.

use std::net::SocketAddr;
use std::time::Instant;

use trunkline::call::{AttemptId, Input, LeaseRefused, NotSent, SipEvent};
use trunkline::outcome::Reason;
use trunkline::routing::Planned;
use trunkline_signaling::endpoint::{LegId, Transfer, TransferOrder};

use super::{CallNo, SimGateway};

impl SimGateway {
    pub(super) fn lease_spare(&mut self, now: Instant, no: CallNo) -> Result<SocketAddr, LeaseRefused> {
        self.move_ports(now, no, true, false);
        if self.trunks_full {
            return Err(LeaseRefused::TrunkFull);
        }
        let port = self.ports.lease(now).ok_or(LeaseRefused::NoPorts)?;
        let call = self.calls.get_mut(&no).unwrap();
        call.spare = Some(port);
        let local = SocketAddr::new(self.public.ip(), port);
        self.media(now, no, |call, _| call.attach_spare(local));
        Ok(local)
    }

    /// The pairs follow their legs.
    pub(super) fn move_ports(&mut self, now: Instant, no: CallNo, releases: bool, swaps: bool) {
        let call = self.calls.get_mut(&no).unwrap();
        let gone = match (releases, swaps) {
            (true, _) => call.spare.take(),
            (_, true) if call.spare.is_some() => std::mem::replace(&mut call.lease, call.spare.take()),
            _ => None,
        };
        if let Some(port) = gone {
            self.ports.release(now, port);
        }
    }

    pub(super) fn plan_transfer(&mut self, now: Instant, no: CallNo, to: String) {
        let known = self.transfers.get(&to).cloned();
        let skip = Planned::Skip { destination: to, trunk: None, reason: Reason::DestNotFound };
        self.later(now, no, Input::TransferPlanned(known.unwrap_or(skip)));
    }

    pub(super) fn transfer(&mut self, now: Instant, no: CallNo, attempt: AttemptId, order: TransferOrder) {
        let leg = self.calls[&no].legs.iter().find(|(a, _)| *a == attempt).map(|(_, leg)| *leg);
        let (refers, accepts) = (matches!(order, TransferOrder::Refer(_)), matches!(order, TransferOrder::Accept(_)));
        if matches!(order, TransferOrder::Reject(_) | TransferOrder::Finish(_)) {
            self.take_leg(no, attempt);
        }
        let done = leg.is_some_and(|leg| self.sip.transfer(now, leg, order).is_ok());
        let event = match (refers, accepts, done) {
            (true, _, false) => SipEvent::Transfer(Box::new(Transfer::Refused(Some(503)))),
            (_, true, true) => SipEvent::Sent(None),
            (_, true, false) => SipEvent::NotSent(NotSent::Gone),
            _ => return,
        };
        self.later(now, no, Input::Sip { attempt, event });
    }

    pub(super) fn adopt(&mut self, no: CallNo, attempt: AttemptId, leg: LegId) {
        self.by_leg.insert(leg, (no, attempt));
        self.calls.get_mut(&no).unwrap().legs.push((attempt, leg));
    }
}
