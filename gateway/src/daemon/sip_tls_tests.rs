//! The certificate of the SIP side, and another one while it runs.

use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::super::sip_side::SipSide;
use crate::settings::Settings;
use crate::testing;

/// Writes another certificate and its key, and reads the configuration that names them.
fn renewed(dir: &Path) -> (trunkline_config::Config, CertificateDer<'static>) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(dir.join("cert.pem"), certificate.pem()).unwrap();
    std::fs::write(dir.join("key.pem"), key.serialize_pem()).unwrap();
    let keys = "[sip]\ntls_listen = \"127.0.0.1:0\"\ntls = { certificate = \"cert.pem\", key = \"key.pem\" }";
    let text = testing::TOML.replace("[sip]", keys);
    let config = trunkline_config::load_str(&text, dir, std::iter::empty()).unwrap().config;
    (config, certificate.der().clone())
}

/// As a peer that trusts this certificate alone.
async fn connect(
    address: std::net::SocketAddr,
    trusted: &CertificateDer<'static>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

async fn is_answered(stream: &mut TlsStream<TcpStream>, branch: &str) -> bool {
    let options = format!(
        "OPTIONS sip:localhost SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:5061;branch=z9hG4bK{branch}\r\n\
         From: <sip:a@localhost>;tag=1\r\nTo: <sip:localhost>\r\nCall-ID: {branch}\r\nCSeq: 1 OPTIONS\r\n\
         Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(options.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.is_ok() && answer == *b"SIP/2.0 200 "
}

#[tokio::test]
async fn sip_peers_see_another_certificate_after_a_reload_and_lose_no_connection() {
    let dir = tempfile::tempdir().unwrap();
    let (config, first) = renewed(dir.path());
    let (side, _events, bound) = SipSide::start(&config).unwrap();
    let settings = Settings::new(config);
    side.follow(&settings);
    let address = bound.tls[0];
    let mut early = connect(address, &first).await.unwrap();
    assert!(is_answered(&mut early, "early").await);
    let (config, second) = renewed(dir.path());
    assert!(connect(address, &second).await.is_err());
    settings.replace(config);
    while connect(address, &second).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert!(connect(address, &first).await.is_err());
    let mut rest = vec![0; 4_000];
    // What is left of the first answer.
    let _ = early.read(&mut rest).await.unwrap();
    assert!(is_answered(&mut early, "later").await);
    side.stop().await;
}
