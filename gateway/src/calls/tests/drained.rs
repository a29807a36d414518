//! A node that runs dry.

use super::*;

fn draining(calls: &Calls) -> (u16, &'static str, Option<u32>) {
    calls.admit().map_or_else(|problem| (problem.status, problem.slug, problem.retry_after), |()| (200, "", None))
}

#[tokio::test]
async fn nothing_new_begins_and_what_lives_ends_by_itself() {
    let bench = Bench::of(|config| config.node.drain = Duration::from_secs(3_600));
    let call = bench.talking("ses_1").await;
    assert_eq!((draining(&bench.calls), bench.calls.draining()), ((200, "", None), None));
    let drain = bench.calls.drain();
    assert_eq!(draining(&bench.calls), (503, "draining", Some(5)));
    let refused = bench.start("ses_2").await.unwrap_err();
    assert_eq!((refused.slug, refused.retry_after), ("draining", Some(5)));
    assert!(bench.calls.outcomes().contains(&(["refused", "draining", "admission"], 1)));
    assert_eq!(drain.deadline.duration_since(drain.since).as_secs(), 3_600);
    assert_eq!(bench.calls.drain(), drain, "asked again, it goes on as it is");

    assert_eq!(bench.calls.live(), 1);
    assert!(bench.calls.hangup(&call, HangupBy::Visitor));
    bench.calls.drained().await;
    assert_eq!(bench.calls.record(&call).unwrap()["outcome"]["reason"], "user_hangup");
}

#[tokio::test]
async fn what_lives_at_the_deadline_is_ended_and_says_why() {
    let bench = Bench::of(|config| config.node.drain = Duration::ZERO);
    let call = bench.talking("ses_1").await;
    bench.calls.drain();
    assert_eq!(bench.story(&call).await.last(), Some(&"call_error"));
    let outcome = &bench.calls.record(&call).unwrap()["outcome"];
    assert_eq!((&outcome["reason"], &outcome["phase"]), (&json!("node_shutdown"), &json!("talking")));
    bench.calls.drained().await;
    let hangups = bench.sip.hangups.lock().unwrap();
    let reasons: Vec<_> = hangups.iter().map(|(_, reason)| (reason.protocol.as_str(), reason.cause)).collect();
    assert_eq!(reasons, [("SIP", 503)]);
}

#[tokio::test]
async fn a_deadline_is_that_of_the_configuration_when_the_drain_begins() {
    let bench = Bench::of(|config| config.node.drain = Duration::from_secs(60));
    let settings = bench.calls.shared.settings.clone();
    let with = |seconds| {
        let mut config = (*settings.load()).clone();
        config.node.drain = Duration::from_secs(seconds);
        settings.replace(config);
    };
    with(5);
    let drain = bench.calls.drain();
    with(60);
    assert_eq!(drain.deadline.duration_since(drain.since).as_secs(), 5);
    assert_eq!(bench.calls.drain(), drain);
}

#[tokio::test]
async fn a_drain_is_told_once() {
    let bench = Bench::of(|config| config.node.drain = Duration::from_secs(60));
    let call = bench.talking("ses_1").await;
    let names = Filter { names: vec!["node_draining".into()], ..Filter::default() };
    let mut feed = Feed::open(bench.calls.store(), names, None).await.unwrap().unwrap();
    let drain = bench.calls.drain();
    bench.calls.drain();
    let Heard::Event(event) = feed.next().await.unwrap() else { panic!("lagged") };
    let data = event.data();
    assert_eq!((event.app.as_str(), &event.call, event.seq), ("", &None, 0));
    assert_eq!((&data["node"], &data["live_calls"]), (&json!("test"), &json!(1)));
    assert_eq!(data["deadline_at"], crate::clock::rfc3339(drain.deadline));
    bench.calls.shutdown().await;
    assert!(tokio::time::timeout(Duration::from_millis(100), feed.next()).await.is_err());
    assert_eq!(bench.calls.record(&call).unwrap()["outcome"]["reason"], "node_shutdown");
}
