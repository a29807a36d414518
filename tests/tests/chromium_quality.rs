//! Bad networks between a real Chromium, the gateway and an agent: the half-leg that is impaired turns, and no other; the
//! finding names it; when it is over, all is green again; and a call cut off in it says why.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use trunkline_media::audio::Codec;
use trunkline_tests::gateway::{Gateway, Plan, READ};
use trunkline_tests::media_phone::MediaPhone;
use trunkline_tests::page::Page;
use trunkline_tests::relay::{Impairment, Relay};
use trunkline_tests::sipp::Sipp;

const VISITOR: f64 = 700.0;
const AGENT: f64 = 1100.0;
const HALF_LEGS: [&str; 4] = ["browser_up", "browser_down", "sip_up", "sip_down"];

/// A visitor and an agent who talk, each behind a network of the test's.
struct Scene {
    page: Page,
    visitor: Relay,
    agent: Relay,
    gateway: Gateway,
    _sipp: Sipp,
    call: String,
    phone: MediaPhone,
}

/// Where a row's impairment goes.
#[derive(Debug, Clone, Copy)]
enum Way {
    FromVisitor,
    ToVisitor,
    BothOfVisitor,
    FromAgent,
}

/// An impairment and what the gateway must say of it.
struct Row {
    way: Way,
    impairment: Impairment,
    half_leg: &'static str,
    levels: &'static [&'static str],
    reason: &'static str,
    finding: &'static str,
    /// Half-legs that share the impairment by nature (a round trip has two ways).
    also: &'static [&'static str],
}

impl Scene {
    async fn talking() -> Result<Self> {
        let page = Page::open(VISITOR).await?;
        let phone = MediaPhone::start(Codec::Pcmu, AGENT).await?;
        let agent = Relay::start(phone.address(), 21).await?;
        let port = agent.address().port().to_string();
        let keys = [("rtp_port", port), ("codec_pt", "0".into()), ("codec_name", "PCMU".into())];
        let sipp = Sipp::start("answer", &keys).await?;
        let plan = Plan::to(&[sipp.address()]).origin(page.origin()).media("grace_seconds = 4");
        let gateway = Gateway::start(plan).await?;
        let media = *gateway.daemon().media_addrs.first().context("no media socket")?;
        let visitor = Relay::start(media, 22).await?;
        let call = page.call_with(&gateway, json!({"codecs": [], "relay": visitor.address().port()})).await?;
        page.state("talking").await?;
        let all = Self { page, visitor, agent, gateway, _sipp: sipp, call, phone };
        all.all_is_well().await?;
        Ok(all)
    }

    fn set(&self, way: Way, impairment: Impairment) {
        match way {
            Way::FromVisitor => self.visitor.up(impairment),
            Way::ToVisitor => self.visitor.down(impairment),
            Way::BothOfVisitor => self.visitor.both(impairment),
            // Seen from the gateway, the agent is the relay's target.
            Way::FromAgent => self.agent.down(impairment),
        }
    }

    async fn record_when(&self, what: &str, good: impl Fn(&Value) -> bool) -> Result<Value> {
        // A browser reports every five seconds or so; getting better takes five good seconds more a step, and twenty for
        // whoever got worse again on the way (a queue that empties is jitter first and loss then).
        let mut last = Value::Null;
        for _ in 0..700 {
            last = self.gateway.record(&self.call).await?;
            if good(&last) {
                return Ok(last);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::bail!("{what} did not come: {:#} {:#}", last["quality"], last["findings"])
    }

    /// What is known is green, and what the visitor's browser and both ups say is known.
    async fn all_is_well(&self) -> Result<()> {
        let well = |record: &Value| {
            let known = |leg: &str| record["quality"][leg]["level"] == "green";
            let bad = |leg: &&str| matches!(record["quality"][leg]["level"].as_str(), Some("amber" | "red"));
            known("browser_up") && known("browser_down") && known("sip_up") && !HALF_LEGS.iter().any(bad)
        };
        self.record_when("all green", well).await.map(drop)
    }

    async fn check(&self, row: &Row) -> Result<()> {
        self.set(row.way, row.impairment);
        let turned = |record: &Value| {
            let half_leg = &record["quality"][row.half_leg];
            let reasons = half_leg["reasons"].as_array().cloned().unwrap_or_default();
            let found = |finding: &Value| {
                finding["finding"] == row.finding && finding["half_leg"] == row.half_leg && finding["until"].is_null()
            };
            row.levels.iter().any(|level| half_leg["level"] == *level)
                && reasons.iter().any(|reason| reason == row.reason)
                && record["findings"].as_array().is_some_and(|all| all.iter().any(found))
        };
        let record = self.record_when(row.finding, turned).await.with_context(|| format!("{:?}", row.impairment))?;
        for other in HALF_LEGS.iter().filter(|leg| **leg != row.half_leg && !row.also.contains(leg)) {
            let level = &record["quality"][*other]["level"];
            ensure!(level == "green" || level == "unknown", "{other} is {level}: {:#}", record["quality"]);
        }
        self.set(row.way, Impairment::default());
        self.all_is_well().await.with_context(|| format!("after {:?}", row.impairment))
    }

    async fn finish(self) -> Result<()> {
        self.page.close().await;
        self.gateway.stop().await;
        Ok(())
    }
}

fn late(delay_ms: u64) -> Impairment {
    Impairment { delay_ms, ..Impairment::default() }
}

#[tokio::test]
async fn the_visitors_network_is_told_from_the_agents() -> Result<()> {
    let scene = Scene::talking().await?;
    let rows = [
        Row {
            way: Way::FromVisitor,
            impairment: Impairment::loss(0.15),
            half_leg: "browser_up",
            levels: &["red"],
            reason: "loss",
            finding: "uplink_loss",
            also: &[],
        },
        Row {
            way: Way::ToVisitor,
            impairment: Impairment::loss(0.15),
            half_leg: "browser_down",
            levels: &["amber", "red"],
            reason: "loss",
            finding: "downlink_loss",
            also: &[],
        },
        Row {
            way: Way::BothOfVisitor,
            impairment: late(130),
            half_leg: "browser_up",
            levels: &["amber"],
            reason: "rtt",
            finding: "high_rtt",
            also: &["browser_down"],
        },
    ];
    for row in &rows {
        scene.check(row).await?;
    }
    scene.finish().await
}

// A half-leg that gets worse again soon after it got better takes its time: each of these has a call of its own.

#[tokio::test]
async fn the_agents_loss_is_told_from_the_visitors() -> Result<()> {
    let scene = Scene::talking().await?;
    let row = Row {
        way: Way::FromAgent,
        impairment: Impairment::bursts(0.1, 4.0),
        half_leg: "sip_up",
        levels: &["amber", "red"],
        reason: "loss",
        finding: "sip_loss",
        also: &[],
    };
    scene.check(&row).await?;
    scene.finish().await
}

#[tokio::test]
async fn the_agents_jitter_is_told_from_the_visitors() -> Result<()> {
    let scene = Scene::talking().await?;
    // Nothing overtakes anything here, so that of all this no more than 31 ms are jitter (RFC 3550), on average.
    let row = Row {
        way: Way::FromAgent,
        impairment: Impairment { jitter_ms: 600, ..Impairment::default() },
        half_leg: "sip_up",
        levels: &["amber", "red"],
        reason: "jitter",
        finding: "sip_jitter",
        also: &[],
    };
    scene.check(&row).await?;
    scene.finish().await
}

#[tokio::test]
async fn a_router_that_forgets_its_visitor_costs_no_call() -> Result<()> {
    let scene = Scene::talking().await?;
    scene.visitor.rebind().await?;
    scene.phone.forget();
    scene.phone.hears(VISITOR, AGENT).await?;
    scene.page.hears(AGENT, VISITOR).await?;
    scene.all_is_well().await?;
    scene.finish().await
}

#[tokio::test]
async fn a_call_cut_off_by_a_poor_network_says_so() -> Result<()> {
    let scene = Scene::talking().await?;
    // No way to mend it: who restarts ICE on the way down has moved, and moved is what the end would be for.
    scene.page.browser().run("window.fetch = () => new Promise(() => {})", Value::Null).await?;
    // Too poor to be heard for a while, and then gone.
    scene.visitor.both(Impairment::loss(0.3));
    scene.record_when("a red uplink", |record| record["quality"]["browser_up"]["level"] == "red").await?;
    tokio::time::sleep(Duration::from_secs(7)).await;
    scene.visitor.both(Impairment::blackout());
    let record = scene.gateway.ended(&scene.call).await?;
    let outcome = &record["outcome"];
    ensure!(outcome["reason"] == "network_poor", "{outcome:#}");
    ensure!(outcome["blame"] == "visitor_network" && outcome["quality_at_end"]["level"] == "red", "{outcome:#}");
    let (status, bundle) =
        scene.gateway.operator(reqwest::Method::GET, &format!("/v1/calls/{}/bundle", scene.call), READ, None).await?;
    ensure!(status == 200 && bundle["outcome"]["reason"] == "network_poor", "{bundle:#}");
    let timeline = bundle["timeline"].as_array().map_or(0, Vec::len);
    ensure!(timeline > 5 && bundle["sip_ladder"].as_array().is_some_and(|rows| !rows.is_empty()), "{bundle:#}");
    scene.finish().await
}
