//! Early dialogs of calls we make, one for each that answers (RFC 3261 section 12.1), and the reliable provisional
//! answers in them (RFC 3262 section 4).

use std::time::Instant;

use bytes::Bytes;

use super::compose;
use super::core::Core;
use super::leg::{Cancel, Leg, LegTimer, Outgoing, Stage, Theirs};
use super::outgoing::{MAX_CHALLENGES, dialog_of, send_cancel, sent_invite};
use super::transactions::{MAX_FORKS, User};
use super::{Endpoint, Event, Failure, Fork, LegId};
use crate::dialog::Dialog;
use crate::message::{HeaderName, Method, Response};

/// Option tag.
pub(super) const RELIABLE: &str = "100rel";

/// One early dialog.
#[derive(Debug, Clone)]
pub(super) struct Early {
    pub(super) dialog: Dialog,
    /// RSeq of its latest reliable provisional answer.
    rseq: Option<u32>,
    /// Offer and answer are known for certain, so that either end may offer anew (RFC 3311 section 5.1).
    pub(super) is_agreed: bool,
    /// Our description that holds, if it is not the INVITE's.
    pub(super) local_sdp: Option<Bytes>,
}

/// A PRACK that is on its way.
#[derive(Debug)]
pub(super) struct SentPrack {
    pub(super) leg: LegId,
    fork: Fork,
    rack: String,
    sdp: Bytes,
    challenges: u8,
}

impl Early {
    pub(super) fn is_with(&self, fork: &Fork) -> bool {
        fork.names(&self.dialog)
    }

    /// Whether a reliable provisional answer is the next one: the first may have any number, each further one follows
    /// its predecessor. Others are not acknowledged; the peer repeats what we have not seen.
    fn is_next(&self, rseq: u32) -> bool {
        self.rseq.is_none_or(|latest| latest.checked_add(1) == Some(rseq))
    }
}

impl Fork {
    /// Who sent a response.
    pub(super) fn of(response: &Response) -> Self {
        Self(response.headers.to().ok().and_then(|to| to.tag().cloned()).unwrap_or_default())
    }

    /// The other end of a dialog.
    pub(super) fn at_end_of(dialog: &Dialog) -> Self {
        Self(dialog.remote_tag().cloned().unwrap_or_default())
    }

    pub(super) fn names(&self, dialog: &Dialog) -> bool {
        dialog.remote_tag().map_or(self.0.is_empty(), |tag| *tag == self.0)
    }
}

impl Endpoint {
    pub(super) fn handle_provisional(&mut self, now: Instant, id: LegId, response: &Response) {
        let Self { core, legs, .. } = self;
        let Some(leg) = legs.get_mut(&id) else { return };
        let Stage::Outgoing(outgoing) = &mut leg.stage else { return };
        if let Cancel::Held(reason) = &outgoing.cancel {
            let reason = reason.clone();
            outgoing.cancel = Cancel::Sent(Failure::Cancelled, reason.clone());
            send_cancel(core, now, outgoing.tx, reason.as_ref());
        }
        if response.status == 100 {
            if outgoing.cancel == Cancel::No {
                core.event(Event::Trying { leg: id });
            }
            return;
        }
        let is_wanted = outgoing.cancel == Cancel::No;
        leg.wish.learn(&response.headers);
        remember_fork(core, outgoing, response);
        let fork = Fork::of(response);
        let rack = match take_number(outgoing, &fork, response) {
            Numbered::Next(rack) => Some(rack),
            Numbered::OutOfOrder => return,
            Numbered::No => None,
        };
        let sdp = compose::sdp_of(&response.headers, &response.body);
        let (known, offers) = judge_sdp(outgoing, &fork, rack.is_some(), sdp);
        match (rack, offers) {
            (Some(rack), Some(offer)) if is_wanted => {
                leg.theirs = Theirs::InProvisional { fork: fork.clone(), rack };
                leg.deadlines.set(LegTimer::OfferUnanswered, now + core.config.timers.patience() / 2);
                core.event(Event::Provisional { leg: id, fork: fork.clone(), status: response.status, sdp: None });
                core.event(Event::Offer { leg: id, fork, sdp: Some(offer) });
                self.reschedule_leg(id);
                return;
            }
            (Some(rack), _) => send_prack(core, now, leg, &fork, rack, Bytes::new()),
            (None, _) => {}
        }
        if is_wanted {
            core.event(Event::Provisional { leg: id, fork, status: response.status, sdp: known });
        }
    }

    /// The answer to a PRACK came. Whatever it says but a challenge, the INVITE's own story goes on.
    pub(super) fn handle_prack_response(&mut self, now: Instant, tx: super::transactions::TxId, response: &Response) {
        let Self { core, legs, .. } = self;
        let Some(User::Prack(sent)) = core.transactions.client(tx).map(|transaction| &transaction.user) else { return };
        let SentPrack { leg, fork, rack, sdp, challenges } = &**sent;
        let again = SentPrack {
            leg: *leg,
            fork: fork.clone(),
            rack: rack.clone(),
            sdp: sdp.clone(),
            challenges: challenges.saturating_add(1),
        };
        let Some(leg) = legs.get_mut(leg) else { return };
        let is_challenged = matches!(response.status, 401 | 407) && again.challenges <= MAX_CHALLENGES;
        if is_challenged && super::ours::is_answered(leg, response) {
            send(core, now, leg, again);
        }
    }
}

/// Sends the PRACK for a reliable provisional answer.
pub(super) fn send_prack(core: &mut Core, now: Instant, leg: &mut Leg, fork: &Fork, rack: String, sdp: Bytes) {
    let sent = SentPrack { leg: leg.id, fork: fork.clone(), rack, sdp, challenges: 0 };
    send(core, now, leg, sent);
}

fn send(core: &mut Core, now: Instant, leg: &mut Leg, sent: SentPrack) {
    let Leg { stage, peer, auth, .. } = leg;
    let Some(dialog) = stage.dialog_with(&sent.fork) else { return };
    let to = peer.next_hop(dialog);
    let mut prack = dialog.request(Method::Prack);
    prack.headers.push(HeaderName::RAck, sent.rack.clone());
    compose::push_sdp(&mut prack.headers, &mut prack.body, sent.sdp.clone());
    if let Some(auth) = auth.as_mut().filter(|_| peer.may_authorize(to)) {
        let (uri, body) = (prack.uri.to_string(), prack.body.clone());
        auth.authorize(&Method::Prack, &uri, &body, &mut prack.headers);
    }
    core.send_other(now, prack, to, User::Prack(Box::new(sent)));
}

/// Whether a provisional answer wants a PRACK.
enum Numbered {
    No,
    /// It does: with this RAck.
    Next(String),
    OutOfOrder,
}

fn take_number(outgoing: &mut Outgoing, fork: &Fork, response: &Response) -> Numbered {
    let headers = &response.headers;
    let (true, Some(rseq), Ok(cseq)) = (headers.lists(&HeaderName::Require, RELIABLE), headers.rseq(), headers.cseq())
    else {
        return Numbered::No;
    };
    match outgoing.early_with(fork) {
        Some(early) if early.is_next(rseq) => {
            early.rseq = Some(rseq);
            Numbered::Next(format!("{rseq} {} {}", cseq.number, cseq.method))
        }
        // A fork beyond the limit has no dialog a PRACK could be sent in.
        Some(_) | None => Numbered::OutOfOrder,
    }
}

/// What a description in a provisional answer is: the answer to our offer (for certain only in a reliable one), or an
/// offer where we made none. What comes after both is said again, and nothing new (RFC 6337 section 3.1.1).
fn judge_sdp(
    outgoing: &mut Outgoing,
    fork: &Fork,
    is_reliable: bool,
    sdp: Option<Bytes>,
) -> (Option<Bytes>, Option<Bytes>) {
    let made_offer = !outgoing.invite.sdp.is_empty();
    let Some(early) = outgoing.early_with(fork) else { return (sdp.filter(|_| made_offer), None) };
    if early.is_agreed || sdp.is_none() {
        return (None, None);
    }
    early.is_agreed = is_reliable;
    match (made_offer, is_reliable) {
        (true, _) => (sdp, None),
        (false, true) => (None, sdp),
        (false, false) => (None, None),
    }
}

fn remember_fork(core: &mut Core, outgoing: &mut Outgoing, response: &Response) {
    let Some(sent) = sent_invite(core, outgoing.tx) else { return };
    let Some(dialog) = dialog_of(&sent.request, response) else { return };
    let is_new = outgoing.early.iter().all(|early| early.dialog.remote_tag() != dialog.remote_tag());
    if is_new && dialog.remote_tag().is_some() && outgoing.early.len() < MAX_FORKS {
        outgoing.early.push(Early { dialog, rseq: None, is_agreed: false, local_sdp: None });
    }
}
