//! What the peer offers after the call began, or with its answer to our INVITE: re-INVITE (RFC 3261 section 14), UPDATE (RFC
//! 3311), PRACK and delayed offers.

use std::time::Instant;

use bytes::Bytes;

use super::ack::send_ack;
use super::compose;
use super::core::Core;
use super::early::send_prack;
use super::incoming::{Answering, respond, send_2xx};
use super::leg::{By, Cancel, Leg, LegTimer, Ours, Stage, Theirs, Up};
use super::outgoing::send_cancel;
use super::refresh;
use super::transactions::{TxId, User};
use super::{Endpoint, Event, Failure, Fork, LegId, NoSuchLeg, Reason, lost, ours};
use crate::message::{Method, Request, Response};

/// What is to be done with the peer's offer.
enum Verdict {
    /// Ask the caller of the endpoint.
    Ask,
    /// An UPDATE without an offer: nothing but a new target.
    Refresh,
    /// Glare.
    Pending,
    /// One after the other.
    TooEarly,
}

impl Endpoint {
    /// A re-INVITE or UPDATE came; its transaction has begun.
    pub(super) fn handle_modification(&mut self, now: Instant, tx: TxId, id: LegId, request: Request) {
        let Self { core, legs, .. } = self;
        let Some(leg) = legs.get_mut(&id) else { return };
        let sdp = compose::sdp_of(&request.headers, &request.body);
        let is_invite = request.method == Method::Invite;
        let fork = sender_of(&request);
        match judge(leg, &fork, is_invite, sdp.is_some()) {
            Verdict::Refresh => {
                self.accept_refresh(now, tx, id, &request);
            }
            Verdict::Pending => {
                core.answer(now, tx, Response::to_request(&request, 491, None));
            }
            Verdict::TooEarly => core.answer_too_early(now, tx, &request),
            Verdict::Ask => {
                if is_invite {
                    core.answer(now, tx, Response::to_request(&request, 100, None));
                }
                self.confirm_by_request(now, id);
                let Self { core, legs, .. } = self;
                let Some(leg) = legs.get_mut(&id) else { return };
                ours::give_way(core, now, leg);
                leg.theirs = Theirs::Pending { tx, request: Box::new(request) };
                leg.deadlines.set(LegTimer::OfferUnanswered, now + core.config.timers.patience() / 2);
                core.event(Event::Offer { leg: id, fork, sdp });
                self.reschedule_leg(id);
            }
        }
    }

    pub(super) fn answer_theirs(
        &mut self,
        now: Instant,
        id: LegId,
        answer: Result<Bytes, u16>,
    ) -> Result<(), NoSuchLeg> {
        let leg = self.legs.get_mut(&id).filter(|leg| !leg.theirs.is_none()).ok_or(NoSuchLeg)?;
        match answer {
            Ok(sdp) => {
                leg.deadlines.stop(LegTimer::OfferUnanswered);
                let theirs = std::mem::replace(&mut leg.theirs, Theirs::None);
                self.take_theirs(now, id, theirs, sdp);
            }
            Err(status) => {
                let status = if (300..=699).contains(&status) { status } else { 500 };
                self.refuse_theirs(now, id, status);
            }
        }
        self.try_waiting_offer(now, id);
        self.go_on_answering(now, id);
        self.reschedule_leg(id);
        Ok(())
    }

    fn take_theirs(&mut self, now: Instant, id: LegId, theirs: Theirs, sdp: Bytes) {
        let Self { core, legs, .. } = self;
        let Some(leg) = legs.get_mut(&id) else { return };
        match theirs {
            Theirs::None => {}
            Theirs::Pending { tx, request } => take_request(core, now, leg, tx, &request, sdp),
            Theirs::InProvisional { fork, rack } => {
                leg.stage.set_local(&fork, sdp.clone());
                send_prack(core, now, leg, &fork, rack, sdp);
            }
            Theirs::InAnswer { tx, fork } => {
                leg.stage.set_local(&fork, sdp.clone());
                acknowledge_first(core, tx, leg, sdp);
                core.event(Event::Answered { leg: id, fork, sdp: None });
            }
        }
    }

    fn refuse_theirs(&mut self, now: Instant, id: LegId, status: u16) {
        let Self { core, legs, .. } = self;
        let Some(leg) = legs.get_mut(&id) else { return };
        let failure = Failure::Rejected { status, phrase: String::new(), reason: None, retry_after: None };
        let reason = Reason { protocol: "SIP".to_owned(), cause: status, text: None };
        match &leg.theirs {
            Theirs::InProvisional { .. } => {
                leg.theirs = Theirs::None;
                leg.deadlines.stop(LegTimer::OfferUnanswered);
                if let Stage::Outgoing(outgoing) = &mut leg.stage {
                    send_cancel(core, now, outgoing.tx, Some(&reason));
                    outgoing.cancel = Cancel::Sent(failure, Some(reason));
                }
            }
            Theirs::InAnswer { .. } => {
                self.close(now, id, Some(reason));
                self.core.event(Event::Failed { leg: id, failure });
            }
            Theirs::Pending { .. } | Theirs::None => {
                withdraw(core, now, leg, status);
            }
        }
    }
}

/// Whether an offer of the peer can be taken up now.
fn judge(leg: &Leg, fork: &Fork, is_invite: bool, has_sdp: bool) -> Verdict {
    let is_agreed = match &leg.stage {
        Stage::Up(up) => return judge_answered(leg, up, is_invite, has_sdp),
        Stage::Closing { .. } | Stage::Closed => return Verdict::TooEarly,
        Stage::Outgoing(_) | Stage::Incoming(_) if !is_invite && !has_sdp => return Verdict::Refresh,
        // Our offer is not answered yet (RFC 3311 section 5.2), and the INVITE is under way.
        Stage::Outgoing(_) if is_invite => return Verdict::Pending,
        Stage::Incoming(_) if is_invite => return Verdict::TooEarly,
        Stage::Outgoing(outgoing) => outgoing.early.iter().any(|early| early.is_with(fork) && early.is_agreed),
        Stage::Incoming(incoming) => {
            if !incoming.provisionals.is_agreed && !incoming.provisionals.is_offering() {
                // The peer's own offer is not answered yet.
                return Verdict::TooEarly;
            }
            incoming.provisionals.is_agreed
        }
    };
    if !is_agreed || matches!(leg.ours, Ours::Sent { .. }) {
        Verdict::Pending
    } else if leg.theirs.is_none() {
        Verdict::Ask
    } else {
        Verdict::TooEarly
    }
}

fn judge_answered(leg: &Leg, up: &Up, is_invite: bool, has_sdp: bool) -> Verdict {
    if !is_invite && !has_sdp {
        Verdict::Refresh
    } else if matches!(leg.ours, Ours::Sent { .. }) {
        Verdict::Pending
    } else if !leg.theirs.is_none() {
        Verdict::TooEarly
    } else if up.unacked.as_ref().is_some_and(|unacked| unacked.offers) {
        // The ACK for our last 2xx brings an answer, and is lost or late.
        Verdict::Pending
    } else if up.hangup.is_some() {
        Verdict::TooEarly
    } else {
        Verdict::Ask
    }
}

/// Who sent a request inside a dialog.
pub(super) fn sender_of(request: &Request) -> Fork {
    Fork(request.headers.from().ok().and_then(|from| from.tag().cloned()).unwrap_or_default())
}

/// Whoever did not answer the call is forgotten, with what it offered and was offered.
pub(super) fn forget_other_forks(core: &mut Core, now: Instant, leg: &mut Leg, winner: &Fork) {
    let is_over = match &leg.theirs {
        Theirs::Pending { request, .. } => sender_of(request) != *winner,
        // Its PRACK was not waited for: what counts is in the 2xx.
        Theirs::InProvisional { .. } => true,
        Theirs::InAnswer { .. } | Theirs::None => false,
    };
    if is_over {
        withdraw(core, now, leg, 487);
    }
    if let Ours::Sent { offer, .. } | Ours::Waiting(offer) = &leg.ours
        && offer.by != By::Update(winner.clone())
    {
        leg.ours = Ours::None;
    }
}

/// Whether a 2xx is the one that brought an offer which nobody here has answered yet.
pub(super) fn waits_for_ack(leg: &Leg, response: &Response) -> bool {
    matches!(&leg.theirs, Theirs::InAnswer { fork, .. } if *fork == Fork::of(response))
}

/// The transaction of the peer's offer that nobody answered yet.
pub(super) fn pending(leg: &Leg) -> Option<TxId> {
    match &leg.theirs {
        Theirs::Pending { tx, .. } => Some(*tx),
        Theirs::InProvisional { .. } | Theirs::InAnswer { .. } | Theirs::None => None,
    }
}

/// Refuses the peer's offer, or lets go of it; a 2xx that brought one is acknowledged all the same.
pub(super) fn withdraw(core: &mut Core, now: Instant, leg: &mut Leg, status: u16) {
    match std::mem::replace(&mut leg.theirs, Theirs::None) {
        Theirs::Pending { tx, request } => {
            let mut response = Response::to_request(&request, status, None);
            compose::push_warning(&mut response, &core.config.domain);
            core.answer(now, tx, response);
        }
        Theirs::InAnswer { tx, .. } => acknowledge_first(core, tx, leg, Bytes::new()),
        Theirs::InProvisional { .. } => {}
        Theirs::None => return,
    }
    leg.deadlines.stop(LegTimer::OfferUnanswered);
}

/// Answers an offer in a request.
fn take_request(core: &mut Core, now: Instant, leg: &mut Leg, tx: TxId, request: &Request, sdp: Bytes) {
    let Leg { stage, deadlines, dialog_id, wish, peer, label, id, .. } = leg;
    stage.set_local(&sender_of(request), sdp.clone());
    let Stage::Up(up) = stage else {
        // An UPDATE or PRACK in an early dialog.
        if let Some(dialog) = stage.dialog_with(&sender_of(request)).filter(|_| request.method == Method::Update) {
            dialog.refresh_target(&request.headers);
        }
        let mut response = respond(core, request, 200, &dialog_id.local_tag);
        compose::push_sdp(&mut response.headers, &mut response.body, sdp);
        core.answer(now, tx, response);
        return;
    };
    lost::refresh_target(core, now, (*id, peer, label), up, &request.headers);
    if request.method == Method::Invite {
        let answering = Answering { tag: &dialog_id.local_tag, wish, deadlines, session: &mut up.session };
        up.unacked = send_2xx(core, now, answering, tx, request, sdp);
    } else {
        let mut response = respond(core, request, 200, &dialog_id.local_tag);
        refresh::accept(now, wish, &mut up.session, deadlines, request, &mut response);
        compose::push_sdp(&mut response.headers, &mut response.body, sdp);
        core.answer(now, tx, response);
    }
}

/// The ACK for the 2xx to our INVITE without an offer: with our answer.
fn acknowledge_first(core: &mut Core, tx: TxId, leg: &Leg, sdp: Bytes) {
    let Leg { stage: Stage::Up(up), peer, .. } = leg else { return };
    let Some(User::Invite(sent)) = core.transactions.client(tx).map(|transaction| &transaction.user) else { return };
    let mut ack = up.dialog.ack(sent.request.headers.cseq().map_or(0, |cseq| cseq.number));
    let to = peer.next_hop(&up.dialog);
    if peer.may_authorize(to) {
        compose::copy_credentials(&sent.request, &mut ack);
    }
    compose::push_sdp(&mut ack.headers, &mut ack.body, sdp);
    send_ack(core, tx, up.dialog.remote_tag().cloned(), to, ack);
}
