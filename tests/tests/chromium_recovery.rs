//! A visitor's Chromium changes networks, loses its path, is frozen, mutes: the agent's dialog stays as it is.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use trunkline_media::audio::Codec;
use trunkline_media::audio::tone::detect;
use trunkline_tests::gateway::{CONTROL, Gateway, Plan};
use trunkline_tests::media_phone::MediaPhone;
use trunkline_tests::page::Page;
use trunkline_tests::sipp::Sipp;

const VISITOR: f64 = 700.0;
const AGENT: f64 = 1100.0;

struct Call {
    page: Page,
    phone: MediaPhone,
    sipp: Sipp,
    gateway: Gateway,
    call: String,
}

impl Call {
    async fn begin() -> Result<Self> {
        let page = Page::open(VISITOR).await?;
        let (phone, sipp) = agent().await?;
        let gateway = Gateway::start(Plan::to(&[sipp.address()]).origin(page.origin())).await?;
        let call = page.call(&gateway, &[]).await?;
        page.state("talking").await?;
        let all = Self { page, phone, sipp, gateway, call };
        all.both_hear().await?;
        Ok(all)
    }

    /// Fresh audio, both ways.
    async fn both_hear(&self) -> Result<()> {
        self.phone.forget();
        self.phone.hears(VISITOR, AGENT).await?;
        self.page.hears(AGENT, VISITOR).await
    }

    async fn patches(&self) -> Result<u64> {
        let count = "return requests.filter((r) => r === 'PATCH 200').length";
        self.page.browser().run(count, Value::Null).await?.as_u64().context("no count")
    }

    async fn finish(self) -> Result<()> {
        self.page.browser().run("await call.hangup()", Value::Null).await?;
        let record = self.gateway.ended(&self.call).await?;
        ensure!(record["outcome"]["reason"] == "user_hangup", "{record:#}");
        let trace = self.sipp.finish().await?;
        ensure!(trace.matches("\nINVITE sip:").count() == 1, "one INVITE: {trace}");
        self.page.close().await;
        self.gateway.stop().await;
        Ok(())
    }
}

#[tokio::test]
async fn an_ice_restart_keeps_the_audio() -> Result<()> {
    let call = Call::begin().await?;
    for n in 1..=2 {
        call.page.browser().run("await call.recover('a test asks for it')", Value::Null).await?;
        ensure!(call.patches().await? == n, "restart {n}: {:?}", call.page.browser().console().await);
        call.both_hear().await.with_context(|| format!("restart {n}"))?;
    }
    // The event every browser fires when a network comes up.
    call.page.browser().run("dispatchEvent(new Event('online'))", Value::Null).await?;
    for _ in 0..200 {
        if call.patches().await? == 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    ensure!(call.patches().await? == 3);
    call.both_hear().await?;
    call.finish().await
}

#[tokio::test]
async fn a_new_peer_connection_takes_over_the_call() -> Result<()> {
    let call = Call::begin().await?;
    // The restart gets no answer through: the module falls back to a whole new connection.
    let broken = "const real = window.fetch; window.fetch = (url, init) => init?.method === 'PATCH' ? \
                  Promise.reject(new TypeError('no network')) : real(url, init); await call.recover('a test asks for it')";
    call.page.browser().run(broken, Value::Null).await?;
    call.page.state("talking").await?;
    call.both_hear().await?;
    let record = call.gateway.record(&call.call).await?;
    ensure!(record["state"] == "talking", "{record:#}");
    call.finish().await
}

/// What stands between the module and the gateway fails it as `window.broken` says: `away` lets no request out that would
/// bring audio back, `deaf` lets it out and its answer not in.
const BREAK: &str = "const real = window.fetch; window.fetch = async (url, init) => { \
    const fails = window.broken && (init?.method === 'PATCH' || url.endsWith('/reattach')); \
    if (fails && (window.broken === 'away' || init.method === 'PATCH')) throw new TypeError('no network'); \
    const response = await real(url, init); \
    if (fails) { window.broken = ''; throw new TypeError('no answer'); } \
    return response; }";

#[tokio::test]
async fn a_recovery_that_fails_costs_nothing_and_is_tried_again() -> Result<()> {
    let call = Call::begin().await?;
    let browser = call.page.browser();
    let recover = |broken: &str| format!("window.broken = '{broken}'; await call.recover('a test asks for it')");
    browser.run(BREAK, Value::Null).await?;
    // Nothing gets out: the connection there was is as good as before.
    browser.run(&recover("away"), Value::Null).await?;
    call.both_hear().await.context("after a recovery that reached nobody")?;
    // The gateway has let go of that connection, and the browser never heard of it: nobody but the module can mend this.
    browser.run(&recover("deaf"), Value::Null).await?;
    call.both_hear().await.context("after an answer that was lost")?;
    call.finish().await
}

/// Chromium's stream of events is refused, as by a proxy that is being exchanged, or by a gateway that began anew.
const REFUSE: &str = "const Real = window.EventSource; window.streams = 0; window.refused = true; \
    window.EventSource = class extends Real { constructor(url) { \
        super(window.refused ? `${url}x` : url); window.streams += 1; } }";

#[tokio::test]
async fn a_stream_of_events_that_is_refused_is_asked_for_again() -> Result<()> {
    let page = Page::open(VISITOR).await?;
    let (_phone, sipp) = agent().await?;
    let gateway = Gateway::start(Plan::to(&[sipp.address()]).origin(page.origin())).await?;
    page.browser().run(REFUSE, Value::Null).await?;
    let call = page.call(&gateway, &[]).await?;
    gateway.record_when(&call, "the answer", |record| record["state"] == "talking").await?;
    page.browser().wait_for("window.streams > 1", Duration::from_secs(20)).await?;
    ensure!(page.events().await?.is_empty(), "nothing was heard");
    page.browser().run("window.refused = false", Value::Null).await?;
    page.state("talking").await?;
    let first = page.event("call_started").await?;
    ensure!(first["call"] == call.as_str(), "{first}");
    page.close().await;
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_page_whose_call_nobody_knows_any_more_lets_go_of_the_microphone() -> Result<()> {
    let page = Page::open(VISITOR).await?;
    let (_phone, sipp) = agent().await?;
    let gateway = Gateway::start(Plan::to(&[sipp.address()]).origin(page.origin())).await?;
    page.browser().run(REFUSE, Value::Null).await?;
    // The token is no good to the gateway any more: it has begun anew, with another key.
    let forgotten = "const real = window.fetch; window.fetch = (url, init) => real(url, \
                     init?.method ? init : { ...init, headers: { Authorization: 'Bearer of-another-time' } })";
    page.browser().run(forgotten, Value::Null).await?;
    page.call(&gateway, &[]).await?;
    page.state("error").await?;
    let ended = "return { reason: call.outcome.reason, tracks: call.localStream.getTracks().map((t) => t.readyState) }";
    let ended = page.browser().run(ended, Value::Null).await?;
    ensure!(ended == json!({"reason": "lost", "tracks": ["ended"]}), "{ended}");
    // To hang up what is over is no mistake, nor is it where the gateway cannot be reached.
    page.browser().run("await call.hangup()", Value::Null).await?;
    page.close().await;
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_frozen_browser_comes_back() -> Result<()> {
    let call = Call::begin().await?;
    let pids = family(call.page.browser().driver_pid().context("no driver")?);
    ensure!(pids.len() > 1, "{pids:?}");
    signal("STOP", &pids)?;
    let lost = call.gateway.record_when(&call.call, "the loss", |r| r["state"] == "reconnecting").await;
    signal("CONT", &pids)?;
    lost?;
    call.page.event("call_reconnecting").await?;
    let back = call.page.event("call_reconnected").await?;
    ensure!(back["gap_ms"].as_u64() >= Some(2_000), "{back}");
    call.page.state("talking").await?;
    call.both_hear().await?;
    println!("frozen for {} ms, back by {}", back["gap_ms"], back["cause"]);
    call.finish().await
}

#[tokio::test]
async fn who_mutes_is_not_heard_and_stays_in_the_call() -> Result<()> {
    let call = Call::begin().await?;
    call.page.browser().run("await call.mute(true)", Value::Null).await?;
    silent(&call.phone).await.context("the visitor mutes")?;
    call.page.hears(AGENT, VISITOR).await?;
    call.page.browser().run("await call.mute(false)", Value::Null).await?;
    call.both_hear().await?;
    // The operator can do the same from the other side, and the visitor cannot undo it by talking.
    for (what, silenced) in [("mute", true), ("unmute", false)] {
        let path = format!("/v1/calls/{}/{what}", call.call);
        let (status, _) = call.gateway.operator(Method::POST, &path, CONTROL, Some(json!({"leg": "browser"}))).await?;
        ensure!(status == 204, "{status}");
        if silenced {
            silent(&call.phone).await.context("the operator mutes")?;
        }
    }
    call.both_hear().await?;
    call.finish().await
}

/// A phone that answers every call, and who speaks SIP for it.
async fn agent() -> Result<(MediaPhone, Sipp)> {
    let phone = MediaPhone::start(Codec::Pcmu, AGENT).await?;
    let port = phone.address().port().to_string();
    let keys = [("rtp_port", port), ("codec_pt", "0".into()), ("codec_name", "PCMU".into())];
    Ok((phone, Sipp::start("answer", &keys).await?))
}

/// The phone has not heard the visitor's tone for the last 300 ms.
async fn silent(phone: &MediaPhone) -> Result<()> {
    for _ in 0..200 {
        phone.forget();
        tokio::time::sleep(Duration::from_millis(300)).await;
        if detect(&phone.heard(Duration::from_millis(300)), 8000, VISITOR) < -60.0 {
            return Ok(());
        }
    }
    anyhow::bail!("the visitor is still heard")
}

/// A process and all that descend from it.
fn family(root: u32) -> Vec<u32> {
    let mut pids = vec![root];
    let mut next = 0;
    while let Some(pid) = pids.get(next).copied() {
        next += 1;
        for task in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            pids.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
    }
    pids
}

/// The driver itself goes on: it has to answer us.
fn signal(name: &str, family: &[u32]) -> Result<()> {
    let pids = family[1..].iter().map(u32::to_string);
    let done = std::process::Command::new("kill").arg(format!("-{name}")).args(pids).status()?;
    ensure!(done.success(), "kill -{name}");
    Ok(())
}
