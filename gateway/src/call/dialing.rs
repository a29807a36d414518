//! From a plan to an answer: one destination after the other, each with a leased port pair, its addresses in turn, and a
//! limit on how long it may ring.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use trunkline_media::api::Command;
use trunkline_media::sdp::trunk::{self, LocalMedia, Refusal, TrunkSdpError};
use trunkline_signaling::endpoint::Fork;
use trunkline_signaling::targets::Target;

use super::called;
use super::early::Branches;
use super::headers::{self, Told};
use super::holding::Offering;
use super::input::{AttemptId, LeaseRefused, NotSent, ResolveError, SipEvent};
use super::record::short;
use super::redirects::Redirects;
use super::timers::Timer;
use super::{Call, Effect, InviteOrder, Inviting, STEP, Stage, Talking};
use crate::outcome::{LastSip, Phase, Reason, Unavailable, table};
use crate::routing::{Planned, Route};

/// Targets of one destination that are tried.
const MAX_TARGETS: usize = 6;

impl Call {
    /// Goes on with the next destination; the call ends with the last one's failure when there is none.
    pub(super) fn next_destination(&mut self, now: Instant) {
        self.stage = Stage::Idle;
        loop {
            match self.ways.pop_front().or_else(|| self.plan.pop_front()) {
                Some(Planned::Dial(route)) => return self.lease(now, route, self.is_last()),
                Some(Planned::Hunt(ways)) => self.ways = ways.into(),
                Some(Planned::Skip { destination, trunk, reason }) => {
                    self.notes.skipped(destination.clone(), trunk, reason);
                    self.note_failed_destination(now, &destination, reason);
                    self.last_failure = Some((reason, Phase::Routing));
                }
                None => {
                    if let Some(route) = self.passed_over.pop_front() {
                        return self.lease(now, route, true);
                    }
                    if self.give_back(now) || self.goes_on(now) {
                        return;
                    }
                    return match self.last_failure {
                        Some((reason, phase)) => self.tell_failure(now, reason, phase),
                        None => self.tell_no_destination(now),
                    };
                }
            }
        }
    }

    /// Whether nothing is left to be tried after what is tried now.
    pub(super) fn is_last(&self) -> bool {
        self.ways.is_empty() && self.plan.is_empty() && self.passed_over.is_empty()
    }

    fn lease(&mut self, now: Instant, route: Arc<Route>, last: bool) {
        self.redirects = Redirects::default();
        let attempt = self.next_attempt();
        self.lease_ports(attempt, route.trunk.clone(), last);
        self.timers.set(Timer::Step, now + STEP);
        self.notes.dialing(&route);
        self.stage = Stage::Leasing { attempt, route };
    }

    pub(super) fn handle_leased(&mut self, now: Instant, attempt: AttemptId, result: Result<SocketAddr, LeaseRefused>) {
        if self.leased_for_replacing(attempt, &result) {
            return;
        }
        if matches!(self.stage, Stage::Called(_)) {
            return self.called_leased(now, attempt, result);
        }
        // An answer to a lease that was given up: the media plane replaces that leg by the next, or closes the call.
        let Stage::Leasing { attempt: current, route } = &self.stage else { return };
        if *current != attempt {
            return;
        }
        let route = Arc::clone(route);
        match result {
            Ok(leased) => {
                let address = SocketAddr::new(self.about.advertise.unwrap_or(leased.ip()), leased.port());
                let codecs = route.codecs.clone();
                let local = LocalMedia {
                    address,
                    codecs,
                    session_id: self.about.sdp_session,
                    version: 1,
                    holding: false,
                    encryption: None,
                };
                self.effects.push_back(Effect::Resolve { attempt, wanted: route.wanted.clone() });
                self.timers.set(Timer::Step, now + STEP);
                self.stage = Stage::Resolving { attempt, route, local };
            }
            Err(LeaseRefused::TrunkFull) => {
                self.destination_failed(now, Reason::DestUnavailable(Unavailable::TrunkFull), None);
            }
            Err(LeaseRefused::Unregistered) => {
                self.destination_failed(now, Reason::DestUnavailable(Unavailable::TrunkUnregistered), None);
            }
            Err(LeaseRefused::TrunkDown) => {
                let reason = Reason::DestUnavailable(Unavailable::TrunkDown);
                self.notes.skipped(route.destination.clone(), Some(route.trunk.clone()), reason);
                self.timers.stop(Timer::Step);
                self.last_failure = Some((reason, Phase::Routing));
                self.release_ports();
                self.passed_over.push_back(route);
                self.next_destination(now);
            }
            Err(LeaseRefused::TrunkRate) => {
                self.destination_failed(now, Reason::DestUnavailable(Unavailable::TrunkRate), None);
            }
            Err(LeaseRefused::NoPorts) => {
                self.destination_failed(now, Reason::DestUnavailable(Unavailable::GatewayFull), None);
            }
            Err(LeaseRefused::MediaGone) => {
                self.notes.evidence("error", LeaseRefused::MediaGone.to_string());
                self.finish(now, Reason::InternalError);
            }
        }
    }

    pub(super) fn handle_resolved(
        &mut self,
        now: Instant,
        attempt: AttemptId,
        result: Result<Vec<Target>, ResolveError>,
    ) {
        let Stage::Resolving { attempt: current, route, local } = &self.stage else { return };
        if *current != attempt {
            return;
        }
        let (route, local) = (Arc::clone(route), local.clone());
        match result {
            Ok(targets) => {
                let mut others: VecDeque<_> = targets.into_iter().take(MAX_TARGETS).collect();
                let Some(target) = others.pop_front() else {
                    return self.destination_failed(now, Reason::DestDns, None);
                };
                self.timers.stop(Timer::Step);
                self.timers.set(Timer::Ring, now + route.ring_timeout);
                self.invite(now, attempt, route, local, (target, others));
            }
            Err(error @ ResolveError::Resting) => {
                self.notes.evidence("retry_after", error.to_string());
                self.leads_nowhere(now, Reason::DestUnavailable(Unavailable::RetryAfter));
            }
            Err(error @ (ResolveError::Failed(_) | ResolveError::TimedOut)) => {
                self.notes.evidence("dns", error.to_string());
                self.leads_nowhere(now, Reason::DestDns);
            }
        }
    }

    /// The name of the trunk has no address; that of a redirection's contact may be followed by another.
    fn leads_nowhere(&mut self, now: Instant, reason: Reason) {
        if !self.next_contact(now, None, reason) {
            self.destination_failed(now, reason, None);
        }
    }

    pub(super) fn invite(
        &mut self,
        now: Instant,
        attempt: AttemptId,
        route: Arc<Route>,
        mut local: LocalMedia,
        (target, others): (Target, VecDeque<Target>),
    ) {
        // Another party is offered other keys.
        local.encryption = self.encryption(&route);
        // A socket of both families is told of as the trunk can reach it.
        let is_ipv4 = target.address.ip().to_canonical().is_ipv4();
        let told = route.rtp_told.iter().find(|told| told.is_ipv4() == is_ipv4).or(route.rtp_told.first());
        if let Some(told) = told {
            local.address.set_ip(*told);
        }
        // Where the trunk is to make the offer, ours is its answer.
        let sdp = if route.calls.late_offer { String::new() } else { trunk::offer(&local) };
        let (ours, own) = (self.transfer_fields(), &self.headers);
        let told = Told { ours, own, context: &self.about.context, call: self.about.call.as_str() };
        let (fields, dropped_fields) = headers::of_invite(told, &route, &target.over, &sdp);
        self.notes.invited(&route, &target);
        let order =
            InviteOrder { attempt, target: target.clone(), route: Arc::clone(&route), fields, dropped_fields, sdp };
        self.effects.push_back(Effect::Invite(Box::new(order)));
        self.limit_silence(now, !others.is_empty());
        self.stage = Stage::Inviting(Inviting {
            attempt,
            route,
            local,
            others,
            ringing: false,
            target,
            heard: false,
            progressed: false,
            early: None,
            branches: Branches::default(),
        });
    }

    /// An event of the SIP side; those of attempts given up are ignored.
    pub(super) fn handle_sip(&mut self, now: Instant, attempt: AttemptId, event: SipEvent) {
        let Some(event) = self.transfer_event(now, attempt, event) else { return };
        match &self.stage {
            Stage::Inviting(inviting) if inviting.attempt == attempt => self.handle_sip_inviting(now, event),
            Stage::Talking(talking) if talking.attempt == attempt => self.handle_sip_talking(now, event),
            Stage::Called(_) if attempt == called::ATTEMPT => self.handle_sip_called(now, event),
            Stage::Idle
            | Stage::Asking
            | Stage::Acting
            | Stage::Parting(_)
            | Stage::Leasing { .. }
            | Stage::Resolving { .. }
            | Stage::Inviting(_)
            | Stage::Called(_)
            | Stage::Talking(_)
            | Stage::Ended => {}
        }
    }

    fn handle_sip_inviting(&mut self, now: Instant, event: SipEvent) {
        match event {
            SipEvent::Sent(call_id) => self.notes.sip_call_id = call_id,
            SipEvent::NotSent(NotSent::Full) => {
                self.destination_failed(now, Reason::DestUnavailable(Unavailable::GatewayFull), None);
            }
            SipEvent::NotSent(NotSent::BadUri) => self.destination_failed(now, Reason::DestNotFound, None),
            SipEvent::NotSent(NotSent::Gone) => self.destination_failed(now, Reason::DestUnreachable, None),
            SipEvent::NotSent(NotSent::Tls(error)) => {
                self.notes.evidence("tls", short(&error));
                self.destination_failed(now, Reason::DestTls, None);
            }
            SipEvent::Trying => self.target_answers(),
            SipEvent::Provisional { fork, status, sdp } => self.progress(now, &fork, status, sdp),
            SipEvent::Answered { fork, sdp } => self.answered(now, &fork, sdp),
            SipEvent::Failed(failure) => self.invite_failed(now, failure),
            SipEvent::Offer { fork, sdp } => self.offered_early(&fork, sdp.as_ref()),
            SipEvent::OfferAnswered(_)
            | SipEvent::Transfer(_)
            | SipEvent::Digit { .. }
            | SipEvent::DigitsRefused { .. }
            | SipEvent::Traced(_)
            | SipEvent::Confirmed { .. } => {}
            SipEvent::Cancelled { .. }
            | SipEvent::Ended { .. }
            | SipEvent::Lost { .. }
            | SipEvent::SessionExpired { .. } => {
                self.destination_failed(now, Reason::DestUnavailable(Unavailable::Status), None);
            }
        }
    }

    fn answered(&mut self, now: Instant, fork: &Fork, sdp: Option<Bytes>) {
        self.notes.last_sip = Some(LastSip { message: "INVITE", code: Some(200) });
        self.target_answers();
        let Stage::Inviting(inviting) = &mut self.stage else { return };
        let settled = inviting.settled(fork, sdp.as_ref());
        let (local, media) = match settled.unwrap_or(Err(TrunkSdpError::Unacceptable(Refusal::NoAudio))) {
            Ok(settled) => settled,
            Err(error) => return self.answer_unusable(now, &error),
        };
        let changed = inviting.early.as_ref() != Some(&media);
        let (attempt, route) = (inviting.attempt, Arc::clone(&inviting.route));
        if self.take_over(now, attempt, (&route, &local), &media) {
            return;
        }
        if changed {
            self.media(Command::ConnectTrunk(media.clone()));
        }
        self.talk(now, Talking { attempt, route, local, media, offering: Offering::default() });
    }

    /// It rang for as long as the trunk's limit says.
    pub(super) fn rang_too_long(&mut self, now: Instant) {
        if matches!(self.stage, Stage::Called(_)) {
            return self.finish(now, Reason::DestNoAnswer);
        }
        let Stage::Inviting(inviting) = &self.stage else { return };
        let attempt = inviting.attempt;
        self.effects.push_back(Effect::Hangup { attempt, reason: table::reason_header(Reason::DestNoAnswer) });
        self.destination_failed(now, Reason::DestNoAnswer, None);
    }

    /// Ports or DNS never came back.
    pub(super) fn step_overdue(&mut self, now: Instant) {
        match &self.stage {
            Stage::Leasing { .. } => {
                self.destination_failed(now, Reason::DestUnavailable(Unavailable::GatewayFull), None);
            }
            Stage::Resolving { .. } => self.destination_failed(now, Reason::DestDns, None),
            Stage::Called(_) => self.finish(now, Reason::DestUnavailable(Unavailable::GatewayFull)),
            Stage::Idle
            | Stage::Asking
            | Stage::Acting
            | Stage::Parting(_)
            | Stage::Inviting(_)
            | Stage::Talking(_)
            | Stage::Ended => {}
        }
    }

    /// The destination being tried is over; its leg is gone or hung up.
    pub(super) fn destination_failed(&mut self, now: Instant, reason: Reason, status: Option<u16>) {
        let phase = self.phase();
        self.timers.stop(Timer::Ring);
        self.timers.stop(Timer::Target);
        self.timers.stop(Timer::Step);
        let destination = match &self.stage {
            Stage::Inviting(inviting) => {
                self.notes.concluded(status, Some(reason));
                self.last_tones = Some(inviting.route.tones.clone());
                Some(inviting.route.destination.clone())
            }
            Stage::Leasing { route, .. } | Stage::Resolving { route, .. } => {
                self.notes.skipped(route.destination.clone(), Some(route.trunk.clone()), reason);
                self.last_tones = Some(route.tones.clone());
                Some(route.destination.clone())
            }
            Stage::Idle
            | Stage::Asking
            | Stage::Acting
            | Stage::Parting(_)
            | Stage::Called(_)
            | Stage::Talking(_)
            | Stage::Ended => None,
        };
        if !self.may_go_elsewhere(reason, status) {
            // Somebody there has decided, or has been rung: no other trunk is to lead there again.
            self.ways.clear();
            self.passed_over.retain(|route| destination.as_ref() != Some(&route.destination));
        }
        self.release_ports();
        if let Some(destination) = destination {
            self.note_failed_destination(now, &destination, reason);
        }
        self.last_failure = Some((reason, phase));
        self.next_destination(now);
    }

    pub(super) fn next_attempt(&mut self) -> AttemptId {
        self.attempts = self.attempts.saturating_add(1);
        AttemptId(self.attempts)
    }
}
