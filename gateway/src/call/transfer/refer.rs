//! REFER to the trunk: it calls somebody else in our place, and lets go of us.

use std::time::Instant;

use trunkline_signaling::endpoint::{Refer, Transfer, TransferOrder};

use super::{GOODBYE, REFER, Step};
use crate::call::input::AttemptId;
use crate::call::timers::Timer;
use crate::call::{Call, Effect};
use crate::outcome::{Reason, RemoteHangup};

impl Call {
    pub(super) fn refer(&mut self, now: Instant, attempt: AttemptId, refer: Box<Refer>) {
        self.timers.set(Timer::Transfer, now + REFER);
        self.effects.push_back(Effect::Transfer { attempt, order: TransferOrder::Refer(refer) });
    }

    /// The trunk says what becomes of our REFER.
    pub(super) fn referred(&mut self, now: Instant, transfer: Transfer) {
        let Some(Step::Referring { taken, done: done @ false }) = self.transfers.now.as_mut().map(|now| &mut now.step)
        else {
            return;
        };
        match transfer {
            Transfer::Accepted { .. } => *taken = true,
            Transfer::Progress(..200) => {}
            Transfer::Progress(200..300) => {
                (*taken, *done) = (true, true);
                self.tell_transferred(None);
                self.timers.set(Timer::Transfer, now + GOODBYE);
            }
            Transfer::Progress(status) => self.transfer_failed("refused", Some(status)),
            Transfer::Refused(Some(status)) => self.transfer_failed("refused", Some(status)),
            Transfer::Refused(None) => self.transfer_failed("no_answer", None),
            Transfer::Untold => self.transfer_failed("untold", None),
            Transfer::Asked(_) | Transfer::Replaced { .. } => {}
        }
    }

    /// A trunk that has taken our REFER on and hangs up has done what it was asked for, whether it said so or not.
    pub(super) fn referred_away(&mut self) {
        let step = self.transfers.now.as_ref().map(|now| &now.step);
        if let Some(Step::Referring { taken: true, done: false }) = step {
            self.tell_transferred(None);
        }
    }

    /// The agent is with somebody else, and the trunk does not hang up: nobody is left to talk to.
    pub(super) fn part(&mut self, now: Instant) {
        self.notes.evidence("hung_up_by", "operator");
        self.notes.evidence("operator_reason", "transferred");
        self.finish(now, Reason::RemoteHangup(RemoteHangup::Operator));
    }
}
