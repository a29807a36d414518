//! How an INVITE to a real SIP agent (SIPp) can end, and what the visitor, the operator and the agent are told.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use anyhow::{Result, ensure};
use reqwest::Method;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use trunkline_media::audio::Codec;
use trunkline_tests::gateway::{CONTROL, Gateway, Plan};
use trunkline_tests::media_phone::MediaPhone;
use trunkline_tests::sipp::{Sipp, free_udp_port};
use trunkline_tests::web_client::{Caller, WebClient};

const VISITOR: f64 = 700.0;
const AGENT: f64 = 1100.0;

/// What SIPp's SDP says of the phone; `more` are further keys of the scenario.
fn keys(phone: &MediaPhone, more: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    let port = phone.address().port().to_string();
    let own = [("rtp_port", port), ("codec_pt", "0".into()), ("codec_name", "PCMU".into())];
    own.into_iter().chain(more.iter().map(|(key, value)| (*key, (*value).to_owned()))).collect()
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

#[tokio::test]
async fn each_refusal_has_its_reason() -> Result<()> {
    let agent = free_udp_port()?;
    let gateway = Gateway::start(Plan::to(&[agent])).await?;
    for (code, reason) in [
        (486, "dest_busy"),
        (600, "dest_busy"),
        (403, "dest_rejected"),
        (603, "dest_rejected"),
        (607, "dest_rejected"),
        (404, "dest_not_found"),
        (410, "dest_not_found"),
        (484, "dest_not_found"),
        (604, "dest_not_found"),
        (480, "dest_no_answer"),
        (408, "dest_timeout"),
        (401, "dest_auth"),
        (407, "dest_auth"),
        (415, "dest_codec"),
        (488, "dest_codec"),
        (606, "dest_codec"),
        (500, "dest_unavailable"),
        (503, "dest_unavailable"),
    ] {
        let sipp = Sipp::start_at(agent, "reject", &[("code", code.to_string())]).await?;
        let call = dial(&gateway).await?;
        let record = gateway.ended(&call).await?;
        let outcome = &record["outcome"];
        ensure!(outcome["reason"] == reason && outcome["class"] == "error", "{code}: {record:#}");
        let attempt = &record["sip"]["attempts"][0];
        ensure!(attempt["status"] == code && attempt["reason"] == reason, "{code}: {record:#}");
        ensure!(attempt["target"] == format!("udp:{agent}"), "{code}: {record:#}");
        ensure!(outcome["evidence"]["last_sip"]["code"] == code, "{code}: {record:#}");
        ensure!(outcome["advice"].as_str().is_some_and(|advice| advice.len() > 10), "{code}: {record:#}");
        // SIPp has its ACK, and no BYE or CANCEL for what never was a call.
        let trace = sipp.finish().await?;
        ensure!(!trace.contains("BYE sip:") && !trace.contains("CANCEL sip:"), "{code}: {trace}");
    }
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn who_rings_too_long_is_cancelled() -> Result<()> {
    let sipp = Sipp::start("ring", &[]).await?;
    let gateway = Gateway::start(Plan::to(&[sipp.address()]).trunk("ring_timeout_seconds = 1")).await?;
    let call = dial(&gateway).await?;
    let record = gateway.ended(&call).await?;
    ensure!(record["outcome"]["reason"] == "dest_no_answer", "{record:#}");
    ensure!(record["outcome"]["phase"] == "ringing", "{record:#}");
    ensure!(record["outcome"]["evidence"]["timers_fired"] == serde_json::json!(["ring"]), "{record:#}");
    let trace = sipp.finish().await?;
    ensure!(trace.contains("CANCEL sip:") && trace.contains("Reason: Q.850;cause=19"), "{trace}");
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_visitor_who_gives_up_cancels_the_ringing() -> Result<()> {
    let sipp = Sipp::start("ring", &[]).await?;
    let gateway = Gateway::start(Plan::to(&[sipp.address()])).await?;
    let visitor = WebClient::call(&gateway, Codec::Pcmu, VISITOR).await?;
    gateway.record_when(&visitor.call, "ringing", |record| record["state"] == "ringing").await?;
    let gone = gateway.visitor(&visitor.session, Method::DELETE, &visitor.call, "", None).await?;
    ensure!(gone.status() == 200, "{}", gone.status());
    let record = gateway.ended(&visitor.call).await?;
    ensure!(record["outcome"]["reason"] == "user_hangup" && record["outcome"]["class"] == "ended", "{record:#}");
    ensure!(record["outcome"]["phase"] == "ringing" && record["talk_seconds"] == 0.0, "{record:#}");
    let trace = sipp.finish().await?;
    ensure!(trace.contains("CANCEL sip:") && trace.contains("Reason: Q.850;cause=16"), "{trace}");
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_busy_destination_hands_over_to_the_next() -> Result<()> {
    let busy = Sipp::start("reject", &[("code", "486".into())]).await?;
    let phone = MediaPhone::start(Codec::Pcmu, AGENT).await?;
    let second = Sipp::start("answer", &keys(&phone, &[])).await?;
    let gateway = Gateway::start(Plan::to(&[busy.address(), second.address()]).relay()).await?;
    let visitor = WebClient::call(&gateway, Codec::Pcmu, VISITOR).await?;
    visitor.hears(AGENT, VISITOR).await?;
    phone.hears(VISITOR, AGENT).await?;
    let (status, _) =
        gateway.operator(Method::POST, &format!("/v1/calls/{}/hangup", visitor.call), CONTROL, None).await?;
    ensure!(status == 202, "{status}");
    let record = gateway.ended(&visitor.call).await?;
    ensure!(record["outcome"]["reason"] == "remote_hangup", "{record:#}");
    ensure!(record["outcome"]["detail"] == "operator", "{record:#}");
    let attempts: Vec<_> = record["sip"]["attempts"].as_array().unwrap().iter().map(|a| &a["status"]).collect();
    ensure!(attempts == [&Value::from(486), &Value::from(200)], "{record:#}");
    busy.finish().await?;
    second.finish().await?;
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_digest_challenge_is_answered_with_the_trunks_credentials() -> Result<()> {
    let phone = MediaPhone::start(Codec::Pcmu, AGENT).await?;
    for (password, reason) in [("open sesame", "user_hangup"), ("a wrong one", "dest_rejected")] {
        let sipp = Sipp::start("digest", &keys(&phone, &[])).await?;
        let auth = format!("auth = {{ username = \"alice\", password = \"{password}\" }}");
        let gateway = Gateway::start(Plan::to(&[sipp.address()]).relay().trunk(&auth)).await?;
        let call = if reason == "user_hangup" {
            let visitor = WebClient::call(&gateway, Codec::Pcmu, VISITOR).await?;
            visitor.hears(AGENT, VISITOR).await?;
            gateway.visitor(&visitor.session, Method::DELETE, &visitor.call, "", None).await?;
            visitor.call.clone()
        } else {
            // It may be refused before any media path is up.
            dial(&gateway).await?
        };
        let record = gateway.ended(&call).await?;
        ensure!(record["outcome"]["reason"] == reason, "{record:#}");
        let trace = sipp.finish().await?;
        ensure!(trace.contains("username=\"alice\"") && !trace.contains(password), "{trace}");
        gateway.stop().await;
    }
    Ok(())
}

#[tokio::test]
async fn early_media_is_heard_before_the_answer() -> Result<()> {
    let phone = MediaPhone::start(Codec::Pcmu, AGENT).await?;
    // The phone speaks to whoever spoke to it; a gateway sends before the answer, so that this is enough.
    let sipp = Sipp::start("early", &keys(&phone, &[("pause", "4000")])).await?;
    let gateway = Gateway::start(Plan::to(&[sipp.address()]).relay()).await?;
    let visitor = WebClient::call(&gateway, Codec::Pcmu, VISITOR).await?;
    visitor.hears(AGENT, VISITOR).await?;
    let record = gateway.record(&visitor.call).await?;
    ensure!(record["timings"]["answered_at"].is_null(), "{record:#}");
    ensure!(record["timings"]["first_audio_down_at"].is_string(), "{record:#}");
    let record = gateway.record_when(&visitor.call, "the answer", |record| record["state"] == "talking").await?;
    ensure!(record["timings"]["answered_at"].is_string(), "{record:#}");
    visitor.forget();
    visitor.hears(AGENT, VISITOR).await?;
    gateway.visitor(&visitor.session, Method::DELETE, &visitor.call, "", None).await?;
    sipp.finish().await?;
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn hold_silences_one_direction_and_resume_brings_it_back() -> Result<()> {
    let phone = MediaPhone::start(Codec::Pcmu, AGENT).await?;
    let sipp = Sipp::start("hold", &keys(&phone, &[("pause", "2500"), ("direction", "sendonly")])).await?;
    let gateway = Gateway::start(Plan::to(&[sipp.address()]).relay()).await?;
    let visitor = WebClient::call(&gateway, Codec::Pcmu, VISITOR).await?;
    phone.hears(VISITOR, AGENT).await?;
    // On hold (sendonly) the agent's side gets nothing, and its music still comes.
    phone.falls_silent(Duration::from_millis(500)).await?;
    visitor.forget();
    visitor.hears(AGENT, VISITOR).await?;
    ensure!(sipp.trace().contains("a=recvonly"), "{}", sipp.trace());
    let held = phone.packets();
    trunkline_tests::gateway::until("the resume", Duration::from_secs(10), || phone.packets() > held + 30).await?;
    phone.hears(VISITOR, AGENT).await?;
    let record = gateway.record(&visitor.call).await?;
    ensure!(record["state"] == "talking", "{record:#}");
    gateway.visitor(&visitor.session, Method::DELETE, &visitor.call, "", None).await?;
    sipp.finish().await?;
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_session_is_refreshed_as_the_agent_wants_it() -> Result<()> {
    let phone = MediaPhone::start(Codec::Pcmu, AGENT).await?;
    let sipp = Sipp::start("session_timer", &keys(&phone, &[])).await?;
    let gateway = Gateway::start(Plan::to(&[sipp.address()]).relay()).await?;
    let visitor = WebClient::call(&gateway, Codec::Pcmu, VISITOR).await?;
    visitor.hears(AGENT, VISITOR).await?;
    let refreshed = || sipp.trace().contains("UPDATE sip:");
    trunkline_tests::gateway::until("the refresh", Duration::from_secs(20), refreshed).await?;
    visitor.forget();
    visitor.hears(AGENT, VISITOR).await?;
    gateway.visitor(&visitor.session, Method::DELETE, &visitor.call, "", None).await?;
    let trace = sipp.finish().await?;
    ensure!(trace.contains("Session-Expires: 1800\r\n") && trace.contains("Min-SE: 90\r\n"), "{trace}");
    ensure!(trace.contains("Session-Expires: 2000\r\n") && trace.contains("Min-SE: 2000\r\n"), "{trace}");
    ensure!(trace.contains("Session-Expires: 2000;refresher=uac\r\n"), "{trace}");
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn an_agent_is_reached_over_tcp_and_hangs_up_over_it() -> Result<()> {
    let phone = MediaPhone::start(Codec::Pcmu, AGENT).await?;
    for (scenario, detail) in [("answer", Value::Null), ("answer_bye", Value::from("bye"))] {
        // The agent hangs up by itself; the visitor must have heard it by then.
        let sipp = Sipp::start_tcp(scenario, &keys(&phone, &[("pause", "6000")])).await?;
        let gateway = Gateway::start(Plan::to(&[sipp.address()]).relay().over("tcp")).await?;
        let visitor = WebClient::call(&gateway, Codec::Pcmu, VISITOR).await?;
        visitor.hears(AGENT, VISITOR).await?;
        if detail.is_null() {
            gateway.visitor(&visitor.session, Method::DELETE, &visitor.call, "", None).await?;
        }
        let record = gateway.ended(&visitor.call).await?;
        ensure!(record["outcome"]["class"] == "ended" && record["outcome"]["detail"] == detail, "{record:#}");
        ensure!(record["sip"]["attempts"][0]["target"] == format!("tcp:{}", sipp.address()), "{record:#}");
        let trace = sipp.finish().await?;
        ensure!(trace.contains("Via: SIP/2.0/TCP") && !trace.contains("SIP/2.0/UDP"), "{trace}");
        gateway.stop().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_trunk_that_does_not_encrypt_gets_no_call() -> Result<()> {
    let plain = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let gateway = Gateway::start(Plan::to(&[plain.local_addr()?]).over("tls")).await?;
    let call = dial(&gateway).await?;
    let (mut stream, _) = plain.accept().await?;
    stream.write_all(b"SIP/2.0 200 OK\r\n\r\n").await?;
    let record = gateway.ended(&call).await?;
    ensure!(record["outcome"]["reason"] == "dest_tls", "{record:#}");
    ensure!(record["outcome"]["evidence"]["tls"].is_string(), "{record:#}");
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn without_a_destination_nothing_is_dialled() -> Result<()> {
    let gateway = Gateway::start(Plan::nowhere()).await?;
    let visitor = WebClient::call(&gateway, Codec::Pcmu, VISITOR).await?;
    let record = gateway.ended(&visitor.call).await?;
    ensure!(record["outcome"]["reason"] == "no_destination", "{record:#}");
    ensure!(record["sip"]["attempts"] == serde_json::json!([]), "{record:#}");
    gateway.stop().await;
    Ok(())
}
