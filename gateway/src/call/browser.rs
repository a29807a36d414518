//! The browser's side: what the media plane reports of its path, its absence and its return.

use std::net::SocketAddr;
use std::time::Instant;

use serde_json::{Map, Value};
use trunkline_media::api::{BackCause, BrowserLoss, GapKind, Leg, MediaEvent, Path, SetupFailure};
use trunkline_media::audio::Codec;
use trunkline_media::quality::HalfLeg;

use super::digits::By;
use super::parting::PARTING;
use super::timers::Timer;
use super::{BACKSTOP, Call, Manner, Sound, Stage};
use crate::diagnosis::Finding;
use crate::outcome::{DtlsFailure, IceFailure, IceState, Phase, Reason};

/// Digits that are told as events; more are counted only.
const MAX_DTMF_EVENTS: u32 = 512;

/// What is known of the browser.
#[derive(Debug)]
pub(super) struct Browser {
    pub(super) ice: IceState,
    pub(super) path: Option<Path>,
    pub(super) remote: Option<SocketAddr>,
    /// SRTP profile; keys are in place when there is one.
    pub(super) srtp: Option<&'static str>,
    pub(super) codec: Codec,
    /// The media plane has a leg for it.
    there: bool,
    lost: Option<Lost>,
    new_path: Option<(Instant, &'static str)>,
    dtmf_events: u32,
}

#[derive(Debug, Clone, Copy)]
struct Lost {
    at: Instant,
    how: BrowserLoss,
    /// `call_reconnecting` went out.
    told: bool,
    /// What the trunk's side hears meanwhile.
    says: Option<u32>,
}

impl Browser {
    pub(super) fn new(codec: Codec, there: bool) -> Self {
        Self {
            ice: IceState::New,
            path: None,
            remote: None,
            srtp: None,
            codec,
            there,
            lost: None,
            new_path: None,
            dtmf_events: 0,
        }
    }

    /// A browser has come to a call that began without one.
    pub(super) fn comes(&mut self, codec: Codec) {
        (self.codec, self.there) = (codec, true);
    }

    pub(super) fn is_there(&self) -> bool {
        self.there
    }

    /// Keys are in place: audio can flow.
    pub(super) fn is_up(&self) -> bool {
        self.srtp.is_some()
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    /// Since when it is lost, and how.
    pub(super) fn lost(&self) -> Option<(Instant, BrowserLoss)> {
        self.lost.map(|lost| (lost.at, lost.how))
    }

    /// An authentic check from elsewhere (`moved`), an ICE restart, a new peer connection.
    pub(super) fn note_new_path(&mut self, now: Instant, what: &'static str) {
        self.new_path = Some((now, what));
    }

    /// The last change of its path, and what it was.
    pub(super) fn change(&self) -> Option<(Instant, &'static str)> {
        self.new_path
    }
}

impl Call {
    pub(super) fn handle_media(&mut self, now: Instant, event: MediaEvent) {
        match event {
            MediaEvent::IceConnected { remote, path } => {
                self.browser.ice = IceState::Connected;
                self.browser.remote = Some(remote);
                self.browser.path = Some(path);
                self.notes.ice_connected_at.get_or_insert(now);
            }
            MediaEvent::DtlsConnected { profile } => {
                self.browser.srtp = Some(profile);
                self.notes.dtls_connected_at.get_or_insert(now);
                self.timers.stop(Timer::Setup);
                self.play_parting(now);
                self.pick_up(now);
                self.advance(now, Leg::Browser);
            }
            MediaEvent::SetupFailed(failure) => self.setup_failed(now, failure),
            MediaEvent::FirstAudio { from: Leg::Browser } => {
                self.notes.first_audio_up_at.get_or_insert(now);
                self.microphone_works(now);
            }
            MediaEvent::FirstAudio { from: Leg::Trunk } => {
                self.notes.first_audio_down_at.get_or_insert(now);
            }
            MediaEvent::Dtmf { from, digit, duration_ms } => self.digit(now, from, digit.as_char(), duration_ms),
            MediaEvent::DtmfSent { .. } | MediaEvent::CodecSwitched { .. } => {}
            MediaEvent::DtmfNotSent { leg } => self.note_digits_unsent(now, leg, "not_sent"),
            MediaEvent::BrowserMoved { remote, path } => {
                self.browser.remote = Some(remote);
                self.browser.path = Some(path);
                self.browser.note_new_path(now, "moved");
            }
            MediaEvent::BrowserLost { how } => self.lost(now, how),
            MediaEvent::BrowserBack { gap_ms, cause, gap } => self.back(now, gap_ms, cause, gap),
            MediaEvent::GraceExpired { how } => self.grace_over(now, Some(how)),
            MediaEvent::MediaTimeout { leg } => self.silent(now, leg),
            MediaEvent::PromptFinished { leg: Leg::Browser, id: PARTING } => self.parting_heard(now),
            MediaEvent::PromptFinished { leg, id } => self.prompt_finished(now, leg, id),
            MediaEvent::Crashed => {
                self.notes.evidence("error", "panic in the media plane");
                self.finish(now, Reason::InternalError);
            }
            MediaEvent::Issue(change) => self.issue(now, &change),
            MediaEvent::Sample(stats) => self.sampled(now, *stats),
        }
    }

    fn setup_failed(&mut self, now: Instant, failure: SetupFailure) {
        if self.browser.is_up() {
            // A later peer connection failed: the call waits for another, as for any lost browser.
            return self.lost(now, BrowserLoss::Silence);
        }
        let reason = match failure {
            SetupFailure::Ice { candidates, checks } => {
                self.notes.evidence("candidates", candidates);
                self.notes.evidence("checks_udp", checks);
                let failure = match (candidates, checks) {
                    (_, 1..) => IceFailure::ChecksTimeout,
                    (0, 0) => IceFailure::NoCandidates,
                    (1.., 0) => IceFailure::UdpBlocked,
                };
                self.note_udp_blocked(now, failure, candidates, checks);
                Reason::IceFailed(failure)
            }
            SetupFailure::DtlsFingerprint => Reason::DtlsFailed(DtlsFailure::Fingerprint),
            SetupFailure::DtlsTimeout => Reason::DtlsFailed(DtlsFailure::HandshakeTimeout),
            SetupFailure::DtlsAlert(alert) => {
                self.notes.evidence("dtls_alert", alert);
                Reason::DtlsFailed(DtlsFailure::Alert)
            }
        };
        self.not_set_up(now, reason);
    }

    /// Not one packet of the browser's came: its network lets no UDP out.
    fn note_udp_blocked(&mut self, now: Instant, failure: IceFailure, candidates: usize, checks: u64) {
        let IceFailure::UdpBlocked = failure else { return };
        let mut evidence = Map::new();
        evidence.insert("candidates".into(), candidates.into());
        evidence.insert("checks_udp".into(), checks.into());
        evidence.insert("checks_tcp".into(), Value::Null);
        self.raise(now, Finding::UdpBlocked, Some(HalfLeg::BrowserUp), 0.9, evidence);
    }

    /// The media plane owes us a word on the set-up.
    pub(super) fn setup_overdue(&mut self, now: Instant) {
        let reason = match self.browser.ice {
            IceState::Connected => Reason::DtlsFailed(DtlsFailure::HandshakeTimeout),
            IceState::New | IceState::Disconnected | IceState::Failed => Reason::IceFailed(IceFailure::ChecksTimeout),
        };
        self.not_set_up(now, reason);
    }

    fn not_set_up(&mut self, now: Instant, reason: Reason) {
        if matches!(reason, Reason::IceFailed(_)) {
            self.browser.ice = IceState::Failed;
            // Where nothing is offered over TCP, no check can come over it.
            ["candidates", "checks_udp", "checks_tcp"].into_iter().for_each(|key| self.notes.evidence_if_none(key));
        } else {
            ["dtls_flight", "dtls_alert"].into_iter().for_each(|key| self.notes.evidence_if_none(key));
        }
        // Nothing would have been dialled anyway: that is what an operator has to mend first.
        if !self.parted(now) {
            self.finish_in(now, reason, Phase::Setup);
        }
    }

    fn digit(&mut self, now: Instant, from: Leg, digit: char, duration_ms: u32) {
        match from {
            Leg::Browser => self.pass_digit_on(now, digit, duration_ms),
            Leg::Trunk if !self.is_first(now, By::Media, digit) => return,
            Leg::Trunk => {}
        }
        self.tell_digit(from, digit, duration_ms);
    }

    pub(super) fn tell_digit(&mut self, from: Leg, digit: char, duration_ms: u32) {
        self.browser.dtmf_events = self.browser.dtmf_events.saturating_add(1);
        // overflow: digits beyond the limit are counted in the record, not told.
        if self.browser.dtmf_events > MAX_DTMF_EVENTS {
            self.notes.untold_digits = self.notes.untold_digits.saturating_add(1);
            return;
        }
        self.emit(
            "dtmf_received",
            [("leg", leg_word(from).into()), ("digit", digit.to_string().into()), ("duration_ms", duration_ms.into())],
        );
    }

    fn lost(&mut self, now: Instant, how: BrowserLoss) {
        if self.parted(now) {
            return;
        }
        if self.browser.lost.is_none() {
            self.browser.lost = Some(Lost { at: now, how, told: false, says: None });
            self.browser.ice = IceState::Disconnected;
            self.timers.set(Timer::Grace, now + self.about.limits.grace + BACKSTOP);
            self.tell_reconnecting(now);
        }
    }

    /// The browser is away and somebody waits for it: say so, once, to the world and to who waits.
    pub(super) fn tell_reconnecting(&mut self, now: Instant) {
        let is_talking = matches!(self.stage, Stage::Talking(_)) || self.has_parked();
        let Some(lost) = self.browser.lost.as_mut().filter(|l| !l.told) else { return };
        if is_talking {
            lost.told = true;
            let cause = loss_word(lost.how);
            self.emit("call_reconnecting", [("cause", cause.into())]);
            let prompt = self.about.please_wait.clone().filter(|_| matches!(self.stage, Stage::Talking(_)));
            let says = prompt.and_then(|prompt| self.speak(now, Leg::Trunk, Sound::Prompt(prompt), Manner::default()));
            if let Some(lost) = &mut self.browser.lost {
                lost.says = says;
            }
        }
    }

    fn back(&mut self, now: Instant, gap_ms: u64, cause: BackCause, gap: GapKind) {
        let Some(lost) = self.browser.lost.take() else { return };
        self.browser.ice = IceState::Connected;
        self.timers.stop(Timer::Grace);
        if let Some(id) = lost.says {
            self.cut(now, Leg::Trunk, id);
        }
        if lost.told {
            self.emit(
                "call_reconnected",
                [("gap_ms", gap_ms.into()), ("cause", back_word(cause).into()), ("gap", gap.word().into())],
            );
        }
    }
}

/// A leg's name in the public API.
pub(super) fn leg_word(leg: Leg) -> &'static str {
    match leg {
        Leg::Browser => "browser",
        Leg::Trunk => "sip",
    }
}

pub(super) fn loss_word(how: BrowserLoss) -> &'static str {
    match how {
        BrowserLoss::Silence => "silence",
        BrowserLoss::CloseNotify => "close_notify",
        BrowserLoss::RtcpBye => "rtcp_bye",
    }
}

pub(super) fn back_word(cause: BackCause) -> &'static str {
    match cause {
        BackCause::SamePath => "same_path",
        BackCause::NewAddress => "new_address",
        BackCause::IceRestart => "ice_restart",
        BackCause::Reattach => "reattach",
    }
}
