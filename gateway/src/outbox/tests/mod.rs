//! Webhooks from the store to a receiver.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Map, json};
use tokio::sync::watch;
use trunkline_config::{Config, Integration, Secret, SigningKeys};

use super::*;
use crate::clock::Clock;
use crate::events::{Envelope, Herald};
use crate::ids::{CallId, EventId, random_bits};
use crate::outbound::Client;
use crate::settings::Settings;
use crate::store::{EventOptions, Filed, Options, Store};

mod delivery;
mod outage;
mod pause;
mod receiver;
mod reload;

const SOON: Duration = Duration::from_secs(60);
const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

fn keys(text: &str) -> SigningKeys {
    SigningKeys::parse(&Secret::new(text)).unwrap()
}

/// One that tries again at once, four times.
fn integration(id: &str, url: &str) -> Integration {
    Integration {
        id: id.into(),
        url: url.into(),
        events: Vec::new(),
        keys: keys(SECRET),
        headers: Vec::new(),
        allow_insecure: true,
        retry: vec![Duration::from_millis(20); 4],
        timeout: Duration::from_secs(30),
        max_in_flight: 16,
    }
}

fn config(integrations: &[Integration]) -> Config {
    let mut config = crate::testing::config();
    config.apps[0].integrations = integrations.to_vec();
    config
}

fn open(dir: &Path) -> Store {
    let options = Options {
        dir: dir.join("data"),
        keep: Duration::from_secs(86_400),
        keep_bytes: 1 << 30,
        events: EventOptions::default(),
    };
    Store::open(&options, &Clock::system()).unwrap().0
}

/// An event of a call whose JSON has about this many bytes more.
fn event(call: &str, seq: u64, padding: usize) -> Envelope {
    let data = Map::from_iter([("call".into(), json!(call)), ("padding".into(), json!("x".repeat(padding)))]);
    let id = EventId::from_random(random_bits());
    Envelope::new(
        id,
        "dtmf_received",
        Timestamp::UNIX_EPOCH,
        "acme".into(),
        Some((CallId::from_client(call), seq)),
        &data,
    )
}

fn file(store: &Store, envelope: Envelope, to: &[&str]) -> String {
    let id = envelope.id.to_string();
    let to = to.iter().map(|id| (*id).to_owned()).collect();
    store.append(Filed { envelope: Arc::new(envelope), to, log: None, closes: None, since: Instant::now() });
    id
}

/// Events 1 to `last` of a call; their ids.
fn tell(store: &Store, call: &str, last: u64, to: &[&str]) -> Vec<String> {
    (1..=last).map(|seq| file(store, event(call, seq, 0), to)).collect()
}

/// Where nobody listens.
fn closed_url() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/", listener.local_addr().unwrap())
}

/// Webhooks that run over a store.
struct Running {
    webhooks: Webhooks,
    settings: Settings,
    store: Store,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    fn start(store: &Store, config: Config) -> Self {
        let client = Client::new(config.outbound.tls_ca.as_deref()).unwrap();
        let (settings, clock) = (Settings::new(config), Clock::system());
        let herald = Herald::new(settings.clone(), store.clone(), clock.clone());
        let webhooks = Webhooks::new(settings.clone(), store.clone(), client, herald, clock);
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(webhooks.clone().run(stopped));
        Self { webhooks, settings, store: store.clone(), stop, task }
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        self.task.await.unwrap();
    }

    async fn overview(&self, id: &str) -> Overview {
        let all = self.webhooks.overview().await.unwrap();
        all.into_iter().find(|one| one.state.id == id).unwrap()
    }

    /// So many deliveries became that.
    fn count(&self, id: &str, what: &str) -> u64 {
        let stats = self.webhooks.stats();
        let of = stats.iter().find(|one| one.integration == id);
        of.and_then(|one| one.deliveries.iter().chain(&one.attempts).find(|(word, _)| *word == what))
            .map_or(0, |one| one.1)
    }

    /// Nothing of what was filed waits any more.
    async fn drained(&self, id: &str) {
        assert!(self.store.flush(SOON));
        until(|| self.store.pending_counts().get(id).is_none_or(|waits| *waits == 0)).await;
    }
}

async fn until(mut is_so: impl FnMut() -> bool) {
    let so = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, so).await.expect("it never came to be");
}
