//! The trunks as they are: each is asked by OPTIONS every `options_seconds`, and tested step by step when an operator asks.
//!
//! ```text
//! watch ─ ask ─┬─ Finder::find ─ Prober::ping ─ Health::note ─ trunk_state_changed, and calls pass it over
//! test ────────┘      and each step on its own
//! register ── registering: a task a registrar
//! ```

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use serde_json::Value;
use tokio::sync::{Semaphore, watch};
use trunkline_config::Trunk;
use trunkline_signaling::endpoint::{Failure, Transport};
use trunkline_signaling::targets::{Target, TargetState};
use trunkline_signaling::transport::reach::Reached;

use crate::calls::Calls;
use crate::clock::Clock;
use crate::events::{Herald, Notice};
use crate::routing::wanted;
use crate::settings::Settings;
use crate::targets::Finder;

mod destination;
mod health;
mod registering;
mod test;

pub use health::{Health, Heard, State};
pub use registering::{Carrier, RegistrationCounts, Registrations};

/// How often it is looked whom to ask.
const LOOK: Duration = Duration::from_millis(500);
/// When a trunk is asked for the first time, if its interval is no shorter: a start has better things to do.
const FIRST: Duration = Duration::from_secs(20);
/// Longest wait for an answer to OPTIONS; a tenth of what RFC 3261 would wait, and many round trips.
const LIMIT: Duration = Duration::from_secs(4);
/// When a trunk with a dead target is asked again, if its interval is longer.
const PROBE: Duration = Duration::from_secs(5);
/// Targets of a trunk that are asked.
const MAX_TARGETS: usize = 8;
/// Tests at once.
const TESTS: usize = 4;

/// Asks peers, below any call.
pub trait Prober: Send + Sync + 'static {
    /// Sends OPTIONS: the final status and how long it took.
    fn ping(
        &self,
        to: SocketAddr,
        over: Transport,
        host: String,
    ) -> BoxFuture<'static, Result<(u16, Duration), Failure>>;
    /// Makes a connection and closes it again; `None` where none is needed.
    fn reach(&self, to: SocketAddr, over: Transport) -> BoxFuture<'static, Option<Reached>>;
}

/// All trunks; clones share them.
#[derive(Clone)]
pub struct Trunks {
    shared: Arc<Shared>,
}

struct Shared {
    settings: Settings,
    clock: Clock,
    prober: Arc<dyn Prober>,
    herald: Herald,
    registrations: Registrations,
    finder: Finder,
    /// By trunk; no more than are configured.
    watched: Mutex<HashMap<String, Watched>>,
    tests: Semaphore,
}

#[derive(Default)]
struct Watched {
    health: Health,
    due: Option<Instant>,
    asking: bool,
    /// Where its name led last; no more than are asked.
    targets: Vec<Target>,
}

impl Trunks {
    /// The trunks of a configuration, none of them asked yet. Calls are told which of them do not answer.
    #[must_use]
    pub fn new(settings: Settings, clock: Clock, prober: Arc<dyn Prober>, calls: &Calls) -> Self {
        let (herald, finder) = (calls.herald().clone(), calls.finder().clone());
        let (watched, tests) = (Mutex::default(), Semaphore::new(TESTS));
        let registrations = Registrations::default();
        let shared = Shared { settings, clock, prober, herald, registrations, finder, watched, tests };
        Self { shared: Arc::new(shared) }
    }

    /// Asks those that are due until `stop` changes.
    pub async fn watch(self, mut stop: watch::Receiver<bool>) {
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                _ = look.tick() => self.ask_those_due(),
                _ = stop.changed() => break,
            }
        }
    }

    /// What a trunk is, all in all.
    #[must_use]
    pub fn state(&self, trunk: &Trunk) -> State {
        registering::combined(self.health(&trunk.id).state(), self.shared.registrations.state(trunk))
    }

    /// How the registrations of all trunks stand.
    #[must_use]
    pub fn registrations(&self) -> &Registrations {
        &self.shared.registrations
    }

    fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    fn herald(&self) -> &Herald {
        &self.shared.herald
    }

    /// Who knows where requests go.
    pub(crate) fn finder(&self) -> &Finder {
        &self.shared.finder
    }

    /// A trunk's health.
    #[must_use]
    pub fn health(&self, id: &str) -> Health {
        self.watched().get(id).map(|watched| watched.health.clone()).unwrap_or_default()
    }

    /// The targets its name led to when it was asked last, and how each is.
    #[must_use]
    pub fn targets(&self, id: &str) -> Vec<(Target, TargetState)> {
        let targets = self.watched().get(id).map(|watched| watched.targets.clone()).unwrap_or_default();
        targets.into_iter().map(|target| (target.clone(), self.shared.finder.state(&target))).collect()
    }

    /// Tests a trunk step by step. `None`: too many tests are under way.
    pub async fn test(&self, trunk: &Trunk) -> Option<Value> {
        let _permit = self.shared.tests.try_acquire().ok()?;
        Some(test::run(&self.shared.finder, &*self.shared.prober, trunk).await)
    }

    fn ask_those_due(&self) {
        let config = self.shared.settings.load();
        let now = self.shared.clock.now().instant;
        let mut watched = self.watched();
        let before = watched.len();
        watched.retain(|id, _| {
            config.trunks.iter().any(|trunk| trunk.enabled && trunk.options.is_some() && trunk.id == *id)
        });
        if watched.len() < before {
            self.tell_down(&watched);
        }
        for trunk in config.trunks.iter().filter(|trunk| trunk.enabled) {
            let Some(every) = trunk.options else { continue };
            let entry = watched.entry(trunk.id.clone()).or_default();
            let due = *entry.due.get_or_insert(now + every.min(FIRST));
            if entry.asking || due > now {
                continue;
            }
            (entry.asking, entry.due) = (true, Some(now + every));
            let (this, trunk) = (self.clone(), trunk.clone());
            tokio::spawn(async move { this.ask(&trunk).await });
        }
    }

    async fn ask(&self, trunk: &Trunk) {
        let (heard, targets) = self.hear(trunk).await;
        let mut watched = self.watched();
        let Some(entry) = watched.get_mut(&trunk.id) else { return };
        entry.asking = false;
        entry.targets = targets;
        if entry.targets.iter().any(|target| self.shared.finder.state(target) == TargetState::Dead) {
            // What is dead is asked more often: it is to be used again as soon as it is back.
            let soon = self.shared.clock.now().instant + PROBE;
            entry.due = Some(entry.due.map_or(soon, |due| due.min(soon)));
        }
        if let Some(before) = entry.health.note(self.shared.clock.now().wall, &heard) {
            let now = entry.health.state();
            tracing::info!(trunk = trunk.id, from = before.word(), to = now.word(), ?heard, "a trunk's state changed");
            let notice = Notice::new("trunk_state_changed").with("trunk", trunk.id.clone());
            let registration = self.shared.registrations.state(trunk);
            let [from, to] = [before, now].map(|health| registering::combined(health, registration));
            let notice = notice.with("from", from.word()).with("to", to.word());
            self.shared.herald.announce(notice.with("options", entry.health.to_json()));
        }
        self.tell_down(&watched);
    }

    /// Calls pass over those that do not answer; nobody who is asked no more is one of them.
    fn tell_down(&self, watched: &HashMap<String, Watched>) {
        let down = watched.iter().filter(|(_, watched)| watched.health.state() == State::Down);
        self.shared.finder.set_trunks_down(down.map(|(id, _)| id.clone()).collect());
    }

    /// Asks every target of a trunk: what the best of them says, and which they are.
    async fn hear(&self, trunk: &Trunk) -> (Heard, Vec<Target>) {
        let finder = &self.shared.finder;
        let Ok(targets) = finder.find(wanted(trunk.first_hop()), false).await.targets else {
            return (Heard::Nothing("dns"), Vec::new());
        };
        let asked = targets.into_iter().take(MAX_TARGETS).map(|target| async move {
            let heard = ping(&*self.shared.prober, &target, trunk).await;
            finder.note_options(&target, heard.is_good());
            (heard, target)
        });
        let (mut heard, targets): (Vec<Heard>, Vec<Target>) =
            futures::future::join_all(asked).await.into_iter().unzip();
        let best = heard.iter().position(Heard::is_good).unwrap_or(0);
        let best = if heard.is_empty() { Heard::Nothing("dns") } else { heard.swap_remove(best) };
        (best, targets)
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<String, Watched>> {
        self.shared.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One OPTIONS, its answer awaited for a little while.
async fn ping(prober: &dyn Prober, to: &Target, trunk: &Trunk) -> Heard {
    let asked = prober.ping(to.address, to.over.clone(), trunk.target.host.clone());
    match tokio::time::timeout(LIMIT, asked).await {
        Ok(Ok((status, after))) => Heard::Answer { status, rtt_ms: milliseconds(after) },
        Ok(Err(Failure::Transport)) => Heard::Nothing("unreachable"),
        Ok(Err(Failure::Tls(_))) => Heard::Nothing("tls"),
        Ok(Err(_)) | Err(_) => Heard::Nothing("no_answer"),
    }
}

/// With microseconds.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1_000_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::Unasked;
