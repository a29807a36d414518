//! What a session's answer says of business hours and of STUN and TURN servers.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use trunkline_config::{Config, Hours, IceCredentials, IceServer, Schedule, ScheduleException};

use super::*;

/// Closed, but for this day.
fn only(day: &str, label: Option<&str>) -> Hours {
    let open = ScheduleException { windows: vec![9 * 60..=17 * 60 - 1], label: label.map(Into::into) };
    Hours::Schedule(Schedule {
        timezone: TimeZone::UTC,
        week: Default::default(),
        exceptions: BTreeMap::from([(day.parse().unwrap(), open)]),
    })
}

fn answer(change: impl FnOnce(&mut Config), body: &Value) -> Value {
    let mut config = testing::config();
    change(&mut config);
    let mut body = body.clone();
    (body["app"], body["widget_key"]) = ("acme".into(), "wk_demo".into());
    open(&Desk::new(config.into()), WIDGET, &body).unwrap()
}

#[test]
fn a_closed_session_says_when_it_opens() {
    // It is 2023-11-14, 22:13 in UTC.
    let state =
        |answer: Value| (answer["state"].clone(), answer.get("opens_at").cloned(), answer.get("label").cloned());
    let closed = |opens_at: Value, label: Value| (json!("closed"), Some(opens_at), Some(label));
    let tomorrow = answer(|config| config.apps[0].hours = only("2023-11-15", None), &json!({}));
    assert!(tomorrow["token"].is_string(), "it may be open by the time of the call");
    assert_eq!(state(tomorrow), closed("2023-11-15T09:00:00.000Z".into(), Value::Null));
    let today = answer(|config| config.apps[0].hours = only("2023-11-14", Some("Short day")), &json!({}));
    assert_eq!(state(today), closed(Value::Null, "Short day".into()));
    assert_eq!(state(answer(|_| {}, &json!({}))), (json!("ready"), None, None));
    // A preview shows the widget as it is, whatever the hour.
    let preview = answer(|config| config.apps[0].hours = only("2023-11-15", None), &json!({"preview": true}));
    assert_eq!(state(preview), (json!("preview"), None, None));
}

#[test]
fn a_profile_has_the_apps_hours_or_its_own() {
    let with = |app: Hours, sales: Option<Hours>| {
        move |config: &mut Config| {
            config.apps[0].hours = app;
            config.apps[0].profiles[0].hours = sales;
        }
    };
    let shut = || only("2023-11-15", None);
    let state = |app: Hours, sales: Option<Hours>, profile: &str| {
        answer(with(app, sales), &json!({"profile": profile}))["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state(shut(), None, "sales"), "closed");
    assert_eq!(state(shut(), Some(Hours::Always), "sales"), "ready");
    assert_eq!(state(shut(), Some(Hours::Always), "main"), "closed");
    assert_eq!(state(Hours::Always, Some(shut()), "sales"), "closed");
    assert_eq!(state(Hours::Always, Some(shut()), "main"), "ready");
    // One that is not there falls back to main, and so to the hours main has.
    assert_eq!(state(Hours::Always, Some(shut()), "ghost"), "ready");
}

#[test]
fn ice_servers_come_with_credentials_of_the_session() {
    let server = |url: &str, credentials| IceServer { urls: vec![url.into()], credentials };
    let shared = IceCredentials::Shared { secret: Secret::new("s3cret"), ttl: Duration::from_secs(3600) };
    let servers = vec![server("stun:stun.example.net", IceCredentials::None), server("turn:turn.example.net", shared)];
    let answer = answer(|config| config.public.ice_servers = servers, &json!({}));
    assert_eq!(answer["ice_servers"][0], json!({"urls": ["stun:stun.example.net"]}));
    let turn = &answer["ice_servers"][1];
    assert_eq!(turn["username"], format!("1700003600:{}", answer["session"].as_str().unwrap()));
    assert!(turn["credential"].as_str().is_some_and(|credential| credential.len() == 28), "{turn}");
}
