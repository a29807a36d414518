//! The public listener as browsers meet it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};
use tower::ServiceExt;
use trunkline_config::Config;

use super::client::Peer;
use super::*;
use crate::clock::Now;
use crate::testing;

const SHOP: &str = "https://shop.example";

/// The public listener of a configuration, with a clock that stands still until it is told otherwise.
pub(super) struct Site {
    router: Router,
    pub(super) calls: Calls,
    desk: Arc<Desk>,
    seconds: Arc<AtomicU64>,
    metrics: Arc<Metrics>,
}

/// An answer, read to its end.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The slug of a problem; checks what holds for every problem.
    pub(super) fn problem(&self) -> String {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{}", self.body);
        let body = self.json();
        assert_eq!(body["status"], self.status.as_u16());
        assert_eq!(self.status == 401, self.headers.contains_key("www-authenticate"));
        assert_eq!(matches!(self.status.as_u16(), 429 | 503), self.headers.contains_key("retry-after"));
        body["type"].as_str().unwrap().strip_prefix("urn:trunkline:problem:").unwrap().to_owned()
    }
}

impl Site {
    pub(super) fn new(config: Config) -> Self {
        let settings = Settings::new(config);
        let desk = Arc::new(Desk::with_room_for(settings.clone(), 100));
        let metrics = Arc::new(Metrics::new());
        let seconds = Arc::new(AtomicU64::new(0));
        let clock = {
            let (seconds, start) = (seconds.clone(), std::time::Instant::now());
            Clock::new(move || {
                let passed = Duration::from_secs(seconds.load(Ordering::Relaxed));
                Now { instant: start + passed, wall: Timestamp::from_second(1_700_000_000).unwrap() + passed }
            })
        };
        let calls = crate::calls::testing::calls(&settings);
        let api = Api::new(settings, desk.clone(), calls.clone(), metrics.clone(), clock);
        Self { router: router(Arc::new(api)), calls, desk, seconds, metrics }
    }

    pub(super) fn pass(&self, seconds: u64) {
        self.seconds.fetch_add(seconds, Ordering::Relaxed);
    }

    pub(super) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(body.into()).unwrap();
        if request.extensions().get::<Peer>().is_none() {
            request.extensions_mut().insert(Peer("192.0.2.7:4711".parse().unwrap()));
        }
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        Answer { status: parts.status, headers: parts.headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    pub(super) async fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let headers = [&[("content-type", "application/json")], headers].concat();
        self.ask("POST", path, &headers, body.to_string()).await
    }

    /// A session and its token.
    pub(super) async fn session(&self, more: Value) -> (String, String) {
        let mut body = json!({"app": "acme", "widget_key": "wk_demo"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = self.post("/v1/sessions", &[], &body).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        let body = answer.json();
        (body["session"].as_str().unwrap().to_owned(), format!("Bearer {}", body["token"].as_str().unwrap()))
    }
}

pub(super) fn site() -> Site {
    Site::new(testing::config())
}

#[tokio::test]
async fn a_session_is_answered_as_published() {
    let site = site();
    let body = json!({"app": "acme", "widget_key": "wk_demo", "profile": "sales", "lang": "en", "preview": false,
        "context": {"plan": "gold", "bad key": "x"}, "form": {"name": "Ann"},
        "client": {"tz_offset_minutes": 60, "page": "https://shop.example/"}});
    let answer = site.post("/v1/sessions", &[], &body).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.headers["cache-control"], "no-store");
    let mut body = answer.json();
    let (session, token) = (body["session"].take(), body["token"].take());
    assert!(session.as_str().unwrap().starts_with("ses_"));
    assert_eq!(token.as_str().unwrap().split('.').count(), 3);
    assert_eq!(
        body,
        json!({"session": null, "token": null, "expires_at": "2023-11-14T22:23:20.000Z", "state": "ready",
            "profile": "sales", "profile_fallback": false, "survey": false, "ice_servers": [],
            "context_report": {"accepted": ["plan"], "dropped": [{"key": "bad key", "reason": "invalid_key"}],
                "truncated": []}})
    );
    let text = site.metrics.render(&crate::metrics::Snapshot::default());
    assert!(text.contains(r#"trunkline_context_keys_dropped_total{reason="invalid_key"} 1"#), "{text}");
    assert!(text.contains(r#"code="201",listener="public",route="/v1/sessions"} 1"#), "{text}");
}

#[tokio::test]
async fn sessions_are_refused_with_their_slug() {
    let site = site();
    let good = json!({"app": "acme", "widget_key": "wk_demo"});
    for (headers, body, status, slug) in [
        (&[][..], json!({"app": "nobody"}), 404, "unknown-app"),
        (&[], json!({"app": "acme", "widget_key": "wk_idle"}), 401, "widget-key-mismatch"),
        (&[], json!({"app": "idle", "widget_key": "wk_idle"}), 409, "provider-not-active"),
        (&[], json!({"app": 7}), 400, "invalid-request"),
        (&[], json!([]), 400, "invalid-request"),
        (&[("origin", "null")], good.clone(), 403, "origin-not-allowed"),
        (&[("origin", "https://evil.example")], good.clone(), 403, "origin-not-allowed"),
        (&[("origin", "https://idle.example")], good.clone(), 403, "origin-not-allowed"),
        (&[("idempotency-key", "")], good.clone(), 400, "invalid-request"),
    ] {
        let answer = site.post("/v1/sessions", headers, &body).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (status, slug), "{headers:?} {body}");
    }
    for (headers, body, status, slug) in [
        (&[("content-type", "text/plain")][..], good.to_string(), 415, "unsupported-media-type"),
        (&[], good.to_string(), 415, "unsupported-media-type"),
        (&[("content-type", "application/json")], " ".repeat(64 * 1024 + 1), 413, "payload-too-large"),
        (&[("content-type", "application/json"), ("content-length", "70000")], String::new(), 413, "payload-too-large"),
        (&[("content-type", "application/json; charset=utf-8")], String::new(), 400, "invalid-request"),
    ] {
        let answer = site.ask("POST", "/v1/sessions", headers, body).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (status, slug), "{headers:?}");
    }
}

#[tokio::test]
async fn too_many_sessions_are_overload() {
    let site = site();
    for _ in 0..100 {
        site.session(json!({})).await;
    }
    let answer = site.post("/v1/sessions", &[], &json!({"app": "acme", "widget_key": "wk_demo"})).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (503, "overloaded"));
    site.pass(600);
    site.session(json!({})).await;
}

#[tokio::test]
async fn what_no_route_takes_is_a_problem_too() {
    let site = site();
    for (method, path, status, slug) in [
        ("GET", "/", 404, "not-found"),
        ("POST", "/v1/nothing", 404, "not-found"),
        ("GET", "/metrics", 404, "not-found"),
        ("GET", "/readyz", 404, "not-found"),
        ("GET", "/v1/node", 404, "not-found"),
        ("GET", "/v1/sessions", 405, "method-not-allowed"),
        ("PUT", "/v1/calls", 405, "method-not-allowed"),
        ("GET", "/v1/calls/%ff/events", 400, "invalid-request"),
    ] {
        let answer = site.ask(method, path, &[], "").await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (status, slug), "{method} {path}");
        assert_eq!(answer.headers.contains_key("allow"), status == 405, "{method} {path}");
    }
    assert_eq!(site.ask("GET", "/healthz", &[], "").await.json(), json!({"status": "ok"}));
    assert_eq!(site.ask("GET", "/v1/calls", &[], "").await.status, 204);
}

#[tokio::test]
async fn cross_origin_use_row_by_row() {
    let site = site();
    let body = json!({"app": "acme", "widget_key": "wk_demo"});
    for (origin, status, readable) in [
        (None, 201, None),
        (Some(SHOP), 201, Some(SHOP)),
        (Some("http://127.0.0.1:0"), 201, None), // The gateway's own pages.
        (Some("https://SHOP.example"), 403, None),
        (Some("https://shop.example/"), 403, None),
        (Some("https://shop.example:443"), 403, None),
        (Some("http://shop.example"), 403, None),
        (Some("https://shop.example.evil.example"), 403, None),
        (Some("null"), 403, None),
        (Some("*"), 403, None),
        (Some(""), 403, None),
        // Known, but to another app: refused, and the refusal is not for that page to read.
        (Some("https://idle.example"), 403, None),
    ] {
        let headers: Vec<_> = origin.map(|origin| ("origin", origin)).into_iter().collect();
        let answer = site.post("/v1/sessions", &headers, &body).await;
        assert_eq!(answer.status, status, "{origin:?}");
        let allowed = answer.headers.get("access-control-allow-origin").map(|value| value.to_str().unwrap());
        assert_eq!(allowed, readable, "{origin:?}");
        if readable.is_some() {
            assert_eq!(answer.headers["access-control-expose-headers"], "location, etag, link, retry-after");
            assert_eq!(answer.headers["vary"], "origin");
        }
        assert!(!answer.headers.contains_key("access-control-allow-credentials"));
    }
    // A refusal is readable for a page that may use the app.
    let answer = site.post("/v1/sessions", &[("origin", SHOP)], &json!({"app": "nobody"})).await;
    assert_eq!(answer.headers["access-control-allow-origin"], SHOP);
}

#[tokio::test]
async fn preflights_need_no_token_and_know_the_origins() {
    let site = site();
    for (origin, status) in [(SHOP, 200), ("https://idle.example", 200), ("https://evil.example", 403), ("null", 403)] {
        for path in ["/v1/sessions", "/v1/calls", "/v1/calls/call_x", "/v1/calls/call_x/reattach"] {
            let headers = [("origin", origin), ("access-control-request-method", "POST")];
            let answer = site.ask("OPTIONS", path, &headers, "").await;
            assert_eq!(answer.status, status, "{origin} {path}");
            let allowed = answer.headers.get("access-control-allow-origin").map(|value| value.to_str().unwrap());
            assert_eq!(allowed, (status == 200).then_some(origin), "{origin} {path}");
            if status == 200 {
                let headers = answer.headers["access-control-allow-headers"].to_str().unwrap();
                for name in ["authorization", "content-type", "if-match", "idempotency-key", "last-event-id"] {
                    assert!(headers.contains(name), "{name}");
                }
                assert!(!answer.headers.contains_key("link"));
            }
        }
    }
    let answer = site.ask("OPTIONS", "/v1/calls", &[], "").await;
    assert_eq!((answer.status.as_u16(), &answer.headers["accept-post"]), (200, &"application/sdp".parse().unwrap()));
    let answer = site.ask("OPTIONS", "/v1/calls/call_x", &[], "").await;
    assert_eq!(answer.headers["accept-patch"], "application/trickle-ice-sdpfrag");
}

#[tokio::test]
async fn retries_and_reuse_of_an_idempotency_key() {
    let site = site();
    let body = json!({"app": "acme", "widget_key": "wk_demo"});
    let key = [("idempotency-key", "4711")];
    let first = site.post("/v1/sessions", &key, &body).await;
    let again = site.post("/v1/sessions", &key, &body).await;
    assert_eq!((again.status.as_u16(), again.json()), (201, first.json()));
    let other = site.post("/v1/sessions", &key, &json!({"app": "acme", "widget_key": "wk_demo", "lang": "es"})).await;
    assert_eq!((other.status.as_u16(), other.problem().as_str()), (422, "idempotency-key-reused"));
    let wrong = site.post("/v1/sessions", &key, &json!({"app": "acme", "widget_key": "guess"})).await;
    assert_eq!(wrong.problem(), "widget-key-mismatch");
    assert_eq!(site.desk.reap(Now { instant: std::time::Instant::now(), wall: Timestamp::UNIX_EPOCH }), 1);
}

#[tokio::test]
async fn clients_are_limited_each_on_its_own() {
    let mut config = testing::config();
    config.public.limits.sessions_per_minute_per_address = 3;
    config.public.trusted_proxies = vec!["192.0.2.7".parse().unwrap()];
    let site = Site::new(config);
    let body = json!({"app": "acme", "widget_key": "wrong"});
    let from = |address| [("x-forwarded-for", address)];
    for _ in 0..3 {
        assert_eq!(site.post("/v1/sessions", &from("2001:db8::1"), &body).await.problem(), "widget-key-mismatch");
    }
    let refused = site.post("/v1/sessions", &from("2001:db8::2"), &body).await;
    assert_eq!((refused.status.as_u16(), refused.problem().as_str()), (429, "rate-limited"));
    assert_eq!(refused.headers["retry-after"], "20");
    // What the client wrote itself does not help it; another client is not concerned; time heals.
    assert_eq!(site.post("/v1/sessions", &from("9.9.9.9, 2001:db8::1"), &body).await.status, 429);
    assert_eq!(site.post("/v1/sessions", &from("2001:db8:0:1::1"), &body).await.status, 401);
    site.pass(20);
    assert_eq!(site.post("/v1/sessions", &from("2001:db8::1"), &body).await.status, 401);
}

#[tokio::test]
async fn without_a_good_token_there_is_no_call() {
    let site = site();
    let (_, live) = site.session(json!({})).await;
    let (_, preview) = site.session(json!({"preview": true})).await;
    let sdp = ("content-type", "application/sdp");
    for (token, expected) in [
        ("", (401, "invalid-token")),
        ("Bearer", (401, "invalid-token")),
        ("Bearer x.y.z", (401, "invalid-token")),
        (&live.replace("Bearer", "Basic"), (401, "invalid-token")),
        (&format!("Bearer {}", "x".repeat(100_000)), (401, "invalid-token")),
        (&preview, (403, "preview-session")),
    ] {
        let answer = site.ask("POST", "/v1/calls", &[("authorization", token), sdp], "v=0").await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), expected, "{token:.40}");
    }
    // A token in the query is for event streams only.
    let path = format!("/v1/calls?token={}", live.trim_start_matches("Bearer "));
    assert_eq!(site.ask("POST", &path, &[sdp], "v=0").await.problem(), "invalid-token");
    let authorized = ("authorization", live.as_str());
    assert_eq!(site.ask("POST", "/v1/calls", &[authorized], "v=0").await.problem(), "unsupported-media-type");
    let large = "a".repeat(64 * 1024 + 1);
    assert_eq!(site.ask("POST", "/v1/calls", &[authorized, sdp], large).await.problem(), "payload-too-large");
    let foreign = [authorized, sdp, ("origin", "https://idle.example")];
    assert_eq!(site.ask("POST", "/v1/calls", &foreign, "v=0").await.problem(), "origin-not-allowed");
    site.pass(700);
    assert_eq!(site.ask("POST", "/v1/calls", &[authorized, sdp], "v=0").await.problem(), "token-expired");
}
