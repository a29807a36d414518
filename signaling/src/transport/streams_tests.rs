//! Calls over real connections on loopback. The other end is a listener of the test's own.

#![allow(clippy::disallowed_methods)] // Real sockets, real time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair, date_time_ymd};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ClientConfig, ServerConfig};

use super::framing::{Frame, Framer};
use super::udp::{Handle, spawn_with};
use crate::endpoint::{EndpointConfig, Event, Failure, Invite, LegId, Timers, Transport};
use crate::message::{HeaderName, Headers, Message, Method, Request, Response, Uri, parse};

const SDP: &[u8] = b"v=0\r\n";

fn start(tls: Option<Arc<ClientConfig>>) -> (Handle, mpsc::Receiver<Event>) {
    let timers = Timers { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) };
    let bind = "127.0.0.1:0".parse().unwrap();
    let config = EndpointConfig {
        advertised: bind,
        domain: "127.0.0.1".into(),
        user_agent: "test".into(),
        accepts_calls: false,
        timers,
        max_transactions: 100,
        trace: false,
        snapshots: None,
    };
    let (handle, events, _) = spawn_with(config, bind, [7; 32], tls).unwrap();
    (handle, events)
}

async fn call(handle: &Handle, target: SocketAddr, over: Transport) -> LegId {
    let invite = Invite {
        target,
        over,
        uri: Uri::parse(&Bytes::from(format!("sip:a@{target}"))).unwrap(),
        from_user: "b".into(),
        from_display: None,
        headers: Headers::default(),
        sdp: Bytes::from_static(SDP),
        credentials: None,
        session_expires: 0,
        reliable: crate::endpoint::Reliable::Off,
        anonymous: false,
        label: String::new(),
    };
    handle.call(move |endpoint, now| endpoint.invite(now, invite)).await.unwrap().unwrap()
}

async fn next(events: &mut mpsc::Receiver<Event>) -> Event {
    tokio::time::timeout(Duration::from_secs(10), events.recv()).await.unwrap().unwrap()
}

/// The peer's end of a connection.
struct Peer<S> {
    stream: S,
    framer: Framer,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    fn new(stream: S) -> Self {
        Self { stream, framer: Framer::default() }
    }

    async fn request(&mut self) -> Request {
        loop {
            match self.framer.next().unwrap() {
                Some(Frame::Message(bytes)) => match parse(bytes).unwrap() {
                    Message::Request(request) => return request,
                    Message::Response(_) => panic!("a response"),
                },
                Some(Frame::Ping) => {}
                None => assert!(self.stream.read_buf(self.framer.buffer()).await.unwrap() > 0, "closed"),
            }
        }
    }

    async fn answer(&mut self, request: &Request, contact: SocketAddr) {
        let response = Response::to_request(request, 200, Some("far"))
            .with(HeaderName::Contact, format!("<sip:far@{contact};transport=tcp>"))
            .with_body("application/sdp", Bytes::from_static(SDP));
        self.stream.write_all(&response.to_bytes()).await.unwrap();
    }
}

#[tokio::test]
async fn a_call_outlives_its_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (handle, mut events) = start(None);
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
    let (handle, mut events) = start(None);
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
    let (handle, mut events) = start(None);
    call(&handle, closed, Transport::Tcp).await;
    let failed = next(&mut events).await;
    assert!(matches!(failed, Event::Failed { failure: Failure::Transport, .. }), "{failed:?}");
}

/// An authority of the test's own, and what trusts it.
fn authority() -> (CertifiedIssuer<'static, KeyPair>, Arc<ClientConfig>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let file = std::env::temp_dir().join(format!("trunkline-ca-{}-{:p}.pem", std::process::id(), &raw const issuer));
    std::fs::write(&file, issuer.pem()).unwrap();
    let client = super::tls::client(Some(&file)).unwrap();
    std::fs::remove_file(&file).unwrap();
    (issuer, client)
}

fn server(issuer: &CertifiedIssuer<'static, KeyPair>, name: &str, expired: bool) -> TlsAcceptor {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    if expired {
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    }
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

#[tokio::test]
async fn an_encrypted_call_goes_to_whom_it_is_for() {
    let (issuer, client) = authority();
    let (stranger, _) = authority();
    let rows = [
        (&issuer, "trunk.example", false, None),
        (&issuer, "other.example", false, Some("not valid for name")),
        (&issuer, "trunk.example", true, Some("expired")),
        (&stranger, "trunk.example", false, Some("invalid peer certificate")),
    ];
    for (issuer, name, expired, error) in rows {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (handle, mut events) = start(Some(Arc::clone(&client)));
        let acceptor = server(issuer, name, expired);
        call(&handle, address, Transport::Tls("trunk.example".into())).await;
        let stream = acceptor.accept(listener.accept().await.unwrap().0).await;
        if let Some(error) = error {
            let failed = next(&mut events).await;
            let Event::Failed { failure: Failure::Tls(text), .. } = failed else { panic!("{failed:?}") };
            assert!(text.contains(error), "{text}");
            continue;
        }
        let mut peer = Peer::new(stream.unwrap());
        let invite = peer.request().await;
        let via = invite.headers.get(&HeaderName::Via).unwrap();
        assert!(via.starts_with(b"SIP/2.0/TLS "), "{via:?}");
        peer.answer(&invite, address).await;
        assert!(matches!(next(&mut events).await, Event::Answered { .. }));
        assert_eq!(peer.request().await.method, Method::Ack);
    }
}

#[tokio::test]
async fn who_does_not_encrypt_is_told_nothing() {
    let (_, client) = authority();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (handle, mut events) = start(Some(client));
    call(&handle, address, Transport::Tls("trunk.example".into())).await;
    let mut stream = listener.accept().await.unwrap().0;
    stream.write_all(b"SIP/2.0 200 OK\r\n\r\n").await.unwrap();
    let failed = next(&mut events).await;
    assert!(matches!(failed, Event::Failed { failure: Failure::Tls(_), .. }), "{failed:?}");
    let mut heard = Vec::new();
    let _ = stream.read_to_end(&mut heard).await;
    assert!(!String::from_utf8_lossy(&heard).contains("INVITE"));
    // Without anybody to trust nothing is sent either.
    let (handle, mut events) = start(None);
    call(&handle, address, Transport::Tls("trunk.example".into())).await;
    assert!(matches!(next(&mut events).await, Event::Failed { failure: Failure::Tls(_), .. }));
}
