//! One task per call: takes what happens, feeds the pure [`Call`], carries its effects out. Slow effects are futures
//! whose results come back as inputs, so nothing ever blocks a call; a panic ends this call alone.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{mpsc, watch};
use trunkline_media::api::Command;
use trunkline_signaling::endpoint::{LegId, Reason as ReasonHeader};

use super::Shared;
use super::counters::bump;
use super::inbox::Letter;
use super::limits::Permit;
use super::ports::Placed;
use super::store::Live;
use super::tally::CallTally;
use crate::call::{AttemptId, Call, CallEvent, Effect, Input, InviteOrder, NotSent, SipEvent, State};
use crate::events::Word;
use crate::outcome::Outcome;

/// Between two tries to close a call whose worker's queue is full.
const CLOSE_AGAIN: Duration = Duration::from_millis(100);
/// How often that is tried.
const CLOSE_TRIES: u32 = 50;

mod called;
mod handing;
mod helped;
mod late;
mod lease;
mod registered;

pub(super) struct Driver {
    shared: Arc<Shared>,
    live: Arc<Live>,
    inbox: mpsc::Receiver<Letter>,
    pending: FuturesUnordered<BoxFuture<'static, Done>>,
    legs: Vec<(AttemptId, Leg)>,
    /// The trunk's place, and whose it is: while a trunk leg is leased, or the trunk's own call rings.
    trunk: Option<(String, Permit)>,
    /// Whose leg was leased last.
    dialled: String,
    /// The same for a leg that may take its place.
    spare: Option<(String, Permit)>,
    /// The app's place, while the call lives.
    app: Option<Permit>,
    tally: CallTally,
    /// The journal knows of another trunk leg than talks.
    rewrite: bool,
    /// What the journal knows of the call's state.
    journalled: State,
    /// Turns true when the call is over: nobody waits for what is no use any more.
    over: watch::Sender<bool>,
    finished: bool,
    /// The event that ends the call, until it has ended.
    last_word: Option<Word>,
}

/// A slow effect has come to something.
enum Done {
    Input(Input),
    Placed(AttemptId, Result<Placed, NotSent>),
    Nothing,
}

/// What an attempt has on the SIP side.
enum Leg {
    /// The INVITE is on its way to the SIP side. If the call has given up meanwhile: the Reason to hang up with.
    Placing(Option<ReasonHeader>),
    Placed(LegId),
    /// Hung up; what the trunk says to that belongs to the call's ladder.
    HungUp(LegId),
}

impl Driver {
    pub(super) fn new(shared: Arc<Shared>, live: Arc<Live>, inbox: mpsc::Receiver<Letter>, app: Permit) -> Self {
        shared.driving.fetch_add(1, Ordering::AcqRel);
        Self {
            shared,
            live,
            inbox,
            pending: FuturesUnordered::new(),
            legs: Vec::new(),
            trunk: None,
            dialled: String::new(),
            spare: None,
            app: Some(app),
            tally: CallTally::default(),
            rewrite: false,
            journalled: State::Setup,
            over: watch::Sender::new(false),
            finished: false,
            last_word: None,
        }
    }

    /// Drives the call to its end.
    pub(super) async fn drive(mut self) {
        if AssertUnwindSafe(self.run()).catch_unwind().await.is_err() {
            bump(&self.shared.counters.panics);
            self.last_resort();
        }
        self.wind_down().await;
    }

    async fn run(&mut self) {
        self.step(Input::Start);
        while !self.finished {
            let deadline = self.live.call().poll_timeout();
            tokio::select! {
                biased;
                Some(done) = self.pending.next(), if !self.pending.is_empty() => self.done(done),
                input = self.inbox.recv() => {
                    self.step(input.map_or_else(|| Input::Broken("the call's inbox is gone".into()), |letter| *letter));
                }
                () = until(deadline.map(|(at, _)| at)) => {
                    if let Some((_, timer)) = deadline {
                        tracing::debug!(timer, "timer fired");
                    }
                    self.guarded(|call, now| call.handle_timeout(now));
                }
            }
            if self.live.inbox.take_overrun() {
                self.step(Input::Broken("the call's inbox was full".into()));
            }
        }
    }

    fn step(&mut self, input: Input) {
        self.tally.input(&input, &self.shared.counters);
        self.notice_last_word(&input);
        self.guarded(|call, now| call.handle(now, input));
    }

    /// One look at the clock, one input, all its effects.
    fn guarded(&mut self, input: impl FnOnce(&mut Call, Instant)) {
        let now = Instant::now();
        let handled = {
            let mut call = self.live.call();
            std::panic::catch_unwind(AssertUnwindSafe(|| input(&mut call, now)))
        };
        if let Err(panic) = handled {
            bump(&self.shared.counters.panics);
            let what = panic_text(&*panic);
            tracing::error!(what, "panic in a call, the call ends");
            self.live.call().handle(now, Input::Broken(what.to_owned()));
        }
        self.carry_out(now);
    }

    fn carry_out(&mut self, now: Instant) {
        loop {
            let effect = self.live.call().poll_effect();
            match effect {
                Some(Effect::Media(command)) => self.media(command),
                Some(Effect::LeaseTrunk { attempt, trunk, last }) => self.lease(attempt, &trunk, last),
                Some(Effect::Resolve { attempt, wanted }) => {
                    let wanted = self.first_hop(wanted);
                    let finder = self.shared.finder.clone();
                    self.later(async move {
                        let result = finder.targets(wanted).await;
                        Done::Input(Input::Resolved { attempt, result })
                    });
                }
                Some(Effect::Met { target, sign }) => self.shared.finder.note_call(&target, sign),
                Some(Effect::Invite(order)) => self.invite(*order),
                Some(Effect::Hangup { attempt, reason }) => self.hangup(attempt, reason),
                Some(Effect::AnswerOffer { attempt, answer }) => {
                    if let Some((_, Leg::Placed(leg))) = self.legs.iter().find(|(a, _)| *a == attempt) {
                        self.shared.sip.answer_offer(*leg, answer);
                    }
                }
                Some(Effect::LeaseSpare { attempt, trunk, last }) => self.lease_spare(attempt, &trunk, last),
                Some(Effect::PlanTransfer { trunk, to }) => self.plan_transfer(&trunk, &to),
                Some(Effect::Transfer { attempt, order }) => self.transfer(attempt, order),
                Some(Effect::Adopt { attempt, leg }) => self.adopt(attempt, leg),
                Some(Effect::Offer { attempt, sdp }) => self.offer(attempt, sdp),
                Some(Effect::Ring { attempt }) => self.ring(attempt),
                Some(Effect::Accept { attempt, sdp }) => self.accept(attempt, sdp),
                Some(Effect::Refuse { attempt, status, reason }) => self.refuse(attempt, status, reason),
                Some(Effect::Tell { sessions, summons }) => self.tell(&sessions, summons),
                Some(Effect::SendDigits { attempt, digits }) => self.send_digits(attempt, digits),
                Some(Effect::Ask(question)) => self.ask(question),
                Some(Effect::Fetch { id, sound }) => self.fetch(id, sound),
                Some(Effect::Emit(event)) => self.emit(now, event),
                Some(Effect::Finished(outcome)) => self.finish(now, &outcome),
                None => break,
            }
        }
        self.journal();
    }

    /// Writes down how far the call has come, once for each stage.
    fn journal(&mut self) {
        let state = self.live.call().state();
        let further = match state {
            State::Ringing => self.journalled == State::Setup,
            State::Talking => matches!(self.journalled, State::Setup | State::Ringing),
            State::Setup | State::Reconnecting | State::Ended => false,
        };
        let again = std::mem::take(&mut self.rewrite);
        if (further || again) && !self.finished {
            self.journalled = state;
            self.shared.store.keep(self.live.journal(state == State::Talking));
        }
    }

    fn later(&self, future: impl Future<Output = Done> + Send + 'static) {
        self.pending.push(future.boxed());
    }

    fn media(&mut self, command: Command) {
        self.count_played(&command);
        self.move_permits(&command);
        let closing = matches!(command, Command::Close);
        // overflow: a call whose worker does not take its commands cannot be right and ends; closing is tried again.
        if self.shared.media.command(self.live.key, command) {
            return;
        }
        bump(&self.shared.counters.commands_refused);
        if closing {
            let (media, key) = (Arc::clone(&self.shared.media), self.live.key);
            self.later(async move {
                for _ in 0..CLOSE_TRIES {
                    tokio::time::sleep(CLOSE_AGAIN).await;
                    if media.command(key, Command::Close) {
                        break;
                    }
                }
                Done::Nothing
            });
        } else {
            self.later(async { Done::Input(Input::Broken("the media plane took no command".into())) });
        }
    }

    fn invite(&mut self, mut order: InviteOrder) {
        self.add_routes(&mut order);
        if order.dropped_fields > 0 {
            let dropped = order.dropped_fields;
            tracing::warn!(dropped, "header fields do not go to the trunk: no room, or a name twice");
            self.shared.count_dropped_fields(dropped);
        }
        let attempt = order.attempt;
        self.tally.invited(attempt, &order.route);
        self.legs.push((attempt, Leg::Placing(None)));
        self.shared.desk.placing();
        let placed = self.shared.sip.invite(order);
        self.later(async move { Done::Placed(attempt, placed.await) });
    }

    fn hangup(&mut self, attempt: AttemptId, reason: ReasonHeader) {
        self.tally.hung_up(attempt, &self.shared.counters);
        let Some(at) = self.legs.iter().position(|(a, _)| *a == attempt) else { return };
        match self.legs.get_mut(at) {
            Some((_, Leg::Placing(hangup))) => *hangup = Some(reason),
            Some((_, Leg::Placed(leg))) => {
                let leg = *leg;
                self.shared.sip.hangup(leg, reason);
                if let Some((_, state)) = self.legs.get_mut(at) {
                    *state = Leg::HungUp(leg);
                }
            }
            Some((_, Leg::HungUp(_))) | None => {}
        }
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Input(input) => self.step(input),
            Done::Placed(attempt, result) => self.placed(attempt, result),
            Done::Nothing => {}
        }
    }

    fn placed(&mut self, attempt: AttemptId, result: Result<Placed, NotSent>) {
        let at = self.legs.iter().position(|(a, _)| *a == attempt);
        let given_up = at.map(|at| self.legs.swap_remove(at)).and_then(|(_, leg)| match leg {
            Leg::Placing(hangup) => hangup,
            Leg::Placed(_) | Leg::HungUp(_) => None,
        });
        match (result, given_up) {
            (Ok(placed), Some(reason)) => {
                self.shared.desk.placed(None);
                self.shared.sip.hangup(placed.leg, reason);
            }
            (Ok(placed), None) if self.finished => {
                // The call ended without knowing that this leg would come to be.
                self.shared.desk.placed(None);
                let reason = crate::outcome::table::reason_header(crate::outcome::Reason::SipTransportLost);
                self.shared.sip.hangup(placed.leg, reason);
            }
            (Ok(placed), None) => {
                self.legs.push((attempt, Leg::Placed(placed.leg)));
                self.step(Input::Sip { attempt, event: SipEvent::Sent(placed.call_id) });
                self.shared.desk.placed(Some((placed.leg, self.live.inbox.clone(), attempt)));
            }
            (Err(error), _) => {
                self.shared.desk.placed(None);
                self.step(Input::Sip { attempt, event: SipEvent::NotSent(error) });
            }
        }
    }

    fn emit(&mut self, now: Instant, event: CallEvent) {
        super::tally::event(&event, &self.shared.counters);
        let (app, at) = {
            let call = self.live.call();
            (call.about().app.clone(), call.about().wall.wall_at(now))
        };
        let CallEvent { seq, name, data } = event;
        tracing::info!(event = name, seq);
        let word = Word { name, app, call: self.live.id.clone(), seq, at, data };
        if word.is_last() {
            // It is written together with what stays of the call, so that a crash finds both or neither.
            self.last_word = Some(word);
        } else {
            self.shared.herald.tell(now, word, Some(&self.live.log), None);
        }
    }

    fn finish(&mut self, now: Instant, outcome: &Outcome) {
        log_end(outcome);
        self.finished = true;
        self.over.send_replace(true);
        (self.trunk, self.spare, self.app) = (None, None, None);
        // What the browser said with its last breath may lie behind what ended the call.
        while let Ok(input) = self.inbox.try_recv() {
            self.late(now, *input);
        }
        self.shared.finish(&self.live, outcome, now, self.last_word.take());
    }

    /// Even ending the call panicked: free what it holds and say so, by hand.
    fn last_resort(&mut self) {
        if self.finished {
            return;
        }
        tracing::error!("a call could not end by itself");
        let now = Instant::now();
        self.shared.media.command(self.live.key, Command::Close);
        let reason = crate::outcome::table::reason_header(crate::outcome::Reason::InternalError);
        let attempts: Vec<_> = self.legs.iter().map(|(attempt, _)| *attempt).collect();
        attempts.into_iter().for_each(|attempt| self.hangup(attempt, reason.clone()));
        let (event, outcome) = self.live.call().abandon();
        if let Some(event) = event {
            self.emit(now, event);
        }
        self.finish(now, &outcome);
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.shared.driving.fetch_sub(1, Ordering::AcqRel);
        self.shared.one_ended.notify_waiters();
    }
}

/// The line every call leaves.
pub(super) fn log_end(outcome: &Outcome) {
    let reason = outcome.reason;
    tracing::info!(
        class = reason.class().word(),
        reason = reason.word(),
        detail = reason.detail(),
        phase = outcome.phase.word(),
        blame = reason.blame().word(),
        "call is over"
    );
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("panic without words")
}
