//! SIP over UDP, and over connections to those who want them: one task owns the socket and the endpoint. It moves datagrams, keeps time, runs the commands of others
//! on the endpoint, and holds no logic. No datagram and no error of the socket ends it; it ends when the last
//! [`Handle`] is dropped.
#![allow(clippy::disallowed_methods)] // The edge: it reads the clock once per wake-up, and is a task.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};
use tokio_rustls::rustls::ClientConfig;

use super::streams::{Arrival, Arrived, Streams};
use super::unreachable;
use crate::endpoint::{Endpoint, EndpointConfig, Event, Transmit, Transport};

/// Largest datagram.
const MAX_DATAGRAM: usize = 65_535;
/// Datagrams taken per wake-up, so that a flood cannot keep commands and timers waiting.
const MAX_BATCH: usize = 64;
/// Commands that wait for the task; callers wait beyond that.
const COMMANDS: usize = 1024;
/// Events that wait for whoever reads them; more wait in the endpoint.
const EVENTS: usize = 4096;
/// Kernel buffers: a second of bursts at some thousand messages, octets.
const SOCKET_BUFFER: usize = 4 << 20;

type Command = Box<dyn FnOnce(&mut Endpoint, Instant) + Send>;

/// The transport task has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the SIP transport has stopped")]
pub struct Stopped;

/// Reaches the endpoint inside the task.
#[derive(Clone)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
}

impl Handle {
    /// Runs an operation on the endpoint and gives its result. What the operation wants sent is sent before the next
    /// command runs. Waits while very many commands wait.
    ///
    /// # Errors
    /// [`Stopped`] if the task is gone.
    pub async fn call<R: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut Endpoint, Instant) -> R + Send + 'static,
    ) -> Result<R, Stopped> {
        let (sender, result) = oneshot::channel();
        let command: Command = Box::new(move |endpoint, now| {
            // The caller may have gone away meanwhile.
            let _ = sender.send(operation(endpoint, now));
        });
        // overflow: awaited; the caller is slowed down, the task is not.
        self.commands.send(command).await.map_err(|_| Stopped)?;
        result.await.map_err(|_| Stopped)
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

/// Binds a socket and starts the task. An advertised port of 0, or an advertised address that is unspecified, becomes
/// that of the socket, whose address comes back last. Must be called inside a tokio runtime.
///
/// # Errors
/// If the socket cannot be bound.
pub fn spawn(
    config: EndpointConfig,
    bind: SocketAddr,
    seed: [u8; 32],
) -> io::Result<(Handle, mpsc::Receiver<Event>, SocketAddr)> {
    spawn_with(config, bind, seed, None)
}

/// The same, for an endpoint that may call over TLS as well: `tls` is whom it trusts.
///
/// # Errors
/// If the socket cannot be bound.
pub fn spawn_with(
    mut config: EndpointConfig,
    bind: SocketAddr,
    seed: [u8; 32],
    tls: Option<Arc<ClientConfig>>,
) -> io::Result<(Handle, mpsc::Receiver<Event>, SocketAddr)> {
    let socket = open(bind)?;
    let bound = socket.local_addr()?;
    if config.advertised.ip().is_unspecified() {
        config.advertised.set_ip(bound.ip());
    }
    if config.advertised.port() == 0 {
        config.advertised.set_port(bound.port());
    }
    let (commands, command_receiver) = mpsc::channel(COMMANDS);
    let (event_sender, events) = mpsc::channel(EVENTS);
    let streams = Streams::new(bound, tls);
    let task = Task { endpoint: Endpoint::new(config, seed), socket, streams, events: event_sender, held: None };
    tokio::spawn(task.run(command_receiver));
    Ok((Handle { commands }, events, bound))
}

fn open(bind: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(bind), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    // The kernel may give less than asked for; small buffers are no reason not to start.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
    unreachable::enable(&socket);
    socket.bind(&bind.into())?;
    UdpSocket::from_std(socket.into())
}

struct Task {
    endpoint: Endpoint,
    socket: UdpSocket,
    streams: Streams,
    events: mpsc::Sender<Event>,
    /// An event that found the channel full.
    held: Option<Event>,
}

/// Why the task woke.
enum Wake {
    Command(Command),
    Readable,
    Stream(Arrived),
    Room,
    Deadline,
    Stop,
}

impl Task {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut buffer = vec![0; MAX_DATAGRAM];
        loop {
            let wake = self.wait(&mut commands).await;
            let now = Instant::now();
            match wake {
                Wake::Command(command) => command(&mut self.endpoint, now),
                Wake::Readable => {
                    self.collect_errors(now);
                    self.receive(now, &mut buffer);
                }
                Wake::Stream(arrived) => match self.streams.accept(arrived) {
                    Some(Arrival::Message(from, over, bytes)) => self.endpoint.handle_message(now, from, &over, bytes),
                    Some(Arrival::Failed(to, over, error)) => self.endpoint.handle_stream_error(now, to, &over, error),
                    None => {}
                },
                Wake::Room => {}
                Wake::Deadline => self.endpoint.handle_timeout(now),
                Wake::Stop => break,
            }
            self.send(now).await;
            self.report();
        }
    }

    async fn wait(&mut self, commands: &mut mpsc::Receiver<Command>) -> Wake {
        let deadline = self.endpoint.poll_timeout().map(|(at, _)| tokio::time::Instant::from_std(at));
        let sleep = async {
            match deadline {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // Fair by chance: neither a flood of datagrams nor of commands starves the others.
            command = commands.recv() => command.map_or(Wake::Stop, Wake::Command),
            arrived = self.streams.next() => Wake::Stream(arrived),
            _ = self.socket.ready(Interest::READABLE | Interest::ERROR) => Wake::Readable,
            _ = self.events.reserve(), if self.held.is_some() => Wake::Room,
            () = sleep => Wake::Deadline,
        }
    }

    fn receive(&mut self, now: Instant, buffer: &mut [u8]) {
        for _ in 0..MAX_BATCH {
            match self.socket.try_recv_from(buffer) {
                Ok((len, from)) => {
                    tracing::trace!(len, "datagram in");
                    let datagram = Bytes::copy_from_slice(buffer.get(..len).unwrap_or_default());
                    self.endpoint.handle_datagram(now, from, datagram);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // That of an earlier datagram, which the error queue names.
                Err(error) => tracing::debug!(%error, "receiving failed"),
            }
        }
    }

    /// Takes the kernel's ICMP errors out of its queue.
    fn collect_errors(&mut self, now: Instant) {
        for to in unreachable::drain(&self.socket) {
            self.endpoint.handle_transport_error(now, to);
        }
    }

    async fn send(&mut self, now: Instant) {
        while let Some(Transmit { to, over, bytes }) = self.endpoint.poll_transmit() {
            if over != Transport::Udp {
                if let Err(error) = self.streams.send(to, over.clone(), bytes) {
                    self.endpoint.handle_stream_error(now, to, &over, error);
                }
                continue;
            }
            tracing::trace!(len = bytes.len(), "datagram out");
            // Waits only while the kernel's own buffer is full.
            let mut sent = self.socket.send_to(&bytes, to).await;
            if sent.is_err() {
                // The kernel hands over the error of an earlier datagram before it sends this one.
                self.collect_errors(now);
                sent = self.socket.send_to(&bytes, to).await;
            }
            if let Err(error) = sent {
                tracing::debug!(%error, "sending failed");
                self.endpoint.handle_transport_error(now, to);
            }
        }
    }

    /// Hands events over. The loop never waits for their reader.
    fn report(&mut self) {
        while let Some(event) = self.held.take().or_else(|| self.endpoint.poll_event()) {
            // overflow: held here and in the endpoint, which takes no new calls while its queue is long.
            match self.events.try_send(event) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(event)) => {
                    self.held = Some(event);
                    return;
                }
                // Nobody listens any more: calls still end properly, unheard.
                Err(mpsc::error::TrySendError::Closed(_)) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::endpoint::{Failure, Invite, Timers};
    use crate::message::{Headers, Uri};

    fn start(accepts_calls: bool) -> (Handle, mpsc::Receiver<Event>, SocketAddr) {
        let timers = Timers { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) };
        let bind = "127.0.0.1:0".parse().unwrap();
        let config = EndpointConfig {
            advertised: bind,
            domain: "127.0.0.1".into(),
            user_agent: "test".into(),
            accepts_calls,
            timers,
            max_transactions: 100,
            trace: false,
            snapshots: None,
        };
        spawn(config, bind, [7; 32]).unwrap()
    }

    fn invite(target: SocketAddr) -> Invite {
        Invite {
            target,
            over: Transport::Udp,
            uri: Uri::parse(&Bytes::from(format!("sip:a@{target}"))).unwrap(),
            from_user: "b".into(),
            from_display: None,
            headers: Headers::default(),
            sdp: Bytes::from_static(b"v=0\r\n"),
            credentials: None,
            session_expires: 0,
            reliable: crate::endpoint::Reliable::Off,
            anonymous: false,
            label: String::new(),
        }
    }

    async fn next(events: &mut mpsc::Receiver<Event>) -> Event {
        tokio::time::timeout(Duration::from_secs(10), events.recv()).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn two_of_them_talk_whatever_else_arrives() {
        let (caller, mut caller_events, caller_address) = start(false);
        let (callee, mut callee_events, callee_address) = start(true);
        let noise = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for junk in [&b""[..], b"\r\n\r\n", b"INVITE", &[0xff; 60_000], &[b' '; 9]] {
            noise.send_to(junk, caller_address).unwrap();
            noise.send_to(junk, callee_address).unwrap();
        }
        // Nobody listens there: the kernel gets an ICMP error back.
        let closed = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let refused = caller.call(move |endpoint, now| endpoint.invite(now, invite(closed))).await.unwrap().unwrap();
        let failed = next(&mut caller_events).await;
        assert!(matches!(failed, Event::Failed { leg, failure: Failure::Transport } if leg == refused), "{failed:?}");

        let leg =
            caller.call(move |endpoint, now| endpoint.invite(now, invite(callee_address))).await.unwrap().unwrap();
        let Event::Incoming { leg: incoming, .. } = next(&mut callee_events).await else { panic!("no call") };
        let answer = Bytes::from_static(b"v=0\r\n");
        callee.call(move |endpoint, now| endpoint.accept(now, incoming, answer)).await.unwrap().unwrap();
        assert!(matches!(next(&mut caller_events).await, Event::Answered { leg: answered, .. } if answered == leg));
        assert!(matches!(next(&mut callee_events).await, Event::Confirmed { .. }));
        caller.call(move |endpoint, now| endpoint.hangup(now, leg, None)).await.unwrap().unwrap();
        assert!(matches!(next(&mut callee_events).await, Event::Ended { .. }));
        let stats = callee.call(|endpoint, _| endpoint.stats()).await.unwrap();
        assert_eq!((stats.legs, stats.malformed), (0, 5));
    }

    #[tokio::test]
    async fn ends_with_its_last_handle() {
        let (handle, mut events, _) = start(false);
        drop(handle);
        let ended = tokio::time::timeout(Duration::from_secs(10), events.recv()).await.unwrap();
        assert!(ended.is_none());
    }
}
