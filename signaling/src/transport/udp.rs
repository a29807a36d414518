//! SIP over UDP, and over connections with those who want them: one task owns the sockets and the endpoint. It moves
//! messages, keeps time, runs the commands of others on the endpoint, and holds no logic. No datagram and no error of a
//! socket ends it; it ends when the last [`Handle`] is dropped.
#![allow(clippy::disallowed_methods)] // The edge: it reads the clock once per wake-up, and is a task.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::{mpsc, oneshot};

use super::counters::{ConnectionStats, Counters};
use super::datagrams::Datagrams;
use super::listeners::{Bound, ListenError, Listener, Sockets};
use super::streams::{Arrival, Happened, Streams};
use crate::endpoint::{Endpoint, EndpointConfig, Event, StreamError, Transmit, Transport};

/// Commands that wait for the task; callers wait beyond that.
const COMMANDS: usize = 1024;
/// Events that wait for whoever reads them; more wait in the endpoint.
const EVENTS: usize = 4096;

type Command = Box<dyn FnOnce(&mut Endpoint, Instant) + Send>;

/// The transport task has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the SIP transport has stopped")]
pub struct Stopped;

/// Reaches the endpoint inside the task.
#[derive(Clone)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    counters: Arc<Counters>,
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

    /// Runs an operation whose result nobody waits for. It is never lost, and comes after those that were posted before
    /// it: digits arrive in the order of the keys.
    pub fn post(&self, operation: impl FnOnce(&mut Endpoint, Instant) + Send + 'static) {
        // overflow: waits in a task of its own; only then may a later one overtake it.
        if let Err(mpsc::error::TrySendError::Full(command)) = self.commands.try_send(Box::new(operation)) {
            let commands = self.commands.clone();
            tokio::spawn(async move { commands.send(command).await });
        }
    }

    /// What happened to connections.
    #[must_use]
    pub fn connections(&self) -> ConnectionStats {
        self.counters.read()
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
    mut config: EndpointConfig,
    bind: SocketAddr,
    seed: [u8; 32],
) -> io::Result<(Handle, mpsc::Receiver<Event>, SocketAddr)> {
    let mut datagrams = Datagrams::new();
    let bound = datagrams.bind(bind)?;
    if config.advertised.ip().is_unspecified() {
        config.advertised.set_ip(bound.ip());
    }
    if config.advertised.port() == 0 {
        config.advertised.set_port(bound.port());
    }
    let sockets = Sockets::datagrams(bound);
    let streams = Streams::new(vec![bound], sockets.keys, sockets.limits, seed);
    let (handle, events) = start(Endpoint::new(config, seed), datagrams, streams);
    Ok((handle, events, bound))
}

/// Binds sockets and starts the task; peers are told where these are, or where they see us if nothing is advertised, whatever
/// the configuration calls advertised. Must be called inside a tokio runtime.
///
/// # Errors
/// The first socket that cannot be bound.
pub fn listen(
    mut config: EndpointConfig,
    sockets: Sockets,
    seed: [u8; 32],
) -> Result<(Handle, mpsc::Receiver<Event>, Bound), ListenError> {
    let wrong = |over: &'static str, address| move |source| ListenError { over, address, source };
    let mut datagrams = Datagrams::new();
    let mut bound = Bound { udp: Vec::new(), tcp: Vec::new(), tls: Vec::new() };
    for address in &sockets.udp {
        bound.udp.push(datagrams.bind(*address).map_err(wrong("UDP", *address))?);
    }
    let mut listeners = Vec::new();
    let streams =
        [(&sockets.tcp, &mut bound.tcp, Transport::Tcp), (&sockets.tls, &mut bound.tls, Transport::accepted_tls())];
    for (addresses, bound, over) in streams {
        for address in addresses {
            let (listener, at) = Listener::bind(*address, over.clone()).map_err(wrong(over.token(), *address))?;
            bound.push(at);
            listeners.push(listener);
        }
    }
    let told = |at: SocketAddr| SocketAddr::new(told_ip(&sockets.advertise, at.ip()), at.port());
    if let Some(first) = bound.udp.first() {
        config.advertised = told(*first);
    }
    let mut endpoint = Endpoint::new(config, seed);
    if sockets.advertise.is_empty() {
        endpoint.follow_observed();
    }
    let over_udp = bound.udp.iter().skip(1).map(|at| (Transport::Udp, at));
    let over_tcp = bound.tcp.iter().map(|at| (Transport::Tcp, at));
    let over_tls = bound.tls.iter().map(|at| (Transport::accepted_tls(), at));
    for (over, at) in over_udp.chain(over_tcp).chain(over_tls) {
        endpoint.also_reached_at(&over, told(*at));
    }
    // Pauses between attempts are to be foretold from nothing the endpoint says.
    let mut others = [0; 32];
    StdRng::from_seed(seed).fill_bytes(&mut others);
    let streams = Streams::new(bound.udp.clone(), sockets.keys, sockets.limits, others);
    for listener in listeners {
        tokio::spawn(listener.run(streams.reception()));
    }
    let (handle, events) = start(endpoint, datagrams, streams);
    Ok((handle, events, bound))
}

/// The advertised address of this one's family.
fn told_ip(advertise: &[IpAddr], own: IpAddr) -> IpAddr {
    advertise.iter().copied().find(|told| told.is_ipv4() == own.is_ipv4()).unwrap_or(own)
}

fn start(endpoint: Endpoint, datagrams: Datagrams, streams: Streams) -> (Handle, mpsc::Receiver<Event>) {
    let (commands, command_receiver) = mpsc::channel(COMMANDS);
    let (event_sender, events) = mpsc::channel(EVENTS);
    let counters = streams.counters();
    let task = Task { endpoint, datagrams, streams, events: event_sender, held: None };
    tokio::spawn(task.run(command_receiver));
    (Handle { commands, counters }, events)
}

struct Task {
    endpoint: Endpoint,
    datagrams: Datagrams,
    streams: Streams,
    events: mpsc::Sender<Event>,
    /// An event that found the channel full.
    held: Option<Event>,
}

/// Why the task woke.
enum Wake {
    Command(Command),
    Readable,
    Stream(Happened),
    Room,
    Deadline,
    Stop,
}

impl Task {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        loop {
            let wake = self.wait(&mut commands).await;
            let now = Instant::now();
            match wake {
                Wake::Command(command) => command(&mut self.endpoint, now),
                Wake::Readable => {
                    self.collect_errors(now);
                    let Self { endpoint, datagrams, .. } = &mut self;
                    datagrams.receive(|from, datagram| endpoint.handle_datagram(now, from, datagram));
                }
                Wake::Stream(happened) => self.handle_stream(now, happened),
                Wake::Room => {}
                Wake::Deadline => self.endpoint.handle_timeout(now),
                Wake::Stop => break,
            }
            self.send(now).await;
            self.report();
        }
    }

    fn handle_stream(&mut self, now: Instant, happened: Happened) {
        let Self { endpoint, streams, .. } = self;
        match streams.accept(now, happened) {
            Some(Arrival::Message(from, over, bytes)) => endpoint.handle_message(now, from, &over, bytes),
            Some(Arrival::Refused(from, over, error)) => endpoint.handle_refused(now, from, &over, error),
            Some(Arrival::Accepted(from, over)) => endpoint.handle_accepted(from, &over),
            Some(Arrival::Failed(to, over, error, is_ours)) => {
                // The peer may have things to say to us that can come no other way.
                if is_ours && error == StreamError::Lost && endpoint.has_legs_at(to, &over) {
                    streams.want(now, to, &over);
                }
                endpoint.handle_stream_error(now, to, &over, error);
            }
            Some(Arrival::Missing(to, over)) if endpoint.has_legs_at(to, &over) => streams.reopen(to, over),
            Some(Arrival::Missing(to, over)) => streams.give_up(to, &over),
            None => {}
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
            happened = self.streams.next() => Wake::Stream(happened),
            () = self.datagrams.ready() => Wake::Readable,
            _ = self.events.reserve(), if self.held.is_some() => Wake::Room,
            () = sleep => Wake::Deadline,
        }
    }

    /// Takes the kernel's ICMP errors out of its queue.
    fn collect_errors(&mut self, now: Instant) {
        for to in self.datagrams.unreached() {
            self.endpoint.handle_transport_error(now, to);
        }
    }

    async fn send(&mut self, now: Instant) {
        while let Some(Transmit { to, over, bytes }) = self.endpoint.poll_transmit() {
            if over != Transport::Udp {
                if let Err(error) = self.streams.send(now, to, over.clone(), bytes) {
                    self.endpoint.handle_stream_error(now, to, &over, error);
                }
                continue;
            }
            let mut sent = self.datagrams.send(to, &bytes).await;
            if sent.is_err() {
                // The kernel hands over the error of an earlier datagram before it sends this one.
                self.collect_errors(now);
                sent = self.datagrams.send(to, &bytes).await;
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
