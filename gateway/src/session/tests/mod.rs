//! The desk as the listeners use it, and what tokens it takes back.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use trunkline_config::{Secret, TokenKey};

use super::idempotency::Claim;
use super::*;
use crate::clock::Now;
use crate::testing;

mod answer;
mod keys;
mod quotas;

const WIDGET: Caller<'static> = Caller::Widget { address: "192.0.2.1", origin: None };
const BACK_END: Caller<'static> = Caller::BackEnd { key: "ops" };

fn now() -> Now {
    Now { instant: Instant::now(), wall: Timestamp::from_second(1_700_000_000).unwrap() }
}

fn later(now: Now, seconds: u64) -> Now {
    Now { instant: now.instant + Duration::from_secs(seconds), wall: now.wall + Duration::from_secs(seconds) }
}

fn open(desk: &Desk, caller: Caller<'_>, body: &Value) -> Result<Value, &'static str> {
    let asked = NewSession::parse(body.to_string().as_bytes()).map_err(|problem| problem.slug)?;
    desk.open(now(), caller, &asked, None).map(|opened| opened.body).map_err(|problem| problem.slug)
}

#[test]
fn who_may_open_a_session() {
    let desk = Desk::new(testing::config().into());
    let from = |origin| Caller::Widget { address: "192.0.2.1", origin: Some(origin) };
    let good = json!({"app": "acme", "widget_key": "wk_demo"});
    for (caller, body, expected) in [
        (WIDGET, good.clone(), Ok("ready")),
        (WIDGET, json!({"app": "acme", "widget_key": "wk_demo", "preview": true}), Ok("preview")),
        (WIDGET, json!({"app": "nobody", "widget_key": "wk_demo"}), Err("unknown-app")),
        (WIDGET, json!({"app": "acme", "widget_key": "wk_other"}), Err("widget-key-mismatch")),
        (WIDGET, json!({"app": "acme"}), Err("widget-key-mismatch")),
        (WIDGET, json!({"app": "idle", "widget_key": "wk_idle"}), Err("provider-not-active")),
        (WIDGET, json!({"widget_key": "wk_demo"}), Err("invalid-request")),
        (from("https://shop.example"), good.clone(), Ok("ready")),
        (from("https://shop.example:8443"), good.clone(), Err("origin-not-allowed")),
        (from("http://shop.example"), good.clone(), Err("origin-not-allowed")),
        // Of another app.
        (from("https://idle.example"), good, Err("origin-not-allowed")),
        (BACK_END, json!({"app": "acme"}), Ok("ready")),
        (BACK_END, json!({"app": "acme", "destination": "nonsense"}), Err("invalid-request")),
    ] {
        let state = open(&desk, caller, &body).map(|answer| answer["state"].clone());
        assert_eq!(state, expected.map(Value::from), "{caller:?} {body}");
    }
}

#[test]
fn an_unknown_profile_falls_back_and_says_so() {
    let desk = Desk::new(testing::config().into());
    for (asked, profile, fallback, survey) in [
        (json!("sales"), "sales", false, false),
        (json!("nope"), "main", true, true),
        (Value::Null, "main", false, true),
    ] {
        let body = json!({"app": "acme", "widget_key": "wk_demo", "profile": asked});
        let answer = open(&desk, WIDGET, &body).unwrap();
        assert_eq!(
            (&answer["profile"], &answer["profile_fallback"], &answer["survey"]),
            (&json!(profile), &json!(fallback), &json!(survey)),
            "{asked}"
        );
    }
}

#[test]
fn only_a_back_end_chooses_the_destination() {
    let desk = Desk::new(testing::config().into());
    let body = json!({"app": "acme", "widget_key": "wk_demo", "destination": "sip:x@acme", "headers": {"X-Case": "42"},
        "metadata": {"order": 7}});
    let session = |caller| {
        let answer = open(&desk, caller, &body).unwrap();
        desk.session(now(), &SessionId::from_client(answer["session"].as_str().unwrap())).unwrap()
    };
    let widgets = session(WIDGET);
    assert_eq!((widgets.destination, widgets.headers, widgets.metadata), (None, vec![], None));
    let back_ends = session(BACK_END);
    assert_eq!(back_ends.destination.as_deref(), Some("sip:x@acme"));
    assert_eq!(back_ends.headers, [("X-Case".to_owned(), "42".to_owned())]);
    assert_eq!(back_ends.metadata, Some(json!({"order": 7})));
}

#[test]
fn sessions_are_counted_and_expire() {
    let desk = Desk::with_room_for(testing::config().into(), 2);
    let start = now();
    let asked = NewSession::parse(br#"{"app":"acme","widget_key":"wk_demo"}"#).ok().unwrap();
    let first = desk.open(start, WIDGET, &asked, None).unwrap().body;
    let id = SessionId::from_client(first["session"].as_str().unwrap());
    desk.open(later(start, 1), WIDGET, &asked, None).unwrap();
    let full = desk.open(later(start, 2), WIDGET, &asked, None).unwrap_err();
    assert_eq!((full.slug, full.status), ("overloaded", 503));
    assert!(full.retry_after.is_some_and(|seconds| (1..=60).contains(&seconds)));
    assert!(desk.session(later(start, 599), &id).is_some());
    assert!(desk.session(later(start, 600), &id).is_none());
    assert!(desk.open(later(start, 600), WIDGET, &asked, None).is_ok());
    assert_eq!(desk.reap(later(start, 100_000)), 0);
}

#[test]
fn a_retry_gets_the_same_session() {
    let desk = Desk::new(testing::config().into());
    let asked = NewSession::parse(br#"{"app":"acme","widget_key":"wk_demo"}"#).ok().unwrap();
    let claim = |body: &[u8]| Claim::new("192.0.2.1", "acme", "k-1", body).unwrap();
    let start = now();
    let first = desk.open(start, WIDGET, &asked, Some(&claim(b"a"))).unwrap();
    let again = desk.open(later(start, 5), WIDGET, &asked, Some(&claim(b"a"))).unwrap();
    assert_eq!(first.body, again.body);
    let other = desk.open(start, WIDGET, &asked, Some(&claim(b"b"))).unwrap_err();
    assert_eq!(other.slug, "idempotency-key-reused");
    assert_eq!(desk.reap(start), 1);
}

/// A session with its token.
fn issued(desk: &Desk) -> (String, Claims) {
    let asked = NewSession::parse(br#"{"app":"acme","widget_key":"wk_demo"}"#).ok().unwrap();
    let token = desk.open(now(), WIDGET, &asked, None).unwrap().body["token"].as_str().unwrap().to_owned();
    let claims = desk.tokens().verify(now().wall, &token).unwrap().claims;
    (token, claims)
}

#[test]
fn a_token_ages_at_the_second_it_says() {
    let desk = Desk::new(testing::config().into());
    let (token, claims) = issued(&desk);
    assert_eq!((claims.exp - claims.iat, claims.app.as_str(), claims.mode), (600, "acme", Mode::Live));
    let expired = |seconds| desk.tokens().verify(later(now(), seconds).wall, &token).map(|verified| verified.expired);
    assert_eq!(expired(0), Ok(false));
    assert_eq!(expired(604), Ok(false), "leeway");
    assert_eq!(expired(605), Ok(true));
    let problem = desk.tokens().verify(later(now(), 605).wall, &token).unwrap().fresh().unwrap_err();
    assert_eq!((problem.slug, problem.status), ("token-expired", 401));
}

#[test]
fn a_clock_that_was_set_back_takes_no_token_of_a_live_call_away() {
    let desk = Desk::new(testing::config().into());
    let (token, claims) = issued(&desk);
    let verified = desk.tokens().verify(now().wall - Duration::from_secs(3600), &token).unwrap();
    assert_eq!((&verified.claims, verified.expired), (&claims, true));
    let problem = verified.fresh().unwrap_err();
    assert_eq!((problem.slug, problem.status), ("token-expired", 401), "it starts no call");
    let leeway = desk.tokens().verify(now().wall - Duration::from_secs(5), &token).unwrap();
    assert!(!leeway.expired);
}

#[test]
fn forged_tokens_are_refused() {
    const KEY: &str = "a-key-of-the-test-a-key-of-the-test";
    let mut config = testing::config();
    config.public.token_keys = vec![TokenKey::Shared(Secret::new(KEY))];
    let desk = Desk::new(config.into());
    let (token, claims) = issued(&desk);
    let header = jsonwebtoken::decode_header(&token).unwrap();
    let sign = |header: &Header, claims: &Value, key: &str| {
        jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(key.as_bytes())).unwrap()
    };
    let good = serde_json::to_value(&claims).unwrap();
    assert!(
        desk.tokens().verify(now().wall, &sign(&header, &good, KEY)).is_ok(),
        "the table below differs in one thing"
    );

    let with = |member: &str, value: Value| {
        let mut claims = good.clone();
        claims[member] = value;
        sign(&header, &claims, KEY)
    };
    let under = |change: fn(&mut Header)| {
        let mut header = header.clone();
        change(&mut header);
        sign(&header, &good, KEY)
    };
    let parts: Vec<&str> = token.split('.').collect();
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"; // {"alg":"none","typ":"JWT"}
    let mut flipped = parts[1].to_owned();
    flipped.replace_range(20..21, if &flipped[20..21] == "A" { "B" } else { "A" });
    for (what, token) in [
        ("empty", String::new()),
        ("two parts", format!("{}.{}", parts[0], parts[1])),
        ("alg none, no signature", format!("{none}.{}.", parts[1])),
        ("alg none, old signature", format!("{none}.{}.{}", parts[1], parts[2])),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("claims changed", format!("{}.{flipped}.{}", parts[0], parts[2])),
        ("another key", sign(&header, &good, "another-key-another-key-another-key!")),
        ("another algorithm of the family", under(|header| header.alg = Algorithm::HS512)),
        ("no kid", under(|header| header.kid = None)),
        ("kid traversal", under(|header| header.kid = Some("../../dev/null".into()))),
        ("jku", under(|header| header.jku = Some("https://evil.example/jwks".into()))),
        ("crit", under(|header| header.crit = Some(vec!["exp".into()]))),
        ("wrong audience", with("aud", "other".into())),
        ("two audiences", with("aud", json!(["other", "trunkline"]))),
        ("wrong issuer", with("iss", "https://evil.example".into())),
        ("no exp", with("exp", Value::Null)),
        ("exp as text", with("exp", "99999999999".into())),
        ("too long a life", with("exp", (claims.iat + 601).into())),
        ("unknown mode", with("mode", "admin".into())),
        ("nested", sign(&header, &json!({"token": token}), KEY)),
        ("100 KB", with("prf", "x".repeat(100_000).into())),
        ("100 KB of dots", ".".repeat(100_000)),
    ] {
        let problem = desk.tokens().verify(now().wall, &token).expect_err(what);
        assert_eq!((problem.slug, problem.status), ("invalid-token", 401), "{what}");
    }
}
