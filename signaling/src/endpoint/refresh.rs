//! Session timers (RFC 4028): who refreshes the session, when, and when it has expired.

use std::time::{Duration, Instant};

use super::compose;
use super::core::Core;
use super::incoming::respond;
use super::leg::{By, Leg, LegTimer, Offer, Ours, Stage, Up};
use super::outgoing::MAX_CHALLENGES;
use super::transactions::{TxId, User};
use super::{Endpoint, Event, LegId, Reason, lost, offers, ours};
use crate::message::{HeaderName, Headers, Method, Refresher, Request, Response, SessionExpires};
use crate::transaction::{Deadlines, Fault};

/// The least interval anybody may ask of us, and the one RFC 4028 section 4 recommends, seconds.
pub(super) const MIN_SE: u32 = 90;
/// An interval beyond a week is as good as that; a Min-SE beyond a day is refused.
const MAX_INTERVAL: u32 = 7 * 24 * 3600;
const MAX_MIN_SE: u32 = 24 * 3600;
/// The soonest refresh after the last, whatever interval the peer wants.
const SOONEST: Duration = Duration::from_secs(5);
/// Until a refresh that found another request under way is tried again.
pub(super) const BUSY: Duration = Duration::from_secs(2);
/// The soonest new try after a refresh that failed.
const AGAIN: Duration = Duration::from_secs(5);
/// Option tag.
const TIMER: &str = "timer";

/// What a leg wants of session timers, and what its peer can do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    /// Session-Expires of our requests, seconds; 0: no session timers.
    pub(super) expires: u32,
    /// The least interval anybody on the way takes, seconds.
    pub(super) min_se: u32,
    /// The peer takes UPDATE.
    pub(super) takes_update: bool,
}

/// What both ends agreed on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Session {
    /// Seconds.
    interval: u32,
    /// We refresh.
    ours: bool,
    /// When it last was.
    refreshed: Instant,
    /// Our UPDATE that is on its way.
    update: Option<TxId>,
    /// Challenges answered and 422 obeyed since the last refresh.
    tries: u8,
}

impl Wish {
    pub(super) fn new(expires: u32) -> Self {
        let expires = if expires == 0 { 0 } else { expires.clamp(MIN_SE, MAX_INTERVAL) };
        Self { expires, min_se: MIN_SE, takes_update: false }
    }

    /// What the peer says about itself.
    pub(super) fn learn(&mut self, headers: &Headers) {
        if headers.get(&HeaderName::Allow).is_some() {
            self.takes_update = headers.lists(&HeaderName::Allow, "UPDATE");
        }
    }

    /// A 422 came: asks for more from now on, or for nothing where that makes no sense. `false` if nothing is left to
    /// try.
    pub(super) fn obey(&mut self, response: &Response) -> bool {
        if self.expires == 0 {
            return false;
        }
        match response.headers.min_se().filter(|min_se| (self.min_se + 1..=MAX_MIN_SE).contains(min_se)) {
            Some(min_se) => {
                self.min_se = min_se;
                self.expires = self.expires.max(min_se);
            }
            None => self.expires = 0,
        }
        true
    }

    /// Adds what a request says about timers; `refresher` once there is a session.
    pub(super) fn push(&self, headers: &mut Headers, refresher: Option<Refresher>) {
        if self.expires > 0 {
            headers.push(HeaderName::Supported, TIMER);
            headers.push(HeaderName::SessionExpires, SessionExpires { seconds: self.expires, refresher }.to_string());
            headers.push(HeaderName::MinSe, self.min_se.to_string());
        }
    }
}

impl Session {
    /// Who refreshes, as a request of ours says it.
    fn refresher(&self) -> Refresher {
        if self.ours { Refresher::Uac } else { Refresher::Uas }
    }

    /// When the call is over without a refresh (RFC 4028 section 10).
    fn end(&self) -> Instant {
        let interval = self.interval.max(MIN_SE);
        self.refreshed + Duration::from_secs(u64::from(interval - (interval / 3).min(32)))
    }
}

/// Whether a request asks for a shorter session than we take, and understands being told so.
pub(super) fn is_too_short(headers: &Headers) -> bool {
    headers.session_expires().is_some_and(|asked| asked.seconds < MIN_SE)
        && headers.lists(&HeaderName::Supported, TIMER)
}

/// Adds what an INVITE or UPDATE of ours says about timers.
pub(super) fn push_request(headers: &mut Headers, wish: &Wish, session: Option<&Session>) {
    wish.push(headers, session.map(Session::refresher));
}

/// A 2xx to an INVITE or UPDATE of ours came: what it says is what is agreed, and the session begins anew.
pub(super) fn agree(now: Instant, leg: &mut Leg, headers: &Headers) {
    leg.wish.learn(headers);
    let agreed = headers.session_expires().filter(|_| leg.wish.expires > 0);
    let Leg { stage: Stage::Up(up), deadlines, .. } = leg else { return };
    // Without it the peer (or nobody on the way) knows timers: the session lasts for as long as both like.
    let agreed = agreed.map(|agreed| (agreed.seconds, agreed.refresher != Some(Refresher::Uas)));
    begin(now, &mut up.session, deadlines, agreed);
}

/// We answer an INVITE or UPDATE of the peer's with 2xx: adds what is agreed to the answer.
pub(super) fn accept(
    now: Instant,
    wish: &mut Wish,
    session: &mut Option<Session>,
    deadlines: &mut Deadlines<LegTimer>,
    request: &Request,
    response: &mut Response,
) {
    wish.learn(&request.headers);
    if wish.expires == 0 {
        return;
    }
    response.headers.push(HeaderName::Supported, TIMER);
    let knows_timers = request.headers.lists(&HeaderName::Supported, TIMER);
    let agreed = match (request.headers.session_expires(), session.as_ref()) {
        (Some(asked), _) => {
            // Somebody on the way may have asked for a peer that knows nothing of it (table 2 of RFC 4028).
            let ours = !knows_timers || asked.refresher == Some(Refresher::Uas);
            Some((asked.seconds.max(MIN_SE), ours))
        }
        (None, Some(session)) if session.ours || knows_timers => Some((session.interval, session.ours)),
        (None, Some(_) | None) => None,
    };
    if let Some((seconds, ours)) = agreed {
        let refresher = Some(if ours { Refresher::Uas } else { Refresher::Uac });
        response.headers.push(HeaderName::SessionExpires, SessionExpires { seconds, refresher }.to_string());
        if !ours {
            response.headers.push(HeaderName::Require, TIMER);
        }
    }
    begin(now, session, deadlines, agreed);
}

fn begin(
    now: Instant,
    session: &mut Option<Session>,
    deadlines: &mut Deadlines<LegTimer>,
    agreed: Option<(u32, bool)>,
) {
    deadlines.stop(LegTimer::Refresh);
    deadlines.stop(LegTimer::SessionEnd);
    let update = session.as_ref().and_then(|session| session.update);
    *session = agreed.map(|(seconds, ours)| {
        let interval = seconds.clamp(1, MAX_INTERVAL);
        let session = Session { interval, ours, refreshed: now, update, tries: 0 };
        if ours {
            deadlines.set(LegTimer::Refresh, now + (Duration::from_secs(u64::from(interval)) / 2).max(SOONEST));
        }
        deadlines.set(LegTimer::SessionEnd, session.end());
        session
    });
}

impl Endpoint {
    /// It is time for our refresh: by UPDATE where the peer takes it, else by a re-INVITE with what we last said.
    pub(super) fn refresh(&mut self, now: Instant, id: LegId) {
        let Self { core, legs, .. } = self;
        let Some(leg) = legs.get_mut(&id) else { return };
        let Leg { stage: Stage::Up(up), deadlines, wish, ours, theirs, .. } = leg else { return };
        let Some(session) = up.session.filter(|_| up.hangup.is_none()) else { return };
        let is_busy = up.unacked.is_some() || !theirs.is_none() || session.update.is_some();
        // An offer of ours that is under way refreshes as well.
        if is_busy || !matches!(ours, Ours::None) {
            return deadlines.set(LegTimer::Refresh, now + BUSY);
        }
        if wish.takes_update {
            send_update(core, now, leg);
        } else if let Some(sdp) = up.local_sdp.clone() {
            *ours = Ours::Waiting(Offer { is_refresh: true, ..Offer::new(sdp, By::Invite) });
            self.try_waiting_offer(now, id);
        }
    }

    /// The answer to our UPDATE came.
    pub(super) fn handle_update_response(&mut self, now: Instant, tx: TxId, id: LegId, response: &Response) {
        let status = response.status;
        if status < 200 {
            return;
        }
        if self.legs.get(&id).is_some_and(|leg| ours::is_waiting_for(leg, tx)) {
            return self.handle_offer_response(now, tx, id, response);
        }
        let Self { core, legs, .. } = self;
        let Some(leg) = legs.get_mut(&id) else { return };
        let Leg { stage: Stage::Up(up), deadlines, wish, auth, peer, label, .. } = leg else { return };
        let Some(session) = up.session.as_mut().filter(|session| session.update == Some(tx)) else { return };
        session.update = None;
        let may_try = session.tries < MAX_CHALLENGES;
        session.tries = session.tries.saturating_add(1);
        match status {
            ..=299 => {
                lost::refresh_target(core, now, (id, peer, label), up, &response.headers);
                agree(now, leg, &response.headers);
            }
            401 | 407 if may_try => {
                let is_proxy = status == 407;
                let auth = auth.as_mut();
                if auth.is_some_and(|auth| auth.handle_challenge(&response.headers, is_proxy).is_ok()) {
                    send_update(core, now, leg);
                } else {
                    self.refresh_later(now, id);
                }
            }
            422 if may_try && wish.obey(response) => send_update(core, now, leg),
            // It says it takes UPDATE, and does not.
            405 | 501 => {
                wish.takes_update = false;
                deadlines.set(LegTimer::Refresh, now);
            }
            491 => {
                let delay = ours::glare_delay(core, up.is_caller);
                deadlines.set(LegTimer::Refresh, now + delay);
            }
            481 => self.lose(now, id, Some(status), true),
            408 => self.lose(now, id, Some(status), false),
            // Whatever it has against UPDATE, it need not have against a re-INVITE.
            300.. => {
                wish.takes_update = false;
                self.refresh_later(now, id);
            }
        }
        self.reschedule_leg(id);
    }

    pub(super) fn handle_update_fault(&mut self, now: Instant, tx: TxId, id: LegId, fault: Fault) {
        if self.legs.get(&id).is_some_and(|leg| ours::is_waiting_for(leg, tx)) {
            return self.handle_offer_fault(now, tx, id, fault);
        }
        let Some(Leg { stage: Stage::Up(up), wish, .. }) = self.legs.get_mut(&id) else { return };
        let Some(session) = up.session.as_mut().filter(|session| session.update == Some(tx)) else { return };
        session.update = None;
        // There are things on the way that let no method through which they do not know.
        wish.takes_update = false;
        self.refresh_later(now, id);
        self.reschedule_leg(id);
    }

    /// A refresh came to nothing. There is time until the session ends: it is tried again in the middle of what is
    /// left, for whatever was in the way may pass.
    pub(super) fn refresh_later(&mut self, now: Instant, id: LegId) {
        let Some(Leg { stage: Stage::Up(up), deadlines, .. }) = self.legs.get_mut(&id) else { return };
        let Some(session) = &up.session else { return };
        let left = session.end().saturating_duration_since(now) / 2;
        deadlines.set(LegTimer::Refresh, now + left.max(AGAIN));
    }

    /// Nobody refreshed the session in time.
    pub(super) fn expire(&mut self, now: Instant, id: LegId) {
        let Some(Leg { stage: Stage::Up(up), .. }) = self.legs.get(&id) else { return };
        let Some(session) = up.session else { return };
        let event = up.hangup.is_none().then(|| Event::SessionExpired {
            leg: id,
            interval: Duration::from_secs(u64::from(session.interval)),
            refresher_is_us: session.ours,
            since: now.saturating_duration_since(session.refreshed),
        });
        let text = Some("Session timer expired".to_owned());
        self.close(now, id, Some(Reason { protocol: "Q.850".to_owned(), cause: 102, text }));
        if let Some(event) = event {
            self.core.event(event);
        }
    }

    /// The 2xx to an UPDATE without an offer, which is a new target and a refresh.
    pub(super) fn accept_refresh(&mut self, now: Instant, tx: TxId, id: LegId, request: &Request) {
        let Self { core, legs, .. } = self;
        let Some(leg) = legs.get_mut(&id) else { return };
        let mut response = respond(core, request, 200, &leg.dialog_id.local_tag);
        let Leg { stage, deadlines, wish, peer, label, .. } = leg;
        if let Stage::Up(up) = stage {
            lost::refresh_target(core, now, (id, peer, label), up, &request.headers);
            accept(now, wish, &mut up.session, deadlines, request, &mut response);
        } else if let Some(dialog) = stage.dialog_with(&offers::sender_of(request)) {
            dialog.refresh_target(&request.headers);
        }
        core.answer(now, tx, response);
        self.reschedule_leg(id);
    }
}

/// An UPDATE without an offer (RFC 4028 section 7.4).
fn send_update(core: &mut Core, now: Instant, leg: &mut Leg) {
    let Leg { stage: Stage::Up(up), peer, auth, id, wish, .. } = leg else { return };
    let Up { dialog, session: Some(session), .. } = &mut **up else { return };
    let to = peer.next_hop(dialog);
    let mut request = dialog.request(Method::Update);
    compose::push_abilities(&mut request.headers, core.config.advertised);
    push_request(&mut request.headers, wish, Some(session));
    if let Some(auth) = auth.as_mut().filter(|_| peer.may_authorize(to)) {
        let uri = request.uri.to_string();
        auth.authorize(&Method::Update, &uri, &bytes::Bytes::new(), &mut request.headers);
    }
    session.update = Some(core.send_other(now, request, to, User::Update(*id)));
}
