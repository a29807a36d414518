//! A whole gateway on real sockets of this machine.

use reqwest::Client;
use serde_json::{Value, json};

use std::time::Duration;

use super::*;
use crate::testing::{self, ADMIN, OFFER, READ};

async fn session(client: &Client, daemon: &Daemon) -> String {
    let body = json!({"app": "acme", "widget_key": "wk_demo"}).to_string();
    let request = client.post(format!("http://{}/v1/sessions", daemon.public_addr)).body(body);
    let answer = request.header("content-type", "application/json").send().await.unwrap();
    assert_eq!(answer.status(), 201);
    answer.json::<Value>().await.unwrap()["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_gateway_takes_a_call_drains_and_says_goodbye() {
    // A trunk that hears and says nothing.
    let trunk = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let data = tempfile::tempdir().unwrap();
    let mut config = testing::config();
    config.node.data_dir = data.path().join("data");
    for configured in &mut config.trunks {
        configured.target.host = "127.0.0.1".into();
        configured.target.port = trunk.local_addr().ok().map(|address| address.port());
    }
    let daemon = Daemon::start(config).await.unwrap();
    let (client, public, control) = (Client::new(), daemon.public_addr, daemon.control_addr);
    assert!(public.port() != 0 && control.port() != 0 && daemon.sip_addr.port() != 0);
    assert_eq!(daemon.media_addrs.len(), 1);

    let token = session(&client, &daemon).await;
    let start = || {
        let request = client.post(format!("http://{public}/v1/calls")).bearer_auth(&token).body(OFFER);
        request.header("content-type", "application/sdp").send()
    };
    let answer = start().await.unwrap();
    assert_eq!(answer.status(), 201);
    let location = answer.headers()["location"].to_str().unwrap().to_owned();
    let sdp = answer.text().await.unwrap();
    assert!(sdp.contains("a=ice-lite") && sdp.contains(&format!("m=audio {}", daemon.media_addrs[0].port())), "{sdp}");

    let mut events = client.get(format!("http://{public}{location}/events")).bearer_auth(&token).send().await.unwrap();
    let first = events.chunk().await.unwrap().unwrap();
    assert!(first.starts_with(b"id: 1\nevent: call_started\n"), "{first:?}");

    let read = |path: &str| client.get(format!("http://{control}{path}")).bearer_auth(READ).send();
    // A worker publishes its gauges at the end of its turn, moments after its answers.
    let mut node = Value::Null;
    for _ in 0..500 {
        node = read("/v1/node").await.unwrap().json().await.unwrap();
        if node["workers"][0]["calls"] == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!((&node["calls"]["live"], &node["workers"][0]["calls"]), (&json!(1), &json!(1)));
    let second = session(&client, &daemon).await;
    let drain = client.post(format!("http://{control}/v1/node/drain")).bearer_auth(ADMIN).send().await.unwrap();
    assert_eq!(drain.status(), 202);
    assert_eq!(read("/readyz").await.unwrap().status(), 503);
    let refused = client.post(format!("http://{public}/v1/calls")).bearer_auth(second).body(OFFER);
    let refused = refused.header("content-type", "application/sdp").send().await.unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers().contains_key("retry-after")), (503, true));
    let refused = client.post(format!("http://{public}/v1/sessions")).body(r#"{"app":"acme","widget_key":"wk_demo"}"#);
    let refused = refused.header("content-type", "application/json").send().await.unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers().contains_key("retry-after")), (503, true));

    daemon.shutdown().await;
    let mut rest = Vec::new();
    while let Ok(Some(chunk)) = events.chunk().await {
        rest.extend_from_slice(&chunk);
    }
    let rest = String::from_utf8(rest).unwrap();
    assert!(rest.contains("event: call_error\n") && rest.contains("node_shutdown"), "{rest}");
    assert!(client.get(format!("http://{public}/healthz")).send().await.is_err());
}

#[tokio::test]
async fn a_configuration_is_reloaded_by_an_operator() {
    let data = tempfile::tempdir().unwrap();
    let dir = data.path().to_owned();
    let file = dir.join("trunkline.toml");
    std::fs::write(&file, testing::TOML).unwrap();
    let path = file.clone();
    let source: Source = Arc::new(move || trunkline_config::load(&path, std::iter::empty()));
    let config = source().unwrap().config;
    let daemon = Daemon::start_with(config, Some(source), axum::Router::new()).await.unwrap();
    let (client, control) = (Client::new(), daemon.control_addr);
    let ask = async |method: reqwest::Method, path: &str, key: &str| {
        let answer = client.request(method, format!("http://{control}{path}")).bearer_auth(key).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.text().await.unwrap())
    };
    let reload = async |key: &str| {
        let (status, text) = ask(reqwest::Method::POST, "/v1/node/reload", key).await;
        (status, serde_json::from_str::<Value>(&text).unwrap())
    };
    assert_eq!(reload(READ).await.0, 403);
    let (status, same) = reload(ADMIN).await;
    assert_eq!((status, &same["old_version"], &same["needs_restart"]), (200, &same["new_version"], &json!([])));

    let changed = testing::TOML.replace(READ, "k-other-0123456789abcdef").replace("31998", "32998");
    std::fs::write(&file, &changed).unwrap();
    let (status, reloaded) = reload(ADMIN).await;
    assert_eq!((status, &reloaded["needs_restart"]), (200, &json!(["media.rtp_ports"])));
    assert_eq!(ask(reqwest::Method::GET, "/v1/node", READ).await.0, 401, "this key is none any more");
    let (_, node) = ask(reqwest::Method::GET, "/v1/node", "k-other-0123456789abcdef").await;
    let node: Value = serde_json::from_str(&node).unwrap();
    assert_eq!(node["configuration"]["version"], reloaded["new_version"]);

    std::fs::write(&file, changed.replace("workers = 1", "workers = -1")).unwrap();
    let (status, problem) = reload(ADMIN).await;
    assert_eq!((status, &problem["type"]), (422, &json!("urn:trunkline:problem:invalid-configuration")));
    let first = &problem["problems"][0];
    assert_eq!((&first["key"], first["line"].is_u64()), (&json!("media.workers"), true), "{problem}");
    assert_eq!(reload(READ).await.0, 401, "nothing has changed");
    let (_, metrics) = ask(reqwest::Method::GET, "/metrics", "").await;
    for line in
        ["trunkline_config_reloads_total{result=\"applied\"} 2", "trunkline_config_reloads_total{result=\"refused\"} 1"]
    {
        assert!(metrics.lines().any(|have| have == line), "{line}");
    }
    daemon.shutdown().await;
}

#[tokio::test]
async fn what_cannot_be_had_is_named() {
    let mut config = testing::config();
    config.node.data_dir = "/dev/null/data".into();
    let error = Daemon::start(config).await.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.starts_with("node.data_dir cannot be used: /dev/null/data: "), "{error}");

    let data = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = testing::config();
    config.node.data_dir = data.path().into();
    config.control.listen = taken.local_addr().unwrap();
    let error = Daemon::start(config).await.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.starts_with("control.listen cannot listen on 127.0.0.1:"), "{error}");
}
