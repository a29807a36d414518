//! Real connections on loopback. The other end is a listener of the test's own, or a second endpoint.

#![allow(clippy::disallowed_methods)] // Real sockets, real time.

mod calls;
mod certificates;
mod datagrams;
pub(crate) mod handshakes;
mod server;
mod trouble;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rcgen::{CertificateParams, CertifiedIssuer, Issuer, KeyPair};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;

use super::framing::{Frame, Framer};
use super::tls::{Keys, Tls};
use super::udp::{Handle, listen};
use super::{Bound, ConnectionStats, Sockets};
use crate::endpoint::{EndpointConfig, EndpointStats, Event, Invite, LegId, Timers, Transport};
use crate::message::{HeaderName, Headers, Message, Request, Response, Uri, parse};

const SDP: &[u8] = b"v=0\r\n";

type Events = mpsc::Receiver<Event>;

/// An endpoint that calls, and opens connections with these.
fn start(keys: Keys) -> (Handle, Events) {
    let sockets = Sockets { keys: Tls::new(keys), ..Sockets::datagrams("127.0.0.1:0".parse().unwrap()) };
    let (handle, events, _) = start_at(sockets, false);
    (handle, events)
}

fn start_at(sockets: Sockets, accepts_calls: bool) -> (Handle, Events, Bound) {
    listen(config(accepts_calls), sockets, [7; 32]).unwrap()
}

fn config(accepts_calls: bool) -> EndpointConfig {
    let timers = Timers { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) };
    EndpointConfig {
        advertised: "127.0.0.1:0".parse().unwrap(),
        domain: "127.0.0.1".into(),
        user_agent: "test".into(),
        accepts_calls,
        timers,
        max_transactions: 100,
        trace: false,
        snapshots: None,
    }
}

async fn call(handle: &Handle, target: SocketAddr, over: Transport) -> LegId {
    call_with(handle, target, over, Headers::default()).await
}

async fn call_with(handle: &Handle, target: SocketAddr, over: Transport, headers: Headers) -> LegId {
    let invite = Invite {
        target,
        over,
        uri: Uri::parse(&Bytes::from(format!("sip:a@{target}"))).unwrap(),
        from_user: "b".into(),
        from_display: None,
        headers,
        sdp: Bytes::from_static(SDP),
        credentials: None,
        session_expires: 0,
        reliable: crate::endpoint::Reliable::Off,
        anonymous: false,
        label: String::new(),
    };
    handle.call(move |endpoint, now| endpoint.invite(now, invite)).await.unwrap().unwrap()
}

async fn hang_up(handle: &Handle, leg: LegId) {
    handle.call(move |endpoint, now| endpoint.hangup(now, leg, None)).await.unwrap().unwrap();
}

/// The next event; a 100 comes or does not, as the peer's haste has it.
async fn next(events: &mut Events) -> Event {
    loop {
        let event = tokio::time::timeout(Duration::from_secs(30), events.recv()).await.expect("an event in time");
        let event = event.unwrap();
        if !matches!(event, Event::Trying { .. }) {
            return event;
        }
    }
}

/// Waits until what is counted looks so.
async fn until(handle: &Handle, is_so: impl Fn(&EndpointStats, &ConnectionStats) -> bool) {
    for _ in 0..3_000 {
        let stats = handle.call(|endpoint, _| endpoint.stats()).await.unwrap();
        if is_so(&stats, &handle.connections()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it never came to that: {:?}", handle.connections());
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

    /// The next message; `None` if the connection ends.
    async fn message(&mut self) -> Option<Message> {
        loop {
            match self.framer.next() {
                Some(Frame::Message(bytes)) => return Some(parse(bytes).unwrap()),
                Some(Frame::Ping) => {}
                Some(Frame::TooLong(error) | Frame::Unreadable(error)) => panic!("{error}"),
                None => {
                    let read = self.stream.read_buf(self.framer.buffer());
                    let read = tokio::time::timeout(Duration::from_secs(30), read).await.expect("something in time");
                    if read.unwrap_or_default() == 0 {
                        return None;
                    }
                }
            }
        }
    }

    async fn request(&mut self) -> Request {
        match self.message().await.expect("closed") {
            Message::Request(request) => request,
            Message::Response(response) => panic!("a response: {}", response.status),
        }
    }

    async fn response(&mut self) -> Response {
        match self.message().await.expect("closed") {
            Message::Response(response) => response,
            Message::Request(request) => panic!("a request: {}", request.method),
        }
    }

    async fn answer(&mut self, request: &Request, contact: SocketAddr) {
        let response = Response::to_request(request, 200, Some("far"))
            .with(HeaderName::Contact, format!("<sip:far@{contact};transport=tcp>"))
            .with_body("application/sdp", Bytes::from_static(SDP));
        self.stream.write_all(&response.to_bytes()).await.unwrap();
    }
}

fn text(request: &Request, name: &HeaderName) -> String {
    String::from_utf8_lossy(request.headers.get(name).unwrap()).into_owned()
}

/// An authority of the test's own.
fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = named(&[]);
    let name = format!("authority {:?}", std::time::Instant::now());
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Trusts this authority; `own` is shown to peers and, for a domain, `other`.
fn keys(
    authority: &CertifiedIssuer<'static, KeyPair>,
    own: Option<&Arc<CertifiedKey>>,
    others: Vec<(String, Arc<CertifiedKey>)>,
) -> Keys {
    let file = std::env::temp_dir().join(format!("trunkline-ca-{}-{:p}.pem", std::process::id(), &raw const authority));
    std::fs::write(&file, authority.pem()).unwrap();
    let keys = Keys::new(Some(&file), own, others).unwrap();
    std::fs::remove_file(&file).unwrap();
    keys
}

/// A certificate with its key and chain.
fn identity(
    issuer: &Issuer<'_, KeyPair>,
    params: &CertificateParams,
    chain: &[CertificateDer<'static>],
) -> Arc<CertifiedKey> {
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    let chain = [certificate.der().clone()].into_iter().chain(chain.iter().cloned()).collect();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    Arc::new(CertifiedKey::from_der(chain, key, &ring::default_provider()).unwrap())
}

fn named(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
}
