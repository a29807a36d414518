//! Handing an answered call to somebody else.
//!
//! ```text
//! refer      REFER to the trunk: it takes the agent away, and the call ends here
//! bridge     somebody else is dialled beside the trunk's leg, and takes its place when he answers
//! asked      the trunk's REFER: as bridge, and the trunk is told how it goes
//! replaced   an INVITE that takes the place of the trunk's leg
//! ```
//! One at a time. Whatever comes to nothing leaves the call as it was, and is told by `call_transfer_failed`.

mod asked;
mod bridge;
mod refer;
mod replaced;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Map, Value};
use trunkline_signaling::endpoint::{Refer, Transfer};

use super::headers::Fields;
use super::input::{AttemptId, SipEvent};
use super::record::LegNote;
use super::stage::Talking;
use super::timers::Timer;
use super::{Call, Stage};
use crate::outcome::{Phase, Reason};
use crate::routing::{Planned, Route};

/// Transfers of one call: two phones that hand a visitor back and forth come to an end.
const MAX_TRANSFERS: u32 = 32;
/// How long a REFER of ours may be under way in all.
const REFER: Duration = Duration::from_secs(300);
/// How long the trunk has to hang up after it has taken the agent away.
const GOODBYE: Duration = Duration::from_secs(3);
/// Ports, a route: they are there at once or never.
const STEP: Duration = Duration::from_secs(10);

/// What an operator asks for.
#[derive(Debug, Clone)]
pub enum HandOver {
    /// The trunk is asked to take the agent to somebody else.
    Refer {
        /// As the request names it.
        destination: String,
        /// The same for the trunk.
        refer: Box<Refer>,
    },
    /// Somebody else is dialled here.
    Bridge {
        /// As the request names it.
        destination: String,
        /// What is dialled, in order.
        plan: Vec<Planned>,
        /// Replaces of the INVITE.
        replaces: Option<String>,
    },
}

/// How a call is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Refer,
    Bridge,
    Replace,
}

impl Mode {
    fn word(self) -> &'static str {
        match self {
            Self::Refer => "refer",
            Self::Bridge => "bridge",
            Self::Replace => "replace",
        }
    }
}

/// The transfer that is under way, and how many there were.
#[derive(Debug, Default)]
pub(super) struct Transfers {
    begun: u32,
    now: Option<Box<UnderWay>>,
}

#[derive(Debug)]
struct UnderWay {
    mode: Mode,
    /// The trunk asked for it, and not an operator.
    by_trunk: bool,
    destination: String,
    /// Header fields of the INVITE.
    fields: Fields,
    step: Step,
}

#[derive(Debug)]
enum Step {
    /// Our REFER is with the trunk.
    Referring { taken: bool, done: bool },
    /// It is looked up where the trunk's REFER leads.
    Planning,
    /// Somebody is dialled; the trunk's leg waits.
    Dialling(Parked),
    /// A new leg, which has called us, gets ports.
    Leasing { attempt: AttemptId, old: AttemptId, sdp: Bytes, call_id: String },
    /// The new leg is answered; it takes over when the answer is on its way.
    Accepting { attempt: AttemptId, taken: Box<replaced::Taken> },
}

/// The trunk's leg while somebody else is dialled.
#[derive(Debug)]
struct Parked {
    /// `None` once it is gone, for this reason.
    talking: Result<Box<Talking>, Reason>,
    /// What the record says of it.
    noted: LegNote,
    /// What shows how it went, once it is gone.
    farewell: Map<String, Value>,
}

impl Call {
    /// Whether an operator may hand the call over now.
    #[must_use]
    pub fn is_transferring(&self) -> bool {
        self.transfers.now.is_some()
    }

    /// The attempt that talks, and its route.
    #[must_use]
    pub fn talking_to(&self) -> Option<(AttemptId, Arc<Route>)> {
        let Stage::Talking(talking) = &self.stage else { return None };
        Some((talking.attempt, Arc::clone(&talking.route)))
    }

    /// An operator hands the call over.
    pub(super) fn hand_over(&mut self, now: Instant, order: HandOver) {
        let Stage::Talking(talking) = &self.stage else { return };
        let attempt = talking.attempt;
        if self.is_transferring() || self.transfers.begun >= MAX_TRANSFERS {
            return self.trail.not_done(now, "transfer", "another is under way, or there were too many");
        }
        match order {
            HandOver::Refer { destination, refer } => {
                self.begin(Mode::Refer, false, destination, Step::Referring { taken: false, done: false });
                self.refer(now, attempt, refer);
            }
            HandOver::Bridge { destination, plan, replaces } => {
                self.begin(Mode::Bridge, false, destination, Step::Planning);
                self.add_fields(replaces, None);
                self.bridge(now, plan);
            }
        }
    }

    /// An event of the SIP side that has to do with a transfer; gives back any other.
    pub(super) fn transfer_event(&mut self, now: Instant, attempt: AttemptId, event: SipEvent) -> Option<SipEvent> {
        if let SipEvent::Transfer(transfer) = event {
            self.told_of_transfer(now, attempt, *transfer);
            return None;
        }
        if self.is_parked(attempt) {
            self.parked_event(now, event);
            return None;
        }
        if self.is_replacing(attempt) {
            self.replacing_event(now, &event);
            return None;
        }
        // It has hung up because it has done what we asked for.
        if self.is_current(attempt) && matches!(event, SipEvent::Ended { .. }) {
            self.referred_away();
        }
        Some(event)
    }

    fn told_of_transfer(&mut self, now: Instant, attempt: AttemptId, transfer: Transfer) {
        match transfer {
            Transfer::Asked(_) if self.is_parked(attempt) => self.answer_refer(attempt, Err(491)),
            Transfer::Asked(asked) if self.is_current(attempt) => self.asked_for(now, attempt, *asked),
            Transfer::Asked(_) => {}
            Transfer::Replaced { by, call_id, sdp } => self.replaced(now, attempt, (by, call_id), sdp),
            Transfer::Accepted { .. } | Transfer::Progress(_) | Transfer::Refused(_) | Transfer::Untold => {
                if self.is_current(attempt) {
                    self.referred(now, transfer);
                }
            }
        }
    }

    /// Whether this is the leg that talks, or rings.
    fn is_current(&self, attempt: AttemptId) -> bool {
        self.stage.attempt() == Some(attempt)
    }

    /// A transfer takes too long.
    pub(super) fn transfer_overdue(&mut self, now: Instant) {
        let Some(under_way) = &self.transfers.now else { return };
        match &under_way.step {
            Step::Referring { done: true, .. } => self.part(now),
            Step::Referring { done: false, .. } => self.transfer_failed("untold", None),
            Step::Planning => self.report_failure(Reason::InternalError, None),
            Step::Leasing { .. } | Step::Accepting { .. } => self.turn_away(500),
            Step::Dialling(_) => {}
        }
    }

    /// A call that ends takes along what is under way beside it.
    pub(super) fn end_transfer(&mut self, reason: Reason) {
        let Some(under_way) = self.transfers.now.take() else { return };
        match under_way.step {
            Step::Dialling(Parked { talking: Ok(talking), .. }) => self.let_go(talking.attempt, reason),
            Step::Leasing { attempt, .. } => self.reject(attempt, 487),
            Step::Accepting { attempt, .. } => self.let_go(attempt, reason),
            Step::Dialling(_) | Step::Referring { .. } | Step::Planning => {}
        }
    }

    fn begin(&mut self, mode: Mode, by_trunk: bool, destination: String, step: Step) {
        self.transfers.begun = self.transfers.begun.saturating_add(1);
        let under_way = UnderWay { mode, by_trunk, destination, fields: Vec::new(), step };
        self.transfers.now = Some(Box::new(under_way));
    }

    /// What the INVITE of a transfer says of where it comes from.
    fn add_fields(&mut self, replaces: Option<String>, referred_by: Option<String>) {
        let Some(under_way) = &mut self.transfers.now else { return };
        let fields = [("Replaces", replaces), ("Referred-By", referred_by)];
        let fields = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        under_way.fields.extend(fields);
    }

    /// The call has been handed over: says so.
    fn tell_transferred(&mut self, trunk: Option<String>) {
        let Some(under_way) = &self.transfers.now else { return };
        let fields = [
            ("mode", under_way.mode.word().into()),
            ("by", by(under_way.by_trunk).into()),
            ("destination", under_way.destination.clone().into()),
            ("trunk", trunk.into()),
        ];
        self.emit("call_transferred", fields);
    }

    /// It has not, and goes on as it was.
    fn transfer_failed(&mut self, reason: &'static str, status: Option<u16>) {
        let Some(under_way) = self.transfers.now.take() else { return };
        self.timers.stop(Timer::Transfer);
        let fields = [
            ("mode", under_way.mode.word().into()),
            ("by", by(under_way.by_trunk).into()),
            ("destination", under_way.destination.into()),
            ("reason", reason.into()),
            ("status", status.map_or(Value::Null, Value::from)),
        ];
        self.emit("call_transfer_failed", fields);
    }

    /// Where a call stands while somebody else is dialled for it.
    pub(super) fn transfer_phase(&self) -> Option<Phase> {
        self.has_parked().then_some(Phase::Talking)
    }
}

fn by(trunk: bool) -> &'static str {
    if trunk { "trunk" } else { "operator" }
}
