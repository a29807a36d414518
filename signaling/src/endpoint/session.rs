//! Within a dialog: whose request it is, in which order, and how the call ends (RFC 3261 sections 12.2.2 and 15).

use std::time::Instant;

use bytes::Bytes;

use super::compose;
use super::core::Core;
use super::leg::{Cancel, Leg, LegTimer, Ours, Stage, Up};
use super::outgoing::{MAX_CHALLENGES, cancel_call, send_cancel};
use super::receive::Arrival;
use super::transactions::{ServerMachine, TxId, User};
use super::{Endpoint, Event, Failure, LegId, NoSuchLeg, Reason, offers, transfer};
use crate::message::{HeaderName, Headers, Method, NameAddr, Request, Response};
use crate::transaction::{Server, ServerInvite, ServerKey};

/// Longest Retry-After, seconds, for a request that comes while one like it is under way (RFC 3261 section 14.2).
const MAX_RETRY_AFTER: u64 = 10;

impl Endpoint {
    /// A request with a To tag.
    pub(super) fn handle_in_dialog(&mut self, arrival: Arrival, key: ServerKey, request: Request) {
        let Some(id) = self.find_dialog(arrival.from.ip(), arrival.way, &request) else {
            return self.core.refuse(&request, arrival, (481, None));
        };
        if !self.accept_cseq(id, &request) {
            return self.core.refuse(&request, arrival, (500, None));
        }
        match request.method {
            Method::Options => self.core.answer_options(&request, arrival),
            Method::Info => self.handle_info(arrival, key, id, &request),
            Method::Bye => self.handle_bye(arrival, key, id, &request),
            Method::Refer => self.handle_refer(arrival, key, id, request),
            Method::Notify => self.handle_notify(arrival, key, id, &request),
            Method::Prack => {
                if self.is_full() {
                    return self.core.refuse_overload(&request, arrival);
                }
                self.handle_prack(arrival, key, id, request);
            }
            Method::Invite | Method::Update => {
                if self.is_full() {
                    return self.core.refuse_overload(&request, arrival);
                }
                let tx = self.core.serve(arrival, key, id, request.method == Method::Invite);
                self.handle_modification(arrival.now, tx, id, request);
            }
            Method::Ack
            | Method::Cancel
            | Method::Register
            | Method::Subscribe
            | Method::Message
            | Method::Publish
            | Method::Other(_) => self.core.refuse(&request, arrival, (405, None)),
        }
    }

    fn accept_cseq(&mut self, id: LegId, request: &Request) -> bool {
        let (Some(leg), Ok(cseq), Ok(from)) = (self.legs.get_mut(&id), request.headers.cseq(), request.headers.from())
        else {
            return false;
        };
        match &mut leg.stage {
            Stage::Outgoing(outgoing) => {
                let mut early = outgoing.early.iter_mut().map(|early| &mut early.dialog);
                early.find(|early| early.is_from_peer(from.tag())).is_some_and(|early| early.accept_cseq(cseq.number))
            }
            Stage::Incoming(incoming) => incoming.dialog.accept_cseq(cseq.number),
            Stage::Up(up) => up.dialog.accept_cseq(cseq.number),
            Stage::Closing { dialog, .. } => dialog.accept_cseq(cseq.number),
            Stage::Closed => false,
        }
    }

    fn handle_bye(&mut self, arrival: Arrival, key: ServerKey, id: LegId, request: &Request) {
        let now = arrival.now;
        let reason = compose::reason_of(&request.headers);
        let event = match self.legs.get(&id).map(|leg| &leg.stage) {
            Some(Stage::Outgoing(_)) => return self.handle_early_bye(arrival, id, request),
            Some(Stage::Closed) | None => return self.core.refuse(request, arrival, (481, None)),
            Some(Stage::Incoming(_)) => Some(Event::Cancelled { leg: id, reason }),
            // Its caller was told, or hung up itself.
            Some(Stage::Closing { .. }) => None,
            Some(Stage::Up(up)) => up.hangup.is_none().then_some(Event::Ended { leg: id, reason }),
        };
        if self.core.transactions.len() < self.core.config.max_transactions.saturating_mul(2) {
            let tx = self.core.serve(arrival, key, id, false);
            self.core.answer(now, tx, Response::to_request(request, 200, None));
        } else {
            // A hang-up always works; its repetition will get a 481.
            self.core.answer_stateless(request, arrival, 200, None);
        }
        if self.refuse_call(now, id, 487, &Headers::default()).is_none() {
            self.drop_leg(now, id);
        }
        if let Some(event) = event {
            self.core.event(event);
        }
    }

    /// The callee sends no BYE before its 2xx (section 15), so that the 2xx was lost, however often it went. Where nobody
    /// else rings, nothing is left to wait for.
    fn handle_early_bye(&mut self, arrival: Arrival, id: LegId, request: &Request) {
        let Self { core, legs, .. } = self;
        core.answer_stateless(request, arrival, 200, None);
        let Some(Leg { stage: Stage::Outgoing(outgoing), .. }) = legs.get_mut(&id) else { return };
        let from = request.headers.from().ok();
        outgoing.early.retain(|early| !early.dialog.is_from_peer(from.as_ref().and_then(NameAddr::tag)));
        if outgoing.early.is_empty() && outgoing.cancel == Cancel::No {
            outgoing.cancel = Cancel::Told;
            send_cancel(core, arrival.now, outgoing.tx, None);
            core.event(Event::Failed { leg: id, failure: Failure::NoFinal });
        }
    }

    pub(super) fn end_leg(&mut self, now: Instant, id: LegId, reason: Option<Reason>) -> Result<(), NoSuchLeg> {
        let Self { core, legs, .. } = self;
        let Some(leg) = legs.get_mut(&id) else { return Err(NoSuchLeg) };
        match &mut leg.stage {
            Stage::Outgoing(outgoing) => {
                if cancel_call(core, now, outgoing, reason) {
                    Ok(())
                } else {
                    Err(NoSuchLeg)
                }
            }
            Stage::Incoming(_) => self.reject_incoming(now, id, 603, &Headers::default()),
            Stage::Up(up) => {
                if up.hangup.is_some() {
                    return Err(NoSuchLeg);
                }
                // The callee waits for the ACK of its first 2xx (section 15).
                if up.unacked.as_ref().is_some_and(|unacked| unacked.is_first) {
                    up.hangup = Some(reason);
                } else {
                    self.close(now, id, reason);
                }
                Ok(())
            }
            Stage::Closing { .. } | Stage::Closed => Err(NoSuchLeg),
        }
    }

    /// Sends BYE and keeps the dialog until that is settled.
    pub(super) fn close(&mut self, now: Instant, id: LegId, reason: Option<Reason>) {
        let Self { core, legs, .. } = self;
        let Some(leg) = legs.get_mut(&id) else { return };
        offers::withdraw(core, now, leg, 487);
        transfer::flush(core, now, leg);
        let Stage::Up(up) = &leg.stage else { return };
        let dialog = Box::new(up.dialog.clone());
        leg.stage = Stage::Closing { dialog, reason, challenges: 0 };
        leg.ours = Ours::None;
        leg.deadlines.clear();
        send_bye(core, now, leg);
        self.reschedule_leg(id);
    }

    /// Ends a leg that the peer does not hold up any more.
    pub(super) fn lose(&mut self, now: Instant, id: LegId, status: Option<u16>, is_gone: bool) {
        let Some(Leg { stage: Stage::Up(up), .. }) = self.legs.get(&id) else { return };
        let event = up.hangup.is_none().then_some(Event::Lost { leg: id, status });
        let reason = up.hangup.clone().flatten();
        if is_gone {
            self.drop_leg(now, id);
        } else {
            self.close(now, id, reason);
        }
        if let Some(event) = event {
            self.core.event(event);
        }
    }

    pub(super) fn handle_bye_response(&mut self, now: Instant, id: LegId, response: &Response) {
        if response.status < 200 {
            return;
        }
        let Self { core, legs, .. } = self;
        if let (401 | 407, Some(leg)) = (response.status, legs.get_mut(&id)) {
            let Leg { stage: Stage::Closing { challenges, .. }, auth: Some(auth), .. } = leg else {
                return self.drop_closing(now, id);
            };
            let answered = auth.handle_challenge(&response.headers, response.status == 407).is_ok();
            if answered && *challenges < MAX_CHALLENGES {
                *challenges += 1;
                return send_bye(core, now, leg);
            }
        }
        self.drop_closing(now, id);
    }

    /// Our BYE is settled.
    pub(super) fn drop_closing(&mut self, now: Instant, id: LegId) {
        if let Some(Leg { stage: Stage::Closing { .. }, .. }) = self.legs.get(&id) {
            self.drop_leg(now, id);
        }
    }

    /// An ACK for a 2xx of ours came.
    pub(super) fn confirm(&mut self, now: Instant, id: LegId, request: &Request) {
        let cseq = request.headers.cseq().map(|cseq| cseq.number).ok();
        let answer = compose::sdp_of(&request.headers, &request.body);
        self.confirm_2xx(now, id, cseq, answer);
        self.try_waiting_offer(now, id);
        self.reschedule_leg(id);
    }

    /// Whoever sends another INVITE or UPDATE has got our 2xx, though its ACK is lost or late (RFC 5407 section 3.1.4).
    pub(super) fn confirm_by_request(&mut self, now: Instant, id: LegId) {
        let unacked = match self.legs.get(&id).map(|leg| &leg.stage) {
            Some(Stage::Up(up)) => up.unacked.as_ref().map(|unacked| unacked.cseq),
            Some(Stage::Outgoing(_) | Stage::Incoming(_) | Stage::Closing { .. } | Stage::Closed) | None => None,
        };
        if unacked.is_some() {
            self.confirm_2xx(now, id, unacked, None);
        }
    }

    fn confirm_2xx(&mut self, now: Instant, id: LegId, cseq: Option<u32>, answer: Option<Bytes>) {
        let Self { core, legs, .. } = self;
        let Some(Leg { stage: Stage::Up(up), deadlines, .. }) = legs.get_mut(&id) else { return };
        let Some(unacked) = up.unacked.take_if(|unacked| Some(unacked.cseq) == cseq) else { return };
        deadlines.stop(LegTimer::Repeat2xx);
        deadlines.stop(LegTimer::NoAck);
        if let Some(reason) = up.hangup.take() {
            return self.close(now, id, reason);
        }
        if unacked.is_first {
            core.event(Event::Confirmed { leg: id, sdp: answer.filter(|_| unacked.offers) });
        } else if unacked.offers {
            core.event(Event::OfferAnswered { leg: id, result: answer.ok_or(488) });
        }
    }

    pub(super) fn repeat_2xx(&mut self, now: Instant, id: LegId) {
        let Self { core, legs, .. } = self;
        let Some(Leg { stage: Stage::Up(up), deadlines, .. }) = legs.get_mut(&id) else { return };
        let Up { unacked: Some(unacked), .. } = &mut **up else { return };
        unacked.interval = core.config.timers.back_off(unacked.interval);
        deadlines.set(LegTimer::Repeat2xx, now + unacked.interval);
        core.resend_reply(id, unacked.reply, unacked.response.clone());
    }

    pub(super) fn give_up_waiting_for_ack(&mut self, now: Instant, id: LegId) {
        self.lose(now, id, None, false);
    }
}

impl Core {
    /// Starts a server transaction inside a dialog.
    pub(super) fn serve(&mut self, arrival: Arrival, key: ServerKey, leg: LegId, is_invite: bool) -> TxId {
        let timers = self.config.timers;
        let reliability = self.reliability(arrival.way);
        let machine = if is_invite {
            ServerMachine::Invite(ServerInvite::new(timers, reliability))
        } else {
            ServerMachine::Other(Server::new(timers, reliability))
        };
        self.transactions.add_server(key, None, machine, arrival.reply, arrival.from.ip(), leg)
    }

    /// Answers 500 to what comes too early (RFC 3261 section 14.2, RFC 3311 section 5.2).
    pub(super) fn answer_too_early(&mut self, now: Instant, tx: TxId, request: &Request) {
        let mut response = Response::to_request(request, 500, None);
        let seconds = self.random_u64() % (MAX_RETRY_AFTER + 1);
        response.headers.push(HeaderName::RetryAfter, seconds.to_string());
        self.answer(now, tx, response);
    }
}

/// Sends the BYE of a closing leg, with credentials if its own peer asked for them.
pub(super) fn send_bye(core: &mut Core, now: Instant, leg: &mut Leg) {
    let Leg { stage: Stage::Closing { dialog, reason, .. }, peer, auth, id, .. } = leg else { return };
    let to = peer.next_hop(dialog);
    let mut bye = dialog.request(Method::Bye);
    if let Some(reason) = reason {
        bye.headers.push(HeaderName::Reason, reason.to_string());
    }
    if let Some(auth) = auth.as_mut().filter(|_| peer.may_authorize(to)) {
        let uri = bye.uri.to_string();
        auth.authorize(&Method::Bye, &uri, &Bytes::new(), &mut bye.headers);
    }
    core.send_other(now, bye, to, User::Bye(*id));
}
