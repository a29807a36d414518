//! Calls from trunks, with browsers that wait for them.

use bytes::Bytes;
use trunkline_config::{Inbound, Number, Receive};
use trunkline_signaling::message::{HeaderName, Headers, NameAddr, Uri};

use super::*;
use crate::receivers::ReceiverStream;

fn bench() -> Bench {
    Bench::of(|config| {
        let number = Number { number: "+34910000000".into(), app: "acme".into(), name: "ann".into() };
        config.trunks[0].inbound =
            Some(Inbound { allow: Vec::new(), auth: None, numbers: vec![number], hosts: Vec::new() });
        config.trunks[0].max_calls = 3;
        config.apps[0].receive = Receive::BackEnd;
    })
}

fn waiting(bench: &Bench, id: &str) -> Session {
    Session { receive: Some("ann".into()), context: Vec::new(), ..bench.session(id) }
}

impl Bench {
    fn wait(&self, id: &str) -> ReceiverStream {
        self.calls.receive(&waiting(self, id), "ann", 0).unwrap()
    }

    /// The trunk calls.
    async fn called(&self, leg: u64, user: &str) {
        self.called_at(leg, user, "gateway.example").await;
    }

    async fn called_at(&self, leg: u64, user: &str, host: &str) {
        let uri = |text: String| Uri::parse(&Bytes::from(text)).unwrap();
        let mut headers = Headers::default();
        headers.push(HeaderName::CallId, format!("in-{leg}"));
        headers.push(HeaderName::Other("X-Case".into()), "42");
        let from = NameAddr::new(uri("sip:+34910000001@trunk.example".into())).with_display(Some("Bob\u{202e}".into()));
        let event = Event::Incoming {
            leg: LegId(leg),
            door: "acme".into(),
            peer: "127.0.0.1:9".parse().unwrap(),
            over: trunkline_signaling::endpoint::Transport::Udp,
            from,
            uri: uri(format!("sip:{user}@{host}")),
            told: "127.0.0.1".parse().unwrap(),
            headers,
            sdp: Some(testing::ANSWER.into()),
        };
        self.events.send(event).await.unwrap();
    }

    /// Statuses the trunk was answered with, once there are so many.
    async fn statuses(&self, leg: u64, count: usize) -> Vec<u16> {
        loop {
            let answers = self.sip.answers.lock().unwrap().clone();
            let of_leg: Vec<u16> = answers.iter().filter(|(of, ..)| *of == LegId(leg)).map(|(_, s, _)| *s).collect();
            if of_leg.len() >= count {
                return of_leg;
            }
            tokio::task::yield_now().await;
        }
    }
}

/// The next event of a stream: name, call, data.
async fn heard(stream: &mut ReceiverStream) -> (&'static str, CallId, serde_json::Value) {
    let event = stream.next().await.unwrap();
    let data = event.data();
    let call = CallId::from_client(data["call"].as_str().unwrap());
    (event.name, call, data.into())
}

#[tokio::test]
async fn the_first_browser_to_answer_has_the_call() {
    let bench = bench();
    let (mut one, mut two) = (bench.wait("ses_1"), bench.wait("ses_2"));
    bench.called(7, "ann").await;
    let (name, call, data) = heard(&mut one).await;
    assert_eq!(name, "incoming_call");
    assert_eq!(data["from"], json!({"number": "+34910000001", "display": "Bob"}));
    assert_eq!((&data["to"], &data["context"]), (&json!("ann"), &json!({"Case": "42"})));
    assert_eq!(heard(&mut two).await.1, call);
    assert_eq!(bench.statuses(7, 1).await, [180]);
    assert_eq!(bench.calls.session_of(&call), None, "nobody's yet");
    assert_eq!(bench.calls.record(&call).unwrap()["state"], "ringing");
    assert_eq!(bench.media.opened.lock().unwrap().len(), 0, "no media for a call that rings");

    let stranger = Session { id: SessionId::from_client("ses_9"), ..waiting(&bench, "ses_9") };
    assert_eq!(bench.calls.answer(&stranger, &call, OFFER).await.unwrap_err().slug, "unknown-call");
    let bad = bench.calls.answer(&waiting(&bench, "ses_1"), &call, b"nonsense").await.unwrap_err();
    assert_eq!(bad.slug, "invalid-sdp", "and it rings on");
    let started = bench.calls.answer(&waiting(&bench, "ses_2"), &call, OFFER).await.unwrap();
    assert_eq!(started.call, call);
    let late = bench.calls.answer(&waiting(&bench, "ses_1"), &call, OFFER).await.unwrap_err();
    assert_eq!((late.status, late.slug), (409, "call-answered"));
    let (name, _, data) = heard(&mut one).await;
    assert_eq!((name, &data["reason"]), ("incoming_call_cancelled", &json!("answered_elsewhere")));
    assert_eq!(bench.calls.decline(&SessionId::from_client("ses_1"), &call).unwrap_err().slug, "call-answered");
    assert_eq!(bench.calls.session_of(&call), Some(SessionId::from_client("ses_2")));
    assert_eq!(bench.statuses(7, 1).await, [180], "the browser cannot be heard yet");
    let key = bench.media.opened.lock().unwrap()[0].0;
    bench.report(key, MediaEvent::DtlsConnected { profile: "SRTP_AEAD_AES_128_GCM" }).await;
    assert_eq!(bench.statuses(7, 2).await, [180, 200]);
    let answer = bench.sip.answers.lock().unwrap()[1].2.clone().unwrap();
    assert!(String::from_utf8_lossy(&answer).contains("m=audio 30000 RTP/AVP 0"));

    // The one in a call is busy for the next; the other rings alone.
    bench.called(8, "+34910000000").await;
    let (_, second, data) = heard(&mut one).await;
    assert_eq!(data["to"], "+34910000000");
    bench.calls.decline(&SessionId::from_client("ses_1"), &second).unwrap();
    assert_eq!(bench.statuses(8, 2).await, [180, 603]);
    bench.events.send(Event::Ended { leg: LegId(7), reason: None }).await.unwrap();
    assert_eq!(bench.story(&call).await, ["call_started", "call_ringing", "call_answered", "call_ended"]);
    assert_eq!(bench.story(&second).await, ["call_started", "call_ringing", "call_error"]);
    let record = bench.calls.find(&call).await.unwrap().unwrap();
    assert_eq!((&record["direction"], &record["session"]), (&json!("inbound"), &json!("ses_2")));
    assert_eq!((bench.live_on_trunks(), bench.calls.counters().with_media), (0, 0));
    // And it may be called again.
    bench.called(9, "ann").await;
    assert_eq!(heard(&mut two).await.0, "incoming_call");
}

#[tokio::test]
async fn what_trunks_hear_of_calls_that_ring_nobody() {
    let bench = bench();
    bench.called(1, "nobody").await;
    assert_eq!(bench.statuses(1, 1).await, [404], "no such name: no call");
    bench.called(2, "+34910000000").await;
    assert_eq!(bench.statuses(2, 1).await, [480], "a number of ours, where nobody waits: a missed call");
    let stream = bench.wait("ses_1");
    bench.calls.answer(&waiting(&bench, "ses_1"), &CallId::from_client("call_x"), OFFER).await.unwrap_err();
    bench.start("ses_1").await.unwrap();
    bench.called(3, "ann").await;
    assert_eq!(bench.statuses(3, 1).await, [486], "all are busy");
    let outcomes = bench.calls.outcomes();
    let has = |labels: [&str; 3]| outcomes.iter().any(|(known, _)| *known == labels);
    assert!(has(["refused", "unknown_address", "admission"]), "{outcomes:?}");
    assert!(has(["error", "dest_no_answer", "routing"]) && has(["error", "dest_busy", "routing"]), "{outcomes:?}");
    // The caller gives up.
    let mut two = bench.wait("ses_2");
    bench.called(4, "ann").await;
    let (_, call, _) = heard(&mut two).await;
    bench.events.send(Event::Cancelled { leg: LegId(4), reason: None }).await.unwrap();
    let (name, _, data) = heard(&mut two).await;
    assert_eq!((name, &data["reason"]), ("incoming_call_cancelled", &json!("remote_hangup")));
    bench.story(&call).await;
    assert_eq!(bench.calls.answer(&waiting(&bench, "ses_2"), &call, OFFER).await.unwrap_err().slug, "call-ended");
    drop(stream);
}

#[tokio::test]
async fn calls_from_trunks_keep_to_the_caps_and_to_a_drain() {
    let bench = bench();
    let mut stream = bench.wait("ses_1");
    for leg in 1..=3 {
        bench.called(leg, "ann").await;
        assert_eq!(heard(&mut stream).await.0, "incoming_call");
    }
    assert_eq!((bench.live_on_trunks(), bench.calls.live()), (3, 3));
    bench.called(4, "ann").await;
    assert_eq!(bench.statuses(4, 1).await, [503], "as many as the trunk may have");
    bench.events.send(Event::Cancelled { leg: LegId(1), reason: None }).await.unwrap();
    assert_eq!(heard(&mut stream).await.0, "incoming_call_cancelled");
    while bench.calls.live() > 2 {
        tokio::task::yield_now().await;
    }
    bench.calls.drain();
    bench.called(5, "ann").await;
    assert_eq!(bench.statuses(5, 1).await, [503], "nothing new while the node drains");
    bench.calls.shutdown().await;
    assert_eq!(bench.statuses(2, 2).await, [180, 503]);
    let (name, _, data) = heard(&mut stream).await;
    assert_eq!((name, &data["reason"]), ("incoming_call_cancelled", &json!("node_shutdown")));
    assert_eq!((bench.live_on_trunks(), bench.calls.live()), (0, 0));
}

#[tokio::test]
async fn a_browser_that_comes_while_it_rings_may_answer() {
    let bench = bench();
    let mut one = bench.wait("ses_1");
    bench.called(1, "ann").await;
    let (_, call, _) = heard(&mut one).await;
    let mut reloaded = bench.wait("ses_2");
    assert_eq!(heard(&mut reloaded).await.1, call);
    assert!(bench.calls.answer(&waiting(&bench, "ses_2"), &call, OFFER).await.is_ok());
}

#[tokio::test]
async fn a_call_to_an_address_that_is_not_ours_rings_nobody() {
    let bench = bench();
    let mut browser = bench.wait("ses_1");
    bench.called_at(7, "ann", "192.0.2.99").await;
    assert_eq!(bench.statuses(7, 1).await, [404]);
    bench.called_at(8, "+34910000000", "192.0.2.99").await;
    assert_eq!(bench.statuses(8, 1).await, [404]);
    bench.called_at(9, "ann", "127.0.0.1:5999").await;
    assert_eq!(heard(&mut browser).await.0, "incoming_call");
    let outcomes = bench.calls.outcomes();
    let refused = outcomes.iter().find(|(labels, _)| *labels == ["refused", "unknown_address", "admission"]);
    assert_eq!(refused.map(|(_, count)| *count), Some(2), "{outcomes:?}");
}
