//! Sessions that wait for calls, as pages meet them.

use serde_json::{Value, json};
use trunkline_config::{Inbound, Receive};

use super::tests::{Answer, Site};
use crate::ids::SessionId;
use crate::session::Session;
use crate::testing::{OFFER, config, session};

const SDP: (&str, &str) = ("content-type", "application/sdp");

fn site(receive: Receive, inbound: bool) -> Site {
    let mut config = config();
    config.trunks[0].inbound =
        inbound.then(|| Inbound { allow: Vec::new(), auth: None, numbers: Vec::new(), hosts: Vec::new() });
    config.apps[0].receive = receive;
    Site::new(config)
}

async fn open(site: &Site, name: &str) -> Answer {
    let body = json!({"app": "acme", "widget_key": "wk_demo", "mode": "receive", "name": name});
    site.post("/v1/sessions", &[], &body).await
}

fn bearer(session: &Value) -> String {
    format!("Bearer {}", session["token"].as_str().unwrap())
}

#[tokio::test]
async fn who_may_wait_for_calls_with_a_widget_key() {
    for (receive, inbound, name, status, slug) in [
        (Receive::Widget, true, "ann", 201, ""),
        (Receive::BackEnd, true, "ann", 403, "receive-not-allowed"),
        (Receive::Off, true, "ann", 403, "receive-not-allowed"),
        (Receive::Widget, false, "ann", 409, "provider-not-active"),
        (Receive::Widget, true, "ann@elsewhere", 400, "invalid-request"),
    ] {
        let answer = open(&site(receive, inbound), name).await;
        assert_eq!(answer.status, status, "{}", answer.body);
        if status == 201 {
            let body = answer.json();
            assert_eq!((&body["mode"], &body["state"]), (&json!("receive"), &json!("ready")));
            assert_eq!(body["address"], "sip:ann@127.0.0.1");
        } else {
            assert_eq!(answer.problem(), slug);
        }
    }
}

#[tokio::test]
async fn a_token_to_receive_is_good_for_that_alone_and_while_it_is_reached() {
    let site = site(Receive::Widget, true);
    let waiting = open(&site, "ann").await.json();
    let (id, token) = (waiting["session"].as_str().unwrap().to_owned(), bearer(&waiting));
    let own = [("authorization", token.as_str()), SDP];
    let problem = |answer: Answer| (answer.status.as_u16(), answer.problem());
    assert_eq!(problem(site.ask("POST", "/v1/calls", &own, OFFER).await), (403, "receive-session".into()));
    assert_eq!(problem(site.ask("POST", "/v1/calls?call=call_x", &own, OFFER).await), (404, "unknown-call".into()));
    assert_eq!(problem(site.ask("POST", "/v1/calls/call_x/decline", &own, "").await), (404, "unknown-call".into()));
    let (other, live) = site.session(json!({})).await;
    let live = [("authorization", live.as_str()), SDP];
    assert_eq!(problem(site.ask("POST", "/v1/calls?call=call_x", &live, OFFER).await), (404, "unknown-call".into()));
    let events = |session: &str| format!("/v1/sessions/{session}/events");
    assert_eq!(problem(site.ask("GET", &events(&other), &own, "").await), (404, "unknown-session".into()));
    assert_eq!(problem(site.ask("GET", &events(&other), &live, "").await), (404, "unknown-call".into()));
    assert_eq!(problem(site.ask("GET", &events(&id), &[], "").await), (401, "invalid-token".into()));

    // Reached, it outlives its token.
    let known = Session { id: SessionId::from_client(&id), receive: Some("ann".into()), ..session("acme") };
    let stream = site.calls.receive(&known, "ann", 0).unwrap();
    site.pass(3_600);
    assert_eq!(problem(site.ask("POST", "/v1/calls/call_x/decline", &own, "").await), (404, "unknown-call".into()));
    drop(stream);
    site.pass(60);
    assert_eq!(problem(site.ask("POST", "/v1/calls/call_x/decline", &own, "").await), (401, "token-expired".into()));
}
