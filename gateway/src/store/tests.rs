//! The store on real files: what was handed over is found, whatever the disk and the process do in between.

use std::sync::atomic::Ordering;

use rusqlite::Connection;
use serde_json::json;

use super::*;

mod events;

const SOON: Duration = Duration::from_secs(20);

struct Text(Value, Value);

impl Papers for Text {
    fn record(&self) -> Value {
        self.0.clone()
    }

    fn details(&self) -> Value {
        self.1.clone()
    }
}

struct Panics;

impl Papers for Panics {
    fn record(&self) -> Value {
        panic!("asked for")
    }

    fn details(&self) -> Value {
        Value::Null
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn call(n: i64, ended: Option<&'static str>) -> Kept {
    let id = CallId::from_client(&format!("call_{n:05}"));
    let record = json!({"call": id, "state": if ended.is_some() { "ended" } else { "talking" }});
    Kept {
        id,
        session: Some(SessionId::from_client("ses_1")),
        app: if n % 2 == 0 { "even" } else { "odd" }.into(),
        started: at(n),
        ended: ended.map(|reason| (at(n + 60), reason)),
        papers: Arc::new(Text(record, json!({"n": n}))),
        with_details: true,
    }
}

fn id(n: i64) -> CallId {
    call(n, None).id
}

fn options(dir: &Path) -> Options {
    let keep = Duration::from_secs(1 << 33);
    Options {
        dir: dir.join("data"),
        keep,
        keep_bytes: 1 << 40,
        events: EventOptions { keep, ..EventOptions::default() },
    }
}

fn open(dir: &Path) -> (Store, Vec<Orphan>) {
    Store::open(&options(dir), &Clock::system()).unwrap()
}

#[tokio::test]
async fn what_is_kept_is_found_again_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (store, orphans) = open(dir.path());
    assert_eq!(orphans, []);
    store.keep(call(1, None));
    store.keep(call(1, Some("user_hangup")));
    store.keep(call(2, Some("dest_busy")));
    assert!(store.flush(SOON));
    let expected = (json!({"call": "call_00001", "state": "ended"}), json!({"n": 1}));
    assert_eq!(store.papers(&id(1)).await.unwrap(), Some(expected.clone()));
    assert_eq!(store.papers(&id(3)).await.unwrap(), None);
    drop(store);
    let (store, orphans) = open(dir.path());
    assert_eq!(orphans, []);
    assert_eq!(store.papers(&id(1)).await.unwrap(), Some(expected));
    assert_eq!(store.record(&id(2)).await.unwrap().unwrap()["call"], "call_00002");
}

#[tokio::test]
async fn a_live_call_is_no_ended_one_and_the_next_start_finds_it() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    store.keep(call(1, None));
    store.keep(call(2, Some("user_hangup")));
    assert!(store.flush(SOON));
    assert_eq!(store.record(&id(1)).await.unwrap(), None);
    assert_eq!(store.page(Query { limit: 10, ..Query::default() }).await.unwrap().len(), 1);
    store.close();
    let (store, orphans) = {
        drop(store);
        open(dir.path())
    };
    let [orphan] = &orphans[..] else { panic!("{orphans:?}") };
    assert_eq!((&orphan.id, orphan.app.as_str(), orphan.started), (&id(1), "odd", at(1)));
    assert_eq!((orphan.record["state"].as_str(), &orphan.details), (Some("talking"), &json!({"n": 1})));
    assert!(orphan.last_known > at(1), "the file says when the gateway was last alive");
    store.keep(call(1, Some("node_crash")));
    drop(store);
    assert_eq!(open(dir.path()).1, []);
}

#[tokio::test]
async fn pages_follow_each_other_without_gaps_or_doubles() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    // Several begin at the same moment.
    for n in 0..100 {
        store.keep(Kept { started: at(n / 7), ..call(n, Some(if n % 3 == 0 { "third" } else { "other" })) });
    }
    assert!(store.flush(SOON));
    type Wanted = (Query, fn(&i64) -> bool);
    let filters: [Wanted; 5] = [
        (Query::default(), |_| true),
        (Query { app: Some("even".into()), ..Query::default() }, |n| n % 2 == 0),
        (Query { reason: Some("third".into()), ..Query::default() }, |n| n % 3 == 0),
        (Query { since: Some(at(3)), until: Some(at(9)), ..Query::default() }, |n| (3..9).contains(&(n / 7))),
        (Query { app: Some("odd".into()), reason: Some("third".into()), ..Query::default() }, |n| n % 6 == 3),
    ];
    for (query, wanted) in filters {
        for limit in [1, 3, 7, 200] {
            let mut seen = Vec::new();
            let mut before = None;
            loop {
                let page = store.page(Query { before: before.clone(), limit, ..query.clone() }).await.unwrap();
                let Some(last) = page.last() else { break };
                before = Cursor::parse(&last.at.to_string());
                seen.extend(page.into_iter().map(|row| row.at.id));
            }
            let expected: Vec<CallId> = (0..100).rev().filter(wanted).map(id).collect();
            assert_eq!(seen, expected, "{query:?} by {limit}");
        }
    }
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    store.inner.queue.disk_pages.store(1, Ordering::Relaxed);
    for n in 0..300 {
        store.keep(call(n, Some("user_hangup")));
    }
    assert!(!store.flush(Duration::from_millis(300)), "there is no room");
    let stats = store.stats();
    assert!(stats.failing && stats.failures > 0 && stats.waiting > 0 && stats.dropped == 0, "{stats:?}");
    assert_eq!(store.waiting(&id(299)).unwrap().papers.record()["call"], "call_00299", "what waits can be read");
    store.inner.queue.disk_pages.store(0, Ordering::Relaxed);
    assert!(store.flush(SOON));
    assert_eq!(store.page(Query { limit: 1_000, ..Query::default() }).await.unwrap().len(), 300);
    store.keep(call(300, Some("user_hangup")));
    assert!(store.flush(SOON));
    let stats = store.stats();
    assert_eq!((stats.failing, stats.waiting, stats.dropped), (false, 0, 0), "{stats:?}");
}

#[tokio::test]
async fn a_locked_file_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let backup = Connection::open(options(dir.path()).dir.join("trunkline.db")).unwrap();
    backup.execute_batch("BEGIN IMMEDIATE").unwrap();
    store.keep(call(1, Some("user_hangup")));
    assert!(!store.flush(Duration::from_millis(200)));
    backup.execute_batch("COMMIT").unwrap();
    assert!(store.flush(SOON));
    assert!(store.record(&id(1)).await.unwrap().is_some());
}

#[test]
fn a_long_queue_sheds_the_journal_then_details_then_calls_and_counts_them() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let backup = Connection::open(options(dir.path()).dir.join("trunkline.db")).unwrap();
    backup.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (long, full) = (queue::LONG as i64, queue::FULL as i64);
    (0..full + 5).for_each(|n| store.keep(call(n, Some("user_hangup"))));
    store.keep(call(99_999, None));
    let stats = store.stats();
    assert_eq!((stats.waiting, stats.dropped), (queue::FULL, 5));
    assert_eq!((stats.shed, stats.unjournalled), ((full - long) as u64, 1));
    assert_eq!(store.waiting(&id(long - 1)).unwrap().papers.details(), json!({"n": long - 1}));
    assert_eq!(store.waiting(&id(long)).unwrap().papers.details(), Value::Null);
    assert_eq!(store.waiting(&id(long)).unwrap().papers.record()["state"], "ended");
    backup.execute_batch("COMMIT").unwrap();
    assert!(store.flush(SOON));
    assert_eq!(store.stats().written, full as u64);
}

#[tokio::test]
async fn a_damaged_file_is_moved_aside() {
    let dir = tempfile::tempdir().unwrap();
    let data = options(dir.path()).dir;
    let (store, _) = open(dir.path());
    (0..500).for_each(|n| store.keep(call(n, Some("user_hangup"))));
    drop(store);
    let file = data.join("trunkline.db");
    let whole = std::fs::read(&file).unwrap();
    for damage in [b"this is no database, and never was one".to_vec(), vec![0xFF; whole.len()], whole[..5_000].to_vec()]
    {
        std::fs::write(&file, &damage).unwrap();
        let (store, orphans) = open(dir.path());
        assert_eq!(orphans, []);
        assert_eq!(std::fs::read(data.join("trunkline.db.damaged")).unwrap(), damage);
        store.keep(call(1, Some("user_hangup")));
        assert!(store.flush(SOON));
        assert!(store.record(&id(1)).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn one_call_that_cannot_be_written_does_not_hold_up_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    store.keep(call(1, Some("user_hangup")));
    store.keep(Kept { papers: Arc::new(Panics), ..call(2, Some("user_hangup")) });
    store.keep(call(3, Some("user_hangup")));
    assert!(store.flush(SOON));
    assert_eq!(store.page(Query { limit: 9, ..Query::default() }).await.unwrap().len(), 2);
    assert_eq!(store.stats().dropped, 1);
}

fn sweep_all(store: &Store, until: impl Fn(&StoreStats) -> bool) {
    for _ in 0..2_000 {
        if until(&store.stats()) {
            return;
        }
        let _ = store.flush(Duration::ZERO);
        store.inner.queue.rest(Duration::from_millis(5));
    }
    panic!("{:?}", store.stats());
}

#[tokio::test]
async fn old_calls_are_forgotten_and_live_ones_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let now = Clock::system().now().wall;
    let (store, _) = open(dir.path());
    (0..500).for_each(|n| store.keep(call(n, Some("user_hangup"))));
    store.keep(call(1_000, None));
    store.keep(Kept { ended: Some((now, "user_hangup")), ..call(1_001, Some("user_hangup")) });
    drop(store);
    let options = Options { keep: Duration::from_secs(86_400), ..options(dir.path()) };
    let (store, orphans) = Store::open(&options, &Clock::system()).unwrap();
    assert_eq!(orphans.len(), 1);
    sweep_all(&store, |stats| stats.expired == 500);
    let rest = store.page(Query { limit: 1_000, ..Query::default() }).await.unwrap();
    assert_eq!(rest.iter().map(|row| &row.at.id).collect::<Vec<_>>(), [&id(1_001)]);
}

#[tokio::test]
async fn the_oldest_calls_go_when_the_file_grows_too_large() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    for n in 0..1_000 {
        let details: String = (0..4_000).map(|at| char::from(b'a' + ((at * n) % 26) as u8)).collect();
        store.keep(Kept {
            papers: Arc::new(Text(json!({"call": id(n)}), json!(details))),
            ..call(n, Some("user_hangup"))
        });
    }
    drop(store);
    let file = options(dir.path()).dir.join("trunkline.db");
    let before = std::fs::metadata(&file).unwrap().len();
    let options = Options { keep_bytes: 1 << 20, ..options(dir.path()) };
    let (store, _) = Store::open(&options, &Clock::system()).unwrap();
    sweep_all(&store, |stats| stats.bytes > 0 && stats.bytes <= 1 << 20);
    let rest = store.page(Query { limit: 1_000, ..Query::default() }).await.unwrap();
    assert!((100..400).contains(&rest.len()), "{}", rest.len());
    assert_eq!(rest.first().map(|row| &row.at.id), Some(&id(999)), "the newest stay");
    sweep_all(&store, |_| {
        Connection::open(&file).unwrap().query_row("PRAGMA freelist_count", [], |row| row.get::<_, i64>(0)).unwrap()
            == 0
    });
    drop(store);
    let after = std::fs::metadata(&file).unwrap().len();
    assert!(before > 3 << 20 && after < 2 << 20, "{before} {after}");
}

fn refused(dir: &Path) -> String {
    Store::open(&options(dir), &Clock::system()).err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn what_cannot_be_used_is_refused_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let (first, _) = open(dir.path());
    assert!(refused(dir.path()).ends_with("data is in use by another gateway"), "{}", refused(dir.path()));
    drop(first);
    let file = options(dir.path()).dir.join("trunkline.db");
    Connection::open(&file).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(
        refused(dir.path()).contains("has version 99, this gateway knows versions up to"),
        "{}",
        refused(dir.path())
    );
    assert!(file.exists() && !options(dir.path()).dir.join("trunkline.db.damaged").exists(), "and left alone");

    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("data"), "a file where the folder should be").unwrap();
    assert!(refused(dir.path()).contains("data: "), "{}", refused(dir.path()));
}

#[test]
fn nobody_else_on_this_machine_may_read_it_and_temporary_ones_go() {
    use std::os::unix::fs::PermissionsExt;
    let store = Store::temporary(&Clock::system()).unwrap();
    store.keep(call(1, Some("user_hangup")));
    assert!(store.flush(SOON));
    let dir = store.inner.temporary.clone().unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o077;
    assert_eq!(mode(&dir), 0);
    for file in std::fs::read_dir(&dir).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0);
    }
    drop(store);
    assert!(!dir.exists());
}
