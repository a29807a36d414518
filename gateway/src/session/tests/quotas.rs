//! How many sessions a key or an app may open.

use trunkline_config::WidgetKey;

use super::*;

fn limited(change: impl FnOnce(&mut trunkline_config::Config)) -> Desk {
    let mut config = testing::config();
    let app = config.apps.first_mut().unwrap();
    app.widget_keys = ["wk_a", "wk_b"].map(|key| WidgetKey::Plain(Secret::new(key))).to_vec();
    change(&mut config);
    Desk::new(config.into())
}

fn widget(desk: &Desk, now: Now, key: &str) -> Result<(), (&'static str, u16, Option<u32>)> {
    let body = json!({"app": "acme", "widget_key": key});
    let asked = NewSession::parse(body.to_string().as_bytes()).ok().unwrap();
    refusal(desk.open(now, WIDGET, &asked, None))
}

fn back_end(desk: &Desk, now: Now, key: &str) -> Result<(), (&'static str, u16, Option<u32>)> {
    let asked = NewSession::parse(br#"{"app":"acme"}"#).ok().unwrap();
    refusal(desk.open(now, Caller::BackEnd { key }, &asked, None))
}

fn refusal<T>(opened: Result<T, crate::problem::Problem>) -> Result<(), (&'static str, u16, Option<u32>)> {
    opened.map(drop).map_err(|problem| (problem.slug, problem.status, problem.retry_after))
}

#[test]
fn one_widget_key_cannot_use_up_the_others_share() {
    let desk = limited(|config| config.apps[0].limits.sessions_per_minute_per_widget_key = 2);
    let start = now();
    assert_eq!([widget(&desk, start, "wk_a"), widget(&desk, start, "wk_a")], [Ok(()), Ok(())]);
    assert_eq!(widget(&desk, start, "wk_a"), Err(("rate-limited", 429, Some(30))));
    assert_eq!(widget(&desk, start, "wk_b"), Ok(()));
    assert_eq!(widget(&desk, later(start, 30), "wk_a"), Ok(()));
    assert_eq!(back_end(&desk, start, "ops"), Ok(()), "a back end is no widget");
}

#[test]
fn an_app_has_a_limit_over_all_its_keys_that_strangers_do_not_touch() {
    let desk = limited(|config| config.apps[0].limits.sessions_per_minute = 3);
    let start = now();
    for _ in 0..10 {
        assert!(matches!(widget(&desk, start, "wk_guess"), Err(("widget-key-mismatch", 401, None))));
    }
    assert_eq!(["wk_a", "wk_b", "wk_a"].map(|key| widget(&desk, start, key)), [Ok(()), Ok(()), Ok(())]);
    assert_eq!(widget(&desk, start, "wk_b"), Err(("rate-limited", 429, Some(20))));
}

#[test]
fn each_api_key_has_its_own_limit() {
    let desk = limited(|config| config.control.limits.sessions_per_minute_per_key = 1);
    let start = now();
    assert_eq!(back_end(&desk, start, "ops"), Ok(()));
    assert_eq!(back_end(&desk, start, "ops"), Err(("rate-limited", 429, Some(60))));
    assert_eq!(back_end(&desk, start, "crm"), Ok(()));
    assert_eq!(widget(&desk, start, "wk_a"), Ok(()));
}

#[test]
fn nought_is_no_limit_and_a_retry_is_no_new_session() {
    let desk = limited(|_| {});
    assert!((0..200).all(|_| widget(&desk, now(), "wk_a").is_ok() && back_end(&desk, now(), "ops").is_ok()));
    let desk = limited(|config| config.apps[0].limits.sessions_per_minute = 1);
    let asked = NewSession::parse(br#"{"app":"acme","widget_key":"wk_a"}"#).ok().unwrap();
    let claim = Claim::new("192.0.2.1", "acme", "k-1", b"a").unwrap();
    let start = now();
    assert!((0..5).all(|_| desk.open(start, WIDGET, &asked, Some(&claim)).is_ok()));
    assert_eq!(desk.reap(start), 1);
}
