//! Lists of actions as they are written, and what is made of them.

use std::time::Duration;

use serde_json::json;

use super::answer::{self, Context};
use crate::call::{Action, Manner, Sound};
use crate::prompts::Prompts;
use crate::routing::Planned;

const CONFIG: &str = r#"
[[trunks]]
id = "acme-trunk"
target = "192.0.2.1:5070"
ring_timeout_seconds = 30
max_duration_seconds = 7200
[[apps]]
id = "acme"
"#;

fn read(list: &str) -> Result<Vec<Action>, String> {
    let config = trunkline_config::load_str(CONFIG, std::path::Path::new("."), std::iter::empty()).unwrap().config;
    let prompts = Prompts::load(None);
    let context = Context { config: &config, prompts: &prompts, app: "acme", lang: "es", by: "answer_hook" };
    answer::read(list.as_bytes(), &context)
}

#[test]
fn the_contracts_example_is_read() {
    let actions = read(
        r#"{"actions":[{"action":"say","text":"hello","lang":"en"},{"action":"play","prompt":"welcome"},
        {"action":"connect","destinations":["sip:sales@acme-trunk"],"headers":{"X-Case":"42"},"ring_timeout_seconds":60,
        "max_duration_seconds":600},{"action":"hangup"}]}"#,
    )
    .unwrap();
    assert_eq!(actions.iter().map(Action::word).collect::<Vec<_>>(), ["say", "play", "connect", "hangup"]);
    let alone = Manner::default();
    assert_eq!(actions[0], Action::Hear(Sound::Say { text: "hello".into(), lang: "en".into() }, alone));
    let missing = Action::Hear(Sound::Missing("welcome".into()), alone);
    assert_eq!(actions[1], missing, "there is none of that name");
    let Action::Connect(connect) = &actions[2] else { panic!("{actions:?}") };
    let [Planned::Dial(route)] = &connect.plan[..] else { panic!("{:?}", connect.plan) };
    assert_eq!(route.request_uri, "sip:sales@192.0.2.1:5070");
    assert_eq!(route.ring_timeout, Duration::from_secs(30), "the trunk's own limit is tighter");
    assert_eq!(route.max_duration, Duration::from_secs(600));
    assert_eq!(connect.headers, [("X-Case".to_owned(), "42".to_owned())]);
    assert_eq!(actions[3], Action::Hangup("answer_hook"));
}

#[test]
fn names_languages_and_nothing_at_all() {
    assert_eq!(read(r#"{"actions":[]}"#), Ok(Vec::new()));
    let said = read(r#"{"actions":[{"action":"say","text":"hola"}]}"#).unwrap();
    let hola =
        |over| Action::Hear(Sound::Say { text: "hola".into(), lang: "es".into() }, Manner { looped: false, over });
    assert_eq!(said, [hola(false)], "the session's language");
    let mixed = read(r#"{"actions":[{"action":"say","text":"hola","mix":true}]}"#).unwrap();
    assert_eq!(mixed, [hola(true)]);
    let named = read(r#"{"actions":[{"action":"play","prompt":"no_destination","mix":true}]}"#).unwrap();
    assert!(matches!(&named[..], [Action::Hear(Sound::Prompt(_), Manner { looped: false, over: true })]));
}

#[test]
fn what_is_not_understood_is_refused_as_a_whole() {
    let long = "x".repeat(1_501);
    let many = vec![json!({"action": "hangup"}); 17];
    let rows = [
        json!([]),
        json!({}),
        json!("hangup"),
        json!({"actions": {}}),
        json!({"actions": [], "more": 1}),
        json!({"actions": [{"action": "record"}]}),
        json!({"actions": [{"action": "hangup"}, {"action": "Hangup"}]}),
        json!({"actions": [{"action": "hangup", "reason": "x"}]}),
        json!({"actions": [{"text": "x"}]}),
        json!({"actions": many}),
        json!({"actions": [{"action": "say"}]}),
        json!({"actions": [{"action": "say", "text": ""}]}),
        json!({"actions": [{"action": "say", "text": long}]}),
        json!({"actions": [{"action": "say", "text": "x", "lang": "--help"}]}),
        json!({"actions": [{"action": "say", "text": "x", "lang": ""}]}),
        json!({"actions": [{"action": "say", "text": "x", "mix": "yes"}]}),
        json!({"actions": [{"action": "play"}]}),
        json!({"actions": [{"action": "play", "prompt": "a", "mix": 1}]}),
        json!({"actions": [{"action": "connect", "destinations": ["sip:a@b"], "mix": true}]}),
        json!({"actions": [{"action": "play", "prompt": "a", "url": "https://a/"}]}),
        json!({"actions": [{"action": "play", "url": "file:///etc/passwd"}]}),
        json!({"actions": [{"action": "connect", "destinations": []}]}),
        json!({"actions": [{"action": "connect", "destinations": "sip:a@b"}]}),
        json!({"actions": [{"action": "connect", "destinations": vec!["sip:a@b"; 17]}]}),
        json!({"actions": [{"action": "connect", "destinations": ["sip:a@b"], "headers": {"Via": "x"}}]}),
        json!({"actions": [{"action": "connect", "destinations": ["sip:a@b"], "headers": {"X-a\r\nVia": "x"}}]}),
        json!({"actions": [{"action": "connect", "destinations": ["sip:a@b"], "ring_timeout_seconds": 0}]}),
        json!({"actions": [{"action": "connect", "destinations": ["sip:a@b"], "max_duration_seconds": -1}]}),
    ];
    for row in rows {
        assert!(read(&row.to_string()).is_err(), "{row}");
    }
    for text in ["", "null", "{", "\u{1f}\u{8b}", r#"{"actions":[]} {}"#] {
        assert!(read(text).is_err(), "{text}");
    }
    assert!(answer::say("\u{fc}".repeat(1_500), None, "en").is_ok(), "characters count, not octets");
}

#[test]
fn nothing_is_dialled_that_no_trunk_names() {
    let list = r#"{"actions":[{"action":"connect","destinations":["sip:x@198.51.100.9","sip:x@acme-trunk"]}]}"#;
    let actions = read(list).unwrap();
    let [Action::Connect(connect)] = &actions[..] else { panic!("{actions:?}") };
    assert!(matches!(&connect.plan[..], [Planned::Skip { .. }, Planned::Dial(_)]), "{:?}", connect.plan);
}
