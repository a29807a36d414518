//! The preflight: offer and answer of a call, no SIP, a verdict.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use reqwest::{Method, Response};
use serde_json::Value;
use trunkline_media::audio::Codec;
use trunkline_tests::gateway::{Gateway, Plan, Session};
use trunkline_tests::web_client::Caller;

use super::{AGENT, VISITOR, problem};

async fn ask(gateway: &Gateway, session: &Session, probe: &str) -> Result<Response> {
    let url = format!("{}/v1/probes/{probe}", gateway.public());
    Ok(gateway.request(Method::GET, &url, &session.token).send().await?)
}

async fn begin(gateway: &Gateway, token: &str, query: &str, offer: &str) -> Result<Response> {
    let request = gateway.request(Method::POST, &format!("{}/v1/probes{query}", gateway.public()), token);
    Ok(request.header("content-type", "application/sdp").body(offer.to_owned()).send().await?)
}

#[tokio::test]
async fn a_probe_echoes_and_tells_its_verdict() -> Result<()> {
    let gateway = Gateway::start(Plan::nowhere()).await?;
    let session = gateway.session().await?;
    let caller = Caller::new(Codec::Pcmu).await?;
    let response = begin(&gateway, &session.token, "?seconds=4", &caller.offer).await?;
    ensure!(response.headers()["location"].to_str()?.starts_with("/v1/probes/probe_"), "{:?}", response.headers());
    ensure!(response.headers()["content-type"] == "application/sdp");
    let visitor = caller.answered(session.clone(), response, VISITOR).await?;
    let probe = visitor.call.clone();
    let early = ask(&gateway, &session, &probe).await?;
    ensure!(early.status() == 202 && early.json::<Value>().await?["state"] == "running");
    visitor.hears(VISITOR, AGENT).await?;

    // Somebody else's and nobody's look alike, and a call's methods do not know it.
    let foreign = gateway.session().await?;
    let theirs = problem(ask(&gateway, &foreign, &probe).await?, 404, "unknown-probe").await?;
    ensure!(problem(ask(&gateway, &session, "probe_x").await?, 404, "unknown-probe").await? == theirs);
    problem(gateway.visitor(&session, Method::DELETE, &probe, "", None).await?, 404, "unknown-call").await?;

    let verdict = verdict(&gateway, &session, &probe).await?;
    ensure!(verdict["udp"] == true && verdict["tcp"].is_null() && verdict["mic"] == "ok", "{verdict:#}");
    ensure!(["green", "amber", "red", "unknown"].iter().any(|level| verdict["level"] == *level), "{verdict:#}");
    for key in ["rtt_ms", "loss", "jitter_ms"] {
        ensure!(verdict.get(key).is_some_and(|value| value.is_number() || value.is_null()), "{verdict:#}");
    }
    ensure!(gateway.metric("trunkline_calls_started_total").await? == 0.0, "a probe is no call");
    ensure!(gateway.metric("trunkline_sip_datagrams_sent_total").await? == 0.0, "and sends no SIP");
    // Its media is gone, and the session still may call.
    for _ in 0..400 {
        if gateway.metric("trunkline_worker_calls").await? == 0.0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    ensure!(gateway.metric("trunkline_worker_calls").await? == 0.0);
    ensure!(gateway.offer(&session, &visitor.offer).await?.status() == 201);
    gateway.stop().await;
    Ok(())
}

async fn verdict(gateway: &Gateway, session: &Session, probe: &str) -> Result<Value> {
    for _ in 0..600 {
        let response = ask(gateway, session, probe).await?;
        match response.status().as_u16() {
            202 => tokio::time::sleep(Duration::from_millis(50)).await,
            200 => return Ok(response.json().await?),
            other => bail!("{other} {}", response.text().await?),
        }
    }
    bail!("no verdict")
}

#[tokio::test]
async fn a_probe_is_refused_like_a_call() -> Result<()> {
    let gateway = Gateway::start(Plan::nowhere()).await?;
    let session = gateway.session().await?;
    let offer = Caller::new(Codec::Pcmu).await?.offer;
    problem(begin(&gateway, "x.y.z", "", &offer).await?, 401, "invalid-token").await?;
    problem(begin(&gateway, &session.token, "", "v=0\r\nnonsense").await?, 400, "invalid-sdp").await?;
    let video = offer.replace("m=audio", "m=video");
    problem(begin(&gateway, &session.token, "", &video).await?, 422, "unsupported-sdp").await?;
    for query in ["?seconds=0", "?seconds=31", "?seconds=x"] {
        problem(begin(&gateway, &session.token, query, &offer).await?, 400, "invalid-request").await?;
    }
    gateway.stop().await;
    Ok(())
}
