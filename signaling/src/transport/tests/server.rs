//! Calls that come over connections of peers, over every transport and family, and what is too large for a datagram.

#![allow(clippy::disallowed_methods)] // Real sockets, real time.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{
    Events, Peer, SDP, authority, call, call_with, hang_up, identity, keys, named, next, start, start_at, text, until,
};
use crate::endpoint::{Event, LegId, Transport};
use crate::message::{HeaderName, Headers, Method, Response};
use crate::transport::tls::{Keys, Tls};
use crate::transport::udp::Handle;
use crate::transport::{Limits, Sockets};

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// One that takes calls over TCP.
fn tcp_server(limits: Limits) -> (Handle, Events, SocketAddr) {
    let (handle, events, bound) =
        start_at(Sockets { tcp: vec![loopback()], limits, ..Sockets::datagrams(loopback()) }, true);
    (handle, events, bound.tcp[0])
}

const ROOMY: Limits = Limits { total: 100, per_source: 100 };

fn invite(via: SocketAddr, contact: SocketAddr) -> String {
    format!(
        "INVITE sip:a@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP {via};branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
         From: <sip:b@127.0.0.1>;tag=near\r\nTo: <sip:a@127.0.0.1>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:b@{contact};transport=tcp>\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n"
    )
}

/// A call that came over this connection and is up.
async fn answered(
    peer: &mut Peer<TcpStream>,
    (server, events): (&Handle, &mut Events),
    invite: &str,
) -> (LegId, Response) {
    peer.stream.write_all(invite.as_bytes()).await.unwrap();
    let Event::Incoming { leg, .. } = next(events).await else { panic!("no call") };
    server.call(move |endpoint, now| endpoint.accept(now, leg, SDP.into())).await.unwrap().unwrap();
    assert_eq!(peer.response().await.status, 100);
    let ok = peer.response().await;
    let to = String::from_utf8_lossy(ok.headers.get(&HeaderName::To).unwrap()).into_owned();
    let ack = invite
        .replace("INVITE", "ACK")
        .replace("z9hG4bK1", "z9hG4bK2")
        .replace("To: <sip:a@127.0.0.1>", &format!("To: {to}"));
    peer.stream.write_all(ack.as_bytes()).await.unwrap();
    assert!(matches!(next(events).await, Event::Confirmed { .. }));
    (leg, ok)
}

#[tokio::test]
async fn a_call_goes_back_along_the_connection_it_came_over() {
    let (server, mut events, address) = tcp_server(ROOMY);
    let mut peer = Peer::new(TcpStream::connect(address).await.unwrap());
    // Where nobody listens: what comes, comes along the connection.
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (leg, ok) = answered(&mut peer, (&server, &mut events), &invite(nowhere, nowhere)).await;
    let contact = String::from_utf8_lossy(ok.headers.get(&HeaderName::Contact).unwrap()).into_owned();
    assert_eq!(contact, format!("<sip:trunkline@{address};transport=tcp>"));
    hang_up(&server, leg).await;
    let bye = peer.request().await;
    assert_eq!(bye.method, Method::Bye);
    assert!(text(&bye, &HeaderName::Via).starts_with(&format!("SIP/2.0/TCP {address};")));
    peer.answer(&bye, nowhere).await;
    until(&server, |stats, connections| stats.legs == 0 && connections.accepted == 1).await;
    assert_eq!(server.connections().opened + server.connections().failed, 0);
}

#[tokio::test]
async fn a_call_outlives_the_connection_it_came_over() {
    let (server, mut events, address) = tcp_server(ROOMY);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ours = listener.local_addr().unwrap();
    let mut peer = Peer::new(TcpStream::connect(address).await.unwrap());
    let (leg, _) = answered(&mut peer, (&server, &mut events), &invite(ours, ours)).await;
    drop(peer);
    until(&server, |_, connections| connections.live == 0).await;
    hang_up(&server, leg).await;
    let mut peer = Peer::new(listener.accept().await.unwrap().0);
    assert_eq!(peer.request().await.method, Method::Bye);
}

#[tokio::test]
async fn an_answer_finds_its_way_when_the_connection_is_gone() {
    let (server, mut events, address) = tcp_server(ROOMY);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ours = listener.local_addr().unwrap();
    let mut peer = Peer::new(TcpStream::connect(address).await.unwrap());
    peer.stream.write_all(invite(ours, ours).as_bytes()).await.unwrap();
    let Event::Incoming { leg, .. } = next(&mut events).await else { panic!("no call") };
    assert_eq!(peer.response().await.status, 100);
    drop(peer);
    until(&server, |_, connections| connections.live == 0).await;
    server.call(move |endpoint, now| endpoint.reject(now, leg, 486)).await.unwrap().unwrap();
    let mut peer = Peer::new(listener.accept().await.unwrap().0);
    assert_eq!(peer.response().await.status, 486);
}

#[tokio::test]
async fn nobody_keeps_others_out() {
    let (server, _events, address) = tcp_server(Limits { total: 3, per_source: 2 });
    let options = invite(address, address).replace("INVITE", "OPTIONS");
    let (mut first, mut second) =
        (Peer::new(TcpStream::connect(address).await.unwrap()), TcpStream::connect(address).await.unwrap());
    // Whoever comes from the same place is turned away, and nobody else.
    let mut third = TcpStream::connect(address).await.unwrap();
    assert_eq!(third.read(&mut [0; 9]).await.unwrap_or_default(), 0);
    let elsewhere = tokio::net::TcpSocket::new_v4().unwrap();
    elsewhere.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = Peer::new(elsewhere.connect(address).await.unwrap());
    other.stream.write_all(options.as_bytes()).await.unwrap();
    assert_eq!(other.response().await.status, 200);
    until(&server, |_, connections| connections.refused == 1).await;
    // What is no SIP ends its own connection.
    second.write_all(b"INVITE sip:a@b SIP/2.0\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n").await.unwrap();
    assert_eq!(second.read(&mut [0; 9]).await.unwrap_or_default(), 0);
    first.stream.write_all(options.as_bytes()).await.unwrap();
    assert_eq!(first.response().await.status, 200);
    until(&server, |_, connections| connections.unreadable == 1 && connections.live == 2).await;
    // Its place is free again.
    let mut again = Peer::new(TcpStream::connect(address).await.unwrap());
    again.stream.write_all(options.as_bytes()).await.unwrap();
    assert_eq!(again.response().await.status, 200);
}

#[tokio::test]
async fn what_cannot_be_taken_is_refused_before_its_connection_ends() {
    let (server, _events, address) = tcp_server(ROOMY);
    let whole = invite(address, address).replace("INVITE", "MESSAGE");
    let (head, _) = whole.split_once("Content-Type").unwrap();
    let long_field = format!("X-Context: {}\r\n", "x".repeat(6_000));
    let rows = [
        // Longer than we take: all of it, its header fields, and those without an end in sight.
        (513, format!("{head}Content-Length: 200000\r\n\r\n")),
        (513, format!("{head}{}Content-Length: 0\r\n\r\n", long_field.repeat(6))),
        (513, format!("{head}{}", long_field.repeat(6))),
        // Nobody knows where it ends.
        (400, format!("{head}\r\n")),
        (400, format!("{head}Content-Length: 3\r\nContent-Length: 4\r\n\r\n")),
    ];
    for (status, request) in rows {
        let mut peer = Peer::new(TcpStream::connect(address).await.unwrap());
        peer.stream.write_all(request.as_bytes()).await.unwrap();
        // Whether or not the rest of it comes.
        let _ = peer.stream.write_all(&[b'x'; 100_000]).await;
        let refused = peer.response().await;
        assert_eq!(refused.status, status, "{request:.400}");
        assert_eq!(refused.headers.get(&HeaderName::CallId).unwrap(), "1");
        assert!(peer.message().await.is_none(), "nobody knows where the next one begins");
    }
    // One that has no answer is over at once.
    let mut peer = Peer::new(TcpStream::connect(address).await.unwrap());
    peer.stream
        .write_all(format!("{head}Content-Length: 200000\r\n\r\n").replace("MESSAGE", "ACK").as_bytes())
        .await
        .unwrap();
    assert!(peer.message().await.is_none());
    until(&server, |stats, connections| {
        (connections.too_long, connections.unreadable, connections.live, stats.malformed) == (4, 2, 0, 6)
    })
    .await;
}

#[tokio::test]
async fn who_is_slow_or_silent_does_not_stay() {
    let ours = authority();
    let own = identity(&ours, &named(&["127.0.0.1"]), &[]);
    let sockets = Sockets {
        tcp: vec![loopback()],
        tls: vec![loopback()],
        keys: Tls::new(Keys::server_only(Some(&own)).unwrap()),
        ..Sockets::datagrams(loopback())
    };
    let (server, _events, bound) = start_at(sockets, true);
    let silent = TcpStream::connect(bound.tcp[0]).await.unwrap();
    let mut dripping = TcpStream::connect(bound.tcp[0]).await.unwrap();
    let half = TcpStream::connect(bound.tls[0]).await.unwrap();
    let drip = async {
        for octet in b"OPTIONS sip:a@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bKslow".iter().cycle()
        {
            if dripping.write_all(&[*octet]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let closed =
        |mut stream: TcpStream| async move { while stream.read(&mut [0; 99]).await.unwrap_or_default() > 0 {} };
    let all = async { tokio::join!(drip, closed(silent), closed(half)) };
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("all closed");
    until(&server, |_, connections| connections.slow == 2 && connections.unencrypted == 1 && connections.live == 0)
        .await;
}

#[tokio::test]
async fn every_transport_and_family_tells_the_peer_the_address_it_can_reach() {
    let ours = authority();
    let own = identity(&ours, &named(&["127.0.0.1", "::1"]), &[]);
    let both: Vec<SocketAddr> = vec!["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()];
    let sockets = || Sockets {
        udp: both.clone(),
        tcp: both.clone(),
        tls: both.clone(),
        keys: Tls::new(keys(&ours, Some(&own), Vec::new())),
        ..Sockets::datagrams(loopback())
    };
    let (server, mut incoming, there) = start_at(sockets(), true);
    let (client, mut events, here) = start_at(sockets(), false);
    for family in 0..2 {
        let host = here.udp[family].ip().to_string();
        let rows = [
            (Transport::Udp, there.udp[family], here.udp[family]),
            (Transport::Tcp, there.tcp[family], here.tcp[family]),
            (Transport::Tls(host.into()), there.tls[family], here.tls[family]),
        ];
        for (over, target, told) in rows {
            let leg = call(&client, target, over.clone()).await;
            let Event::Incoming { leg: taken, headers, .. } = next(&mut incoming).await else { panic!("no call") };
            let field = |name| String::from_utf8_lossy(headers.get(&name).unwrap()).into_owned();
            let via = field(HeaderName::Via);
            assert!(via.starts_with(&format!("SIP/2.0/{} {told};", over.token())), "{via}");
            let contact = field(HeaderName::Contact);
            assert!(contact.starts_with(&format!("<sip:trunkline@{told}")), "{contact}");
            server.call(move |endpoint, now| endpoint.accept(now, taken, SDP.into())).await.unwrap().unwrap();
            assert!(matches!(next(&mut events).await, Event::Answered { .. }));
            assert!(matches!(next(&mut incoming).await, Event::Confirmed { .. }));
            // One end hangs up over TCP, the other over the rest: both find the other.
            if over == Transport::Tcp {
                hang_up(&server, taken).await;
                assert!(matches!(next(&mut events).await, Event::Ended { leg: ended, .. } if ended == leg));
            } else {
                hang_up(&client, leg).await;
                assert!(matches!(next(&mut incoming).await, Event::Ended { leg: ended, .. } if ended == taken));
            }
            until(&client, |stats, _| stats.legs == 0).await;
            until(&server, |stats, _| stats.legs == 0).await;
        }
    }
}

#[tokio::test]
async fn behind_nat_peers_are_told_the_address_outside() {
    let advertise = vec!["198.51.100.7".parse().unwrap(), "2001:db8::7".parse().unwrap()];
    let sockets = Sockets {
        udp: vec!["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()],
        advertise,
        ..Sockets::datagrams(loopback())
    };
    let (client, _events, here) = start_at(sockets, false);
    for (family, outside) in ["198.51.100.7", "[2001:db8::7]"].into_iter().enumerate() {
        let own = here.udp[family];
        let phone = tokio::net::UdpSocket::bind((own.ip(), 0)).await.unwrap();
        call(&client, phone.local_addr().unwrap(), Transport::Udp).await;
        let mut buffer = [0; 4_000];
        let (len, from) = phone.recv_from(&mut buffer).await.unwrap();
        assert_eq!(from, own);
        let invite = String::from_utf8_lossy(&buffer[..len]).into_owned();
        let told = format!("{outside}:{}", own.port());
        assert!(invite.contains(&format!("\r\nVia: SIP/2.0/UDP {told};rport;")), "{invite}");
        assert!(invite.contains(&format!("\r\nContact: <sip:trunkline@{told}>")), "{invite}");
    }
}

fn large() -> Headers {
    let mut headers = Headers::default();
    headers.push(HeaderName::other("X-Context"), "x".repeat(1_300));
    headers
}

/// One that takes calls over UDP, and over TCP at the same port.
fn server_of_both() -> (Handle, Events, SocketAddr) {
    for _ in 0..100 {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let sockets = Sockets { tcp: vec![free], ..Sockets::datagrams(free) };
        let config = super::config(true);
        if let Ok((handle, events, bound)) = super::listen(config, sockets, [8; 32]) {
            return (handle, events, bound.udp[0]);
        }
    }
    panic!("no port is free for both")
}

#[tokio::test]
async fn what_is_too_large_for_a_datagram_goes_over_a_connection() {
    let (server, mut incoming, there) = server_of_both();
    let (client, mut events) = start(Keys::default());
    let leg = call_with(&client, there, Transport::Udp, large()).await;
    let Event::Incoming { leg: taken, headers, .. } = next(&mut incoming).await else { panic!("no call") };
    assert!(headers.get(&HeaderName::Via).unwrap().starts_with(b"SIP/2.0/TCP "));
    server.call(move |endpoint, now| endpoint.accept(now, taken, SDP.into())).await.unwrap().unwrap();
    assert!(matches!(next(&mut events).await, Event::Answered { .. }));
    assert!(matches!(next(&mut incoming).await, Event::Confirmed { .. }));
    // The rest of the call stays there, for the peer's Contact says so.
    hang_up(&client, leg).await;
    assert!(matches!(next(&mut incoming).await, Event::Ended { .. }));
    until(&client, |stats, _| stats.legs == 0 && (stats.grown, stats.shrunk) == (1, 0)).await;
    // One that nobody answers yet is cancelled where it was heard.
    let leg = call_with(&client, there, Transport::Udp, large()).await;
    let Event::Incoming { leg: taken, .. } = next(&mut incoming).await else { panic!("no call") };
    server.call(move |endpoint, now| endpoint.ring(now, taken, 180, None)).await.unwrap().unwrap();
    assert!(matches!(next(&mut events).await, Event::Provisional { .. }));
    hang_up(&client, leg).await;
    assert!(matches!(next(&mut incoming).await, Event::Cancelled { leg, .. } if leg == taken));
    assert!(matches!(next(&mut events).await, Event::Failed { .. }));
}

#[tokio::test]
async fn a_peer_that_takes_no_connections_gets_large_datagrams() {
    let (server, mut incoming, bound) = start_at(Sockets::datagrams(loopback()), true);
    let (client, mut events) = start(Keys::default());
    for (nth, grown) in [(1, 1), (2, 1)] {
        let leg = call_with(&client, bound.udp[0], Transport::Udp, large()).await;
        let Event::Incoming { leg: taken, headers, .. } = next(&mut incoming).await else { panic!("no call") };
        assert!(headers.get(&HeaderName::Via).unwrap().starts_with(b"SIP/2.0/UDP "), "{nth}");
        server.call(move |endpoint, now| endpoint.ring(now, taken, 180, None)).await.unwrap().unwrap();
        assert!(matches!(next(&mut events).await, Event::Provisional { .. }));
        hang_up(&client, leg).await;
        assert!(matches!(next(&mut incoming).await, Event::Cancelled { leg, .. } if leg == taken));
        assert!(matches!(next(&mut events).await, Event::Failed { .. }));
        // That there are no connections is remembered.
        until(&client, |stats, _| stats.grown == grown && stats.shrunk == grown).await;
    }
}

#[tokio::test]
async fn an_encrypted_call_never_takes_another_way() {
    let (_server, mut incoming, there) = server_of_both();
    let ours = authority();
    let (client, mut events) = start(keys(&ours, None, Vec::new()));
    call_with(&client, there, Transport::Tls("127.0.0.1".into()), large()).await;
    assert!(matches!(next(&mut events).await, Event::Failed { .. }));
    assert!(tokio::time::timeout(Duration::from_millis(100), incoming.recv()).await.is_err());
    let stats = client.call(|endpoint, _| endpoint.stats()).await.unwrap();
    assert_eq!((stats.grown, stats.shrunk), (0, 0));
}

#[tokio::test]
async fn what_a_peer_sends_over_a_connection_reaches_its_call_over_datagrams() {
    let (client, mut events, here) =
        start_at(Sockets { tcp: vec![loopback()], ..Sockets::datagrams(loopback()) }, false);
    let phone = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let there = phone.local_addr().unwrap();
    let leg = call(&client, there, Transport::Udp).await;
    let mut buffer = [0; 4_000];
    let (len, from) = phone.recv_from(&mut buffer).await.unwrap();
    let parsed = crate::message::parse(Bytes::copy_from_slice(&buffer[..len])).unwrap();
    let crate::message::Message::Request(invite) = parsed else { panic!("no request") };
    let ok = Response::to_request(&invite, 200, Some("far"))
        .with(HeaderName::Contact, format!("<sip:far@{there}>"))
        .with_body("application/sdp", Bytes::from_static(SDP));
    phone.send_to(&ok.to_bytes(), from).await.unwrap();
    assert!(matches!(next(&mut events).await, Event::Answered { .. }));
    let bye = format!(
        "BYE sip:trunkline@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP {there};branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
         From: {};tag=far\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
        text(&invite, &HeaderName::To),
        text(&invite, &HeaderName::From),
        text(&invite, &HeaderName::CallId),
    );
    let mut peer = Peer::new(TcpStream::connect(here.tcp[0]).await.unwrap());
    peer.stream.write_all(bye.as_bytes()).await.unwrap();
    assert_eq!(peer.response().await.status, 200);
    assert!(matches!(next(&mut events).await, Event::Ended { leg: ended, .. } if ended == leg));
}
