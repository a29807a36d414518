//! The registrations of all trunks: a task for each registrar keeps one, and tells how it stands to whoever routes calls.
//!
//! ```text
//! run ── configuration, stop ── keeper (one a registrar) ── Registration, sans-IO
//!                                  └─ Finder::targets ─ Carrier::ask ─ Registrations ─ trunk_state_changed
//! ```

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde_json::{Value, json};
use trunkline_config::Trunk;
use trunkline_signaling::registration::State;

use crate::clock::rfc3339;

mod keeper;
mod plan;
mod run;
#[cfg(test)]
mod tests;
mod ways;

pub use keeper::Carrier;
pub(super) use run::combined;

use plan::Plan;

/// How the registrations of all trunks stand; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Registrations {
    /// By trunk, and of each one entry a registrar: no more than are configured.
    by_trunk: Arc<Mutex<HashMap<String, Vec<Standing>>>>,
}

/// How one registration stands.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    registrar: String,
    state: State,
    expires_at: Option<Timestamp>,
    last_failure: Option<(Timestamp, String)>,
    contacts: Vec<String>,
    service_route: Vec<String>,
    path: Vec<String>,
    observed: Option<String>,
    succeeded: u64,
    failed: u64,
}

/// What a trunk's registrations have come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrationCounts {
    /// Whose.
    pub trunk: String,
    /// A registrar knows us.
    pub registered: bool,
    /// Tries that bound us.
    pub succeeded: u64,
    /// Those that came to nothing.
    pub failed: u64,
}

impl Registrations {
    /// Whether calls may go out over a trunk: one that must register has to be.
    #[must_use]
    pub fn may_carry(&self, trunk: &Trunk) -> bool {
        trunk.registration.is_none() || self.state(trunk) == Some(State::Registered)
    }

    /// How a trunk's registration stands: its best one counts. `None`: it has none.
    #[must_use]
    pub fn state(&self, trunk: &Trunk) -> Option<State> {
        trunk.registration.as_ref()?;
        let all = self.all();
        let standings = all.get(&trunk.id).map_or(&[][..], Vec::as_slice);
        Some(best(standings.iter().map(|standing| standing.state)))
    }

    /// Route values for calls over a trunk (RFC 3608), of the registrar that knows us; none if it named none.
    #[must_use]
    pub fn service_route(&self, trunk: &str) -> Vec<String> {
        let all = self.all();
        let registered = all.get(trunk).into_iter().flatten().find(|standing| standing.state == State::Registered);
        registered.map(|standing| standing.service_route.clone()).unwrap_or_default()
    }

    /// As `GET /v1/trunks` shows it; null for a trunk that is not registered with.
    #[must_use]
    pub fn to_json(&self, trunk: &Trunk) -> Value {
        let Some(state) = self.state(trunk) else { return Value::Null };
        let all = self.all();
        let standings = all.get(&trunk.id).map_or(&[][..], Vec::as_slice);
        let registered = standings.iter().filter(|standing| standing.state == State::Registered);
        let failure = standings.iter().filter_map(|standing| standing.last_failure.as_ref()).max_by_key(|(at, _)| *at);
        json!({
            "state": word(state),
            "expires_at": registered.filter_map(|standing| standing.expires_at).max().map(rfc3339),
            "last_failure": failure.map(failure_json),
            "registrars": standings.iter().map(Standing::to_json).collect::<Vec<_>>(),
        })
    }

    /// What was counted, by trunk.
    #[must_use]
    pub fn counts(&self) -> Vec<RegistrationCounts> {
        let all = self.all();
        let of = |(trunk, standings): (&String, &Vec<Standing>)| RegistrationCounts {
            trunk: trunk.clone(),
            registered: best(standings.iter().map(|standing| standing.state)) == State::Registered,
            succeeded: standings.iter().map(|standing| standing.succeeded).sum(),
            failed: standings.iter().map(|standing| standing.failed).sum(),
        };
        let mut counts: Vec<_> = all.iter().map(of).collect();
        counts.sort_by(|a, b| a.trunk.cmp(&b.trunk));
        counts
    }

    /// How it stood.
    fn standing(&self, plan: &Plan) -> Option<Standing> {
        let (all, registrar) = (self.all(), plan.registrar_text());
        all.get(&plan.trunk)?.iter().find(|standing| standing.registrar == registrar).cloned()
    }

    /// Puts down how a registration stands.
    fn put(&self, plan: &Plan, standing: Standing) {
        let mut all = self.all();
        let standings = all.entry(plan.trunk.clone()).or_default();
        match standings.iter_mut().find(|known| known.registrar == standing.registrar) {
            Some(known) => *known = standing,
            None => standings.push(standing),
        }
    }

    /// Forgets those that are kept no more.
    fn retain(&self, plans: &[Plan]) {
        let is_kept = |trunk: &str, standing: &Standing| {
            plans.iter().any(|plan| plan.trunk == trunk && plan.registrar_text() == standing.registrar)
        };
        let mut all = self.all();
        all.retain(|trunk, standings| {
            standings.retain(|standing| is_kept(trunk, standing));
            !standings.is_empty()
        });
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Vec<Standing>>> {
        self.by_trunk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Standing {
    fn to_json(&self) -> Value {
        json!({
            "registrar": self.registrar,
            "state": word(self.state),
            "expires_at": self.expires_at.map(rfc3339),
            "contacts": self.contacts,
            "service_route": self.service_route,
            "path": self.path,
            "observed": self.observed,
            "last_failure": self.last_failure.as_ref().map(failure_json),
        })
    }
}

/// As the API says it.
pub(crate) fn word(state: State) -> &'static str {
    match state {
        State::Registering => "registering",
        State::Registered => "registered",
        State::Failed => "failed",
        State::Unregistered => "unregistered",
    }
}

/// The state that counts of several: one registrar that knows us is enough.
fn best(states: impl Iterator<Item = State>) -> State {
    let rank = |state: &State| match state {
        State::Registered => 0,
        State::Registering => 1,
        State::Failed => 2,
        State::Unregistered => 3,
    };
    states.min_by_key(rank).unwrap_or(State::Registering)
}

fn failure_json((at, why): &(Timestamp, String)) -> Value {
    json!({"at": rfc3339(*at), "error": why})
}
