//! A client of the HTTP surface that knows nothing but the published contract: every status, slug, header and shape
//! that a caller outside can rely on, over real sockets.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use trunkline_media::audio::Codec;
use trunkline_tests::gateway::{ADMIN, Gateway, Plan, Session};
use trunkline_tests::media_phone::MediaPhone;
use trunkline_tests::sipp::Sipp;
use trunkline_tests::web_client::{Caller, WebClient};

mod again;
mod control;
mod probes;
mod sessions;
mod trunks;

const VISITOR: f64 = 700.0;
const AGENT: f64 = 1100.0;
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

struct Talking {
    gateway: Gateway,
    visitor: WebClient,
    sipp: Sipp,
    _phone: MediaPhone,
}

impl Talking {
    async fn begin() -> Result<Self> {
        let phone = MediaPhone::start(Codec::Pcmu, AGENT).await?;
        let port = phone.address().port().to_string();
        let keys = [("rtp_port", port), ("codec_pt", "0".into()), ("codec_name", "PCMU".into())];
        let sipp = Sipp::start("answer", &keys).await?;
        let gateway = Gateway::start(Plan::to(&[sipp.address()]).relay()).await?;
        let visitor = WebClient::call(&gateway, Codec::Pcmu, VISITOR).await?;
        visitor.hears(AGENT, VISITOR).await?;
        Ok(Self { gateway, visitor, sipp, _phone: phone })
    }

    fn url(&self, path: &str) -> String {
        format!("{}/v1/calls/{}{path}", self.gateway.public(), self.visitor.call)
    }

    async fn patch(&self, if_match: Option<&str>, kind: &str, body: String) -> Result<Response> {
        let mut request = self.gateway.request(Method::PATCH, &self.url(""), &self.visitor.session.token);
        if let Some(tag) = if_match {
            request = request.header("if-match", tag);
        }
        Ok(request.header("content-type", kind).body(body).send().await?)
    }
}

/// Checks all that holds for every problem, and its slug.
async fn problem(response: Response, status: u16, slug: &str) -> Result<Value> {
    let (got, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await?;
    ensure!(got == status, "{slug}: {got} {text}");
    ensure!(headers["content-type"] == "application/problem+json", "{headers:?}");
    ensure!(got != 401 || headers.contains_key("www-authenticate"), "{headers:?}");
    ensure!(!matches!(got, 429 | 503) || headers.contains_key("retry-after"), "{headers:?}");
    let body: Value = serde_json::from_str(&text)?;
    ensure!(body["type"] == format!("urn:trunkline:problem:{slug}") && body["status"] == status, "{slug}: {body}");
    ensure!(body["title"].is_string() && body["detail"].is_string(), "{body}");
    Ok(body)
}

fn rfc3339(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|t| t.len() == 24 && t.ends_with('Z') && t.as_bytes()[10] == b'T' && t.as_bytes()[19] == b'.')
}

#[tokio::test]
async fn sessions() -> Result<()> {
    let gateway = Gateway::start(Plan::nowhere()).await?;
    let url = format!("{}/v1/sessions", gateway.public());
    let post = |body: Value| gateway.request(Method::POST, &url, "").json(&body);
    let good = json!({"app": "acme", "widget_key": "wk_demo", "profile": "nothing", "lang": "en",
        "context": {"plan": "gold", "bad key": "x", "lang": "reserved", "long": "é".repeat(200)}});
    let response = post(good.clone()).send().await?;
    ensure!(response.status() == 201);
    let session: Value = response.json().await?;
    ensure!(session["session"].as_str().is_some_and(|id| id.starts_with("ses_") && id.len() >= 26), "{session}");
    ensure!(session["token"].as_str().is_some_and(|t| t.split('.').count() == 3), "{session}");
    ensure!(rfc3339(&session["expires_at"]) && session["state"] == "ready" && session["survey"] == true, "{session}");
    ensure!(session["profile"] == "main" && session["profile_fallback"] == true, "{session}");
    ensure!(session["ice_servers"].is_array(), "{session}");
    let report = &session["context_report"];
    ensure!(report["accepted"].as_array().unwrap().contains(&json!("plan")), "{report}");
    ensure!(
        report["dropped"].as_array().unwrap().contains(&json!({"key": "bad key", "reason": "invalid_key"})),
        "{report}"
    );
    ensure!(report["truncated"] == json!(["long"]), "{report}");

    for (body, status, slug) in [
        (json!({"app": "nobody", "widget_key": "wk_demo"}), 404, "unknown-app"),
        (json!({"app": "acme", "widget_key": "wk_other"}), 401, "widget-key-mismatch"),
        (json!({"app": "acme"}), 401, "widget-key-mismatch"),
    ] {
        problem(post(body).send().await?, status, slug).await?;
    }
    problem(post(good.clone()).header("origin", "https://evil.example").send().await?, 403, "origin-not-allowed")
        .await?;
    problem(post(good.clone()).header("origin", "null").send().await?, 403, "origin-not-allowed").await?;
    let shop = post(good.clone()).header("origin", "https://shop.example").send().await?;
    ensure!(shop.headers()["access-control-allow-origin"] == "https://shop.example");

    let keyed = |body: &Value| post(body.clone()).header("idempotency-key", "4711");
    let (first, again): (Value, Value) =
        (keyed(&good).send().await?.json().await?, keyed(&good).send().await?.json().await?);
    ensure!(first["session"] == again["session"] && first["session"] != session["session"], "{first} {again}");
    let other = json!({"app": "acme", "widget_key": "wk_demo", "lang": "es"});
    problem(keyed(&other).send().await?, 422, "idempotency-key-reused").await?;

    let preview: Value =
        post(json!({"app": "acme", "widget_key": "wk_demo", "preview": true})).send().await?.json().await?;
    ensure!(preview["state"] == "preview", "{preview}");
    let preview = Session { id: String::new(), token: preview["token"].as_str().unwrap().into() };
    let offer = Caller::new(Codec::Pcmu).await?.offer;
    problem(gateway.offer(&preview, &offer).await?, 403, "preview-session").await?;

    let session = gateway.session().await?;
    let report_url = format!("{url}/{}/client-report", session.id);
    let report = |body: Value| gateway.request(Method::POST, &report_url, &session.token).json(&body).send();
    ensure!(report(json!({"code": "mic_denied", "detail": "a test"})).await?.status() == 204);
    problem(report(json!({"code": "bad_mood"})).await?, 400, "invalid-request").await?;
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn starting_a_call() -> Result<()> {
    let phone = MediaPhone::start(Codec::Pcmu, AGENT).await?;
    let port = phone.address().port().to_string();
    let keys = [("rtp_port", port), ("codec_pt", "0".into()), ("codec_name", "PCMU".into())];
    let sipp = Sipp::start("answer", &keys).await?;
    let gateway = Gateway::start(Plan::to(&[sipp.address()])).await?;
    let session = gateway.session().await?;
    let offer = Caller::new(Codec::Pcmu).await?.offer;
    let nobody = Session { id: String::new(), token: "x.y.z".into() };
    problem(gateway.offer(&nobody, &offer).await?, 401, "invalid-token").await?;
    problem(gateway.offer(&session, "v=0\r\nnonsense").await?, 400, "invalid-sdp").await?;
    let video = offer.replace("m=audio", "m=video");
    problem(gateway.offer(&session, &video).await?, 422, "unsupported-sdp").await?;
    problem(gateway.offer(&session, &format!("{offer}{}", "a=x\r\n".repeat(20_000))).await?, 413, "payload-too-large")
        .await?;

    let response = gateway.offer(&session, &offer).await?;
    ensure!(response.status() == 201);
    let headers = response.headers().clone();
    let answer = response.text().await?;
    ensure!(headers["content-type"] == "application/sdp");
    let location = headers["location"].to_str()?;
    let call = location.strip_prefix("/v1/calls/").context("Location")?;
    ensure!(call.starts_with("call_") && call.len() >= 27, "{call}");
    let etag = headers["etag"].to_str()?;
    ensure!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 4, "{etag}");
    for line in
        ["a=ice-lite", "a=candidate:", "a=fingerprint:sha-256 ", "a=rtcp-mux", "a=sendrecv", "a=group:BUNDLE", "a=mid:"]
    {
        ensure!(answer.contains(line), "{line}: {answer}");
    }
    let refused = problem(gateway.offer(&session, &offer).await?, 409, "call-in-progress").await?;
    ensure!(refused["call"] == call && refused["session"] == session.id.as_str(), "{refused}");
    let gone = gateway.visitor(&session, Method::DELETE, call, "", None).await?;
    ensure!(gone.status() == 200, "{}", gone.status());
    let record = gateway.ended(call).await?;
    ensure!(record["outcome"]["reason"] == "user_hangup", "{record:#}");
    // The session may call again, while its token is good.
    let again = gateway.offer(&session, &offer).await?;
    ensure!(again.status() == 201);

    let late = gateway.session().await?;
    gateway.operator(Method::POST, "/v1/node/drain", ADMIN, None).await?;
    problem(gateway.offer(&late, &offer).await?, 503, "draining").await?;
    let body = json!({"app": "acme", "widget_key": "wk_demo"});
    let url = format!("{}/v1/sessions", gateway.public());
    problem(gateway.request(Method::POST, &url, "").json(&body).send().await?, 503, "draining").await?;
    let (status, _) = gateway.operator(Method::GET, "/readyz", "", None).await?;
    ensure!(status == 503);
    for base in [gateway.public(), gateway.control()] {
        ensure!(gateway.request(Method::GET, &format!("{base}/healthz"), "").send().await?.status() == 200);
    }
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn entity_tags_of_an_ice_session() -> Result<()> {
    let call = Talking::begin().await?;
    let of = |name: &str| {
        let line = call.visitor.offer.lines().find_map(|line| line.strip_prefix(&format!("a={name}:")));
        line.unwrap_or_default().trim().to_owned()
    };
    let fragment = |ufrag: &str, password: &str| {
        format!(
            "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:{}\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\n",
            of("mid")
        )
    };
    let same = fragment(&of("ice-ufrag"), &of("ice-pwd"));
    let fresh = |n: u32| fragment(&format!("fresh{n}"), "abcdefghijklmnopqrstuvwx");
    let tag = call.visitor.etag.clone();

    problem(call.patch(None, FRAGMENT, same.clone()).await?, 428, "precondition-required").await?;
    problem(call.patch(Some("\"stale\""), FRAGMENT, same.clone()).await?, 412, "precondition-failed").await?;
    problem(call.patch(Some(&tag), "application/json", same.clone()).await?, 415, "unsupported-media-type").await?;
    problem(call.patch(Some(&tag), FRAGMENT, "nonsense".into()).await?, 400, "invalid-sdp").await?;
    ensure!(call.patch(Some(&tag), FRAGMENT, same.clone()).await?.status() == 204);

    for (n, star) in [(1, "*"), (2, "\"*\"")] {
        let restarted = call.patch(Some(star), FRAGMENT, fresh(n)).await?;
        ensure!(restarted.status() == 200, "{star}");
        ensure!(restarted.headers()["content-type"] == FRAGMENT);
        let new_tag = restarted.headers()["etag"].to_str()?.to_owned();
        ensure!(new_tag != tag, "{new_tag}");
        let answer = restarted.text().await?;
        ensure!(answer.contains("a=ice-ufrag:") && answer.contains("a=ice-pwd:"), "{answer}");
        problem(call.patch(Some(&tag), FRAGMENT, same.clone()).await?, 412, "precondition-failed").await?;
        ensure!(call.patch(Some(&new_tag), FRAGMENT, fresh(n)).await?.status() == 204);
    }
    // Restarts nobody follows up never end the call: the old path still carries it.
    call.visitor.forget();
    call.visitor.hears(AGENT, VISITOR).await?;
    call.gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_foreign_call_and_none_at_all_look_alike() -> Result<()> {
    let call = Talking::begin().await?;
    let foreign = call.gateway.session().await?;
    let (gateway, theirs) = (&call.gateway, call.visitor.call.clone());
    let missing = format!("call_{}", "A".repeat(theirs.len() - 5));
    let offer = Caller::new(Codec::Pcmu).await?.offer;
    for (method, path, kind, body) in [
        (Method::GET, "", "", String::new()),
        (Method::DELETE, "", "", String::new()),
        (Method::PATCH, "", FRAGMENT, "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n".into()),
        (Method::POST, "/reattach", "application/sdp", offer),
        (Method::POST, "/dtmf", "application/json", json!({"digits": "1"}).to_string()),
        (Method::POST, "/mute", "application/json", json!({"muted": true}).to_string()),
        (Method::GET, "/events", "", String::new()),
    ] {
        let mut bodies = Vec::new();
        for id in [&theirs, &missing] {
            let url = format!("{}/v1/calls/{id}{path}", gateway.public());
            let mut request = gateway.request(method.clone(), &url, &foreign.token).header("if-match", "*");
            if !kind.is_empty() {
                request = request.header("content-type", kind).body(body.clone());
            }
            bodies.push(problem(request.send().await?, 404, "unknown-call").await?);
        }
        ensure!(bodies[0] == bodies[1], "{method} {path}: {bodies:?}");
    }
    call.visitor.forget();
    call.visitor.hears(AGENT, VISITOR).await?;
    call.gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn steering_and_the_event_stream() -> Result<()> {
    let call = Talking::begin().await?;
    let session = call.visitor.session.clone();
    let live = tokio::spawn(read_events(call.gateway.request(Method::GET, &call.url("/events"), &session.token)));
    let post = |path: &'static str, body: Value| {
        call.gateway.visitor(&session, Method::POST, &call.visitor.call, path, Some(body))
    };
    ensure!(post("/dtmf", json!({"digits": "12#", "duration_ms": 100})).await?.status() == 202);
    problem(post("/dtmf", json!({"digits": "12x"})).await?, 400, "invalid-digits").await?;
    problem(post("/dtmf", json!({"digits": 12})).await?, 400, "invalid-request").await?;
    ensure!(post("/mute", json!({"muted": true})).await?.status() == 204);
    ensure!(post("/mute", json!({"muted": false})).await?.status() == 204);
    ensure!(call.gateway.visitor(&session, Method::DELETE, &call.visitor.call, "", None).await?.status() == 200);

    let events = live.await??;
    let aside = ["network_quality_changed", "issue_detected", "issue_cleared"];
    let names: Vec<_> = events.iter().filter_map(|e| e["name"].as_str()).filter(|name| !aside.contains(name)).collect();
    ensure!(names == ["call_started", "call_ringing", "call_answered", "call_ended"], "{names:?}");
    for (event, seq) in events.iter().zip(1..) {
        ensure!(event["seq"] == seq && event["app"] == "acme" && rfc3339(&event["timestamp"]), "{event}");
        ensure!(event["id"].as_str().is_some_and(|id| id.starts_with("evt_")), "{event}");
        let data = &event["data"];
        ensure!(data["call"] == call.visitor.call.as_str() && data["session"] == session.id.as_str(), "{event}");
        ensure!(data["context"] == json!({"plan": "gold"}), "{event}");
    }
    ensure!(
        events[0]["data"]["destination_id"].is_string() && events[0]["data"]["has_form_values"] == false,
        "{events:?}"
    );
    let last = &events[3]["data"];
    ensure!(
        last["reason"] == "user_hangup" && last["duration_seconds"].as_f64() >= last["talk_seconds"].as_f64(),
        "{last}"
    );

    // The same again for who comes late, what is missing for who was cut off, and nothing for who has it all.
    let ask = |seen: &str| {
        call.gateway.request(Method::GET, &call.url("/events"), &session.token).header("last-event-id", seen)
    };
    ensure!(read_events(ask("0")).await? == events);
    ensure!(read_events(ask("2")).await? == events[2..]);
    ensure!(read_events(ask("4")).await?.is_empty());
    let in_query = call.url(&format!("/events?token={}", session.token));
    ensure!(read_events(call.gateway.request(Method::GET, &in_query, "")).await? == events);
    call.sipp.finish().await?;
    call.gateway.stop().await;
    Ok(())
}

/// Every event of a stream until it ends; the `id:` of each must be its `seq`, the `event:` its name.
async fn read_events(request: reqwest::RequestBuilder) -> Result<Vec<Value>> {
    let response = request.send().await?;
    ensure!(response.status() == 200, "{}", response.status());
    ensure!(response.headers()["content-type"].to_str()?.starts_with("text/event-stream"));
    let mut text = String::new();
    let mut stream = response.bytes_stream();
    while let Some(part) = tokio::time::timeout(Duration::from_secs(20), stream.next()).await? {
        text += std::str::from_utf8(&part?)?;
    }
    let mut events = Vec::new();
    for block in text.split("\n\n") {
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let Some(data) = field("data:") else { continue };
        let event: Value = serde_json::from_str(data)?;
        ensure!(field("id:") == Some(event["seq"].to_string().as_str()), "{block}");
        ensure!(field("event:") == event["name"].as_str(), "{block}");
        events.push(event);
    }
    Ok(events)
}
