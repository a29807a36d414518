//! When a target or a trunk fails a call: to the next one, unless somebody has been reached (RFC 3263 section 4.3).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use trunkline_media::sdp::trunk::LocalMedia;
use trunkline_signaling::endpoint::Failure;
use trunkline_signaling::targets::{Sign, Target};

use super::record::short;
use super::timers::Timer;
use super::{Call, Effect, Stage};
use crate::outcome::{DestTimeout, LastSip, Reason, Unavailable, table};
use crate::routing::Route;
use crate::sip;

/// How long a target may be silent if there is another: three transmissions over UDP, and two such targets still leave a
/// caller connected within four seconds or so. Timer B would be 32.
const TARGET: Duration = Duration::from_millis(1_700);
/// The same if only another destination is left, which is somebody else: it takes a fourth transmission.
const LAST_TARGET: Duration = Duration::from_secs(5);

/// Where a call goes on, and where it goes if not there.
type Onward = (Arc<Route>, LocalMedia, (Target, VecDeque<Target>));

impl Call {
    /// How long the target being tried may be silent.
    pub(super) fn limit_silence(&mut self, now: Instant, has_others: bool) {
        if has_others || !self.ways.is_empty() {
            self.timers.set(Timer::Target, now + TARGET);
        } else if !self.is_last() {
            self.timers.set(Timer::Target, now + LAST_TARGET);
        } else {
            self.timers.stop(Timer::Target);
        }
    }

    pub(super) fn invite_failed(&mut self, now: Instant, failure: Failure) {
        let Stage::Inviting(inviting) = &self.stage else { return };
        if let Some(sign) = sip::sign_of(&failure) {
            self.effects.push_back(Effect::Met { target: inviting.target.clone(), sign });
        }
        // RFC 3263 section 4.3: silence, a transport error or 503 send the request to the next target.
        let elsewhere = match &failure {
            Failure::NoProvisional | Failure::Transport | Failure::Tls(_) => true,
            Failure::Rejected { status, .. } => inviting.route.fails_over(*status),
            Failure::Redirected { .. }
            | Failure::AuthenticationFailed { .. }
            | Failure::NoFinal
            | Failure::Cancelled => false,
        };
        let (reason, status) = match failure {
            Failure::Rejected { status, reason, .. } => {
                if let Some(reason) = reason {
                    self.notes.received_reason(&reason);
                }
                (table::reason_of_status(status), Some(status))
            }
            Failure::Redirected { status, contacts, reason } => {
                if let Some(reason) = reason {
                    self.notes.received_reason(&reason);
                }
                let reason = table::reason_of_status(status);
                self.notes.last_sip = Some(LastSip { message: "INVITE", code: Some(status) });
                if self.redirected(now, status, reason, &contacts) {
                    return;
                }
                (reason, Some(status))
            }
            Failure::AuthenticationFailed { status } => (Reason::DestAuth, Some(status)),
            Failure::NoProvisional => (Reason::DestTimeout(DestTimeout::NoProvisional), None),
            Failure::NoFinal => (Reason::DestTimeout(DestTimeout::NoFinal), None),
            Failure::Transport => {
                self.notes.evidence("transport_error", "the network refused the message");
                (Reason::DestUnreachable, None)
            }
            Failure::Tls(error) => {
                self.notes.evidence("tls", short(&error));
                (Reason::DestTls, None)
            }
            Failure::Cancelled => (Reason::DestNoAnswer, Some(487)),
        };
        self.notes.last_sip = Some(LastSip { message: "INVITE", code: status });
        self.target_failed(now, elsewhere, reason, status);
    }

    /// The next target, if the call may go there; else the next destination.
    pub(super) fn target_failed(&mut self, now: Instant, elsewhere: bool, reason: Reason, status: Option<u16>) {
        if self.encrypted_instead(now, status, reason) {
            return;
        }
        if let Some((route, local, targets)) = self.next_target().filter(|_| elsewhere) {
            self.notes.concluded(status, Some(reason));
            let attempt = self.next_attempt();
            return self.invite(now, attempt, route, local, targets);
        }
        // A 6xx speaks for all of them (RFC 3261 section 21.6).
        let is_global = status.is_some_and(|status| status >= 600);
        if !is_global && self.next_contact(now, status, reason) {
            return;
        }
        self.destination_failed(now, reason, status);
    }

    /// The first sign of life of the target being tried.
    pub(super) fn target_answers(&mut self) {
        self.timers.stop(Timer::Target);
        let Stage::Inviting(inviting) = &mut self.stage else { return };
        if !std::mem::replace(&mut inviting.heard, true) {
            self.effects.push_back(Effect::Met { target: inviting.target.clone(), sign: Sign::Answered });
        }
    }

    /// Nothing came from the target being tried, and there is another. Should it wake up after all, its answer is
    /// cancelled or acknowledged and ended: the SIP side sees to that.
    pub(super) fn target_is_silent(&mut self, now: Instant) {
        let Stage::Inviting(inviting) = &self.stage else { return };
        let reason = Reason::DestTimeout(DestTimeout::NoProvisional);
        let (attempt, target) = (inviting.attempt, inviting.target.clone());
        self.effects.push_back(Effect::Met { target, sign: Sign::Dead });
        self.effects.push_back(Effect::Hangup { attempt, reason: table::reason_header(reason) });
        self.target_failed(now, true, reason, None);
    }

    /// The next target of the destination being dialled, unless somebody has already rung there.
    pub(super) fn next_target(&self) -> Option<Onward> {
        let Stage::Inviting(inviting) = &self.stage else { return None };
        let mut others = inviting.others.clone();
        let target = others.pop_front().filter(|_| !inviting.progressed)?;
        Some((Arc::clone(&inviting.route), inviting.local.clone(), (target, others)))
    }

    /// Whether the failure is the trunk's and not the destination's: another trunk may do better.
    pub(super) fn may_go_elsewhere(&self, reason: Reason, status: Option<u16>) -> bool {
        if let Stage::Inviting(inviting) = &self.stage
            && (inviting.progressed || status.is_some_and(|status| !inviting.route.fails_over(status)))
        {
            return false;
        }
        let of_trunk = matches!(
            reason,
            Reason::DestDns
                | Reason::DestUnreachable
                | Reason::DestTls
                | Reason::DestTimeout(DestTimeout::NoProvisional)
                | Reason::DestUnavailable(
                    Unavailable::TrunkFull
                        | Unavailable::TrunkUnregistered
                        | Unavailable::TrunkDown
                        | Unavailable::TrunkRate
                        | Unavailable::RetryAfter
                )
        );
        of_trunk || status.is_some()
    }
}
