//! What the world hears of sessions.

use serde_json::{Value, json};

use super::tests::Site;
use crate::events::{Feed, Filter, Heard};
use crate::testing;

fn site_with_an_integration() -> Site {
    let mut config = testing::config();
    config.apps[0].integrations[0].events = vec!["session_created".into()];
    Site::new(config)
}

#[tokio::test]
async fn a_new_session_is_told_once_and_a_preview_to_no_webhook() {
    let site = site_with_an_integration();
    let mut feed = Feed::open(site.calls.store(), Filter::default(), None).await.unwrap().unwrap();
    let body = json!({"app": "acme", "widget_key": "wk_demo", "profile": "ghost", "lang": "es",
        "context": {"plan": "gold", "lang": "x"}, "form": {"name": "Ann"}});
    let retry = [("idempotency-key", "4711")];
    let first = site.post("/v1/sessions", &retry, &body).await.json();
    assert_eq!(site.post("/v1/sessions", &retry, &body).await.json()["session"], first["session"]);
    let preview =
        site.post("/v1/sessions", &[], &json!({"app": "acme", "widget_key": "wk_demo", "preview": true})).await;
    assert_eq!(site.post("/v1/sessions", &[], &json!({"app": "acme", "widget_key": "no"})).await.status, 401);

    let mut told = Vec::new();
    for _ in 0..2 {
        let Heard::Event(event) = feed.next().await.unwrap() else { panic!("it keeps up") };
        assert_eq!((event.name, event.app.as_str(), event.seq), ("session_created", "acme", 0));
        told.push(Value::Object(event.data()));
    }
    assert_eq!(
        told[0],
        json!({"session": first["session"], "context": {"plan": "gold"}, "state": "ready", "profile": "main",
            "profile_fallback": true, "lang": "es", "has_form_values": true})
    );
    assert_eq!((&told[1]["session"], &told[1]["state"]), (&preview.json()["session"], &json!("preview")));
    let pending = site.calls.store().pending("crm", 0, 10).await.unwrap();
    assert_eq!(pending.len(), 1, "the preview's is not among them");
}
