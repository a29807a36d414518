//! Clients that shake hands, and some that do not.

use std::net::SocketAddr;
use std::path::Path;

use axum::Router;
use axum::routing::get;
use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_rustls::client;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};

use super::super::listen::{Caps, STALLED, serve};
use super::*;
use crate::metrics::{Listener, Metrics, Snapshot};
use crate::testing;

/// Writes another certificate and its key, and reads the configuration that names them.
fn renewed(dir: &Path) -> (trunkline_config::Config, CertificateDer<'static>) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(dir.join("cert.pem"), certificate.pem()).unwrap();
    std::fs::write(dir.join("key.pem"), key.serialize_pem()).unwrap();
    let text = testing::TOML.replace("[public]", "[public]\ntls = { certificate = \"cert.pem\", key = \"key.pem\" }");
    let config = trunkline_config::load_str(&text, dir, std::iter::empty()).unwrap().config;
    (config, certificate.der().clone())
}

struct Served {
    address: SocketAddr,
    settings: Settings,
    metrics: Arc<Metrics>,
    _stop: watch::Sender<bool>,
    dir: tempfile::TempDir,
    certificate: CertificateDer<'static>,
}

impl Served {
    async fn with_room_for(handshakes: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (config, certificate) = renewed(dir.path());
        let settings = Settings::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tls = Tls { room: Semaphore::new(handshakes), ..Tls::new(settings.clone()).unwrap() };
        let (metrics, (stop, stopped)) = (Arc::new(Metrics::new()), watch::channel(false));
        let caps = Caps { total: 100, per_address: 100, proxies: None, stalled: STALLED };
        let router = Router::new().route("/", get(async || "here"));
        tokio::spawn(serve(listener, router, caps, Some(tls), (metrics.clone(), Listener::Public), stopped));
        Self { address, settings, metrics, _stop: stop, dir, certificate }
    }

    async fn connect(
        &self,
        versions: &[&'static SupportedProtocolVersion],
    ) -> std::io::Result<client::TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_protocol_versions(versions).unwrap().with_root_certificates(roots);
        let mut config = builder.with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), HTTP_1_1.to_vec()];
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    async fn counts(&self, line: &str) {
        while !self.metrics.render(&Snapshot::default()).lines().any(|have| have == line) {
            tokio::task::yield_now().await;
        }
    }
}

async fn answers(stream: &mut client::TlsStream<TcpStream>) -> bool {
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"here") {
        let mut some = [0; 256];
        match stream.read(&mut some).await {
            Ok(0) | Err(_) => return false,
            Ok(count) => answer.extend_from_slice(&some[..count]),
        }
    }
    answer.starts_with(b"HTTP/1.1 200 OK\r\n")
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken_with_http_1_1_inside() {
    let served = Served::with_room_for(10).await;
    for (version, named) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let mut stream = served.connect(&[version]).await.unwrap();
        assert!(answers(&mut stream).await);
        let connection = stream.get_ref().1;
        assert_eq!((connection.protocol_version(), connection.alpn_protocol()), (Some(named), Some(HTTP_1_1)));
    }
}

#[tokio::test]
async fn another_certificate_is_for_the_next_connection_and_drops_none() {
    let mut served = Served::with_room_for(10).await;
    let mut first = served.connect(&[&TLS13]).await.unwrap();
    assert!(answers(&mut first).await);
    let (config, certificate) = renewed(served.dir.path());
    served.settings.replace(config);
    assert!(served.connect(&[&TLS13]).await.is_err(), "who trusts the old one alone");
    served.certificate = certificate;
    let mut second = served.connect(&[&TLS13]).await.unwrap();
    assert_eq!(second.get_ref().1.peer_certificates().unwrap()[0], served.certificate);
    assert!(answers(&mut second).await && answers(&mut first).await);
}

#[tokio::test]
async fn who_speaks_no_tls_is_let_go_and_counted() {
    let served = Served::with_room_for(10).await;
    let mut plain = TcpStream::connect(served.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"));
    served.counts("trunkline_http_tls_failures_total{reason=\"protocol\"} 1").await;
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_let_go_and_takes_a_place_no_longer() {
    let served = Served::with_room_for(1).await;
    let mut silent = TcpStream::connect(served.address).await.unwrap();
    assert_eq!(silent.read(&mut [0; 16]).await.unwrap_or(0), 0);
    served.counts("trunkline_http_tls_failures_total{reason=\"timeout\"} 1").await;
}

#[tokio::test]
async fn no_more_handshakes_at_once_than_there_is_room_for() {
    let served = Served::with_room_for(0).await;
    assert!(served.connect(&[&TLS13]).await.is_err());
    served.counts("trunkline_http_connections_refused_total{limit=\"handshakes\",listener=\"public\"} 1").await;
}
