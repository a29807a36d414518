//! One call as a value: told the time and what happened, it says what to do. No clock, no socket, no task.
//!
//! After every `handle_*`: take all effects with [`Call::poll_effect`], carry them out in order, read
//! [`Call::poll_timeout`]. Exactly one [`Effect::Finished`] comes, last of all; from then on every input is ignored.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use trunkline_config::Tones;
use trunkline_media::api::{Command, Leg, Limits};
use trunkline_media::audio::Codec;
use trunkline_media::audio::prompt::Prompt;
use trunkline_media::sdp::trunk::KeySource;

use crate::clock::Now;
use crate::diagnosis::Findings;
use crate::hook::Question;
use crate::ids::{CallId, SessionId};
use crate::outcome::{Outcome, Phase, Reason, RemoteHangup};
use crate::routing::{Planned, Route};

pub mod actions;
mod agreeing;
mod browser;
mod called;
mod caller;
mod crossing;
mod dialing;
mod digits;
mod early;
pub mod effect;
mod ending;
mod failover;
mod findings;
pub mod headers;
mod holding;
pub mod input;
mod parting;
mod quality;
mod record;
mod redirects;
mod reports;
mod script;
mod series;
mod speaking;
mod stage;
mod talking;
mod telling;
mod timers;
mod trail;
mod transfer;
mod vanishing;

#[cfg(test)]
mod property_tests;
#[cfg(test)]
pub(crate) mod tests;

pub use actions::{Action, Connect, Manner, Sound};
pub use called::MAX_RUNG;
pub use caller::{Answerer, Called, Caller, Rings};
pub use effect::Summons;
pub use effect::{CallEvent, Effect, InviteOrder};
pub use input::{Api, AttemptId, Input, LeaseRefused, NotSent, ReceiverSays, ResolveError, SipEvent};
pub use record::Timings;
pub use stage::State;
pub use trail::SdpKind;
pub use transfer::HandOver;

use browser::Browser;
use digits::Digits;
use holding::Held;
use quality::Quality;
use record::Notes;
use redirects::Redirects;
use script::Script;
use speaking::Speakers;
use stage::{Inviting, Stage, Talking};
use timers::{Timer, Timers};
use trail::Trail;
use transfer::Transfers;

/// How much later than the media plane the call itself gives up waiting for the media plane's word.
const BACKSTOP: Duration = Duration::from_secs(5);
/// Longest step before an INVITE: DNS gives up after two seconds, a worker answers in milliseconds.
const STEP: Duration = Duration::from_secs(10);

/// What does not change over a call.
#[derive(Debug, Clone)]
pub struct About {
    /// Its id.
    pub call: CallId,
    /// Its session; of a call from the trunk that of whoever answers, once somebody has.
    pub session: Option<SessionId>,
    /// Who calls, if the trunk does.
    pub caller: Option<Caller>,
    /// Its app.
    pub app: String,
    /// Its profile.
    pub profile: Option<String>,
    /// The session's context, on every event.
    pub context: Vec<(String, String)>,
    /// The back end's own data, in the record.
    pub metadata: Option<Value>,
    /// Whether the visitor filled a form.
    pub has_form_values: bool,
    /// The back end's header fields for the trunk.
    pub headers: Vec<(String, String)>,
    /// What the browser will send.
    pub browser_codec: Codec,
    /// Address in our SDP instead of the leased one.
    pub advertise: Option<IpAddr>,
    /// `o=` session id of our SDP.
    pub sdp_session: u64,
    /// Where our master keys towards trunks come from.
    pub keys: KeySource,
    /// The media plane's limits.
    pub limits: Limits,
    /// Red for so long before a loss makes the network its cause.
    pub poor_after: Duration,
    /// The profile that was asked for, if it does not exist.
    pub asked_profile: Option<String>,
    /// Played when there is nothing to dial.
    pub no_destination: Option<Arc<Prompt>>,
    /// Played to both sides when the longest call is nearly over.
    pub ending_soon: Option<Arc<Prompt>>,
    /// What a leg on hold hears.
    pub hold: Option<Arc<Prompt>>,
    /// What the trunk's side hears while the browser is away.
    pub please_wait: Option<Arc<Prompt>>,
    /// Played when nobody could be reached, where the trunk wants it.
    pub call_failed: Option<Arc<Prompt>>,
    /// The visitor's language, BCP 47.
    pub lang: String,
    /// Who is asked before anything is dialled.
    pub question: Option<Arc<Question>>,
    /// The reading of the clocks that wall times are counted from.
    pub wall: Now,
}

/// One call.
#[derive(Debug)]
pub struct Call {
    about: About,
    /// Destinations not tried yet.
    plan: VecDeque<Planned>,
    /// Further trunks for the destination being dialled.
    ways: VecDeque<Planned>,
    /// Trunks that were down when their turn came: what is tried when nothing else is left.
    passed_over: VecDeque<Arc<Route>>,
    stage: Stage,
    browser: Browser,
    timers: Timers,
    effects: VecDeque<Effect>,
    digits: Digits,
    /// How audio goes across, as the media plane was told last: elastic towards the browser, on arrival towards the trunk.
    crosses: (bool, bool),
    notes: Notes,
    trail: Trail,
    quality: Quality,
    script: Script,
    speakers: Speakers,
    held: Held,
    transfers: Transfers,
    /// The back end's header fields for the trunk, those of a connect action before the session's.
    headers: headers::Fields,
    /// Of a call from the trunk: whom it rings or rang.
    rung: called::Rung,
    findings: Findings,
    unheard: Option<reports::Unheard>,
    attempts: u32,
    seq: u64,
    redirects: Redirects,
    /// How the last destination failed, and how far it had come.
    last_failure: Option<(Reason, Phase)>,
    /// What the trunk dialled last lets visitors hear.
    last_tones: Option<Tones>,
}

impl Call {
    /// A call whose browser leg is open. `plan` are its destinations, in order.
    #[must_use]
    pub fn new(now: Instant, about: About, plan: Vec<Planned>) -> Self {
        // Where it goes is not known before the hook has answered.
        let notes = Notes::new(now, plan.first().filter(|_| about.question.is_none()));
        Self::with(now, about, plan, notes)
    }

    fn with(now: Instant, about: About, plan: Vec<Planned>, notes: Notes) -> Self {
        let browser = Browser::new(about.browser_codec, about.caller.is_none());
        let own = about.headers.clone();
        Self {
            about,
            plan: plan.into(),
            ways: VecDeque::new(),
            passed_over: VecDeque::new(),
            stage: Stage::Idle,
            browser,
            timers: Timers::default(),
            effects: VecDeque::new(),
            digits: Digits::default(),
            crosses: (false, false),
            notes,
            trail: Trail::new(now),
            quality: Quality::new(now),
            script: Script::default(),
            speakers: Speakers::default(),
            held: Held::default(),
            transfers: Transfers::default(),
            headers: own,
            rung: called::Rung::default(),
            findings: Findings::default(),
            unheard: None,
            attempts: 0,
            seq: 0,
            redirects: Redirects::default(),
            last_failure: None,
            last_tones: None,
        }
    }

    /// Something happened.
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.trail.handle(now, &input);
        if self.is_over() {
            return;
        }
        match input {
            Input::Start => self.start(now),
            Input::Media(event) => self.handle_media(now, event),
            Input::Sip { attempt, event } => self.handle_sip(now, attempt, event),
            Input::Api(api) => self.handle_api(now, api),
            Input::TrunkLeased { attempt, result } => self.handle_leased(now, attempt, result),
            Input::Resolved { attempt, result } => self.handle_resolved(now, attempt, result),
            Input::TransferPlanned(planned) => self.planned(now, planned),
            Input::Asked(asked) => self.asked(now, *asked),
            Input::Fetched { id, result } => self.fetched(now, id, result),
            Input::Receiver(says) => self.receiver(now, says),
            Input::Broken(error) => {
                self.notes.evidence("error", error);
                self.finish(now, Reason::InternalError);
            }
            Input::SipGone => self.sip_gone(now),
            Input::Shutdown => {
                self.notes.evidence("node", "stopping");
                self.finish(now, Reason::NodeShutdown);
            }
            #[cfg(test)]
            Input::Panic => panic!("asked for"),
        }
    }

    /// A report of the browser's that came when the call was over already.
    pub fn late_report(&mut self, now: Instant, code: String, detail: Option<String>) {
        self.notes.client_report(now, code, detail);
    }

    /// A deadline passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.take_expired(now) {
            self.notes.timer_fired(timer.name());
            self.trail.timer(now, timer.name());
            match timer {
                Timer::Setup => self.setup_overdue(now),
                Timer::Step => self.step_overdue(now),
                Timer::Target => self.target_is_silent(now),
                Timer::Ring => self.rang_too_long(now),
                Timer::EndingSoon => self.warn_of_the_end(now),
                Timer::MaxDuration => self.lasted_too_long(now),
                Timer::Grace => self.grace_over(now, None),
                Timer::Prompt => self.parting_heard(now),
                Timer::Answer => self.unanswered(now),
                Timer::HeardByBrowser => self.spoken_too_long(now, Leg::Browser),
                Timer::HeardBySip => self.spoken_too_long(now, Leg::Trunk),
                Timer::OfferAgain => self.offer_hold(),
                Timer::Transfer => self.transfer_overdue(now),
            }
        }
    }

    /// What to do next.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        let Some(effect) = self.effects.pop_front() else {
            // Most of a call's life there is none: their room is given back.
            self.effects = VecDeque::new();
            return None;
        };
        self.follow_digits(&effect);
        self.follow_audio(&effect);
        self.trail.effect(&effect);
        Some(effect)
    }

    /// The next deadline and why.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        self.timers.next()
    }

    /// Whether the call has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Ended)
    }

    /// The call's state in the API's terms.
    #[must_use]
    pub fn state(&self) -> State {
        match &self.stage {
            _ if self.has_parked() => {
                if self.browser.is_lost() {
                    State::Reconnecting
                } else {
                    State::Talking
                }
            }
            Stage::Idle | Stage::Asking | Stage::Acting | Stage::Leasing { .. } | Stage::Resolving { .. } => {
                State::Setup
            }
            Stage::Parting(parting) if parting.phase == Phase::Ringing => State::Ringing,
            Stage::Parting(_) => State::Setup,
            Stage::Inviting(inviting) if inviting.ringing => State::Ringing,
            Stage::Called(_) if self.notes.ringing_at.is_some() => State::Ringing,
            Stage::Inviting(_) | Stage::Called(_) => State::Setup,
            Stage::Talking(_) if self.browser.is_lost() => State::Reconnecting,
            Stage::Talking(_) => State::Talking,
            Stage::Ended => State::Ended,
        }
    }

    /// Whether it has come to nothing and is about to end.
    #[must_use]
    pub fn is_parting(&self) -> bool {
        matches!(self.stage, Stage::Parting(_))
    }

    /// How the call ended, once it has.
    #[must_use]
    pub fn outcome(&self) -> Option<&Outcome> {
        self.notes.outcome.as_ref()
    }

    /// What does not change over the call.
    #[must_use]
    pub fn about(&self) -> &About {
        &self.about
    }

    fn start(&mut self, now: Instant) {
        let destination = self.notes.first_destination.clone();
        self.emit(
            "call_started",
            [
                ("destination_id", destination.into()),
                ("has_form_values", self.about.has_form_values.into()),
                ("direction", self.direction().into()),
            ],
        );
        if matches!(self.stage, Stage::Called(_)) {
            return self.ring_browsers(now);
        }
        self.note_profile_fallback(now);
        self.timers.set(Timer::Setup, now + self.about.limits.setup + BACKSTOP);
        match self.about.question.clone() {
            Some(question) => self.ask(now, question),
            None => self.dial_plan(now),
        }
    }

    fn handle_api(&mut self, now: Instant, api: Api) {
        match api {
            Api::VisitorHangup => self.visitor_hung_up(now),
            Api::OperatorHangup(reason) => {
                self.notes.evidence("hung_up_by", "operator");
                self.notes.evidence("operator_reason", reason);
                self.finish(now, Reason::RemoteHangup(RemoteHangup::Operator));
            }
            Api::Dtmf { towards, digits, duration_ms } => {
                self.send_digits(towards, digits, duration_ms);
            }
            Api::Mute { leg, muted } => self.media(Command::SetMuted { leg, muted }),
            Api::Hold { leg, held } => self.hold(leg, held),
            Api::Play { leg, sound, manner } => {
                self.speak(now, leg, sound, manner);
            }
            Api::Stop { leg } => self.stop_speaking(now, leg),
            Api::Transfer(order) => self.hand_over(now, *order),
            Api::Act(actions) => self.act(now, actions),
            Api::Restarted => self.browser.note_new_path(now, "ice_restart"),
            Api::Reattached { codec } => {
                self.browser.codec = codec;
                self.browser.note_new_path(now, "reattach");
            }
            Api::ClientReport { code, detail } => self.client_reported(now, code, detail),
        }
    }
}
