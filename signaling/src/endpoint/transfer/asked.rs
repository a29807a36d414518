//! The peer's REFER: answered by whoever is above, and told how it goes on, in order and for a bounded time.

use std::time::Instant;

use bytes::Bytes;

use super::{Asked, LIFETIME, SIPFRAG, Transfer, refer_sub, referred_by, subscription_state};
use crate::endpoint::core::Core;
use crate::endpoint::incoming::respond;
use crate::endpoint::leg::{Leg, LegTimer, Stage, Up};
use crate::endpoint::outgoing::MAX_CHALLENGES;
use crate::endpoint::receive::Arrival;
use crate::endpoint::transactions::{TxId, User};
use crate::endpoint::{Endpoint, Event, LegId, NoSuchLeg, compose};
use crate::message::{HeaderName, Method, NameAddr, Replaces, Replacing, Request, Response, Uri, reason_phrase};
use crate::transaction::ServerKey;

/// A REFER of the peer's that is under way.
#[derive(Debug)]
pub(in crate::endpoint) struct Served {
    /// Not answered yet.
    pending: Option<(TxId, Box<Request>)>,
    /// Number of the REFER, if NOTIFYs have to name it.
    id: Option<u32>,
    /// The peer wants no NOTIFY (RFC 4488).
    unwatched: bool,
    until: Instant,
    /// What the NOTIFY says that is on its way; the next one waits for its answer.
    telling: Option<u16>,
    waiting: Option<u16>,
    challenges: u8,
}

impl Endpoint {
    /// A REFER inside a dialog.
    pub(in crate::endpoint) fn handle_refer(&mut self, arrival: Arrival, key: ServerKey, id: LegId, request: Request) {
        let asked = match read(&request) {
            Ok(asked) => asked,
            Err(status) => return self.core.refuse(&request, arrival, (status, None)),
        };
        if self.is_full() {
            return self.core.refuse_overload(&request, arrival);
        }
        let Self { core, legs, .. } = self;
        let Some(Leg { stage: Stage::Up(up), deadlines, .. }) = legs.get_mut(&id) else {
            // Nobody can hand over a call that is not answered.
            return core.refuse(&request, arrival, (500, None));
        };
        if up.refers.served.is_some() || up.hangup.is_some() {
            return core.refuse(&request, arrival, (491, None));
        }
        let tx = core.serve(arrival, key, id, false);
        let cseq = request.headers.cseq().map_or(0, |cseq| cseq.number);
        let number = (up.refers.count > 0).then_some(cseq);
        up.refers.count = up.refers.count.saturating_add(1);
        let until = arrival.now + core.config.timers.patience() / 4;
        let unwatched = request.headers.get(&refer_sub()).is_some_and(|value| value.eq_ignore_ascii_case(b"false"));
        up.refers.served = Some(Served {
            pending: Some((tx, Box::new(request))),
            id: number,
            unwatched,
            until,
            telling: None,
            waiting: None,
            challenges: 0,
        });
        deadlines.set(LegTimer::ReferOver, until);
        core.event(Event::Transfer { leg: id, transfer: Transfer::Asked(Box::new(asked)) });
        self.reschedule_leg(id);
    }

    pub(super) fn answer_refer(&mut self, now: Instant, id: LegId, answer: Result<(), u16>) -> Result<(), NoSuchLeg> {
        let Self { core, legs, .. } = self;
        let Some(leg) = legs.get_mut(&id) else { return Err(NoSuchLeg) };
        let Leg { stage: Stage::Up(up), deadlines, dialog_id, .. } = &mut *leg else { return Err(NoSuchLeg) };
        let Some(served) = &mut up.refers.served else { return Err(NoSuchLeg) };
        let Some((tx, request)) = served.pending.take() else { return Err(NoSuchLeg) };
        if let Err(status) = answer {
            let status = if (300..=699).contains(&status) { status } else { 603 };
            core.answer(now, tx, Response::to_request(&request, status, None));
            up.refers.served = None;
            deadlines.stop(LegTimer::ReferOver);
            self.reschedule_leg(id);
            return Ok(());
        }
        let mut response = respond(core, &request, 202, &dialog_id.local_tag);
        served.until = now + LIFETIME;
        deadlines.set(LegTimer::ReferOver, served.until);
        if served.unwatched {
            response.headers.push(refer_sub(), "false");
        }
        core.answer(now, tx, response);
        tell(core, now, leg, 100);
        self.reschedule_leg(id);
        Ok(())
    }

    pub(super) fn report(&mut self, now: Instant, id: LegId, status: u16) -> Result<(), NoSuchLeg> {
        let Self { core, legs, .. } = self;
        let Some(leg) = legs.get_mut(&id) else { return Err(NoSuchLeg) };
        let Stage::Up(up) = &leg.stage else { return Err(NoSuchLeg) };
        if up.refers.served.as_ref().is_none_or(|served| served.pending.is_some()) {
            return Err(NoSuchLeg);
        }
        tell(core, now, leg, status.clamp(100, 699));
        self.reschedule_leg(id);
        Ok(())
    }

    pub(in crate::endpoint) fn handle_told(&mut self, now: Instant, id: LegId, response: &Response) {
        if response.status < 200 {
            return;
        }
        let Self { core, legs, .. } = self;
        let Some(leg) = legs.get_mut(&id) else { return };
        let Leg { stage: Stage::Up(up), auth, .. } = &mut *leg else { return };
        let Some(served) = &mut up.refers.served else { return };
        let Some(told) = served.telling.take() else { return };
        match response.status {
            401 | 407 if served.challenges < MAX_CHALLENGES => {
                let proxy = response.status == 407;
                if auth.as_mut().is_some_and(|auth| auth.handle_challenge(&response.headers, proxy).is_ok()) {
                    served.challenges += 1;
                    return tell(core, now, leg, told);
                }
                self.forget_refer(id);
            }
            200..=299 if told < 200 => {
                if let Some(next) = served.waiting.take() {
                    tell(core, now, leg, next);
                }
            }
            // The last word was heard, or the peer listens no more (RFC 6665 section 4.2.2).
            _ => self.forget_refer(id),
        }
    }

    /// The peer does not answer our NOTIFY, or is through with it.
    pub(in crate::endpoint) fn forget_refer(&mut self, id: LegId) {
        if let Some(Leg { stage: Stage::Up(up), deadlines, .. }) = self.legs.get_mut(&id) {
            up.refers.served = None;
            deadlines.stop(LegTimer::ReferOver);
            self.reschedule_leg(id);
        }
    }

    /// Nobody here has answered the REFER, or come to an end with it, in time.
    pub(in crate::endpoint) fn give_up_serving(&mut self, now: Instant, id: LegId) {
        // A refusal if it is not answered, else the last word: one of them applies.
        if self.answer_refer(now, id, Err(603)).is_err() {
            let _ = self.report(now, id, 408);
        }
    }
}

/// The leg goes: a REFER that nobody here has answered is refused, or its transaction would wait for ever.
pub(in crate::endpoint) fn withdraw(core: &mut Core, now: Instant, leg: &mut Leg) {
    let Stage::Up(up) = &mut leg.stage else { return };
    if let Some((tx, request)) = up.refers.served.as_mut().and_then(|served| served.pending.take()) {
        core.answer(now, tx, Response::to_request(&request, 487, None));
        up.refers.served = None;
    }
}

/// Before the BYE goes out: what the peer has not been told yet.
pub(in crate::endpoint) fn flush(core: &mut Core, now: Instant, leg: &mut Leg) {
    withdraw(core, now, leg);
    let Stage::Up(up) = &mut leg.stage else { return };
    let Some(served) = &mut up.refers.served else { return };
    served.telling = None;
    if let Some(last) = served.waiting.take() {
        tell(core, now, leg, last);
    }
}

/// Tells the peer a status, after what it is being told.
fn tell(core: &mut Core, now: Instant, leg: &mut Leg, status: u16) {
    let Leg { stage: Stage::Up(up), peer, auth, id, deadlines, .. } = leg else { return };
    let Up { refers, dialog, .. } = &mut **up;
    let Some(served) = &mut refers.served else { return };
    if served.unwatched {
        if status >= 200 {
            refers.served = None;
            deadlines.stop(LegTimer::ReferOver);
        }
        return;
    }
    if served.telling.is_some() {
        // overflow: the older word gives way, unless it is the last.
        if served.waiting.is_none_or(|waiting| waiting < 200) {
            served.waiting = Some(status);
        }
        return;
    }
    served.telling = Some(status);
    let to = peer.next_hop(dialog);
    let mut request = dialog.request(Method::Notify);
    let seconds = served.until.saturating_duration_since(now).as_secs();
    let state = if status < 200 { format!("active;expires={seconds}") } else { "terminated;reason=noresource".into() };
    compose::push_abilities(&mut request.headers, core.config.advertised);
    let package = served.id.map_or("refer".into(), |id| format!("refer;id={id}"));
    request.headers.push(HeaderName::Event, package);
    request.headers.push(subscription_state(), state);
    request.headers.push(HeaderName::ContentType, format!("{SIPFRAG};version=2.0"));
    request.body = Bytes::from(format!("SIP/2.0 {status} {}\r\n", reason_phrase(status)));
    if let Some(auth) = auth.as_mut().filter(|_| peer.may_authorize(to)) {
        let uri = request.uri.to_string();
        auth.authorize(&Method::Notify, &uri, &request.body.clone(), &mut request.headers);
    }
    core.send_other(now, request, to, User::Notify(*id));
}

/// Whom a REFER names; a status for one that names nobody we could call.
fn read(request: &Request) -> Result<Asked, u16> {
    let name = HeaderName::ReferTo;
    let mut values = request.headers.get_all(&name);
    let (Some(value), None) = (values.next(), values.next()) else { return Err(400) };
    let mut to = NameAddr::parse(value).map_err(|_| 400_u16)?.uri;
    let replaces = match &mut to {
        Uri::Sip(uri) => {
            let method = uri.parameter("method").flatten();
            if method.is_some_and(|method| !method.eq_ignore_ascii_case(b"INVITE")) {
                return Err(603);
            }
            match Replaces::take_from(uri) {
                Replacing::Nothing => None,
                Replacing::Dialog(replaces) => Some(replaces),
                Replacing::Nonsense => return Err(400),
            }
        }
        Uri::Tel(_) => None,
        Uri::Other(_) => return Err(416),
    };
    Ok(Asked { to, replaces, referred_by: request.headers.get(&referred_by()).cloned() })
}
