//! What a visitor's Chromium tells of itself: each cause under its own code, and what it measured of the call.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use trunkline_media::audio::Codec;
use trunkline_tests::gateway::{APP, Gateway, Plan, WIDGET_KEY};
use trunkline_tests::media_phone::MediaPhone;
use trunkline_tests::page::Page;
use trunkline_tests::sipp::{Sipp, free_udp_port};

const VISITOR: f64 = 700.0;
const AGENT: f64 = 1100.0;

/// How often a code was reported.
async fn counted(gateway: &Gateway, code: &str) -> Result<f64> {
    let text = gateway.request(Method::GET, &format!("{}/metrics", gateway.control()), "").send().await?.text().await?;
    let label = format!("code=\"{code}\"");
    let line = text.lines().find(|l| l.starts_with("trunkline_client_reports_total{") && l.contains(&label));
    Ok(line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok()).unwrap_or(0.0))
}

/// A call that does not come to be is refused with this code, and the gateway hears of it.
async fn refused(page: &Page, gateway: &Gateway, code: &str) -> Result<()> {
    let client = json!({"url": gateway.public(), "app": APP, "widgetKey": WIDGET_KEY});
    let tried = page.browser().run("return begin({ client: args, codecs: [] })", client).await;
    let error = tried.err().context("the call came to be")?.to_string();
    ensure!(error.contains(&format!("[{code}]")), "{code}: {error}");
    for _ in 0..100 {
        if counted(gateway, code).await? >= 1.0 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    anyhow::bail!("{code} was not reported")
}

#[tokio::test]
async fn each_refusal_of_the_microphone_is_reported() -> Result<()> {
    let page = Page::open(VISITOR).await?;
    let gateway = Gateway::start(Plan::nowhere().origin(page.origin())).await?;
    let browser = page.browser();
    for (name, code) in
        [("NotAllowedError", "mic_denied"), ("NotFoundError", "mic_not_found"), ("NotReadableError", "other")]
    {
        let refuse = "navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('a test', args))";
        browser.run(refuse, json!(name)).await?;
        refused(&page, &gateway, code).await?;
    }
    // What a page without HTTPS finds.
    let bare = "Object.defineProperty(navigator, 'mediaDevices', { value: undefined, configurable: true }); \
                Object.defineProperty(crypto, 'randomUUID', { value: undefined, configurable: true });";
    browser.run(bare, Value::Null).await?;
    refused(&page, &gateway, "insecure_context").await?;
    // A page whose headers withhold the microphone.
    browser.open(&format!("{}/framed", page.origin())).await?;
    browser.wait_for("window.ready", Duration::from_secs(20)).await?;
    refused(&page, &gateway, "mic_policy_blocked").await?;
    page.close().await;
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn what_the_browser_measured_comes_with_every_end() -> Result<()> {
    let page = Page::open(VISITOR).await?;
    let agent = free_udp_port()?;
    let gateway = Gateway::start(Plan::to(&[agent]).origin(page.origin())).await?;
    let phone = MediaPhone::start(Codec::Pcmu, AGENT).await?;
    let port = phone.address().port().to_string();
    let keys = [("rtp_port", port), ("codec_pt", "0".into()), ("codec_name", "PCMU".into()), ("pause", "4000".into())];

    // The agent hangs up: the page hears of it and tells what it knows. Its sound was held back at first.
    let sipp = Sipp::start_at(agent, "answer_bye", &keys).await?;
    let block = "const play = HTMLMediaElement.prototype.play; \
                 HTMLMediaElement.prototype.play = () => Promise.reject(new DOMException('a test', 'NotAllowedError')); \
                 try { await begin(args); } catch (e) { return e.code; } finally { HTMLMediaElement.prototype.play = play; }";
    let client = json!({"url": gateway.public(), "app": APP, "widgetKey": WIDGET_KEY});
    let held = page.browser().run(block, json!({"client": client, "codecs": []})).await?;
    ensure!(held == "autoplay_blocked", "{held}");
    let id = page.browser().run("return call.id", Value::Null).await?;
    let call = id.as_str().context("no call")?;
    let record = gateway.record_when(call, "the summary", |r| r["state"] == "ended" && has_stats(r)).await?;
    ensure!(record["client_reports"][0]["code"] == "autoplay_blocked", "{record:#}");
    ensure!(record["outcome"]["reason"] == "remote_hangup", "{record:#}");
    sipp.finish().await?;

    // The visitor leaves the page.
    let sipp = Sipp::start_at(agent, "answer", &keys).await?;
    let call = page.call(&gateway, &[]).await?;
    page.state("talking").await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    page.browser().open("about:blank").await?;
    let record = gateway.record_when(&call, "the summary", |r| r["state"] == "ended" && has_stats(r)).await?;
    ensure!(record["outcome"]["reason"] == "user_hangup", "{record:#}");
    sipp.finish().await?;
    page.close().await;
    gateway.stop().await;
    Ok(())
}

/// The last report is the browser's own statistics.
fn has_stats(record: &Value) -> bool {
    let last = record["client_reports"].as_array().and_then(|all| all.last()?["detail"].as_str());
    let stats = last.and_then(|detail| serde_json::from_str::<Value>(detail).ok());
    stats.is_some_and(|all| all["stats"]["packets_received"].as_u64() > Some(10) && all["stats"]["protocol"] == "udp")
}

#[tokio::test]
async fn a_blocked_path_is_reported() -> Result<()> {
    let page = Page::open(VISITOR).await?;
    // Somebody who never answers, so that the call waits for its visitor.
    let nobody = tokio::net::UdpSocket::bind("127.0.0.1:0").await?;
    let plan = Plan::to(&[nobody.local_addr()?]).origin(page.origin());
    let gateway = Gateway::start(plan).await?;
    // The browser itself takes half a minute to give up.
    let failing = "const Real = RTCPeerConnection; \
                   window.RTCPeerConnection = class extends Real { \
                       constructor(setup) { super(setup); window.pc = this; } \
                       get iceConnectionState() { return 'failed'; } }; \
                   await begin(args); pc.dispatchEvent(new Event('iceconnectionstatechange'));";
    let client = json!({"url": gateway.public(), "app": APP, "widgetKey": WIDGET_KEY});
    page.browser().run(failing, json!({"client": client, "codecs": []})).await?;
    for _ in 0..100 {
        if counted(&gateway, "ice_failed").await? >= 1.0 {
            page.close().await;
            gateway.stop().await;
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("the browser did not report that ICE failed")
}
