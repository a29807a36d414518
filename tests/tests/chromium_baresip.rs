//! A visitor in a real Chromium, an agent at a real SIP phone (baresip) with its own media engine.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use trunkline_tests::baresip::Baresip;
use trunkline_tests::gateway::{Gateway, Plan, until};
use trunkline_tests::page::{Page, judge, write_tone};

const VISITOR: f64 = 700.0;
const AGENT: f64 = 1100.0;

async fn check(first: &[&str], trunk: &'static str, browser_codec: &str) -> Result<()> {
    let page = Page::open(VISITOR).await?;
    let directory = TempDir::new()?;
    let voice = directory.path().join("agent.wav");
    // At the end of the file, baresip hangs up.
    write_tone(&voice, AGENT, 8000, 90)?;
    let mut agent = Baresip::start(trunk, &voice).await?;
    let all = "browser_codecs = [\"opus\", \"G722\", \"PCMU\", \"PCMA\"]";
    let plan = Plan::to(&[agent.address()]).codecs(&[trunk]).media(all);
    let gateway = Gateway::start(plan.origin(page.origin())).await?;

    let call = page.call(&gateway, first).await?;
    page.state("talking").await?;
    page.hears(AGENT, VISITOR).await.map_err(|e| e.context(agent.log()))?;
    let stats = page.stats().await?;
    ensure!(stats["sendCodec"].as_str().is_some_and(|codec| codec.eq_ignore_ascii_case(browser_codec)), "{stats}");
    page.browser().run("return call.dtmf(args)", json!("159D*0#")).await?;
    until("the browser's digits", Duration::from_secs(15), || agent.digits() == "159D*0#")
        .await
        .map_err(|e| e.context(format!("{:?}\n{}", agent.events(), agent.log())))?;
    page.browser().run("return call.dtmf(args, {viaApi: true})", json!("42A")).await?;
    until("the API's digits", Duration::from_secs(10), || agent.digits() == "159D*0#42A")
        .await
        .map_err(|e| e.context(format!("{:?}\n{}", agent.events(), agent.log())))?;
    for (n, digit) in "73*#".chars().enumerate() {
        agent.send_digit(digit).await?;
        let heard =
            "events.filter(e => e.name === 'dtmf_received' && e.data.leg === 'sip').map(e => e.data.digit).join('')";
        page.browser().wait_for(&format!("{heard} === '73*#'.slice(0, {})", n + 1), Duration::from_secs(10)).await?;
    }
    page.browser().run("await call.hangup()", Value::Null).await?;
    let record = gateway.ended(&call).await?;
    ensure!(record["outcome"]["reason"] == "user_hangup", "{record:#}");
    ensure!(record["sip"]["codec"] == trunk, "{record:#}");
    until("baresip's end of the call", Duration::from_secs(10), || agent.events().iter().any(|e| e == "CALL_CLOSED"))
        .await?;
    heard_the_visitor(&agent)?;

    let call = page.call(&gateway, first).await?;
    page.state("talking").await?;
    page.hears(AGENT, VISITOR).await?;
    agent.hangup().await?;
    page.state("ended").await?;
    let told = page.event("call_ended").await?;
    ensure!(told["reason"] == "remote_hangup" && told["detail"] == "bye", "{told}");
    ensure!(gateway.ended(&call).await?["outcome"]["class"] == "ended");
    println!("{browser_codec} <-> {trunk} (baresip): ICE round trip {} ms", stats["rttMs"]);
    page.close().await;
    gateway.stop().await;
    Ok(())
}

/// The visitor's tone fills what baresip recorded, digits and the edges aside.
fn heard_the_visitor(agent: &Baresip) -> Result<()> {
    let (pcm, rate) = agent.heard()?;
    let windows: Vec<_> = pcm.chunks_exact(rate as usize / 4).map(|w| judge(w, rate, VISITOR, AGENT)).collect();
    let good = windows.iter().filter(|w| w.is_ok()).count();
    ensure!(good >= 4, "{good} of {} quarters of a second: {:?}\n{}", windows.len(), windows, agent.log());
    Ok(())
}

#[tokio::test]
async fn opus_and_pcmu_are_transcoded() -> Result<()> {
    check(&[], "PCMU", "opus").await
}

#[tokio::test]
async fn opus_and_pcma_are_transcoded() -> Result<()> {
    check(&[], "PCMA", "opus").await
}

#[tokio::test]
async fn pcmu_is_relayed() -> Result<()> {
    check(&["PCMU"], "PCMU", "PCMU").await
}

#[tokio::test]
async fn chromium_speaks_opus_to_a_phone_with_g722() -> Result<()> {
    check(&[], "G722", "opus").await
}

#[tokio::test]
async fn opus_is_relayed_to_a_phone_with_it() -> Result<()> {
    check(&[], "opus", "opus").await
}

#[tokio::test]
async fn chromium_speaks_pcmu_to_a_phone_with_opus() -> Result<()> {
    check(&["PCMU"], "opus", "PCMU").await
}

#[tokio::test]
async fn chromium_speaks_g722_to_a_phone_with_it() -> Result<()> {
    check(&["G722"], "G722", "G722").await
}
