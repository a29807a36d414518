//! Live calls that are handed to somebody else, with SIPp as the agents: by an operator, by a phone, by REFER.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use trunkline_media::audio::Codec;
use trunkline_tests::baresip::Baresip;
use trunkline_tests::gateway::{CONTROL, Gateway, Plan};
use trunkline_tests::media_phone::MediaPhone;
use trunkline_tests::page::write_tone;
use trunkline_tests::sipp::Sipp;
use trunkline_tests::web_client::WebClient;

const VISITOR: f64 = 700.0;
const AGENT: f64 = 1100.0;
const OTHER: f64 = 1700.0;

fn keys(phone: &MediaPhone) -> Vec<(&'static str, String)> {
    let port = phone.address().port().to_string();
    let pause = ("pause", "1500".to_owned());
    vec![("rtp_port", port), ("codec_pt", "0".into()), ("codec_name", "PCMU".into()), pause]
}

async fn transfer(gateway: &Gateway, call: &str, body: Value) -> Result<()> {
    let path = format!("/v1/calls/{call}/transfer");
    let (status, problem) = gateway.operator(Method::POST, &path, CONTROL, Some(body)).await?;
    ensure!(status == 202, "{status} {problem}");
    Ok(())
}

async fn transfers(gateway: &Gateway, labels: &str) -> Result<f64> {
    gateway.metric(&format!("trunkline_transfers_total{{{labels}}}")).await
}

#[tokio::test]
async fn an_operator_hands_a_call_over_by_a_bridge() -> Result<()> {
    let (agent, other) = (MediaPhone::start(Codec::Pcmu, AGENT).await?, MediaPhone::start(Codec::Pcmu, OTHER).await?);
    let (first, second) = (Sipp::start("answer", &keys(&agent)).await?, Sipp::start("answer", &keys(&other)).await?);
    let gateway = Gateway::start(Plan::to(&[first.address(), second.address()]).relay()).await?;
    let visitor = WebClient::call(&gateway, Codec::Pcmu, VISITOR).await?;
    visitor.hears(AGENT, VISITOR).await?;
    agent.hears(VISITOR, AGENT).await?;

    transfer(&gateway, &visitor.call, json!({"destination": "sip:other@t1", "mode": "bridge"})).await?;
    visitor.hears(OTHER, AGENT).await?;
    other.hears(VISITOR, OTHER).await?;
    let trace = first.finish().await?;
    ensure!(trace.contains("Reason: Q.850;cause=16"), "{trace}");
    let record = gateway.record(&visitor.call).await?;
    ensure!(record["sip"]["trunk"] == "t1" && record["sip"]["destination"] == "sip:other@t1", "{record:#}");
    ensure!(record["sip"]["attempts"].as_array().is_some_and(|attempts| attempts.len() == 2), "{record:#}");
    let labels = r#"mode="bridge",by="operator",result="done""#;
    ensure!(transfers(&gateway, labels).await? == 1.0);

    gateway.visitor(&visitor.session, Method::DELETE, &visitor.call, "", None).await?;
    let record = gateway.ended(&visitor.call).await?;
    ensure!(record["outcome"]["reason"] == "user_hangup", "{record:#}");
    second.finish().await?;
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_transfer_that_is_refused_leaves_the_agent_with_the_visitor() -> Result<()> {
    let agent = MediaPhone::start(Codec::Pcmu, AGENT).await?;
    let first = Sipp::start("answer", &keys(&agent)).await?;
    let busy = Sipp::start("reject", &[("code", "486".into())]).await?;
    let gateway = Gateway::start(Plan::to(&[first.address(), busy.address()]).relay()).await?;
    let visitor = WebClient::call(&gateway, Codec::Pcmu, VISITOR).await?;
    visitor.hears(AGENT, VISITOR).await?;
    transfer(&gateway, &visitor.call, json!({"destination": "sip:other@t1", "mode": "bridge"})).await?;
    busy.finish().await?;
    visitor.hears(AGENT, VISITOR).await?;
    agent.hears(VISITOR, AGENT).await?;
    let record = gateway.record(&visitor.call).await?;
    ensure!(record["sip"]["trunk"] == "t0" && record["state"] == "talking", "{record:#}");
    gateway.visitor(&visitor.session, Method::DELETE, &visitor.call, "", None).await?;
    first.finish().await?;
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_phone_hands_the_visitor_to_another() -> Result<()> {
    let (agent, other) = (MediaPhone::start(Codec::Pcmu, AGENT).await?, MediaPhone::start(Codec::Pcmu, OTHER).await?);
    let mut first = keys(&agent);
    first.push(("refer_to", "sip:2001@t1".into()));
    let (first, second) = (Sipp::start("refer", &first).await?, Sipp::start("answer", &keys(&other)).await?);
    let gateway = Gateway::start(Plan::to(&[first.address(), second.address()]).relay()).await?;
    let visitor = WebClient::call(&gateway, Codec::Pcmu, VISITOR).await?;
    visitor.hears(OTHER, AGENT).await?;
    other.hears(VISITOR, OTHER).await?;
    first.finish().await?;
    let trace = second.trace();
    ensure!(trace.contains("Referred-By: <sip:agent@sipp>"), "{trace}");
    gateway.visitor(&visitor.session, Method::DELETE, &visitor.call, "", None).await?;
    second.finish().await?;
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn an_operator_has_the_trunk_take_its_agent_away() -> Result<()> {
    for (told, done) in [("200 OK", true), ("486 Busy Here", false)] {
        let agent = MediaPhone::start(Codec::Pcmu, AGENT).await?;
        let mut words = keys(&agent);
        words.push(("told", told.into()));
        let sipp = Sipp::start("referred", &words).await?;
        let gateway = Gateway::start(Plan::to(&[sipp.address()]).relay()).await?;
        let visitor = WebClient::call(&gateway, Codec::Pcmu, VISITOR).await?;
        visitor.hears(AGENT, VISITOR).await?;
        transfer(&gateway, &visitor.call, json!({"destination": "sip:2001@t0"})).await?;
        if done {
            let record = gateway.ended(&visitor.call).await?;
            ensure!(record["outcome"]["reason"] == "remote_hangup", "{record:#}");
        } else {
            let labels = r#"mode="refer",by="operator",result="failed""#;
            for _ in 0..200 {
                if transfers(&gateway, labels).await? == 1.0 {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            ensure!(transfers(&gateway, labels).await? == 1.0);
            visitor.hears(AGENT, VISITOR).await?;
            gateway.visitor(&visitor.session, Method::DELETE, &visitor.call, "", None).await?;
        }
        let trace = sipp.finish().await?;
        ensure!(trace.contains(&format!("Refer-To: <sip:2001@{}", sipp_host(&trace))), "{trace}");
        gateway.stop().await;
    }
    Ok(())
}

#[tokio::test]
async fn baresip_hands_the_visitor_to_another() -> Result<()> {
    let other = MediaPhone::start(Codec::Pcmu, OTHER).await?;
    let second = Sipp::start("answer", &keys(&other)).await?;
    let voice = tempfile::tempdir()?;
    write_tone(&voice.path().join("voice.wav"), AGENT, 8_000, 1)?;
    let mut agent = Baresip::start("PCMU", &voice.path().join("voice.wav")).await?;
    let gateway = Gateway::start(Plan::to(&[agent.address(), second.address()]).relay()).await?;
    let visitor = WebClient::call(&gateway, Codec::Pcmu, VISITOR).await?;
    visitor.hears(AGENT, VISITOR).await?;
    agent.transfer("sip:2001@t1").await?;
    visitor.hears(OTHER, AGENT).await.with_context(|| agent.log())?;
    other.hears(VISITOR, OTHER).await?;
    gateway.visitor(&visitor.session, Method::DELETE, &visitor.call, "", None).await?;
    second.finish().await?;
    gateway.stop().await;
    Ok(())
}

/// The host the INVITE named.
fn sipp_host(trace: &str) -> String {
    let line = trace.lines().find(|line| line.starts_with("INVITE sip:")).unwrap_or_default();
    line.split('@').nth(1).and_then(|rest| rest.split([' ', ':', ';']).next()).unwrap_or_default().to_owned()
}
