//! SIPp as a contact centre that rings reliably, forks, updates, offers late, changes codecs and sends callers elsewhere.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use anyhow::{Result, ensure};
use reqwest::Method;
use serde_json::Value;
use trunkline_media::audio::Codec;
use trunkline_tests::gateway::{Gateway, Plan, until};
use trunkline_tests::media_phone::MediaPhone;
use trunkline_tests::sipp::{Sipp, free_udp_port};
use trunkline_tests::web_client::WebClient;

const VISITOR: f64 = 700.0;
const AGENT: f64 = 1100.0;
/// Until SIPp goes on; what is listened to in between has to be over by then.
const PAUSE: &str = "4000";

fn keys(phone: &MediaPhone) -> Vec<(&'static str, String)> {
    let port = phone.address().port().to_string();
    vec![("rtp_port", port), ("codec_pt", "0".into()), ("codec_name", "PCMU".into()), ("pause", PAUSE.into())]
}

/// A call to such an agent over a trunk with these further lines.
async fn call(scenario: &str, trunk: &str) -> Result<(Gateway, WebClient, MediaPhone, Sipp)> {
    let phone = MediaPhone::start(Codec::Pcmu, AGENT).await?;
    let sipp = Sipp::start(scenario, &keys(&phone)).await?;
    let gateway =
        Gateway::start(Plan::to(&[sipp.address()]).relay().trunk(trunk).media("inactivity_seconds = 120")).await?;
    let visitor = WebClient::call(&gateway, Codec::Pcmu, VISITOR).await?;
    Ok((gateway, visitor, phone, sipp))
}

/// The visitor hangs up; what SIPp saw, after a scenario that went as it should.
async fn hang_up(gateway: Gateway, visitor: WebClient, sipp: Sipp) -> Result<String> {
    gateway.visitor(&visitor.session, Method::DELETE, &visitor.call, "", None).await?;
    let record = gateway.ended(&visitor.call).await?;
    ensure!(record["outcome"]["reason"] == "user_hangup", "{record:#}");
    let trace = sipp.finish().await?;
    gateway.stop().await;
    Ok(trace)
}

#[tokio::test]
async fn reliable_ringing_is_acknowledged_and_its_early_media_heard() -> Result<()> {
    let (gateway, visitor, _phone, sipp) = call("prack", "").await?;
    visitor.hears(AGENT, VISITOR).await?;
    let record = gateway.record(&visitor.call).await?;
    ensure!(record["timings"]["answered_at"].is_null(), "{record:#}");
    gateway.record_when(&visitor.call, "the answer", |record| record["state"] == "talking").await?;
    visitor.forget();
    visitor.hears(AGENT, VISITOR).await?;
    let trace = hang_up(gateway, visitor, sipp).await?;
    ensure!(trace.contains("RAck: 41 1 INVITE") && trace.contains("RAck: 42 1 INVITE"), "{trace}");
    ensure!(trace.contains("Supported: 100rel"), "{trace}");
    Ok(())
}

#[tokio::test]
async fn an_agent_moves_and_holds_by_update() -> Result<()> {
    let (gateway, visitor, phone, sipp) = call("update", "").await?;
    // Only after the UPDATE does anybody hear anything.
    visitor.hears(AGENT, VISITOR).await?;
    gateway.record_when(&visitor.call, "the answer", |record| record["state"] == "talking").await?;
    phone.hears(VISITOR, AGENT).await?;
    until("the hold", Duration::from_secs(20), || sipp.trace().contains("a=recvonly")).await?;
    phone.falls_silent(Duration::from_millis(500)).await?;
    let held = phone.packets();
    until("the resume", Duration::from_secs(20), || phone.packets() > held + 30).await?;
    visitor.forget();
    visitor.hears(AGENT, VISITOR).await?;
    hang_up(gateway, visitor, sipp).await?;
    Ok(())
}

#[tokio::test]
async fn an_agent_offers_in_its_answer() -> Result<()> {
    let (gateway, visitor, phone, sipp) = call("late_offer", "calls = { late_offer = true }").await?;
    visitor.hears(AGENT, VISITOR).await?;
    phone.hears(VISITOR, AGENT).await?;
    hang_up(gateway, visitor, sipp).await?;
    Ok(())
}

#[tokio::test]
async fn an_agent_changes_the_codec_asks_for_an_offer_and_is_refused_nonsense() -> Result<()> {
    let (gateway, visitor, _phone, sipp) = call("codec", "").await?;
    visitor.hears(AGENT, VISITOR).await?;
    let codec = |codec: &'static str| move |record: &Value| record["sip"]["codec"] == codec;
    gateway.record_when(&visitor.call, "the first codec", codec("PCMU")).await?;
    until("the refusal", Duration::from_secs(40), || sipp.trace().contains("Warning: 305")).await?;
    let record = gateway.record_when(&visitor.call, "the other codec", codec("PCMA")).await?;
    ensure!(record["state"] == "talking", "{record:#}");
    hang_up(gateway, visitor, sipp).await?;
    Ok(())
}

#[tokio::test]
async fn of_two_that_answer_the_second_is_hung_up() -> Result<()> {
    let (gateway, visitor, phone, sipp) = call("forks", "").await?;
    gateway.record_when(&visitor.call, "the answer", |record| record["state"] == "talking").await?;
    visitor.hears(AGENT, VISITOR).await?;
    phone.hears(VISITOR, AGENT).await?;
    until("the BYE to the other", Duration::from_secs(20), || sipp.trace().contains("BYE sip:")).await?;
    visitor.forget();
    visitor.hears(AGENT, VISITOR).await?;
    let trace = hang_up(gateway, visitor, sipp).await?;
    let byes: Vec<_> = trace.split("BYE sip:").skip(1).filter_map(|bye| bye.split("\nTo:").nth(1)).collect();
    ensure!(byes.len() >= 2 && byes[0].contains("tag=a") && byes[byes.len() - 1].contains("tag=b"), "{trace}");
    Ok(())
}

#[tokio::test]
async fn a_redirection_is_followed_to_the_trunks_own_host_only() -> Result<()> {
    let phone = MediaPhone::start(Codec::Pcmu, AGENT).await?;
    let second = Sipp::start("answer", &keys(&phone)).await?;
    let first = free_udp_port()?;
    let moved = [("user", "second".to_owned()), ("host", second.address().to_string())];
    let sipp = Sipp::start_at(first, "moved", &moved).await?;
    let gateway = Gateway::start(Plan::to(&[first]).relay()).await?;
    let visitor = WebClient::call(&gateway, Codec::Pcmu, VISITOR).await?;
    visitor.hears(AGENT, VISITOR).await?;
    let record = gateway.record(&visitor.call).await?;
    let attempts: Vec<_> = record["sip"]["attempts"].as_array().unwrap().iter().map(|a| &a["status"]).collect();
    ensure!(attempts == [&Value::from(302), &Value::from(200)], "{record:#}");
    sipp.finish().await?;
    let trace = hang_up(gateway, visitor, second).await?;
    ensure!(trace.contains(&format!("INVITE sip:second@{}", moved[1].1)), "{trace}");
    Ok(())
}
