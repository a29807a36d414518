//! Where an endpoint is reached, and the connections that peers open.
#![allow(clippy::disallowed_methods)] // The edge: it starts tasks and waits in real time.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::connection;
use super::counters::{Counters, count};
use super::room::{Limits, Room};
use super::streams::{Arrived, QUEUE, Teller};
use super::tls::Tls;
use crate::endpoint::Transport;

/// Connections the kernel keeps until they are taken.
const BACKLOG: i32 = 1_024;
/// How long nothing is taken when the kernel has no room for another file.
const PAUSE: Duration = Duration::from_millis(50);

/// Where an endpoint is to be reached.
#[derive(Debug, Clone)]
pub struct Sockets {
    /// For datagrams: an address of each family at most, one at least.
    pub udp: Vec<SocketAddr>,
    /// For connections.
    pub tcp: Vec<SocketAddr>,
    /// For encrypted ones.
    pub tls: Vec<SocketAddr>,
    /// What peers are told in place of the address of the same family (1:1 NAT).
    pub advertise: Vec<IpAddr>,
    /// Certificates.
    pub keys: Tls,
    /// For connections that peers open.
    pub limits: Limits,
}

impl Sockets {
    /// Datagrams at one address.
    #[must_use]
    pub fn datagrams(udp: SocketAddr) -> Self {
        Self {
            udp: vec![udp],
            tcp: Vec::new(),
            tls: Vec::new(),
            advertise: Vec::new(),
            keys: Tls::default(),
            limits: Limits { total: 2_000, per_source: 100 },
        }
    }
}

/// Where it is reached: in the order of [`Sockets`], with the ports the kernel gave.
#[derive(Debug, Clone)]
pub struct Bound {
    /// For datagrams.
    pub udp: Vec<SocketAddr>,
    /// For connections.
    pub tcp: Vec<SocketAddr>,
    /// For encrypted ones.
    pub tls: Vec<SocketAddr>,
}

/// A socket cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} over {over}: {source}")]
pub struct ListenError {
    /// `UDP`, `TCP`, `TLS`.
    pub over: &'static str,
    /// Where.
    pub address: SocketAddr,
    /// Why.
    pub source: io::Error,
}

/// Takes connections at one socket.
pub(super) struct Listener {
    pub(super) socket: TcpListener,
    pub(super) over: Transport,
}

/// What all of them share.
#[derive(Clone)]
pub(super) struct Reception {
    pub(super) keys: Tls,
    pub(super) room: Arc<Room>,
    pub(super) counters: Arc<Counters>,
    pub(super) reports: mpsc::Sender<Arrived>,
    /// Of the latest connection, of whichever side.
    pub(super) latest: Arc<AtomicU64>,
}

impl Listener {
    pub(super) fn bind(address: SocketAddr, over: Transport) -> io::Result<(Self, SocketAddr)> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        // A restart does not wait for the connections of before to be forgotten.
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let socket = TcpListener::from_std(socket.into())?;
        let bound = socket.local_addr()?;
        Ok((Self { socket, over }, bound))
    }

    /// Until nobody listens to what connections report.
    pub(super) async fn run(self, reception: Reception) {
        loop {
            let (stream, from) = tokio::select! {
                taken = self.socket.accept() => match taken {
                    Ok(taken) => taken,
                    Err(error) => {
                        tracing::debug!(%error, "no connection can be taken");
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                },
                () = reception.reports.closed() => return,
            };
            let Some(place) = reception.room.enter(from.ip()) else {
                // overflow: closed at once, and counted.
                count(&reception.counters.refused);
                continue;
            };
            let (over, reception) = (self.over.clone(), reception.clone());
            tokio::spawn(async move {
                let Reception { keys, counters, reports, latest, .. } = reception;
                let number = latest.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
                let (queue, mut receiver) = mpsc::channel(QUEUE);
                let teller = Teller::new((from, over.clone()), number, reports);
                connection::serve(stream, &over, &keys, (queue, &mut receiver), &teller, &counters).await;
                drop(place);
            });
        }
    }
}
