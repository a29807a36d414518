//! A call from the trunk: it rings every browser that waits for it, and the first to answer has it. From then on it goes
//! the way of any call.
//!
//! The trunk hears that it rings until the browser's keys are in place: a caller who hears somebody pick up is heard.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Map, Value, json};
use trunkline_media::api::Command;
use trunkline_media::audio::Codec;
use trunkline_media::sdp::trunk::{self, LocalMedia, TrunkMedia};

use super::caller::{Answerer, Called, Rings};
use super::effect::Summons;
use super::holding::Offering;
use super::input::{AttemptId, LeaseRefused, ReceiverSays, SipEvent};
use super::record::Notes;
use super::timers::Timer;
use super::{About, BACKSTOP, Call, Effect, STEP, Stage, Talking};
use crate::ids::SessionId;
use crate::outcome::{LastSip, Reason, RemoteHangup, Unavailable, table};
use crate::routing::{Planned, Route};

/// The one INVITE of a call from the trunk.
pub(super) const ATTEMPT: AttemptId = AttemptId(1);
/// Proxies on the way, and our own SIP side, give up after three minutes (RFC 3261 section 16.6, timer C).
const LONGEST_RING: Duration = Duration::from_secs(170);
/// Browsers one call rings; others that wait for it do not hear of it.
pub const MAX_RUNG: usize = 16;

/// Whom it rings, and whom it rang.
#[derive(Debug, Default)]
pub(super) struct Rung {
    now: Vec<SessionId>,
    before: Vec<SessionId>,
}

/// The trunk's INVITE, while it has no final answer.
#[derive(Debug)]
pub(super) struct Ringing {
    route: Arc<Route>,
    peer: SocketAddr,
    offer: Option<Bytes>,
    /// What its offer comes to.
    codec: Option<Codec>,
    busy: usize,
    step: Step,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a call has one, and it is in a box")]
enum Step {
    /// Nobody has answered.
    Unanswered,
    /// A browser has; waiting for a port pair.
    Leasing,
    /// Waiting for the browser's keys.
    Keying { local: LocalMedia, agreed: Option<(TrunkMedia, Bytes)> },
    /// Our 200 has an offer; its ACK has the answer.
    Confirming { local: LocalMedia },
}

impl Call {
    /// A call from the trunk; it has no browser yet.
    #[must_use]
    pub fn called(now: Instant, about: About, called: Called) -> Self {
        let Called { route, peer, call_id, offer, receivers, busy } = called;
        let mut notes = Notes::new(now, Some(&Planned::Dial(Arc::clone(&route))));
        notes.dialing(&route);
        notes.invited(&route, &peer);
        notes.sip_call_id = call_id;
        let mut call = Self::with(now, about, Vec::new(), notes);
        call.rung.now = receivers;
        call.rung.now.truncate(MAX_RUNG);
        call.attempts = ATTEMPT.0;
        call.stage = Stage::Called(Box::new(Ringing {
            route,
            peer: peer.address,
            offer,
            codec: None,
            busy,
            step: Step::Unanswered,
        }));
        call
    }

    /// Whether it rings a session's browser.
    #[must_use]
    pub fn rings(&self, session: &SessionId) -> Rings {
        if self.rung.now.contains(session) {
            Rings::Yes
        } else if self.rung.before.contains(session) {
            Rings::NoMore
        } else {
            Rings::No
        }
    }

    /// What the trunk speaks, if that shall be relayed to the browser.
    #[must_use]
    pub fn wanted_codec(&self) -> Option<Codec> {
        let Stage::Called(ringing) = &self.stage else { return None };
        ringing.codec.filter(|_| ringing.route.relay)
    }

    /// Whether it still rings for whom waits under this name.
    #[must_use]
    pub fn rings_for(&self, app: &str, name: &str) -> bool {
        let is_theirs = self.about.app == app && self.about.caller.as_ref().is_some_and(|caller| caller.name == name);
        is_theirs && !self.rung.now.is_empty()
    }

    /// As the record says it.
    pub(super) fn direction(&self) -> &'static str {
        if self.about.caller.is_some() { "inbound" } else { "outbound" }
    }

    /// The beginning: everybody who waits hears of it.
    pub(super) fn ring_browsers(&mut self, now: Instant) {
        let Stage::Called(ringing) = &self.stage else { return };
        let (route, peer, offer) = (Arc::clone(&ringing.route), ringing.peer, ringing.offer.clone());
        if let Some(offer) = offer {
            // What cannot be spoken with rings nobody.
            let probe = self.local_media(peer, &route);
            let Ok((media, _)) = trunk::answer_offer(&probe, &offer, route.rtp_source) else {
                self.rung.now.clear();
                return self.finish(now, Reason::DestCodec);
            };
            if let Stage::Called(ringing) = &mut self.stage {
                ringing.codec = Some(media.codec);
            }
        }
        let Stage::Called(ringing) = &self.stage else { return };
        let (busy, ring_timeout) = (ringing.busy, ringing.route.ring_timeout);
        self.notes.evidence("receivers", self.rung.now.len().saturating_add(busy));
        if self.rung.now.is_empty() {
            return self.finish(now, if busy > 0 { Reason::DestBusy } else { Reason::DestNoAnswer });
        }
        self.timers.set(Timer::Ring, now + ring_timeout.min(LONGEST_RING));
        self.effects.push_back(Effect::Ring { attempt: ATTEMPT });
        self.notes.ringing_at = Some(now);
        self.emit("call_ringing", []);
        self.summon(self.rung.now.clone());
    }

    /// Somebody who is rung says something, or comes late.
    pub(super) fn receiver(&mut self, now: Instant, says: ReceiverSays) {
        let Stage::Called(ringing) = &mut self.stage else { return };
        match says {
            // The first answer wins.
            ReceiverSays::Answered(_) if !matches!(ringing.step, Step::Unanswered) => {}
            ReceiverSays::Answered(answerer) => {
                ringing.step = Step::Leasing;
                let trunk = ringing.route.trunk.clone();
                self.answered_by(now, *answerer, trunk);
            }
            ReceiverSays::Declined(session) => {
                let Some(at) = self.rung.now.iter().position(|rung| *rung == session) else { return };
                self.rung.before.push(self.rung.now.remove(at));
                if self.rung.now.is_empty() {
                    self.finish(now, Reason::DestRejected);
                }
            }
            ReceiverSays::Joined(session) => {
                let has_room = !self.rung.now.is_empty() && self.rung.now.len() < MAX_RUNG;
                if has_room && self.rings(&session) == Rings::No {
                    self.rung.now.push(session.clone());
                    self.summon(vec![session]);
                }
            }
        }
    }

    fn answered_by(&mut self, now: Instant, answerer: Answerer, trunk: String) {
        let Answerer { session, profile, metadata, lang, codec, ending_soon, hold, please_wait } = answerer;
        let at = self.rung.now.iter().position(|rung| *rung == session);
        if let Some(at) = at {
            self.rung.before.push(self.rung.now.remove(at));
        }
        self.dismiss("answered_elsewhere");
        self.about.session = Some(session);
        (self.about.profile, self.about.metadata, self.about.lang) = (profile, metadata, lang);
        (self.about.ending_soon, self.about.hold, self.about.please_wait) = (ending_soon, hold, please_wait);
        self.browser.comes(codec);
        self.timers.stop(Timer::Ring);
        self.timers.set(Timer::Setup, now + self.about.limits.setup + BACKSTOP);
        self.timers.set(Timer::Step, now + STEP);
        self.effects.push_back(Effect::LeaseTrunk { attempt: ATTEMPT, trunk, last: true });
    }

    pub(super) fn called_leased(&mut self, now: Instant, attempt: AttemptId, result: Result<SocketAddr, LeaseRefused>) {
        let Stage::Called(ringing) = &self.stage else { return };
        if attempt != ATTEMPT || !matches!(ringing.step, Step::Leasing) {
            return;
        }
        self.timers.stop(Timer::Step);
        let leased = match result {
            Ok(leased) => leased,
            Err(LeaseRefused::TrunkFull | LeaseRefused::Unregistered) => {
                return self.finish(now, Reason::DestUnavailable(Unavailable::TrunkFull));
            }
            // There is no other trunk for a call that came from this one.
            Err(LeaseRefused::TrunkDown | LeaseRefused::TrunkRate) => {
                return self.finish(now, Reason::DestUnavailable(Unavailable::TrunkRate));
            }
            Err(LeaseRefused::NoPorts) => return self.finish(now, Reason::DestUnavailable(Unavailable::GatewayFull)),
            Err(LeaseRefused::MediaGone) => {
                self.notes.evidence("error", LeaseRefused::MediaGone.to_string());
                return self.finish(now, Reason::InternalError);
            }
        };
        let (route, offer) = (Arc::clone(&ringing.route), ringing.offer.clone());
        let local = self.local_media(leased, &route);
        let agreed = match &offer {
            Some(offer) => match trunk::answer_offer(&local, offer, route.rtp_source) {
                Ok((media, answer)) => Some((media, answer.into())),
                Err(_) => return self.finish(now, Reason::DestCodec),
            },
            None => None,
        };
        if let Stage::Called(ringing) = &mut self.stage {
            ringing.step = Step::Keying { local, agreed };
        }
        self.pick_up(now);
    }

    /// Answers the trunk, once the browser can hear and be heard.
    pub(super) fn pick_up(&mut self, now: Instant) {
        let is_up = self.browser.is_up();
        let Stage::Called(ringing) = &mut self.stage else { return };
        let Step::Keying { local, agreed } = &mut ringing.step else { return };
        if !is_up {
            return;
        }
        let (local, route) = (local.clone(), Arc::clone(&ringing.route));
        match agreed.take() {
            Some((media, sdp)) => {
                self.effects.push_back(Effect::Accept { attempt: ATTEMPT, sdp });
                self.media(Command::ConnectTrunk(media.clone()));
                self.talk(now, Talking { attempt: ATTEMPT, route, local, media, offering: Offering::default() });
            }
            None => {
                let sdp = trunk::offer(&local).into();
                ringing.step = Step::Confirming { local };
                self.effects.push_back(Effect::Accept { attempt: ATTEMPT, sdp });
            }
        }
    }

    pub(super) fn handle_sip_called(&mut self, now: Instant, event: SipEvent) {
        match event {
            SipEvent::Cancelled { reason } => {
                self.notes.last_sip = Some(LastSip { message: "CANCEL", code: None });
                self.notes.evidence("hung_up_by", "sip");
                if let Some(reason) = reason {
                    self.notes.received_reason(&reason);
                }
                self.notes.concluded(Some(487), None);
                self.finish_without_leg(now, Reason::RemoteHangup(RemoteHangup::Cancel));
            }
            SipEvent::Confirmed { sdp } => self.confirmed(now, sdp),
            SipEvent::Ended { reason } => {
                self.notes.last_sip = Some(LastSip { message: "BYE", code: None });
                self.notes.evidence("hung_up_by", "sip");
                if let Some(reason) = reason {
                    self.notes.received_reason(&reason);
                }
                self.finish_without_leg(now, Reason::RemoteHangup(RemoteHangup::Bye));
            }
            SipEvent::Lost { .. } | SipEvent::SessionExpired { .. } | SipEvent::Failed(_) | SipEvent::NotSent(_) => {
                self.notes.evidence("sip_side", "no_answer");
                self.finish_without_leg(now, Reason::SipTransportLost);
            }
            // Before the first offer is answered there is no other (RFC 3264 section 4).
            SipEvent::Offer { .. } => {
                self.effects.push_back(Effect::AnswerOffer { attempt: ATTEMPT, answer: Err(491) })
            }
            SipEvent::Sent(_)
            | SipEvent::Trying
            | SipEvent::Provisional { .. }
            | SipEvent::Answered { .. }
            | SipEvent::OfferAnswered(_)
            | SipEvent::Digit { .. }
            | SipEvent::DigitsRefused { .. }
            | SipEvent::Transfer(_)
            | SipEvent::Traced(_) => {}
        }
    }

    /// The ACK of a 200 that had our offer.
    fn confirmed(&mut self, now: Instant, sdp: Option<Bytes>) {
        let Stage::Called(ringing) = &self.stage else { return };
        let Step::Confirming { local } = &ringing.step else { return };
        let (local, route) = (local.clone(), Arc::clone(&ringing.route));
        match sdp.and_then(|sdp| trunk::accept_answer(&local, &sdp, route.rtp_source).ok()) {
            Some(media) => {
                self.media(Command::ConnectTrunk(media.clone()));
                self.talk(now, Talking { attempt: ATTEMPT, route, local, media, offering: Offering::default() });
            }
            None => self.finish(now, Reason::DestCodec),
        }
    }

    /// The call ends before anybody talked: the trunk is told, and whoever is rung.
    pub(super) fn leave_the_called(&mut self, now: Instant, reason: Reason) {
        self.dismiss(reason.word());
        let Stage::Called(ringing) = &self.stage else { return };
        let header = table::reason_header(reason);
        if matches!(ringing.step, Step::Confirming { .. }) {
            return self.effects.push_back(Effect::Hangup { attempt: ATTEMPT, reason: header });
        }
        let status = table::status_of_reason(reason);
        self.notes.concluded(Some(status), Some(reason).filter(|reason| reason.is_of_destination()));
        self.notes.last_sip = Some(LastSip { message: "INVITE", code: Some(status) });
        self.effects.push_back(Effect::Refuse { attempt: ATTEMPT, status, reason: header });
        if reason.is_of_destination() {
            let destination = ringing.route.destination.clone();
            self.note_failed_destination(now, &destination, reason);
        }
    }

    /// Whoever is rung hears that it is over.
    pub(super) fn dismiss(&mut self, why: &'static str) {
        let sessions = std::mem::take(&mut self.rung.now);
        if sessions.is_empty() {
            return;
        }
        self.rung.before.extend(sessions.iter().cloned());
        self.effects.push_back(Effect::Tell { sessions, summons: Summons::Cancelled(why) });
    }

    fn summon(&mut self, sessions: Vec<SessionId>) {
        let (Some(caller), Stage::Called(ringing)) = (&self.about.caller, &self.stage) else { return };
        let from = json!({ "number": caller.number, "display": caller.display });
        let fields = [
            ("call", self.about.call.as_str().into()),
            ("trunk", ringing.route.trunk.clone().into()),
            ("from", from),
            ("to", caller.called.clone().into()),
            ("name", caller.name.clone().into()),
            ("context", self.context()),
        ];
        let fields: Map<String, Value> = fields.map(|(key, value)| (key.to_owned(), value)).into_iter().collect();
        self.effects.push_back(Effect::Tell { sessions, summons: Summons::Incoming(fields) });
    }

    fn local_media(&mut self, leased: SocketAddr, route: &Route) -> LocalMedia {
        let address = SocketAddr::new(self.about.advertise.unwrap_or(leased.ip()), leased.port());
        let codecs = route.codecs.clone();
        let (session_id, encryption) = (self.about.sdp_session, self.encryption(route));
        LocalMedia { address, codecs, session_id, version: 1, holding: false, encryption }
    }
}
