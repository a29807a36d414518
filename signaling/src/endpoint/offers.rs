//! Changing a call: re-INVITE (RFC 3261 section 14), UPDATE (RFC 3311), and what happens when both ends want to.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::compose;
use super::core::Core;
use super::incoming::{Answering, respond, send_2xx};
use super::leg::{Leg, LegTimer, Ours, Stage, Theirs, Up};
use super::outgoing::{MAX_CHALLENGES, repeat_ack, send_ack};
use super::refresh;
use super::transactions::{MAX_FORKS, SentInvite, TxId, User};
use super::{Endpoint, Event, Fork, LegId, NoSuchLeg, lost};
use crate::message::{Method, Request, Response};
use crate::transaction::Fault;

/// Times a re-INVITE is tried again after 491.
const MAX_GLARES: u8 = 8;

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
        let fork = Fork(request.headers.from().ok().and_then(|from| from.tag().cloned()).unwrap_or_default());
        match judge(&leg.stage, is_invite, sdp.is_some()) {
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
                if let Stage::Up(up) = &mut leg.stage {
                    up.theirs = Theirs::Pending { tx, request: Box::new(request) };
                }
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
        let Self { core, legs, .. } = self;
        let Some(leg) = legs.get_mut(&id) else { return Err(NoSuchLeg) };
        let sdp = match answer {
            Ok(sdp) => sdp,
            Err(status) => {
                let status = if (300..=699).contains(&status) { status } else { 500 };
                let withdrawn = withdraw(core, now, leg, status);
                self.try_waiting_offer(now, id);
                self.reschedule_leg(id);
                return if withdrawn { Ok(()) } else { Err(NoSuchLeg) };
            }
        };
        let Leg { stage: Stage::Up(up), deadlines, dialog_id, wish, peer, label, .. } = leg else {
            return Err(NoSuchLeg);
        };
        let Theirs::Pending { tx, request } = std::mem::replace(&mut up.theirs, Theirs::None) else {
            return Err(NoSuchLeg);
        };
        deadlines.stop(LegTimer::OfferUnanswered);
        lost::refresh_target(core, now, (id, peer, label), up, &request.headers);
        up.local_sdp = Some(sdp.clone());
        if request.method == Method::Invite {
            let answering = Answering { tag: &dialog_id.local_tag, wish, deadlines, session: &mut up.session };
            up.unacked = send_2xx(core, now, answering, tx, &request, sdp);
        } else {
            let mut response = respond(core, &request, 200, &dialog_id.local_tag);
            refresh::accept(now, wish, &mut up.session, deadlines, &request, &mut response);
            compose::push_sdp(&mut response.headers, &mut response.body, sdp);
            core.answer(now, tx, response);
            self.try_waiting_offer(now, id);
        }
        self.reschedule_leg(id);
        Ok(())
    }

    /// Our own offer.
    pub(super) fn offer(&mut self, now: Instant, id: LegId, sdp: Bytes) -> Result<(), NoSuchLeg> {
        let Some(Leg { stage: Stage::Up(up), .. }) = self.legs.get_mut(&id) else { return Err(NoSuchLeg) };
        if !matches!(up.ours, Ours::None) || up.hangup.is_some() {
            return Err(NoSuchLeg);
        }
        up.ours = Ours::Waiting { sdp, glares: 0, is_refresh: false };
        self.try_waiting_offer(now, id);
        Ok(())
    }

    /// Sends the offer that waits, unless it has to wait longer: for its timer, or because an INVITE of the peer is
    /// under way (section 14.1).
    pub(super) fn try_waiting_offer(&mut self, now: Instant, id: LegId) {
        let Self { core, legs, .. } = self;
        let Some(leg) = legs.get_mut(&id) else { return };
        let Stage::Up(up) = &mut leg.stage else { return };
        let is_timed = leg.deadlines.is_set(LegTimer::Glare);
        let is_busy = up.unacked.is_some() || matches!(up.theirs, Theirs::Pending { .. });
        let Ours::Waiting { sdp, glares, is_refresh } = &up.ours else { return };
        if !is_timed && !is_busy && up.hangup.is_none() {
            let attempt = Attempt { sdp: sdp.clone(), challenges: 0, glares: *glares, is_refresh: *is_refresh };
            send_reinvite(core, now, leg, attempt);
        }
    }

    pub(super) fn handle_reinvite_response(&mut self, now: Instant, tx: TxId, id: LegId, response: &Response) {
        let status = response.status;
        if status < 200 {
            return;
        }
        let Self { core, legs, .. } = self;
        if status < 300 && repeat_ack(core, tx, response) {
            return;
        }
        let Some(leg) = legs.get_mut(&id).filter(|leg| is_waiting_for(&leg.stage, tx)) else {
            return acknowledge_alone(core, tx, response);
        };
        let Stage::Up(up) = &mut leg.stage else { return };
        let Ours::Sent { sdp, challenges, glares, is_refresh, .. } = std::mem::replace(&mut up.ours, Ours::None) else {
            return;
        };
        match status {
            ..=299 => {
                up.local_sdp = Some(sdp);
                if let Some(auth) = &mut leg.auth {
                    auth.learn(&response.headers);
                }
                acknowledge(core, now, tx, leg, response);
                refresh::agree(now, leg, &response.headers);
                let answer = compose::sdp_of(&response.headers, &response.body);
                if !is_refresh || answer.is_some() {
                    core.event(Event::OfferAnswered { leg: id, result: answer.ok_or(488) });
                }
                self.reschedule_leg(id);
            }
            491 if glares < MAX_GLARES => {
                let delay = glare_delay(core, up.is_caller);
                up.ours = Ours::Waiting { sdp, glares: glares + 1, is_refresh };
                leg.deadlines.set(LegTimer::Glare, now + delay);
                self.reschedule_leg(id);
            }
            401 | 407 if challenges < MAX_CHALLENGES && is_answered(leg, response) => {
                send_reinvite(core, now, leg, Attempt { sdp, challenges: challenges + 1, glares, is_refresh });
            }
            422 if challenges < MAX_CHALLENGES && leg.wish.obey(response) => {
                send_reinvite(core, now, leg, Attempt { sdp, challenges: challenges + 1, glares, is_refresh });
            }
            481 => self.lose(now, id, Some(status), true),
            408 => self.lose(now, id, Some(status), false),
            300.. if is_refresh => {
                self.refresh_later(now, id);
                self.reschedule_leg(id);
            }
            300.. => core.event(Event::OfferAnswered { leg: id, result: Err(status) }),
        }
    }

    pub(super) fn handle_reinvite_fault(&mut self, now: Instant, tx: TxId, id: LegId, fault: Fault) {
        let Some(leg) = self.legs.get_mut(&id).filter(|leg| is_waiting_for(&leg.stage, tx)) else { return };
        if let Stage::Up(up) = &mut leg.stage
            && matches!(up.ours, Ours::Sent { is_refresh: true, .. })
        {
            up.ours = Ours::None;
            self.refresh_later(now, id);
            return self.reschedule_leg(id);
        }
        match fault {
            Fault::Timeout | Fault::NoFinal => self.lose(now, id, None, false),
            Fault::Transport => {
                if let Stage::Up(up) = &mut leg.stage {
                    up.ours = Ours::None;
                }
                self.core.event(Event::OfferAnswered { leg: id, result: Err(503) });
            }
        }
    }
}

/// Whether an offer of the peer can be taken up now.
fn judge(stage: &Stage, is_invite: bool, has_sdp: bool) -> Verdict {
    match stage {
        Stage::Up(up) => judge_answered(up, is_invite, has_sdp),
        // Our offer is not answered yet (RFC 3311 section 5.2).
        Stage::Outgoing(_) if is_invite || has_sdp => Verdict::Pending,
        // The peer's own offer is not answered yet.
        Stage::Incoming(_) if is_invite || has_sdp => Verdict::TooEarly,
        Stage::Outgoing(_) | Stage::Incoming(_) => Verdict::Refresh,
        Stage::Closing { .. } | Stage::Closed => Verdict::TooEarly,
    }
}

fn judge_answered(up: &Up, is_invite: bool, has_sdp: bool) -> Verdict {
    let is_theirs_pending = matches!(up.theirs, Theirs::Pending { .. });
    if !is_invite && !has_sdp {
        Verdict::Refresh
    } else if matches!(up.ours, Ours::Sent { .. }) {
        Verdict::Pending
    } else if is_theirs_pending {
        Verdict::TooEarly
    } else if up.unacked.as_ref().is_some_and(|unacked| is_invite || unacked.offers) {
        // The ACK for our last 2xx is lost or late; it may bring an answer.
        Verdict::Pending
    } else if up.hangup.is_some() {
        Verdict::TooEarly
    } else {
        Verdict::Ask
    }
}

/// The transaction of the peer's offer that nobody answered yet.
pub(super) fn pending(leg: &Leg) -> Option<TxId> {
    let Stage::Up(up) = &leg.stage else { return None };
    match &up.theirs {
        Theirs::Pending { tx, .. } => Some(*tx),
        Theirs::None => None,
    }
}

/// Refuses the peer's offer. `false` if there is none.
pub(super) fn withdraw(core: &mut Core, now: Instant, leg: &mut Leg, status: u16) -> bool {
    let Leg { stage: Stage::Up(up), deadlines, .. } = leg else { return false };
    let Theirs::Pending { tx, request } = std::mem::replace(&mut up.theirs, Theirs::None) else { return false };
    deadlines.stop(LegTimer::OfferUnanswered);
    core.answer(now, tx, Response::to_request(&request, status, None));
    true
}

fn is_waiting_for(stage: &Stage, invite: TxId) -> bool {
    match stage {
        Stage::Up(up) => matches!(up.ours, Ours::Sent { tx, .. } if tx == invite),
        Stage::Outgoing(_) | Stage::Incoming(_) | Stage::Closing { .. } | Stage::Closed => false,
    }
}

fn is_answered(leg: &mut Leg, response: &Response) -> bool {
    let auth = leg.auth.as_mut();
    auth.is_some_and(|auth| auth.handle_challenge(&response.headers, response.status == 407).is_ok())
}

/// How long to wait after glare: whoever made the Call-ID comes second.
pub(super) fn glare_delay(core: &mut Core, is_caller: bool) -> Duration {
    if is_caller { Duration::from_millis(2100) + core.random_delay(190) } else { core.random_delay(200) }
}

/// One re-INVITE: what it offers, and what its forerunners met with.
struct Attempt {
    sdp: Bytes,
    challenges: u8,
    glares: u8,
    is_refresh: bool,
}

fn send_reinvite(core: &mut Core, now: Instant, leg: &mut Leg, attempt: Attempt) {
    let Attempt { sdp, challenges, glares, is_refresh } = attempt;
    let Leg { stage: Stage::Up(up), peer, auth, id, wish, .. } = leg else { return };
    let to = peer.next_hop(&up.dialog);
    let mut request = up.dialog.request(Method::Invite);
    compose::push_abilities(&mut request.headers, core.config.advertised);
    refresh::push_request(&mut request.headers, wish, up.session.as_ref());
    compose::push_sdp(&mut request.headers, &mut request.body, sdp.clone());
    if let Some(auth) = auth.as_mut().filter(|_| peer.may_authorize(to)) {
        let uri = request.uri.to_string();
        auth.authorize(&Method::Invite, &uri, &request.body.clone(), &mut request.headers);
    }
    let leg = *id;
    let tx = core.send_invite(now, leg, request, to, |request| {
        User::Invite(Box::new(SentInvite { leg, again: true, request, acks: Vec::new() }))
    });
    up.ours = Ours::Sent { tx, sdp, challenges, glares, is_refresh };
}

/// The ACK for the 2xx to our re-INVITE.
fn acknowledge(core: &mut Core, now: Instant, tx: TxId, leg: &mut Leg, response: &Response) {
    let Leg { stage: Stage::Up(up), peer, label, id, .. } = leg else { return };
    lost::refresh_target(core, now, (*id, peer, label), up, &response.headers);
    let cseq = response.headers.cseq().map_or(0, |cseq| cseq.number);
    let mut ack = up.dialog.ack(cseq);
    let to = peer.next_hop(&up.dialog);
    if let Some(User::Invite(sent)) = core.transactions.client(tx).map(|transaction| &transaction.user)
        && peer.may_authorize(to)
    {
        compose::copy_credentials(&sent.request, &mut ack);
    }
    send_ack(core, tx, up.dialog.remote_tag().cloned(), to, ack);
}

/// The same when the leg is gone meanwhile: the 2xx must not be repeated for ever.
fn acknowledge_alone(core: &mut Core, tx: TxId, response: &Response) {
    if response.status >= 300 {
        return;
    }
    let Some(transaction) = core.transactions.client(tx) else { return };
    let User::Invite(sent) = &transaction.user else { return };
    // Nothing forks inside a dialog; whoever makes up tags gets only so many ACKs for it.
    if sent.acks.len() >= MAX_FORKS {
        return;
    }
    let (to, ack) = (transaction.to, compose::ack_without_dialog(&sent.request));
    let tag = response.headers.to().ok().and_then(|to| to.tag().cloned());
    send_ack(core, tx, tag, to, ack);
}
