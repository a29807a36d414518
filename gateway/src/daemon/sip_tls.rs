//! Certificates and authorities of the SIP side, as the configuration of the moment names them.

use tokio::sync::watch;
use trunkline_config::{Config, SipTransport, Trunk};
use trunkline_signaling::transport::tls::{Keys, RootsError, Tls};

use crate::settings::Edition;

/// What handshakes are done with.
pub(super) fn keys(config: &Config) -> Result<Keys, RootsError> {
    let sip = &config.sip;
    let own = sip.tls.as_ref().map(|tls| tls.identity.certified_key());
    let of_trunk = |trunk: &Trunk| {
        let tls = trunk.tls.as_ref()?;
        Some((trunk.target.host.clone(), tls.identity.certified_key()))
    };
    let others = config.trunks.iter().filter_map(of_trunk);
    match Keys::new(sip.tls_ca.as_deref(), own.as_ref(), others) {
        // A system without authorities: where no trunk wants one, nobody misses them. One that comes to want one says so
        // in its calls.
        Err(RootsError::Empty) if sip.tls_ca.is_none() && !config.trunks.iter().any(is_encrypted) => {
            Keys::server_only(own.as_ref())
        }
        keys => keys,
    }
}

/// Puts in force what changes.
pub(super) async fn follow(mut settings: watch::Receiver<Edition>, tls: Tls) {
    while settings.changed().await.is_ok() {
        let config = settings.borrow_and_update().config.clone();
        // The system's authorities are many files.
        match tokio::task::spawn_blocking(move || keys(&config)).await {
            Ok(Ok(keys)) => tls.replace(keys),
            Ok(Err(error)) => {
                tracing::error!(%error, "sip.tls_ca cannot be used: certificates and authorities stay as they are");
            }
            Err(_) => tracing::error!("certificates could not be read: they stay as they are"),
        }
    }
}

fn is_encrypted(trunk: &Trunk) -> bool {
    trunk.enabled && trunk.target.known_transport() == Some(SipTransport::Tls)
}

#[cfg(test)]
#[path = "sip_tls_tests.rs"]
mod tests;
