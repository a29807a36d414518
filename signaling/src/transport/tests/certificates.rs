//! Who a peer proves to be, and what we show of ourselves.

#![allow(clippy::disallowed_methods)] // Real sockets, real time.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

use super::handshakes::{bad_certificates, below, server};
use super::{Peer, authority, call, hang_up, identity, keys, named, next, start, start_at, until};
use crate::endpoint::{Event, Failure, Transport};
use crate::message::{HeaderName, Method};
use crate::transport::Sockets;
use crate::transport::tls::{Keys, Tls};

/// Calls this domain at a peer that behaves so; the error, and what the peer heard.
async fn refused<F: Future<Output = Vec<u8>>>(
    keys: Keys,
    domain: &str,
    peer: impl FnOnce(TcpStream) -> F,
) -> (String, Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (handle, mut events) = start(keys);
    call(&handle, address, Transport::Tls(domain.into())).await;
    let heard = peer(listener.accept().await.unwrap().0).await;
    let failed = next(&mut events).await;
    let Event::Failed { failure: Failure::Tls(text), .. } = failed else { panic!("{domain}: {failed:?}") };
    // Nothing is tried in its place.
    let again = tokio::time::timeout(Duration::from_millis(20), listener.accept()).await;
    assert!(again.is_err(), "{domain}: it came again");
    (text, heard)
}

fn acceptor(own: &Arc<CertifiedKey>, versions: &[&'static SupportedProtocolVersion]) -> TlsAcceptor {
    TlsAcceptor::from(server(own, versions))
}

/// Shakes hands as a server; what it was told after that.
async fn shake(stream: TcpStream, own: Arc<CertifiedKey>) -> Vec<u8> {
    let mut heard = Vec::new();
    if let Ok(mut stream) = acceptor(&own, &[&TLS13, &TLS12]).accept(stream).await {
        let _ = stream.read_to_end(&mut heard).await;
    }
    heard
}

#[tokio::test]
async fn a_peer_with_a_bad_certificate_is_told_nothing() {
    let (ours, stranger) = (authority(), authority());
    for (what, domain, own, part) in bad_certificates(&ours, &stranger) {
        let (error, heard) = refused(keys(&ours, None, Vec::new()), domain, |stream| shake(stream, own)).await;
        assert!(heard.is_empty(), "{what}: it heard {heard:?}");
        println!("{what}: {error}");
        assert!(error.contains("invalid peer certificate") && error.contains(part), "{what}: {error}");
    }
}

#[tokio::test]
async fn a_peer_without_tls_1_2_is_told_nothing() {
    // ServerHello of TLS 1.1: version, random, no session, TLS_RSA_WITH_AES_128_CBC_SHA, no compression.
    let mut hello = vec![22, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
    hello.extend([7; 32]);
    hello.extend([0, 0, 0x2f, 0]);
    let rows: [(&str, &[u8]); 4] = [
        ("TLS 1.1", &hello),
        ("plain SIP", b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ("HTTP", b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        ("nothing", b""),
    ];
    for (what, says) in rows {
        let ours = authority();
        let (error, heard) = refused(keys(&ours, None, Vec::new()), "trunk.example", |mut stream| async move {
            stream.write_all(says).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut heard = Vec::new();
            let _ = stream.read_to_end(&mut heard).await;
            heard
        })
        .await;
        assert!(!String::from_utf8_lossy(&heard).contains("INVITE"), "{what}");
        assert!(!error.is_empty(), "{what}");
    }
    // Without anybody to trust there is no handshake, and nothing else in its place.
    let (_, heard) = refused(Keys::default(), "trunk.example", |mut stream| async move {
        let mut heard = Vec::new();
        let _ = stream.read_to_end(&mut heard).await;
        heard
    })
    .await;
    assert!(heard.is_empty());
}

#[tokio::test]
async fn an_encrypted_call_goes_to_whom_it_is_for() {
    let ours = authority();
    let middle = below(&ours, |_| {});
    let chain = [middle.as_ref().der().clone()];
    let both: &[&'static SupportedProtocolVersion] = &[&TLS13, &TLS12];
    let rows = [
        ("trunk.example", identity(&ours, &named(&["trunk.example"]), &[]), both),
        ("Trunk.Example", identity(&ours, &named(&["other.example", "trunk.example"]), &[]), both),
        ("pstn.carrier.example", identity(&ours, &named(&["*.carrier.example"]), &[]), both),
        ("127.0.0.1", identity(&ours, &named(&["127.0.0.1"]), &[]), both),
        ("trunk.example", identity(&middle, &named(&["trunk.example"]), &chain), both),
        ("trunk.example", identity(&ours, &named(&["trunk.example"]), &[]), &[&TLS12]),
    ];
    for (domain, own, versions) in rows {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (handle, mut events) = start(keys(&ours, None, Vec::new()));
        call(&handle, address, Transport::Tls(domain.into())).await;
        let stream = acceptor(&own, versions).accept(listener.accept().await.unwrap().0).await.unwrap();
        // The name is asked for in the handshake; an address is none (RFC 6066 section 3).
        let asked = stream.get_ref().1.server_name().map(str::to_ascii_lowercase);
        assert_eq!(asked, (domain != "127.0.0.1").then(|| domain.to_ascii_lowercase()));
        let mut peer = Peer::new(stream);
        let invite = peer.request().await;
        let via = invite.headers.get(&HeaderName::Via).unwrap();
        assert!(via.starts_with(b"SIP/2.0/TLS "), "{via:?}");
        peer.answer(&invite, address).await;
        assert!(matches!(next(&mut events).await, Event::Answered { .. }));
        assert_eq!(peer.request().await.method, Method::Ack);
    }
}

#[tokio::test]
async fn a_peer_that_asks_for_our_certificate_gets_the_one_for_its_domain() {
    let ours = authority();
    let own = identity(&ours, &named(&["gateway.example"]), &[]);
    let other = identity(&ours, &named(&["customer.example"]), &[]);
    let server = identity(&ours, &named(&["trunk.example", "carrier.example"]), &[]);
    let mut roots = RootCertStore::empty();
    roots.add(ours.as_ref().der().clone()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(server)));
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let others = || vec![("Carrier.example".to_owned(), Arc::clone(&other))];
    let rows = [
        ("trunk.example", keys(&ours, Some(&own), others()), Some(&own)),
        ("carrier.example", keys(&ours, Some(&own), others()), Some(&other)),
        ("carrier.example", keys(&ours, None, others()), Some(&other)),
        ("trunk.example", keys(&ours, None, others()), None),
    ];
    for (domain, keys, shown) in rows {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (handle, mut events) = start(keys);
        call(&handle, listener.local_addr().unwrap(), Transport::Tls(domain.into())).await;
        let stream = acceptor.accept(listener.accept().await.unwrap().0).await;
        let Some(shown) = shown else {
            assert!(stream.is_err());
            let failed = next(&mut events).await;
            assert!(matches!(failed, Event::Failed { .. }), "{failed:?}");
            continue;
        };
        let stream = stream.unwrap();
        assert_eq!(stream.get_ref().1.peer_certificates().unwrap(), shown.cert);
    }
}

#[tokio::test]
async fn other_certificates_and_authorities_are_in_force_at_once_and_end_no_call() {
    let (old, new) = (authority(), authority());
    let (first, second) = (identity(&old, &named(&["127.0.0.1"]), &[]), identity(&new, &named(&["127.0.0.1"]), &[]));
    let bind: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    let server_keys = Tls::new(Keys::server_only(Some(&first)).unwrap());
    let sockets = Sockets { tls: vec![bind], keys: server_keys.clone(), ..Sockets::datagrams(bind) };
    let (server, mut incoming, bound) = start_at(sockets, true);
    let client_keys = Tls::new(keys(&old, None, Vec::new()));
    let (client, mut events, _) = start_at(Sockets { keys: client_keys.clone(), ..Sockets::datagrams(bind) }, false);
    let over = Transport::Tls("127.0.0.1".into());
    let leg = call(&client, bound.tls[0], over.clone()).await;
    let Event::Incoming { leg: taken, .. } = next(&mut incoming).await else { panic!("no call") };
    server.call(move |endpoint, now| endpoint.accept(now, taken, super::SDP.into())).await.unwrap().unwrap();
    assert!(matches!(next(&mut events).await, Event::Answered { .. }));
    assert!(matches!(next(&mut incoming).await, Event::Confirmed { .. }));

    server_keys.replace(Keys::server_only(Some(&second)).unwrap());
    // Whoever trusts the old authority alone opens no connection any more; the one that is there serves on.
    let (other, mut others, _) = start_at(Sockets { keys: client_keys.clone(), ..Sockets::datagrams(bind) }, false);
    call(&other, bound.tls[0], over.clone()).await;
    let failed = next(&mut others).await;
    assert!(matches!(failed, Event::Failed { failure: Failure::Tls(_), .. }), "{failed:?}");
    client_keys.replace(keys(&new, None, Vec::new()));
    tokio::time::sleep(Duration::from_millis(300)).await;
    call(&other, bound.tls[0], over).await;
    assert!(matches!(next(&mut incoming).await, Event::Incoming { .. }));
    hang_up(&client, leg).await;
    assert!(matches!(next(&mut incoming).await, Event::Ended { leg, .. } if leg == taken));
    until(&client, |stats, connections| stats.legs == 0 && connections.opened == 1).await;
}
