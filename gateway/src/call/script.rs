//! A list of actions, run in order: that of the answer hook before anything is dialled, and those posted to a live call.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use trunkline_media::api::Leg;

use super::actions::{Action, Connect};
use super::timers::Timer;
use super::{BACKSTOP, Call, Effect, Stage};
use crate::hook::{Asked, BUDGET, Question};
use crate::outcome::{Reason, RemoteHangup};

/// Actions that may wait at once.
const MAX_LEFT: usize = 64;

/// What is to be done, and in the middle of what we are.
#[derive(Debug, Default)]
pub(super) struct Script {
    /// Not begun yet.
    left: VecDeque<Action>,
    /// What the visitor hears before the next action begins.
    hears: Option<u32>,
    /// What follows if the destinations being dialled come to nothing.
    otherwise: VecDeque<Action>,
}

impl Script {
    /// Whether something is yet to come, now or when nobody answers.
    fn is_over(&self) -> bool {
        self.hears.is_none() && self.left.is_empty() && self.otherwise.is_empty()
    }

    /// Somebody has answered.
    pub(super) fn answered(&mut self) {
        self.otherwise.clear();
    }
}

impl Call {
    /// Whether a connect action would do something: nobody is dialled or connected yet.
    #[must_use]
    pub fn may_connect(&self) -> bool {
        matches!(self.stage, Stage::Asking | Stage::Acting)
    }

    /// Whether a browser has a part in it: not while a call from the trunk rings.
    #[must_use]
    pub fn has_browser(&self) -> bool {
        self.browser.is_there()
    }

    /// Begins with the app's answer hook.
    pub(super) fn ask(&mut self, now: Instant, question: Arc<Question>) {
        self.stage = Stage::Asking;
        self.timers.set(Timer::Answer, now + BUDGET + BACKSTOP);
        self.effects.push_back(Effect::Ask(question));
    }

    /// The hook has answered, or has not.
    pub(super) fn asked(&mut self, now: Instant, asked: Asked) {
        // Too late, or the actions of somebody else came first.
        if !matches!(self.stage, Stage::Asking) {
            return;
        }
        self.notes.evidence("answer_hook", asked.evidence());
        match asked.actions {
            Ok(actions) => {
                self.timers.stop(Timer::Answer);
                self.plan.clear();
                self.stage = Stage::Acting;
                self.script.left.extend(actions);
                self.run_script(now);
            }
            Err(_) => self.unanswered(now),
        }
    }

    /// There is no answer: the call goes where it would go without a hook.
    pub(super) fn unanswered(&mut self, now: Instant) {
        if matches!(self.stage, Stage::Asking) {
            self.timers.stop(Timer::Answer);
            self.dial_plan(now);
        }
    }

    /// A list for a live call: it comes at once, before what is left of an earlier one.
    pub(super) fn act(&mut self, now: Instant, actions: Vec<Action>) {
        if matches!(self.stage, Stage::Parting(_)) {
            return;
        }
        let earlier = std::mem::take(&mut self.script.left);
        // overflow: the end of the earlier list is left out.
        self.script.left = actions.into_iter().chain(earlier).take(MAX_LEFT).collect();
        if let Some(id) = self.script.hears.take() {
            self.cut(now, Leg::Browser, id);
        }
        self.run_script(now);
    }

    /// What the visitor was to hear is over.
    pub(super) fn heard(&mut self, now: Instant, id: u32) {
        if self.script.hears == Some(id) {
            self.script.hears = None;
            self.run_script(now);
        }
    }

    /// All destinations came to nothing; whether the list goes on.
    pub(super) fn goes_on(&mut self, now: Instant) -> bool {
        if self.script.is_over() {
            return false;
        }
        let otherwise = std::mem::take(&mut self.script.otherwise);
        self.script.left.extend(otherwise);
        self.stage = Stage::Acting;
        self.run_script(now);
        true
    }

    fn run_script(&mut self, now: Instant) {
        while !self.is_over() && self.script.hears.is_none() {
            let Some(action) = self.script.left.pop_front() else { return self.script_is_over(now) };
            self.trail.acting(now, action.word());
            match action {
                Action::Hear(sound, manner) => self.script.hears = self.speak(now, Leg::Browser, sound, manner),
                Action::Connect(connect) => {
                    if matches!(self.stage, Stage::Asking | Stage::Acting) {
                        return self.connect(now, *connect);
                    }
                    self.trail.not_done(now, "connect", "the call has a trunk side");
                }
                Action::Hangup(by) => self.hang_up(now, by),
            }
        }
    }

    fn connect(&mut self, now: Instant, connect: Connect) {
        self.timers.stop(Timer::Answer);
        self.script.otherwise = std::mem::take(&mut self.script.left);
        self.plan = connect.plan.into();
        // Of two fields of one name the first counts.
        self.headers = connect.headers.into_iter().chain(self.about.headers.iter().cloned()).collect();
        self.next_destination(now);
    }

    fn hang_up(&mut self, now: Instant, by: &'static str) {
        if let (Stage::Acting, Some((reason, phase))) = (&self.stage, self.last_failure) {
            return self.finish_in(now, reason, phase);
        }
        self.notes.evidence("hung_up_by", by);
        self.notes.evidence("operator_reason", "hangup action");
        self.finish(now, Reason::RemoteHangup(RemoteHangup::Operator));
    }

    /// A list that neither connects nor hangs up leaves the call without a destination.
    fn script_is_over(&mut self, now: Instant) {
        if !matches!(self.stage, Stage::Acting) {
            return;
        }
        match self.last_failure {
            Some((reason, phase)) => self.finish_in(now, reason, phase),
            None => self.tell_no_destination(now),
        }
    }

    /// Dials the destinations that the configuration or the session names.
    pub(super) fn dial_plan(&mut self, now: Instant) {
        if self.plan.is_empty() { self.tell_no_destination(now) } else { self.next_destination(now) }
    }
}
