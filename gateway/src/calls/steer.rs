//! What is asked of a live call: digits, mute, hold, something to hear, actions. Checked here, done by the call.

use std::sync::Arc;

use trunkline_media::api::{Digit, Leg};

use super::store::Live;
use super::{Calls, over};
use crate::call::{Action, Api, Input, Manner, Sound, State};
use crate::hook::{Hooks, answer};
use crate::ids::CallId;
use crate::outbound::Client;
use crate::problem::Problem;
use crate::recordings::Recordings;
use crate::speech::Speech;

/// Most digits in one request.
const MAX_DIGITS: usize = 64;

/// What calls need of the world beside their two sides.
pub(super) struct Helpers {
    pub(super) hooks: Hooks,
    pub(super) recordings: Recordings,
}

impl Calls {
    /// Gives the calls a way to ask answer hooks, to get recordings by URL, and somebody who speaks. Once, at start; without
    /// it no hook is asked, and only prompts are played.
    pub fn equip(&self, client: &Client, speech: Option<Arc<dyn Speech>>) {
        let shared = &self.shared;
        let measures = || Arc::clone(&shared.counters.measures.hooks);
        let helpers = Helpers {
            hooks: Hooks::new(client.clone(), shared.prompts.clone(), shared.clock.clone(), measures()),
            recordings: Recordings::new(client.clone(), speech, shared.clock.clone(), measures()),
        };
        if self.shared.helpers.set(helpers).is_err() {
            tracing::warn!("the calls are equipped already");
        }
    }

    /// Sends digits towards a leg. Problems: `call-not-connected` 409, `invalid-digits` 400.
    pub fn dtmf(&self, call: &CallId, towards: Leg, digits: &str, duration_ms: u32) -> Result<(), Problem> {
        let live = self.shared.find_live(call)?;
        let parsed: Option<Vec<Digit>> = digits.chars().take(MAX_DIGITS + 1).map(Digit::from_char).collect();
        let digits = parsed
            .filter(|d| (1..=MAX_DIGITS).contains(&d.len()))
            .ok_or_else(|| Problem::invalid_digits(format!("1 to {MAX_DIGITS} of 0-9, *, #, A-D")))?;
        if !(40..=6_000).contains(&duration_ms) {
            return Err(Problem::invalid_digits("duration_ms is 40 to 6000"));
        }
        let state = live.call().state();
        match state {
            State::Talking | State::Reconnecting => {
                live.inbox.offer(Input::Api(Api::Dtmf { towards, digits, duration_ms }));
                Ok(())
            }
            State::Setup | State::Ringing => {
                Err(Problem::call_not_connected("digits can be sent once the call is answered")
                    .with("call", call.as_str()))
            }
            State::Ended => Err(over(call)),
        }
    }

    /// Mutes what a leg says.
    pub fn mute(&self, call: &CallId, leg: Leg, muted: bool) -> Result<(), Problem> {
        let live = self.shared.find_live(call)?;
        expect_browser(&live)?;
        if live.inbox.offer(Input::Api(Api::Mute { leg, muted })) { Ok(()) } else { Err(over(call)) }
    }

    /// Puts a leg on hold, or takes it back; asking twice changes nothing. Problems:
    /// `call-not-connected`, `call-ended`, `transfer-in-progress`.
    pub fn hold(&self, call: &CallId, leg: Leg, held: bool) -> Result<(), Problem> {
        let live = self.connected(call, "a leg can be held once the call is answered")?;
        let busy = live.call().is_transferring();
        if busy {
            let problem = Problem::transfer_in_progress("the visitor waits for a transfer");
            return Err(problem.with("call", call.as_str()));
        }
        hand(&live, Api::Hold { leg, held })
    }

    /// Lets a leg hear a recording after what of ours it hears now. Problems: `invalid-request`, `unknown-prompt`,
    /// `too-many-prompts`, `call-not-connected`, `call-ended`.
    pub fn play(
        &self,
        call: &CallId,
        leg: Leg,
        (prompt, url): (Option<String>, Option<String>),
        manner: Manner,
    ) -> Result<(), Problem> {
        let live = self.hearing(call, leg)?;
        let lang = live.call().about().lang.clone();
        let sound = answer::play(prompt, url, &self.shared.prompts, &lang).map_err(Problem::invalid_request)?;
        self.check_sound(&live, &sound)?;
        hand(&live, Api::Play { leg, sound, manner })
    }

    /// Lets a leg hear a text after what of ours it hears now. Problems: as for [`Self::play`], and `speech-unavailable`.
    pub fn say(&self, call: &CallId, leg: Leg, text: String, lang: Option<String>, over: bool) -> Result<(), Problem> {
        let live = self.hearing(call, leg)?;
        let default = live.call().about().lang.clone();
        let sound = answer::say(text, lang, &default).map_err(Problem::invalid_request)?;
        self.check_sound(&live, &sound)?;
        hand(&live, Api::Play { leg, sound, manner: Manner { looped: false, over } })
    }

    /// Lets a leg, or both, hear no more of what is played. Problem: `call-ended`.
    pub fn stop(&self, call: &CallId, leg: Option<Leg>) -> Result<(), Problem> {
        let live = self.shared.find_live(call)?;
        let legs = leg.map_or(vec![Leg::Browser, Leg::Trunk], |leg| vec![leg]);
        legs.into_iter().try_for_each(|leg| hand(&live, Api::Stop { leg }))
    }

    /// Runs a list of actions, as an answer hook writes it. Problems: those of [`Self::play`] and [`Self::say`], and
    /// `call-already-connected` for a connect action.
    pub fn act(&self, call: &CallId, list: &[u8]) -> Result<(), Problem> {
        let live = self.hearing(call, Leg::Browser)?;
        let (app, lang, may_connect) = {
            let call = live.call();
            (call.about().app.clone(), call.about().lang.clone(), call.may_connect())
        };
        let (config, prompts) = (live.config(), &self.shared.prompts);
        let context = answer::Context { config, prompts, app: &app, lang: &lang, by: "operator" };
        let actions = answer::read(list, &context).map_err(Problem::invalid_request)?;
        for action in &actions {
            match action {
                Action::Hear(sound, _) => self.check_sound(&live, sound)?,
                Action::Connect(_) if !may_connect => {
                    let problem = Problem::call_already_connected("the call has a trunk side, or is dialling for one");
                    return Err(problem.with("call", call.as_str()));
                }
                Action::Connect(_) | Action::Hangup(_) => {}
            }
        }
        hand(&live, Api::Act(actions))
    }

    /// Whether a request of this key was taken already; it is not done twice.
    pub fn is_repeated(&self, call: &CallId, key: &str) -> Result<bool, Problem> {
        Ok(self.shared.find_live(call)?.taken().contains(key))
    }

    /// A request of this key was taken.
    pub fn note_taken(&self, call: &CallId, key: String) {
        if let Some(live) = self.shared.get_live(call) {
            live.taken().push(key);
        }
    }

    /// A call one leg of which can be given something to hear, now or once its path is up.
    fn hearing(&self, call: &CallId, leg: Leg) -> Result<Arc<Live>, Problem> {
        let live = match leg {
            Leg::Trunk => self.connected(call, "the sip leg hears once the call is answered")?,
            Leg::Browser => self.shared.find_live(call)?,
        };
        expect_browser(&live)?;
        let (is_over, nowhere, room) = {
            let call = live.call();
            (call.is_over(), call.is_parting(), call.has_room(leg))
        };
        if is_over {
            return Err(over(call));
        }
        if nowhere {
            let problem = Problem::call_not_connected("nobody is reached, and the call is about to end");
            return Err(problem.with("call", call.as_str()));
        }
        // overflow: refused; what waits is heard first.
        if room {
            Ok(live)
        } else {
            Err(Problem::too_many_prompts("the leg has enough to hear; stop it, or wait").with("call", call.as_str()))
        }
    }

    fn check_sound(&self, live: &Live, sound: &Sound) -> Result<(), Problem> {
        let problem = match sound {
            Sound::Missing(name) => Problem::unknown_prompt(format!("there is no prompt {name:?}")),
            Sound::Say { .. } if !self.shared.helpers.get().is_some_and(|helpers| helpers.recordings.speaks()) => {
                Problem::speech_unavailable("nothing that speaks texts is installed")
            }
            Sound::Url(url) if url.starts_with("http://") && !live.allows_insecure_urls() => {
                Problem::invalid_request("url is an https URL, unless the app allows others")
            }
            Sound::Prompt(_) | Sound::Say { .. } | Sound::Url(_) => return Ok(()),
        };
        Err(problem.with("call", live.id.as_str()))
    }
}

/// Nobody has a call from the trunk while it rings.
fn expect_browser(live: &Live) -> Result<(), Problem> {
    let (has_browser, is_over) = {
        let call = live.call();
        (call.has_browser(), call.is_over())
    };
    if has_browser || is_over {
        return Ok(());
    }
    Err(Problem::call_not_connected("nobody has answered the call yet").with("call", live.id.as_str()))
}

/// Hands it to the call.
pub(super) fn hand(live: &Live, api: Api) -> Result<(), Problem> {
    if live.inbox.offer(Input::Api(api)) { Ok(()) } else { Err(over(&live.id)) }
}
