//! Webhooks of a whole gateway: real calls, a receiver on this machine, and the published libraries as judges.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, missing_docs)]

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use reqwest::Method;
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinHandle;
use trunkline_media::audio::Codec;
use trunkline_tests::gateway::{CONTROL, Gateway, Plan, READ, until};
use trunkline_tests::web_client::Caller;

const OLD: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const NEW: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
/// Whatever a call tells.
const EVENTS: &str = r#"["call_started", "call_answered", "call_ended", "call_error", "network_quality_changed", "issue_detected", "issue_cleared"]"#;

/// A request that came.
type Got = (HeaderMap, Bytes);

/// A receiver that takes what its status says.
struct Receiver {
    address: SocketAddr,
    got: Arc<Mutex<Vec<Got>>>,
    status: Arc<Mutex<u16>>,
    task: JoinHandle<()>,
}

impl Receiver {
    async fn start(port: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let (got, status): (Arc<Mutex<Vec<Got>>>, _) = (Arc::default(), Arc::new(Mutex::new(204)));
        let (seen, says) = (got.clone(), status.clone());
        let router = Router::new().fallback(move |request: Request| {
            let (seen, says) = (seen.clone(), says.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = to_bytes(body, 1 << 20).await.unwrap_or_default();
                let status = *says.lock().unwrap();
                if status < 300 {
                    seen.lock().unwrap().push((parts.headers, body));
                }
                StatusCode::from_u16(status).unwrap()
            }
        });
        let task = tokio::spawn(async move { drop(axum::serve(listener, router).await) });
        Ok(Self { address, got, status, task })
    }

    fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    fn says(&self, status: u16) {
        *self.status.lock().unwrap() = status;
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn plan(receiver: SocketAddr, more: &str) -> Plan {
    let lines = format!(
        r#"integrations = [{{ id = "crm", {more} url = "http://{receiver}/hook", events = {EVENTS}, secret = "{OLD} {NEW}", allow_insecure = true }}]"#
    );
    Plan::nowhere().app(&lines)
}

/// A visitor calls and hangs up; the call.
async fn call(gateway: &Gateway, offer: &str) -> Result<String> {
    let session = gateway.session().await?;
    let response = gateway.offer(&session, offer).await?;
    ensure!(response.status() == 201, "{}", response.text().await?);
    let location = response.headers()["location"].to_str()?.to_owned();
    let call = location.rsplit('/').next().context("a call")?.to_owned();
    gateway.visitor(&session, Method::DELETE, &call, "", None).await?;
    Ok(call)
}

async fn pending(gateway: &Gateway) -> Result<Value> {
    let (status, crm) = gateway.operator(Method::GET, "/v1/integrations/crm", READ, None).await?;
    ensure!(status == 200, "{crm}");
    Ok(crm)
}

/// Every call's events, in the order in which they came.
fn by_call(got: &[Got]) -> HashMap<String, Vec<(u64, String)>> {
    let mut calls: HashMap<String, Vec<(u64, String)>> = HashMap::new();
    for (_, body) in got {
        let event: Value = serde_json::from_slice(body).unwrap();
        let call = event["data"]["call"].as_str().unwrap_or_default().to_owned();
        calls
            .entry(call)
            .or_default()
            .push((event["seq"].as_u64().unwrap(), event["name"].as_str().unwrap().to_owned()));
    }
    calls
}

#[tokio::test]
async fn the_published_libraries_verify_what_a_receiver_gets() -> Result<()> {
    let receiver = Receiver::start(0).await?;
    let gateway = Gateway::start(plan(receiver.address, "")).await?;
    let offer = Caller::new(Codec::Pcmu).await?.offer;
    let call = call(&gateway, &offer).await?;
    let over =
        || by_call(&receiver.got()).get(&call).is_some_and(|seen| seen.iter().any(|(_, name)| name == "call_ended"));
    until("the last event", Duration::from_secs(60), over).await?;
    let got = receiver.got();
    let mut lines = String::new();
    for (headers, body) in &got {
        let event: Value = serde_json::from_slice(body)?;
        ensure!(
            headers["webhook-id"] == event["id"].as_str().unwrap() && headers["content-type"] == "application/json"
        );
        ensure!(event["app"] == "acme" && event["data"]["context"] == json!({"plan": "gold"}), "{event}");
        for secret in [OLD, NEW] {
            let judge = Webhook::new(secret)?;
            judge.verify(body, headers)?;
            ensure!(judge.verify(b"{}", headers).is_err());
            let fields: HashMap<&str, &str> =
                headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
            let line = json!({"secret": secret, "headers": fields, "body": std::str::from_utf8(body)?});
            lines.push_str(&format!("{line}\n"));
        }
    }
    ensure!(python(&lines).await?.trim() == (2 * got.len()).to_string());
    gateway.stop().await;
    Ok(())
}

async fn python(lines: &str) -> Result<String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut child = Command::new(here.join("../target/python/bin/python"))
        .arg(here.join("data/webhooks/verify.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("run `.ci/install test` first")?;
    child.stdin.take().context("its input")?.write_all(lines.as_bytes()).await?;
    let output = child.wait_with_output().await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// `WEBHOOK_OUTAGE_SECONDS` makes it longer.
#[tokio::test]
async fn a_receiver_that_is_away_for_a_while_misses_nothing() -> Result<()> {
    let seconds = std::env::var("WEBHOOK_OUTAGE_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20_u64);
    // A port that was free a moment ago.
    let port = Receiver::start(0).await?.address.port();
    let gateway = Gateway::start(plan((Ipv4Addr::LOCALHOST, port).into(), "retry_seconds = [1, 1, 1],")).await?;
    let offer = Caller::new(Codec::Pcmu).await?.offer;
    let mut calls = Vec::new();
    let end = tokio::time::Instant::now() + Duration::from_secs(seconds);
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    while tokio::time::Instant::now() < end {
        tick.tick().await;
        calls.push(call(&gateway, &offer).await?);
    }
    for _ in 0..1_200 {
        if pending(&gateway).await?["status"] == "paused" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let crm = pending(&gateway).await?;
    ensure!(crm["status"] == "paused" && crm["consecutive_failures"] == 20 && crm["paused_at"].is_string(), "{crm}");
    ensure!(crm["last_error"].as_str().is_some_and(|error| error.starts_with("no connection")), "{crm}");
    ensure!(gateway.metric("trunkline_webhook_paused").await? == 1.0);

    let receiver = Receiver::start(port).await?;
    ensure!(receiver.got().is_empty(), "nothing is sent while it is paused");
    let (status, crm) = gateway.operator(Method::POST, "/v1/integrations/crm/reactivate", CONTROL, None).await?;
    ensure!(status == 200 && crm["status"] == "active" && crm["consecutive_failures"] == 0, "{status} {crm}");
    for _ in 0..2_400 {
        if pending(&gateway).await?["pending"] == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let seen = by_call(&receiver.got());
    for call in &calls {
        let events = seen.get(call).with_context(|| format!("{call} is lost"))?;
        ensure!(events.is_sorted_by(|one, next| one.0 < next.0), "{call}: {events:?}");
        let (first, last) = (&events[0].1, &events[events.len() - 1].1);
        ensure!(first == "call_started" && (last == "call_ended" || last == "call_error"), "{call}: {events:?}");
    }
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_was_refused_is_found_in_the_log_and_sent_again_on_request() -> Result<()> {
    let receiver = Receiver::start(0).await?;
    receiver.says(422);
    let gateway = Gateway::start(plan(receiver.address, "")).await?;
    call(&gateway, &Caller::new(Codec::Pcmu).await?.offer).await?;
    let failed = "/v1/integrations/crm/deliveries?state=failed&limit=1";
    let mut page = Value::Null;
    for _ in 0..600 {
        page = gateway.operator(Method::GET, failed, READ, None).await?.1;
        if page["next_cursor"].is_string() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let cursor = page["next_cursor"].as_str().with_context(|| page.to_string())?;
    let newest = page["deliveries"][0].clone();
    ensure!(newest["attempts"] == 1 && newest["status"] == 422 && newest["error"] == "answered 422", "{newest}");
    let (_, next) = gateway.operator(Method::GET, &format!("{failed}&cursor={cursor}"), READ, None).await?;
    let older = &next["deliveries"][0];
    ensure!(older["seq"].as_u64() < newest["seq"].as_u64() && older["call"] == newest["call"], "{older} {newest}");

    receiver.says(204);
    let id = newest["delivery"].as_str().context("its id")?;
    let again = format!("/v1/integrations/crm/deliveries/{id}/redeliver");
    let (status, delivery) = gateway.operator(Method::POST, &again, CONTROL, None).await?;
    ensure!(status == 202 && delivery["delivery"] == id, "{status} {delivery}");
    let came = || receiver.got().iter().any(|(headers, _)| headers["webhook-id"] == id);
    until("the delivery", Duration::from_secs(60), came).await?;
    let unknown = "/v1/integrations/crm/deliveries/evt_x/redeliver";
    let (status, problem) = gateway.operator(Method::POST, unknown, CONTROL, None).await?;
    ensure!(status == 404 && problem["type"] == "urn:trunkline:problem:unknown-delivery", "{problem}");
    gateway.stop().await;
    Ok(())
}
