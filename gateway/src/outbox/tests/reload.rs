//! Restarts, and configurations that change under way.

use super::receiver::{Got, Receiver, ok};
use super::*;

const NEXT: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_process_left_behind_goes_out_after_the_next_start_under_the_same_ids() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let told = tell(&store, "call_1", 5, &["crm"]);
    assert!(store.flush(SOON));
    drop(store);
    let store = open(dir.path());
    let receiver = Receiver::start(|_, _| ok()).await;
    let running = Running::start(&store, config(&[integration("crm", &receiver.url())]));
    running.drained("crm").await;
    assert_eq!(receiver.ids(), told);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_replaced_without_a_gap_and_an_address_without_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (one, other) = (Receiver::start(|_, _| ok()).await, Receiver::start(|_, _| ok()).await);
    let running = Running::start(&store, config(&[integration("crm", &one.url())]));
    for (receiver, secrets) in
        [(&one, SECRET.to_owned()), (&one, format!("{SECRET} {NEXT}")), (&other, NEXT.to_owned())]
    {
        let mut crm = integration("crm", &receiver.url());
        crm.keys = keys(&secrets);
        running.settings.replace(config(&[crm]));
        // The task is told by another task; until then the former configuration holds.
        let seen = receiver.got().len();
        let signed = |got: &Got| got.header("webhook-signature").split(' ').count();
        until(|| {
            file(&store, event("call_1", 1, 0), &["crm"]);
            receiver.got()[seen..].iter().any(|got| signed(got) == secrets.split(' ').count())
        })
        .await;
        running.drained("crm").await;
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_integration_is_added_and_taken_out_without_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let receiver = Receiver::start(|_, _| ok()).await;
    let closed = closed_url();
    let mut dead = integration("dead", &closed);
    dead.retry = vec![Duration::from_secs(3_600); 5];
    let running = Running::start(&store, config(&[dead]));
    tell(&store, "call_1", 3, &["dead"]);
    until(|| running.count("dead", "connect") >= 1).await;
    running.settings.replace(config(&[integration("crm", &receiver.url())]));
    let told = tell(&store, "call_2", 2, &["crm"]);
    until(|| receiver.got().len() == 2).await;
    assert_eq!(receiver.ids(), told);
    running.drained("dead").await;
    let log = store.deliveries("dead", None, None, 10).await.unwrap();
    assert!(log.iter().all(|one| one.state.word() == "skipped"), "{log:?}");
    assert!(!running.webhooks.knows("dead"));
    running.stop().await;
}
