//! A connection to an address that was checked: the name is resolved once, and what is dialled is what was looked at.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use super::address::{Reach, reach};
use super::target::Peer;
use super::{Failure, Resolve};

/// Addresses of a name that are tried.
const ADDRESSES_MAX: usize = 4;
/// Bytes and fields of an answer's head.
const HEAD_BYTES_MAX: usize = 64 * 1024;
const FIELDS_MAX: usize = 64;

/// An HTTP connection, one exchange at a time.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    pub(super) born: Instant,
    task: JoinHandle<()>,
}

impl Connection {
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends a request; `Failure::Closed` where the connection was over before anything came back.
    pub(super) async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Failure> {
        self.sender.ready().await.map_err(|_| Failure::Closed)?;
        self.sender.send_request(request).await.map_err(|error| {
            if error.is_parse() || error.is_parse_too_large() { Failure::Broken } else { Failure::Closed }
        })
    }

    /// Whether another request may follow: the last answer was read to its end.
    pub(super) async fn is_reusable(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Opens a connection within about `limit`, which the addresses of the name share.
pub(super) async fn connect(
    peer: &Peer,
    tls: Option<Arc<ClientConfig>>,
    resolve: &Resolve,
    limit: Duration,
) -> Result<Connection, Failure> {
    let addresses = permitted(peer, resolve).await?;
    let count = u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let mut failure = Failure::Unresolved;
    for address in addresses {
        match tokio::time::timeout(limit / count, open(peer, address, tls.clone())).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => failure = error,
            Err(_) => failure = Failure::TimedOut,
        }
    }
    Err(failure)
}

/// The addresses of a name that may be dialled.
async fn permitted(peer: &Peer, resolve: &Resolve) -> Result<Vec<SocketAddr>, Failure> {
    let found = resolve(peer.host.clone(), peer.port).await.map_err(|_| Failure::Unresolved)?;
    if found.is_empty() {
        return Err(Failure::Unresolved);
    }
    let may = |address: &SocketAddr| match reach(address.ip()) {
        Reach::Public => true,
        Reach::Private => peer.allow_insecure,
        Reach::Never => false,
    };
    let addresses: Vec<SocketAddr> = found.into_iter().filter(may).take(ADDRESSES_MAX).collect();
    if addresses.is_empty() { Err(Failure::Forbidden) } else { Ok(addresses) }
}

async fn open(peer: &Peer, address: SocketAddr, tls: Option<Arc<ClientConfig>>) -> Result<Connection, Failure> {
    let stream = TcpStream::connect(address).await.map_err(|error| Failure::Connect(error.kind()))?;
    // Small messages that are waited for: no use in holding them back. If it cannot be had, it is only slower.
    let _ = stream.set_nodelay(true);
    if !peer.tls {
        return speak(stream).await;
    }
    let config = tls.ok_or(Failure::NoAuthorities)?;
    let name = ServerName::try_from(peer.host.clone()).map_err(|_| Failure::Url("its host is no name"))?;
    let stream = TlsConnector::from(config).connect(name, stream).await.map_err(Failure::tls)?;
    speak(stream).await
}

async fn speak(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Result<Connection, Failure> {
    let mut http = http1::Builder::new();
    http.max_buf_size(HEAD_BYTES_MAX).max_headers(FIELDS_MAX);
    let (sender, connection) = http.handshake(TokioIo::new(stream)).await.map_err(|_| Failure::Broken)?;
    let task = tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::trace!(%error, "an outbound connection is over");
        }
    });
    Ok(Connection { sender, born: Instant::now(), task })
}
