//! A live call steered over the control API: hold on either side, something to hear, actions, and what is refused.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use anyhow::{Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use trunkline_media::audio::Codec;
use trunkline_media::audio::tone::level;
use trunkline_tests::gateway::{CONTROL, Gateway, Plan, READ, until};
use trunkline_tests::media_phone::MediaPhone;
use trunkline_tests::page::write_tone;
use trunkline_tests::sipp::Sipp;
use trunkline_tests::web_client::WebClient;

const VISITOR: f64 = 700.0;
const AGENT: f64 = 1100.0;
const HOLD: f64 = 500.0;
const PROMPT: f64 = 1700.0;

fn keys(phone: &MediaPhone) -> Vec<(&'static str, String)> {
    let port = phone.address().port().to_string();
    vec![("rtp_port", port), ("codec_pt", "0".into()), ("codec_name", "PCMU".into())]
}

/// A folder with hold music and a prompt, each a tone.
fn prompts() -> Result<(tempfile::TempDir, String)> {
    let dir = tempfile::tempdir()?;
    std::fs::create_dir(dir.path().join("en"))?;
    write_tone(&dir.path().join("en/hold.wav"), HOLD, 8_000, 1)?;
    write_tone(&dir.path().join("en/prompt.wav"), PROMPT, 48_000, 2)?;
    let line = format!("prompts_dir = {:?}", dir.path());
    Ok((dir, line))
}

async fn post(gateway: &Gateway, call: &str, what: &str, body: Value) -> Result<(u16, Value)> {
    gateway.operator(Method::POST, &format!("/v1/calls/{call}/{what}"), CONTROL, Some(body)).await
}

async fn done(gateway: &Gateway, call: &str, what: &str, body: Value, status: u16) -> Result<()> {
    let (got, problem) = post(gateway, call, what, body).await?;
    ensure!(got == status, "{what}: {got} {problem}");
    Ok(())
}

async fn refused(gateway: &Gateway, call: &str, what: &str, body: Value, status: u16, slug: &str) -> Result<()> {
    let (got, problem) = post(gateway, call, what, body.clone()).await?;
    let good =
        got == status && problem["type"] == format!("urn:trunkline:problem:{slug}") && problem["status"] == status;
    ensure!(good, "{what} {body}: {got} {problem}");
    Ok(())
}

/// Waits until the last 400 ms of `heard` are silence.
async fn silent(who: &str, heard: impl Fn(Duration) -> Vec<i16>) -> Result<()> {
    until(&format!("silence for {who}"), Duration::from_secs(20), || {
        let pcm = heard(Duration::from_millis(400));
        pcm.len() >= 1_600 && level(&pcm) < -60.0
    })
    .await
}

#[tokio::test]
async fn either_side_is_held_hears_so_and_is_taken_back() -> Result<()> {
    let phone = MediaPhone::start(Codec::Pcmu, AGENT).await?;
    let sipp = Sipp::start("held", &keys(&phone)).await?;
    let (_dir, media) = prompts()?;
    let gateway = Gateway::start(Plan::to(&[sipp.address()]).relay().media(&media)).await?;
    let visitor = WebClient::call(&gateway, Codec::Pcmu, VISITOR).await?;
    visitor.hears(AGENT, VISITOR).await?;
    phone.hears(VISITOR, AGENT).await?;

    // The visitor: hears the music, the agent hears nothing, and no SIP is spoken about it.
    for _ in 0..2 {
        done(&gateway, &visitor.call, "hold", json!({"leg": "browser"}), 204).await?;
    }
    visitor.hears(HOLD, AGENT).await?;
    silent("the agent", |length| phone.heard(length)).await?;
    ensure!(gateway.record(&visitor.call).await?["browser"]["held"] == true);
    done(&gateway, &visitor.call, "resume", json!({"leg": "browser"}), 204).await?;
    visitor.hears(AGENT, HOLD).await?;
    phone.hears(VISITOR, HOLD).await?;
    ensure!(!sipp.trace().contains("a=sendonly"), "{}", sipp.trace());

    // The agent: is told by a re-INVITE, hears the music, the visitor hears nothing.
    for _ in 0..2 {
        done(&gateway, &visitor.call, "hold", json!({"leg": "sip"}), 204).await?;
    }
    phone.hears(HOLD, VISITOR).await?;
    silent("the visitor", |length| visitor.heard(length)).await?;
    until("the offer", Duration::from_secs(10), || sipp.trace().contains("a=sendonly")).await?;
    ensure!(gateway.record(&visitor.call).await?["sip"]["held"] == true);
    for _ in 0..2 {
        done(&gateway, &visitor.call, "resume", json!({"leg": "sip"}), 204).await?;
    }
    phone.hears(VISITOR, HOLD).await?;
    visitor.hears(AGENT, HOLD).await?;
    // A trunk that has not ACKed its answer yet would be hung up on in the middle of the exchange.
    until("the second ACK", Duration::from_secs(10), || sipp.trace().matches("\nACK sip:").count() >= 3).await?;
    gateway.visitor(&visitor.session, Method::DELETE, &visitor.call, "", None).await?;
    sipp.finish().await?;
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn prompts_and_texts_are_played_to_a_leg_and_stopped() -> Result<()> {
    let phone = MediaPhone::start(Codec::Pcmu, AGENT).await?;
    let sipp = Sipp::start("answer", &keys(&phone)).await?;
    let (_dir, media) = prompts()?;
    let gateway = Gateway::start(Plan::to(&[sipp.address()]).relay().media(&media)).await?;
    let visitor = WebClient::call(&gateway, Codec::Pcmu, VISITOR).await?;
    visitor.hears(AGENT, VISITOR).await?;
    let call = &visitor.call;

    // To the visitor, whom the agent goes on to hear; afterwards the agent is heard again.
    done(&gateway, call, "play", json!({"prompt": "prompt"}), 202).await?;
    visitor.hears(PROMPT, AGENT).await?;
    phone.hears(VISITOR, PROMPT).await?;
    visitor.hears(AGENT, PROMPT).await?;

    // To the agent, over and over until it is stopped.
    done(&gateway, call, "play", json!({"prompt": "prompt", "leg": "sip", "loop": true}), 202).await?;
    phone.hears(PROMPT, VISITOR).await?;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    phone.hears(PROMPT, VISITOR).await?;
    for _ in 0..2 {
        done(&gateway, call, "stop", json!({"leg": "sip"}), 204).await?;
    }
    phone.hears(VISITOR, PROMPT).await?;

    // A text: what the visitor hears is neither silence nor the agent's tone.
    done(&gateway, call, "say", json!({"text": "your case number is forty two", "lang": "en"}), 202).await?;
    until("speech", Duration::from_secs(20), || {
        let pcm = visitor.heard(Duration::from_millis(400));
        level(&pcm) > -40.0 && trunkline_media::audio::tone::detect(&pcm, 8_000, AGENT) < level(&pcm) - 10.0
    })
    .await?;
    visitor.hears(AGENT, VISITOR).await?;

    // Sent twice with one key, it is heard once.
    let url = format!("{}/v1/calls/{call}/play", gateway.control());
    for _ in 0..3 {
        let request = gateway.request(Method::POST, &url, CONTROL).header("idempotency-key", "once");
        let response = request.json(&json!({"prompt": "prompt"})).send().await?;
        ensure!(response.status() == 202, "{}", response.status());
    }
    visitor.hears(PROMPT, AGENT).await?;
    visitor.hears(AGENT, PROMPT).await?;
    ensure!(gateway.metric("trunkline_prompts_played_total").await? == 4.0);

    // A list of actions, at once and in order.
    let list = json!({"actions": [{"action": "play", "prompt": "prompt"}, {"action": "hangup"}]});
    done(&gateway, call, "actions", list, 202).await?;
    visitor.hears(PROMPT, AGENT).await?;
    let record = gateway.ended(call).await?;
    ensure!(record["outcome"]["detail"] == "operator", "{record:#}");
    ensure!(record["outcome"]["evidence"]["hung_up_by"] == "operator", "{record:#}");
    sipp.finish().await?;
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn each_wrong_state_and_wish_has_its_problem() -> Result<()> {
    let sipp = Sipp::start("ring", &[]).await?;
    let plan = Plan::to(&[sipp.address()]).media("say_command = \"\"");
    let gateway = Gateway::start(plan).await?;
    let visitor = WebClient::call(&gateway, Codec::Pcmu, VISITOR).await?;
    let call = &visitor.call;
    gateway.record_when(call, "ringing", |record| record["state"] == "ringing").await?;

    for (what, body, status, slug) in [
        ("hold", json!({"leg": "browser"}), 409, "call-not-connected"),
        ("resume", json!({"leg": "sip"}), 409, "call-not-connected"),
        ("transfer", json!({"destination": "sip:a@b"}), 409, "call-not-connected"),
        ("play", json!({"prompt": "hold", "leg": "sip"}), 409, "call-not-connected"),
        ("play", json!({"prompt": "no such"}), 404, "unknown-prompt"),
        ("play", json!({}), 400, "invalid-request"),
        ("play", json!({"url": "file:///etc/passwd"}), 400, "invalid-request"),
        ("play", json!({"url": "http://127.0.0.1/a.wav"}), 400, "invalid-request"),
        ("say", json!({"text": "hello"}), 409, "speech-unavailable"),
        ("say", json!({"text": ""}), 400, "invalid-request"),
        ("say", json!({"text": "x".repeat(1_501)}), 400, "invalid-request"),
        ("hold", json!({"leg": "trunk"}), 400, "invalid-request"),
        ("transfer", json!({"destination": "https://a"}), 400, "invalid-request"),
        ("transfer", json!({"destination": "sip:a@b", "mode": "blind"}), 400, "invalid-request"),
        ("actions", json!({"actions": [{"action": "record"}]}), 400, "invalid-request"),
        ("actions", json!({"actions": [{"action": "say", "text": "x", "mix": 1}]}), 400, "invalid-request"),
        ("actions", json!({"actions": [{"action": "play", "prompt": "no such"}]}), 404, "unknown-prompt"),
        (
            "actions",
            json!({"actions": [{"action": "connect", "destinations": ["sip:a@t0"]}]}),
            409,
            "call-already-connected",
        ),
    ] {
        refused(&gateway, call, what, body, status, slug).await?;
    }
    for what in ["hold", "resume", "play", "say", "stop", "actions", "transfer"] {
        refused(&gateway, "call_unknown", what, json!({"text": "x", "destination": "sip:a@b"}), 404, "unknown-call")
            .await?;
        let path = format!("/v1/calls/{call}/{what}");
        let (status, problem) = gateway.operator(Method::POST, &path, READ, Some(json!({}))).await?;
        ensure!(status == 403 && problem["type"] == "urn:trunkline:problem:insufficient-scope", "{what}: {problem}");
    }
    // More than the leg can take before it has heard the first of it.
    let mut last = (0, Value::Null);
    for _ in 0..100 {
        last = post(&gateway, call, "play", json!({"prompt": "no_destination"})).await?;
        if last.0 != 202 {
            break;
        }
    }
    ensure!(last.0 == 409 && last.1["type"] == "urn:trunkline:problem:too-many-prompts", "{last:?}");
    done(&gateway, call, "stop", json!({}), 204).await?;

    gateway.visitor(&visitor.session, Method::DELETE, call, "", None).await?;
    gateway.ended(call).await?;
    for (what, body) in [
        ("hold", json!({})),
        ("resume", json!({})),
        ("play", json!({"prompt": "hold"})),
        ("say", json!({"text": "x"})),
        ("stop", json!({})),
        ("actions", json!({"actions": []})),
        ("transfer", json!({"destination": "sip:a@b"})),
    ] {
        refused(&gateway, call, what, body, 409, "call-ended").await?;
    }
    sipp.finish().await?;
    gateway.stop().await;
    Ok(())
}
