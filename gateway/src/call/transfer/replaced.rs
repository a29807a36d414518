//! An INVITE that takes the place of the trunk's leg (RFC 3891): somebody picks the call up elsewhere. The new leg gets
//! ports and an answer first; the old one stays until that is on its way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use trunkline_media::api::Command;
use trunkline_media::sdp::trunk::{self, LocalMedia, TrunkMedia};
use trunkline_signaling::endpoint::{LegId, TransferOrder};

use super::{MAX_TRANSFERS, Mode, STEP, Step};
use crate::call::holding::Offering;
use crate::call::input::{AttemptId, LeaseRefused, SipEvent};
use crate::call::stage::Talking;
use crate::call::timers::Timer;
use crate::call::{Call, Effect, Stage};
use crate::outcome::{Reason, RemoteHangup};
use crate::routing::Route;

/// What the new leg was answered with.
#[derive(Debug)]
pub(super) struct Taken {
    route: Arc<Route>,
    local: LocalMedia,
    media: TrunkMedia,
    call_id: String,
    /// Whose place it takes.
    old: AttemptId,
    /// It uses the ports of an INVITE that rings.
    early: bool,
}

impl Call {
    /// Somebody calls in the place of the leg of `attempt`.
    pub(super) fn replaced(
        &mut self,
        now: Instant,
        attempt: AttemptId,
        (leg, call_id): (LegId, Bytes),
        sdp: Option<Bytes>,
    ) {
        let new = self.next_attempt();
        self.effects.push_back(Effect::Adopt { attempt: new, leg });
        let Some((route, early)) = self.current(attempt) else { return self.reject(new, 481) };
        let trunk = route.trunk.clone();
        // An offer of our own would leave the visitor without anybody until it is answered.
        let Some(sdp) = sdp else { return self.reject(new, 488) };
        if !route.transfers || self.transfers.begun >= MAX_TRANSFERS {
            return self.reject(new, 603);
        }
        if self.is_transferring() {
            return self.reject(new, 486);
        }
        self.begin(
            Mode::Replace,
            true,
            route.destination.clone(),
            Step::Leasing { attempt: new, old: attempt, sdp, call_id: String::from_utf8_lossy(&call_id).into_owned() },
        );
        self.timers.set(Timer::Transfer, now + STEP);
        match early {
            Some(local) => self.accept_replacing(local),
            None => self.effects.push_back(Effect::LeaseSpare { attempt: new, trunk, last: None }),
        }
    }

    /// The route of the leg that talks or rings, and what we offered if it rings.
    fn current(&self, attempt: AttemptId) -> Option<(Arc<Route>, Option<LocalMedia>)> {
        if let Stage::Talking(talking) = &self.stage {
            return (talking.attempt == attempt).then(|| (Arc::clone(&talking.route), None));
        }
        let Stage::Inviting(inviting) = &self.stage else { return None };
        (inviting.attempt == attempt).then(|| (Arc::clone(&inviting.route), Some(inviting.local.clone())))
    }

    pub(super) fn is_replacing(&self, new: AttemptId) -> bool {
        match self.transfers.now.as_ref().map(|now| &now.step) {
            Some(Step::Leasing { attempt, .. } | Step::Accepting { attempt, .. }) => *attempt == new,
            Some(Step::Referring { .. } | Step::Planning | Step::Dialling(_)) | None => false,
        }
    }

    /// Ports for a new leg; `false` if they are for somebody else.
    pub(in crate::call) fn leased_for_replacing(
        &mut self,
        attempt: AttemptId,
        result: &Result<SocketAddr, LeaseRefused>,
    ) -> bool {
        let step = self.transfers.now.as_ref().map(|now| &now.step);
        if !matches!(step, Some(Step::Leasing { attempt: leasing, .. }) if *leasing == attempt) {
            return false;
        }
        let (Ok(leased), Stage::Talking(talking)) = (result, &self.stage) else {
            self.turn_away(503);
            return true;
        };
        // The trunk reaches us where it did.
        let address = SocketAddr::new(talking.local.address.ip(), leased.port());
        let (route, local) = (Arc::clone(&talking.route), talking.local.clone());
        let encryption = self.encryption(&route);
        self.accept_replacing(LocalMedia { address, version: 1, holding: false, encryption, ..local });
        true
    }

    fn accept_replacing(&mut self, local: LocalMedia) {
        let Some(Step::Leasing { attempt, old, call_id, .. }) = self.transfers.now.as_ref().map(|now| &now.step) else {
            return;
        };
        let (attempt, old, call_id) = (*attempt, *old, call_id.clone());
        let Some((route, ringing)) = self.current(old) else { return self.turn_away(481) };
        let early = ringing.is_some();
        let Some(Step::Leasing { sdp, .. }) = self.transfers.now.as_ref().map(|now| &now.step) else { return };
        match trunk::answer_offer(&local, sdp, route.rtp_source) {
            Ok((media, answer)) => {
                let taken = Box::new(Taken { route, local, media, call_id, old, early });
                if let Some(under_way) = &mut self.transfers.now {
                    under_way.step = Step::Accepting { attempt, taken };
                }
                self.effects.push_back(Effect::Transfer { attempt, order: TransferOrder::Accept(answer.into()) });
            }
            Err(_) => self.turn_away(488),
        }
    }

    /// The new leg says something before it has taken over.
    pub(super) fn replacing_event(&mut self, now: Instant, event: &SipEvent) {
        match event {
            SipEvent::Sent(_) => self.replace(now),
            SipEvent::NotSent(_)
            | SipEvent::Failed(_)
            | SipEvent::Ended { .. }
            | SipEvent::Cancelled { .. }
            | SipEvent::Lost { .. }
            | SipEvent::SessionExpired { .. } => self.turn_away(487),
            SipEvent::Trying
            | SipEvent::Provisional { .. }
            | SipEvent::Answered { .. }
            | SipEvent::Offer { .. }
            | SipEvent::OfferAnswered(_)
            | SipEvent::Transfer(_)
            | SipEvent::Confirmed { .. }
            | SipEvent::Digit { .. }
            | SipEvent::DigitsRefused { .. }
            | SipEvent::Traced(_) => {}
        }
    }

    /// Its answer is on its way.
    fn replace(&mut self, now: Instant) {
        let Some(Step::Accepting { attempt, taken }) = self.transfers.now.as_ref().map(|now| &now.step) else { return };
        let (attempt, old) = (*attempt, taken.old);
        if !self.is_current(old) {
            // What it was to replace came to nothing meanwhile.
            return self.turn_away(487);
        }
        self.timers.stop(Timer::Transfer);
        let trunk = taken.route.trunk.clone();
        self.tell_transferred(Some(trunk));
        let Some(Step::Accepting { taken, .. }) = self.transfers.now.take().map(|now| now.step) else { return };
        let Taken { route, local, media, call_id, early, .. } = *taken;
        self.notes.sip_call_id = Some(call_id);
        self.let_go(old, Reason::RemoteHangup(RemoteHangup::Operator));
        let talking = Talking { attempt, route, local, media, offering: Offering::default() };
        if matches!(self.stage, Stage::Inviting(_)) {
            self.media(Command::ConnectTrunk(talking.media.clone()));
            self.talk(now, talking);
        } else if early {
            // The INVITE it was to replace was answered meanwhile: they share their ports.
            self.media(Command::ConnectTrunk(talking.media.clone()));
            self.stage = Stage::Talking(talking);
        } else {
            self.swap(now, talking);
        }
        self.hold_visitor(false);
    }

    /// The new leg does not take over.
    pub(super) fn turn_away(&mut self, status: u16) {
        let early = match self.transfers.now.as_ref().map(|now| &now.step) {
            Some(Step::Leasing { attempt, .. }) => {
                let attempt = *attempt;
                self.reject(attempt, status);
                matches!(self.stage, Stage::Inviting(_))
            }
            // It may have its answer already.
            Some(Step::Accepting { attempt, taken }) => {
                let (attempt, early) = (*attempt, taken.early);
                self.let_go(attempt, Reason::RemoteHangup(RemoteHangup::Operator));
                early
            }
            Some(Step::Referring { .. } | Step::Planning | Step::Dialling(_)) | None => return,
        };
        if !early {
            self.media(Command::ReleaseSpare);
        }
        self.transfer_failed("refused", Some(status));
    }

    pub(super) fn reject(&mut self, attempt: AttemptId, status: u16) {
        self.effects.push_back(Effect::Transfer { attempt, order: TransferOrder::Reject(status) });
    }
}
