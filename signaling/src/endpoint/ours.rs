//! Offers of ours after the first: by re-INVITE (RFC 3261 section 14.1) or UPDATE (RFC 3311), and what happens when both
//! ends want to.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::ack::{repeat_ack, send_ack};
use super::compose;
use super::core::Core;
use super::leg::{By, Cancel, Leg, LegTimer, Offer, Ours, Stage};
use super::outgoing::MAX_CHALLENGES;
use super::refresh;
use super::transactions::{MAX_FORKS, SentInvite, TxId, User};
use super::{Endpoint, Event, Fork, LegId, NoSuchLeg, lost};
use crate::message::{Method, Response};
use crate::transaction::Fault;

/// Longest Retry-After of a 500 that is waited for, seconds.
const MAX_WAIT: u32 = 10;
/// Times an offer is made again after 491.
const MAX_GLARES: u8 = 8;

impl Endpoint {
    /// Our own offer, by re-INVITE.
    pub(super) fn offer(&mut self, now: Instant, id: LegId, sdp: Bytes) -> Result<(), NoSuchLeg> {
        let leg = self.legs.get_mut(&id).ok_or(NoSuchLeg)?;
        let is_free = matches!(&leg.stage, Stage::Up(up) if up.hangup.is_none()) && matches!(leg.ours, Ours::None);
        if !is_free || !leg.theirs.is_none() {
            return Err(NoSuchLeg);
        }
        leg.ours = Ours::Waiting(Offer::new(sdp, By::Invite));
        self.try_waiting_offer(now, id);
        Ok(())
    }

    /// Our own offer, by UPDATE.
    pub(super) fn offer_by_update(
        &mut self,
        now: Instant,
        id: LegId,
        fork: &Fork,
        sdp: Bytes,
    ) -> Result<(), NoSuchLeg> {
        let leg = self.legs.get_mut(&id).ok_or(NoSuchLeg)?;
        let is_free = leg.wish.takes_update && leg.theirs.is_none() && matches!(leg.ours, Ours::None);
        let is_agreed = match &mut leg.stage {
            Stage::Outgoing(outgoing) => {
                outgoing.cancel == Cancel::No && outgoing.early_with(fork).is_some_and(|early| early.is_agreed)
            }
            Stage::Incoming(incoming) => incoming.provisionals.is_agreed,
            Stage::Up(up) => up.hangup.is_none() && fork.names(&up.dialog),
            Stage::Closing { .. } | Stage::Closed => false,
        };
        if !is_free || !is_agreed {
            return Err(NoSuchLeg);
        }
        leg.ours = Ours::Waiting(Offer::new(sdp, By::Update(fork.clone())));
        self.try_waiting_offer(now, id);
        Ok(())
    }

    /// Sends the offer that waits, unless it has to wait longer: for its timer, or for the ACK of an INVITE of the peer
    /// (section 14.1).
    pub(super) fn try_waiting_offer(&mut self, now: Instant, id: LegId) {
        let Self { core, legs, .. } = self;
        let Some(leg) = legs.get_mut(&id) else { return };
        let is_busy = match &leg.stage {
            Stage::Up(up) => up.unacked.is_some() || up.hangup.is_some(),
            Stage::Outgoing(_) | Stage::Incoming(_) => false,
            Stage::Closing { .. } | Stage::Closed => true,
        };
        if is_busy || leg.deadlines.is_set(LegTimer::Glare) || !leg.theirs.is_none() {
            return;
        }
        if let Ours::Waiting(offer) = &leg.ours {
            let offer = offer.clone();
            send_offer(core, now, leg, offer);
        }
    }

    /// The answer to the re-INVITE of ours that brought an offer came.
    pub(super) fn handle_reinvite_response(&mut self, now: Instant, tx: TxId, id: LegId, response: &Response) {
        if response.status < 200 || response.status < 300 && repeat_ack(&mut self.core, tx, response) {
            return;
        }
        if self.legs.get(&id).is_some_and(|leg| is_waiting_for(leg, tx)) {
            self.handle_offer_response(now, tx, id, response);
        } else {
            acknowledge_alone(&mut self.core, tx, response);
        }
    }

    /// What a re-INVITE or UPDATE with an offer of ours was answered; nobody waits for another.
    pub(super) fn handle_offer_response(&mut self, now: Instant, tx: TxId, id: LegId, response: &Response) {
        let Self { core, legs, .. } = self;
        let Some(leg) = legs.get_mut(&id) else { return };
        let Ours::Sent { offer, .. } = std::mem::replace(&mut leg.ours, Ours::None) else { return };
        let (status, is_up) = (response.status, matches!(leg.stage, Stage::Up(_)));
        let may_try = offer.challenges < MAX_CHALLENGES;
        match status {
            ..=299 => {
                if let Some(auth) = &mut leg.auth {
                    auth.learn(&response.headers);
                }
                accepted(core, now, tx, leg, &offer, response);
                let answer = compose::sdp_of(&response.headers, &response.body);
                if !offer.is_refresh || answer.is_some() {
                    core.event(Event::OfferAnswered { leg: id, result: answer.ok_or(488) });
                }
            }
            491 if offer.glares < MAX_GLARES => {
                let delay = glare_delay(core, is_caller(&leg.stage));
                wait(now, leg, offer, delay);
            }
            // One after the other (RFC 3261 section 14.2, RFC 3311 section 5.2).
            500 if offer.glares < MAX_GLARES
                && response.headers.retry_after().is_some_and(|wanted| wanted <= MAX_WAIT) =>
            {
                let wanted = response.headers.retry_after().unwrap_or_default();
                wait(now, leg, offer, Duration::from_secs(u64::from(wanted)));
            }
            401 | 407 if may_try && is_answered(leg, response) => {
                send_offer(core, now, leg, Offer { challenges: offer.challenges + 1, ..offer });
            }
            422 if may_try && leg.wish.obey(response) => {
                send_offer(core, now, leg, Offer { challenges: offer.challenges + 1, ..offer });
            }
            // It says it takes UPDATE, and does not.
            405 | 501 if is_up && matches!(offer.by, By::Update(_)) => {
                leg.wish.takes_update = false;
                send_offer(core, now, leg, Offer { by: By::Invite, ..offer });
            }
            481 if is_up => self.lose(now, id, Some(status), true),
            408 if is_up => self.lose(now, id, Some(status), false),
            300.. if offer.is_refresh => self.refresh_later(now, id),
            300.. => core.event(Event::OfferAnswered { leg: id, result: Err(status) }),
        }
        self.reschedule_leg(id);
    }

    /// Nothing came to the re-INVITE or UPDATE with our offer.
    pub(super) fn handle_offer_fault(&mut self, now: Instant, tx: TxId, id: LegId, fault: Fault) {
        let Some(leg) = self.legs.get_mut(&id).filter(|leg| is_waiting_for(leg, tx)) else { return };
        let is_refresh = matches!(&leg.ours, Ours::Sent { offer, .. } if offer.is_refresh);
        let is_up = matches!(leg.stage, Stage::Up(_));
        leg.ours = Ours::None;
        match fault {
            _ if is_refresh => {
                self.refresh_later(now, id);
                self.reschedule_leg(id);
            }
            Fault::Timeout | Fault::NoFinal if is_up => self.lose(now, id, None, false),
            Fault::Timeout | Fault::NoFinal => self.core.event(Event::OfferAnswered { leg: id, result: Err(408) }),
            Fault::Transport => self.core.event(Event::OfferAnswered { leg: id, result: Err(503) }),
        }
    }
}

/// An offer of the peer's comes before ours that waits. Once it is answered what ours says may be so no more: it would go
/// back behind a version the peer has seen, and to lines that are others now (RFC 3264 section 8). Whoever made it may make
/// it anew.
pub(super) fn give_way(core: &mut Core, now: Instant, leg: &mut Leg) {
    let Ours::Waiting(offer) = &leg.ours else { return };
    if offer.is_refresh {
        // The peer's own request refreshes as well, if it comes to something.
        leg.deadlines.set(LegTimer::Refresh, now + refresh::BUSY);
    } else {
        core.event(Event::OfferAnswered { leg: leg.id, result: Err(491) });
    }
    leg.deadlines.stop(LegTimer::Glare);
    leg.ours = Ours::None;
}

/// Whether the answer to this request decides about our offer.
pub(super) fn is_waiting_for(leg: &Leg, sent: TxId) -> bool {
    matches!(leg.ours, Ours::Sent { tx, .. } if tx == sent)
}

pub(super) fn is_answered(leg: &mut Leg, response: &Response) -> bool {
    let auth = leg.auth.as_mut();
    auth.is_some_and(|auth| auth.handle_challenge(&response.headers, response.status == 407).is_ok())
}

/// How long to wait after glare: whoever made the Call-ID comes second.
pub(super) fn glare_delay(core: &mut Core, is_caller: bool) -> Duration {
    if is_caller { Duration::from_millis(2100) + core.random_delay(190) } else { core.random_delay(200) }
}

fn is_caller(stage: &Stage) -> bool {
    match stage {
        Stage::Up(up) => up.is_caller,
        Stage::Outgoing(_) => true,
        Stage::Incoming(_) | Stage::Closing { .. } | Stage::Closed => false,
    }
}

/// The offer is made again later.
fn wait(now: Instant, leg: &mut Leg, offer: Offer, delay: Duration) {
    leg.ours = Ours::Waiting(Offer { glares: offer.glares + 1, ..offer });
    leg.deadlines.set(LegTimer::Glare, now + delay);
}

fn send_offer(core: &mut Core, now: Instant, leg: &mut Leg, offer: Offer) {
    let Leg { stage, peer, auth, id, wish, .. } = leg;
    let (fork, method) = match (&offer.by, &*stage) {
        (By::Update(fork), _) => (fork.clone(), Method::Update),
        (By::Invite, Stage::Up(up)) => (Fork::at_end_of(&up.dialog), Method::Invite),
        (By::Invite, Stage::Outgoing(_) | Stage::Incoming(_) | Stage::Closing { .. } | Stage::Closed) => return,
    };
    let session = match &*stage {
        Stage::Up(up) => up.session,
        Stage::Outgoing(_) | Stage::Incoming(_) | Stage::Closing { .. } | Stage::Closed => None,
    };
    let is_up = matches!(stage, Stage::Up(_));
    let Some(dialog) = stage.dialog_with(&fork) else { return };
    let to = peer.next_hop(dialog);
    let mut request = dialog.request(method.clone());
    compose::push_abilities(&mut request.headers, core.config.advertised);
    if is_up {
        refresh::push_request(&mut request.headers, wish, session.as_ref());
    }
    compose::push_sdp(&mut request.headers, &mut request.body, offer.sdp.clone());
    if let Some(auth) = auth.as_mut().filter(|_| peer.may_authorize(to)) {
        let (uri, body) = (request.uri.to_string(), request.body.clone());
        auth.authorize(&method, &uri, &body, &mut request.headers);
    }
    let id = *id;
    let tx = if method == Method::Invite {
        core.send_invite(now, id, request, to, |request| {
            User::Invite(Box::new(SentInvite { leg: id, again: true, request, acks: Vec::new() }))
        })
    } else {
        core.send_other(now, request, to, User::Update(id))
    };
    leg.ours = Ours::Sent { tx, offer };
}

/// Our offer was accepted: what that says beside the answer.
fn accepted(core: &mut Core, now: Instant, tx: TxId, leg: &mut Leg, offer: &Offer, response: &Response) {
    match &offer.by {
        By::Invite => {
            leg.stage.set_local(&Fork::of(response), offer.sdp.clone());
            acknowledge(core, now, tx, leg, response);
        }
        By::Update(fork) => {
            leg.stage.set_local(fork, offer.sdp.clone());
            let Leg { stage, peer, label, id, .. } = leg;
            if let Stage::Up(up) = stage {
                lost::refresh_target(core, now, (*id, peer, label), up, &response.headers);
            } else if let Some(dialog) = stage.dialog_with(fork) {
                dialog.refresh_target(&response.headers);
            }
        }
    }
    refresh::agree(now, leg, &response.headers);
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
