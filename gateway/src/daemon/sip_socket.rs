//! The SIP endpoint on its UDP socket: the edge that gives it datagrams and the time, and sends what it says.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::net::UdpSocket;
use tokio::sync::{Notify, mpsc, watch};
use trunkline_config::Config;
use trunkline_signaling::endpoint::{
    Endpoint, EndpointConfig, EndpointStats, Event, LegId, Reason as ReasonHeader, Timers,
};

use crate::call::{InviteOrder, NotSent};
use crate::calls::{Placed, SipPort};
use crate::clock::Clock;
use crate::ids::random_bits;
use crate::sip;

/// RFC 3261 table 4.
const TIMERS: Timers =
    Timers { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) };
/// SIP transactions and legs at once.
const TRANSACTIONS: usize = 20_000;
/// Events the calls may lie behind.
const EVENTS: usize = 8_192;
/// Datagrams taken in one go before timers and the other tasks have their turn.
const BATCH: usize = 64;
/// Largest datagram, bytes.
const DATAGRAM: usize = 65_535;
/// How long the last BYEs may wait for their answers.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The endpoint with its socket. Calls speak to it directly: the lock is held for microseconds and nothing is queued.
pub(super) struct SipSocket {
    endpoint: Mutex<Endpoint>,
    socket: UdpSocket,
    events: mpsc::Sender<Event>,
    events_dropped: AtomicU64,
    datagrams_dropped: AtomicU64,
    /// Something may have moved the next deadline.
    changed: Notify,
    clock: Clock,
}

impl SipSocket {
    /// An endpoint on a bound socket. The configuration names the address it is bound to.
    pub(super) fn new(config: &Config, socket: UdpSocket, clock: Clock) -> (Arc<Self>, mpsc::Receiver<Event>) {
        let endpoint = EndpointConfig {
            advertised: config.sip.contact(),
            domain: config.sip.from_host(),
            user_agent: concat!("Trunkline/", env!("CARGO_PKG_VERSION")).to_owned(),
            accepts_calls: false,
            timers: TIMERS,
            max_transactions: TRANSACTIONS,
        };
        let (events, receiver) = mpsc::channel(EVENTS);
        let sip = Self {
            endpoint: Mutex::new(Endpoint::new(endpoint, random_bits())),
            socket,
            events,
            events_dropped: AtomicU64::new(0),
            datagrams_dropped: AtomicU64::new(0),
            changed: Notify::new(),
            clock,
        };
        (Arc::new(sip), receiver)
    }

    /// Receives and keeps time until `stop`, and a little longer if answers to the last BYEs are still to come.
    pub(super) async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut buffer = vec![0; DATAGRAM];
        tokio::select! {
            () = self.serve(&mut buffer) => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
        let silent = async {
            while self.stats().legs > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            () = self.serve(&mut buffer) => {}
            () = silent => {}
            () = tokio::time::sleep(LAST_WORDS) => {}
        }
    }

    pub(super) fn stats(&self) -> EndpointStats {
        self.endpoint.lock().unwrap_or_else(PoisonError::into_inner).stats()
    }

    /// Events and datagrams that were dropped here.
    pub(super) fn dropped(&self) -> (u64, u64) {
        (self.events_dropped.load(Ordering::Relaxed), self.datagrams_dropped.load(Ordering::Relaxed))
    }

    async fn serve(&self, buffer: &mut [u8]) {
        loop {
            let deadline = self.endpoint.lock().unwrap_or_else(PoisonError::into_inner).poll_timeout();
            let due = async {
                match deadline {
                    Some((at, _)) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                readable = self.socket.readable() => match readable {
                    Ok(()) => self.receive(buffer),
                    Err(error) => tracing::error!(%error, "the SIP socket cannot be read"),
                },
                () = due => self.with(Endpoint::handle_timeout),
                () = self.changed.notified() => {}
            }
        }
    }

    fn receive(&self, buffer: &mut [u8]) {
        for _ in 0..BATCH {
            match self.socket.try_recv_from(buffer) {
                Ok((length, from)) => {
                    let datagram = Bytes::copy_from_slice(buffer.get(..length).unwrap_or_default());
                    self.with(|endpoint, now| endpoint.handle_datagram(now, from, datagram));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // What ICMP told of an earlier datagram; transactions find out by their timers.
                Err(error) => tracing::debug!(%error, "the SIP socket tells of an error"),
            }
        }
    }

    /// Lets the endpoint do something, then sends and reports what came of it, in order.
    fn with<T>(&self, act: impl FnOnce(&mut Endpoint, Instant) -> T) -> T {
        let mut endpoint = self.endpoint.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now().instant;
        let result = act(&mut endpoint, now);
        while let Some(transmit) = endpoint.poll_transmit() {
            if let Err(error) = self.socket.try_send_to(&transmit.bytes, transmit.to) {
                self.not_sent(&mut endpoint, now, transmit.to, &error);
            }
        }
        while let Some(event) = endpoint.poll_event() {
            // overflow: dropped and counted; the call ends by its own timers. The reader only hands events on.
            if self.events.try_send(event).is_err() {
                self.events_dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
        result
    }

    fn not_sent(&self, endpoint: &mut Endpoint, now: Instant, to: SocketAddr, error: &io::Error) {
        self.datagrams_dropped.fetch_add(1, Ordering::Relaxed);
        if error.kind() == io::ErrorKind::WouldBlock {
            // overflow: the kernel's buffer is full; SIP repeats what matters.
            return;
        }
        tracing::debug!(%error, "a SIP datagram could not be sent");
        endpoint.handle_transport_error(now, to);
    }
}

impl SipPort for SipPortHandle {
    fn invite(&self, order: InviteOrder) -> BoxFuture<'static, Result<Placed, NotSent>> {
        let placed = sip::invite(order).and_then(|invite| {
            self.0.with(|endpoint, now| {
                let leg = endpoint.invite(now, invite).map_err(|_| NotSent::Full)?;
                let call_id = endpoint.call_id(leg).map(|id| String::from_utf8_lossy(&id).into_owned());
                Ok(Placed { leg, call_id })
            })
        });
        self.0.changed.notify_one();
        Box::pin(std::future::ready(placed))
    }

    fn hangup(&self, leg: LegId, reason: ReasonHeader) {
        let _ = self.0.with(|endpoint, now| endpoint.hangup(now, leg, Some(reason)));
        self.0.changed.notify_one();
    }

    fn answer_offer(&self, leg: LegId, answer: Result<Bytes, u16>) {
        let _ = self.0.with(|endpoint, now| endpoint.answer_offer(now, leg, answer));
        self.0.changed.notify_one();
    }
}

/// What the calls hold of it.
pub(super) struct SipPortHandle(pub(super) Arc<SipSocket>);
