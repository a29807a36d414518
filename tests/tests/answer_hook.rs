//! The answer hook against a real server that the test scripts: what it is asked, what its actions do, and that none of
//! its misdeeds costs a call more than its fallback.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use anyhow::{Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use trunkline_media::audio::Codec;
use trunkline_tests::gateway::{CONTROL, Gateway, Plan};
use trunkline_tests::hook_server::{HookServer, Reply};
use trunkline_tests::media_phone::MediaPhone;
use trunkline_tests::page::write_tone;
use trunkline_tests::sipp::{Sipp, free_udp_port};
use trunkline_tests::web_client::{Caller, WebClient};

const VISITOR: f64 = 700.0;
const AGENT: f64 = 1100.0;
const PROMPT: f64 = 500.0;
const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// The app's lines for a hook here, and a fallback if there is one.
fn asks(hook: &HookServer, fallback: Option<&HookServer>, more: &str) -> String {
    let fallback =
        fallback.map_or(String::new(), |hook| format!("answer_fallback_url = \"{}\"\n", hook.url("/fallback")));
    let url = hook.url("/answer?key=sesame");
    format!("answer_url = \"{url}\"\n{fallback}answer_secret = \"{SECRET}\"\nanswer_allow_insecure = true\n{more}")
}

/// A folder with a prompt `tone`.
fn prompts(seconds: u32) -> Result<(TempDir, String)> {
    let dir = tempfile::tempdir()?;
    std::fs::create_dir(dir.path().join("en"))?;
    write_tone(&dir.path().join("en/tone.wav"), PROMPT, 22_050, seconds)?;
    let line = format!("prompts_dir = {:?}", dir.path());
    Ok((dir, line))
}

fn keys(phone: &MediaPhone) -> Vec<(&'static str, String)> {
    let port = phone.address().port().to_string();
    vec![("rtp_port", port), ("codec_pt", "0".into()), ("codec_name", "PCMU".into())]
}

/// Posts an offer and returns the call, whose media nobody sets up.
async fn dial(gateway: &Gateway) -> Result<String> {
    let caller = Caller::new(Codec::Pcmu).await?;
    let session = gateway.session().await?;
    let response = gateway.offer(&session, &caller.offer).await?;
    ensure!(response.status() == 201, "{}", response.text().await?);
    let location = response.headers()["location"].to_str()?.to_owned();
    Ok(location.rsplit('/').next().unwrap_or_default().to_owned())
}

fn tries(record: &Value) -> Vec<String> {
    let tries = record["outcome"]["evidence"]["answer_hook"]["tries"].as_array().cloned().unwrap_or_default();
    tries.iter().map(|t| format!("{} {}", t["hook"].as_str().unwrap(), t["result"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn the_hook_is_asked_and_what_it_says_is_done() -> Result<()> {
    let phone = MediaPhone::start(Codec::Pcmu, AGENT).await?;
    let agent = Sipp::start("answer", &keys(&phone)).await?;
    let hook = HookServer::start(Reply::Json(json!({"actions": [
        {"action": "play", "prompt": "tone", "mix": true},
        {"action": "connect", "destinations": ["sip:sales@t1"], "headers": {"X-Case": "42"}, "max_duration_seconds": 600},
    ]})))
    .await?;
    let (_dir, media) = prompts(3)?;
    let plan = Plan::to(&[free_udp_port()?, agent.address()]).dialling(1).relay().media(&media);
    let gateway = Gateway::start(plan.app(&asks(&hook, None, ""))).await?;
    let visitor = WebClient::call(&gateway, Codec::Pcmu, VISITOR).await?;
    visitor.hears(PROMPT, AGENT).await?;
    visitor.forget();
    visitor.hears(AGENT, PROMPT).await?;
    phone.hears(VISITOR, AGENT).await?;
    gateway.visitor(&visitor.session, Method::DELETE, &visitor.call, "", None).await?;
    let record = gateway.ended(&visitor.call).await?;
    ensure!(record["sip"]["destination"] == "sip:sales@t1", "{record:#}");
    let hooked = &record["outcome"]["evidence"]["answer_hook"];
    ensure!(hooked["result"] == "answered" && hooked["actions"] == json!(["play", "connect"]), "{record:#}");
    let trace = agent.finish().await?;
    ensure!(trace.contains("X-Case: 42\r\n") && trace.contains("X-C2C-plan: gold\r\n"), "{trace}");

    // One question, and it is signed.
    let received = hook.received();
    ensure!(
        received.len() == 1 && received[0].head.starts_with("POST /answer?key=sesame HTTP/1.1\r\n"),
        "{received:?}"
    );
    let body: Value = serde_json::from_slice(&received[0].body)?;
    let expected = json!({
        "call": visitor.call, "session": visitor.session.id, "app": "acme", "profile": "main", "lang": "en",
        "context": {"plan": "gold"}, "form": {},
    });
    ensure!(body == expected, "{body:#}");
    ensure!(received[0].header("content-type") == Some("application/json"), "{received:?}");
    ensure!(received[0].header("webhook-id") == Some(visitor.call.as_str()), "{received:?}");
    ensure!(received[0].header("webhook-timestamp").is_some_and(|t| t.parse::<u64>().is_ok()), "{received:?}");
    ensure!(received[0].header("webhook-signature").is_some_and(|s| s.starts_with("v1,")), "{received:?}");
    ensure!(gateway.metric("trunkline_answer_hook_tries_total").await? == 1.0);
    ensure!(gateway.metric("trunkline_prompts_played_total").await? == 1.0);
    gateway.stop().await;
    Ok(())
}

/// A hook that does this costs its call the way to the static route: two tries, and never more than the budget.
async fn check(name: &str, reply: Reply, result: &str) -> Result<()> {
    let hook = HookServer::start(reply).await?;
    let agent = free_udp_port()?;
    let gateway = Gateway::start(Plan::to(&[agent]).app(&asks(&hook, None, ""))).await?;
    let sipp = Sipp::start_at(agent, "reject", &[("code", "486".into())]).await?;
    let call = dial(&gateway).await?;
    let record = gateway.ended(&call).await?;
    ensure!(record["outcome"]["reason"] == "dest_busy", "{name}: {record:#}");
    ensure!(tries(&record) == vec![format!("primary {result}"); 2], "{name}: {record:#}");
    let took = record["outcome"]["evidence"]["answer_hook"]["took_ms"].as_u64().unwrap();
    ensure!(took < 10_000, "{name}: {took} ms");
    ensure!(hook.received().len() == 2, "{name}: {:?}", hook.received());
    let ids: Vec<_> = hook.received().iter().map(|r| r.header("webhook-id").map(str::to_owned)).collect();
    ensure!(ids == vec![Some(call.clone()); 2], "{name}: {ids:?}");
    ensure!(!record.to_string().contains("sesame"), "{name}: the URL is nobody's business: {record:#}");
    sipp.finish().await?;
    gateway.stop().await;
    Ok(())
}

const JSON: &str = "Content-Type: application/json\r\n";

#[tokio::test]
async fn a_hundred_megabytes_are_not_taken() -> Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\n{JSON}Content-Length: 104857600\r\n\r\n");
    check("100 MB", Reply::Endless(head.into(), vec![b' '; 65_536], Duration::ZERO), "too_large").await
}

#[tokio::test]
async fn endless_chunks_are_not_taken() -> Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n");
    check("chunks", Reply::Endless(head.into(), b"5\r\n     \r\n".repeat(1_000), Duration::ZERO), "too_large").await
}

#[tokio::test]
async fn a_gzip_bomb_stays_packed() -> Result<()> {
    let bomb = [b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03".as_slice(), &[0; 60_000]].concat();
    check("gzip", Reply::http("200 OK", &format!("{JSON}Content-Encoding: gzip\r\n"), &bomb), "invalid").await
}

#[tokio::test]
async fn a_redirect_is_not_followed() -> Result<()> {
    let canary = HookServer::start(Reply::Json(json!({"actions": [{"action": "hangup"}]}))).await?;
    let to = format!("Location: {}\r\n{JSON}", canary.url("/"));
    check("redirect", Reply::http("307 Temporary Redirect", &to, b""), "status").await?;
    ensure!(canary.received().is_empty());
    Ok(())
}

#[tokio::test]
async fn ten_seconds_of_silence_are_not_waited_for() -> Result<()> {
    check("silence", Reply::Silence, "timeout").await
}

#[tokio::test]
async fn a_body_that_trickles_is_given_up() -> Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\n{JSON}Content-Length: 1000\r\n\r\n");
    check("trickle", Reply::Endless(head.into(), b" ".to_vec(), Duration::from_millis(100)), "timeout").await
}

#[tokio::test]
async fn an_answer_that_is_none_is_refused_as_a_whole() -> Result<()> {
    let rows = [
        ("wrong JSON", Reply::http("200 OK", JSON, b"{\"actions\":"), "invalid"),
        ("unknown action", Reply::Json(json!({"actions": [{"action": "hangup"}, {"action": "record"}]})), "invalid"),
        ("wrong mix", Reply::Json(json!({"actions": [{"action": "play", "prompt": "tone", "mix": "yes"}]})), "invalid"),
        ("no JSON type", Reply::http("200 OK", "Content-Type: text/html\r\n", b"{\"actions\":[]}"), "invalid"),
        ("500", Reply::http("500 No", JSON, b"{\"actions\":[]}"), "status"),
        ("404", Reply::http("404 No", JSON, b"{\"actions\":[]}"), "status"),
        ("no HTTP", Reply::Bytes(b"SSH-2.0-OpenSSH\r\n\r\n".to_vec()), "invalid"),
        ("closed", Reply::Bytes(Vec::new()), "unreachable"),
    ];
    for (name, reply, result) in rows {
        check(name, reply, result).await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_fallback_is_asked_when_the_first_fails_twice() -> Result<()> {
    let broken = HookServer::start(Reply::http("503 No", JSON, b"")).await?;
    let good = HookServer::start(Reply::Json(json!({"actions": [{"action": "hangup"}]}))).await?;
    let gateway = Gateway::start(Plan::nowhere().app(&asks(&broken, Some(&good), ""))).await?;
    let call = dial(&gateway).await?;
    let record = gateway.ended(&call).await?;
    ensure!(tries(&record) == ["primary status", "primary status", "fallback answered"], "{record:#}");
    let outcome = &record["outcome"];
    ensure!(outcome["reason"] == "remote_hangup" && outcome["detail"] == "operator", "{record:#}");
    ensure!(outcome["evidence"]["hung_up_by"] == "answer_hook", "{record:#}");
    ensure!((broken.received().len(), good.received().len()) == (2, 1));
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn who_keeps_failing_is_not_asked_any_more_and_nobody_waits() -> Result<()> {
    let hook = HookServer::start(Reply::http("500 No", JSON, b"")).await?;
    let gateway = Gateway::start(Plan::nowhere().app(&asks(&hook, None, ""))).await?;
    let mut last = Value::Null;
    for _ in 0..4 {
        let call = dial(&gateway).await?;
        // Nothing to dial and nobody there to hear so: the hang-up ends it.
        gateway
            .record_when(&call, "the hook", |record| record["findings"].to_string().contains("no_destination"))
            .await?;
        gateway.operator(Method::POST, &format!("/v1/calls/{call}/hangup"), CONTROL, None).await?;
        last = gateway.ended(&call).await?;
    }
    ensure!(tries(&last) == ["primary breaker_open"], "{last:#}");
    ensure!(hook.received().len() == 5, "five failures open it: {}", hook.received().len());
    ensure!(gateway.metric("trunkline_answer_hook_breakers_open").await? == 1.0);
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn only_so_many_questions_are_under_way_at_once() -> Result<()> {
    let hook = HookServer::start(Reply::Silence).await?;
    let gateway = Gateway::start(Plan::nowhere().app(&asks(&hook, None, "answer_max_asking = 1"))).await?;
    let first = dial(&gateway).await?;
    for _ in 0..600 {
        if !hook.received().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let second = dial(&gateway).await?;
    gateway.record_when(&second, "its end", |r| r["findings"].to_string().contains("no_destination")).await?;
    gateway.operator(Method::POST, &format!("/v1/calls/{second}/hangup"), CONTROL, None).await?;
    let record = gateway.ended(&second).await?;
    ensure!(tries(&record) == ["primary busy"], "{record:#}");
    // A visitor who leaves does not wait for the hook either.
    gateway.operator(Method::POST, &format!("/v1/calls/{first}/hangup"), CONTROL, None).await?;
    let record = gateway.ended(&first).await?;
    ensure!(record["outcome"]["phase"] == "routing", "{record:#}");
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_list_that_leads_nowhere_is_no_destination_and_the_visitor_hears_it() -> Result<()> {
    let hook = HookServer::start(Reply::Json(json!({"actions": []}))).await?;
    let gateway = Gateway::start(Plan::to(&[free_udp_port()?]).app(&asks(&hook, None, ""))).await?;
    let visitor = WebClient::call(&gateway, Codec::Pcmu, VISITOR).await?;
    let record = gateway.ended(&visitor.call).await?;
    ensure!(record["outcome"]["reason"] == "no_destination", "{record:#}");
    ensure!(record["outcome"]["evidence"]["prompt_played"] == true, "{record:#}");
    ensure!(record["sip"]["attempts"] == json!([]), "{record:#}");
    let heard = trunkline_media::audio::tone::level(&visitor.heard(Duration::from_secs(60)));
    ensure!(heard > -50.0, "{heard} dBov of speech");
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_text_is_spoken_and_a_recording_is_fetched_once() -> Result<()> {
    let wav = tempfile::tempdir()?;
    write_tone(&wav.path().join("a.wav"), PROMPT, 16_000, 2)?;
    let recording = std::fs::read(wav.path().join("a.wav"))?;
    let store = HookServer::start(Reply::http("200 OK", "Cache-Control: max-age=600\r\n", &recording)).await?;
    let opus = concat!(env!("CARGO_MANIFEST_DIR"), "/../gateway/prompts/en/goodbye.opus");
    let spoken = Reply::http("200 OK", "Cache-Control: max-age=600\r\n", &std::fs::read(opus)?);
    let spoken = HookServer::start(spoken).await?;
    let hook = HookServer::start(Reply::Json(json!({"actions": [
        {"action": "say", "text": "Welcome. One moment, please.", "lang": "en"},
        {"action": "play", "url": spoken.url("/a.opus")},
        {"action": "play", "url": store.url("/a.wav")},
        {"action": "hangup"},
    ]})))
    .await?;
    let gateway = Gateway::start(Plan::nowhere().app(&asks(&hook, None, ""))).await?;
    for _ in 0..2 {
        let visitor = WebClient::call(&gateway, Codec::Pcmu, VISITOR).await?;
        visitor.hears(PROMPT, VISITOR).await?;
        let record = gateway.ended(&visitor.call).await?;
        ensure!(record["outcome"]["evidence"]["hung_up_by"] == "answer_hook", "{record:#}");
        // Speech of two seconds and more, then two seconds of tone.
        let heard = visitor.heard(Duration::from_secs(60));
        let loud = heard.chunks(160).filter(|frame| trunkline_media::audio::tone::level(frame) > -45.0).count();
        ensure!(loud > 170, "{loud} frames of 20 ms are heard");
    }
    ensure!(store.received().len() == 1 && spoken.received().len() == 1, "they keep for ten minutes");
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_recording_that_means_harm_is_left_out() -> Result<()> {
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let endless = HookServer::start(Reply::Endless(head, b"5\r\nRIFF!\r\n".repeat(4_000), Duration::ZERO)).await?;
    let html = HookServer::start(Reply::http("200 OK", "", b"<html>")).await?;
    let hook = HookServer::start(Reply::Json(json!({"actions": [
        {"action": "play", "url": endless.url("/a.wav")},
        {"action": "play", "url": html.url("/a.wav")},
        {"action": "play", "url": "http://169.254.169.254/latest/meta-data"},
        {"action": "play", "prompt": "nowhere"},
        {"action": "hangup"},
    ]})))
    .await?;
    let gateway = Gateway::start(Plan::nowhere().app(&asks(&hook, None, ""))).await?;
    let visitor = WebClient::call(&gateway, Codec::Pcmu, VISITOR).await?;
    let record = gateway.ended(&visitor.call).await?;
    ensure!(record["outcome"]["evidence"]["hung_up_by"] == "answer_hook", "{record:#}");
    ensure!(gateway.metric("trunkline_prompts_played_total").await? == 0.0);
    ensure!(gateway.metric("trunkline_recordings_total").await? == 3.0);
    gateway.stop().await;
    Ok(())
}
