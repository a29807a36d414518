//! Connections that come, dawdle and go. The clock of these tests runs ahead whenever nobody has anything to do.

use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

#[test]
fn the_door_counts_in_and_out() {
    let mut config = crate::testing::config();
    config.public.trusted_proxies = vec!["10.0.0.1".parse().unwrap()];
    let caps = Caps { total: 5, per_address: 2, proxies: Some(config.into()), stalled: Duration::from_millis(500) };
    let door = Arc::new(Door { caps, open: Mutex::default() });
    let enter = |address: &str| Door::enter(&door, address.parse().unwrap());
    let first = enter("2001:db8::1").map_err(drop).unwrap();
    let _second = enter("2001:db8::2").map_err(drop).unwrap();
    assert_eq!(enter("2001:db8::3").err(), Some("address"));
    drop(first);
    let _third = enter("2001:db8::3").map_err(drop).unwrap();
    let _proxies: Vec<_> = (0..3).map(|_| enter("10.0.0.1").map_err(drop).unwrap()).collect();
    assert_eq!(enter("192.0.2.1").err(), Some("total"));
}

#[test]
fn everybody_gone_leaves_nothing_behind() {
    let caps = Caps { total: 5, per_address: 2, proxies: None, stalled: Duration::from_millis(500) };
    let door = Arc::new(Door { caps, open: Mutex::default() });
    drop(Door::enter(&door, "192.0.2.1".parse().unwrap()));
    let open = door.open.lock().unwrap();
    assert!(open.total == 0 && open.by_address.is_empty());
}

/// A listener with one quick and one slow page.
async fn served(total: usize) -> (SocketAddr, watch::Sender<bool>, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let slow = async || {
        tokio::time::sleep(Duration::from_secs(1)).await;
        "slow"
    };
    let endless = async || {
        let much = || Ok::<_, std::convert::Infallible>(vec![b'x'; 64 * 1024]);
        Body::from_stream(futures::stream::repeat_with(much))
    };
    let router = Router::new().route("/", get(async || "quick")).route("/slow", get(slow));
    let router = router.route("/endless", get(endless));
    let caps = Caps { total, per_address: 1, proxies: None, stalled: Duration::from_millis(500) };
    let (stop, stopped) = watch::channel(false);
    let counted = (Arc::new(Metrics::new()), Listener::Public);
    (address, stop, tokio::spawn(serve(listener, router, caps, None, counted, stopped)))
}

async fn say(address: SocketAddr, words: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(words).await.unwrap();
    stream
}

/// Everything up to the end of the connection; a reset is an end as well.
async fn hear_out(mut stream: TcpStream) -> String {
    let mut heard = Vec::new();
    let _ = stream.read_to_end(&mut heard).await;
    String::from_utf8_lossy(&heard).into_owned()
}

#[tokio::test(start_paused = true)]
async fn who_dawdles_is_hung_up_on() {
    let (address, _stop, _task) = served(100).await;
    for words in [&b""[..], b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"GET "] {
        assert!(!hear_out(say(address, words).await).await.contains("200 OK"), "{words:?}");
    }
    // An idle connection after an answer as well.
    let heard = hear_out(say(address, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await).await;
    assert!(heard.starts_with("HTTP/1.1 200 OK") && heard.ends_with("quick"), "{heard}");
}

#[tokio::test(start_paused = true)]
async fn giants_and_other_protocols_are_turned_away() {
    let (address, _stop, _task) = served(100).await;
    let giant = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Giant: {}\r\n\r\n", "x".repeat(4 * HEAD_BYTES));
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X-Many: 1\r\n".repeat(1000));
    for words in [giant.as_bytes(), many.as_bytes(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01"] {
        assert!(!hear_out(say(address, words).await).await.contains("200 OK"));
    }
}

#[tokio::test(start_paused = true)]
async fn one_too_many_is_closed_at_once_and_room_comes_back() {
    let (address, _stop, _task) = served(1).await;
    let first = say(address, b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let mut second = TcpStream::connect(address).await.unwrap();
    assert!(!matches!(second.read(&mut [0; 1]).await, Ok(1..)));
    assert!(hear_out(first).await.ends_with("slow"));
    tokio::task::yield_now().await;
    let third = say(address, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(hear_out(third).await.ends_with("quick"));
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_is_answered_before_the_end() {
    let (address, stop, task) = served(100).await;
    let asked = say(address, b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let idle = TcpStream::connect(address).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await; // The request is in by then.
    stop.send_replace(true);
    let heard = hear_out(asked).await;
    assert!(heard.ends_with("slow"), "{heard}");
    drop(idle);
    task.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

/// In real time: it is the kernel's clock that runs here.
#[tokio::test]
async fn who_takes_nothing_of_his_answer_is_hung_up_on() {
    let (address, _stop, _task) = served(1).await;
    let mut stalls = say(address, b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut first = [0; 12];
    stalls.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    for _ in 0..2_000 {
        let next = say(address, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
        if hear_out(next).await.ends_with("quick") {
            drop(stalls);
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("its place is never given back");
}
