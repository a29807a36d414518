//! A call from a trunk: who is called by it, and on what terms it is carried.

use std::sync::Arc;

use trunkline_config::{App, Config, Receive, Trunk};

use super::{Planned, Route, plan};

/// Whom a trunk calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addressee {
    /// App.
    pub app: String,
    /// Under which name somebody waits there, or is to.
    pub name: String,
    /// The configuration names it: it exists, whether or not somebody waits.
    pub is_known: bool,
}

/// Whom the user of a Request-URI may mean, most wanted first: who the trunk's number belongs to, else that name in each
/// app whose trunk it is.
#[must_use]
pub fn addressees(config: &Config, trunk: &Trunk, user: &str) -> Vec<Addressee> {
    let numbers = trunk.inbound.iter().flat_map(|inbound| &inbound.numbers);
    if let Some(number) = numbers.into_iter().find(|number| number.number == user) {
        return vec![Addressee { app: number.app.clone(), name: number.name.clone(), is_known: true }];
    }
    let takes = |app: &&App| app.receive != Receive::Off && app.trunk.as_deref() == Some(&trunk.id);
    let apps = config.apps.iter().filter(takes);
    apps.map(|app| Addressee { app: app.id.clone(), name: user.to_owned(), is_known: false }).collect()
}

/// The trunk's terms for a call to this address; `None`: it has none that work.
#[must_use]
pub fn terms(config: &Config, trunk: &Trunk, address: &str) -> Option<Arc<Route>> {
    // As for a call to the trunk itself.
    match plan(config, None, &format!("sip:{}", trunk.id)) {
        Planned::Dial(route) => {
            Some(Arc::new(Route { destination: address.to_owned(), ..Arc::unwrap_or_clone(route) }))
        }
        Planned::Skip { .. } | Planned::Hunt(_) => None,
    }
}

/// Whether any enabled trunk brings an app calls.
#[must_use]
pub fn is_called(config: &Config, app: &App) -> bool {
    let brings = |trunk: &&Trunk| {
        let numbers = trunk.inbound.iter().flat_map(|inbound| &inbound.numbers);
        trunk.inbound.is_some()
            && (app.trunk.as_ref() == Some(&trunk.id) || numbers.into_iter().any(|n| n.app == app.id))
    };
    config.trunks.iter().filter(|trunk| trunk.enabled).any(|trunk| brings(&trunk))
}
