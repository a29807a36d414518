//! A visitor in a real Chromium, an agent behind SIPp: who hears whom, digits both ways, and who hangs up.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use trunkline_media::audio::Codec;
use trunkline_media::audio::sweep::{Heard, Sweep};
use trunkline_tests::gateway::{Gateway, Plan, until};
use trunkline_tests::media_phone::MediaPhone;
use trunkline_tests::page::{Page, RATE};
use trunkline_tests::sipp::{Sipp, free_udp_port};

const VISITOR: f64 = 700.0;
const AGENT: f64 = 1100.0;

fn keys(phone: &MediaPhone, codec: Codec) -> Vec<(&'static str, String)> {
    let (number, name) = if codec == Codec::Pcma { ("8", "PCMA") } else { ("0", "PCMU") };
    let port = phone.address().port().to_string();
    vec![("rtp_port", port), ("codec_pt", number.into()), ("codec_name", name.into())]
}

/// Which codec the page puts first, which one the trunk speaks, and what both legs must end up with.
struct Pairing {
    first: &'static [&'static str],
    trunk: Codec,
    browser_codec: &'static str,
}

async fn check(pairing: Pairing) -> Result<()> {
    let page = Page::open(VISITOR).await?;
    let agent = free_udp_port()?;
    let name = pairing.trunk.name();
    let all = "browser_codecs = [\"opus\", \"G722\", \"PCMU\", \"PCMA\"]";
    let gateway = Gateway::start(Plan::to(&[agent]).codecs(&[name]).media(all).origin(page.origin())).await?;

    let phone = MediaPhone::start(pairing.trunk, AGENT).await?;
    let sipp = Sipp::start_at(agent, "answer", &keys(&phone, pairing.trunk)).await?;
    let call = page.call(&gateway, pairing.first).await?;
    page.state("talking").await?;
    page.hears(AGENT, VISITOR).await?;
    phone.hears(VISITOR, AGENT).await?;
    let stats = page.stats().await?;
    ensure!(stats["sendCodec"].as_str().is_some_and(|c| c.eq_ignore_ascii_case(pairing.browser_codec)), "{stats}");
    digits(&page, &phone).await?;
    let talking = gateway.record(&call).await?;
    ensure!(talking["state"] == "talking" && talking["browser"]["path"] == "udp", "{talking:#}");
    ensure!(talking["browser"]["codec"].as_str().is_some_and(|c| c.eq_ignore_ascii_case(pairing.browser_codec)));
    ensure!(talking["sip"]["codec"] == name && talking["sip"]["trunk"] == "t0", "{talking:#}");
    for when in [
        "ice_connected_at",
        "dtls_connected_at",
        "ringing_at",
        "answered_at",
        "first_audio_up_at",
        "first_audio_down_at",
    ] {
        ensure!(talking["timings"][when].is_string(), "{when}: {talking:#}");
    }
    visitor_hangs_up(&page, &gateway, &call, sipp).await?;
    agent_hangs_up(&page, &gateway, agent, &pairing).await?;
    let measured = round_trip(&page, &gateway, agent, &pairing).await?;
    println!(
        "{} <-> {name}: ICE round trip {} ms, mouth to ear and back {measured}",
        pairing.browser_codec, stats["rttMs"]
    );
    page.close().await;
    gateway.stop().await;
    Ok(())
}

/// Digit by digit: from the browser's own sender, through the API, and from the phone to the page.
async fn digits(page: &Page, phone: &MediaPhone) -> Result<()> {
    page.browser().run("return call.dtmf(args)", json!("159D*0#")).await?;
    until("the browser's digits", Duration::from_secs(15), || phone.digits() == "159D*0#")
        .await
        .map_err(|e| e.context(phone.digits()))?;
    page.browser().run("return call.dtmf(args, {viaApi: true})", json!("42A")).await?;
    until("the API's digits", Duration::from_secs(10), || phone.digits() == "159D*0#42A")
        .await
        .map_err(|e| e.context(phone.digits()))?;
    phone.send_digits("73*#");
    page.browser()
        .wait_for(
            "events.filter(e => e.name === 'dtmf_received' && e.data.leg === 'sip').map(e => e.data.digit).join('') === '73*#'",
            Duration::from_secs(10),
        )
        .await?;
    let browser =
        "events.filter(e => e.name === 'dtmf_received' && e.data.leg === 'browser').map(e => e.data.digit).join('')";
    let told = page.browser().run(&format!("return {browser}"), Value::Null).await?;
    ensure!(told == "159D*0#", "{told}");
    Ok(())
}

async fn visitor_hangs_up(page: &Page, gateway: &Gateway, call: &str, sipp: Sipp) -> Result<()> {
    page.browser().run("await call.hangup()", Value::Null).await?;
    let record = gateway.ended(call).await?;
    let outcome = &record["outcome"];
    ensure!(outcome["class"] == "ended" && outcome["reason"] == "user_hangup", "{record:#}");
    ensure!(outcome["phase"] == "talking" && outcome["blame"] == "none", "{record:#}");
    let trace = sipp.finish().await?;
    ensure!(bye_of(&trace).contains("Reason: Q.850;cause=16"), "{trace}");
    let node = gateway.metric("trunkline_calls_total").await?;
    ensure!(node >= 1.0, "{node}");
    Ok(())
}

async fn agent_hangs_up(page: &Page, gateway: &Gateway, agent: std::net::SocketAddr, pairing: &Pairing) -> Result<()> {
    let phone = MediaPhone::start(pairing.trunk, AGENT).await?;
    let mut keys = keys(&phone, pairing.trunk);
    keys.push(("pause", "1500".into()));
    let sipp = Sipp::start_at(agent, "answer_bye", &keys).await?;
    let call = page.call(gateway, pairing.first).await?;
    page.state("ended").await?;
    let told = page.event("call_ended").await?;
    ensure!(told["reason"] == "remote_hangup" && told["detail"] == "bye", "{told}");
    ensure!(told["context"]["plan"] == "gold" && told["talk_seconds"].as_f64() > Some(1.0), "{told}");
    let record = gateway.ended(&call).await?;
    ensure!(record["outcome"]["reason"] == "remote_hangup", "{record:#}");
    ensure!(record["outcome"]["evidence"]["received_reason"]["cause"] == 16, "{record:#}");
    let events = page.events().await?;
    let aside = ["network_quality_changed", "issue_detected", "issue_cleared"];
    let names: Vec<_> = events.iter().filter_map(|e| e["name"].as_str()).filter(|name| !aside.contains(name)).collect();
    ensure!(names == ["call_started", "call_ringing", "call_answered", "call_ended"], "{names:?}");
    ensure!(events.iter().zip(1..).all(|(e, seq)| e["seq"] == seq), "{events:?}");
    sipp.finish().await?;
    Ok(())
}

/// Mouth to ear and back, over a phone that returns each packet: the median of some tries. Then a sweep, as it is heard there
/// and here.
async fn round_trip(page: &Page, gateway: &Gateway, agent: std::net::SocketAddr, pairing: &Pairing) -> Result<String> {
    let phone = MediaPhone::echo(pairing.trunk).await?;
    let sipp = Sipp::start_at(agent, "answer", &keys(&phone, pairing.trunk)).await?;
    page.call_with(gateway, json!({"codecs": pairing.first, "switched": VISITOR})).await?;
    page.state("talking").await?;
    let tries = "const all = []; for (let i = 0; i < 5; i++) { await new Promise(r => setTimeout(r, 600)); all.push(await roundTrip()); } return all";
    let tries = page.browser().run(tries, Value::Null).await?;
    let mut tries: Vec<f64> = tries.as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    tries.sort_by(f64::total_cmp);
    ensure!(tries.len() >= 4, "the echo does not come back: {tries:?}");
    let median = tries[tries.len() / 2];
    ensure!(median < 1000.0, "{tries:?}");
    let sweep = Sweep { from_hz: 200.0, to_hz: 3_500.0, seconds: 4.0 };
    page.tape(Duration::from_secs(7)).await?;
    let words = json!({"from": sweep.from_hz, "to": sweep.to_hz, "seconds": sweep.seconds});
    page.browser().run("sweep(args)", words).await?;
    let back = page.taped().await?;
    swept("there", &sweep.hear(&phone.heard(Duration::from_secs(10)), 8_000))?;
    swept("and back", &sweep.hear(&back, RATE))?;
    page.browser().run("await call.hangup()", Value::Null).await?;
    sipp.finish().await?;
    Ok(format!("{median:.0} ms (all: {})", tries.iter().map(|ms| format!("{ms:.0}")).collect::<Vec<_>>().join(", ")))
}

/// Nearly all of a sweep was heard at its pitch and level: buffers may have put right their delay in the middle of it.
fn swept(who: &str, heard: &[Heard]) -> Result<()> {
    let band: Vec<_> = heard.iter().filter(|piece| (250.0..3_200.0).contains(&piece.due_hz)).collect();
    let is_good = |piece: &Heard| {
        (piece.hz / piece.due_hz - 1.0).abs() < 0.1 && (-6.0..3.0).contains(&piece.gain) && piece.more < 3.0
    };
    let bad: Vec<_> = band.iter().filter(|piece| !is_good(piece)).collect();
    ensure!(band.len() > 170 && bad.len() * 20 < band.len(), "{who}: {} of {}: {bad:?}", bad.len(), band.len());
    Ok(())
}

fn bye_of(trace: &str) -> &str {
    let start = trace.find("\nBYE sip:").unwrap_or(trace.len());
    let rest = &trace[start..];
    &rest[..rest.find("\n\n").or_else(|| rest.find("\r\n\r\n")).unwrap_or(rest.len())]
}

#[tokio::test]
async fn opus_and_pcmu_are_transcoded() -> Result<()> {
    check(Pairing { first: &[], trunk: Codec::Pcmu, browser_codec: "opus" }).await
}

#[tokio::test]
async fn opus_and_pcma_are_transcoded() -> Result<()> {
    check(Pairing { first: &[], trunk: Codec::Pcma, browser_codec: "opus" }).await
}

#[tokio::test]
async fn pcmu_is_relayed() -> Result<()> {
    check(Pairing { first: &["PCMU"], trunk: Codec::Pcmu, browser_codec: "PCMU" }).await
}

#[tokio::test]
async fn chromium_speaks_g722_to_a_trunk_with_pcmu() -> Result<()> {
    check(Pairing { first: &["G722"], trunk: Codec::Pcmu, browser_codec: "G722" }).await
}

#[tokio::test]
async fn chromium_speaks_pcma_to_a_trunk_with_it() -> Result<()> {
    check(Pairing { first: &["PCMA"], trunk: Codec::Pcma, browser_codec: "PCMA" }).await
}
