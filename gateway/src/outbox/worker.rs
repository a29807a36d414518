//! The task of one integration: the edge where its events leave.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;

use super::dispatcher::Target;
use super::lane::Plan;
use super::outlet::Outlet;
use super::send::{self, Outcome};
use crate::clock::Clock;
use crate::events::{Herald, Notice};
use crate::ids::EventId;
use crate::outbound::Client;
use crate::store::{Attempt, ChangeError, Store};

/// How long the store is left alone after it could not be used.
const TROUBLE: Duration = Duration::from_secs(1);
/// How long what is under way may take when the gateway stops; the rest goes out after the next start.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// What is asked of the task.
pub(super) enum Command {
    Reactivate(oneshot::Sender<Result<(), ChangeError>>),
    Redeliver(EventId, oneshot::Sender<Result<bool, ChangeError>>),
}

pub(super) struct Worker {
    pub(super) outlet: Outlet,
    pub(super) target: watch::Receiver<Arc<Target>>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) nudge: Arc<Notify>,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) store: Store,
    pub(super) client: Client,
    pub(super) herald: Herald,
    pub(super) clock: Clock,
}

/// Something that was under way is over.
enum Step {
    Answered(i64, Outcome),
    Recorded(i64),
}

type UnderWay = FuturesUnordered<BoxFuture<'static, Step>>;

impl Worker {
    /// Delivers until the integration is taken out of the configuration, or the gateway stops.
    pub(super) async fn run(mut self) {
        let mut under_way = UnderWay::new();
        loop {
            let now = self.clock.now();
            let trouble = self.outlet.fill(now).await.err();
            if let Some(error) = &trouble {
                tracing::warn!(%error, integration = self.outlet.state().id, "webhooks wait for the store");
            }
            while let Some((id, event)) = self.outlet.next(now.instant) {
                let (client, to, clock) = (self.client.clone(), self.target.borrow().clone(), self.clock.clone());
                under_way.push(Box::pin(async move {
                    Step::Answered(id, send::send(&client, &to.integration, &event, clock.now().wall).await)
                }));
            }
            let wake = self.outlet.timeout().map(Instant::from_std);
            let wake = if trouble.is_some() { Some(Instant::now() + TROUBLE) } else { wake };
            tokio::select! {
                Some(step) = under_way.next() => self.step(step, &under_way),
                () = self.nudge.notified() => self.outlet.nudge(),
                Some(command) = self.commands.recv() => self.obey(command).await,
                changed = self.target.changed() => match changed {
                    Ok(()) => self.outlet.set_plan(plan(&self.target.borrow_and_update())),
                    Err(_) => break,
                },
                () = at(wake) => {}
                _ = self.stop.changed() => break,
            }
        }
        let last_words = async {
            while let Some(step) = under_way.next().await {
                self.step(step, &under_way);
            }
        };
        // What does not end in time goes out again, under the same id.
        let _ = tokio::time::timeout(LAST_WORDS, last_words).await;
    }

    fn step(&mut self, step: Step, under_way: &UnderWay) {
        match step {
            Step::Recorded(id) => self.outlet.recorded(id),
            Step::Answered(id, outcome) => {
                let Some((attempt, pauses)) = self.outlet.answered(self.clock.now(), id, &outcome) else { return };
                tracing::debug!(
                    integration = self.outlet.state().id,
                    delivery = id,
                    result = outcome.word,
                    attempts = attempt.attempts,
                    state = attempt.state.word(),
                    "webhook"
                );
                if pauses {
                    self.announce_pause();
                }
                let store = self.store.clone();
                under_way.push(Box::pin(async move {
                    record(&store, attempt).await;
                    Step::Recorded(id)
                }));
            }
        }
    }

    /// Before the pause is written: a crash between the two tells it twice rather than never.
    fn announce_pause(&self) {
        let state = self.outlet.state();
        tracing::warn!(
            integration = state.id,
            failures = state.consecutive_failures,
            error = state.last_error,
            "an integration is paused"
        );
        let notice = Notice::new("integration_paused")
            .of_app(&self.target.borrow().app)
            .with("integration", state.id.as_str())
            .with("consecutive_failures", state.consecutive_failures)
            .with("last_error", state.last_error.clone());
        self.herald.announce(notice);
    }

    /// Whoever asked may have gone meanwhile.
    async fn obey(&mut self, command: Command) {
        let at = self.clock.now().wall;
        match command {
            Command::Reactivate(reply) => {
                let _ = reply.send(self.outlet.reactivate(at).await);
            }
            Command::Redeliver(event, reply) => {
                let _ = reply.send(self.outlet.redeliver(&event, at).await);
            }
        }
    }
}

/// How an integration wants its deliveries tried.
pub(super) fn plan(target: &Target) -> Plan {
    let Target { integration, .. } = target;
    Plan { waits: integration.retry.clone(), in_flight_max: integration.max_in_flight }
}

async fn record(store: &Store, attempt: Attempt) {
    while let Err(error) = store.attempted(attempt.clone()).await {
        if error == ChangeError::Stopped {
            return;
        }
        tokio::time::sleep(TROUBLE).await;
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
