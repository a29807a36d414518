//! A trunk whose audio is encrypted, with a real SIP phone (baresip) as the other end.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use anyhow::{Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use trunkline_media::audio::Codec;
use trunkline_tests::baresip::Baresip;
use trunkline_tests::gateway::{CONTROL, Gateway, Plan, READ, until};
use trunkline_tests::page::{judge, write_tone};
use trunkline_tests::web_client::WebClient;

const VISITOR: f64 = 700.0;
const AGENT: f64 = 1100.0;

struct Scene {
    _directory: TempDir,
    agent: Baresip,
    gateway: Gateway,
}

/// A phone that encrypts as baresip calls it, and a trunk with this `srtp`.
async fn scene(phone: &str, srtp: &str) -> Result<Scene> {
    let directory = TempDir::new()?;
    let voice = directory.path().join("agent.wav");
    write_tone(&voice, AGENT, 8000, 90)?;
    let agent = Baresip::start_with("PCMU", phone, &voice).await?;
    let plan = Plan::to(&[agent.address()]).codecs(&["PCMU"]).relay().trunk(&format!("srtp = \"{srtp}\""));
    Ok(Scene { _directory: directory, agent, gateway: Gateway::start(plan).await? })
}

/// Two calls: one in which both hear each other, and one held by the phone and by an operator. The record of the second.
async fn call(phone: &str, srtp: &str) -> Result<Value> {
    let Scene { _directory, mut agent, gateway } = scene(phone, srtp).await?;
    let visitor = WebClient::call(&gateway, Codec::Pcmu, VISITOR).await?;
    visitor.hears(AGENT, VISITOR).await.map_err(|e| e.context(agent.log()))?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    agent.hangup().await?;
    gateway.ended(&visitor.call).await?;
    closed(&agent, 1).await?;
    let (pcm, rate) = agent.heard()?;
    let parts: Vec<_> = pcm.chunks_exact(rate as usize / 4).map(|part| judge(part, rate, VISITOR, AGENT)).collect();
    let good = parts.iter().filter(|part| part.is_ok()).count();
    ensure!(good >= 4, "the agent heard the visitor for {good} quarters of a second: {parts:?}\n{}", agent.log());

    let visitor = WebClient::call(&gateway, Codec::Pcmu, VISITOR).await?;
    visitor.hears(AGENT, VISITOR).await.map_err(|e| e.context(agent.log()))?;
    for held in [true, false] {
        agent.hold(held).await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    visitor.forget();
    visitor.hears(AGENT, VISITOR).await.map_err(|e| e.context(agent.log()))?;
    for what in ["hold", "resume"] {
        let path = format!("/v1/calls/{}/{what}", visitor.call);
        let (status, problem) = gateway.operator(Method::POST, &path, CONTROL, Some(json!({"leg": "sip"}))).await?;
        ensure!(status == 204, "{what}: {status} {problem}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    visitor.forget();
    visitor.hears(AGENT, VISITOR).await.map_err(|e| e.context(agent.log()))?;
    let (_, bundle) = gateway.operator(Method::GET, &format!("/v1/calls/{}/bundle", visitor.call), READ, None).await?;
    ensure!(!bundle.to_string().contains("inline:"), "{bundle:#}");
    agent.hangup().await?;
    let record = gateway.ended(&visitor.call).await?;
    closed(&agent, 2).await?;
    gateway.stop().await;
    Ok(record)
}

async fn closed(agent: &Baresip, calls: usize) -> Result<()> {
    let ends = || agent.events().iter().filter(|event| *event == "CALL_CLOSED").count();
    until("baresip's end of the call", Duration::from_secs(10), || ends() >= calls).await
}

#[tokio::test]
async fn a_phone_that_demands_encryption_is_talked_to_encrypted() -> Result<()> {
    let record = call("srtp-mand", "required").await?;
    ensure!(record["sip"]["srtp"].as_str().is_some_and(|suite| suite.starts_with('A')), "{record:#}");
    Ok(())
}

/// Who takes nothing but RTP/SAVP does not take RFC 8643's plain line with keys, and is asked once more.
#[tokio::test]
async fn a_phone_that_refuses_a_plain_line_with_keys_is_asked_again_and_talked_to_encrypted() -> Result<()> {
    let Scene { _directory, mut agent, gateway } = scene("srtp-mand", "optional").await?;
    let visitor = WebClient::call(&gateway, Codec::Pcmu, VISITOR).await?;
    visitor.hears(AGENT, VISITOR).await.map_err(|e| e.context(agent.log()))?;
    agent.hangup().await?;
    let record = gateway.ended(&visitor.call).await?;
    let sip = &record["sip"];
    ensure!(sip["srtp"].as_str().is_some_and(|suite| suite.starts_with('A')), "{record:#}");
    let statuses: Vec<&Value> = (0..2).map(|nth| &sip["attempts"][nth]["status"]).collect();
    ensure!(statuses == [488, 200] && sip["attempts"][2].is_null(), "{record:#}");
    gateway.stop().await;
    Ok(())
}

/// A call that ends without a codec in common.
async fn no_call(phone: &str, srtp: &str) -> Result<()> {
    let Scene { _directory, agent, gateway } = scene(phone, srtp).await?;
    let visitor = WebClient::call(&gateway, Codec::Pcmu, VISITOR).await?;
    let record = gateway.ended(&visitor.call).await.map_err(|e| e.context(agent.log()))?;
    ensure!(record["outcome"]["reason"] == "dest_codec", "{record:#}");
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_phone_that_can_encrypt_is_talked_to_encrypted() -> Result<()> {
    let record = call("srtp", "optional").await?;
    ensure!(record["sip"]["srtp"].as_str().is_some_and(|suite| suite.starts_with('A')), "{record:#}");
    Ok(())
}

#[tokio::test]
async fn a_phone_that_cannot_encrypt_is_talked_to_in_the_clear_or_not_at_all() -> Result<()> {
    let record = call("", "optional").await?;
    ensure!(record["sip"]["srtp"].is_null(), "{record:#}");
    no_call("", "required").await
}
