//! Calls we get: RFC 3261 section 13.3 (INVITE, 2xx until ACK) and 9.2 (CANCEL).

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::compose;
use super::core::Core;
use super::leg::{Incoming, Leg, LegTimer, Ours, Peer, Stage, Theirs, Unacked, Up};
use super::receive::Arrival;
use super::refresh::{self, Session, Wish};
use super::reliable::Provisionals;
use super::transactions::{MergeKey, ServerMachine, TxId};
use super::{Endpoint, Event, LegId, NoSuchLeg, SESSION_EXPIRES, Transfer, lost, offers, via};
use crate::dialog::Dialog;
use crate::message::{Headers, Request, Response};
use crate::transaction::{Deadlines, ServerInvite, ServerInviteState, ServerKey};

/// How long a call may ring here before it is refused with 480.
const RING_LIMIT: Duration = Duration::from_secs(180);

/// What an INVITE outside of dialogs is for.
pub(super) enum Purpose {
    /// A call, which came through this door.
    Call(String),
    /// To take the place of this leg.
    Replace(LegId),
}

impl Endpoint {
    /// An INVITE outside of dialogs that is fit to be a call.
    pub(super) fn handle_call(
        &mut self,
        arrival: Arrival,
        key: ServerKey,
        bytes: &Bytes,
        request: Request,
        purpose: Purpose,
    ) {
        let merge = MergeKey::of(&request.headers);
        if merge.as_ref().is_some_and(|merge| self.core.transactions.is_merged(merge)) {
            return self.core.refuse(&request, arrival, (482, None));
        }
        // It has been here before, or too long on its way (RFC 3261 section 16.3, RFC 7332): calls that we make must not
        // come back as calls to us for ever.
        if via::passed(&request.headers, &self.core.addresses) {
            return self.core.refuse(&request, arrival, (482, None));
        }
        if request.headers.max_forwards() == Some(0) {
            return self.core.refuse(&request, arrival, (483, None));
        }
        if self.is_full() {
            return self.core.refuse_overload(&request, arrival);
        }
        let tag = self.core.token();
        let (Ok(dialog), Ok(from)) = (Dialog::uas(&request, &tag), request.headers.from()) else {
            return self.core.refuse(&request, arrival, (400, None));
        };
        let id = self.new_leg_id(arrival.way);
        let core = &mut self.core;
        let sdp = compose::sdp_of(&request.headers, &request.body);
        let (uri, headers) = (request.uri.clone(), request.headers.clone());
        // First of all: what else is told of the leg finds it known.
        let over = core.transport(id);
        let call_id = dialog.id().call_id.clone();
        core.event(match &purpose {
            Purpose::Call(door) => {
                let (door, peer) = (door.clone(), arrival.from);
                Event::Incoming {
                    leg: id,
                    door,
                    peer,
                    told: core.told(&over, peer.ip()).ip(),
                    over,
                    from,
                    uri,
                    headers,
                    sdp,
                }
            }
            Purpose::Replace(leg) => {
                Event::Transfer { leg: *leg, transfer: Transfer::Replaced { by: id, call_id, sdp } }
            }
        });
        let connection = core.connections.begin_leg(arrival.from, arrival.way);
        let peer = Peer { connection, ..Peer::at(arrival.from) };
        core.tracer.begin(id);
        core.trace(Some(id), bytes, arrival.from, false, false);
        let machine = ServerMachine::Invite(ServerInvite::new(core.config.timers, core.reliability(arrival.way)));
        let tx = core.transactions.add_server(key, merge, machine, arrival.reply, arrival.from.ip(), id);
        core.answer(arrival.now, tx, Response::to_request(&request, 100, None));
        let (label, auth) = match purpose {
            Purpose::Call(door) => (door, None),
            Purpose::Replace(leg) => self.belongings(leg),
        };
        let (mut deadlines, mut wish) = (Deadlines::default(), Wish::new(SESSION_EXPIRES));
        wish.learn(&request.headers);
        deadlines.set(LegTimer::RingLimit, arrival.now + RING_LIMIT);
        self.add_leg(Leg {
            id,
            dialog_id: dialog.id().clone(),
            peer,
            label,
            auth,
            deadlines,
            wish,
            ours: Ours::None,
            theirs: Theirs::None,
            stage: Stage::Incoming(Box::new(Incoming { request, tx, dialog, provisionals: Provisionals::default() })),
        });
        self.reschedule_leg(id);
    }

    pub(super) fn accept_incoming(&mut self, now: Instant, id: LegId, sdp: Bytes) -> Result<(), NoSuchLeg> {
        if self.keep_answer(id, &sdp) {
            return Ok(());
        }
        let Self { core, legs, .. } = self;
        let Some(leg) = legs.get_mut(&id).filter(|leg| matches!(leg.stage, Stage::Incoming(_))) else {
            return Err(NoSuchLeg);
        };
        let Stage::Incoming(incoming) = std::mem::replace(&mut leg.stage, Stage::Closed) else {
            return Err(NoSuchLeg);
        };
        let Incoming { request, tx, dialog, provisionals } = *incoming;
        // What was agreed before is not said again (RFC 6337 section 3.1.1).
        let (said, local) = if provisionals.is_agreed {
            (Bytes::new(), provisionals.local_sdp.unwrap_or(sdp))
        } else {
            (sdp.clone(), sdp)
        };
        // The 2xx makes the peer wait for nothing but a BYE: it goes out when that is sure to come.
        let (held, over) = (core.hold(now, id), core.transport(id));
        lost::tell(core, held, id, || lost::of_dialog(leg.peer.address, over, leg.label.clone(), &dialog));
        let mut up = Up::new(dialog, false, Some(local));
        leg.deadlines.clear();
        let Leg { wish, deadlines, dialog_id, .. } = &mut *leg;
        let answering = Answering { tag: &dialog_id.local_tag, wish, deadlines, session: &mut up.session };
        up.unacked = send_2xx(core, now, answering, tx, &request, said);
        if let Some(unacked) = &mut up.unacked {
            unacked.is_first = true;
            unacked.offers &= !provisionals.is_agreed;
        }
        leg.stage = Stage::Up(Box::new(up));
        self.reschedule_leg(id);
        Ok(())
    }

    pub(super) fn reject_incoming(
        &mut self,
        now: Instant,
        id: LegId,
        status: u16,
        fields: &Headers,
    ) -> Result<(), NoSuchLeg> {
        let status = if (300..=699).contains(&status) { status } else { 480 };
        self.refuse_call(now, id, status, fields).ok_or(NoSuchLeg)
    }

    /// Answers an incoming call with a final refusal and forgets it.
    pub(super) fn refuse_call(&mut self, now: Instant, id: LegId, status: u16, fields: &Headers) -> Option<()> {
        let Self { core, legs, .. } = self;
        let Leg { stage: Stage::Incoming(incoming), dialog_id, .. } = legs.get(&id)? else { return None };
        let tag = String::from_utf8_lossy(&dialog_id.local_tag);
        let mut response = Response::to_request(&incoming.request, status, Some(&tag));
        for (name, value) in fields.iter().filter(|(name, _)| !compose::is_ours(name)) {
            response.headers.push(name.clone(), value.clone());
        }
        compose::push_warning(&mut response, &core.config.domain);
        core.answer(now, incoming.tx, response);
        self.drop_leg(now, id);
        Some(())
    }

    /// A CANCEL came. It is answered without a transaction of its own: its repetitions find the INVITE as well.
    pub(super) fn handle_cancel(&mut self, arrival: Arrival, request: &Request) {
        let found = ServerKey::of_cancelled(request).ok().and_then(|key| self.core.transactions.find_server(&key));
        let transaction = found.and_then(|tx| self.core.transactions.server(tx).map(|server| (tx, server)));
        let Some((tx, server)) = transaction.filter(|(_, server)| server.source == arrival.from.ip()) else {
            return self.core.refuse(request, arrival, (481, None));
        };
        let leg_id = server.leg;
        let is_open = match &server.machine {
            ServerMachine::Invite(machine) => matches!(machine.state(), ServerInviteState::Proceeding { .. }),
            ServerMachine::Other(_) => false,
        };
        self.core.answer_stateless(request, arrival, 200, None);
        if !is_open {
            return;
        }
        match self.legs.get_mut(&leg_id) {
            Some(Leg { stage: Stage::Incoming(_), .. }) => {
                self.refuse_call(arrival.now, leg_id, 487, &Headers::default());
                self.core.event(Event::Cancelled { leg: leg_id, reason: compose::reason_of(&request.headers) });
            }
            Some(leg) if offers::pending(leg) == Some(tx) => {
                offers::withdraw(&mut self.core, arrival.now, leg, 487);
                self.try_waiting_offer(arrival.now, leg_id);
                self.reschedule_leg(leg_id);
            }
            Some(_) | None => {}
        }
    }

    /// Nobody answered the call here.
    pub(super) fn give_up_ringing(&mut self, now: Instant, id: LegId) {
        if self.refuse_call(now, id, 480, &Headers::default()).is_some() {
            self.core.event(Event::Cancelled { leg: id, reason: None });
        }
    }
}

/// An answer that may make or refresh a dialog.
pub(super) fn respond(core: &Core, request: &Request, status: u16, tag: &[u8]) -> Response {
    let mut response = Response::to_request(request, status, Some(&String::from_utf8_lossy(tag)));
    compose::push_abilities(&mut response.headers, core.config.advertised);
    response
}

/// The parts of a leg that an answer is made of.
pub(super) struct Answering<'a> {
    pub(super) tag: &'a [u8],
    pub(super) wish: &'a mut Wish,
    pub(super) deadlines: &'a mut Deadlines<LegTimer>,
    pub(super) session: &'a mut Option<Session>,
}

/// Answers an INVITE with 200 and starts to repeat that until the ACK comes (RFC 3261 section 13.3.1.4).
pub(super) fn send_2xx(
    core: &mut Core,
    now: Instant,
    Answering { tag, wish, deadlines, session }: Answering<'_>,
    tx: TxId,
    request: &Request,
    sdp: Bytes,
) -> Option<Unacked> {
    let mut response = respond(core, request, 200, tag);
    refresh::accept(now, wish, session, deadlines, request, &mut response);
    compose::push_sdp(&mut response.headers, &mut response.body, sdp);
    let reply = core.transactions.server(tx)?.reply;
    let response = core.answer(now, tx, response);
    let timers = core.config.timers;
    deadlines.set(LegTimer::Repeat2xx, now + timers.t1);
    deadlines.set(LegTimer::NoAck, now + timers.patience());
    Some(Unacked {
        cseq: request.headers.cseq().map_or(0, |cseq| cseq.number),
        response,
        reply,
        interval: timers.t1,
        offers: compose::sdp_of(&request.headers, &request.body).is_none(),
        is_first: false,
    })
}
