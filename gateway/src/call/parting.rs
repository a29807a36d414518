//! A call that comes to nothing and whose visitor hears so first: that there is nobody to call, or that nobody could be
//! reached. Then it ends for the reason it had before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use trunkline_config::{FailureSound, Tones};
use trunkline_media::api::{Command, Leg};
use trunkline_media::audio::prompt::Prompt;
use trunkline_media::audio::signal::Region;

use super::timers::Timer;
use super::{Call, Stage};
use crate::outcome::{Phase, Reason};

/// Names what is played then; what is played otherwise counts from 1.
pub(super) const PARTING: u32 = 0;
/// Longest it is waited for.
const LONGEST: Duration = Duration::from_secs(30);
/// How long a busy tone is heard, seconds.
const BUSY: u32 = 4;

/// What is heard before the end, and the end.
#[derive(Debug)]
pub(super) struct Parting {
    prompt: Arc<Prompt>,
    playing: bool,
    reason: Reason,
    pub(super) phase: Phase,
}

impl Call {
    /// Nothing is dialled: the visitor hears so, then the call ends.
    pub(super) fn tell_no_destination(&mut self, now: Instant) {
        self.notes.evidence("prompt_played", false);
        self.notes.evidence("destinations", 0);
        self.note_no_destination(now);
        match self.about.no_destination.clone() {
            Some(prompt) => self.tell_and_end(now, prompt, Reason::NoDestination, Phase::Routing),
            None => self.finish(now, Reason::NoDestination),
        }
    }

    /// No destination was reached: a visitor who is there, or on his way, hears so where the trunk dialled last wants that.
    pub(super) fn tell_failure(&mut self, now: Instant, reason: Reason, phase: Phase) {
        let sound = self.last_tones.clone().and_then(|tones| self.failure_sound(&tones));
        match sound.filter(|_| !self.browser.is_lost()) {
            Some(prompt) => self.tell_and_end(now, prompt, reason, phase),
            None => self.finish_in(now, reason, phase),
        }
    }

    fn failure_sound(&self, tones: &Tones) -> Option<Arc<Prompt>> {
        match tones.failure {
            FailureSound::Off => None,
            FailureSound::Tone => Region::find(&tones.region)?.busy(BUSY).map(Arc::new),
            FailureSound::Prompt => self.about.call_failed.clone(),
        }
    }

    fn tell_and_end(&mut self, now: Instant, prompt: Arc<Prompt>, reason: Reason, phase: Phase) {
        self.stop_speaking(now, Leg::Browser);
        self.stage = Stage::Parting(Parting { prompt, playing: false, reason, phase });
        if self.browser.is_up() {
            self.play_parting(now);
        }
    }

    /// The browser can hear now.
    pub(super) fn play_parting(&mut self, now: Instant) {
        let Stage::Parting(Parting { prompt, playing: playing @ false, reason, .. }) = &mut self.stage else { return };
        *playing = true;
        let (prompt, reason) = (Arc::clone(prompt), *reason);
        if reason == Reason::NoDestination {
            self.notes.evidence("prompt_played", true);
        }
        self.media(Command::Play { leg: Leg::Browser, id: PARTING, prompt, looped: false, over: false });
        self.timers.set(Timer::Prompt, now + LONGEST);
    }

    /// It was heard.
    pub(super) fn parting_heard(&mut self, now: Instant) {
        if matches!(&self.stage, Stage::Parting(parting) if parting.playing) {
            self.parted(now);
        }
    }

    /// The end comes now, heard or not; `false` if none was coming.
    pub(super) fn parted(&mut self, now: Instant) -> bool {
        let Stage::Parting(Parting { reason, phase, .. }) = &self.stage else { return false };
        let (reason, phase) = (*reason, *phase);
        self.finish_in(now, reason, phase);
        true
    }

    /// Who hangs up where nobody could be reached ends the call for that reason.
    pub(super) fn visitor_hung_up(&mut self, now: Instant) {
        self.notes.evidence("hung_up_by", "visitor");
        match &self.stage {
            Stage::Parting(Parting { reason, phase, .. }) if *reason != Reason::NoDestination => {
                self.finish_in(now, *reason, *phase);
            }
            Stage::Parting(_)
            | Stage::Idle
            | Stage::Asking
            | Stage::Acting
            | Stage::Leasing { .. }
            | Stage::Resolving { .. }
            | Stage::Inviting(_)
            | Stage::Called(_)
            | Stage::Talking(_)
            | Stage::Ended => self.finish(now, Reason::UserHangup),
        }
    }
}
