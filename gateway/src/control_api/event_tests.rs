//! `GET /v1/events` on real sockets, with a real database.

use std::time::Duration;

use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use trunkline_config::Config;

use crate::daemon::Daemon;
use crate::events::{Feed, Filter, Heard, Notice};
use crate::testing::{self, ADMIN, CONTROL, OFFER, READ};

const SOON: Duration = Duration::from_secs(60);

/// What a stream said: id, event, data.
#[derive(Debug, Clone, PartialEq)]
struct Said {
    id: String,
    event: String,
    data: Value,
}

/// A reader of a stream.
struct Reader {
    response: Response,
    text: String,
}

impl Reader {
    async fn open(daemon: &Daemon, query: &str, last: Option<&str>) -> Self {
        let mut request = Client::new().get(format!("http://{}/v1/events{query}", daemon.control_addr));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.bearer_auth(READ).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new() }
    }

    /// The next event; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Said> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                match said(&block) {
                    Some(said) => return Some(said),
                    None => continue,
                }
            }
            match tokio::time::timeout(SOON, self.response.chunk()).await.expect("something comes") {
                Ok(Some(chunk)) => self.text.push_str(std::str::from_utf8(&chunk).unwrap()),
                Ok(None) | Err(_) => return None,
            }
        }
    }

    async fn take(&mut self, count: usize) -> Vec<Said> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(self.next().await.unwrap());
        }
        all
    }
}

/// A block that says something; comments and openings do not.
fn said(block: &str) -> Option<Said> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    let data = serde_json::from_str(&field("data: ")?).unwrap();
    Some(Said { id: field("id: ").unwrap_or_default(), event: field("event: ").unwrap(), data })
}

fn config(data: &std::path::Path) -> Config {
    let mut config = testing::config();
    config.node.data_dir = data.join("data");
    // Tokens name who made them, also after a restart on another port.
    config.public.url = "http://gateway.example".into();
    let key = trunkline_config::Secret::new("0123456789abcdef0123456789abcdef");
    config.public.token_keys = vec![trunkline_config::TokenKey::Shared(key)];
    config
}

/// Announces events of two apps, numbered from `from`.
fn announce(daemon: &Daemon, numbers: std::ops::Range<u64>) {
    for n in numbers {
        let app = if n % 3 == 0 { "idle" } else { "acme" };
        let name = if n % 2 == 0 { "session_created" } else { "trunk_state_changed" };
        daemon.calls().herald().announce(Notice::new(name).of_app(app).with("n", n));
    }
}

fn numbers(all: &[Said]) -> Vec<u64> {
    all.iter().map(|said| said.data["data"]["n"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_live_and_what_was_missed_is_replayed_without_a_gap_or_a_double() {
    let data = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(config(data.path())).await.unwrap();
    let mut live = Reader::open(&daemon, "", None).await;
    announce(&daemon, 0..200);
    let first = live.take(200).await;
    assert_eq!(numbers(&first), (0..200).collect::<Vec<_>>());
    for said in &first {
        assert!(said.id.starts_with("evt_") && said.data["id"] == json!(said.id), "{said:?}");
        assert_eq!((&said.data["name"], &said.data["seq"]), (&json!(said.event), &json!(0)));
        assert_eq!(said.data["data"]["context"], json!({}));
    }
    // More come while each reader still reads what it missed.
    let mut readers = Vec::new();
    for from in [0, 57, 150, 199] {
        readers.push((from, Reader::open(&daemon, "", Some(&first[from].id)).await));
        announce(&daemon, 200 + from as u64..201 + from as u64);
    }
    let later = live.take(4).await;
    for (from, mut reader) in readers {
        let seen = reader.take(203 - from).await;
        assert_eq!(seen[..199 - from], first[from + 1..]);
        assert_eq!(seen[199 - from..], later);
    }
    for (query, wanted) in [
        ("?app=idle", (|n| n % 3 == 0) as fn(u64) -> bool),
        ("?name=session_created", |n| n % 2 == 0),
        ("?app=idle&app=acme&name=session_created,node_draining", |n| n % 2 == 0),
        ("?name=trunk_state_changed&app=acme", |n| n % 2 == 1 && n % 3 != 0),
    ] {
        let mut reader = Reader::open(&daemon, query, Some(&first[0].id)).await;
        let expected: Vec<u64> = (1..200).filter(|n| wanted(*n)).collect();
        assert_eq!(numbers(&reader.take(expected.len()).await), expected, "{query}");
    }
    daemon.shutdown().await;
    let mut rest = Vec::new();
    while let Some(said) = live.next().await {
        rest.push(said);
    }
    assert_eq!(
        rest.iter().map(|said| said.event.as_str()).collect::<Vec<_>>(),
        ["node_draining"],
        "then the stream ends"
    );
    assert_eq!(rest[0].data["app"], "");

    let daemon = Daemon::start(config(data.path())).await.unwrap();
    let mut reborn = Reader::open(&daemon, "", Some(&first[198].id)).await;
    assert_eq!(reborn.next().await.as_ref(), Some(&first[199]), "also after a restart");
    let mut lost = Reader::open(&daemon, "", Some("evt_never")).await;
    let gap = lost.next().await.unwrap();
    assert_eq!((gap.event.as_str(), &gap.data["unknown_id"]), ("gap", &json!("evt_never")));
    assert_eq!(lost.next().await.as_ref(), Some(&first[0]), "everything there is");
    daemon.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_does_not_keep_up_is_told_so_and_comes_back_for_the_rest() {
    const EVENTS: u64 = 6_000;
    let data = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(config(data.path())).await.unwrap();
    let mut quick = Reader::open(&daemon, "", None).await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut slow = socket.connect(daemon.control_addr).await.unwrap();
    let request =
        format!("GET /v1/events HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {READ}\r\n\r\n", daemon.control_addr);
    slow.write_all(request.as_bytes()).await.unwrap();
    let mut head = vec![0; 64];
    slow.read_exact(&mut head).await.unwrap();
    // The quick one hears what the slow one leaves in the wires.
    let pad = "x".repeat(4_000);
    let mut all = Vec::new();
    for n in 0..EVENTS {
        daemon.calls().herald().announce(Notice::new("trunk_state_changed").with("n", n).with("pad", pad.clone()));
        if n % 500 == 499 {
            all.extend(quick.take(500).await);
        }
    }
    assert_eq!(numbers(&all), (0..EVENTS).collect::<Vec<_>>());

    let mut bytes = head;
    tokio::time::timeout(SOON, async {
        let mut chunk = vec![0; 65_536];
        while !bytes.ends_with(b"0\r\n\r\n") {
            let read = slow.read(&mut chunk).await.unwrap();
            assert!(read > 0, "the stream ends in good order");
            bytes.extend_from_slice(&chunk[..read]);
        }
    })
    .await
    .unwrap();
    let text = String::from_utf8(bytes).unwrap();
    // Lines of data lie within one chunk each.
    let mut seen: Vec<Said> = text.split("\r\n").flat_map(|chunk| chunk.split("\n\n")).filter_map(said).collect();
    let marker = seen.pop().unwrap();
    assert_eq!(marker.event, "lagged");
    assert_eq!((marker.id.as_str(), &marker.data["last_id"]), ("", &json!(seen.last().unwrap().id)));
    assert_eq!(marker.data["missed"].as_u64(), Some(EVENTS - seen.len() as u64));
    assert!(!seen.is_empty() && seen[..] == all[..seen.len()]);
    assert_eq!(daemon.calls().seats().stats().lagged, 1);

    let mut back = Reader::open(&daemon, "", marker.data["last_id"].as_str()).await;
    assert_eq!(back.take(all.len() - seen.len()).await, all[seen.len()..]);
    daemon.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_readers_share_each_event() {
    let data = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(config(data.path())).await.unwrap();
    let store = daemon.calls().store();
    let mut readers = Vec::new();
    for _ in 0..1_000 {
        readers.push(Feed::open(store, Filter::default(), None).await.unwrap().unwrap());
    }
    announce(&daemon, 0..50);
    let mut frames: Vec<Vec<usize>> = Vec::new();
    for reader in &mut readers {
        let mut own = Vec::new();
        for _ in 0..50 {
            let heard = tokio::time::timeout(SOON, reader.next()).await.unwrap().unwrap();
            let Heard::Event(event) = heard else { panic!("{heard:?}") };
            own.push(event.frame().as_ptr() as usize);
        }
        frames.push(own);
    }
    assert!(frames.windows(2).all(|pair| pair[0] == pair[1]), "the same bytes for all");
    daemon.shutdown().await;
}

#[tokio::test]
async fn only_who_may_read_reads_and_a_name_that_is_none_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(config(data.path())).await.unwrap();
    let ask = |query: &str, key: &str| {
        let url = format!("http://{}/v1/events{query}", daemon.control_addr);
        let request = Client::new().get(url).bearer_auth(key);
        async move {
            let response = request.send().await.unwrap();
            let status = response.status().as_u16();
            (status, if status == 200 { Value::Null } else { response.json().await.unwrap() })
        }
    };
    assert_eq!(ask("", "nobody").await.0, 401);
    for key in [CONTROL, ADMIN] {
        assert_eq!(ask("", key).await.1["type"], "urn:trunkline:problem:insufficient-scope");
    }
    let (status, problem) = ask("?name=call_end", READ).await;
    assert_eq!((status, &problem["detail"]), (400, &json!("there is no event \"call_end\"")));
    assert_eq!(ask("?app=nobody&name=call_ended", READ).await.0, 200);
    daemon.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_numbers_its_events_tells_its_state_and_its_visitor_reads_them_after_a_restart() {
    let trunk = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let data = tempfile::tempdir().unwrap();
    let with_trunk = || {
        let mut config = config(data.path());
        for configured in &mut config.trunks {
            configured.target.host = "127.0.0.1".into();
            configured.target.port = trunk.local_addr().ok().map(|address| address.port());
        }
        config
    };
    let daemon = Daemon::start(with_trunk()).await.unwrap();
    let (client, public) = (Client::new(), daemon.public_addr);
    let session = || async {
        let body = json!({"app": "acme", "widget_key": "wk_demo", "context": {"plan": "gold"}}).to_string();
        let request = client.post(format!("http://{public}/v1/sessions")).body(body);
        let answer = request.header("content-type", "application/json").send().await.unwrap();
        answer.json::<Value>().await.unwrap()["token"].as_str().unwrap().to_owned()
    };
    let (token, other) = (session().await, session().await);
    let mut all = Reader::open(&daemon, "?name=call_started,call_ended", None).await;
    let start = client.post(format!("http://{public}/v1/calls")).bearer_auth(&token).body(OFFER);
    let started = start.header("content-type", "application/sdp").send().await.unwrap();
    let call = started.headers()["location"].to_str().unwrap().to_owned();
    client.delete(format!("http://{public}{call}")).bearer_auth(&token).send().await.unwrap();
    let told = all.take(2).await;
    let states = told.iter().map(|said| (said.data["seq"].as_u64(), said.data["data"]["state"].as_str()));
    assert_eq!(states.collect::<Vec<_>>(), [(Some(1), Some("setup")), (Some(2), Some("ended"))]);
    assert!(told.iter().all(|said| said.data["data"]["context"] == json!({"plan": "gold"})));
    daemon.shutdown().await;

    let daemon = Daemon::start(with_trunk()).await.unwrap();
    let ask = |token: &str, last: &str| {
        let url = format!("http://{}{call}/events", daemon.public_addr);
        client.get(url).bearer_auth(token).header("last-event-id", last).send()
    };
    let story = ask(&token, "").await.unwrap().text().await.unwrap();
    let said: Vec<Said> = story.split("\n\n").filter_map(said).collect();
    assert_eq!(
        said.iter().map(|said| (said.id.as_str(), &said.data)).collect::<Vec<_>>(),
        [("1", &told[0].data), ("2", &told[1].data)]
    );
    let rest = ask(&token, "1").await.unwrap().text().await.unwrap();
    assert!(rest.starts_with("id: 2\nevent: call_ended\n"), "{rest}");
    assert_eq!(ask(&other, "").await.unwrap().status(), 404, "nobody else's");
    daemon.shutdown().await;
}
