//! TLS on the public listener: whose certificate, how long a handshake may take, how many there may be.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{Error, ServerConfig};
use tokio_rustls::server::TlsStream;

use crate::settings::Settings;

/// From the accept to the end of the handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Handshakes under way at once: each costs processor time that calls want, too.
const HANDSHAKES: usize = 256;
/// What is spoken inside (RFC 7301).
const HTTP_1_1: &[u8] = b"http/1.1";

/// Makes TLS connections of TCP connections.
pub(super) struct Tls {
    acceptor: TlsAcceptor,
    room: Semaphore,
}

/// A connection came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failed {
    /// Too many handshakes at once.
    Full,
    /// It took too long.
    Timeout,
    /// The client speaks no TLS, none we speak, or takes no part in it.
    Protocol,
}

impl Tls {
    /// With the certificate of the moment a client asks for it: another one drops no connection.
    pub(super) fn new(settings: Settings) -> Result<Self, Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Current(settings)));
        config.alpn_protocols = vec![HTTP_1_1.to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), room: Semaphore::new(HANDSHAKES) })
    }

    /// Shakes hands.
    pub(super) async fn accept(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, Failed> {
        // overflow: closed at once, and counted.
        let _place = self.room.try_acquire().map_err(|_| Failed::Full)?;
        match tokio::time::timeout(HANDSHAKE, self.acceptor.accept(stream)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => {
                tracing::trace!(%error, "a TLS handshake failed");
                Err(Failed::Protocol)
            }
            Err(_) => Err(Failed::Timeout),
        }
    }
}

#[derive(Debug)]
struct Current(Settings);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load().public.tls.as_ref().map(|tls| tls.identity.certified_key())
    }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
