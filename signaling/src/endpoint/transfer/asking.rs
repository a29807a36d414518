//! Our REFER, and what the peer's NOTIFYs say about it.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{LIFETIME, Refer, SIPFRAG, Transfer, refer_sub, referred_by, subscription_state};
use crate::endpoint::core::Core;
use crate::endpoint::leg::{Leg, LegTimer, Stage};
use crate::endpoint::outgoing::MAX_CHALLENGES;
use crate::endpoint::receive::Arrival;
use crate::endpoint::transactions::User;
use crate::endpoint::{Endpoint, Event, LegId, NoSuchLeg, compose};
use crate::message::{HeaderName, Method, Request, Response, Uri};
use crate::transaction::ServerKey;

/// A REFER of ours that is under way.
#[derive(Debug)]
pub(in crate::endpoint) struct Sent {
    refer: Refer,
    /// Number of the REFER, by which NOTIFYs may name it.
    cseq: u32,
    challenges: u8,
    /// The peer has taken it on.
    taken: bool,
}

impl Endpoint {
    pub(super) fn send_refer(&mut self, now: Instant, id: LegId, refer: Refer) -> Result<(), NoSuchLeg> {
        let Self { core, legs, .. } = self;
        let Some(leg) = legs.get_mut(&id) else { return Err(NoSuchLeg) };
        let Stage::Up(up) = &mut leg.stage else { return Err(NoSuchLeg) };
        if up.refers.sent.is_some() || up.hangup.is_some() {
            return Err(NoSuchLeg);
        }
        up.refers.sent = Some(Sent { refer, cseq: 0, challenges: 0, taken: false });
        send(core, now, leg);
        Ok(())
    }

    pub(in crate::endpoint) fn handle_refer_response(&mut self, now: Instant, id: LegId, response: &Response) {
        let status = response.status;
        let Self { core, legs, .. } = self;
        let Some(leg) = legs.get_mut(&id) else { return };
        let Leg { stage: Stage::Up(up), auth, deadlines, .. } = &mut *leg else { return };
        let Some(sent) = &mut up.refers.sent else { return };
        match status {
            ..200 => {}
            // Its NOTIFY was faster.
            200..=299 if sent.taken => {}
            200..=299 => {
                let watched = !is_false(response);
                sent.taken = true;
                if watched {
                    deadlines.set(LegTimer::ReferUntold, now + core.config.timers.patience());
                } else {
                    up.refers.sent = None;
                }
                core.event(Event::Transfer { leg: id, transfer: Transfer::Accepted { watched } });
                self.reschedule_leg(id);
            }
            401 | 407 => {
                let answered =
                    auth.as_mut().is_some_and(|auth| auth.handle_challenge(&response.headers, status == 407).is_ok());
                if answered && sent.challenges < MAX_CHALLENGES {
                    sent.challenges += 1;
                    return send(core, now, leg);
                }
                self.refused(id, Some(status));
            }
            // The dialog is no more (RFC 3261 section 12.2.1.2).
            481 => self.lose(now, id, Some(status), true),
            300.. => self.refused(id, Some(status)),
        }
    }

    /// No answer to our REFER at all: the peer may not know the method, so the call goes on.
    pub(in crate::endpoint) fn handle_refer_fault(&mut self, id: LegId) {
        self.refused(id, None);
    }

    fn refused(&mut self, id: LegId, status: Option<u16>) {
        self.conclude(id, Transfer::Refused(status));
    }

    /// The peer took our REFER on and has not said anything about it since.
    pub(in crate::endpoint) fn give_up_refer(&mut self, id: LegId) {
        self.conclude(id, Transfer::Untold);
    }

    fn conclude(&mut self, id: LegId, transfer: Transfer) {
        let Some(Leg { stage: Stage::Up(up), deadlines, .. }) = self.legs.get_mut(&id) else { return };
        if up.refers.sent.take().is_some() {
            deadlines.stop(LegTimer::ReferUntold);
            self.core.event(Event::Transfer { leg: id, transfer });
            self.reschedule_leg(id);
        }
    }

    /// A NOTIFY inside a dialog: about our REFER, or about nothing we asked for.
    pub(in crate::endpoint) fn handle_notify(
        &mut self,
        arrival: Arrival,
        key: ServerKey,
        id: LegId,
        request: &Request,
    ) {
        let refuse = |endpoint: &mut Self, refusal| endpoint.core.refuse(request, arrival, refusal);
        let (package, number) = event(request);
        if !package.eq_ignore_ascii_case(b"refer") {
            return refuse(self, (489, Some((HeaderName::other("Allow-Events"), "refer".into()))));
        }
        let sent = match self.legs.get(&id).map(|leg| &leg.stage) {
            Some(Stage::Up(up)) => up.refers.sent.as_ref(),
            Some(Stage::Outgoing(_) | Stage::Incoming(_) | Stage::Closing { .. } | Stage::Closed) | None => None,
        };
        if sent.is_none_or(|sent| number.is_some_and(|number| number != sent.cseq)) {
            return refuse(self, (481, None));
        }
        let Some(state) = request.headers.get(&subscription_state()).cloned() else { return refuse(self, (400, None)) };
        if self.is_full() {
            return self.core.refuse_overload(request, arrival);
        }
        let tx = self.core.serve(arrival, key, id, false);
        self.core.answer(arrival.now, tx, Response::to_request(request, 200, None));
        self.note(arrival.now, id, fragment_status(request), &state);
    }

    fn note(&mut self, now: Instant, id: LegId, status: Option<u16>, state: &Bytes) {
        let Self { core, legs, .. } = self;
        let Some(Leg { stage: Stage::Up(up), deadlines, .. }) = legs.get_mut(&id) else { return };
        let Some(sent) = &mut up.refers.sent else { return };
        if !std::mem::replace(&mut sent.taken, true) {
            core.event(Event::Transfer { leg: id, transfer: Transfer::Accepted { watched: true } });
        }
        let is_final = status.is_some_and(|status| status >= 200);
        if let Some(status) = status.filter(|_| !is_final) {
            core.event(Event::Transfer { leg: id, transfer: Transfer::Progress(status) });
        }
        let (word, expires) = subscription(state);
        if let Some(status) = status.filter(|_| is_final) {
            self.conclude(id, Transfer::Progress(status));
        } else if word.eq_ignore_ascii_case(b"terminated") {
            self.conclude(id, Transfer::Untold);
        } else {
            let lifetime = expires.map_or(LIFETIME, |seconds| Duration::from_secs(seconds.into()).min(LIFETIME));
            deadlines.set(LegTimer::ReferUntold, now + lifetime.max(core.config.timers.t1));
            self.reschedule_leg(id);
        }
    }
}

fn send(core: &mut Core, now: Instant, leg: &mut Leg) {
    let Leg { stage: Stage::Up(up), peer, auth, id, .. } = leg else { return };
    let to = peer.next_hop(&up.dialog);
    let mut request = up.dialog.request(Method::Refer);
    let Some(sent) = &mut up.refers.sent else { return };
    sent.cseq = up.dialog.local_cseq();
    let mut target = sent.refer.to.clone();
    if let (Uri::Sip(uri), Some(replaces)) = (&mut target, &sent.refer.replaces) {
        uri.headers = Some(replaces.to_uri_headers());
    }
    compose::push_abilities(&mut request.headers, core.config.advertised);
    request.headers.push(HeaderName::ReferTo, format!("<{target}>"));
    request.headers.push(referred_by(), format!("<sip:{}>", core.config.domain));
    if let Some(auth) = auth.as_mut().filter(|_| peer.may_authorize(to)) {
        let uri = request.uri.to_string();
        auth.authorize(&Method::Refer, &uri, &Bytes::new(), &mut request.headers);
    }
    core.send_other(now, request, to, User::Refer(*id));
}

/// Whether the peer says that no NOTIFY will come (RFC 4488 section 4).
fn is_false(response: &Response) -> bool {
    response.headers.get(&refer_sub()).is_some_and(|value| value.trim_ascii().eq_ignore_ascii_case(b"false"))
}

/// Package and `id` of an Event field.
fn event(request: &Request) -> (Bytes, Option<u32>) {
    let value = request.headers.get(&HeaderName::Event).cloned().unwrap_or_default();
    let (package, id) = word_and(&value, "id");
    (package, id)
}

/// Word and `expires` of a Subscription-State.
fn subscription(state: &Bytes) -> (Bytes, Option<u32>) {
    word_and(state, "expires")
}

/// The word a value begins with, and one of its parameters, a number.
fn word_and(value: &Bytes, parameter: &str) -> (Bytes, Option<u32>) {
    let mut pieces = value.split(|b| *b == b';').map(<[u8]>::trim_ascii);
    let word = Bytes::copy_from_slice(pieces.next().unwrap_or_default());
    let number = pieces.find_map(|piece| {
        let (name, value) = std::str::from_utf8(piece).ok()?.split_once('=')?;
        name.trim().eq_ignore_ascii_case(parameter).then(|| value.trim().parse().ok()).flatten()
    });
    (word, number)
}

/// The status a NOTIFY's piece of a message begins with (RFC 3420).
fn fragment_status(request: &Request) -> Option<u16> {
    if request.headers.content_type().as_deref() != Some(SIPFRAG) {
        return None;
    }
    let rest = request.body.strip_prefix(b"SIP/2.0 ")?;
    let status: u16 = std::str::from_utf8(rest.get(..3)?).ok()?.parse().ok()?;
    (100..=699).contains(&status).then_some(status)
}
