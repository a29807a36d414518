//! What is played to a leg: one thing after the other. Each is got ready while those before it are heard.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use trunkline_media::api::{Command, Leg};
use trunkline_media::audio::prompt::Prompt;

use super::actions::{Manner, Sound};
use super::timers::Timer;
use super::{Call, Effect, Stage};

/// Things that may wait for one leg, that which is heard among them.
const MAX_WAITING: usize = 16;
/// Longest something is got ready; whoever gets it is done sooner.
const READY: Duration = Duration::from_secs(20);
/// How much longer than it lasts something may take to be heard: a browser may be away for a while.
const SLACK: Duration = Duration::from_secs(40);

/// What both legs hear.
#[derive(Debug, Default)]
pub(super) struct Speakers {
    browser: Speaker,
    trunk: Speaker,
    last_id: u32,
}

#[derive(Debug, Default)]
struct Speaker {
    /// The first is heard, or is next.
    queue: VecDeque<Waiting>,
    /// The first is being played.
    playing: bool,
}

#[derive(Debug)]
struct Waiting {
    id: u32,
    /// `None` until it is ready.
    prompt: Option<Arc<Prompt>>,
    manner: Manner,
}

impl Speakers {
    fn of(&mut self, leg: Leg) -> &mut Speaker {
        match leg {
            Leg::Browser => &mut self.browser,
            Leg::Trunk => &mut self.trunk,
        }
    }

    /// Whether a leg can be given more.
    pub(super) fn has_room(&self, leg: Leg) -> bool {
        let speaker = match leg {
            Leg::Browser => &self.browser,
            Leg::Trunk => &self.trunk,
        };
        speaker.queue.len() < MAX_WAITING
    }
}

impl Call {
    /// Whether a leg can be given more to hear.
    #[must_use]
    pub fn has_room(&self, leg: Leg) -> bool {
        self.speakers.has_room(leg)
    }

    /// Lets a leg hear something after what it hears and is yet to hear; something that loops gives way. The number it
    /// goes by, unless it can never be heard.
    pub(super) fn speak(&mut self, now: Instant, leg: Leg, sound: Sound, manner: Manner) -> Option<u32> {
        // overflow: not played, as the trail says; the API refuses before it comes to this.
        if !self.speakers.has_room(leg) {
            self.trail.not_done(now, "play", "too much waits");
            return None;
        }
        self.speakers.last_id = self.speakers.last_id.saturating_add(1);
        let id = self.speakers.last_id;
        let prompt = match sound {
            Sound::Prompt(prompt) => Some(prompt),
            Sound::Missing(name) => {
                self.trail.not_done(now, "play", &format!("there is no prompt {name}"));
                return None;
            }
            Sound::Say { .. } | Sound::Url(_) => {
                self.effects.push_back(Effect::Fetch { id, sound });
                None
            }
        };
        self.drop_loops(leg);
        self.speakers.of(leg).queue.push_back(Waiting { id, prompt, manner });
        self.advance(now, leg);
        Some(id)
    }

    /// Something is ready, or never will be.
    pub(super) fn fetched(&mut self, now: Instant, id: u32, result: Result<Arc<Prompt>, String>) {
        let waits = |speaker: &Speaker| speaker.queue.iter().any(|waiting| waiting.id == id);
        let leg = if waits(&self.speakers.browser) { Leg::Browser } else { Leg::Trunk };
        match result {
            Ok(prompt) => {
                let mut queue = self.speakers.of(leg).queue.iter_mut();
                if let Some(waiting) = queue.find(|waiting| waiting.id == id) {
                    waiting.prompt = Some(prompt);
                }
                self.advance(now, leg);
            }
            Err(_) => self.cut(now, leg, id),
        }
    }

    /// Something was heard to its end.
    pub(super) fn prompt_finished(&mut self, now: Instant, leg: Leg, id: u32) {
        let speaker = self.speakers.of(leg);
        if speaker.playing && speaker.queue.front().is_some_and(|first| first.id == id) {
            speaker.playing = false;
            self.cut(now, leg, id);
        }
    }

    /// It should be ready, or over.
    pub(super) fn spoken_too_long(&mut self, now: Instant, leg: Leg) {
        if let Some(id) = self.speakers.of(leg).queue.front().map(|first| first.id) {
            self.cut(now, leg, id);
        }
    }

    /// A leg hears no more of this.
    pub(super) fn stop_speaking(&mut self, now: Instant, leg: Leg) {
        let ids: Vec<u32> = self.speakers.of(leg).queue.iter().map(|waiting| waiting.id).collect();
        self.silence(leg);
        self.speakers.of(leg).queue.clear();
        ids.into_iter().for_each(|id| self.heard(now, id));
    }

    /// Takes one thing out, wherever it stands; the next has its turn.
    pub(super) fn cut(&mut self, now: Instant, leg: Leg, id: u32) {
        let Some(at) = self.speakers.of(leg).queue.iter().position(|waiting| waiting.id == id) else { return };
        if at == 0 {
            self.silence(leg);
        }
        self.speakers.of(leg).queue.remove(at);
        self.heard(now, id);
        self.advance(now, leg);
    }

    /// What repeats for ever is not heard over somebody who answers, nor over what comes after it.
    pub(super) fn drop_loops(&mut self, leg: Leg) {
        if self.speakers.of(leg).queue.front().is_some_and(|first| first.manner.looped) {
            self.silence(leg);
        }
        self.speakers.of(leg).queue.retain(|waiting| !waiting.manner.looped);
    }

    /// Plays what is next, once it is ready and the leg can hear it.
    pub(super) fn advance(&mut self, now: Instant, leg: Leg) {
        let can_hear = match leg {
            Leg::Browser => self.browser.is_up(),
            Leg::Trunk => matches!(self.stage, Stage::Talking(_)),
        };
        let timer = timer_of(leg);
        let speaker = self.speakers.of(leg);
        let Some(first) = speaker.queue.front() else { return self.timers.stop(timer) };
        let (id, Manner { looped, over }) = (first.id, first.manner);
        match first.prompt.clone() {
            Some(prompt) if can_hear && !speaker.playing => {
                speaker.playing = true;
                if looped {
                    self.timers.stop(timer);
                } else {
                    self.timers.set(timer, now + Duration::from_millis(prompt.duration_ms()) + SLACK);
                }
                self.media(Command::Play { leg, id, prompt, looped, over });
            }
            Some(_) if !speaker.playing => self.timers.stop(timer),
            None if !self.timers.is_set(timer) => self.timers.set(timer, now + READY),
            Some(_) | None => {}
        }
    }

    /// Stops what is being played to a leg.
    fn silence(&mut self, leg: Leg) {
        self.timers.stop(timer_of(leg));
        if std::mem::take(&mut self.speakers.of(leg).playing) {
            self.media(Command::StopPlaying { leg });
        }
    }
}

fn timer_of(leg: Leg) -> Timer {
    match leg {
        Leg::Browser => Timer::HeardByBrowser,
        Leg::Trunk => Timer::HeardBySip,
    }
}
