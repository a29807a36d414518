//! Calls we make: RFC 3261 sections 13.2 (INVITE, forks) and 9.1 (CANCEL), digest on the way.

use std::net::IpAddr;
use std::time::Instant;

use bytes::Bytes;

use super::ack::{repeat_ack, send_ack};
use super::compose;
use super::core::Core;
use super::early::RELIABLE;
use super::leg::{Cancel, Leg, LegTimer, Ours, Outgoing, Peer, Stage, Theirs, Up};
use super::refresh::{self, Wish};
use super::sending::Sending;
use super::transactions::{ClientMachine, MAX_FORKS, SentInvite, TxId, User};
use super::{
    Endpoint, Event, Failure, Fork, Full, Invite, LegId, Reason, Reliable, StreamError, lost, offers, redirect,
};
use crate::auth::DigestClient;
use crate::dialog::{Dialog, DialogId};
use crate::message::{HeaderName, Headers, Method, Request, Response};
use crate::transaction::{ClientInviteState, ClientKey, Deadlines, Fault};

/// Challenges answered for one request: 407, 401 and a stale nonce each.
pub(super) const MAX_CHALLENGES: u8 = 4;

impl Endpoint {
    pub(super) fn start_call(&mut self, now: Instant, invite: Invite) -> Result<LegId, Full> {
        if self.is_full() {
            self.core.stats.overload += 1;
            return Err(Full);
        }
        let Some(way) = self.core.learn_way(&invite.over) else {
            self.core.stats.overload += 1;
            return Err(Full);
        };
        let id = self.new_leg_id(way);
        let core = &mut self.core;
        core.tracer.begin(id);
        let tag = core.token();
        let domain = core.config.domain.clone();
        let call_id = Bytes::from(core.token());
        let from = if invite.anonymous {
            compose::anonymous(&tag)
        } else {
            compose::from(invite.from_display.as_deref(), &invite.from_user, &domain, &tag)
        };
        let auth = invite.credentials.clone().map(|credentials| DigestClient::new(credentials, core.random_u64()));
        let peer = Peer::at(invite.target);
        let mut outgoing =
            Outgoing { invite, from, cseq: 0, challenges: 0, tx: TxId(0), early: Vec::new(), cancel: Cancel::No };
        let mut leg = Leg {
            id,
            dialog_id: DialogId { call_id, local_tag: tag.into() },
            peer,
            label: outgoing.invite.label.clone(),
            auth,
            deadlines: Deadlines::default(),
            wish: Wish::new(outgoing.invite.session_expires),
            ours: Ours::None,
            theirs: Theirs::None,
            stage: Stage::Closed,
        };
        send_invite(core, now, &leg.dialog_id.call_id, id, (leg.auth.as_mut(), &leg.wish), &mut outgoing);
        leg.stage = Stage::Outgoing(Box::new(outgoing));
        self.add_leg(leg);
        Ok(id)
    }

    /// A response to the first INVITE of a leg came up from its transaction.
    pub(super) fn handle_first_invite_response(&mut self, now: Instant, from: IpAddr, tx: TxId, response: &Response) {
        let Some(leg_id) = self.leg_of_invite(tx) else { return };
        let outgoing = match self.legs.get_mut(&leg_id).map(|leg| &mut leg.stage) {
            Some(Stage::Outgoing(outgoing)) if outgoing.tx == tx => outgoing,
            Some(Stage::Outgoing(_) | Stage::Incoming(_) | Stage::Up(_) | Stage::Closing { .. } | Stage::Closed)
            | None => return self.handle_further_2xx(now, tx, response),
        };
        match response.status {
            ..=199 => self.handle_provisional(now, leg_id, response),
            200..=299 => self.handle_answer(now, from, tx, leg_id, response),
            401 | 407 if outgoing.cancel == Cancel::No => self.handle_challenge(now, leg_id, response),
            422 if self.handle_too_short(now, leg_id, response) => {}
            300..=399 => self.fail_call(now, leg_id, redirect::read(response)),
            400.. => {
                let failure = Failure::Rejected {
                    status: response.status,
                    phrase: String::from_utf8_lossy(&response.reason).into_owned(),
                    reason: compose::reason_of(&response.headers),
                    retry_after: response.headers.retry_after(),
                };
                self.fail_call(now, leg_id, failure);
            }
        }
    }

    fn handle_answer(&mut self, now: Instant, from: IpAddr, tx: TxId, leg_id: LegId, response: &Response) {
        let Self { core, legs, .. } = self;
        let Some(leg) = legs.get_mut(&leg_id) else { return };
        let Stage::Outgoing(outgoing) = &mut leg.stage else { return };
        let (cancel, fork) = (outgoing.cancel.clone(), Fork::of(response));
        leg.peer.met = from;
        if let Some(auth) = &mut leg.auth {
            auth.learn(&response.headers);
        }
        let sdp = compose::sdp_of(&response.headers, &response.body);
        let early = outgoing.early_with(&fork).cloned();
        // What was agreed before is said again, if at all (RFC 6337 section 3.1.1).
        let sdp = sdp.filter(|_| early.as_ref().is_none_or(|early| !early.is_agreed));
        let offer = sdp.clone().filter(|_| outgoing.invite.sdp.is_empty() && cancel == Cancel::No);
        // The ACK makes the peer wait for nothing but a BYE: it goes out when that is sure to come.
        let held = core.hold(now, leg_id);
        let dialog = match &offer {
            // The ACK brings our answer.
            Some(_) => sent_invite(core, tx).and_then(|sent| dialog_of(&sent.request, response)),
            None => acknowledge(core, tx, &leg.peer, response),
        };
        let Some(mut dialog) = dialog else { return self.fail_call(now, leg_id, Failure::NoFinal) };
        // What both ends sent within the early dialog counts for the order of what they send now.
        if let Some(early) = &early {
            dialog.continue_from(&early.dialog);
        }
        let over = core.transport(leg_id);
        lost::tell(core, held, leg_id, || lost::of_dialog(leg.peer.address, over, leg.label.clone(), &dialog));
        let (failure, reason) = match cancel {
            Cancel::No => {
                let invited = Some(outgoing.invite.sdp.clone()).filter(|sdp| !sdp.is_empty());
                let local_sdp = early.and_then(|early| early.local_sdp).or(invited);
                offers::forget_other_forks(core, now, leg, &fork);
                leg.stage = Stage::Up(Box::new(Up::new(dialog, true, local_sdp)));
                refresh::agree(now, leg, &response.headers);
                if offer.is_some() {
                    leg.theirs = Theirs::InAnswer { tx, fork: fork.clone() };
                    leg.deadlines.set(LegTimer::OfferUnanswered, now + core.config.timers.patience() / 2);
                    core.event(Event::Offer { leg: leg_id, fork, sdp: offer });
                } else {
                    core.event(Event::Answered { leg: leg_id, fork, sdp });
                }
                return self.reschedule_leg(leg_id);
            }
            Cancel::Held(reason) => (Some(Failure::Cancelled), reason),
            Cancel::Sent(failure, reason) => (Some(failure), reason),
            Cancel::Told => (None, None),
        };
        offers::withdraw(core, now, leg, 487);
        leg.stage = Stage::Closing { dialog: Box::new(dialog), reason, challenges: 0 };
        leg.ours = Ours::None;
        leg.deadlines.clear();
        super::session::send_bye(core, now, leg);
        if let Some(failure) = failure {
            core.event(Event::Failed { leg: leg_id, failure });
        }
    }

    fn handle_challenge(&mut self, now: Instant, leg_id: LegId, response: &Response) {
        let Self { core, legs, .. } = self;
        let Some(Leg { stage: Stage::Outgoing(outgoing), auth, dialog_id, wish, .. }) = legs.get_mut(&leg_id) else {
            return;
        };
        let accepted =
            auth.as_mut().is_some_and(|auth| auth.handle_challenge(&response.headers, response.status == 407).is_ok());
        if !accepted || outgoing.challenges >= MAX_CHALLENGES {
            return self.fail_call(now, leg_id, Failure::AuthenticationFailed { status: response.status });
        }
        outgoing.challenges += 1;
        outgoing.early.clear();
        send_invite(core, now, &dialog_id.call_id, leg_id, (auth.as_mut(), wish), outgoing);
    }

    /// The peer wants longer sessions: the INVITE goes again and says so.
    fn handle_too_short(&mut self, now: Instant, leg_id: LegId, response: &Response) -> bool {
        let Self { core, legs, .. } = self;
        let Some(Leg { stage: Stage::Outgoing(outgoing), auth, dialog_id, wish, .. }) = legs.get_mut(&leg_id) else {
            return false;
        };
        if outgoing.cancel != Cancel::No || outgoing.challenges >= MAX_CHALLENGES || !wish.obey(response) {
            return false;
        }
        outgoing.challenges += 1;
        outgoing.early.clear();
        send_invite(core, now, &dialog_id.call_id, leg_id, (auth.as_mut(), wish), outgoing);
        true
    }

    /// A 2xx that comes again, from another fork, or for a leg that is gone.
    pub(super) fn handle_further_2xx(&mut self, now: Instant, tx: TxId, response: &Response) {
        if !(200..=299).contains(&response.status) {
            return;
        }
        let core = &mut self.core;
        if repeat_ack(core, tx, response) {
            return;
        }
        let Some(transaction) = core.transactions.client(tx) else { return };
        let leg = transaction.user.leg();
        // The one whose ACK waits for our answer comes again.
        if self.legs.get(&leg).is_some_and(|leg| offers::waits_for_ack(leg, response)) {
            return;
        }
        let peer = Peer::at(transaction.to);
        let Some(mut dialog) = acknowledge(core, tx, &peer, response) else { return };
        let bye = dialog.request(Method::Bye);
        core.send_other(now, bye, peer.next_hop(&dialog), User::ByeToFork(leg));
    }

    pub(super) fn handle_first_invite_fault(&mut self, now: Instant, tx: TxId, leg_id: LegId, fault: Fault) {
        let Self { core, legs, .. } = self;
        let Some(Leg { stage: Stage::Outgoing(outgoing), .. }) = legs.get_mut(&leg_id) else { return };
        if outgoing.tx != tx {
            return;
        }
        match fault {
            Fault::NoFinal => {
                outgoing.cancel = Cancel::Told;
                send_cancel(core, now, tx, None);
                core.event(Event::Failed { leg: leg_id, failure: Failure::NoFinal });
            }
            Fault::Timeout => self.fail_call(now, leg_id, Failure::NoProvisional),
            Fault::Transport => {
                let failure = match core.cause.clone() {
                    Some(StreamError::Tls(text)) => Failure::Tls(text),
                    Some(StreamError::TimedOut) => Failure::NoProvisional,
                    Some(StreamError::Unreachable | StreamError::Lost) | None => Failure::Transport,
                };
                self.fail_call(now, leg_id, failure);
            }
        }
    }

    /// Ends an unanswered call of ours. Once it is cancelled it ends as that, whatever else comes.
    fn fail_call(&mut self, now: Instant, leg_id: LegId, failure: Failure) {
        let Some(Leg { stage: Stage::Outgoing(outgoing), .. }) = self.legs.get_mut(&leg_id) else { return };
        let failure = match std::mem::replace(&mut outgoing.cancel, Cancel::Told) {
            Cancel::No => Some(failure),
            Cancel::Held(_) => Some(Failure::Cancelled),
            Cancel::Sent(failure, _) => Some(failure),
            Cancel::Told => None,
        };
        self.drop_leg(now, leg_id);
        if let Some(failure) = failure {
            self.core.event(Event::Failed { leg: leg_id, failure });
        }
    }

    fn leg_of_invite(&mut self, tx: TxId) -> Option<LegId> {
        sent_invite(&mut self.core, tx).map(|sent| sent.leg)
    }
}

/// Asks for the end of an unanswered call of ours. `false` if that was asked before.
pub(super) fn cancel_call(core: &mut Core, now: Instant, outgoing: &mut Outgoing, reason: Option<Reason>) -> bool {
    if outgoing.cancel != Cancel::No {
        return false;
    }
    let is_proceeding = match core.transactions.client(outgoing.tx).map(|transaction| &transaction.machine) {
        Some(ClientMachine::Invite(machine)) => matches!(machine.state(), ClientInviteState::Proceeding { .. }),
        Some(ClientMachine::Other(_)) | None => false,
    };
    if is_proceeding {
        send_cancel(core, now, outgoing.tx, reason.as_ref());
        outgoing.cancel = Cancel::Sent(Failure::Cancelled, reason);
    } else {
        outgoing.cancel = Cancel::Held(reason);
        // Nobody wants the call any more: what was lost of it so far is not sent again, so that it rings nowhere late.
        if let Some(ClientMachine::Invite(machine)) =
            core.transactions.client(outgoing.tx).map(|transaction| &mut transaction.machine)
        {
            machine.stop_repeating();
        }
        core.reschedule_client(outgoing.tx);
    }
    true
}

/// Sends the CANCEL of an INVITE: same branch, same way.
pub(super) fn send_cancel(core: &mut Core, now: Instant, invite: TxId, reason: Option<&Reason>) {
    let Some(transaction) = core.transactions.client(invite) else { return };
    let User::Invite(sent) = &transaction.user else { return };
    let (to, way, leg) = (transaction.to, transaction.way, sent.leg);
    let mut cancel = compose::cancel(&sent.request);
    if let ClientMachine::Invite(machine) = &mut transaction.machine {
        machine.handle_cancel(now);
    }
    let Some(branch) = cancel.headers.top_via().ok().and_then(|via| via.branch) else { return };
    if let Some(reason) = reason {
        cancel.headers.push(HeaderName::Reason, reason.to_string());
    }
    let sending = Sending { bytes: cancel.to_bytes(), way, plain: None };
    core.start_over(now, ClientKey { branch, method: Method::Cancel }, sending, to, User::Cancel(leg));
    core.reschedule_client(invite);
}

/// Sends the ACK for a 2xx and keeps it, for the 2xx may come again. Gives the dialog.
fn acknowledge(core: &mut Core, tx: TxId, peer: &Peer, response: &Response) -> Option<Dialog> {
    let sent = sent_invite(core, tx)?;
    if sent.acks.len() >= MAX_FORKS {
        return None;
    }
    let dialog = dialog_of(&sent.request, response)?;
    let mut ack = dialog.ack(dialog.local_cseq());
    let to = peer.next_hop(&dialog);
    if peer.may_authorize(to) {
        compose::copy_credentials(&sent.request, &mut ack);
    }
    send_ack(core, tx, dialog.remote_tag().cloned(), to, ack);
    Some(dialog)
}

pub(super) fn sent_invite(core: &mut Core, tx: TxId) -> Option<&mut SentInvite> {
    match &mut core.transactions.client(tx)?.user {
        User::Invite(sent) => Some(sent),
        User::Bye(_)
        | User::ByeToFork(_)
        | User::Update(_)
        | User::Prack(_)
        | User::Cancel(_)
        | User::Digit(_)
        | User::Ask(_)
        | User::Ping(..)
        | User::Refer(_)
        | User::Notify(_) => None,
    }
}

/// The dialog a response makes. One whose Contact or Record-Route cannot be read is reached the way of the INVITE.
pub(super) fn dialog_of(request: &Request, response: &Response) -> Option<Dialog> {
    Dialog::uac(request, response)
        .or_else(|_| {
            let mut plain = response.clone();
            plain.headers.remove(&HeaderName::Contact);
            plain.headers.remove(&HeaderName::RecordRoute);
            Dialog::uac(request, &plain)
        })
        .ok()
}

fn send_invite(
    core: &mut Core,
    now: Instant,
    call_id: &Bytes,
    leg: LegId,
    (auth, wish): (Option<&mut DigestClient>, &Wish),
    outgoing: &mut Outgoing,
) {
    outgoing.cseq = outgoing.cseq.saturating_add(1);
    let invite = &outgoing.invite;
    let mut headers = Headers::default();
    headers.push(HeaderName::MaxForwards, "70");
    headers.push(HeaderName::From, outgoing.from.clone());
    headers.push(HeaderName::To, format!("<{}>", invite.uri));
    headers.push(HeaderName::CallId, call_id.clone());
    headers.push(HeaderName::CSeq, format!("{} INVITE", outgoing.cseq));
    compose::push_abilities(&mut headers, core.config.advertised);
    match invite.reliable {
        Reliable::Off => {}
        Reliable::Supported => headers.push(HeaderName::Supported, RELIABLE),
        Reliable::Required => headers.push(HeaderName::Require, RELIABLE),
    }
    refresh::push_request(&mut headers, wish, None);
    for (name, value) in invite.headers.iter().filter(|(name, _)| !compose::is_ours(name)) {
        headers.push(name.clone(), value.clone());
    }
    let mut body = Bytes::new();
    compose::push_sdp(&mut headers, &mut body, invite.sdp.clone());
    if let Some(auth) = auth {
        auth.authorize(&Method::Invite, &invite.uri.to_string(), &body, &mut headers);
    }
    let request = Request { method: Method::Invite, uri: invite.uri.clone(), headers, body };
    let held = core.hold(now, leg);
    outgoing.tx = core.send_invite(now, leg, request, invite.target, |request| {
        User::Invite(Box::new(SentInvite { leg, again: false, request, acks: Vec::new() }))
    });
    let way = core.transactions.client(outgoing.tx).map(|transaction| transaction.way);
    let over = way.and_then(|way| core.ways.transport(way)).unwrap_or(&outgoing.invite.over).clone();
    if let Some(sent) = sent_invite(core, outgoing.tx) {
        let snapshot = lost::of_invite(&outgoing.invite, over, &sent.request);
        lost::tell(core, held, leg, || snapshot);
    }
}
