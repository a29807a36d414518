use serde_json::json;

use super::*;
use crate::clock::Clock;

fn session(id: &str) -> Session {
    Session { id: SessionId::from_client(id), ..crate::testing::session("acme") }
}

fn fields(call: &str) -> Map<String, Value> {
    Map::from_iter([("call".to_owned(), json!(call))])
}

#[tokio::test]
async fn a_browser_is_reached_while_its_stream_is_open_and_a_little_longer() {
    let (receivers, now) = (Receivers::default(), Clock::system().now());
    let one = session("ses_1");
    let of = |receivers: &Receivers, at| receivers.of(at, "acme", "ann");
    assert!(of(&receivers, now.instant).is_empty());
    let (stream, is_new) = receivers.join(now, &one, "ann", 0).unwrap();
    assert!(is_new);
    let (second, is_new) = receivers.join(now, &one, "ann", 0).unwrap();
    assert!(!is_new, "a second stream of the same session");
    assert_eq!(of(&receivers, now.instant), std::slice::from_ref(&one.id));
    assert!(receivers.of(now.instant, "acme", "bob").is_empty() && receivers.of(now.instant, "idle", "ann").is_empty());
    drop(stream);
    let later = now.instant + Duration::from_secs(3_600);
    assert_eq!(of(&receivers, later).len(), 1, "the other stream is open");
    drop(second);
    let left = Instant::now();
    assert_eq!(of(&receivers, left + Duration::from_secs(9)).len(), 1);
    assert!(receivers.session(left + Duration::from_secs(9), &one.id).is_some());
    assert!(of(&receivers, left + Duration::from_secs(11)).is_empty());
    assert!(receivers.session(left, &one.id).is_none() && receivers.is_empty());
    assert!(receivers.lock().by_address.is_empty());
}

#[tokio::test]
async fn a_stream_that_comes_again_has_missed_nothing() {
    let (receivers, now) = (Receivers::default(), Clock::system().now());
    let one = session("ses_1");
    let (mut stream, _) = receivers.join(now, &one, "ann", 0).unwrap();
    receivers.tell(now, &one.id, "incoming_call", &fields("call_1"));
    receivers.tell(now, &SessionId::from_client("ses_2"), "incoming_call", &fields("call_1"));
    let first = stream.next().await.unwrap();
    assert_eq!((first.seq, first.name, first.data()["call"].clone()), (1, "incoming_call", json!("call_1")));
    assert_eq!((first.data()["session"].clone(), first.call.clone()), (json!("ses_1"), None));
    drop(stream);
    receivers.tell(now, &one.id, "incoming_call_cancelled", &fields("call_1"));
    let (mut stream, _) = receivers.join(now, &one, "ann", 1).unwrap();
    assert_eq!(stream.next().await.unwrap().name, "incoming_call_cancelled");
    let closing = receivers.clone();
    let ended = tokio::spawn(async move { stream.next().await });
    tokio::task::yield_now().await;
    closing.close();
    assert_eq!(ended.await.unwrap(), None);
    let (mut late, _) = receivers.join(now, &session("ses_3"), "ann", 0).unwrap();
    assert_eq!(late.next().await, None);
}

#[tokio::test]
async fn those_who_wait_are_bounded() {
    let (receivers, now) = (Receivers::default(), Clock::system().now());
    let streams: Vec<_> =
        (0..MAX_RUNG).map(|n| receivers.join(now, &session(&format!("ses_{n}")), "ann", 0).unwrap()).collect();
    assert_eq!(receivers.join(now, &session("ses_x"), "ann", 0).unwrap_err().slug, "capacity");
    assert!(receivers.join(now, &session("ses_x"), "bob", 0).is_ok());
    let same: Vec<_> = (1..STREAMS).map(|_| receivers.join(now, &session("ses_0"), "ann", 0).unwrap()).collect();
    assert_eq!(receivers.join(now, &session("ses_0"), "ann", 0).unwrap_err().slug, "too-many-streams");
    for _ in 0..1_000 {
        receivers.tell(now, &SessionId::from_client("ses_0"), "incoming_call", &fields("call_1"));
    }
    let (mut first, _) = streams.into_iter().next().unwrap();
    assert_eq!(first.next().await.unwrap().seq, 1_001 - 64);
    drop(same);
}
