//! A visitor's Chromium on a machine of its own: real addresses, a firewall that swallows UDP, a change of networks.
//! Where no namespace can be made (it takes root), these tests say so and pass.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;
use trunkline_media::audio::Codec;
use trunkline_tests::gateway::{Gateway, Plan};
use trunkline_tests::media_phone::MediaPhone;
use trunkline_tests::namespace::Namespace;
use trunkline_tests::page::Page;
use trunkline_tests::sipp::Sipp;

const VISITOR: f64 = 700.0;
const AGENT: f64 = 1100.0;
/// The tests wait for these.
const LIMITS: &str = "setup_seconds = 5\ngrace_seconds = 8";

struct Elsewhere {
    machine: Namespace,
    page: Page,
    phone: MediaPhone,
    sipp: Sipp,
    gateway: Gateway,
}

impl Elsewhere {
    /// A visitor's machine, an agent, a gateway between; `None` where that cannot be.
    async fn begin(scenario: &str) -> Result<Option<Self>> {
        Self::begin_at(scenario, |_| String::new()).await
    }

    /// The same where browsers may come over TCP.
    async fn begin_over_tcp(scenario: &str) -> Result<Option<Self>> {
        Self::begin_at(scenario, |outside| format!("\ntcp_listen = \"{outside}:0\"")).await
    }

    async fn begin_at(scenario: &str, media: impl Fn(Ipv4Addr) -> String) -> Result<Option<Self>> {
        Self::begin_with(scenario, |outside| format!("{LIMITS}{}", media(outside))).await
    }

    async fn begin_with(scenario: &str, media: impl Fn(Ipv4Addr) -> String) -> Result<Option<Self>> {
        let Some(machine) = Namespace::new()? else {
            println!("no network namespace can be made here: nothing is tested");
            return Ok(None);
        };
        let page = Page::open_on(Some(&machine), VISITOR).await?;
        let phone = MediaPhone::start(Codec::Pcmu, AGENT).await?;
        let port = phone.address().port().to_string();
        let keys = [("rtp_port", port), ("codec_pt", "0".into()), ("codec_name", "PCMU".into())];
        let sipp = Sipp::start(scenario, &keys).await?;
        let plan = Plan::to(&[sipp.address()]).origin(page.origin()).host(machine.outside());
        let plan = plan.media(&media(machine.outside()));
        let gateway = Gateway::start(plan).await?;
        Ok(Some(Self { machine, page, phone, sipp, gateway }))
    }

    async fn talking(&self) -> Result<String> {
        let call = self.page.call(&self.gateway, &[]).await?;
        self.page.state("talking").await?;
        self.both_hear().await?;
        Ok(call)
    }

    async fn both_hear(&self) -> Result<()> {
        self.phone.forget();
        self.phone.hears(VISITOR, AGENT).await?;
        self.page.hears(AGENT, VISITOR).await
    }

    async fn finish(self) -> Result<()> {
        self.page.close().await;
        self.gateway.stop().await;
        drop(self.sipp);
        Ok(())
    }
}

#[tokio::test]
async fn a_network_that_swallows_udp_is_named() -> Result<()> {
    let Some(all) = Elsewhere::begin("answer").await? else { return Ok(()) };
    all.machine.swallow_udp(true)?;
    let call = all.page.call(&all.gateway, &[]).await?;
    let record = all.gateway.ended(&call).await?;
    let outcome = &record["outcome"];
    ensure!(outcome["reason"] == "ice_failed" && outcome["detail"] == "udp_blocked", "{record:#}");
    ensure!(outcome["blame"] == "visitor_network", "{record:#}");
    let evidence = &outcome["evidence"];
    ensure!(evidence["candidates"].as_u64() > Some(0) && evidence["checks_udp"] == 0, "{evidence:#}");
    let findings = record["findings"].as_array().cloned().unwrap_or_default();
    ensure!(findings.iter().any(|finding| finding["finding"] == "udp_blocked"), "{record:#}");
    all.page.state("error").await?;
    all.finish().await
}

#[tokio::test]
async fn a_firewall_in_the_middle_of_a_call_is_survived_for_the_grace_and_told_after_it() -> Result<()> {
    let Some(all) = Elsewhere::begin("answer").await? else { return Ok(()) };
    let call = all.talking().await?;
    all.machine.swallow_udp(true)?;
    all.page.event("call_reconnecting").await?;
    all.machine.swallow_udp(false)?;
    let back = all.page.event("call_reconnected").await?;
    ensure!(back["gap_ms"].as_u64() > Some(2_000), "{back:#}");
    all.both_hear().await?;

    all.machine.swallow_udp(true)?;
    let record = all.gateway.ended(&call).await?;
    let outcome = &record["outcome"];
    // The page has tried to restart ICE: as far as the gateway can see, the visitor is between two networks.
    ensure!(outcome["reason"] == "ip_change" && outcome["blame"] == "visitor_network", "{record:#}");
    ensure!(outcome["evidence"]["last_stun_check_age_ms"].as_u64() > Some(5_000), "{outcome:#}");
    ensure!(outcome["quality_at_end"]["level"] != Value::Null, "{outcome:#}");
    all.finish().await
}

/// Until both hear each other again, for some seconds.
async fn heard_again(all: &Elsewhere) -> Result<()> {
    let mut heard = Ok(());
    for _ in 0..20 {
        heard = all.both_hear().await;
        if heard.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    heard
}

#[tokio::test]
async fn a_network_that_swallows_udp_is_got_through_over_tcp() -> Result<()> {
    let Some(all) = Elsewhere::begin_over_tcp("answer").await? else { return Ok(()) };
    all.machine.swallow_udp(true)?;
    let call = all.talking().await?;
    let record = all.gateway.record(&call).await?;
    ensure!(record["browser"]["path"] == "tcp", "{record:#}");
    let findings = record["findings"].as_array().cloned().unwrap_or_default();
    ensure!(findings.iter().any(|finding| finding["finding"] == "tcp_fallback"), "{record:#}");
    all.page.browser().run("await call.hangup()", Value::Null).await?;
    let record = all.gateway.ended(&call).await?;
    ensure!(record["outcome"]["reason"] == "user_hangup", "{record:#}");
    all.finish().await
}

#[tokio::test]
async fn udp_that_dies_in_the_middle_of_a_call_goes_over_to_tcp() -> Result<()> {
    let listens = |outside: Ipv4Addr| format!("grace_seconds = 60\ntcp_listen = \"{outside}:0\"");
    let Some(all) = Elsewhere::begin_with("answer", listens).await? else { return Ok(()) };
    let call = all.talking().await?;
    ensure!(all.gateway.record(&call).await?["browser"]["path"] == "udp");
    all.machine.swallow_udp(true)?;
    // The browser takes its time before it gives a path up.
    let mut record = Value::Null;
    for _ in 0..240 {
        record = all.gateway.record(&call).await?;
        if record["browser"]["path"] == "tcp" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    ensure!(record["browser"]["path"] == "tcp" && record["outcome"] == Value::Null, "{record:#}");
    heard_again(&all).await?;
    let fallback = |record: &Value| {
        let findings = record["findings"].as_array().cloned().unwrap_or_default();
        findings.iter().any(|finding| finding["finding"] == "tcp_fallback")
    };
    all.gateway.record_when(&call, "the finding", fallback).await?;
    ensure!(all.sipp.trace().matches("\nBYE ").count() == 0, "the agent noticed nothing");

    // UDP comes back, and the call goes on over whatever the browser likes.
    all.machine.swallow_udp(false)?;
    all.both_hear().await?;
    all.page.browser().run("await call.hangup()", Value::Null).await?;
    let record = all.gateway.ended(&call).await?;
    ensure!(record["outcome"]["reason"] == "user_hangup", "{record:#}");
    all.finish().await
}

#[tokio::test]
async fn another_address_keeps_the_call() -> Result<()> {
    let Some(all) = Elsewhere::begin("answer").await? else { return Ok(()) };
    let call = all.talking().await?;
    all.machine.change_address()?;
    heard_again(&all).await?;
    let record = all.gateway.record(&call).await?;
    ensure!(record["state"] == "talking", "{record:#}");
    all.page.browser().run("await call.hangup()", Value::Null).await?;
    let record = all.gateway.ended(&call).await?;
    ensure!(record["outcome"]["reason"] == "user_hangup", "{record:#}");
    all.finish().await
}
