//! What a transfer asks of the two protocol sides.

use std::sync::Arc;

use trunkline_media::api::Command;
use trunkline_media::worker::LeaseError;
use trunkline_signaling::endpoint::{LegId, Transfer, TransferOrder};

use super::{Done, Driver, Leg};
use crate::call::{AttemptId, Input, LeaseRefused, NotSent, SipEvent};
use crate::routing;

impl Driver {
    /// A second pair, and a second place on the trunk, for a leg that may take the place of the one that talks.
    pub(super) fn lease_spare(&mut self, attempt: AttemptId, trunk: &str, last: Option<bool>) {
        let wait = match self.admit_beside(trunk, last) {
            Ok(wait) => wait,
            Err(refused) => {
                return self.later(async move { Done::Input(Input::TrunkLeased { attempt, result: Err(refused) }) });
            }
        };
        let lease = self.shared.media.lease_spare(self.live.key);
        self.later(async move {
            tokio::time::sleep(wait).await;
            Done::Input(Input::TrunkLeased { attempt, result: lease.await.map_err(refused) })
        });
    }

    /// The trunks' places go with the legs that hold them.
    pub(super) fn move_permits(&mut self, command: &Command) {
        if matches!(command, Command::ReleaseTrunk | Command::Close) {
            self.trunk = None;
        }
        if matches!(command, Command::ReleaseSpare | Command::Close) {
            self.spare = None;
        }
        if matches!(command, Command::SwapTrunk(_)) {
            self.trunk = self.spare.take();
            self.rewrite = true;
        }
    }

    /// The configuration of now decides where the trunk's REFER leads.
    pub(super) fn plan_transfer(&mut self, trunk: &str, to: &str) {
        let planned = routing::over(&self.shared.settings.load(), trunk, to);
        self.later(async move { Done::Input(Input::TransferPlanned(planned)) });
    }

    pub(super) fn transfer(&mut self, attempt: AttemptId, order: TransferOrder) {
        let leg = self.legs.iter().find_map(|(a, leg)| match leg {
            Leg::Placed(leg) if *a == attempt => Some(*leg),
            Leg::Placed(_) | Leg::Placing(_) | Leg::HungUp(_) => None,
        });
        if matches!(order, TransferOrder::Finish(_))
            && let Some((_, at)) = self.legs.iter_mut().find(|(a, at)| *a == attempt && matches!(at, Leg::Placed(_)))
            && let Some(leg) = leg
        {
            *at = Leg::HungUp(leg);
        }
        if matches!(order, TransferOrder::Reject(_)) {
            self.legs.retain(|(a, _)| *a != attempt);
            leg.into_iter().for_each(|leg| self.shared.desk.forget(leg));
        }
        let (refers, accepts) = (matches!(order, TransferOrder::Refer(_)), matches!(order, TransferOrder::Accept(_)));
        let done = leg.map(|leg| self.shared.sip.transfer(leg, order));
        self.later(async move {
            let done = match done {
                Some(done) => done.await,
                None => false,
            };
            let event = match (refers, accepts, done) {
                (true, _, false) => SipEvent::Transfer(Box::new(Transfer::Refused(Some(503)))),
                (_, true, true) => SipEvent::Sent(None),
                (_, true, false) => SipEvent::NotSent(NotSent::Gone),
                // The rest tells by events of its own, or needs no word.
                (_, false, _) => return Done::Nothing,
            };
            Done::Input(Input::Sip { attempt, event })
        });
    }

    /// A leg that called in the place of another is one of this call's.
    pub(super) fn adopt(&mut self, attempt: AttemptId, leg: LegId) {
        self.legs.push((attempt, Leg::Placed(leg)));
        self.shared.desk.placed(Some((leg, self.live.inbox.clone(), attempt)));
    }

    /// Somebody would replace a leg of a call that is over.
    pub(super) fn turn_away(&mut self, input: &Input) {
        let Input::Sip { event: SipEvent::Transfer(transfer), .. } = input else { return };
        if let Transfer::Replaced { by, .. } = **transfer {
            self.shared.desk.placed(None);
            let (sip, leg) = (Arc::clone(&self.shared.sip), by);
            // Nobody waits for what an ended call still has to do.
            tokio::spawn(async move { sip.transfer(leg, TransferOrder::Reject(481)).await });
        }
    }
}

/// Why there is no port pair.
pub(super) fn refused(error: LeaseError) -> LeaseRefused {
    match error {
        LeaseError::Exhausted => LeaseRefused::NoPorts,
        LeaseError::NoSuchCall | LeaseError::Stopped => LeaseRefused::MediaGone,
    }
}
