//! Connections that break, stall and come back.

#![allow(clippy::disallowed_methods)] // Real sockets, real time.

use std::time::Duration;

use tokio::net::TcpListener;

use super::{Peer, call, call_with, hang_up, next, start, until};
use crate::endpoint::{Event, Failure, Transport};
use crate::message::{HeaderName, Headers, Method};
use crate::transport::tls::Keys;

/// Closed so that whatever was on its way is lost, as when a peer restarts.
fn reset(peer: Peer<tokio::net::TcpStream>) {
    let stream = peer.stream.into_std().unwrap();
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

#[tokio::test]
async fn a_request_that_went_down_with_its_connection_goes_again_and_is_the_same() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (handle, mut events) = start(Keys::default());
    call(&handle, address, Transport::Tcp).await;
    let mut peer = Peer::new(listener.accept().await.unwrap().0);
    let first = peer.request().await;
    reset(peer);
    let mut peer = Peer::new(listener.accept().await.unwrap().0);
    let again = peer.request().await;
    assert_eq!(again.to_bytes(), first.to_bytes());
    peer.answer(&again, address).await;
    assert!(matches!(next(&mut events).await, Event::Answered { .. }));
    assert_eq!(peer.request().await.method, Method::Ack);
    // A peer that does so again and again ends the call that it is asked for.
    let leg = call(&handle, address, Transport::Tcp).await;
    peer.request().await;
    reset(peer);
    let mut peer = Peer::new(listener.accept().await.unwrap().0);
    peer.request().await;
    reset(peer);
    let failed = next(&mut events).await;
    assert!(matches!(failed, Event::Failed { leg: ended, failure: Failure::Transport } if ended == leg), "{failed:?}");
}

#[tokio::test]
async fn a_connection_that_a_call_depends_on_comes_back_by_itself() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (handle, mut events) = start(Keys::default());
    let leg = call(&handle, address, Transport::Tcp).await;
    let mut peer = Peer::new(listener.accept().await.unwrap().0);
    let invite = peer.request().await;
    peer.answer(&invite, address).await;
    assert!(matches!(next(&mut events).await, Event::Answered { .. }));
    peer.request().await;
    // Nobody is there for a while.
    drop(listener);
    reset(peer);
    until(&handle, |_, connections| connections.failed >= 2).await;
    let listener = TcpListener::bind(address).await.unwrap();
    let mut peer = Peer::new(listener.accept().await.unwrap().0);
    hang_up(&handle, leg).await;
    let bye = peer.request().await;
    assert_eq!(bye.method, Method::Bye);
    peer.answer(&bye, address).await;
    until(&handle, |stats, _| stats.legs == 0).await;
    // Without a call nobody needs it.
    reset(peer);
    assert!(tokio::time::timeout(Duration::from_millis(1_500), listener.accept()).await.is_err());
}

#[tokio::test]
async fn a_peer_that_stops_reading_ends_what_waits_for_it_and_holds_up_nobody_else() {
    let stuck = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let well = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (handle, mut events) = start(Keys::default());
    let mut headers = Headers::default();
    headers.push(HeaderName::other("X-Context"), "x".repeat(30_000));
    let address = stuck.local_addr().unwrap();
    let calls = 90;
    for _ in 0..calls {
        // The kernel's own buffers take some hundred thousand octets.
        let mut invite = headers.clone();
        invite.push(HeaderName::other("X-More"), "y".repeat(30_000));
        call_with(&handle, address, Transport::Tcp, invite).await;
    }
    let _peer = stuck.accept().await.unwrap();
    let address = well.local_addr().unwrap();
    let leg = call(&handle, address, Transport::Tcp).await;
    let mut peer = Peer::new(well.accept().await.unwrap().0);
    let invite = peer.request().await;
    peer.answer(&invite, address).await;
    let (mut failed, mut answered) = (0, false);
    while failed < calls || !answered {
        let event = next(&mut events).await;
        if matches!(event, Event::Failed { failure: Failure::Transport | Failure::NoProvisional, .. }) {
            failed += 1;
        } else {
            assert!(matches!(event, Event::Answered { leg: up, .. } if up == leg), "{event:?}");
            answered = true;
        }
    }
    let connections = handle.connections();
    assert!(connections.stalled + connections.broken > 0, "{connections:?}");
}

#[tokio::test]
async fn nothing_is_asked_of_a_peer_that_just_refused() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (handle, mut events) = start(Keys::default());
    call(&handle, closed, Transport::Tcp).await;
    assert!(matches!(next(&mut events).await, Event::Failed { failure: Failure::Transport, .. }));
    for _ in 0..20 {
        call(&handle, closed, Transport::Tcp).await;
    }
    for _ in 0..20 {
        assert!(matches!(next(&mut events).await, Event::Failed { failure: Failure::Transport, .. }));
    }
    assert!(handle.connections().failed < 20, "{:?}", handle.connections());
}
