//! Another configuration for a gateway that runs: read from where the first one came from, checked as a whole, and put in
//! its place in one step; or refused with everything that is wrong with it, and nothing has changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use jiff::Timestamp;
use trunkline_config::{Config, Loaded, Note, Problems};

use crate::clock::Clock;
use crate::settings::Settings;

#[cfg(test)]
mod tests;

/// Reads a configuration to run by. Asked at each reload, it reads the file and the environment anew.
pub type Source = Arc<dyn Fn() -> Result<Loaded, Problems> + Send + Sync>;

/// Puts new configurations in the place of old ones.
pub struct Reloader {
    settings: Settings,
    source: Option<Source>,
    /// As it was read at the start, before sockets were bound.
    read_at_start: Config,
    /// One at a time: the later one wins.
    turn: tokio::sync::Mutex<()>,
    clock: Clock,
    applied: AtomicU64,
    refused: AtomicU64,
    loaded_ms: AtomicI64,
}

/// A configuration is in force.
#[derive(Debug, Clone)]
pub struct Reloaded {
    /// The version before.
    pub from: Arc<str>,
    /// The version now.
    pub to: Arc<str>,
    /// Keys that were changed and need a restart: they are what they were.
    pub restart: Vec<&'static str>,
    /// What is worth knowing.
    pub notes: Vec<Note>,
}

/// The configuration is the one it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is nothing to read it from.
    #[error("the gateway was started without a configuration file")]
    NoSource,
    /// It is not right.
    #[error("{0}")]
    Invalid(Problems),
    /// Reading it broke.
    #[error("the configuration could not be read")]
    Broken,
}

/// How often, and when last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReloadStats {
    /// Another configuration was put in force.
    pub applied: u64,
    /// It was refused.
    pub refused: u64,
    /// Since when the configuration is in force.
    pub loaded_at: Timestamp,
}

impl Default for ReloadStats {
    fn default() -> Self {
        Self { applied: 0, refused: 0, loaded_at: Timestamp::UNIX_EPOCH }
    }
}

impl Reloader {
    /// For settings that came from `source`; without one there is nothing to reload. `read_at_start` is what it said
    /// then.
    #[must_use]
    pub fn new(settings: Settings, source: Option<Source>, read_at_start: Config, clock: Clock) -> Self {
        let loaded_ms = AtomicI64::new(clock.now().wall.as_millisecond());
        let (applied, refused) = (AtomicU64::new(0), AtomicU64::new(0));
        let turn = tokio::sync::Mutex::default();
        Self { settings, source, read_at_start, turn, clock, applied, refused, loaded_ms }
    }

    /// What it puts configurations into.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Reads, checks and puts in force.
    ///
    /// # Errors
    /// Nothing has changed.
    pub async fn reload(&self) -> Result<Reloaded, Refused> {
        let result = self.try_reload().await;
        match &result {
            Ok(Reloaded { from, to, restart, notes }) => {
                self.applied.fetch_add(1, Ordering::Relaxed);
                tracing::info!(%from, %to, ?restart, "configuration reloaded");
                notes.iter().for_each(|note| tracing::warn!("{note}"));
            }
            Err(refused) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                tracing::error!(%refused, "the configuration stays as it is");
            }
        }
        result
    }

    /// What happened so far.
    #[must_use]
    pub fn stats(&self) -> ReloadStats {
        let loaded_at = Timestamp::from_millisecond(self.loaded_ms.load(Ordering::Relaxed));
        ReloadStats {
            applied: self.applied.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            loaded_at: loaded_at.unwrap_or(Timestamp::UNIX_EPOCH),
        }
    }

    async fn try_reload(&self) -> Result<Reloaded, Refused> {
        let source = self.source.clone().ok_or(Refused::NoSource)?;
        let _turn = self.turn.lock().await;
        let read = tokio::task::spawn_blocking(move || source()).await.map_err(|_| Refused::Broken)?;
        let Loaded { mut config, notes } = read.map_err(Refused::Invalid)?;
        let restart = keep_what_stays(&self.settings.load(), &self.read_at_start, &mut config);
        let before = self.settings.replace(config);
        self.loaded_ms.store(self.clock.now().wall.as_millisecond(), Ordering::Relaxed);
        Ok(Reloaded { from: before.version, to: self.settings.edition().version, restart, notes })
    }
}

/// What is built once, at the start: a line each for the key and where it is in the configuration.
macro_rules! stays {
    ($($key:literal => $($field:ident).+;)+) => {
        /// Puts what cannot change while the gateway runs back to what it is; the keys that were to change.
        fn keep_what_stays(now: &Config, at_start: &Config, new: &mut Config) -> Vec<&'static str> {
            let mut restart = Vec::new();
            $(
                if new.$($field).+ != at_start.$($field).+ {
                    restart.push($key);
                }
                new.$($field).+.clone_from(&now.$($field).+);
            )+
            if new.public.tls.is_some() != now.public.tls.is_some() {
                restart.push("public.tls");
                new.public.tls.clone_from(&now.public.tls);
            }
            // What listens goes on to, and not without a certificate.
            if new.sip.tls.is_none() && !now.sip.tls_listen.is_empty() {
                restart.push("sip.tls");
                new.sip.tls.clone_from(&now.sip.tls);
            }
            restart
        }
    };
}

stays! {
    "node.name" => node.name;
    "node.data_dir" => node.data_dir;
    "public.listen" => public.listen;
    "public.url" => public.url;
    "control.listen" => control.listen;
    "media.workers" => media.workers;
    "media.udp_listen" => media.udp_listen;
    "media.tcp_listen" => media.tcp_listen;
    "media.advertise" => media.advertise;
    "media.rtp_listen" => media.rtp_listen;
    "media.rtp_ports" => media.rtp_ports;
    "media.rtp_quarantine_seconds" => media.quarantine;
    "media.prompts_dir" => media.prompts_dir;
    "media.say_command" => media.say_command;
    "media.hold_audio" => media.hold_audio;
    "sip.udp_listen" => sip.udp_listen;
    "sip.udp_listen (both families)" => sip.udp_listen_beside;
    "sip.tcp_listen" => sip.tcp_listen;
    "sip.tls_listen" => sip.tls_listen;
    "sip.advertise" => sip.advertise;
    "sip.domain" => sip.domain;
    "sip.dns_servers" => sip.dns_servers;
    "sip.max_connections" => sip.max_connections;
    "sip.max_connections_per_address" => sip.max_connections_per_address;
    "outbound.tls_ca" => outbound.tls_ca;
    "records.keep_days" => records.keep;
    "records.keep_megabytes" => records.keep_bytes;
    "events.keep_days" => events.keep;
    "events.keep_megabytes" => events.keep_bytes;
    "events.backlog_megabytes" => events.backlog_bytes;
    "events.pending_max" => events.pending_max;
}
