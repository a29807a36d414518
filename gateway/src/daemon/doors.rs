//! Tells the SIP side who may call: the trunks of the configuration, by the addresses it names or those their names have
//! at the moment.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::watch;
use trunkline_config::{Config, Inbound, Strangers as Met, Trunk};
use trunkline_signaling::admission::{Admission, Door, Network, Strangers};
use trunkline_signaling::auth::Credentials;

use super::sip_side::SipSide;
use crate::routing::wanted;
use crate::settings::Settings;
use crate::targets::Finder;

/// How often names are looked up again.
const AGAIN: Duration = Duration::from_secs(60);

/// Addresses of trunks by their targets' names: a name server that does not answer shuts no door.
type Known = HashMap<String, Vec<IpAddr>>;

/// Keeps the doors as the configuration and the name servers have them, until the settings are gone.
pub(super) async fn keep(settings: Settings, sip: Arc<SipSide>, finder: Finder, mut stop: watch::Receiver<bool>) {
    let (mut changes, mut known) = (settings.watch(), Known::new());
    loop {
        let config = settings.load();
        // What needs no name server at once: a lookup may take seconds.
        sip.guard(doors(&config, &known)).await;
        look_up(&config, &finder, &mut known).await;
        sip.guard(doors(&config, &known)).await;
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { break },
            () = tokio::time::sleep(AGAIN) => {}
            _ = stop.changed() => break,
        }
    }
}

/// Whom the SIP side knows.
fn doors(config: &Config, known: &Known) -> Admission {
    let trunks = config.trunks.iter().filter(|trunk| trunk.enabled);
    Admission {
        doors: trunks.map(|trunk| door(trunk, known)).collect(),
        realm: config.sip.from_host(),
        strangers: match config.sip.strangers {
            Met::Refuse => Strangers::Refuse,
            Met::Silent => Strangers::Silent,
        },
    }
}

fn door(trunk: &Trunk, known: &Known) -> Door {
    let allowed = trunk.inbound.iter().flat_map(|inbound| &inbound.allow);
    let mut sources: Vec<_> = allowed.filter_map(|network| Network::parse(&network.to_string())).collect();
    if sources.is_empty() {
        let host = &trunk.target.host;
        let resolved = known.get(host).into_iter().flatten().copied();
        sources.extend(resolved.chain(host.parse::<IpAddr>()).map(Network::one));
    }
    Door {
        name: trunk.id.clone(),
        sources,
        calls: trunk.inbound.is_some(),
        credentials: trunk.inbound.as_ref().and_then(credentials),
    }
}

fn credentials(inbound: &Inbound) -> Option<Credentials> {
    let auth = inbound.auth.as_ref()?;
    Some(Credentials { username: auth.username.clone(), password: auth.password.reveal().to_owned() })
}

async fn look_up(config: &Config, finder: &Finder, known: &mut Known) {
    let trunks = config.trunks.iter().filter(|trunk| trunk.enabled);
    let names: Vec<_> =
        trunks.map(|trunk| &trunk.target).filter(|target| target.host.parse::<IpAddr>().is_err()).collect();
    known.retain(|host, _| names.iter().any(|target| target.host == *host));
    let found = join_all(names.iter().map(async |target| finder.find(wanted(target), false).await.targets)).await;
    for (target, found) in names.into_iter().zip(found) {
        match found {
            Ok(addresses) => {
                drop(known.insert(target.host.clone(), addresses.iter().map(|at| at.address.ip()).collect()))
            }
            // What was known stands.
            Err(error) => tracing::debug!(host = target.host, %error, "a trunk's name has no address now"),
        }
    }
}

#[cfg(test)]
mod tests {
    use trunkline_config::{Network as Configured, TrunkAuth};

    use super::*;

    #[test]
    fn a_trunk_is_known_by_what_is_allowed_or_by_its_own_addresses() {
        let mut config = crate::testing::config();
        let named = Known::from([("sip.example".to_owned(), vec!["192.0.2.7".parse().unwrap()])]);
        let known = |config: &Config, address: &str| {
            let doors = doors(config, &named).doors;
            let door = doors.iter().find(|door| door.sources.iter().any(|s| s.contains(address.parse().unwrap())));
            door.map(|door| (door.name.clone(), door.calls))
        };
        assert_eq!(known(&config, "127.0.0.1"), Some(("acme".into(), false)), "known, though its calls are not taken");
        assert_eq!(known(&config, "192.0.2.7"), None);
        config.trunks[0].target.host = "sip.example".into();
        assert_eq!(known(&config, "192.0.2.7"), Some(("acme".into(), false)));
        let network = Configured { address: "198.51.100.0".parse().unwrap(), bits: 24 };
        let auth = Some(TrunkAuth { username: "u".into(), password: trunkline_config::Secret::new("p") });
        config.trunks[0].inbound = Some(Inbound { allow: vec![network], auth, numbers: Vec::new(), hosts: Vec::new() });
        assert_eq!(known(&config, "198.51.100.9"), Some(("acme".into(), true)));
        assert_eq!(known(&config, "192.0.2.7"), None, "what is allowed stands instead of the target");
        assert_eq!(doors(&config, &named).doors[0].credentials.as_ref().unwrap().username, "u");
        config.trunks[0].enabled = false;
        assert_eq!(known(&config, "198.51.100.9"), None);
    }
}
