//! Trunks that want to be registered with: registrars that know nothing of the gateway's code.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use futures::StreamExt;
use reqwest::Method;
use serde_json::Value;
use trunkline_media::audio::Codec;
use trunkline_tests::gateway::{Gateway, Plan, READ};
use trunkline_tests::registrar::Registrar;
use trunkline_tests::sipp::Sipp;
use trunkline_tests::web_client::Caller;

fn registering(password: &str, more: &str) -> String {
    format!(
        "register = true\nauth = {{ username = \"acme\", password = \"{password}\" }}\n\
         registration = {{ retry_seconds = 1, retry_max_seconds = 2{more} }}"
    )
}

async fn trunk_when(gateway: &Gateway, what: &str, good: impl Fn(&Value) -> bool) -> Result<Value> {
    let mut trunk = Value::Null;
    for _ in 0..1_200 {
        trunk = gateway.operator(Method::GET, "/v1/trunks", READ, None).await?.1["trunks"][0].clone();
        if good(&trunk) {
            return Ok(trunk);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("{what}: {trunk:#}")
}

/// The data of the first event of this name on the stream of all events.
async fn told(gateway: &Gateway, name: &str, good: impl Fn(&Value) -> bool) -> Result<Value> {
    let url = format!("{}/v1/events?name={name}", gateway.control());
    // An event nobody knows stands before all that are kept.
    let request = gateway.request(Method::GET, &url, READ).header("last-event-id", "evt_0");
    let mut stream = request.send().await?.error_for_status()?.bytes_stream();
    let mut text = String::new();
    let read = async {
        while let Some(piece) = stream.next().await {
            text += &String::from_utf8_lossy(&piece?);
            let events = text.lines().filter_map(|line| line.strip_prefix("data:"));
            let mut events = events.filter_map(|data| serde_json::from_str::<Value>(data.trim()).ok());
            if let Some(event) = events.find(|event| event["name"] == name && good(&event["data"])) {
                return Ok(event);
            }
        }
        bail!("the stream ended: {text}")
    };
    tokio::time::timeout(Duration::from_secs(60), read).await?
}

#[tokio::test]
async fn a_trunk_is_registered_with_refreshed_and_removed_at_the_stop() -> Result<()> {
    let sipp = Sipp::start("registrar", &[("expires", "4".into()), ("via_port", "5099".into())]).await?;
    let gateway = Gateway::start(Plan::to(&[sipp.address()]).trunk(&registering("open sesame", ""))).await?;
    let trunk = trunk_when(&gateway, "registered", |trunk| trunk["registration"]["state"] == "registered").await?;
    let registrar = &trunk["registration"]["registrars"][0];
    ensure!(trunk["state"] == "up" && trunk["registration"]["expires_at"].is_string(), "{trunk:#}");
    ensure!(registrar["service_route"][0] == "<sip:127.0.0.1:5099;lr>", "{trunk:#}");
    let event = told(&gateway, "trunk_state_changed", |data| data["to"] == "up").await?;
    ensure!(event["data"]["trunk"] == "t0" && event["data"]["from"] == "unknown", "{event:#}");
    ensure!(event["data"]["registration"]["state"] == "registered" && event["app"] == "", "{event:#}");
    ensure!(gateway.metric("trunkline_trunk_registered{trunk=\"t0\"}").await? == 1.0);
    // The refresh, under the same nonce.
    let bound_for_long = |trunk: &Value| trunk["registration"]["registrars"][0]["path"] == serde_json::json!([]);
    trunk_when(&gateway, "refreshed", bound_for_long).await?;
    gateway.stop().await;
    let trace = sipp.finish().await?;
    ensure!(trace.contains("CSeq: 4 REGISTER") && trace.contains("Supported: path"), "{trace}");
    Ok(())
}

#[tokio::test]
async fn over_a_trunk_that_is_not_registered_with_nobody_is_called() -> Result<()> {
    let sipp = Sipp::start("registrar", &[("expires", "60".into()), ("via_port", "5099".into())]).await?;
    let gateway = Gateway::start(Plan::to(&[sipp.address()]).trunk(&registering("wrong", ""))).await?;
    let failed = |trunk: &Value| trunk["registration"]["last_failure"]["error"] == "status_403";
    let trunk = trunk_when(&gateway, "failed", failed).await?;
    ensure!(trunk["state"] == "down" && trunk["registration"]["state"] == "failed", "{trunk:#}");
    told(&gateway, "trunk_state_changed", |data| data["registration"]["last_failure"]["error"] == "status_403").await?;
    let (caller, session) = (Caller::new(Codec::Pcmu).await?, gateway.session().await?);
    let response = gateway.offer(&session, &caller.offer).await?;
    ensure!(response.status() == 201, "{}", response.text().await?);
    let call = response.headers()["location"].to_str()?.rsplit('/').next().unwrap().to_owned();
    let record = gateway.ended(&call).await?;
    ensure!(record["outcome"]["reason"] == "dest_unavailable", "{record:#}");
    ensure!(record["outcome"]["detail"] == "trunk_unregistered", "{record:#}");
    gateway.stop().await;
    let trace = sipp.finish().await?;
    ensure!(!trace.contains("INVITE") && !trace.contains("wrong"), "{trace}");
    Ok(())
}

#[tokio::test]
async fn kamailio_takes_the_registration_with_its_password_alone() -> Result<()> {
    let Some(registrar) = Registrar::start().await? else {
        eprintln!("kamailio is not installed: nothing is shown");
        return Ok(());
    };
    // It finds thirty seconds too brief, and says so or says more.
    let good = registering("open sesame", ", address = \"sip:acme@trunk.example\", expires_seconds = 30");
    let gateway = Gateway::start(Plan::to(&[registrar.address()]).trunk(&good)).await?;
    let state = |state: &'static str| move |trunk: &Value| trunk["registration"]["state"] == state;
    let trunk = trunk_when(&gateway, "registered", state("registered")).await;
    let trunk = trunk.map_err(|error| error.context(registrar.log()))?;
    ensure!(trunk["registration"]["last_failure"].is_null(), "{trunk:#}");
    gateway.stop().await;

    let bad = registering("closed sesame", ", address = \"sip:acme@trunk.example\"");
    let gateway = Gateway::start(Plan::to(&[registrar.address()]).trunk(&bad)).await?;
    let trunk = trunk_when(&gateway, "refused", state("failed")).await?;
    ensure!(trunk["registration"]["last_failure"]["error"] == "credentials", "{trunk:#}");
    gateway.stop().await;
    Ok(())
}
