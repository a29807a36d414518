//! Calls over connections that we open.

#![allow(clippy::disallowed_methods)] // Real sockets, real time.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{Peer, call, next, start};
use crate::endpoint::{Event, Failure, Transport};
use crate::message::{HeaderName, Method};
use crate::transport::tls::Keys;

#[tokio::test]
async fn a_call_outlives_its_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (handle, mut events) = start(Keys::default());
    let leg = call(&handle, address, Transport::Tcp).await;
    let mut peer = Peer::new(listener.accept().await.unwrap().0);
    let invite = peer.request().await;
    let field = |name| String::from_utf8_lossy(invite.headers.get(&name).unwrap()).into_owned();
    assert!(field(HeaderName::Via).starts_with("SIP/2.0/TCP "), "{}", field(HeaderName::Via));
    assert!(field(HeaderName::Contact).ends_with(";transport=tcp>"), "{}", field(HeaderName::Contact));
    // A keep-alive is answered, and one of the peer's answers is nothing.
    peer.stream.write_all(b"\r\n\r\n\r\n").await.unwrap();
    let mut pong = [0; 2];
    peer.stream.read_exact(&mut pong).await.unwrap();
    assert_eq!(&pong, b"\r\n");
    peer.answer(&invite, address).await;
    assert!(matches!(next(&mut events).await, Event::Answered { .. }));
    assert_eq!(peer.request().await.method, Method::Ack);
    // The second call shares the connection.
    let second = call(&handle, address, Transport::Tcp).await;
    let invite = peer.request().await;
    peer.answer(&invite, address).await;
    assert!(matches!(next(&mut events).await, Event::Answered { leg, .. } if leg == second));
    assert_eq!(peer.request().await.method, Method::Ack);
    drop(peer);
    // The loss has been seen once nothing comes of it: neither call ends.
    tokio::time::timeout(Duration::from_millis(200), events.recv()).await.unwrap_err();
    handle.call(move |endpoint, now| endpoint.hangup(now, leg, None)).await.unwrap().unwrap();
    let mut peer = Peer::new(listener.accept().await.unwrap().0);
    let bye = peer.request().await;
    assert_eq!(bye.method, Method::Bye);
    peer.answer(&bye, address).await;
    handle.call(move |endpoint, now| endpoint.hangup(now, second, None)).await.unwrap().unwrap();
    let bye = peer.request().await;
    peer.answer(&bye, address).await;
    for _ in 0..500 {
        if handle.call(|endpoint, _| endpoint.stats()).await.unwrap().legs == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("a leg is left");
}

#[tokio::test]
async fn the_peer_hangs_up_over_the_connection_and_over_no_other() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (handle, mut events) = start(Keys::default());
    let leg = call(&handle, address, Transport::Tcp).await;
    let mut peer = Peer::new(listener.accept().await.unwrap().0);
    let invite = peer.request().await;
    peer.answer(&invite, address).await;
    assert!(matches!(next(&mut events).await, Event::Answered { .. }));
    let _ack = peer.request().await;
    let text = |name| String::from_utf8_lossy(invite.headers.get(&name).unwrap()).into_owned();
    let bye = format!(
        "BYE sip:trunkline@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP {address};branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
         From: {};tag=far\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
        text(HeaderName::To),
        text(HeaderName::From),
        text(HeaderName::CallId),
    );
    let datagram = Bytes::from(bye.replace("z9hG4bK1", "z9hG4bK2"));
    handle.call(move |endpoint, now| endpoint.handle_datagram(now, address, datagram)).await.unwrap();
    tokio::time::timeout(Duration::from_millis(50), events.recv()).await.unwrap_err();
    peer.stream.write_all(bye.as_bytes()).await.unwrap();
    assert!(matches!(next(&mut events).await, Event::Ended { leg: ended, .. } if ended == leg));
    let mut answer = BytesMut::new();
    peer.stream.read_buf(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"SIP/2.0 200 "), "{answer:?}");
}

#[tokio::test]
async fn nobody_there_fails_at_once() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (handle, mut events) = start(Keys::default());
    call(&handle, closed, Transport::Tcp).await;
    let failed = next(&mut events).await;
    assert!(matches!(failed, Event::Failed { failure: Failure::Transport, .. }), "{failed:?}");
}
