//! The timeline: every change of state, event of the media, message of the SIP side and request of the API, in order.
//! Digits are not in it: visitors type card numbers.

use std::time::Instant;

use serde_json::{Value, json};
use trunkline_media::api::{Command, MediaEvent};
use trunkline_signaling::endpoint::{Failure, Reason as ReasonHeader, Transfer};

use super::super::browser::{back_word, leg_word, loss_word};
use super::super::record::path_word;
use super::super::{Api, CallEvent, Effect, HandOver, Input, ReceiverSays, SipEvent, Summons};
use super::{TIMELINE, Trail, object, short};

/// Who said it.
#[derive(Debug, Clone, Copy)]
enum Source {
    Call,
    Media,
    Sip,
    Browser,
}

/// Something happened.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) at_ms: u32,
    source: Source,
    what: &'static str,
    detail: Detail,
}

/// More about it, in as little memory as it takes.
#[derive(Debug)]
enum Detail {
    Nothing,
    Word(&'static str, &'static str),
    Number(&'static str, u64),
    Text(&'static str, Box<str>),
    /// A JSON object.
    Many(Box<str>),
}

impl Entry {
    pub(super) fn to_json(&self, at: String) -> Value {
        let source = match self.source {
            Source::Call => "call",
            Source::Media => "media",
            Source::Sip => "sip",
            Source::Browser => "browser",
        };
        let detail = match &self.detail {
            Detail::Nothing => json!({}),
            Detail::Word(name, word) => json!({ *name: word }),
            Detail::Number(name, number) => json!({ *name: number }),
            Detail::Text(name, text) => json!({ *name: text }),
            Detail::Many(text) => object(text),
        };
        json!({ "at": at, "source": source, "what": self.what, "detail": detail })
    }
}

impl Trail {
    /// An input of the call's, before it is handled. After the end only the ladder grows.
    pub(in super::super) fn handle(&mut self, now: Instant, input: &Input) {
        self.at(now);
        match input {
            Input::Sip { event: SipEvent::Traced(traced), .. } => self.traced(traced),
            _ if self.over => {}
            Input::Media(event) => self.media(event),
            Input::Sip { event, .. } => self.sip(event),
            Input::Api(api) => self.api(api),
            Input::TrunkLeased { result: Err(error), .. } => {
                self.text(Source::Media, "no_ports", "why", &error.to_string())
            }
            Input::Resolved { result: Err(error), .. } => {
                self.text(Source::Call, "no_address", "why", &error.to_string())
            }
            Input::Asked(asked) => {
                self.add(Source::Call, "answer_hook", many(&asked.evidence()));
            }
            Input::Fetched { result: Err(error), .. } => self.text(Source::Call, "not_played", "why", error),
            Input::Receiver(says) => self.receiver(says),
            Input::Broken(error) => self.text(Source::Call, "broken", "error", error),
            Input::SipGone => self.add(Source::Sip, "sip_gone", Detail::Nothing),
            Input::Shutdown => self.add(Source::Call, "shutdown", Detail::Nothing),
            Input::Start
            | Input::TrunkLeased { .. }
            | Input::Resolved { .. }
            | Input::TransferPlanned(_)
            | Input::Fetched { .. } => {}
            #[cfg(test)]
            Input::Panic => {}
        }
    }

    /// An action of a list begins.
    pub(in super::super) fn acting(&mut self, now: Instant, action: &'static str) {
        self.at(now);
        self.add(Source::Call, "action", Detail::Word("action", action));
    }

    /// Something asked for cannot be done, and is left out.
    pub(in super::super) fn not_done(&mut self, now: Instant, what: &'static str, why: &str) {
        self.at(now);
        let detail = json!({ "what": what, "why": short(why) });
        self.add(Source::Call, "left_out", many(&detail));
    }

    /// A timer of the call's fired.
    pub(in super::super) fn timer(&mut self, now: Instant, name: &'static str) {
        self.at(now);
        self.add(Source::Call, "timer", Detail::Word("timer", name));
    }

    /// What the call does.
    pub(in super::super) fn effect(&mut self, effect: &Effect) {
        match effect {
            Effect::Emit(event) => self.told(event),
            Effect::Invite(order) => {
                let detail = json!({ "destination": order.route.destination, "target": order.target.to_string() });
                self.add(Source::Sip, "inviting", many(&detail));
            }
            Effect::Hangup { reason, .. } => self.text(Source::Sip, "hanging_up", "reason", &reason_text(reason)),
            Effect::AnswerOffer { answer: Err(status), .. } => {
                self.add(Source::Sip, "offer_refused", Detail::Number("status", (*status).into()));
            }
            Effect::Media(Command::Play { leg, .. }) => {
                self.add(Source::Media, "playing", Detail::Word("leg", leg_word(*leg)));
            }
            Effect::Offer { .. } => self.add(Source::Sip, "offering", Detail::Nothing),
            Effect::Ring { .. } => self.add(Source::Sip, "ringing", Detail::Nothing),
            Effect::Accept { .. } => self.add(Source::Sip, "accepting", Detail::Nothing),
            Effect::Refuse { status, .. } => {
                self.add(Source::Sip, "refusing", Detail::Number("status", (*status).into()))
            }
            Effect::Tell { sessions, summons } => {
                let what = match summons {
                    Summons::Incoming(_) => "browsers_rung",
                    Summons::Cancelled(_) => "browsers_dismissed",
                };
                self.add(Source::Call, what, Detail::Number("browsers", sessions.len() as u64));
            }
            // Which digits, nobody reads.
            Effect::SendDigits { digits, .. } => {
                let count = u64::try_from(digits.len()).unwrap_or_default();
                self.add(Source::Sip, "sending_digits", Detail::Number("count", count));
            }
            Effect::Ask(_) => self.add(Source::Call, "asking", Detail::Nothing),
            Effect::Finished(_) => self.over = true,
            Effect::Media(_)
            | Effect::LeaseTrunk { .. }
            | Effect::LeaseSpare { .. }
            | Effect::PlanTransfer { .. }
            | Effect::Transfer { .. }
            | Effect::Adopt { .. }
            | Effect::Resolve { .. }
            | Effect::Met { .. }
            | Effect::AnswerOffer { .. }
            | Effect::Fetch { .. } => {}
        }
    }

    /// An event of the call's stream, but for what is the same in all of them.
    fn told(&mut self, event: &CallEvent) {
        if event.name == "dtmf_received" {
            return;
        }
        let own = event.data.iter().filter(|(key, _)| !matches!(key.as_str(), "call" | "session" | "context"));
        let own: serde_json::Map<String, Value> = own.map(|(key, value)| (key.clone(), value.clone())).collect();
        let detail = if own.is_empty() { Detail::Nothing } else { many(&own.into()) };
        self.add(Source::Call, event.name, detail);
    }

    fn media(&mut self, event: &MediaEvent) {
        let (what, detail) = match event {
            MediaEvent::IceConnected { remote, path } => {
                ("ice_connected", many(&json!({ "remote": remote.to_string(), "path": path_word(*path) })))
            }
            MediaEvent::DtlsConnected { profile } => ("dtls_connected", Detail::Word("profile", profile)),
            MediaEvent::SetupFailed(failure) => ("setup_failed", Detail::Text("how", format!("{failure:?}").into())),
            MediaEvent::FirstAudio { from } => ("first_audio", Detail::Word("from", leg_word(*from))),
            MediaEvent::Dtmf { from, duration_ms, .. } => {
                ("digit", many(&json!({ "from": leg_word(*from), "duration_ms": duration_ms })))
            }
            MediaEvent::DtmfSent { leg } => ("digits_sent", Detail::Word("leg", leg_word(*leg))),
            MediaEvent::DtmfNotSent { leg } => ("digits_not_sent", Detail::Word("leg", leg_word(*leg))),
            MediaEvent::BrowserMoved { remote, path } => {
                ("browser_moved", many(&json!({ "remote": remote.to_string(), "path": path_word(*path) })))
            }
            MediaEvent::BrowserLost { how } => ("browser_lost", Detail::Word("how", loss_word(*how))),
            MediaEvent::BrowserBack { gap_ms, cause, gap } => {
                let detail = json!({ "gap_ms": gap_ms, "cause": back_word(*cause), "gap": gap.word() });
                ("browser_back", many(&detail))
            }
            MediaEvent::GraceExpired { how } => ("grace_expired", Detail::Word("how", loss_word(*how))),
            MediaEvent::MediaTimeout { leg } => ("media_timeout", Detail::Word("leg", leg_word(*leg))),
            MediaEvent::PromptFinished { leg, .. } => ("prompt_finished", Detail::Word("leg", leg_word(*leg))),
            MediaEvent::CodecSwitched { to } => ("codec_switched", Detail::Word("to", to.name())),
            MediaEvent::Crashed => ("crashed", Detail::Nothing),
            // The call tells what it makes of these: its series, `issue_detected`, `network_quality_changed`.
            MediaEvent::Issue(_) | MediaEvent::Sample(_) => return,
        };
        self.add(Source::Media, what, detail);
    }

    fn sip(&mut self, event: &SipEvent) {
        let (what, detail) = match event {
            SipEvent::NotSent(error) => ("not_sent", Detail::Text("why", error.to_string().into())),
            SipEvent::Provisional { status, .. } => ("provisional", Detail::Number("status", (*status).into())),
            SipEvent::Answered { .. } => ("answered", Detail::Nothing),
            SipEvent::Failed(failure) => ("failed", failed(failure)),
            SipEvent::Offer { .. } => ("offer", Detail::Nothing),
            SipEvent::OfferAnswered(Ok(_)) => ("offer_answered", Detail::Nothing),
            SipEvent::OfferAnswered(Err(status)) => ("offer_rejected", Detail::Number("status", (*status).into())),
            SipEvent::Digit { .. } => ("digit_by_info", Detail::Nothing),
            SipEvent::DigitsRefused { status, .. } => {
                ("digits_refused", Detail::Number("status", status.unwrap_or_default().into()))
            }
            SipEvent::Ended { reason: Some(reason) } => ("ended", Detail::Text("reason", reason_text(reason).into())),
            SipEvent::Ended { reason: None } => ("ended", Detail::Nothing),
            SipEvent::Lost { status: Some(status) } => ("lost", Detail::Number("status", (*status).into())),
            SipEvent::SessionExpired { interval, refresher_is_us, since } => {
                let (interval, since) = (interval.as_secs(), since.as_secs());
                let detail = json!({
                    "interval_seconds": interval, "refresher": if *refresher_is_us { "us" } else { "trunk" },
                    "since_seconds": since,
                });
                ("session_expired", many(&detail))
            }
            SipEvent::Lost { status: None } => ("lost", Detail::Nothing),
            SipEvent::Confirmed { .. } => ("confirmed", Detail::Nothing),
            SipEvent::Cancelled { reason: Some(reason) } => {
                ("cancelled", Detail::Text("reason", reason_text(reason).into()))
            }
            SipEvent::Cancelled { reason: None } => ("cancelled", Detail::Nothing),
            SipEvent::Transfer(transfer) => referred(transfer),
            SipEvent::Sent(_) | SipEvent::Trying | SipEvent::Traced(_) => return,
        };
        self.add(Source::Sip, what, detail);
    }

    fn receiver(&mut self, says: &ReceiverSays) {
        let (what, session) = match says {
            ReceiverSays::Answered(answerer) => ("browser_answers", &answerer.session),
            ReceiverSays::Declined(session) => ("browser_declines", session),
            ReceiverSays::Joined(session) => ("browser_joins", session),
        };
        self.text(Source::Browser, what, "session", session.as_str());
    }

    fn api(&mut self, api: &Api) {
        let (source, what, detail) = match api {
            Api::VisitorHangup => (Source::Browser, "hangup", Detail::Nothing),
            Api::OperatorHangup(reason) => {
                (Source::Call, "operator_hangup", Detail::Text("reason", short(reason).into()))
            }
            Api::Dtmf { towards, digits, .. } => {
                (Source::Call, "send_digits", many(&json!({ "leg": leg_word(*towards), "digits": digits.len() })))
            }
            Api::Mute { leg, muted } => {
                (Source::Call, if *muted { "mute" } else { "unmute" }, Detail::Word("leg", leg_word(*leg)))
            }
            Api::Hold { leg, held } => {
                (Source::Call, if *held { "hold" } else { "resume" }, Detail::Word("leg", leg_word(*leg)))
            }
            Api::Play { leg, .. } => (Source::Call, "play", Detail::Word("leg", leg_word(*leg))),
            Api::Stop { leg } => (Source::Call, "stop", Detail::Word("leg", leg_word(*leg))),
            Api::Transfer(order) => (Source::Call, "transfer", handed_over(order)),
            Api::Act(actions) => (Source::Call, "actions", Detail::Number("actions", actions.len() as u64)),
            Api::Restarted => (Source::Browser, "ice_restart", Detail::Nothing),
            Api::Reattached { codec } => (Source::Browser, "reattach", Detail::Word("codec", codec.name())),
            Api::ClientReport { code, .. } => {
                (Source::Browser, "client_report", Detail::Text("code", short(code).into()))
            }
        };
        self.add(source, what, detail);
    }

    fn text(&mut self, source: Source, what: &'static str, name: &'static str, text: &str) {
        self.add(source, what, Detail::Text(name, short(text).into()));
    }

    fn add(&mut self, source: Source, what: &'static str, detail: Detail) {
        self.timeline.push(Entry { at_ms: self.now_ms, source, what, detail }, TIMELINE);
    }
}

fn many(value: &Value) -> Detail {
    Detail::Many(value.to_string().into())
}

fn handed_over(order: &HandOver) -> Detail {
    let (mode, destination) = match order {
        HandOver::Refer { destination, .. } => ("refer", destination),
        HandOver::Bridge { destination, .. } => ("bridge", destination),
    };
    many(&json!({ "mode": mode, "destination": short(destination) }))
}

fn referred(transfer: &Transfer) -> (&'static str, Detail) {
    match transfer {
        Transfer::Accepted { .. } => ("refer_accepted", Detail::Nothing),
        Transfer::Progress(status) => ("refer_progress", Detail::Number("status", (*status).into())),
        Transfer::Refused(Some(status)) => ("refer_refused", Detail::Number("status", (*status).into())),
        Transfer::Refused(None) => ("refer_refused", Detail::Word("how", "no_answer")),
        Transfer::Untold => ("refer_untold", Detail::Nothing),
        Transfer::Asked(asked) => ("refer", Detail::Text("to", short(&asked.to.to_string()).into())),
        Transfer::Replaced { .. } => ("replaced", Detail::Nothing),
    }
}

fn failed(failure: &Failure) -> Detail {
    match failure {
        Failure::Rejected { status, .. } | Failure::Redirected { status, .. } => {
            Detail::Number("status", (*status).into())
        }
        Failure::AuthenticationFailed { status } => many(&json!({ "how": "authentication_failed", "status": status })),
        Failure::NoProvisional => Detail::Word("how", "no_provisional"),
        Failure::NoFinal => Detail::Word("how", "no_final"),
        Failure::Transport => Detail::Word("how", "transport"),
        Failure::Tls(error) => many(&json!({ "how": "tls", "error": error })),
        Failure::Cancelled => Detail::Word("how", "cancelled"),
    }
}

fn reason_text(reason: &ReasonHeader) -> String {
    let text = reason.text.as_deref().map(|text| format!(";text={}", short(text))).unwrap_or_default();
    format!("{};cause={}{text}", short(&reason.protocol), reason.cause)
}
