//! The control listener: scopes, records, lists, hanging up.

use anyhow::{Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use trunkline_tests::gateway::{ADMIN, CONTROL, READ};

use super::{Talking, problem, rfc3339};

#[tokio::test]
async fn the_control_listener() -> Result<()> {
    let call = Talking::begin().await?;
    let (gateway, id) = (&call.gateway, call.visitor.call.clone());
    for (method, path, scope) in [
        (Method::GET, "/v1/calls".to_owned(), READ),
        (Method::GET, format!("/v1/calls/{id}"), READ),
        (Method::GET, "/v1/trunks".to_owned(), READ),
        (Method::GET, "/v1/node".to_owned(), READ),
        (Method::POST, format!("/v1/calls/{id}/mute"), CONTROL),
        (Method::POST, format!("/v1/calls/{id}/unmute"), CONTROL),
    ] {
        for key in ["", "nonsense", READ, CONTROL, ADMIN] {
            let url = format!("{}{path}", gateway.control());
            let response = gateway.request(method.clone(), &url, key).send().await?;
            match (key, key == scope) {
                (_, true) => ensure!(response.status().is_success(), "{method} {path}: {}", response.status()),
                ("" | "nonsense", false) => drop(problem(response, 401, "invalid-api-key").await?),
                (_, false) => drop(problem(response, 403, "insufficient-scope").await?),
            }
        }
    }
    // A page of another origin has no business here, key or no key.
    let url = format!("{}/v1/calls", gateway.control());
    let page = gateway.request(Method::GET, &url, READ).header("origin", "https://shop.example").send().await?;
    problem(page, 403, "origin-not-allowed").await?;
    problem(gateway.request(Method::GET, &format!("{url}/call_x"), READ).send().await?, 404, "unknown-call").await?;

    let record = gateway.record_when(&id, "a sample", |r| !r["quality"]["sip_up"]["jitter_ms"].is_null()).await?;
    record_is_as_published(&record)?;
    ensure!(record["state"] == "talking" && record["outcome"].is_null() && record["timings"]["ended_at"].is_null());
    ensure!(record["context"] == json!({"plan": "gold"}) && record["app"] == "acme" && record["profile"] == "main");
    let list = gateway.operator(Method::GET, "/v1/calls?state=talking&app=acme", READ, None).await?.1;
    ensure!(list["calls"][0]["call"] == id.as_str() && list["next_cursor"].is_null(), "{list:#}");
    let none = gateway.operator(Method::GET, "/v1/calls?app=other", READ, None).await?.1;
    ensure!(none == json!({"calls": [], "next_cursor": null}), "{none:#}");

    let hangup = format!("/v1/calls/{id}/hangup");
    let (status, _) = gateway.operator(Method::POST, &hangup, CONTROL, Some(json!({"reason": "operator"}))).await?;
    ensure!(status == 202, "{status}");
    let record = gateway.ended(&id).await?;
    record_is_as_published(&record)?;
    let outcome = &record["outcome"];
    ensure!(outcome["class"] == "ended" && outcome["reason"] == "remote_hangup" && outcome["detail"] == "operator");
    for key in ["phase", "blame", "advice"] {
        ensure!(outcome[key].is_string(), "{key}: {outcome:#}");
    }
    for key in ["level", "since", "half_leg", "reasons"] {
        ensure!(outcome["quality_at_end"].get(key).is_some(), "{key}: {outcome:#}");
    }
    for key in ["last_rtp_age_ms", "last_stun_check_age_ms", "ice_state", "selected_path", "last_sip", "timers_fired"] {
        ensure!(outcome["evidence"].get(key).is_some(), "{key}: {outcome:#}");
    }
    let ended = gateway.operator(Method::GET, "/v1/calls?state=ended&reason=remote_hangup", READ, None).await?.1;
    ensure!(ended["calls"][0]["call"] == id.as_str(), "{ended:#}");
    let path = format!("{}{hangup}", gateway.control());
    let trace = call.sipp.finish().await?;
    ensure!(trace.contains("Reason: Q.850;cause=16"), "{trace}");
    let metric = "trunkline_calls_total{class=\"ended\",reason=\"remote_hangup\",phase=\"talking\"}";
    ensure!(gateway.metric(metric).await? == 1.0, "{path}");
    call.gateway.stop().await;
    Ok(())
}

fn record_is_as_published(record: &Value) -> Result<()> {
    for (at, keys) in [
        (
            "",
            &[
                "call",
                "session",
                "app",
                "profile",
                "state",
                "started_at",
                "timings",
                "context",
                "duration_seconds",
                "talk_seconds",
                "browser",
                "sip",
                "quality",
                "findings",
                "outcome",
            ][..],
        ),
        (
            "timings",
            &[
                "ice_connected_at",
                "dtls_connected_at",
                "ringing_at",
                "answered_at",
                "first_audio_up_at",
                "first_audio_down_at",
                "ended_at",
            ],
        ),
        ("browser", &["codec", "path", "srtp", "remote"]),
        ("sip", &["trunk", "destination", "call_id", "codec", "srtp", "attempts"]),
        ("quality", &["browser_up", "browser_down", "sip_up", "sip_down"]),
    ] {
        let part = if at.is_empty() { record } else { &record[at] };
        for key in keys {
            ensure!(part.get(*key).is_some(), "{at}.{key}: {record:#}");
        }
    }
    for leg in ["browser_up", "browser_down", "sip_up", "sip_down"] {
        for key in ["level", "reasons", "since", "loss", "late", "jitter_ms", "rtt_ms", "mos_lq", "mos_cq"] {
            ensure!(record["quality"][leg].get(key).is_some(), "{leg}.{key}: {record:#}");
        }
    }
    ensure!(rfc3339(&record["started_at"]) && rfc3339(&record["timings"]["answered_at"]), "{record:#}");
    ensure!(record["browser"]["srtp"].as_str().is_some_and(|s| s.starts_with("A")), "{record:#}");
    let attempt = &record["sip"]["attempts"][0];
    for key in ["destination", "target", "status", "reason"] {
        ensure!(attempt.get(key).is_some(), "{key}: {record:#}");
    }
    Ok(())
}
