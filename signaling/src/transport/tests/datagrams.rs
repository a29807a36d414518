//! Datagrams over real sockets.

#![allow(clippy::disallowed_methods)] // Real sockets, real time.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::super::udp::{Handle, spawn};
use crate::endpoint::{EndpointConfig, Event, Failure, Invite, Timers, Transport};
use crate::message::{Headers, Uri};

fn start(accepts_calls: bool) -> (Handle, mpsc::Receiver<Event>, SocketAddr) {
    let timers = Timers { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) };
    let bind = "127.0.0.1:0".parse().unwrap();
    let config = EndpointConfig {
        advertised: bind,
        domain: "127.0.0.1".into(),
        user_agent: "test".into(),
        accepts_calls,
        timers,
        max_transactions: 100,
        trace: false,
        snapshots: None,
    };
    spawn(config, bind, [7; 32]).unwrap()
}

fn invite(target: SocketAddr) -> Invite {
    Invite {
        target,
        over: Transport::Udp,
        uri: Uri::parse(&Bytes::from(format!("sip:a@{target}"))).unwrap(),
        from_user: "b".into(),
        from_display: None,
        headers: Headers::default(),
        sdp: Bytes::from_static(b"v=0\r\n"),
        credentials: None,
        session_expires: 0,
        reliable: crate::endpoint::Reliable::Off,
        anonymous: false,
        label: String::new(),
    }
}

async fn next(events: &mut mpsc::Receiver<Event>) -> Event {
    tokio::time::timeout(Duration::from_secs(10), events.recv()).await.unwrap().unwrap()
}

#[tokio::test]
async fn two_of_them_talk_whatever_else_arrives() {
    let (caller, mut caller_events, caller_address) = start(false);
    let (callee, mut callee_events, callee_address) = start(true);
    let noise = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for junk in [&b""[..], b"\r\n\r\n", b"INVITE", &[0xff; 60_000], &[b' '; 9]] {
        noise.send_to(junk, caller_address).unwrap();
        noise.send_to(junk, callee_address).unwrap();
    }
    // Nobody listens there: the kernel gets an ICMP error back.
    let closed = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = caller.call(move |endpoint, now| endpoint.invite(now, invite(closed))).await.unwrap().unwrap();
    let failed = next(&mut caller_events).await;
    assert!(matches!(failed, Event::Failed { leg, failure: Failure::Transport } if leg == refused), "{failed:?}");

    let leg = caller.call(move |endpoint, now| endpoint.invite(now, invite(callee_address))).await.unwrap().unwrap();
    let Event::Incoming { leg: incoming, .. } = next(&mut callee_events).await else { panic!("no call") };
    let answer = Bytes::from_static(b"v=0\r\n");
    callee.call(move |endpoint, now| endpoint.accept(now, incoming, answer)).await.unwrap().unwrap();
    assert!(matches!(next(&mut caller_events).await, Event::Trying { leg: trying } if trying == leg));
    assert!(matches!(next(&mut caller_events).await, Event::Answered { leg: answered, .. } if answered == leg));
    assert!(matches!(next(&mut callee_events).await, Event::Confirmed { .. }));
    caller.call(move |endpoint, now| endpoint.hangup(now, leg, None)).await.unwrap().unwrap();
    assert!(matches!(next(&mut callee_events).await, Event::Ended { .. }));
    let stats = callee.call(|endpoint, _| endpoint.stats()).await.unwrap();
    assert_eq!((stats.legs, stats.malformed), (0, 5));
}

#[tokio::test]
async fn ends_with_its_last_handle() {
    let (handle, mut events, _) = start(false);
    drop(handle);
    let ended = tokio::time::timeout(Duration::from_secs(10), events.recv()).await.unwrap();
    assert!(ended.is_none());
}
