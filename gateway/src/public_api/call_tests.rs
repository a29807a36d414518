//! Calls from the offer to the last event, with stand-ins for both protocol sides.

use serde_json::json;

use super::tests::{Answer, Site, site};
use crate::testing::{OFFER, config};

const FRAGMENT: &str = "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n\
a=candidate:1 1 udp 2113937151 192.0.2.1 54321 typ host\r\n";
const SDP: (&str, &str) = ("content-type", "application/sdp");

struct Visitor<'a> {
    site: &'a Site,
    session: String,
    token: String,
}

impl<'a> Visitor<'a> {
    async fn new(site: &'a Site) -> Self {
        let (session, token) = site.session(json!({"context": {"plan": "gold"}})).await;
        Self { site, session, token }
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let headers = [&[("authorization", self.token.as_str())], headers].concat();
        self.site.ask(method, path, &headers, body.to_owned()).await
    }

    /// The path of a new call.
    async fn calls(&self) -> String {
        let answer = self.ask("POST", "/v1/calls", &[SDP], OFFER).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.headers["location"].to_str().unwrap().to_owned()
    }

    async fn post(&self, path: &str, body: serde_json::Value) -> Answer {
        self.ask("POST", path, &[("content-type", "application/json")], &body.to_string()).await
    }
}

#[tokio::test]
async fn a_call_is_answered_whip_style() {
    let site = site();
    let visitor = Visitor::new(&site).await;
    let answer = visitor.ask("POST", "/v1/calls", &[SDP, ("origin", "https://shop.example")], OFFER).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (201, "v=0\r\n"));
    assert_eq!(answer.headers["content-type"], "application/sdp");
    assert_eq!(answer.headers["etag"], "\"tag\"");
    assert!(answer.headers["location"].to_str().unwrap().starts_with("/v1/calls/call_"));
    assert_eq!(answer.headers["access-control-allow-origin"], "https://shop.example");
    let second = visitor.ask("POST", "/v1/calls", &[SDP], OFFER).await;
    assert_eq!((second.status.as_u16(), second.problem().as_str()), (409, "call-in-progress"));
    assert_eq!(second.json()["session"], visitor.session.as_str());
}

#[tokio::test]
async fn bad_offers_are_told_apart() {
    let site = site();
    let visitor = Visitor::new(&site).await;
    for (offer, status, slug) in [
        ("", 400, "invalid-sdp"),
        ("{}", 400, "invalid-sdp"),
        (&OFFER.replace("a=rtcp-mux\r\n", ""), 422, "unsupported-sdp"),
    ] {
        let answer = visitor.ask("POST", "/v1/calls", &[SDP], offer).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (status, slug), "{offer}");
    }
}

#[tokio::test]
async fn trickle_restart_and_their_preconditions() {
    let site = site();
    let visitor = Visitor::new(&site).await;
    let call = visitor.calls().await;
    let kind = ("content-type", "application/trickle-ice-sdpfrag");
    let new =
        FRAGMENT.replace("EsAw", "newufrag").replace("P2uYro0UCOQ4zxjKXaWCBui1", "anotherpasswordofthirtychars00");
    for (headers, body, status, etag) in [
        (&[kind, ("if-match", "\"tag\"")][..], FRAGMENT, 204, None),
        (&[kind], FRAGMENT, 428, None),
        (&[kind, ("if-match", "\"old\"")], FRAGMENT, 412, None),
        (&[kind, ("if-match", "W/\"tag\"")], FRAGMENT, 412, None),
        (&[("content-type", "text/plain"), ("if-match", "*")], FRAGMENT, 415, None),
        (&[kind, ("if-match", "*")], "nonsense", 400, None),
        (&[kind, ("if-match", "*")], &new, 200, Some("\"tag3\"")),
        (&[kind, ("if-match", "\"tag\"")], &new, 412, None),
        (&[kind, ("if-match", "\"*\"")], FRAGMENT, 200, Some("\"tag3\"")),
    ] {
        let answer = visitor.ask("PATCH", &call, headers, body).await;
        assert_eq!(answer.status, status, "{headers:?} {}", answer.body);
        assert_eq!(answer.headers.get("etag").map(|etag| etag.to_str().unwrap()), etag, "{headers:?}");
        match status {
            200 => assert_eq!(answer.headers["content-type"], kind.1),
            204 => assert!(answer.body.is_empty()),
            _ => drop(answer.problem()),
        }
    }
    // None of this ended the call.
    assert_eq!(visitor.ask("GET", &call, &[], "").await.status, 204);
    let answer = visitor.ask("POST", &format!("{call}/reattach"), &[SDP], OFFER).await;
    assert_eq!((answer.status.as_u16(), &answer.headers["etag"]), (201, &"\"tag2\"".parse().unwrap()));
    assert_eq!(answer.headers["location"], call.as_str());
}

#[tokio::test]
async fn foreign_and_unknown_calls_look_alike() {
    let site = site();
    let (owner, other) = (Visitor::new(&site).await, Visitor::new(&site).await);
    let call = owner.calls().await;
    for (method, suffix) in [
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/reattach"),
        ("POST", "/dtmf"),
        ("POST", "/mute"),
        ("GET", "/events"),
    ] {
        let foreign = other.ask(method, &format!("{call}{suffix}"), &[], "").await;
        let unknown = other.ask(method, &format!("/v1/calls/call_none{suffix}"), &[], "").await;
        assert_eq!((foreign.status.as_u16(), foreign.problem().as_str()), (404, "unknown-call"), "{method} {suffix}");
        assert_eq!((&foreign.body, &foreign.headers), (&unknown.body, &unknown.headers), "{method} {suffix}");
        let nobody = site.ask(method, &format!("{call}{suffix}"), &[], "").await;
        assert_eq!((nobody.status.as_u16(), nobody.problem().as_str()), (401, "invalid-token"), "{method} {suffix}");
    }
    assert_eq!(owner.ask("GET", &call, &[], "").await.status, 204);
}

#[tokio::test]
async fn a_token_outlives_its_time_with_its_call() {
    let site = site();
    let visitor = Visitor::new(&site).await;
    let call = visitor.calls().await;
    site.pass(3600);
    assert_eq!(visitor.ask("GET", &call, &[], "").await.status, 204);
    assert_eq!(visitor.post(&format!("{call}/mute"), json!({"muted": true})).await.status, 204);
    let report = format!("/v1/sessions/{}/client-report", visitor.session);
    assert_eq!(visitor.post(&report, json!({"code": "ice_failed"})).await.status, 204);
    for path in ["/v1/calls", "/v1/calls/call_none/reattach"] {
        assert_eq!(visitor.ask("POST", path, &[SDP], OFFER).await.problem(), "token-expired", "{path}");
    }
    assert_eq!(visitor.ask("DELETE", &call, &[("if-match", "\"whatever\"")], "").await.status, 200);
    // The call's task ends it; then the token is worth nothing any more.
    while visitor.ask("GET", &call, &[], "").await.status == 204 {
        tokio::task::yield_now().await;
    }
    assert_eq!(visitor.ask("GET", &call, &[], "").await.problem(), "token-expired");
}

#[tokio::test]
async fn digits_mute_and_reports_are_checked() {
    let site = site();
    let visitor = Visitor::new(&site).await;
    let report = format!("/v1/sessions/{}/client-report", visitor.session);
    assert_eq!(visitor.post(&report, json!({"code": "mic_denied", "detail": "no"})).await.status, 204);
    let call = visitor.calls().await;
    let (dtmf, mute) = (format!("{call}/dtmf"), format!("{call}/mute"));
    for (path, body, status, slug) in [
        (&dtmf, json!({"digits": "12#"}), 409, "call-not-connected"),
        (&dtmf, json!({"digits": "12x"}), 400, "invalid-digits"),
        (&dtmf, json!({"digits": "1", "duration_ms": 10}), 400, "invalid-digits"),
        (&dtmf, json!({}), 400, "invalid-request"),
        (&mute, json!({"muted": "yes"}), 400, "invalid-request"),
        (&report, json!({"code": "mic_angry"}), 400, "invalid-request"),
        (&"/v1/sessions/ses_other/client-report".to_owned(), json!({"code": "other"}), 404, "unknown-session"),
    ] {
        let answer = visitor.post(path, body.clone()).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (status, slug), "{path} {body}");
    }
    let mut last = 0;
    for _ in 0..20 {
        last = visitor.post(&report, json!({"code": "other"})).await.status.as_u16();
    }
    assert_eq!(last, 429);
}

#[tokio::test]
async fn events_are_followed_and_replayed() {
    let site = site();
    let visitor = Visitor::new(&site).await;
    let call = visitor.calls().await;
    let events = format!("{call}/events");
    assert_eq!(visitor.ask("DELETE", &call, &[], "").await.status, 200);
    // The stream ends with the call, so it can be read to its end.
    let all = visitor.ask("GET", &events, &[], "").await;
    assert_eq!(all.status, 200);
    assert_eq!(all.headers["content-type"], "text/event-stream");
    let ids: Vec<_> = all.body.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
    assert_eq!(ids, ["1", "2"], "{}", all.body);
    assert!(all.body.contains("event: call_started\n") && all.body.contains("event: call_ended\n"), "{}", all.body);
    assert!(all.body.contains(r#""context":{"plan":"gold"}"#));
    let rest = visitor.ask("GET", &events, &[("last-event-id", "1")], "").await;
    assert!(!rest.body.contains("id: 1\n") && rest.body.contains("id: 2\n"), "{}", rest.body);
    let token = visitor.token.trim_start_matches("Bearer ");
    let by_query = site.ask("GET", &format!("{events}?token={token}"), &[], "").await;
    assert_eq!((by_query.status, by_query.body), (all.status, all.body));
}

#[tokio::test]
async fn calls_are_limited_by_address() {
    let mut config = config();
    config.public.limits.calls_per_minute_per_address = 2;
    let site = Site::new(config);
    for expected in [201, 201, 429] {
        let visitor = Visitor::new(&site).await;
        assert_eq!(visitor.ask("POST", "/v1/calls", &[SDP], OFFER).await.status, expected);
    }
}
