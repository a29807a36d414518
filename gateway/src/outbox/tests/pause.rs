//! Twenty failed deliveries in a row, and what comes after.

use std::sync::atomic::{AtomicBool, Ordering};

use super::receiver::{Got, Receiver, ok, status};
use super::*;
use crate::events::{Feed, Filter, Heard};

/// A receiver that refuses everything until it is mended.
async fn broken() -> (Receiver, Arc<AtomicBool>) {
    let mended = Arc::new(AtomicBool::new(false));
    let is_mended = mended.clone();
    let receiver = Receiver::start(move |_, _| if is_mended.load(Ordering::SeqCst) { ok() } else { status(410) }).await;
    (receiver, mended)
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_failures_pause_for_good_a_restart_keeps_it_and_reactivation_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut feed = Feed::open(&store, Filter::default(), None).await.unwrap().unwrap();
    let (receiver, mended) = broken().await;
    let mut crm = integration("crm", &receiver.url());
    crm.max_in_flight = 1;
    crm.events = vec!["integration_paused".into()];
    let running = Running::start(&store, config(&[crm.clone()]));
    let told = tell(&store, "call_1", 25, &["crm"]);
    until(|| running.webhooks.stats().iter().any(|one| one.paused)).await;
    let written = async {
        loop {
            // The pause is in the database a moment after the outbox knows of it.
            let overview = running.overview("crm").await;
            if overview.state.paused && overview.pending == 6 {
                break overview;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let overview = tokio::time::timeout(SOON, written).await.unwrap();
    assert!(overview.state.paused_at.is_some());
    assert_eq!(receiver.ids(), told[..20], "and not one more");
    assert_eq!((overview.state.consecutive_failures, overview.pending), (20, 6), "the pause is told it, too, later");
    assert_eq!(overview.state.last_error.as_deref(), Some("answered 410"));
    loop {
        let Heard::Event(event) = tokio::time::timeout(SOON, feed.next()).await.unwrap().unwrap() else { continue };
        if event.name == "integration_paused" {
            assert_eq!((event.app.as_str(), &event.data()["integration"]), ("acme", &json!("crm")));
            break;
        }
    }
    running.stop().await;

    // The next process sends nothing either, whatever comes.
    let running = Running::start(&store, config(&[crm]));
    let more = tell(&store, "call_1", 30, &["crm"]).split_off(25);
    until(|| store.pending_counts()["crm"] == 36).await;
    until(|| running.webhooks.stats().iter().any(|one| one.paused)).await;
    assert_eq!(receiver.got().len(), 20);

    mended.store(true, Ordering::SeqCst);
    let before = receiver.got().len();
    until_ready(&running).await;
    running.drained("crm").await;
    let after: Vec<Got> = receiver.got().split_off(before);
    let ids: Vec<&str> = after.iter().map(Got::id).collect();
    assert!(told.iter().chain(&more).all(|id| ids.contains(&id.as_str())), "the failed ones too");
    let first_of_told: Vec<&str> = ids.iter().copied().filter(|id| told.iter().any(|told| told == id)).collect();
    assert_eq!(first_of_told, told, "in order, once");
    let overview = running.overview("crm").await;
    assert_eq!((overview.state.paused, overview.state.consecutive_failures, overview.pending), (false, 0, 0));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_between_failures_keeps_it_active() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let receiver = Receiver::start(|before, _| if before % 20 == 19 { ok() } else { status(400) }).await;
    let mut crm = integration("crm", &receiver.url());
    crm.max_in_flight = 1;
    let running = Running::start(&store, config(&[crm]));
    tell(&store, "call_1", 60, &["crm"]);
    running.drained("crm").await;
    assert_eq!((receiver.got().len(), running.overview("crm").await.state.paused), (60, false));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_made_again_on_request_under_the_same_id() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let receiver = Receiver::start(|before, _| if before == 0 { status(400) } else { ok() }).await;
    let running = Running::start(&store, config(&[integration("crm", &receiver.url())]));
    let told = tell(&store, "call_1", 1, &["crm"]);
    until(|| running.count("crm", "failed") == 1).await;
    running.drained("crm").await;
    for times in 2..=3 {
        let id = EventId::from_client(&told[0]);
        assert!(running.webhooks.redeliver("crm", &id).await.unwrap());
        until(|| receiver.got().len() == times).await;
        running.drained("crm").await;
    }
    assert_eq!(receiver.ids(), [&told[0], &told[0], &told[0]].map(Clone::clone));
    assert!(!running.webhooks.redeliver("crm", &EventId::from_client("evt_unknown")).await.unwrap());
    assert_eq!(running.webhooks.redeliver("nobody", &EventId::from_client("x")).await, Err(AskError::Unknown));
    running.stop().await;
}

/// Its task has begun.
async fn until_ready(running: &Running) {
    for _ in 0..1_000 {
        if running.webhooks.reactivate("crm").await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it cannot be reactivated");
}
