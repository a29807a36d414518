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
    let drain = client.post(format!("http://{control}/v1/node/drain")).bearer_auth(ADMIN).send().await.unwrap();
    assert_eq!(drain.status(), 202);
    assert_eq!(read("/readyz").await.unwrap().status(), 503);
    let second = session(&client, &daemon).await;
    let refused = client.post(format!("http://{public}/v1/calls")).bearer_auth(second).body(OFFER);
    let refused = refused.header("content-type", "application/sdp").send().await.unwrap();
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
