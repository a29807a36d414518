//! Sessions and what they lead to: hours, previews, back ends' sessions, STUN and TURN servers.

use std::net::UdpSocket;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};
use trunkline_media::audio::Codec;
use trunkline_tests::gateway::{CONTROL, Gateway, Plan, READ, Session};
use trunkline_tests::media_phone::MediaPhone;
use trunkline_tests::sipp::Sipp;
use trunkline_tests::web_client::Caller;

use super::{AGENT, VISITOR, problem};

/// A widget's session; `more` goes into the request.
async fn open(gateway: &Gateway, more: Value) -> Result<(Session, Value)> {
    let mut body = json!({"app": "acme", "widget_key": "wk_demo"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let url = format!("{}/v1/sessions", gateway.public());
    let response = gateway.request(Method::POST, &url, "").json(&body).send().await?;
    ensure!(response.status() == 201, "{}", response.text().await?);
    session_of(response.json().await?)
}

fn session_of(answer: Value) -> Result<(Session, Value)> {
    let text = |key: &str| answer[key].as_str().map(String::from).with_context(|| format!("{key}: {answer}"));
    Ok((Session { id: text("session")?, token: text("token")? }, answer))
}

#[tokio::test]
async fn a_thousand_sessions_cost_memory_only() -> Result<()> {
    let trunk = UdpSocket::bind("127.0.0.1:0")?;
    trunk.set_nonblocking(true)?;
    let gateway = Gateway::start(Plan::to(&[trunk.local_addr()?])).await?;
    let before = gateway.metric("trunkline_process_open_fds").await?;
    for _ in 0..1_000 {
        open(&gateway, json!({"context": {"plan": "gold"}})).await?;
    }
    ensure!(gateway.metric("trunkline_sessions").await? == 1_000.0);
    for nothing in ["trunkline_calls", "trunkline_worker_leased_pairs", "trunkline_worker_calls", "trunkline_sip_legs"]
    {
        ensure!(gateway.metric(nothing).await? == 0.0, "{nothing}");
    }
    // The client's own connections aside.
    ensure!(gateway.metric("trunkline_process_open_fds").await? < before + 50.0);
    gateway.stop().await;
    ensure!(trunk.recv(&mut [0; 2048]).is_err(), "the trunk heard something");
    Ok(())
}

#[tokio::test]
async fn closed_hours_are_told_with_the_session_and_hold_at_the_call() -> Result<()> {
    let never = "hours = { timezone = \"Europe/Madrid\", exceptions = [{ date = \"2001-01-01\", closed = true }] }";
    let gateway = Gateway::start(Plan::nowhere().app(never)).await?;
    let (session, answer) = open(&gateway, json!({})).await?;
    ensure!(answer["state"] == "closed" && answer.get("opens_at") == Some(&Value::Null), "{answer}");
    let offer = Caller::new(Codec::Pcmu).await?.offer;
    let refused = problem(gateway.offer(&session, &offer).await?, 403, "closed").await?;
    ensure!(refused.get("opens_at") == Some(&Value::Null) && refused["session"] == session.id.as_str(), "{refused}");
    let metric = "trunkline_calls_total{class=\"refused\",reason=\"closed_hours\",phase=\"admission\"}";
    ensure!(gateway.metric(metric).await? == 1.0);
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_preview_never_becomes_a_call_whatever_is_done_to_its_token() -> Result<()> {
    let trunk = UdpSocket::bind("127.0.0.1:0")?;
    trunk.set_nonblocking(true)?;
    let gateway = Gateway::start(Plan::to(&[trunk.local_addr()?])).await?;
    let (preview, answer) = open(&gateway, json!({"preview": true})).await?;
    ensure!(answer["state"] == "preview", "{answer}");
    let offer = Caller::new(Codec::Pcmu).await?.offer;
    problem(gateway.offer(&preview, &offer).await?, 403, "preview-session").await?;

    let parts: Vec<&str> = preview.token.split('.').collect();
    let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(parts[1])?)?;
    ensure!(claims.contains("\"mode\":\"preview\""), "{claims}");
    let live = URL_SAFE_NO_PAD.encode(claims.replace("\"preview\"", "\"live\""));
    let flipped = Session { token: format!("{}.{live}.{}", parts[0], parts[2]), ..preview.clone() };
    problem(gateway.offer(&flipped, &offer).await?, 401, "invalid-token").await?;
    // Nor does a query or a header make it one.
    let url = format!("{}/v1/calls?preview=false", gateway.public());
    let request = gateway.request(Method::POST, &url, &preview.token).header("content-type", "application/sdp");
    problem(request.body(offer).send().await?, 403, "preview-session").await?;

    ensure!(gateway.metric("trunkline_calls_started_total").await? == 0.0);
    let refused = "trunkline_calls_total{class=\"refused\",reason=\"preview_session\",phase=\"admission\"}";
    ensure!(gateway.metric(refused).await? == 2.0);
    let calls = gateway.operator(Method::GET, "/v1/calls", READ, None).await?.1;
    ensure!(calls["calls"] == json!([]), "{calls}");
    gateway.stop().await;
    ensure!(trunk.recv(&mut [0; 2048]).is_err(), "the trunk heard something");
    Ok(())
}

#[tokio::test]
async fn a_back_ends_session_brings_its_own_words_to_the_trunk() -> Result<()> {
    let phone = MediaPhone::start(Codec::Pcmu, AGENT).await?;
    let port = phone.address().port().to_string();
    let keys = [("rtp_port", port), ("codec_pt", "0".into()), ("codec_name", "PCMU".into())];
    let sipp = Sipp::start("answer", &keys).await?;
    let template = "context_fields = { prefix = \"X-Web-\", allow = [\"plan\", \"Plan\"] }\n\
                    user_to_user = { fields = [\"order\", \"plan\"], purpose = \"isdn-uui\" }";
    let gateway = Gateway::start(Plan::to(&[sipp.address()]).trunk(template)).await?;
    // As text: of two names that differ in case the first counts, and a JSON value has an order of its own.
    let body = r#"{"app": "acme", "destination": "sip:desk7@t0", "headers": {"X-Case": "42"},
        "metadata": {"ticket": 7}, "context": {"plan": "gold", "Plan": "silver", "order": "a;b", "secret": "s",
            "session": "r1", "preview": "r2", "configId": "r3", "r": "r4", "lang": "r5"}}"#;
    let request = gateway.request(Method::POST, &format!("{}/v1/sessions", gateway.control()), CONTROL);
    let response = request.header("content-type", "application/json").body(body).send().await?;
    ensure!(response.status() == 201, "{}", response.text().await?);
    let answer: Value = response.json().await?;
    ensure!(answer["state"] == "ready", "{answer}");
    let reserved: Vec<_> = answer["context_report"]["dropped"].as_array().context("a list")?.iter().collect();
    ensure!(reserved.len() == 5 && reserved.iter().all(|dropped| dropped["reason"] == "reserved"), "{answer}");
    let (session, _) = session_of(answer)?;
    let caller = Caller::new(Codec::Pcmu).await?;
    let response = gateway.offer(&session, &caller.offer).await?;
    let visitor = caller.answered(session.clone(), response, VISITOR).await?;
    visitor.hears(AGENT, VISITOR).await?;

    let path = format!("/v1/calls/{}/context", visitor.call);
    let (status, told) = gateway.operator(Method::GET, &path, READ, None).await?;
    let expected = json!({"call": visitor.call, "session": session.id, "app": "acme", "profile": "main",
        "context": {"plan": "gold", "Plan": "silver", "order": "a;b", "secret": "s"}, "metadata": {"ticket": 7}});
    ensure!(status == 200 && told == expected, "{status} {told}");
    ensure!(gateway.operator(Method::GET, &path, CONTROL, None).await?.0 == 403);

    gateway.visitor(&session, Method::DELETE, &visitor.call, "", None).await?;
    let ended = gateway.ended(&visitor.call).await?;
    ensure!(ended["sip"]["destination"] == "sip:desk7@t0", "{ended:#}");
    ensure!(gateway.operator(Method::GET, &path, READ, None).await?.1 == expected, "and when the call is over");
    let trace = sipp.finish().await?;
    let invite = trace.split("INVITE sip:desk7@").nth(1).context("an INVITE")?;
    let count = |text: &str| invite.lines().filter(|line| line.starts_with(text)).count();
    ensure!(count("X-Case: 42") == 1 && count("X-Web-plan: gold") == 1, "{invite}");
    // order=a%3Bb;plan=gold, behind the discriminator.
    let uui = "User-to-User: 046F726465723D6125334262\
               3B706C616E3D676F6C64;encoding=hex;purpose=isdn-uui;content=isdn-uui";
    ensure!(count("User-to-User:") == 1 && count(uui) == 1, "{invite}");
    ensure!(!invite.contains("silver") && !invite.contains("X-Web-secret") && !invite.contains("X-Web-r"), "{invite}");
    ensure!(gateway.metric("trunkline_call_fields_dropped_total").await? == 1.0, "of plan and Plan one");
    gateway.stop().await;
    Ok(())
}

#[tokio::test]
async fn stun_and_turn_servers_are_in_the_session_and_in_links_of_the_call() -> Result<()> {
    let servers = "ice_servers = [{ urls = [\"stun:stun.example.net\"] }, \
                   { urls = [\"turn:turn.example.net?transport=udp\"], username = \"gw\", credential = \"pass\" }, \
                   { urls = [\"turns:turn.example.net?transport=tcp\"], secret = \"s3cret\", ttl_seconds = 3600 }]";
    let gateway = Gateway::start(Plan::nowhere().public(servers)).await?;
    let (session, answer) = open(&gateway, json!({})).await?;
    let told = &answer["ice_servers"];
    ensure!(told[0] == json!({"urls": ["stun:stun.example.net"]}), "{told}");
    ensure!(told[1]["username"] == "gw" && told[1]["credential"] == "pass", "{told}");
    ensure!(told[2]["username"].as_str().is_some_and(|name| name.ends_with(&format!(":{}", session.id))), "{told}");

    let offer = Caller::new(Codec::Pcmu).await?.offer;
    let started = gateway.offer(&session, &offer).await?;
    ensure!(started.status() == 201);
    let path = started.headers()["location"].to_str()?.to_owned();
    let url = format!("{}{path}/reattach", gateway.public());
    let again = gateway.request(Method::POST, &url, &session.token).header("content-type", "application/sdp");
    let again = again.body(Caller::new(Codec::Pcmu).await?.offer).send().await?;
    ensure!(again.status() == 201, "{}", again.status());
    for response in [started, again] {
        let links: Vec<&str> =
            response.headers().get_all("link").iter().filter_map(|link| link.to_str().ok()).collect();
        ensure!(links.len() == 3 && links[0] == "<stun:stun.example.net>; rel=\"ice-server\"", "{links:?}");
        let fixed = "<turn:turn.example.net?transport=udp>; rel=\"ice-server\"; username=\"gw\"; credential=\"pass\"; \
                     credential-type=\"password\"";
        ensure!(links[1] == fixed, "{links:?}");
        ensure!(links[2].contains(&format!(":{}\"; credential=\"", session.id)), "{links:?}");
    }
    gateway.stop().await;
    Ok(())
}
