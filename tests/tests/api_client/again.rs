//! The same asked twice, and asked of what is over.

use anyhow::{Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use trunkline_tests::gateway::{ADMIN, CONTROL, READ};

use super::Talking;

#[tokio::test]
async fn what_is_asked_twice_is_done_once_and_what_is_over_says_so() -> Result<()> {
    let call = Talking::begin().await?;
    let (gateway, session, id) = (&call.gateway, call.visitor.session.clone(), call.visitor.call.clone());
    let ask = |path: &str, key: &'static str, body: Value| {
        let path = format!("/v1/calls/{id}{path}");
        async move { gateway.operator(Method::POST, &path, key, Some(body)).await }
    };
    let visitor =
        |method: Method, path: &'static str, body: Option<Value>| gateway.visitor(&session, method, &id, path, body);
    for _ in 0..2 {
        ensure!(ask("/mute", CONTROL, json!({"leg": "sip"})).await?.0 == 204);
        ensure!(visitor(Method::POST, "/mute", Some(json!({"muted": true}))).await?.status() == 204);
    }
    for _ in 0..2 {
        ensure!(ask("/unmute", CONTROL, json!({"leg": "sip"})).await?.0 == 204);
    }
    ensure!(visitor(Method::DELETE, "", None).await?.status() == 200);
    let record = gateway.ended(&id).await?;
    ensure!(record["outcome"]["reason"] == "user_hangup", "{record:#}");
    // A call that is over can be hung up as often as anybody likes: it keeps its outcome.
    ensure!(visitor(Method::DELETE, "", None).await?.status() == 200);
    ensure!(ask("/hangup", CONTROL, json!({})).await?.0 == 202);
    ensure!(gateway.record(&id).await?["outcome"] == record["outcome"]);
    for (path, body) in [("/mute", json!({})), ("/unmute", json!({})), ("/dtmf", json!({"digits": "1"}))] {
        let (status, problem) = ask(path, CONTROL, body).await?;
        ensure!(status == 409 && problem["type"] == "urn:trunkline:problem:call-ended", "{path}: {status} {problem}");
        ensure!(problem["call"] == id.as_str(), "{problem}");
    }
    for _ in 0..2 {
        let (status, drained) = gateway.operator(Method::POST, "/v1/node/drain", ADMIN, None).await?;
        ensure!(status == 202 && drained["draining"] == true, "{status} {drained}");
    }
    ensure!(gateway.operator(Method::GET, "/v1/node", READ, None).await?.1["draining"] == true);
    call.sipp.finish().await?;
    call.gateway.stop().await;
    Ok(())
}
