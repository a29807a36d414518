//! Somebody else is dialled as the first one was, while the trunk's leg waits; its place is taken when he answers, or it
//! is taken up again when nobody does.

use std::sync::Arc;
use std::time::Instant;

use serde_json::Map;
use trunkline_media::api::{Command, Leg};
use trunkline_media::sdp::trunk::{LocalMedia, TrunkMedia};
use trunkline_signaling::endpoint::TransferOrder;

use super::{Parked, Step};
use crate::call::holding::Offering;
use crate::call::input::{AttemptId, SipEvent};
use crate::call::stage::Talking;
use crate::call::timers::Timer;
use crate::call::{Call, Effect, Stage};
use crate::outcome::{LastSip, Phase, Reason, RemoteHangup, table};
use crate::routing::{Planned, Route};

impl Call {
    /// Dials, with the trunk's leg parked. The visitor hears what a held leg hears.
    pub(super) fn bridge(&mut self, now: Instant, plan: Vec<Planned>) {
        if !matches!(self.stage, Stage::Talking(_)) {
            // Nobody is there to be handed over.
            self.transfers.now = None;
            return;
        }
        let Some(under_way) = &mut self.transfers.now else { return };
        let Stage::Talking(talking) = std::mem::replace(&mut self.stage, Stage::Idle) else { return };
        let (talking, noted) = (Ok(Box::new(talking)), self.notes.leg());
        under_way.step = Step::Dialling(Parked { talking, noted, farewell: Map::new() });
        self.timers.stop(Timer::Transfer);
        self.timers.stop(Timer::OfferAgain);
        self.hold_visitor(true);
        self.plan = plan.into();
        self.next_destination(now);
    }

    /// Whether somebody is dialled beside a leg that waits, or would.
    pub(in crate::call) fn has_parked(&self) -> bool {
        self.parked().is_some()
    }

    /// The route of the leg that waits, while it is there.
    pub(in crate::call) fn parked_route(&self) -> Option<&Arc<Route>> {
        self.parked()?.talking.as_ref().ok().map(|talking| &talking.route)
    }

    pub(super) fn is_parked(&self, attempt: AttemptId) -> bool {
        self.parked().is_some_and(|parked| parked.talking.as_ref().is_ok_and(|talking| talking.attempt == attempt))
    }

    fn parked(&self) -> Option<&Parked> {
        match &self.transfers.now.as_ref()?.step {
            Step::Dialling(parked) => Some(parked),
            Step::Referring { .. } | Step::Planning | Step::Leasing { .. } | Step::Accepting { .. } => None,
        }
    }

    fn parked_mut(&mut self) -> Option<&mut Parked> {
        match &mut self.transfers.now.as_mut()?.step {
            Step::Dialling(parked) => Some(parked),
            Step::Referring { .. } | Step::Planning | Step::Leasing { .. } | Step::Accepting { .. } => None,
        }
    }

    /// Ports for whoever is dialled.
    pub(in crate::call) fn lease_ports(&mut self, attempt: AttemptId, trunk: String, last: bool) {
        let beside = self.has_parked();
        self.effects.push_back(if beside {
            Effect::LeaseSpare { attempt, trunk, last: Some(last) }
        } else {
            Effect::LeaseTrunk { attempt, trunk, last }
        });
    }

    /// Those of one who did not answer.
    pub(in crate::call) fn release_ports(&mut self) {
        let beside = self.has_parked();
        self.media(if beside { Command::ReleaseSpare } else { Command::ReleaseTrunk });
    }

    /// Header fields of an INVITE that a transfer sends.
    pub(in crate::call) fn transfer_fields(&self) -> &[(String, String)] {
        self.transfers.now.as_ref().map_or(&[], |now| &now.fields)
    }

    /// It rings at whoever is dialled: news for the trunk that asked for it.
    pub(in crate::call) fn report_ringing(&mut self, status: u16) {
        self.report(status);
    }

    fn report(&mut self, status: u16) {
        let Some(under_way) = self.transfers.now.as_ref().filter(|now| now.by_trunk) else { return };
        if let Step::Dialling(Parked { talking: Ok(talking), .. }) = &under_way.step {
            let attempt = talking.attempt;
            self.effects.push_back(Effect::Transfer { attempt, order: TransferOrder::Report(status) });
        }
    }

    /// Whoever was dialled has answered and takes the trunk's place; `false` if nobody's is to be taken.
    pub(in crate::call) fn take_over(
        &mut self,
        now: Instant,
        attempt: AttemptId,
        (route, local): (&Arc<Route>, &LocalMedia),
        media: &TrunkMedia,
    ) -> bool {
        if !self.has_parked() {
            return false;
        }
        self.timers.stop(Timer::Ring);
        self.notes.concluded(Some(200), None);
        let old = match self.transfers.now.as_ref().map(|now| &now.step) {
            Some(Step::Dialling(Parked { talking: Ok(talking), .. })) => Some(talking.attempt),
            Some(_) | None => None,
        };
        self.swap(
            now,
            Talking {
                attempt,
                route: Arc::clone(route),
                local: local.clone(),
                media: media.clone(),
                offering: Offering::default(),
            },
        );
        let by_trunk = self.transfers.now.as_ref().is_some_and(|now| now.by_trunk);
        match old {
            Some(attempt) if by_trunk => {
                let reason = table::reason_header(Reason::RemoteHangup(RemoteHangup::Operator));
                self.effects.push_back(Effect::Transfer { attempt, order: TransferOrder::Finish(reason) });
            }
            Some(attempt) => self.let_go(attempt, Reason::RemoteHangup(RemoteHangup::Operator)),
            None => {}
        }
        self.hold_visitor(false);
        self.tell_transferred(Some(route.trunk.clone()));
        self.transfers.now = None;
        self.tell_reconnecting(now);
        true
    }

    /// The leg that talks is another one.
    pub(super) fn swap(&mut self, now: Instant, talking: Talking) {
        self.stop_speaking(now, Leg::Trunk);
        self.held.trunk = false;
        self.plan.clear();
        self.notes.agreed(&talking.media);
        self.media(Command::SwapTrunk(talking.media.clone()));
        self.media(Command::Answered);
        self.stage = Stage::Talking(talking);
    }

    /// Nobody answered. The trunk's leg is taken up again; if it is gone, so is the call. `false`: this is no transfer.
    pub(in crate::call) fn give_back(&mut self, now: Instant) -> bool {
        if !self.has_parked() {
            return false;
        }
        let reason = self.last_failure.take().map_or(Reason::DestNoAnswer, |(reason, _)| reason);
        let status = self.notes.last_status().filter(|status| *status >= 300);
        let unanswered = matches!(reason, Reason::DestNoAnswer | Reason::DestTimeout(_));
        let otherwise = if unanswered { 480 } else { 503 };
        let otherwise = if reason == Reason::DestNotFound { 404 } else { otherwise };
        self.report(status.unwrap_or(otherwise));
        let (noted, farewell) = match self.parked_mut() {
            Some(parked) => (parked.noted.clone(), std::mem::take(&mut parked.farewell)),
            None => return false,
        };
        let talking = match self.parked_mut().map(|parked| std::mem::replace(&mut parked.talking, Err(reason))) {
            Some(Ok(talking)) => talking,
            Some(Err(gone)) => {
                self.notes.add_evidence(farewell);
                self.notes.evidence("transfer_failed", reason.word());
                self.transfers.now = None;
                self.finish_in(now, gone, Phase::Talking);
                return true;
            }
            None => return false,
        };
        self.notes.restore_leg(noted);
        self.stage = Stage::Talking(*talking);
        self.hold_visitor(false);
        self.transfer_failed(reason.word(), status);
        self.offer_hold();
        self.advance(now, Leg::Trunk);
        self.tell_reconnecting(now);
        true
    }

    /// The leg that waits says something. Its new offers are taken as ever; its end is not that of the visitor.
    pub(super) fn parked_event(&mut self, now: Instant, event: SipEvent) {
        // How this leg went says nothing of the call's end, unless nobody takes its place.
        let earlier = self.notes.swap_evidence(Map::new());
        let gone = match &event {
            SipEvent::Ended { reason } | SipEvent::Cancelled { reason } => {
                self.notes.last_sip = Some(LastSip { message: "BYE", code: None });
                self.notes.evidence("hung_up_by", "sip");
                if let Some(reason) = reason {
                    self.notes.received_reason(reason);
                }
                Some(Reason::RemoteHangup(RemoteHangup::Bye))
            }
            SipEvent::Lost { status: Some(status) } => {
                self.notes.evidence("status", *status);
                self.notes.evidence("sip_side", "no_answer");
                Some(Reason::TrunkLost)
            }
            SipEvent::Lost { status: None } | SipEvent::Failed(_) | SipEvent::NotSent(_) => {
                self.notes.evidence("sip_side", "no_answer");
                Some(Reason::SipTransportLost)
            }
            SipEvent::SessionExpired { interval, refresher_is_us, since } => {
                self.notes.evidence("session_interval_seconds", interval.as_secs());
                self.notes.evidence("session_refresher", if *refresher_is_us { "gateway" } else { "trunk" });
                self.notes.evidence("session_refresh_age_seconds", since.as_secs());
                Some(Reason::SessionTimerExpired)
            }
            SipEvent::Sent(_)
            | SipEvent::Trying
            | SipEvent::Provisional { .. }
            | SipEvent::Answered { .. }
            | SipEvent::Offer { .. }
            | SipEvent::OfferAnswered(_)
            | SipEvent::Transfer(_)
            | SipEvent::Confirmed { .. }
            | SipEvent::Digit { .. }
            | SipEvent::DigitsRefused { .. }
            | SipEvent::Traced(_) => None,
        };
        let farewell = self.notes.swap_evidence(earlier);
        if let Some(gone) = gone {
            if let Some(parked) = self.parked_mut() {
                (parked.talking, parked.farewell) = (Err(gone), farewell);
            }
            return self.media(Command::ReleaseTrunk);
        }
        let Some(Ok(talking)) =
            self.parked_mut().map(|parked| std::mem::replace(&mut parked.talking, Err(Reason::InternalError)))
        else {
            return;
        };
        let dialling = std::mem::replace(&mut self.stage, Stage::Talking(*talking));
        self.handle_sip_talking(now, event);
        if let Stage::Talking(talking) = std::mem::replace(&mut self.stage, dialling)
            && let Some(parked) = self.parked_mut()
        {
            parked.talking = Ok(Box::new(talking));
        }
    }

    /// The SIP side of this node is gone, and both legs with it; `false` if nobody is dialled beside one.
    pub(in crate::call) fn lose_both(&mut self, now: Instant) -> bool {
        if !self.has_parked() {
            return false;
        }
        self.transfers.now = None;
        self.notes.evidence("sip_side", "gone");
        self.stage = Stage::Idle;
        self.finish_in(now, Reason::SipTransportLost, Phase::Talking);
        true
    }

    pub(super) fn let_go(&mut self, attempt: AttemptId, reason: Reason) {
        self.effects.push_back(Effect::Hangup { attempt, reason: table::reason_header(reason) });
    }
}
