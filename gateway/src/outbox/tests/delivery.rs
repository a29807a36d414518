//! What a receiver sees, and what its answers lead to.

use super::receiver::{Got, Receiver, ok, status};
use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_https_receiver_gets_the_envelope_signed_with_the_static_headers() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (receiver, authorities) = Receiver::start_tls(dir.path(), |_, _| ok()).await;
    let mut crm = integration("crm", &receiver.url());
    crm.headers = vec![("Authorization".into(), Secret::new("Bearer sesame"))];
    let mut config = config(&[crm]);
    config.outbound.tls_ca = Some(authorities);
    let running = Running::start(&store, config);
    let envelope = event("call_1", 1, 0);
    let (id, body) = (envelope.id.to_string(), envelope.body());
    file(&store, envelope, &["crm"]);
    until(|| receiver.got().len() == 1).await;
    let got = receiver.got().remove(0);
    assert_eq!((got.id(), got.path.as_str(), &got.body), (id.as_str(), "/hook", &body));
    assert_eq!(got.header("content-type"), "application/json");
    assert_eq!(got.header("authorization"), "Bearer sesame");
    check_signature(&got, SECRET);
    running.drained("crm").await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_nobody_vouches_for_gets_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (receiver, _) = Receiver::start_tls(dir.path(), |_, _| ok()).await;
    let other = tempfile::tempdir().unwrap();
    let (_other, authorities) = Receiver::start_tls(other.path(), |_, _| ok()).await;
    let mut config = config(&[integration("crm", &receiver.url())]);
    config.outbound.tls_ca = Some(authorities);
    let running = Running::start(&store, config);
    tell(&store, "call_1", 1, &["crm"]);
    until(|| running.count("crm", "failed") == 1).await;
    assert_eq!((running.count("crm", "tls"), receiver.got().len()), (5, 0));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_5xx_is_tried_again_under_the_same_id_and_its_call_waits_but_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let tries = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = tries.clone();
    let receiver = Receiver::start(move |_, got: &Got| {
        let first_of_one = got.place() == ("call_1".to_owned(), 1);
        let failed = first_of_one && count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 2;
        status(if failed { 500 } else { 200 })
    })
    .await;
    let running = Running::start(&store, config(&[integration("crm", &receiver.url())]));
    let one = tell(&store, "call_1", 3, &["crm"]);
    let two = tell(&store, "call_2", 3, &["crm"]);
    running.drained("crm").await;
    let ids = receiver.ids();
    let of = |wanted: &[String]| ids.iter().filter(|id| wanted.contains(id)).cloned().collect::<Vec<_>>();
    assert_eq!(of(&one), [&one[0], &one[0], &one[0], &one[1], &one[2]].map(Clone::clone));
    assert_eq!(of(&two), two);
    for got in receiver.got() {
        check_signature(&got, SECRET);
    }
    assert_eq!(
        (running.count("crm", "5xx"), running.count("crm", "2xx"), running.count("crm", "delivered")),
        (2, 6, 6)
    );
    let log = running.webhooks.deliveries("crm", None, None, 10).await.unwrap();
    let first = log.last().unwrap();
    assert_eq!((first.attempts, first.status, first.state.word()), (3, Some(200), "delivered"));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_4xx_stops_at_once_a_redirect_is_not_followed_and_a_5xx_has_all_its_attempts() {
    let canary = Receiver::start(|_, _| ok()).await;
    for (code, attempts, word) in [(400, 1, "4xx"), (404, 1, "4xx"), (429, 1, "4xx"), (301, 5, "3xx"), (503, 5, "5xx")]
    {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        let location = canary.url();
        let receiver = Receiver::start(move |_, _| (code, vec![("location", location.clone())], Duration::ZERO)).await;
        let running = Running::start(&store, config(&[integration("crm", &receiver.url())]));
        tell(&store, "call_1", 1, &["crm"]);
        until(|| running.count("crm", "failed") == 1).await;
        running.drained("crm").await;
        assert_eq!((receiver.got().len(), running.count("crm", word)), (attempts, attempts as u64), "{code}");
        let log = running.webhooks.deliveries("crm", None, None, 10).await.unwrap();
        assert_eq!((log[0].state.word(), log[0].status), ("failed", Some(code)));
        assert_eq!(log[0].error, Some(format!("answered {code}")));
        let overview = running.overview("crm").await;
        assert_eq!(
            (overview.state.consecutive_failures, overview.state.last_error),
            (1, Some(format!("answered {code}")))
        );
        running.stop().await;
    }
    assert_eq!(canary.got().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_out_and_a_refused_connection_are_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let slow = Receiver::start(|_, _| (200, Vec::new(), Duration::from_secs(600))).await;
    let closed = closed_url();
    let mut hangs = integration("hangs", &slow.url());
    hangs.timeout = Duration::from_millis(200);
    let running = Running::start(&store, config(&[hangs, integration("closed", &closed)]));
    tell(&store, "call_1", 1, &["hangs", "closed"]);
    until(|| running.count("hangs", "failed") == 1 && running.count("closed", "failed") == 1).await;
    assert_eq!((running.count("hangs", "timeout"), running.count("closed", "connect")), (5, 5));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_65536_bytes_goes_and_one_more_does_not_and_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let receiver = Receiver::start(|_, _| ok()).await;
    let running = Running::start(&store, config(&[integration("crm", &receiver.url())]));
    let padding = 65_536 - event("call_1", 1, 0).body().len();
    let (largest, too_large) = (event("call_1", 1, padding), event("call_1", 2, padding + 1));
    assert_eq!((largest.body().len(), too_large.body().len()), (65_536, 65_537));
    let first = file(&store, largest, &["crm"]);
    let refused = file(&store, too_large, &["crm"]);
    let after = file(&store, event("call_1", 3, 0), &["crm"]);
    running.drained("crm").await;
    assert_eq!(receiver.ids(), [first, after]);
    assert_eq!(running.count("crm", "too_large"), 1);
    assert_eq!(running.overview("crm").await.state.consecutive_failures, 0);
    let log = running.webhooks.delivery("crm", &EventId::from_client(&refused)).await.unwrap().unwrap();
    assert_eq!((log.state.word(), log.attempts), ("skipped", 0));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_hangs_delays_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let hangs = Receiver::start(|_, _| (200, Vec::new(), Duration::from_secs(600))).await;
    let quick = Receiver::start(|_, _| ok()).await;
    let running =
        Running::start(&store, config(&[integration("hangs", &hangs.url()), integration("quick", &quick.url())]));
    for call in 0..100 {
        tell(&store, &format!("call_{call}"), 5, &["hangs", "quick"]);
    }
    running.drained("quick").await;
    until(|| hangs.got().len() == 16).await;
    assert_eq!(quick.got().len(), 500);
    assert_eq!(running.overview("hangs").await.pending, 500);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_leave_nothing_private_is_reached() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (receiver, authorities) = Receiver::start_tls(dir.path(), |_, _| ok()).await;
    let mut crm = integration("crm", &receiver.url());
    crm.allow_insecure = false;
    let mut config = config(&[crm]);
    config.outbound.tls_ca = Some(authorities);
    let running = Running::start(&store, config);
    tell(&store, "call_1", 1, &["crm"]);
    until(|| running.count("crm", "failed") == 1).await;
    assert_eq!((running.count("crm", "address"), receiver.got().len()), (5, 0));
    running.stop().await;
}

/// As the specification says: the timestamp is the attempt's, the signature covers id, timestamp and body.
fn check_signature(got: &Got, secret: &str) {
    let seconds: i64 = got.header("webhook-timestamp").parse().unwrap();
    let age = Clock::system().now().wall.as_second() - seconds;
    assert!((0..300).contains(&age), "{age}");
    let at = Timestamp::from_second(seconds).unwrap();
    let expected = signature::headers(&keys(secret), got.id(), at, &got.body);
    assert_eq!(got.header("webhook-signature"), expected["webhook-signature"].to_str().unwrap());
}
