//! An answered call: the trunk's new offers, its goodbye, its loss.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use trunkline_media::api::{Command, Leg};
use trunkline_media::sdp::trunk::{self, LocalMedia};

use super::actions::{Manner, Sound};
use super::input::SipEvent;
use super::timers::Timer;
use super::{Call, Effect, Stage, Talking};
use crate::outcome::{LastSip, Reason, RemoteHangup};
use crate::routing::Route;

impl Talking {
    /// What we answer now that `local` is ours, and was `before`. What is said again keeps its version (RFC 3264 section
    /// 8): a refresh of the session changes nothing.
    fn say(&mut self, before: LocalMedia, answer: String) -> String {
        let unchanged = self.offering.said.as_ref().filter(|said| lines(said).eq(lines(&answer)));
        if let Some(said) = unchanged {
            self.local = before;
            return said.clone();
        }
        self.offering.said = Some(answer.clone());
        answer
    }
}

/// A description without its version.
fn lines(sdp: &str) -> impl Iterator<Item = &str> {
    sdp.lines().filter(|line| !line.starts_with("o="))
}

impl Call {
    /// From here on a call from the trunk and one to it are the same.
    pub(super) fn talk(&mut self, now: Instant, talking: Talking) {
        self.timers.stop(Timer::Ring);
        self.limit_duration(now, &talking.route);
        self.notes.concluded(Some(200), None);
        self.notes.answered(now, &talking.media);
        self.stage = Stage::Talking(talking);
        self.script.answered();
        self.drop_loops(Leg::Browser);
        self.media(Command::Answered);
        self.hold_visitor(false);
        self.emit("call_answered", []);
        self.tell_reconnecting(now);
    }

    /// A limit too short for its warning has none.
    fn limit_duration(&mut self, now: Instant, route: &Route) {
        self.timers.set(Timer::MaxDuration, now + route.max_duration);
        let warned = route.warning.and_then(|before| route.max_duration.checked_sub(before));
        if let Some(after) = warned.filter(|after| !after.is_zero()) {
            self.timers.set(Timer::EndingSoon, now + after);
        }
    }

    pub(super) fn handle_sip_talking(&mut self, now: Instant, event: SipEvent) {
        match event {
            SipEvent::Offer { sdp, .. } => self.offered(sdp),
            SipEvent::OfferAnswered(Ok(sdp)) => {
                self.offer_answered(&sdp);
                self.offer_taken();
            }
            // Nothing changed (RFC 3261 section 14.1).
            SipEvent::OfferAnswered(Err(status)) => {
                self.notes.last_sip = Some(LastSip { message: "INVITE", code: Some(status) });
                self.offer_refused(now, status);
            }
            SipEvent::Ended { reason } => {
                self.notes.last_sip = Some(LastSip { message: "BYE", code: None });
                self.notes.evidence("hung_up_by", "sip");
                if let Some(reason) = reason {
                    self.notes.received_reason(&reason);
                }
                self.finish_without_leg(now, Reason::RemoteHangup(RemoteHangup::Bye));
            }
            SipEvent::Lost { status } => {
                self.notes.last_sip = Some(LastSip { message: "INVITE", code: status });
                // A status says that the trunk lives and has forgotten the call; silence, that nobody is there.
                let reason = if status.is_some() { Reason::TrunkLost } else { Reason::SipTransportLost };
                self.notes.evidence("status", status);
                self.notes.evidence("sip_side", "no_answer");
                self.finish_without_leg(now, reason);
            }
            SipEvent::SessionExpired { interval, refresher_is_us, since } => {
                self.notes.evidence("session_interval_seconds", interval.as_secs());
                self.notes.evidence("session_refresher", if refresher_is_us { "gateway" } else { "trunk" });
                self.notes.evidence("session_refresh_age_seconds", since.as_secs());
                self.finish_without_leg(now, Reason::SessionTimerExpired);
            }
            SipEvent::Digit { digit, duration } => self.info_digit(now, digit, duration),
            SipEvent::DigitsRefused { status, digits } => self.digits_refused(now, status, &digits),
            // The leg is gone in a way an answered one should not go.
            SipEvent::Failed(_) | SipEvent::NotSent(_) | SipEvent::Cancelled { .. } => {
                self.notes.evidence("sip_side", "failed");
                self.finish_without_leg(now, Reason::SipTransportLost);
            }
            // The INVITE's own story is over.
            SipEvent::Sent(_)
            | SipEvent::Trying
            | SipEvent::Provisional { .. }
            | SipEvent::Answered { .. }
            | SipEvent::Confirmed { .. }
            | SipEvent::Transfer(_)
            | SipEvent::Traced(_) => {}
        }
    }

    /// A re-INVITE or UPDATE: hold, resume, a new address, a new codec. What cannot be taken changes nothing.
    fn offered(&mut self, sdp: Option<Bytes>) {
        self.notes.last_sip = Some(LastSip { message: "INVITE", code: None });
        let Stage::Talking(talking) = &mut self.stage else { return };
        let attempt = talking.attempt;
        let Some(sdp) = sdp else {
            // Asked for an offer of ours; the answer comes with the ACK.
            talking.offering.said = None;
            talking.local.version = talking.local.version.saturating_add(1);
            let offer = trunk::offer_again(&talking.local, &talking.media);
            self.effects.push_back(Effect::AnswerOffer { attempt, answer: Ok(offer.into()) });
            return;
        };
        let before = talking.local.clone();
        match trunk::renegotiate(&mut talking.local, &talking.media, &sdp, &mut self.about.keys) {
            Ok((media, answer)) => {
                let answer = talking.say(before, answer);
                let changed = talking.media != media;
                talking.media = media.clone();
                self.notes.agreed(&media);
                self.effects.push_back(Effect::AnswerOffer { attempt, answer: Ok(answer.into()) });
                if changed {
                    self.media(Command::ConnectTrunk(media));
                    self.hold_visitor(self.has_parked());
                }
            }
            Err(_) => self.effects.push_back(Effect::AnswerOffer { attempt, answer: Err(488) }),
        }
    }

    /// Both sides hear a tone over what they say.
    pub(super) fn warn_of_the_end(&mut self, now: Instant) {
        let (Stage::Talking(_), Some(tone)) = (&self.stage, self.about.ending_soon.clone()) else { return };
        for leg in [Leg::Browser, Leg::Trunk] {
            self.speak(now, leg, Sound::Prompt(Arc::clone(&tone)), Manner { looped: false, over: true });
        }
    }

    /// It lasted for as long as the trunk's limit says.
    pub(super) fn lasted_too_long(&mut self, now: Instant) {
        if let Stage::Talking(talking) = &self.stage {
            self.notes.evidence("limit_seconds", talking.route.max_duration.as_secs());
        }
        self.finish(now, Reason::RemoteHangup(RemoteHangup::MaxDuration));
    }

    fn offer_answered(&mut self, sdp: &Bytes) {
        let Stage::Talking(talking) = &mut self.stage else { return };
        // An answer that cannot be used leaves the media as it was.
        let Ok(media) = trunk::accept_answer(&talking.local, sdp, talking.route.rtp_source) else { return };
        if talking.media != media {
            talking.media = media.clone();
            self.notes.agreed(&media);
            self.media(Command::ConnectTrunk(media));
            self.hold_visitor(self.has_parked());
        }
    }
}
