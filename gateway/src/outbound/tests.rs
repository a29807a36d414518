//! Against real sockets: what comes back is written byte by byte.

use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::*;

const SOON: Duration = Duration::from_secs(30);
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// What a peer does with every request.
#[derive(Clone)]
enum Script {
    /// Writes this.
    Say(Vec<u8>),
    /// Writes the first, then the second for ever, with a pause between.
    Repeat(&'static [u8], Vec<u8>, Duration),
    /// Answers, then closes.
    Once(&'static [u8]),
}

struct Peer {
    port: u16,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    sent: Arc<AtomicUsize>,
}

impl Peer {
    async fn start(script: Script) -> Self {
        Self::listen(script, None).await
    }

    async fn listen(script: Script, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = Self {
            port: listener.local_addr().unwrap().port(),
            connections: Arc::default(),
            requests: Arc::default(),
            sent: Arc::default(),
        };
        let counts = (peer.connections.clone(), peer.requests.clone(), peer.sent.clone());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let ((connections, requests, sent), script, tls) = (counts.clone(), script.clone(), tls.clone());
                connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    match tls {
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => act(stream, script, &requests, &sent).await,
                            Err(_) => return,
                        },
                        None => act(stream, script, &requests, &sent).await,
                    };
                });
            }
        });
        peer
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    fn count(&self) -> (usize, usize) {
        (self.connections.load(Ordering::SeqCst), self.requests.load(Ordering::SeqCst))
    }
}

/// Requests of these tests fit into one read and have no body.
async fn act<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    script: Script,
    requests: &AtomicUsize,
    sent: &AtomicUsize,
) -> Option<()> {
    let mut head = Vec::new();
    loop {
        head.clear();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        requests.fetch_add(1, Ordering::SeqCst);
        match &script {
            Script::Say(bytes) => stream.write_all(bytes).await.ok()?,
            Script::Once(bytes) => {
                stream.write_all(bytes).await.ok()?;
                return None;
            }
            Script::Repeat(first, more, pause) => {
                stream.write_all(first).await.ok()?;
                loop {
                    stream.write_all(more).await.ok()?;
                    stream.flush().await.ok()?;
                    sent.fetch_add(more.len(), Ordering::SeqCst);
                    tokio::time::sleep(*pause).await;
                }
            }
        }
        stream.flush().await.ok()?;
    }
}

fn get(url: &str, take: Take) -> Request {
    let policy = Policy { allow_insecure: true, timeout: SOON, take };
    Request { method: Method::GET, url: url.to_owned(), headers: HeaderMap::new(), body: Bytes::new(), policy }
}

fn strictly(url: &str) -> Request {
    let mut request = get(url, Take::Whole(1_000));
    request.policy.allow_insecure = false;
    request
}

fn client() -> Client {
    Client::new(None).unwrap()
}

/// Every name has these addresses; also counts the questions.
fn resolving(to: Vec<SocketAddr>) -> (Client, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let resolve: Resolve = Arc::new(move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        let to = to.clone();
        Box::pin(async move { Ok(to) })
    });
    (Client::with_resolver(None, resolve).unwrap(), asked)
}

#[tokio::test]
async fn an_answer_comes_back_as_it_is_and_the_connection_serves_again() {
    let peer = Peer::start(Script::Say(OK.to_vec())).await;
    let client = client();
    for _ in 0..5 {
        let answer = client.send(&get(&peer.url(), Take::Whole(2))).await.unwrap();
        assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, &b"hi"[..]));
        client.send(&get(&peer.url(), Take::Nothing)).await.unwrap();
    }
    assert_eq!(peer.count(), (1, 10));
}

#[tokio::test]
async fn a_connection_closed_while_it_waited_costs_nothing() {
    let peer = Peer::start(Script::Once(OK)).await;
    let client = client();
    for _ in 0..5 {
        assert_eq!(client.send(&get(&peer.url(), Take::Whole(2))).await.unwrap().status, StatusCode::OK);
    }
    assert_eq!(peer.count().1, 5, "every request is seen once");
}

#[tokio::test]
async fn no_spelling_of_a_private_address_is_reached() {
    let peer = Peer::start(Script::Say(OK.to_vec())).await;
    let client = client();
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "017700000001",
        "localhost",
        "LOCALHOST",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "0.0.0.0",
        "0",
        "[::]",
        "10.0.0.1",
        "169.254.169.254",
    ] {
        let failure = client.send(&strictly(&format!("https://{host}:{}/", peer.port))).await.unwrap_err();
        assert!(matches!(failure, Failure::Forbidden | Failure::Unresolved), "{host}: {failure}");
    }
    assert_eq!(peer.count(), (0, 0));
}

#[tokio::test]
async fn a_receiver_on_this_machine_is_allowed_but_never_a_metadata_service() {
    let peer = Peer::start(Script::Say(OK.to_vec())).await;
    assert!(client().send(&get(&peer.url(), Take::Nothing)).await.is_ok());
    for host in ["169.254.169.254", "[::ffff:169.254.169.254]", "0xa9fea9fe", "100.64.0.1", "0.0.0.0", "[fe80::1]"] {
        let failure = client().send(&get(&format!("http://{host}:{}/", peer.port), Take::Nothing)).await.unwrap_err();
        assert_eq!(failure, Failure::Forbidden, "{host}");
    }
    assert_eq!(peer.count(), (1, 1));
}

#[tokio::test]
async fn what_is_dialled_is_what_was_looked_at() {
    let peer = Peer::start(Script::Say(OK.to_vec())).await;
    let here = SocketAddr::from(([127, 0, 0, 1], peer.port));
    let metadata = SocketAddr::from(([169, 254, 169, 254], peer.port));

    // One question for each connection, and no other way to the address.
    let (client, asked) = resolving(vec![metadata, here]);
    let url = format!("http://rebinds.invalid:{}/", peer.port);
    assert!(client.send(&get(&url, Take::Nothing)).await.is_ok());
    assert_eq!(asked.load(Ordering::SeqCst), 1);

    let strict = format!("https://rebinds.invalid:{}/", peer.port);
    assert_eq!(client.send(&strictly(&strict)).await.unwrap_err(), Failure::Forbidden);
    let (nothing, _) = resolving(Vec::new());
    assert_eq!(nothing.send(&get(&url, Take::Nothing)).await.unwrap_err(), Failure::Unresolved);
    assert_eq!(peer.count(), (1, 1));
}

#[tokio::test]
async fn a_connection_opened_under_laxer_terms_serves_nobody_else() {
    let peer = Peer::start(Script::Say(OK.to_vec())).await;
    let client = client();
    client.send(&get(&peer.url(), Take::Nothing)).await.unwrap();
    assert!(matches!(client.send(&strictly(&peer.url())).await, Err(Failure::Url(_))));
    assert_eq!(peer.count(), (1, 1));
}

#[tokio::test]
async fn redirects_are_answers() {
    let canary = Peer::start(Script::Say(OK.to_vec())).await;
    for status in [301, 302, 303, 307, 308] {
        let head = format!("HTTP/1.1 {status} Moved\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n", canary.url());
        let peer = Peer::start(Script::Say(head.into_bytes())).await;
        assert_eq!(client().send(&get(&peer.url(), Take::Whole(10))).await.unwrap().status.as_u16(), status);
    }
    assert_eq!(canary.count(), (0, 0));
}

#[tokio::test]
async fn large_and_endless_bodies_are_cut_off() {
    let claimed =
        Script::Repeat(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n", vec![b'x'; 65_536], Duration::ZERO);
    let chunks = Script::Repeat(CHUNKED, b"5\r\nhello\r\n".repeat(1_000), Duration::ZERO);
    let until_closed = Script::Repeat(b"HTTP/1.1 200 OK\r\n\r\n", vec![b'x'; 65_536], Duration::ZERO);
    for script in [claimed, chunks, until_closed] {
        let peer = Peer::start(script).await;
        assert_eq!(client().send(&get(&peer.url(), Take::Whole(65_536))).await.unwrap_err(), Failure::TooLarge);
        assert!(peer.sent.load(Ordering::SeqCst) < 16 << 20, "the rest is never taken");
        assert_eq!(client().send(&get(&peer.url(), Take::Nothing)).await.unwrap().status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_slow_body_is_given_up_where_it_is_wanted_and_left_where_not() {
    let peer = Peer::start(Script::Repeat(CHUNKED, b"1\r\nx\r\n".to_vec(), Duration::from_millis(50))).await;
    let mut request = get(&peer.url(), Take::Whole(1 << 20));
    request.policy.timeout = Duration::from_millis(300);
    assert_eq!(client().send(&request).await.unwrap_err(), Failure::TimedOut);
    assert_eq!(client().send(&get(&peer.url(), Take::Nothing)).await.unwrap().status, StatusCode::OK);
}

#[tokio::test]
async fn a_slow_or_endless_head_is_given_up() {
    let slow = Script::Repeat(b"HTTP/1.1 200 OK\r\n", b"X".to_vec(), Duration::from_millis(50));
    let peer = Peer::start(slow).await;
    let mut request = get(&peer.url(), Take::Nothing);
    request.policy.timeout = Duration::from_millis(300);
    assert_eq!(client().send(&request).await.unwrap_err(), Failure::TimedOut);
    let endless = Peer::start(Script::Repeat(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n".repeat(100), Duration::ZERO)).await;
    assert_eq!(client().send(&get(&endless.url(), Take::Nothing)).await.unwrap_err(), Failure::Broken);
}

#[tokio::test]
async fn packed_bodies_stay_packed() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00";
    let peer = Peer::start(Script::Say(head.to_vec())).await;
    let answer = client().send(&get(&peer.url(), Take::Whole(100))).await.unwrap();
    assert_eq!(&answer.body[..], b"\x1f\x8b\x08\x00");
}

#[tokio::test]
async fn what_is_no_http_or_no_connection_is_a_failure_in_safe_words() {
    for (bytes, expected) in [
        (b"SSH-2.0-OpenSSH\r\n\r\n".as_slice(), Failure::Broken),
        (b"", Failure::Closed),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", Failure::Broken),
    ] {
        let peer = Peer::start(Script::Once(bytes)).await;
        assert_eq!(client().send(&get(&peer.url(), Take::Whole(100))).await.unwrap_err(), expected);
    }
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{free}/?key=sesame");
    let failure = client().send(&get(&url, Take::Nothing)).await.unwrap_err();
    assert_eq!(failure, Failure::Connect(io::ErrorKind::ConnectionRefused));
    assert!(!failure.to_string().contains("sesame"));
}

#[tokio::test]
async fn certificates_are_checked_against_the_authorities_that_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, acceptor) = authority("127.0.0.1");
    let (foreign, _) = authority("127.0.0.1");
    let (path, foreign_path) = (dir.path().join("ca.pem"), dir.path().join("foreign.pem"));
    std::fs::write(&path, ours).unwrap();
    std::fs::write(&foreign_path, foreign).unwrap();
    let peer = Peer::listen(Script::Say(OK.to_vec()), Some(acceptor)).await;
    let url = format!("https://127.0.0.1:{}/", peer.port);

    let client = Client::new(Some(&path)).unwrap();
    assert_eq!(client.send(&get(&url, Take::Nothing)).await.unwrap().status, StatusCode::OK);
    assert_eq!(client.send(&get(&url, Take::Nothing)).await.unwrap().status, StatusCode::OK);
    let other_name = format!("https://localhost:{}/", peer.port);
    assert!(matches!(client.send(&get(&other_name, Take::Nothing)).await, Err(Failure::Tls(_))));
    assert!(client.trust(Some(dir.path().join("none.pem").as_path())).is_err());
    client.trust(Some(&foreign_path)).unwrap();
    assert!(matches!(client.send(&get(&url, Take::Nothing)).await, Err(Failure::Tls(_))));
    assert_eq!(peer.count().1, 2);
}

/// A certificate authority in PEM, and a server with a certificate of its for `name`.
fn authority(name: &str) -> (String, TlsAcceptor) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let server_key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&server_key, &issuer).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(server_key.serialize_der()).unwrap())
        .unwrap();
    (pem, TlsAcceptor::from(Arc::new(config)))
}
