//! What stays of a call: in memory, on the disk, after a restart, after a crash.

use bytes::Bytes;
use trunkline_signaling::endpoint::Traced;

use super::*;
use crate::store::{EventOptions, Options, Store};

const SOON: Duration = Duration::from_secs(20);

impl Bench {
    /// The same node after a restart.
    fn reborn(&self, store: Store) -> Calls {
        let settings = self.calls.shared.settings.clone();
        Calls::with_store(settings, self.media.clone(), self.sip.clone(), Prompts::none(), Clock::system(), store)
    }
}

fn with_secrets(config: &mut Config) {
    let secret = trunkline_config::Secret::new;
    let key = trunkline_config::TokenKey::Shared(secret("t0ken-key-t0ken-key-t0ken-key-t0ken"));
    config.public.token_keys = vec![key];
    for trunk in &mut config.trunks {
        let (username, password) = ("trunk-user".into(), secret("trunk-passw0rd"));
        trunk.auth = Some(trunkline_config::TrunkAuth { username, password });
    }
}

#[tokio::test]
async fn a_bundle_explains_a_call_before_and_after_a_restart_and_holds_no_secret() {
    let bench = Bench::of(with_secrets);
    let call = bench.talking("ses_1").await;
    let leg = bench.leg_of(&call).await;
    let traced = Traced {
        outgoing: true,
        peer: "192.0.2.9:5070".parse().unwrap(),
        start_line: "INVITE sip:agent:ur1-passw0rd@192.0.2.9 SIP/2.0".into(),
        cseq: "1 INVITE".into(),
        reason: None,
        sdp: Some(Bytes::from_static(b"v=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:sdes-k3y\r\n")),
        repeated: false,
    };
    bench.events.send(Event::Traced { leg, traced: Box::new(traced) }).await.unwrap();
    while bench.calls.papers(&call).await.unwrap().unwrap().bundle("", false)["sip_ladder"] == json!([]) {
        tokio::task::yield_now().await;
    }
    let live = bench.calls.papers(&call).await.unwrap().unwrap().bundle("now", false);
    assert_eq!((&live["record"]["state"], &live["outcome"]), (&json!("talking"), &json!(null)));

    assert!(bench.calls.hangup(&call, HangupBy::Visitor));
    bench.story(&call).await;
    let papers = bench.calls.papers(&call).await.unwrap().unwrap();
    let bundle = papers.bundle("now", false);
    for member in [
        "bundle_version",
        "generated_at",
        "node",
        "version",
        "config_version",
        "record",
        "quality",
        "diagnosis",
        "timeline",
        "sdp",
        "candidates",
        "sip_ladder",
        "client_reports",
        "outcome",
    ] {
        assert!(bundle.get(member).is_some_and(|value| !value.is_null()), "{member}: {bundle:#}");
    }
    assert_eq!(bundle["outcome"]["reason"], "user_hangup");
    assert_eq!(bundle["sdp"].as_array().unwrap().len(), 3, "{:#}", bundle["sdp"]);
    assert_eq!(bundle["config_version"].as_str().map(str::len), Some(12));
    let text = bundle.to_string();
    for secret in [
        "0123456789012345678901",
        "ice-ufrag:abcd",
        "sdes-k3y",
        "ur1-passw0rd",
        "trunk-passw0rd",
        "t0ken-key",
        crate::testing::READ,
        crate::testing::ADMIN,
        "wk_demo",
        "gold",
        "ticket",
    ] {
        assert!(!text.contains(secret), "{secret} in {bundle:#}");
    }
    let whole = papers.bundle("now", true).to_string();
    assert!(whole.contains("gold") && whole.contains("ticket") && !whole.contains("0123456789012345678901"));

    let store = bench.calls.store().clone();
    assert!(tokio::task::spawn_blocking(move || store.flush(SOON)).await.unwrap());
    let reborn = bench.reborn(bench.calls.store().clone());
    assert_eq!(reborn.record(&call), None, "nothing in memory");
    assert_eq!(reborn.papers(&call).await.unwrap().unwrap().bundle("now", false), bundle);
    assert_eq!(reborn.find(&call).await.unwrap(), Some(papers.record));
    assert_eq!(reborn.papers(&CallId::from_client("call_x")).await.unwrap(), None);
}

#[tokio::test]
async fn pages_run_from_the_live_calls_through_the_queue_to_the_disk() {
    let bench = Bench::new();
    let mut all = Vec::new();
    for n in 0..12 {
        let call = bench.start(&format!("ses_{n}")).await.unwrap();
        if n % 4 != 3 {
            let leg = bench.leg_of(&call).await;
            bench.events.send(Event::Failed { leg, failure: Failure::NoFinal }).await.unwrap();
            bench.story(&call).await;
        }
        all.insert(0, call.as_str().to_owned());
    }
    for limit in [1, 5, 200] {
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let filter = CallFilter { limit, cursor, ..CallFilter::default() };
            let page = bench.calls.list(&filter).await.unwrap();
            seen.extend(page.calls.iter().map(|call| call["call"].as_str().unwrap().to_owned()));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, all, "by {limit}");
    }
}

#[tokio::test]
async fn a_call_that_a_crash_cut_off_is_closed_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let options = |name: &str| Options {
        dir: dir.path().join(name),
        keep: Duration::from_secs(86_400),
        keep_bytes: 1 << 30,
        events: EventOptions::default(),
    };
    let (store, _) = Store::open(&options("before"), &Clock::system()).unwrap();
    let mut bench = Bench::of(|config| config.apps[0].integrations.push(integration()));
    bench.calls = bench.reborn(store.clone());
    let (reports, reports_in) = mpsc::channel(16);
    let (events, events_in) = mpsc::channel(16);
    bench.calls.listen(reports_in, events_in);
    (bench.reports, bench.events) = (reports, events);
    let talking = bench.talking("ses_1").await;
    let early = bench.start("ses_2").await.unwrap();
    bench.leg_of(&early).await;
    let flushed = store.clone();
    assert!(tokio::task::spawn_blocking(move || flushed.flush(SOON)).await.unwrap());
    let before = owed(&store).await;

    // What a killed process leaves behind.
    std::fs::create_dir(dir.path().join("after")).unwrap();
    for file in ["trunkline.db", "trunkline.db-wal"] {
        std::fs::copy(dir.path().join("before").join(file), dir.path().join("after").join(file)).unwrap();
    }
    let (store, orphans) = Store::open(&options("after"), &Clock::system()).unwrap();
    assert_eq!(orphans.len(), 2);
    assert_eq!(owed(&store).await, before, "what was durable and not delivered is owed, under the same ids");
    let reborn = bench.reborn(store);
    let mut feed = Feed::open(reborn.store(), Filter::default(), None).await.unwrap().unwrap();
    reborn.adopt(orphans);
    for (call, phases) in [(&talking, &["talking"][..]), (&early, &["routing", "setup"])] {
        let record = reborn.find(call).await.unwrap().unwrap();
        let outcome = &record["outcome"];
        assert_eq!((&record["state"], &outcome["reason"]), (&json!("ended"), &json!("node_crash")), "{record:#}");
        assert_eq!((&outcome["class"], &outcome["blame"]), (&json!("error"), &json!("gateway")));
        assert!(phases.contains(&outcome["phase"].as_str().unwrap()), "{record:#}");
        assert_eq!(outcome["quality_at_end"]["level"], "unknown");
        assert!(record["timings"]["ended_at"].as_str() >= record["started_at"].as_str(), "{record:#}");
        let bundle = reborn.papers(call).await.unwrap().unwrap().bundle("now", false);
        assert_eq!(bundle["timeline"].as_array().unwrap().last().unwrap()["what"], "node_crash");
        assert_eq!(bundle["diagnosis"]["outcome"]["reason"], "node_crash");
        let Heard::Event(told) = feed.next().await.unwrap() else { panic!("it keeps up") };
        assert_eq!(told.name, "call_error");
        let all = reborn.store().events_of(told.call.as_ref().unwrap(), 0, u64::MAX, 99).await.unwrap();
        assert_eq!(all.iter().map(|event| event.seq).collect::<Vec<_>>(), (1..=told.seq).collect::<Vec<_>>());
        let data = told.data();
        assert_eq!(
            (&data["reason"], &data["state"], &data["blame"]),
            (&json!("node_crash"), &json!("ended"), &json!("gateway"))
        );
        assert_eq!(
            (&data["context"], data["call"].as_str()),
            (&json!({"plan": "gold"}), told.call.as_ref().map(CallId::as_str))
        );
    }
    let after = owed(reborn.store()).await;
    assert_eq!(
        (after[..before.len()] == before, after.len()),
        (true, before.len() + 2),
        "and delivered like any other"
    );
    let counted: u64 = reborn.outcomes().iter().filter(|(labels, _)| labels[1] == "node_crash").map(|(_, n)| n).sum();
    assert_eq!(counted, 2);
    let filter = CallFilter { reason: Some("node_crash".into()), limit: 10, ..CallFilter::default() };
    assert_eq!(reborn.list(&filter).await.unwrap().calls.len(), 2);
}

/// Asks for the first and the last event of each call.
fn integration() -> trunkline_config::Integration {
    let text = "[[apps]]\nid = 'a'\n[[apps.integrations]]\nid = 'crm'\nurl = 'https://example.com/hooks'\n\
        secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'\nevents = ['call_started', 'call_error']";
    let loaded = trunkline_config::load_str(text, std::path::Path::new("."), std::iter::empty()).unwrap();
    loaded.config.apps[0].integrations[0].clone()
}

async fn owed(store: &Store) -> Vec<(crate::ids::EventId, &'static str)> {
    let pending = store.pending("crm", 0, 99).await.unwrap();
    pending.into_iter().map(|one| (one.event.id.clone(), one.event.name)).collect()
}
