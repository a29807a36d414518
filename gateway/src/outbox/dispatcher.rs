//! A task for each integration of the configuration: started, changed and stopped as the configuration says.

use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use trunkline_config::{Config, Integration};

use super::counters::{Counters, OutletStats};
use super::outlet::Outlet;
use super::worker::{Command, Worker, plan};
use crate::clock::Clock;
use crate::events::Herald;
use crate::ids::{EventId, random_bits};
use crate::outbound::Client;
use crate::settings::Settings;
use crate::store::{ChangeError, Delivery, DeliveryState, IntegrationState, ReadError, Store};

/// Commands that wait for an integration's task.
const COMMANDS: usize = 8;
/// How long a task that broke, or a store that cannot be read, is left alone.
const TROUBLE: Duration = Duration::from_secs(1);
/// What is said of deliveries nobody makes any more.
const GONE: &str = "the integration is not configured any more";

/// An integration as it is configured, and the app it belongs to.
#[derive(Debug, Clone)]
pub struct Target {
    /// The app.
    pub app: String,
    /// The integration.
    pub integration: Integration,
}

/// An integration as operators see it.
#[derive(Debug, Clone)]
pub struct Overview {
    /// The app it belongs to.
    pub app: String,
    /// Whether, and why, it is paused.
    pub state: IntegrationState,
    /// Deliveries that wait.
    pub pending: u64,
}

/// What was asked of an integration was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// There is no such integration.
    #[error("there is no such integration")]
    Unknown,
    /// It cannot be written now.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

/// All webhooks; clones share them.
#[derive(Clone)]
pub struct Webhooks {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    store: Store,
    client: Client,
    herald: Herald,
    clock: Clock,
    outlets: Mutex<HashMap<String, Handle>>,
}

/// The near end of an integration's task. Dropped, the task ends.
struct Handle {
    target: watch::Sender<Arc<Target>>,
    commands: mpsc::Sender<Command>,
    nudge: Arc<Notify>,
    counters: Arc<Counters>,
}

/// The tasks that live, and what they end with.
struct Crew {
    tasks: JoinSet<String>,
    live: HashSet<String>,
    stop: watch::Receiver<bool>,
}

impl Webhooks {
    /// Nothing is sent before [`Self::run`].
    #[must_use]
    pub fn new(settings: Settings, store: Store, client: Client, herald: Herald, clock: Clock) -> Self {
        Self { inner: Arc::new(Inner { settings, store, client, herald, clock, outlets: Mutex::default() }) }
    }

    /// Delivers until told to stop, beginning with what an earlier process left behind.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let (mut changes, mut outbox) = (self.inner.settings.watch(), self.inner.store.outbox());
        let mut crew = Crew { tasks: JoinSet::new(), live: HashSet::new(), stop: stop.clone() };
        let mut changed = true;
        while !*stop.borrow() {
            if changed && let Err(error) = self.inner.adjust(&mut crew).await {
                tracing::warn!(%error, "webhooks wait for the store");
            } else {
                changed = false;
            }
            self.inner.wake();
            tokio::select! {
                Ok(()) = changes.changed() => {
                    self.inner.trust();
                    changed = true;
                }
                Ok(()) = outbox.changed() => {}
                Some(ended) = crew.tasks.join_next() => {
                    crew.ended(ended.ok());
                    changed = true;
                }
                () = tokio::time::sleep(TROUBLE), if changed => {}
                _ = stop.changed() => {}
            }
        }
        while crew.tasks.join_next().await.is_some() {}
    }

    /// All integrations of the configuration, in its order.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn overview(&self) -> Result<Vec<Overview>, ReadError> {
        let states = self.inner.states().await?;
        let pending = self.inner.store.pending_counts();
        let config = self.inner.settings.load();
        let one = |(app, integration): (&str, &Integration)| Overview {
            app: app.to_owned(),
            state: states.get(&integration.id).cloned().unwrap_or_else(|| fresh(&integration.id)),
            pending: pending.get(&integration.id).copied().unwrap_or(0),
        };
        Ok(all(&config).map(one).collect())
    }

    /// Whether it is configured.
    #[must_use]
    pub fn knows(&self, integration: &str) -> bool {
        all(&self.inner.settings.load()).any(|(_, one)| one.id == integration)
    }

    /// The log of an integration before a delivery, newest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn deliveries(
        &self,
        integration: &str,
        state: Option<DeliveryState>,
        before: Option<i64>,
        most: usize,
    ) -> Result<Vec<Delivery>, ReadError> {
        self.inner.store.deliveries(integration, state, before, most).await
    }

    /// One event's delivery to an integration.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn delivery(&self, integration: &str, event: &EventId) -> Result<Option<Delivery>, ReadError> {
        self.inner.store.delivery(integration, event).await
    }

    /// Ends a pause. What waited is delivered, and what failed on the way into the pause once more.
    ///
    /// # Errors
    /// It was not done.
    pub async fn reactivate(&self, integration: &str) -> Result<(), AskError> {
        self.ask(integration, Command::Reactivate).await
    }

    /// Delivers an event once more, under the same id. `false`: it waits already, or never went there.
    ///
    /// # Errors
    /// It was not done.
    pub async fn redeliver(&self, integration: &str, event: &EventId) -> Result<bool, AskError> {
        let event = event.clone();
        self.ask(integration, |reply| Command::Redeliver(event, reply)).await
    }

    /// What is counted, by integration.
    #[must_use]
    pub fn stats(&self) -> Vec<OutletStats> {
        let pending = self.inner.store.pending_counts();
        let outlets = self.inner.outlets();
        let mut stats: Vec<_> = outlets
            .iter()
            .map(|(id, handle)| handle.counters.read(id, pending.get(id).copied().unwrap_or(0)))
            .collect();
        stats.sort_by(|one, other| one.integration.cmp(&other.integration));
        stats
    }

    async fn ask<T>(
        &self,
        integration: &str,
        command: impl FnOnce(oneshot::Sender<Result<T, ChangeError>>) -> Command,
    ) -> Result<T, AskError> {
        if !self.knows(integration) {
            return Err(AskError::Unknown);
        }
        let commands = self.inner.outlets().get(integration).map(|handle| handle.commands.clone());
        let (reply, answer) = oneshot::channel();
        // overflow: awaited; whoever asks waits for the task. One that is just being started is asked again later.
        let sent = commands.ok_or(ChangeError::Busy)?.send(command(reply)).await;
        sent.map_err(|_| ChangeError::Busy)?;
        Ok(answer.await.map_err(|_| ChangeError::Busy)??)
    }
}

impl Inner {
    /// Tasks as the configuration has integrations.
    async fn adjust(self: &Arc<Self>, crew: &mut Crew) -> Result<(), ReadError> {
        let config = self.settings.load();
        let wanted: HashMap<&str, Target> = all(&config)
            .map(|(app, one)| (one.id.as_str(), Target { app: app.to_owned(), integration: one.clone() }))
            .collect();
        self.outlets().retain(|id, _| wanted.contains_key(id.as_str()));
        self.give_up(&wanted, crew).await;
        let mut states = None;
        for (id, target) in wanted {
            let target = Arc::new(target);
            if let Some(handle) = self.outlets().get(id).filter(|_| crew.live.contains(id)) {
                handle.target.send_replace(target);
                continue;
            }
            // One that was taken out and put in again waits for the end of its former task.
            if crew.live.contains(id) {
                continue;
            }
            if states.is_none() {
                states = Some(self.states().await?);
            }
            let state = states.as_ref().and_then(|states| states.get(id)).cloned().unwrap_or_else(|| fresh(id));
            self.start(id, target, state, crew);
        }
        Ok(())
    }

    fn start(self: &Arc<Self>, id: &str, target: Arc<Target>, state: IntegrationState, crew: &mut Crew) {
        // A task that broke leaves its counters to the next one.
        let counters = self.outlets().remove(id).map(|handle| handle.counters).unwrap_or_default();
        let seed = u64::from_be_bytes(random_bits());
        let outlet = Outlet::new(self.store.clone(), plan(&target), state, seed, counters.clone());
        let (target, watched) = watch::channel(target);
        let (commands, received) = mpsc::channel(COMMANDS);
        let nudge = Arc::new(Notify::new());
        let worker = Worker {
            outlet,
            target: watched,
            commands: received,
            nudge: nudge.clone(),
            stop: crew.stop.clone(),
            store: self.store.clone(),
            client: self.client.clone(),
            herald: self.herald.clone(),
            clock: self.clock.clone(),
        };
        let id = id.to_owned();
        self.outlets().insert(id.clone(), Handle { target, commands, nudge, counters });
        crew.live.insert(id.clone());
        crew.tasks.spawn(async move {
            if AssertUnwindSafe(worker.run()).catch_unwind().await.is_err() {
                tracing::error!(integration = id, "a panic while webhooks were sent: begun anew");
                tokio::time::sleep(TROUBLE).await;
            }
            id
        });
    }

    /// Deliveries to integrations that are gone are not made any more.
    async fn give_up(&self, wanted: &HashMap<&str, Target>, crew: &Crew) {
        let at = self.clock.now().wall;
        for (id, pending) in self.store.pending_counts() {
            if pending > 0 && !wanted.contains_key(id.as_str()) && !crew.live.contains(&id) {
                tracing::warn!(integration = id, pending, "{GONE}: what waited for it is not delivered");
                if let Err(error) = self.store.skip_pending(&id, GONE, at).await {
                    tracing::warn!(%error, integration = id, "deliveries cannot be given up");
                }
            }
        }
    }

    /// Whoever has something to deliver looks for it.
    fn wake(&self) {
        let outlets = self.outlets();
        for (id, pending) in self.store.pending_counts() {
            if let Some(handle) = outlets.get(&id).filter(|_| pending > 0) {
                handle.nudge.notify_one();
            }
        }
    }

    /// The certificate authorities of a changed configuration.
    fn trust(&self) {
        if let Err(error) = self.client.trust(self.settings.load().outbound.tls_ca.as_deref()) {
            tracing::error!(%error, "outbound.tls_ca cannot be used: the authorities before stay trusted");
        }
    }

    async fn states(&self) -> Result<HashMap<String, IntegrationState>, ReadError> {
        Ok(self.store.integrations().await?.into_iter().map(|state| (state.id.clone(), state)).collect())
    }

    fn outlets(&self) -> MutexGuard<'_, HashMap<String, Handle>> {
        self.outlets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Crew {
    fn ended(&mut self, id: Option<String>) {
        if let Some(id) = id {
            self.live.remove(&id);
        }
    }
}

fn all(config: &Config) -> impl Iterator<Item = (&str, &Integration)> {
    config.apps.iter().flat_map(|app| app.integrations.iter().map(|one| (app.id.as_str(), one)))
}

/// One of which nothing was ever written.
fn fresh(id: &str) -> IntegrationState {
    IntegrationState { id: id.to_owned(), paused: false, consecutive_failures: 0, last_error: None, paused_at: None }
}
