//! Which registrations are kept: begins those the configuration asks for, ends those it does not ask for any more.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use trunkline_signaling::registration::State as Bound;

use super::keeper::{Carrier, Keeper};
use super::{Plan, Standing, word};
use crate::events::Notice;
use crate::trunks::{State, Trunks};

/// How long the end of a registration is waited for: before the one that takes its place begins, and at the stop.
const FAREWELL: Duration = Duration::from_secs(2);

/// A registration that is kept.
struct Kept {
    plan: Plan,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Trunks {
    /// Keeps the registrations of the configuration in force, until `stop` changes; then removes them.
    pub async fn register(self, carrier: Arc<dyn Carrier>, mut stop: watch::Receiver<bool>) {
        let mut changes = self.settings().watch();
        let mut kept: Vec<Kept> = Vec::new();
        loop {
            let plans = Plan::all(&changes.borrow_and_update().config);
            let (stay, go): (Vec<_>, Vec<_>) = kept.into_iter().partition(|one| plans.contains(&one.plan));
            kept = stay;
            end(go).await;
            self.registrations().retain(&plans);
            for plan in plans {
                if !kept.iter().any(|one| one.plan == plan) {
                    kept.push(self.begin(&carrier, plan));
                }
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { break },
                _ = stop.changed() => break,
            }
        }
        end(kept).await;
    }

    /// Puts down how a registration stands, and tells of a change.
    pub(super) fn note_registration(&self, plan: &Plan, standing: Standing) {
        let config = self.settings().load();
        let Some(trunk) = config.trunks.iter().find(|trunk| trunk.id == plan.trunk) else {
            return self.registrations().put(plan, standing);
        };
        let (before, was) = (self.state(trunk), self.registrations().state(trunk));
        self.registrations().put(plan, standing);
        let (after, is) = (self.state(trunk), self.registrations().state(trunk));
        // A removal is no news: somebody asked for it.
        let (Some(was), Some(is)) = (was, is) else { return };
        if was == is || is == Bound::Unregistered {
            return;
        }
        tracing::info!(trunk = trunk.id, from = word(was), to = word(is), "a trunk's registration changed");
        let notice = Notice::new("trunk_state_changed").with("trunk", trunk.id.clone());
        let notice = notice.with("from", before.word()).with("to", after.word());
        self.herald().announce(notice.with("registration", self.registrations().to_json(trunk)));
    }

    fn begin(&self, carrier: &Arc<dyn Carrier>, plan: Plan) -> Kept {
        let (stop, stopped) = watch::channel(false);
        let (trunks, carrier) = (self.clone(), Arc::clone(carrier));
        let keeper = Keeper { trunks, carrier, plan: plan.clone(), stop: stopped, unresolved: 0 };
        Kept { plan, stop, task: tokio::spawn(keeper.keep()) }
    }
}

/// What a trunk is, all in all: one that must be registered with is of no use while it is not.
pub(in crate::trunks) fn combined(health: State, registration: Option<Bound>) -> State {
    match (registration, health) {
        (None, health) => health,
        (Some(Bound::Registered), State::Unknown) => State::Up,
        (Some(Bound::Registered), health) => health,
        (Some(Bound::Registering), State::Down) => State::Down,
        (Some(Bound::Registering), State::Up | State::Unknown) => State::Unknown,
        (Some(Bound::Failed | Bound::Unregistered), _) => State::Down,
    }
}

/// Ends registrations and waits a little for that.
async fn end(going: Vec<Kept>) {
    for one in &going {
        one.stop.send_replace(true);
    }
    let all = futures::future::join_all(going.into_iter().map(|one| one.task));
    let _ = tokio::time::timeout(FAREWELL, all).await;
}
