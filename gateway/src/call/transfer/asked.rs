//! REFER from the trunk: an agent hands the visitor to somebody else. He is dialled over the same trunk, whatever
//! address the REFER names: nothing goes where no trunk leads.

use std::time::Instant;

use trunkline_signaling::endpoint::{Asked, TransferOrder};

use super::{MAX_TRANSFERS, Mode, STEP, Step};
use crate::call::input::AttemptId;
use crate::call::record::short;
use crate::call::timers::Timer;
use crate::call::{Call, Effect, Stage};
use crate::outcome::Reason;
use crate::routing::Planned;

impl Call {
    pub(super) fn asked_for(&mut self, now: Instant, attempt: AttemptId, asked: Asked) {
        // Who has not answered has nobody to hand over.
        let Stage::Talking(talking) = &self.stage else { return self.answer_refer(attempt, Err(500)) };
        let route = &talking.route;
        if !route.transfers || self.transfers.begun >= MAX_TRANSFERS {
            return self.answer_refer(attempt, Err(603));
        }
        if self.is_transferring() {
            return self.answer_refer(attempt, Err(491));
        }
        let (trunk, to) = (route.trunk.clone(), asked.to.to_string());
        self.answer_refer(attempt, Ok(()));
        self.begin(Mode::Bridge, true, short(&to), Step::Planning);
        let referred_by = asked.referred_by.map(|value| short(&String::from_utf8_lossy(&value)));
        self.add_fields(asked.replaces.map(|replaces| replaces.to_string()), referred_by);
        self.timers.set(Timer::Transfer, now + STEP);
        self.effects.push_back(Effect::PlanTransfer { trunk, to });
    }

    /// It is known where the trunk's REFER leads.
    pub(in crate::call) fn planned(&mut self, now: Instant, planned: Planned) {
        let is_awaited = self.transfers.now.as_ref().is_some_and(|now| matches!(now.step, Step::Planning));
        if is_awaited {
            self.bridge(now, vec![planned]);
        }
    }

    /// It could not even be looked up.
    pub(super) fn report_failure(&mut self, reason: Reason, status: Option<u16>) {
        if let Stage::Talking(talking) = &self.stage {
            let attempt = talking.attempt;
            self.effects.push_back(Effect::Transfer { attempt, order: TransferOrder::Report(503) });
        }
        self.transfer_failed(reason.word(), status);
    }

    pub(super) fn answer_refer(&mut self, attempt: AttemptId, answer: Result<(), u16>) {
        self.effects.push_back(Effect::Transfer { attempt, order: TransferOrder::Answer(answer) });
    }
}
