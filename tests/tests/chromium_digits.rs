//! A visitor in a real Chromium presses keys; the trunk takes them by INFO, or as tones.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use trunkline_media::audio::Codec;
use trunkline_tests::gateway::{Gateway, Plan};
use trunkline_tests::media_phone::MediaPhone;
use trunkline_tests::page::Page;
use trunkline_tests::sipp::{Sipp, free_udp_port};

const VISITOR: f64 = 700.0;
const AGENT: f64 = 1100.0;

fn keys(phone: &MediaPhone) -> Vec<(&'static str, String)> {
    let port = phone.address().port().to_string();
    vec![("rtp_port", port), ("codec_pt", "0".into()), ("codec_name", "PCMU".into())]
}

#[tokio::test]
async fn digits_of_a_page_and_of_sipp_go_by_info() -> Result<()> {
    let page = Page::open(VISITOR).await?;
    let agent = free_udp_port()?;
    let gateway = Gateway::start(Plan::to(&[agent]).origin(page.origin())).await?;
    let phone = MediaPhone::start(Codec::Pcmu, AGENT).await?;
    let sipp = Sipp::start_at(agent, "info", &keys(&phone)).await?;
    let call = page.call(&gateway, &["opus"]).await?;
    page.state("talking").await?;
    page.hears(AGENT, VISITOR).await?;
    page.browser().run("return call.dtmf(args)", json!("15")).await?;
    // The API is faster than keys that are held down.
    page.browser()
        .wait_for("events.filter(e => e.name === 'dtmf_received').length === 2", Duration::from_secs(20))
        .await?;
    page.browser().run("return call.dtmf(args, {viaApi: true})", json!("#")).await?;
    let told = "events.filter(e => e.name === 'dtmf_received').map(e => e.data.leg + e.data.digit).sort().join(' ') \
                === 'browser1 browser5 sip* sip7'";
    let waited = page.browser().wait_for(told, Duration::from_secs(20)).await;
    waited.map_err(|error| error.context(sipp.trace()))?;
    let record = gateway.record(&call).await?;
    ensure!(record["findings"].as_array().is_some_and(Vec::is_empty), "{record:#}");
    page.browser().run("await call.hangup()", json!(null)).await?;
    gateway.ended(&call).await?;
    sipp.finish().await?;
    page.close().await;
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn digits_of_a_page_go_as_tones_that_another_decoder_reads() -> Result<()> {
    let page = Page::open(VISITOR).await?;
    let agent = free_udp_port()?;
    let plan = Plan::to(&[agent]).origin(page.origin()).trunk("dtmf = \"inband\"");
    let gateway = Gateway::start(plan).await?;
    let phone = MediaPhone::start(Codec::Pcmu, AGENT).await?;
    let sipp = Sipp::start_at(agent, "answer", &keys(&phone)).await?;
    let call = page.call(&gateway, &["opus"]).await?;
    page.state("talking").await?;
    phone.hears(VISITOR, AGENT).await?;
    phone.forget();
    page.browser().run("return call.dtmf(args)", json!("159D*0#")).await?;
    let mut read = String::new();
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        read = decode(&phone.heard(Duration::from_secs(60))).await?;
        if read == "159D*0#" {
            break;
        }
    }
    ensure!(read == "159D*0#", "it reads {read}");
    ensure!(phone.digits().is_empty(), "and no telephone-event beside them: {}", phone.digits());
    page.browser().run("await call.hangup()", json!(null)).await?;
    gateway.ended(&call).await?;
    sipp.finish().await?;
    page.close().await;
    gateway.stop().await;
    Ok(())
}

/// The digits multimon-ng reads in PCM at 8000 Hz.
async fn decode(pcm: &[i16]) -> Result<String> {
    // Its own rate, by straight lines between the samples: the highest tone of a digit is far below either's limit.
    let length = pcm.len().saturating_sub(1) * 22_050 / 8_000;
    let at = |n: usize| {
        let place = n as f64 * 8_000.0 / 22_050.0;
        let (whole, part) = (place as usize, place.fract());
        (f64::from(pcm[whole]) * (1.0 - part) + f64::from(pcm[whole + 1]) * part) as i16
    };
    let bytes: Vec<u8> = (0..length).flat_map(|n| at(n).to_le_bytes()).collect();
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), bytes)?;
    let mut command = tokio::process::Command::new("multimon-ng");
    command.args(["-q", "-t", "raw", "-a", "DTMF"]).arg(file.path());
    let output = command.output().await.context("multimon-ng is not installed")?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().filter_map(|line| line.strip_prefix("DTMF: ")).map(str::trim).collect())
}
