//! Provisional answers to calls we get, reliable where the caller asks for it (RFC 3262 section 3): one at a time, each
//! repeated until its PRACK comes; a 2xx waits for it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::compose;
use super::core::Core;
use super::early::RELIABLE;
use super::incoming::respond;
use super::leg::{Incoming, Leg, LegTimer, Ours, Stage, Theirs};
use super::receive::{Arrival, Reply};
use super::{Endpoint, Event, Fork, LegId, NoSuchLeg, Reason};
use crate::message::{HeaderName, Headers, Method, Request, Response};
use crate::transaction::ServerKey;

/// Provisional answers of one call that may wait for the one before them.
const MAX_WAITING: usize = 8;

/// The provisional answers of a call.
#[derive(Debug, Default)]
pub(super) struct Provisionals {
    /// Of the latest reliable one.
    rseq: Option<u32>,
    sent: Option<Sent>,
    waiting: VecDeque<(u16, Option<Bytes>)>,
    /// The 2xx's description, while that waits.
    answer: Option<Bytes>,
    /// Offer and answer are both known for certain.
    pub(super) is_agreed: bool,
    /// Our description that holds.
    pub(super) local_sdp: Option<Bytes>,
}

/// A reliable one without its PRACK.
#[derive(Debug)]
struct Sent {
    rseq: u32,
    response: Bytes,
    reply: Reply,
    interval: Duration,
    /// It carries our offer; the PRACK brings the answer.
    offers: bool,
}

impl Provisionals {
    /// Whether an offer of ours waits for its answer.
    pub(super) fn is_offering(&self) -> bool {
        self.sent.as_ref().is_some_and(|sent| sent.offers)
    }

    /// Whether the next answer has to wait.
    fn is_busy(&self) -> bool {
        self.sent.is_some()
    }
}

impl Endpoint {
    pub(super) fn ring_incoming(
        &mut self,
        now: Instant,
        id: LegId,
        status: u16,
        sdp: Option<Bytes>,
    ) -> Result<(), NoSuchLeg> {
        let Self { core, legs, .. } = self;
        let Some(leg) = legs.get_mut(&id) else { return Err(NoSuchLeg) };
        let Stage::Incoming(incoming) = &mut leg.stage else { return Err(NoSuchLeg) };
        let status = if (101..=199).contains(&status) { status } else { 180 };
        if incoming.provisionals.is_busy() {
            // overflow: dropped and counted; what rings for so long without a PRACK is about to end.
            if incoming.provisionals.waiting.len() >= MAX_WAITING {
                core.stats.dropped += 1;
            } else {
                incoming.provisionals.waiting.push_back((status, sdp));
            }
            return Ok(());
        }
        send_provisional(core, now, leg, status, sdp);
        self.reschedule_leg(id);
        Ok(())
    }

    /// Whether a 2xx has to wait for a PRACK, or for our answer to the offer in one; it is kept then.
    pub(super) fn keep_answer(&mut self, id: LegId, sdp: &Bytes) -> bool {
        let Some(Leg { stage: Stage::Incoming(incoming), theirs, .. }) = self.legs.get_mut(&id) else { return false };
        let waits = incoming.provisionals.is_busy() || !theirs.is_none();
        if waits {
            incoming.provisionals.answer = Some(sdp.clone());
        }
        waits
    }

    /// A PRACK came.
    pub(super) fn handle_prack(&mut self, arrival: Arrival, key: ServerKey, id: LegId, request: Request) {
        let now = arrival.now;
        let Some(offers) = self.take_acknowledged(id, &request) else {
            return self.core.refuse(&request, arrival, (481, None));
        };
        let tx = self.core.serve(arrival, key, id, false);
        let Self { core, legs, .. } = self;
        let Some(leg) = legs.get_mut(&id) else { return };
        let Stage::Incoming(incoming) = &mut leg.stage else { return };
        let sdp = compose::sdp_of(&request.headers, &request.body);
        let is_free = leg.theirs.is_none() && matches!(leg.ours, Ours::None);
        match sdp {
            answer if offers => {
                incoming.provisionals.is_agreed = answer.is_some();
                core.answer(now, tx, Response::to_request(&request, 200, None));
                core.event(Event::OfferAnswered { leg: id, result: answer.ok_or(488) });
            }
            // A further offer (section 5); the 200 brings the answer.
            Some(offer) if incoming.provisionals.is_agreed && is_free => {
                let fork = Fork::at_end_of(&incoming.dialog);
                leg.theirs = Theirs::Pending { tx, request: Box::new(request) };
                leg.deadlines.set(LegTimer::OfferUnanswered, now + core.config.timers.patience() / 2);
                core.event(Event::Offer { leg: id, fork, sdp: Some(offer) });
            }
            Some(_) => {
                core.answer(now, tx, Response::to_request(&request, 491, None));
            }
            None => {
                core.answer(now, tx, Response::to_request(&request, 200, None));
            }
        }
        self.go_on_answering(now, id);
        self.reschedule_leg(id);
    }

    /// Gives the next answer that waits, unless it has to wait longer.
    pub(super) fn go_on_answering(&mut self, now: Instant, id: LegId) {
        let Self { core, legs, .. } = self;
        let Some(leg) = legs.get_mut(&id).filter(|leg| leg.theirs.is_none()) else { return };
        let Stage::Incoming(incoming) = &mut leg.stage else { return };
        if incoming.provisionals.is_busy() {
            return;
        }
        if let Some(sdp) = incoming.provisionals.answer.take() {
            // The leg is there and unanswered.
            let _ = self.accept_incoming(now, id, sdp);
        } else if let Some((status, sdp)) = incoming.provisionals.waiting.pop_front() {
            send_provisional(core, now, leg, status, sdp);
        }
    }

    pub(super) fn repeat_provisional(&mut self, now: Instant, id: LegId) {
        let Self { core, legs, .. } = self;
        let Some(Leg { stage: Stage::Incoming(incoming), deadlines, .. }) = legs.get_mut(&id) else { return };
        let Some(sent) = &mut incoming.provisionals.sent else { return };
        // Doubled without a limit (section 3): the one on PRACK ends it.
        sent.interval = sent.interval.saturating_mul(2);
        deadlines.set(LegTimer::Repeat1xx, now + sent.interval);
        core.resend_reply(id, sent.reply, sent.response.clone());
    }

    /// No PRACK came in 64*T1: the call is refused (section 3).
    pub(super) fn give_up_waiting_for_prack(&mut self, now: Instant, id: LegId) {
        if self.refuse_call(now, id, 504, &Headers::default()).is_some() {
            let reason = Reason { protocol: "SIP".to_owned(), cause: 504, text: Some("No PRACK".to_owned()) };
            self.core.event(Event::Cancelled { leg: id, reason: Some(reason) });
        }
    }

    /// Whether a PRACK names what we wait for; if so, whether that was our offer.
    fn take_acknowledged(&mut self, id: LegId, request: &Request) -> Option<bool> {
        let rack = request.headers.rack()?;
        let Leg { stage: Stage::Incoming(incoming), deadlines, .. } = self.legs.get_mut(&id)? else { return None };
        let cseq = incoming.request.headers.cseq().ok()?.number;
        let provisionals = &mut incoming.provisionals;
        let is_meant = |sent: &mut Sent| rack.rseq == sent.rseq && rack.cseq == cseq && rack.method == Method::Invite;
        let sent = provisionals.sent.take_if(is_meant)?;
        deadlines.stop(LegTimer::Repeat1xx);
        deadlines.stop(LegTimer::NoPrack);
        Some(sent.offers)
    }
}

/// Sends one, reliably if the caller demands it, or can take it and there is a description that must not be lost.
fn send_provisional(core: &mut Core, now: Instant, leg: &mut Leg, status: u16, sdp: Option<Bytes>) {
    let Leg { stage: Stage::Incoming(incoming), deadlines, dialog_id, .. } = leg else { return };
    let Incoming { request, tx, provisionals, .. } = &mut **incoming;
    let has_offer = compose::sdp_of(&request.headers, &request.body).is_some();
    let takes = |list| request.headers.lists(list, RELIABLE);
    let sdp = sdp.filter(|sdp| !sdp.is_empty() && !provisionals.is_agreed);
    let is_reliable = takes(&HeaderName::Require) || takes(&HeaderName::Supported) && sdp.is_some();
    // An offer of ours may stand in a reliable one only (RFC 3261 section 13.2.1).
    let sdp = sdp.filter(|_| has_offer || is_reliable);
    let mut response = respond(core, request, status, &dialog_id.local_tag);
    compose::push_sdp(&mut response.headers, &mut response.body, sdp.clone().unwrap_or_default());
    if !is_reliable {
        core.answer(now, *tx, response);
        return;
    }
    let Some(reply) = core.transactions.server(*tx).map(|server| server.reply) else { return };
    let rseq = match provisionals.rseq {
        Some(latest) => latest.saturating_add(1),
        // Between 1 and 2^31 - 1 (section 3).
        None => u32::try_from(core.random_u64() % 0x7fff_ffff).unwrap_or_default().saturating_add(1),
    };
    response.headers.push(HeaderName::Require, RELIABLE);
    response.headers.push(HeaderName::RSeq, rseq.to_string());
    let response = core.answer(now, *tx, response);
    let timers = core.config.timers;
    let offers = sdp.is_some() && !has_offer;
    provisionals.is_agreed |= sdp.is_some() && has_offer;
    provisionals.local_sdp = sdp.or(provisionals.local_sdp.take());
    provisionals.rseq = Some(rseq);
    provisionals.sent = Some(Sent { rseq, response, reply, interval: timers.t1, offers });
    deadlines.set(LegTimer::Repeat1xx, now + timers.t1);
    deadlines.set(LegTimer::NoPrack, now + timers.patience());
}
