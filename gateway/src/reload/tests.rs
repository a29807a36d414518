//! Files that change under a gateway.

use std::sync::Mutex;

use super::*;
use crate::testing;

/// A reloader over a text that the test can change.
fn reloader(text: &str) -> (Reloader, Arc<Mutex<String>>) {
    let file = Arc::new(Mutex::new(text.to_owned()));
    let read = {
        let file = Arc::clone(&file);
        move || {
            let text = file.lock().unwrap().clone();
            trunkline_config::load_str(&text, std::path::Path::new("/nowhere"), std::iter::empty())
                .and_then(Loaded::for_run)
        }
    };
    let as_read = read().unwrap().config;
    // What a start does to a configuration: port 0 becomes a port.
    let mut bound = as_read.clone();
    bound.sip.udp_listen = "127.0.0.1:4711".parse().unwrap();
    (Reloader::new(bound.into(), Some(Arc::new(read)), as_read, Clock::system()), file)
}

#[tokio::test]
async fn what_can_change_changes_at_once_and_the_rest_is_named() {
    let (reloader, file) = reloader(testing::TOML);
    let before = reloader.settings().edition();
    let same = reloader.reload().await.unwrap();
    assert_eq!((&same.from, &same.to, same.restart.len()), (&before.version, &before.version, 0));

    let changed = testing::TOML
        .replace("k-read-0123456789abcdef", "k-other-0123456789abcdef")
        .replace("drain_seconds = 1", "drain_seconds = 7")
        .replace("wk_idle", "wk_busy")
        .replace("workers = 1", "workers = 2")
        .replace("31000-31998", "31000-32998");
    let changed = changed
        .replace("[media]", "[media]\nsay_command = \"other\"")
        .replace("[sip]", "[sip]\ndns_servers = [\"192.0.2.53:53\"]");
    *file.lock().unwrap() = format!("{changed}\n[records]\nkeep_days = 2\n");
    let restart = ["media.workers", "media.rtp_ports", "media.say_command", "sip.dns_servers", "records.keep_days"];
    let reloaded = reloader.reload().await.unwrap();
    assert_eq!(reloaded.restart, restart);
    let now = reloader.settings().edition();
    assert_eq!((&reloaded.from, &reloaded.to), (&before.version, &now.version));
    assert_ne!(reloaded.from, reloaded.to);
    let config = &now.config;
    assert_eq!(config.control.api_keys[0].key.reveal(), "k-other-0123456789abcdef");
    assert_eq!((config.node.drain.as_secs(), config.media.workers), (7, 1));
    assert_eq!((config.media.rtp_ports.end(), config.sip.udp_listen.port()), (&31_998, 4711));
    assert_eq!(config.records, before.config.records);
    // As long as the file says so, and no longer.
    assert_eq!(reloader.reload().await.unwrap().restart, restart);
    *file.lock().unwrap() = testing::TOML.to_owned();
    assert!(reloader.reload().await.unwrap().restart.is_empty());
    let stats = reloader.stats();
    assert_eq!((stats.applied, stats.refused), (4, 0));
}

#[tokio::test]
async fn a_configuration_with_a_mistake_changes_nothing() {
    let (reloader, file) = reloader(testing::TOML);
    let before = reloader.settings().edition();
    let wrong = testing::TOML.replace("wk_idle", "wk_other").replace("workers = 1", "workers = \"many\"");
    *file.lock().unwrap() = wrong.replace("trunk = \"off\"", "trunk = \"nowhere\"");
    let Err(Refused::Invalid(Problems(problems))) = reloader.reload().await else { panic!("taken") };
    let keys: Vec<&str> = problems.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["media.workers", "apps[1].trunk"]);
    assert!(problems.iter().all(|problem| problem.line.is_some()), "{problems:?}");
    assert_eq!(reloader.settings().edition().version, before.version);
    assert_eq!((reloader.stats().applied, reloader.stats().refused), (0, 1));
}

#[tokio::test]
async fn without_a_file_there_is_nothing_to_reload() {
    let config = testing::config();
    let reloader = Reloader::new(config.clone().into(), None, config, Clock::system());
    assert_eq!(reloader.reload().await.unwrap_err(), Refused::NoSource);
    assert_eq!(reloader.stats().refused, 1);
}
