//! Elastic audio in a real Chromium: it hears the agent in the trunk's codec, in Opus once its network loses packets, in the
//! trunk's codec again when that is over, and no hole at either change.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::json;
use trunkline_media::audio::Codec;
use trunkline_media::audio::tone::detect;
use trunkline_tests::gateway::{Gateway, Plan, READ};
use trunkline_tests::media_phone::MediaPhone;
use trunkline_tests::page::{Page, RATE};
use trunkline_tests::relay::{Impairment, Relay};
use trunkline_tests::sipp::Sipp;

const VISITOR: f64 = 700.0;
const AGENT: f64 = 1100.0;

/// A tone that is missing for longer than this is a hole; Chromium's own concealment is as good as the tone.
const HOLE: Duration = Duration::from_millis(80);

async fn hears_in(page: &Page, codec: &str) -> Result<()> {
    // A browser reports every few seconds; calm lasts twenty.
    for _ in 0..600 {
        let stats = page.stats().await?;
        let now = stats["receiveCodec"].as_str().unwrap_or_default();
        // Said twice (RFC 2198), Opus comes under the other name.
        if now.eq_ignore_ascii_case(codec) || codec == "opus" && now.eq_ignore_ascii_case("red") {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("never in {codec}: {:?}", page.stats().await?)
}

/// The longest time without the agent's tone.
fn longest_hole(pcm: &[i16]) -> Duration {
    let step = RATE as usize / 100;
    let (mut longest, mut now) = (0, 0);
    for part in pcm.chunks_exact(step) {
        now = if detect(part, RATE, AGENT) < -35.0 { now + 1 } else { 0 };
        longest = longest.max(now);
    }
    Duration::from_millis(10 * longest)
}

/// Records while the codec changes, and some seconds more.
async fn changes_without_a_hole(page: &Page, codec: &str, within: Duration) -> Result<()> {
    page.tape(within).await?;
    hears_in(page, codec).await?;
    let pcm = page.taped().await?;
    let seconds = pcm.len() / RATE as usize;
    ensure!(seconds >= 2, "only {seconds} s were recorded");
    let hole = longest_hole(&pcm);
    println!("to {codec}: {seconds} s recorded, the longest hole in the tone was {hole:?}");
    ensure!(hole <= HOLE, "{hole:?} without the tone on the way to {codec}");
    Ok(())
}

#[tokio::test]
async fn chromium_hears_its_codec_follow_its_network_without_a_hole() -> Result<()> {
    let page = Page::open(VISITOR).await?;
    let phone = MediaPhone::start(Codec::Pcmu, AGENT).await?;
    let port = phone.address().port().to_string();
    let keys = [("rtp_port", port), ("codec_pt", "0".into()), ("codec_name", "PCMU".into())];
    let sipp = Sipp::start("answer", &keys).await?;
    let gateway = Gateway::start(Plan::to(&[sipp.address()]).origin(page.origin()).elastic()).await?;
    let media = *gateway.daemon().media_addrs.first().context("no media socket")?;
    let visitor = Relay::start(media, 23).await?;
    let call = page.call_with(&gateway, json!({"codecs": [], "relay": visitor.address().port()})).await?;
    page.state("talking").await?;
    page.hears(AGENT, VISITOR).await?;
    phone.hears(VISITOR, AGENT).await?;
    hears_in(&page, "PCMU").await?;
    let stats = page.stats().await?;
    ensure!(stats["sendCodec"] == "opus", "what it says is Opus all along: {stats}");

    visitor.down(Impairment::loss(0.04));
    changes_without_a_hole(&page, "opus", Duration::from_secs(15)).await?;
    visitor.down(Impairment::default());
    page.hears(AGENT, VISITOR).await?;
    changes_without_a_hole(&page, "PCMU", Duration::from_secs(45)).await?;
    page.hears(AGENT, VISITOR).await?;

    let switches = gateway.metric("trunkline_codec_switches_total").await?;
    let path = format!("/v1/calls/{call}/bundle");
    let (status, bundle) = gateway.operator(Method::GET, &path, READ, None).await?;
    let entries = bundle["timeline"].as_array().cloned().unwrap_or_default();
    let to: Vec<_> =
        entries.iter().filter(|entry| entry["what"] == "codec_switched").map(|e| &e["detail"]["to"]).collect();
    ensure!(status == 200 && to == ["opus", "PCMU"] && switches == 2.0, "{switches} counted, told: {entries:#?}");
    page.close().await;
    gateway.stop().await;
    Ok(())
}
