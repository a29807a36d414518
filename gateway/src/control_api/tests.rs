//! The control listener as operators and back ends meet it.

use axum::body::Body;
use axum::extract::Request;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::testing::{self, ADMIN, CONTROL, READ};
use crate::trunks::Unasked;

struct Desktop {
    router: Router,
}

impl Desktop {
    fn new() -> Self {
        let settings = Settings::new(testing::config());
        let desk = Arc::new(Desk::new(settings.clone()));
        let calls = crate::calls::testing::calls(&settings);
        let gauges: Gauges = Box::new(|| Box::pin(std::future::ready(Snapshot::default())));
        let address = "127.0.0.1:8081".parse().unwrap();
        let (clock, client) = (Clock::system(), crate::outbound::Client::new(None).unwrap());
        let (store, herald) = (calls.store().clone(), calls.herald().clone());
        let webhooks = Webhooks::new(settings.clone(), store, client, herald, clock.clone());
        let trunks = Trunks::new(settings.clone(), clock.clone(), Arc::new(Unasked), &calls);
        let reloader = Arc::new(Reloader::new(settings.clone(), None, (*settings.load()).clone(), clock.clone()));
        let metrics = Arc::new(Metrics::new());
        let api = Api::new(reloader, desk, calls, metrics, clock, address, (trunks, webhooks), gauges);
        Self { router: router(Arc::new(api)) }
    }

    /// Status, content type and body.
    async fn ask(&self, method: &str, path: &str, key: &str, body: Option<Value>) -> (u16, String, String) {
        let mut request = Request::builder().method(method).uri(path).header("host", "127.0.0.1:8081");
        if !key.is_empty() {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map_or(Body::empty(), |body| Body::from(body.to_string()));
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let kind = response.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, kind.unwrap_or_default(), String::from_utf8(body.to_vec()).unwrap())
    }

    async fn json(&self, method: &str, path: &str, key: &str, body: Option<Value>) -> (u16, Value) {
        let (status, _, body) = self.ask(method, path, key, body).await;
        (status, serde_json::from_str(&body).unwrap_or(Value::Null))
    }
}

#[tokio::test]
async fn each_scope_opens_its_own_doors() {
    let desktop = Desktop::new();
    let session = || Some(json!({"app": "acme"}));
    for (method, path, body, scope) in [
        ("POST", "/v1/sessions", session(), CONTROL),
        ("GET", "/v1/calls", None, READ),
        ("GET", "/v1/trunks", None, READ),
        ("GET", "/v1/integrations", None, READ),
        ("GET", "/v1/integrations/crm", None, READ),
        ("GET", "/v1/integrations/crm/deliveries", None, READ),
        ("GET", "/v1/node", None, READ),
        ("GET", "/v1/network-requirements", None, READ),
        ("POST", "/v1/trunks/acme/test", None, CONTROL),
        ("POST", "/v1/node/drain", None, ADMIN),
    ] {
        for key in ["", "k", READ, CONTROL, ADMIN] {
            let (status, answer) = desktop.json(method, path, key, body.clone()).await;
            let slug = answer["type"].as_str().unwrap_or_default().rsplit(':').next().unwrap().to_owned();
            if key == scope {
                assert!((200..300).contains(&status), "{method} {path} {key}: {status} {answer}");
            } else if key.len() < 10 {
                assert_eq!((status, slug.as_str()), (401, "invalid-api-key"), "{method} {path} {key}");
            } else {
                assert_eq!((status, slug.as_str()), (403, "insufficient-scope"), "{method} {path} {key}");
            }
        }
    }
}

#[tokio::test]
async fn steering_webhooks_needs_the_scope_and_something_to_steer() {
    let desktop = Desktop::new();
    let slug = |answer: &Value| answer["type"].as_str().unwrap_or_default().rsplit(':').next().unwrap().to_owned();
    for path in ["nobody/reactivate", "nobody/deliveries/evt_x/redeliver"] {
        for (key, expected) in [
            ("", "invalid-api-key"),
            (READ, "insufficient-scope"),
            (ADMIN, "insufficient-scope"),
            (CONTROL, "unknown-integration"),
        ] {
            let (_, answer) = desktop.json("POST", &format!("/v1/integrations/{path}"), key, None).await;
            assert_eq!(slug(&answer), expected, "{path} {key}");
        }
    }
    let (status, all) = desktop.json("GET", "/v1/integrations", READ, None).await;
    let crm = json!({"id": "crm", "app": "acme", "status": "active", "consecutive_failures": 0, "last_error": null,
        "paused_at": null, "pending": 0});
    assert_eq!((status, all), (200, json!({"integrations": [crm]})));
    let path = "/v1/integrations/crm/deliveries";
    let (status, log) = desktop.json("GET", path, READ, None).await;
    assert_eq!((status, log), (200, json!({"deliveries": [], "next_cursor": null})));
    for query in ["state=lost", "limit=0", "limit=201", "cursor=x"] {
        let (_, answer) = desktop.json("GET", &format!("{path}?{query}"), READ, None).await;
        assert_eq!(slug(&answer), "invalid-request", "{query}");
    }
    let (_, answer) = desktop.json("GET", "/v1/integrations/nobody/deliveries", READ, None).await;
    assert_eq!(slug(&answer), "unknown-integration");
}

#[tokio::test]
async fn a_back_end_opens_a_session_without_a_widget_key() {
    let desktop = Desktop::new();
    let body = json!({"app": "acme", "destination": "sip:7@acme", "headers": {"X-Case": "42"}, "metadata": {"a": 1}});
    let (status, answer) = desktop.json("POST", "/v1/sessions", CONTROL, Some(body)).await;
    assert_eq!((status, answer["state"].as_str()), (201, Some("ready")), "{answer}");
    for (body, expected) in [
        (json!({"app": "nobody"}), (404, "unknown-app")),
        (json!({"app": "idle"}), (409, "provider-not-active")),
        (json!({"app": "acme", "headers": {"Via": "x"}}), (400, "invalid-request")),
    ] {
        let (status, answer) = desktop.json("POST", "/v1/sessions", CONTROL, Some(body.clone())).await;
        let slug = answer["type"].as_str().unwrap().rsplit(':').next().unwrap().to_owned();
        assert_eq!((status, slug.as_str()), expected, "{body}");
    }
}

#[tokio::test]
async fn unknown_calls_and_strange_queries() {
    let desktop = Desktop::new();
    let leg = || Some(json!({"leg": "browser"}));
    for (method, path, key, body, expected) in [
        ("GET", "/v1/calls/call_x", READ, None, (404, "unknown-call")),
        ("GET", "/v1/calls/call_x/context", READ, None, (404, "unknown-call")),
        ("GET", "/v1/calls/call_x/context", CONTROL, None, (403, "insufficient-scope")),
        ("GET", "/v1/calls/call_x/quality", READ, None, (404, "unknown-call")),
        ("GET", "/v1/calls/call_x/diagnosis", READ, None, (404, "unknown-call")),
        ("GET", "/v1/calls/call_x/bundle", READ, None, (404, "unknown-call")),
        ("GET", "/v1/calls/call_x/bundle?include=context", ADMIN, None, (404, "unknown-call")),
        ("GET", "/v1/calls/call_x/bundle?include=context", READ, None, (403, "insufficient-scope")),
        ("GET", "/v1/calls/call_x/bundle", CONTROL, None, (403, "insufficient-scope")),
        ("GET", "/v1/calls/call_x/bundle", "", None, (401, "invalid-api-key")),
        ("GET", "/v1/calls/call_x/bundle?include=secrets", READ, None, (400, "invalid-request")),
        ("POST", "/v1/calls/call_x/hangup", CONTROL, Some(json!({"reason": "operator"})), (404, "unknown-call")),
        ("POST", "/v1/calls/call_x/mute", CONTROL, leg(), (404, "unknown-call")),
        ("POST", "/v1/calls/call_x/unmute", CONTROL, leg(), (404, "unknown-call")),
        ("POST", "/v1/calls/call_x/dtmf", CONTROL, Some(json!({"digits": "1"})), (404, "unknown-call")),
        ("POST", "/v1/trunks/nowhere/test", CONTROL, None, (404, "unknown-trunk")),
        ("GET", "/v1/calls?state=sleeping", READ, None, (400, "invalid-request")),
        ("GET", "/v1/calls?limit=0", READ, None, (400, "invalid-request")),
        ("GET", "/v1/calls?limit=x", READ, None, (400, "invalid-request")),
        ("GET", "/v1/calls?since=yesterday", READ, None, (400, "invalid-request")),
        ("GET", "/v1/calls?cursor=yesterday", READ, None, (400, "invalid-request")),
        ("POST", "/v1/destinations/test", CONTROL, Some(json!({"destination": 7})), (400, "invalid-request")),
        ("POST", "/v1/destinations/test", CONTROL, Some(json!("x".repeat(70_000))), (413, "payload-too-large")),
        ("POST", "/v1/destinations/test", "", Some(json!("x".repeat(70_000))), (401, "invalid-api-key")),
        ("POST", "/v1/destinations/test", CONTROL, None, (415, "unsupported-media-type")),
        ("GET", "/v1/nothing", READ, None, (404, "not-found")),
        ("DELETE", "/v1/calls", READ, None, (405, "method-not-allowed")),
    ] {
        let (status, answer) = desktop.json(method, path, key, body).await;
        let slug = answer["type"].as_str().unwrap_or_default().rsplit(':').next().unwrap().to_owned();
        assert_eq!((status, slug.as_str()), expected, "{method} {path}");
    }
    let (status, answer) = desktop.json("GET", "/v1/calls?state=ended&limit=200", READ, None).await;
    assert_eq!((status, answer), (200, json!({"calls": [], "next_cursor": null})));
}

#[tokio::test]
async fn the_node_tells_how_it_is() {
    let desktop = Desktop::new();
    let (status, kind, text) = desktop.ask("GET", "/metrics", "", None).await;
    assert_eq!((status, kind.as_str()), (200, crate::metrics::TEXT_FORMAT));
    assert!(text.contains("\ntrunkline_calls 0\n"), "{text}");
    assert_eq!(desktop.json("GET", "/healthz", "", None).await, (200, json!({"status": "ok"})));
    assert_eq!(desktop.json("GET", "/readyz", "", None).await, (200, json!({"status": "ready"})));
    let (_, node) = desktop.json("GET", "/v1/node", READ, None).await;
    assert_eq!((&node["node"], &node["draining"]), (&json!("test"), &json!(false)));
    let (_, trunks) = desktop.json("GET", "/v1/trunks", READ, None).await;
    assert_eq!(trunks["trunks"][0]["id"], "acme");
    assert_eq!(trunks["trunks"][0]["live_calls"], 0);
    assert_eq!(trunks["trunks"][1]["enabled"], false);

    assert_eq!(node["drain"], json!(null));
    let (status, refusal) = desktop.json("POST", "/v1/node/reload", ADMIN, None).await;
    assert_eq!((status, &refusal["type"]), (409, &json!("urn:trunkline:problem:reload-unavailable")));

    let (status, drain) = desktop.json("POST", "/v1/node/drain", ADMIN, None).await;
    assert_eq!((status, &drain["draining"], &drain["calls"]), (202, &json!(true), &json!({"live": 0})));
    assert!(drain["deadline_at"].as_str() > drain["since"].as_str(), "{drain}");
    assert_eq!(desktop.json("POST", "/v1/node/drain", ADMIN, None).await, (202, drain.clone()), "once and for all");
    let (status, refused) = desktop.json("POST", "/v1/sessions", CONTROL, Some(json!({"app": "acme"}))).await;
    assert_eq!((status, &refused["type"]), (503, &json!("urn:trunkline:problem:draining")));
    assert_eq!(desktop.json("GET", "/v1/node", READ, None).await.1["drain"]["since"], drain["since"]);
    let (status, problem) = desktop.json("GET", "/readyz", "", None).await;
    assert_eq!((status, &problem["type"]), (503, &json!("urn:trunkline:problem:draining")));
    assert_eq!(desktop.json("GET", "/v1/node", READ, None).await.1["draining"], true);
    assert_eq!(desktop.json("GET", "/healthz", "", None).await.0, 200);
}

#[tokio::test]
async fn hostile_requests_make_no_new_series() {
    let desktop = Desktop::new();
    let series = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
    desktop.ask("GET", "/nothing", "", None).await;
    desktop.ask("GET", "/v1/calls/x", "", None).await;
    let before = series(&desktop.ask("GET", "/metrics", "", None).await.2);
    for n in 0..500 {
        desktop.ask("GET", &format!("/nothing/{n}"), &n.to_string(), None).await;
        desktop.ask("GET", &format!("/v1/calls/call_{n}"), "", None).await;
        desktop.ask(&format!("M{n}"), "/v1/calls", "", None).await;
    }
    let after = desktop.ask("GET", "/metrics", "", None).await.2;
    assert!(series(&after) <= before + 20 && after.len() < 256 * 1024, "{before} {}", series(&after));
    assert!(!after.contains("call_4") && !after.contains("M4"));
}
