//! One connection: connects or is taken, shakes hands, then moves messages both ways until either end closes.
#![allow(clippy::disallowed_methods)] // The edge: it is a task and waits in real time.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::rustls::{self, ClientConfig, pki_types::ServerName};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::counters::{Counters, count};
use super::framing::{Frame, Framer, PING, PONG};
use super::liveness::{Ending, Liveness, Rules, Verdict};
use super::streams::Teller;
use super::tls::Tls;
use crate::endpoint::{StreamError, Transport};
use crate::message::ParseError;

/// Until the peer must have taken the connection, and again until the handshake is done.
pub(super) const CONNECT: Duration = Duration::from_secs(4);
/// From a peer's connection to the end of its handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Until the last words must be out.
const CLOSE: Duration = Duration::from_secs(1);
/// How long what was sent may stay unacknowledged by the peer's machine before the connection counts as broken
/// (`TCP_USER_TIMEOUT`): a call that is set up is not to wait for the quarter of an hour TCP would.
const UNACKNOWLEDGED: Duration = Duration::from_secs(5);
/// How long nothing comes before the peer's machine is asked whether it is there, and how often again.
const PROBE: Duration = Duration::from_secs(15);
const PROBE_AGAIN: Duration = Duration::from_secs(5);
/// Octets read at once.
const READ: usize = 4_096;

/// What connections that we open are held to. The idle time is the longest call's worth: the peer may have a call of ours
/// whose BYE can come no other way.
const OPENED: Rules = Rules { first: None, ping: None, idle: Duration::from_secs(24 * 3_600) };
/// And those of peers.
const ACCEPTED: Rules = Rules { first: Some(Duration::from_secs(10)), ping: None, idle: Duration::from_secs(3_600) };

/// What a connection of ours needs to know.
pub(super) struct Plan {
    pub(super) to: SocketAddr,
    /// Our own address of the peer's family.
    pub(super) from: Option<IpAddr>,
    pub(super) over: Transport,
    pub(super) tls: Tls,
    /// When nothing is said for so long, we ping.
    pub(super) ping: Duration,
}

/// What a connection reports.
#[derive(Debug)]
pub(super) enum Report {
    /// A peer has opened it; what is put into this queue goes to the peer.
    Opened(mpsc::Sender<Bytes>),
    Message(Bytes),
    /// What came is no message to take, and the last that is read.
    Refused(ParseError),
    /// It is over; nothing follows.
    Closed(StreamError),
}

/// Opens one and runs until it is over; gives why.
pub(super) async fn run(
    plan: Plan,
    queue: &mut mpsc::Receiver<Bytes>,
    teller: &Teller,
    counters: &Counters,
) -> StreamError {
    let failed = |error| {
        count(&counters.failed);
        error
    };
    let stream = match timeout(CONNECT, connect(&plan)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => return failed(StreamError::TimedOut),
        Ok(Err(_)) => return failed(StreamError::Unreachable),
        Err(_) => return failed(StreamError::TimedOut),
    };
    let rules = Rules { ping: Some(plan.ping), ..OPENED };
    match &plan.over {
        Transport::Udp => StreamError::Unreachable,
        Transport::Tcp => {
            count(&counters.opened);
            carry(stream, queue, teller, rules, counters).await
        }
        Transport::Tls(domain) => match timeout(CONNECT, encrypt(stream, domain, plan.tls.client(domain))).await {
            Ok(Ok(stream)) => {
                count(&counters.opened);
                carry(stream, queue, teller, rules, counters).await
            }
            Ok(Err(error)) => failed(StreamError::Tls(error)),
            Err(_) => failed(StreamError::Tls("no answer to the handshake".to_owned())),
        },
    }
}

/// Runs one that a peer opened.
pub(super) async fn serve(
    stream: TcpStream,
    over: &Transport,
    tls: &Tls,
    (queue, receiver): (mpsc::Sender<Bytes>, &mut mpsc::Receiver<Bytes>),
    teller: &Teller,
    counters: &Counters,
) {
    if watch(&stream).is_err() {
        return;
    }
    let error = match over {
        Transport::Udp => return,
        Transport::Tcp => {
            count(&counters.accepted);
            teller.tell(Report::Opened(queue)).await;
            carry(stream, receiver, teller, ACCEPTED, counters).await
        }
        Transport::Tls(_) => {
            let Some(config) = tls.server() else { return };
            let Ok(Ok(stream)) = timeout(HANDSHAKE, TlsAcceptor::from(config).accept(stream)).await else {
                return count(&counters.unencrypted);
            };
            count(&counters.accepted);
            teller.tell(Report::Opened(queue)).await;
            carry(stream, receiver, teller, ACCEPTED, counters).await
        }
    };
    teller.tell(Report::Closed(error)).await;
}

pub(super) async fn connect(plan: &Plan) -> io::Result<TcpStream> {
    let socket = if plan.to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(from) = plan.from {
        socket.bind(SocketAddr::new(from, 0))?;
    }
    let stream = socket.connect(plan.to).await?;
    watch(&stream)?;
    Ok(stream)
}

/// Lets the kernel find out soon when the peer's machine is gone.
fn watch(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(PROBE).with_interval(PROBE_AGAIN).with_retries(3))
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

/// Why it woke.
enum Step {
    Say(Option<Bytes>),
    Pushed(io::Result<()>),
    Read(io::Result<usize>),
    Due,
}

async fn carry(
    stream: impl AsyncRead + AsyncWrite,
    queue: &mut mpsc::Receiver<Bytes>,
    teller: &Teller,
    rules: Rules,
    counters: &Counters,
) -> StreamError {
    count(&counters.live);
    let (mut reader, mut writer) = tokio::io::split(stream);
    let ending = converse(&mut reader, &mut writer, queue, teller, rules, counters).await;
    counters.end(ending);
    tracing::debug!(?ending, "a SIP connection is over");
    let _ = timeout(CLOSE, writer.shutdown()).await;
    StreamError::Lost
}

async fn converse(
    reader: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
    queue: &mut mpsc::Receiver<Bytes>,
    teller: &Teller,
    rules: Rules,
    counters: &Counters,
) -> Ending {
    let (mut framer, mut out) = (Framer::default(), BytesMut::new());
    // Not all of what we said has left; there is a pong in it.
    let (mut is_saying, mut is_ponging) = (false, false);
    let mut life = Liveness::new(Instant::now(), rules);
    // Nobody knows where the next message begins: nothing is read any more, and who sent the last has until then to
    // hear why.
    let mut last: Option<(Instant, Ending)> = None;
    loop {
        framer.buffer().reserve(READ);
        let due = last.map_or_else(|| life.poll_timeout(), |(until, _)| until).into();
        // Reading goes on while the peer is slow to take what we say: it may be waiting for us to read.
        let step = tokio::select! {
            message = queue.recv(), if !is_saying => Step::Say(message),
            pushed = push(writer, &mut out), if is_saying => Step::Pushed(pushed),
            read = reader.read_buf(framer.buffer()) => Step::Read(read),
            () = tokio::time::sleep_until(due) => Step::Due,
        };
        let now = Instant::now();
        match (step, last) {
            (Step::Say(None), _) => return Ending::Dropped,
            (Step::Say(Some(message)), _) => {
                life.message(now);
                out.extend_from_slice(&message);
            }
            (Step::Pushed(Ok(())), _) => {
                (is_saying, is_ponging) = (false, false);
                life.taken();
            }
            (Step::Read(Ok(1..)), Some((until, _))) if now < until => framer.buffer().clear(),
            (Step::Pushed(Err(_)) | Step::Read(_) | Step::Due, Some((_, ending))) => return ending,
            (Step::Pushed(Err(_)) | Step::Read(Ok(0) | Err(_)), None) => return Ending::Broken,
            (Step::Read(Ok(_)), None) => match listen(&mut framer, &mut life, now, teller).await {
                // Many pings at once are owed no more than one answer.
                Ok(Came::Ping) if !is_ponging => {
                    is_ponging = true;
                    out.extend_from_slice(PONG);
                }
                Ok(Came::Messages | Came::Ping) => {}
                Ok(Came::Last(ending)) => last = Some((now + CLOSE, ending)),
                Err(ending) => return ending,
            },
            (Step::Due, None) => match life.handle_timeout(now) {
                Some(Verdict::Close(ending)) => return ending,
                Some(Verdict::Ping) => {
                    count(&counters.pings);
                    out.extend_from_slice(PING);
                }
                None => {}
            },
        }
        if !out.is_empty() && !is_saying {
            is_saying = true;
            life.say(now);
        }
    }
}

/// What has come.
enum Came {
    /// Messages, or parts of them.
    Messages,
    /// A ping among them wants an answer.
    Ping,
    /// The last of them is refused, and the connection over for this.
    Last(Ending),
}

/// Hands over what has come.
async fn listen(framer: &mut Framer, life: &mut Liveness, now: Instant, teller: &Teller) -> Result<Came, Ending> {
    if life.awaits_pong() && framer.take_pong() {
        life.ponged();
    }
    let mut is_pinged = false;
    loop {
        match framer.next() {
            Some(Frame::Message(message)) => {
                life.message(now);
                if !teller.tell(Report::Message(message)).await {
                    return Err(Ending::Dropped);
                }
            }
            Some(Frame::Ping) => is_pinged = true,
            Some(Frame::TooLong(error)) => return refuse(error, Ending::TooLong, teller).await,
            Some(Frame::Unreadable(error)) => return refuse(error, Ending::Unreadable, teller).await,
            None => break,
        }
    }
    life.heard(now, framer.is_within_message());
    Ok(if is_pinged { Came::Ping } else { Came::Messages })
}

/// Hands over why the stream is over; it stays a little where that is answered.
async fn refuse(error: ParseError, ending: Ending, teller: &Teller) -> Result<Came, Ending> {
    tracing::debug!(%error, "a SIP stream cannot be read any further");
    let is_answered = error.answer.is_some();
    match teller.tell(Report::Refused(error)).await {
        true if is_answered => Ok(Came::Last(ending)),
        true => Err(ending),
        false => Err(Ending::Dropped),
    }
}

/// Some of what is left to say; may be dropped at any point and begun anew.
async fn push(writer: &mut (impl AsyncWrite + Unpin), out: &mut BytesMut) -> io::Result<()> {
    while !out.is_empty() {
        if writer.write_buf(out).await? == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
    }
    writer.flush().await
}
