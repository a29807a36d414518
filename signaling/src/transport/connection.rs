//! One connection towards a peer: connects, shakes hands, then moves messages both ways until either end closes.
#![allow(clippy::disallowed_methods)] // The edge: it is a task and waits in real time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{self, ClientConfig, pki_types::ServerName};

use super::framing::{Frame, Framer};
use super::streams::Teller;
use crate::endpoint::{StreamError, Transport};

/// Until the peer must have taken the connection, and again until the handshake is done.
pub(super) const CONNECT: Duration = Duration::from_secs(4);
/// Until the peer must have taken a message.
const WRITE: Duration = Duration::from_secs(10);
/// Between two keep-alives (RFC 5626 section 4.4.1: 95 to 120 s).
const PING: Duration = Duration::from_secs(100);
/// Keep-alives without a message between them after which the connection is closed: the longest call's worth. The
/// peer may have a call of ours whose BYE can come no other way.
const MAX_IDLE: u32 = 24 * 36;
/// Read at once, octets.
const READ: usize = 16_384;

/// What a connection needs to know.
pub(super) struct Plan {
    pub(super) to: SocketAddr,
    pub(super) from: SocketAddr,
    pub(super) over: Transport,
    pub(super) tls: Option<Arc<ClientConfig>>,
}

/// What a connection reports.
#[derive(Debug)]
pub(super) enum Report {
    Message(Bytes),
    /// It is over; nothing follows.
    Closed(StreamError),
}

/// Runs until the connection is over; gives why.
pub(super) async fn run(plan: Plan, queue: &mut mpsc::Receiver<Bytes>, teller: &Teller) -> StreamError {
    let stream = match timeout(CONNECT, connect(&plan)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::TimedOut => return StreamError::TimedOut,
        Ok(Err(_)) => return StreamError::Unreachable,
        Err(_) => return StreamError::TimedOut,
    };
    match &plan.over {
        Transport::Udp => StreamError::Unreachable,
        Transport::Tcp => carry(stream, queue, teller).await,
        Transport::Tls(domain) => match timeout(CONNECT, encrypt(stream, domain, plan.tls.clone())).await {
            Ok(Ok(stream)) => carry(stream, queue, teller).await,
            Ok(Err(error)) => StreamError::Tls(error),
            Err(_) => StreamError::Tls("no answer to the handshake".to_owned()),
        },
    }
}

pub(super) async fn connect(plan: &Plan) -> std::io::Result<TcpStream> {
    let socket = if plan.to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_nodelay(true)?;
    if plan.from.is_ipv4() == plan.to.is_ipv4() && !plan.from.ip().is_unspecified() {
        socket.bind(SocketAddr::new(plan.from.ip(), 0))?;
    }
    socket.connect(plan.to).await
}

pub(super) async fn encrypt(
    stream: TcpStream,
    domain: &str,
    tls: Option<Arc<ClientConfig>>,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, String> {
    let tls = tls.ok_or("TLS is not set up")?;
    let name = ServerName::try_from(domain.to_owned()).map_err(|error| error.to_string())?;
    TlsConnector::from(tls).connect(name, stream).await.map_err(|error| {
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
        cause.map_or_else(|| format!("the handshake broke off: {error}"), ToString::to_string)
    })
}

async fn carry(stream: impl AsyncRead + AsyncWrite, queue: &mut mpsc::Receiver<Bytes>, teller: &Teller) -> StreamError {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut framer = Framer::default();
    let mut idle = 0;
    loop {
        framer.buffer().reserve(READ);
        let written = tokio::select! {
            message = queue.recv() => match message {
                Some(message) => {
                    idle = 0;
                    write(&mut writer, &message).await
                }
                None => return StreamError::Unreachable,
            },
            read = reader.read_buf(framer.buffer()) => match read {
                Ok(0) | Err(_) => return StreamError::Unreachable,
                Ok(_) => {
                    let mut pings = false;
                    loop {
                        match framer.next() {
                            Ok(Some(Frame::Message(message))) => {
                                idle = 0;
                                if !teller.tell(Report::Message(message)).await {
                                    return StreamError::Unreachable;
                                }
                            }
                            Ok(Some(Frame::Ping)) => pings = true,
                            Ok(None) => break,
                            Err(error) => {
                                tracing::debug!(%error, "a SIP stream cannot be read");
                                return StreamError::Unreachable;
                            }
                        }
                    }
                    // Many pings at once are owed no more than one answer.
                    if pings { write(&mut writer, b"\r\n").await } else { true }
                }
            },
            () = tokio::time::sleep(PING) => {
                idle += 1;
                idle < MAX_IDLE && write(&mut writer, b"\r\n\r\n").await
            }
        };
        if !written {
            return StreamError::Unreachable;
        }
    }
}

async fn write(writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> bool {
    let whole = async {
        writer.write_all(bytes).await?;
        writer.flush().await
    };
    matches!(timeout(WRITE, whole).await, Ok(Ok(())))
}
