//! Events and the outbox on real files: durable before anything is told, in order, and nothing is lost on the way.

use std::collections::HashMap;
use std::time::Instant;

use serde_json::Map;

use super::*;
use crate::events::{Envelope, EventLog, EventStream, Feed, Filter, Heard};
use crate::ids::EventId;

fn event(call: i64, seq: u64) -> Arc<Envelope> {
    let name = if seq == 1 { "call_started" } else { "dtmf_received" };
    let data = Map::from_iter([("text".into(), json!("x".repeat(200)))]);
    let app = if call % 2 == 0 { "even" } else { "odd" };
    let bits: [u8; 16] = random_bits();
    Arc::new(Envelope::new(EventId::from_random(bits), name, at(0), app.into(), Some((id(call), seq)), &data))
}

fn filed(call: i64, seq: u64, to: &[&str]) -> Filed {
    let to = to.iter().map(|id| (*id).to_owned()).collect();
    Filed { envelope: event(call, seq), to, log: None, closes: None, since: Instant::now() }
}

/// Hands events 1 to `last` of a call over; their ids.
fn tell(store: &Store, call: i64, last: u64, to: &[&str]) -> Vec<EventId> {
    let one = |seq| {
        let filed = filed(call, seq, to);
        let id = filed.envelope.id.clone();
        store.append(filed);
        id
    };
    (1..=last).map(one).collect()
}

async fn heard(feed: &mut Feed) -> Arc<Envelope> {
    match tokio::time::timeout(SOON, feed.next()).await.unwrap().unwrap() {
        Heard::Event(event) => event,
        lagged @ Heard::Lagged { .. } => panic!("{lagged:?}"),
    }
}

async fn live(store: &Store) -> Feed {
    Feed::open(store, Filter::default(), None).await.unwrap().unwrap()
}

fn ids(page: &[Delivery]) -> Vec<EventId> {
    page.iter().map(|delivery| delivery.event.id.clone()).collect()
}

/// What a killed process leaves behind: the files as they are while it writes.
fn killed(dir: &Path, to: &Path) {
    std::fs::create_dir(to.join("data")).unwrap();
    for file in ["trunkline.db", "trunkline.db-wal"] {
        std::fs::copy(dir.join("data").join(file), to.join("data").join(file)).unwrap();
    }
}

fn attempt(delivery: &Delivery, state: DeliveryState) -> Attempt {
    Attempt {
        delivery: delivery.id,
        at: at(9),
        state,
        attempts: delivery.attempts + 1,
        next_attempt: (state == DeliveryState::Pending).then(|| at(10)),
        status: Some(if state == DeliveryState::Delivered { 204 } else { 503 }),
        error: (state != DeliveryState::Delivered).then(|| "no".into()),
        integration: None,
    }
}

#[tokio::test]
async fn events_are_told_once_though_there_is_no_room_for_the_sign_of_life_after_them() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let full =
        "CREATE TRIGGER full BEFORE INSERT ON node WHEN NEW.name = 'alive_at' BEGIN SELECT RAISE(ABORT, 'full'); END";
    Connection::open(dir.path().join("data/trunkline.db")).unwrap().execute_batch(full).unwrap();
    let (store, _) = open(dir.path());
    tell(&store, 1, 3, &["crm"]);
    assert!(store.flush(SOON), "they wait for what is none of theirs");
    let told: Vec<_> = store.events_by_name().into_iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(told, [("call_started", 1), ("dtmf_received", 2)]);
    let stats = store.stats();
    assert!(stats.failing && stats.failures > 0 && stats.written == 3, "{stats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_hears_of_an_event_finds_it_in_a_file_that_was_cut_off_then() {
    let (dir, after) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (store, _) = open(dir.path());
    let mut feed = live(&store).await;
    let told = tell(&store, 1, 3, &["crm", "log"]);
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(heard(&mut feed).await.id.clone());
    }
    killed(dir.path(), after.path());
    assert_eq!(seen, told);
    let (reborn, _) = open(after.path());
    let found = reborn.events_of(&id(1), 0, u64::MAX, 10).await.unwrap();
    assert_eq!(found.iter().map(|event| (event.id.clone(), event.seq)).collect::<Vec<_>>(), {
        told.iter().cloned().zip(1..).collect::<Vec<_>>()
    });
    for integration in ["crm", "log"] {
        assert_eq!(ids(&reborn.pending(integration, 0, 10).await.unwrap()), told, "pending, under the same ids");
    }
    assert_eq!(reborn.pending_counts(), HashMap::from([("crm".into(), 3), ("log".into(), 3)]));
    let first = &reborn.pending("crm", 0, 1).await.unwrap()[0];
    assert_eq!(first.event.body(), found[0].body(), "the bytes that were told are the bytes that are delivered");
    let mut rest = Feed::open(&reborn, Filter::default(), Some(told[0].clone())).await.unwrap().unwrap();
    assert_eq!(heard(&mut rest).await.id, told[1]);
    tell(&reborn, 2, 1, &[]);
    assert_eq!(heard(&mut rest).await.id, told[2]);
    assert_eq!(heard(&mut rest).await.call, Some(id(2)), "then what is new");
}

#[tokio::test]
async fn the_last_event_and_what_stays_of_the_call_are_written_together() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    store.keep(call(1, None));
    store.append(filed(1, 1, &[]));
    store.append(filed(1, 2, &[]));
    store.keep(call(2, None));
    store.append(Filed { closes: Some(Arc::new(call(2, Some("user_hangup")))), ..filed(2, 1, &[]) });
    assert!(store.waiting(&id(2)).is_none_or(|kept| kept.ended.is_some()));
    assert!(store.flush(SOON));
    assert_eq!(store.record(&id(2)).await.unwrap().unwrap()["state"], "ended");
    drop(store);
    let (_, orphans) = open(dir.path());
    let known: Vec<_> = orphans.iter().map(|orphan| (orphan.id.clone(), orphan.last_seq, orphan.end_told)).collect();
    assert_eq!(known, [(id(1), 2, false)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_disk_is_full_events_wait_and_only_the_calls_own_visitor_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let mut feed = live(&store).await;
    let outbox = store.outbox();
    store.inner.queue.disk_pages.store(1, Ordering::Relaxed);
    let log = Arc::new(EventLog::default());
    for seq in 1..=300 {
        store.append(Filed { log: Some(Arc::clone(&log)), ..filed(1, seq, &["crm"]) });
    }
    log.close();
    let mut visitor = EventStream::new(id(1), Some(log), store.clone(), 44);
    let mut seen = Vec::new();
    while let Some(event) = tokio::time::timeout(SOON, visitor.next()).await.unwrap() {
        seen.push(event.seq);
    }
    // The first 44 are not in memory any more, and nobody asked for them.
    assert_eq!(seen, (45..=300).collect::<Vec<_>>());
    let stats = store.stats();
    assert!(stats.failing && stats.backlog_bytes > 300 * 200 && stats.events_lost == 0, "{stats:?}");
    assert_eq!(stats.events_early, 256, "each counts once");
    assert!(tokio::time::timeout(Duration::from_millis(50), feed.next()).await.is_err(), "nobody else is told");
    assert!(!outbox.has_changed().unwrap());
    store.inner.queue.disk_pages.store(0, Ordering::Relaxed);
    for seq in 1..=300 {
        assert_eq!(heard(&mut feed).await.seq, seq);
    }
    assert!(store.flush(SOON));
    assert!(outbox.has_changed().unwrap());
    assert_eq!(store.pending_counts()["crm"], 300);
    let stats = store.stats();
    assert_eq!((stats.backlog_bytes, stats.events_lost), (0, 0), "{stats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_slow_disk_leaves_no_room_for_is_counted_and_the_visitor_sees_it_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let events = EventOptions { backlog_bytes: 20_000, ..options(dir.path()).events };
    let (store, _) = Store::open(&Options { events, ..options(dir.path()) }, &Clock::system()).unwrap();
    let backup = Connection::open(options(dir.path()).dir.join("trunkline.db")).unwrap();
    backup.execute_batch("BEGIN IMMEDIATE").unwrap();
    let log = Arc::new(EventLog::default());
    for seq in 1..=100 {
        let closes = (seq == 100).then(|| Arc::new(call(1, Some("user_hangup"))));
        store.append(Filed { log: Some(Arc::clone(&log)), closes, ..filed(1, seq, &[]) });
    }
    log.close();
    let stats = store.stats();
    assert!((50..100).contains(&stats.events_lost) && stats.backlog_bytes <= 20_000, "{stats:?}");
    let kept = 100 - stats.events_lost;
    let mut visitor = EventStream::new(id(1), Some(log), store.clone(), 0);
    for seq in 1..=100 {
        assert_eq!(tokio::time::timeout(SOON, visitor.next()).await.unwrap().unwrap().seq, seq);
    }
    backup.execute_batch("COMMIT").unwrap();
    let flushed = store.clone();
    assert!(tokio::task::spawn_blocking(move || flushed.flush(SOON)).await.unwrap());
    assert_eq!(store.events_of(&id(1), 0, u64::MAX, 1_000).await.unwrap().len() as u64, kept);
    assert!(store.record(&id(1)).await.unwrap().is_some(), "the record has room of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_talk_at_once_each_keep_their_order_on_every_way() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let mut feed = live(&store).await;
    let threads: Vec<_> = (0..8)
        .map(|call| {
            let store = store.clone();
            std::thread::spawn(move || tell(&store, call, 100, &["crm"]))
        })
        .collect();
    let mut by_call: HashMap<CallId, u64> = HashMap::new();
    for _ in 0..800 {
        let event = heard(&mut feed).await;
        let last = by_call.entry(event.call.clone().unwrap()).or_default();
        assert_eq!(event.seq, *last + 1, "{event:?}");
        *last = event.seq;
    }
    threads.into_iter().for_each(|thread| drop(thread.join().unwrap()));
    let mut pending = Vec::new();
    while let page = store.pending("crm", pending.last().map_or(0, |last: &Delivery| last.id), 64).await.unwrap()
        && !page.is_empty()
    {
        pending.extend(page);
    }
    assert_eq!(pending.len(), 800);
    for call in 0..8 {
        let of_call: Vec<u64> =
            pending.iter().filter(|one| one.event.call == Some(id(call))).map(|one| one.event.seq).collect();
        assert_eq!(of_call, (1..=100).collect::<Vec<_>>());
    }
    let mut replay =
        Feed::from_the_beginning(&store, Filter { apps: vec!["odd".into()], names: vec!["call_started".into()] });
    let firsts =
        [heard(&mut replay).await, heard(&mut replay).await, heard(&mut replay).await, heard(&mut replay).await];
    assert!(firsts.iter().all(|event| event.seq == 1 && event.app == "odd"));
    assert!(tokio::time::timeout(Duration::from_millis(50), replay.next()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_what_its_attempts_made_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let told = tell(&store, 1, 4, &["crm"]);
    let mut outbox = store.outbox();
    outbox.mark_unchanged();
    assert!(store.flush(SOON));
    let [one, two, three, four] = &store.pending("crm", 0, 10).await.unwrap()[..] else { panic!() };
    let paused = IntegrationState {
        id: "crm".into(),
        paused: true,
        consecutive_failures: 20,
        last_error: Some("no".into()),
        paused_at: Some(at(9)),
    };
    assert!(store.attempted(attempt(one, DeliveryState::Delivered)).await.unwrap());
    assert!(store.attempted(attempt(two, DeliveryState::Pending)).await.unwrap());
    let last = Attempt { integration: Some(paused.clone()), ..attempt(three, DeliveryState::Failed) };
    assert!(store.attempted(last).await.unwrap());
    assert!(!store.attempted(attempt(one, DeliveryState::Failed)).await.unwrap(), "it is done");
    assert_eq!(store.integrations().await.unwrap(), std::slice::from_ref(&paused));
    let pending = store.pending("crm", 0, 10).await.unwrap();
    assert_eq!(ids(&pending), [told[1].clone(), told[3].clone()]);
    assert_eq!((pending[0].attempts, pending[0].next_attempt, pending[0].status), (1, Some(at(10)), Some(503)));
    assert_eq!(store.pending_counts()["crm"], 2);
    let log = store.deliveries("crm", None, None, 3).await.unwrap();
    assert_eq!(ids(&log), [told[3].clone(), told[2].clone(), told[1].clone()], "the newest first");
    let rest = store.deliveries("crm", None, Some(log[2].id), 3).await.unwrap();
    assert_eq!((ids(&rest), rest[0].state), (vec![told[0].clone()], DeliveryState::Delivered));
    let failed = store.deliveries("crm", Some(DeliveryState::Failed), None, 9).await.unwrap();
    assert_eq!((ids(&failed), failed[0].error.as_deref()), (vec![told[2].clone()], Some("no")));

    outbox.mark_unchanged();
    assert!(store.requeue("crm", &told[0], at(20)).await.unwrap());
    assert!(outbox.has_changed().unwrap(), "there is more to deliver");
    assert!(!store.requeue("crm", &told[0], at(20)).await.unwrap(), "it waits already");
    assert!(!store.requeue("log", &told[0], at(20)).await.unwrap(), "there is none");
    assert_eq!(store.reactivate(paused, at(20)).await.unwrap(), 1);
    let again = store.delivery("crm", &told[2]).await.unwrap().unwrap();
    assert_eq!((again.state, again.attempts, again.next_attempt), (DeliveryState::Pending, 0, None));
    assert_eq!(ids(&store.pending("crm", 0, 10).await.unwrap()), told, "in the order of the events");
    assert!(store.pending("crm", 0, 10).await.unwrap().iter().all(|one| (one.attempts, one.next_attempt) == (0, None)));
    let active = store.integrations().await.unwrap();
    assert_eq!((active[0].paused, active[0].consecutive_failures, active[0].paused_at), (false, 0, None));
    assert_eq!(store.skip_pending("crm", "not configured any more", at(21)).await.unwrap(), 4);
    drop(four.clone());
    drop(store);
    let (store, _) = open(dir.path());
    assert!(!store.integrations().await.unwrap()[0].paused);
    assert_eq!(store.deliveries("crm", Some(DeliveryState::Skipped), None, 9).await.unwrap().len(), 4);
    assert!(store.pending_counts().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_receiver_has_so_many_waiting_and_the_rest_can_be_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let events = EventOptions { pending_max: 10, ..options(dir.path()).events };
    let (store, _) = Store::open(&Options { events, ..options(dir.path()) }, &Clock::system()).unwrap();
    let told = tell(&store, 1, 15, &["dead", "alive"]);
    assert!(store.flush(SOON));
    assert_eq!((store.pending_counts()["dead"], store.stats().deliveries_skipped), (10, 10));
    let first = store.pending("dead", 0, 1).await.unwrap();
    store.attempted(attempt(&first[0], DeliveryState::Delivered)).await.unwrap();
    tell(&store, 2, 1, &["dead"]);
    assert!(store.flush(SOON));
    assert_eq!(
        store.pending("dead", 0, 99).await.unwrap().last().unwrap().event.call,
        Some(id(2)),
        "there is room again"
    );
    let paused = IntegrationState {
        id: "dead".into(),
        paused: true,
        consecutive_failures: 20,
        last_error: None,
        paused_at: Some(at(0)),
    };
    assert_eq!(store.reactivate(paused, at(1)).await.unwrap(), 5);
    assert_eq!(ids(&store.pending("dead", 0, 99).await.unwrap())[..14], told[1..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_events_go_with_their_log_and_what_waits_for_a_receiver_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let told = tell(&store, 1, 600, &["crm"]);
    for delivery in store.flush(SOON).then_some(store.pending("crm", 0, 1_000).await.unwrap()).unwrap() {
        if delivery.event.seq % 100 != 0 {
            store.attempted(attempt(&delivery, DeliveryState::Delivered)).await.unwrap();
        }
    }
    drop(store);
    // They happened years ago.
    let events = EventOptions { keep: Duration::from_secs(86_400), ..EventOptions::default() };
    let (store, _) = Store::open(&Options { events, ..options(dir.path()) }, &Clock::system()).unwrap();
    sweep_all(&store, |stats| stats.events_expired == 594);
    assert_eq!(store.events_of(&id(1), 0, u64::MAX, 1_000).await.unwrap().len(), 6);
    assert_eq!(store.deliveries("crm", None, None, 1_000).await.unwrap().len(), 6);
    assert!(Feed::open(&store, Filter::default(), Some(told[0].clone())).await.unwrap().is_none(), "it is forgotten");
    drop(store);

    let (store, _) = open(dir.path());
    let told = tell(&store, 2, 1_000, &[]);
    drop(store);
    let events = EventOptions { keep_bytes: 100_000, ..options(dir.path()).events };
    let (store, _) = Store::open(&Options { events, ..options(dir.path()) }, &Clock::system()).unwrap();
    sweep_all(&store, |stats| stats.events_expired >= 850);
    let rest = store.events_of(&id(2), 0, u64::MAX, 1_000).await.unwrap();
    assert_eq!(rest.last().map(|event| &event.id), told.last(), "the newest stay");
    assert!((50..=150).contains(&rest.len()), "{}", rest.len());
    assert_eq!(store.pending("crm", 0, 10).await.unwrap().len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_begun_anew_goes_on_counting_so_that_no_stream_is_confused() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let mut feed = live(&store).await;
    tell(&store, 1, 3, &[]);
    for _ in 0..3 {
        heard(&mut feed).await;
    }
    store.inner.queue.disk_pages.store(1, Ordering::Relaxed);
    tell(&store, 2, 100, &[]);
    sweep_all(&store, |stats| stats.failing);
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(options(dir.path()).dir.join(format!("trunkline.db{suffix}")));
    }
    store.inner.queue.disk_pages.store(0, Ordering::Relaxed);
    assert_eq!((heard(&mut feed).await.call.clone(), heard(&mut feed).await.seq), (Some(id(2)), 2));
}
