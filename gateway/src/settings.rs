//! The configuration of this moment, for everybody who decides by it.
//!
//! Whoever takes a decision asks for the configuration then, and keeps none for later: so a change is in force everywhere
//! at once. What is under way (a live call, mostly) keeps the [`Edition`] it began with.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::sync::watch;
use trunkline_config::Config;

/// Octets of a configuration's hash that name it.
const VERSION_BYTES: usize = 6;

/// The configuration as it is now; clones share it.
#[derive(Debug, Clone)]
pub struct Settings {
    current: watch::Sender<Edition>,
}

/// One configuration, and what it is called.
#[derive(Debug, Clone)]
pub struct Edition {
    /// The configuration.
    pub config: Arc<Config>,
    /// Names it in records and answers. Of the effective configuration without its secrets: a changed secret is no other
    /// version.
    pub version: Arc<str>,
}

impl Settings {
    /// Begins with a configuration.
    #[must_use]
    pub fn new(config: impl Into<Arc<Config>>) -> Self {
        Self { current: watch::Sender::new(Edition::of(config.into())) }
    }

    /// The configuration of this moment.
    #[must_use]
    pub fn load(&self) -> Arc<Config> {
        Arc::clone(&self.current.borrow().config)
    }

    /// The configuration of this moment, with its name.
    #[must_use]
    pub fn edition(&self) -> Edition {
        self.current.borrow().clone()
    }

    /// Puts another configuration in its place, for every decision from now on. The edition before.
    pub fn replace(&self, config: Config) -> Edition {
        self.current.send_replace(Edition::of(Arc::new(config)))
    }

    /// For who must act when the configuration changes. Not needed to merely read it.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Edition> {
        self.current.subscribe()
    }
}

impl From<Config> for Settings {
    fn from(config: Config) -> Self {
        Self::new(config)
    }
}

impl Edition {
    fn of(config: Arc<Config>) -> Self {
        // Secrets do not show themselves in what is hashed.
        let hash = Sha256::digest(format!("{config:?}"));
        let version: String = hash.iter().take(VERSION_BYTES).map(|byte| format!("{byte:02x}")).collect();
        Self { config, version: version.into() }
    }
}

#[cfg(test)]
mod tests {
    use trunkline_config::{Secret, TokenKey};

    use super::*;
    use crate::testing;

    #[test]
    fn whoever_asks_gets_the_configuration_of_now_and_keeps_what_he_has() {
        let settings = Settings::new(testing::config());
        let (mut watched, first) = (settings.watch(), settings.clone().edition());
        let mut changed = (*settings.load()).clone();
        changed.apps.clear();
        assert_eq!(settings.clone().replace(changed).version, first.version);
        assert!(settings.load().apps.is_empty() && !first.config.apps.is_empty());
        assert!(watched.has_changed().unwrap() && watched.borrow_and_update().config.apps.is_empty());
        assert_ne!(settings.edition().version, first.version);
    }

    #[test]
    fn a_version_names_a_configuration_without_its_secrets() {
        let config = testing::config();
        let version = |change: fn(&mut Config)| {
            let mut config = config.clone();
            change(&mut config);
            Settings::new(config).edition().version
        };
        assert_eq!(version(|_| {}), version(|_| {}));
        assert_eq!(version(|config| config.public.token_keys.clear()).len(), 2 * VERSION_BYTES);
        let key = |key: &str| TokenKey::Shared(Secret::new(key));
        let (one, other) =
            (Settings::new(with_key(&config, key("one"))), Settings::new(with_key(&config, key("other"))));
        assert_eq!(one.edition().version, other.edition().version);
    }

    fn with_key(config: &Config, key: TokenKey) -> Config {
        let mut config = config.clone();
        config.public.token_keys = vec![key];
        config
    }
}
