//! Serving HTTP/1.1, over TLS where it is configured, on a bound socket: how many connections, how long they may dawdle, how they end.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower::ServiceExt;

use super::tls::{Failed, Tls};
use crate::limiter::client_key;
use crate::metrics::{Listener, Metrics};
use crate::public_api::client::Peer;
use crate::settings::Settings;

/// From the accept, or the end of the answer before, to the end of a request's headers.
const HEADERS: Duration = Duration::from_secs(10);
/// Longest request head, bytes.
const HEAD_BYTES: usize = 32 * 1024;
/// How long answers under way may take once the listener stops.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long a client may take nothing of what waits for it, or acknowledge nothing: it has gone without a word, or means harm.
/// A stream of events would be held for it for a quarter of an hour otherwise, and its place with it.
pub(super) const STALLED: Duration = Duration::from_secs(30);
/// After a failed accept (no file descriptors, mostly).
const BREATH: Duration = Duration::from_millis(50);

/// How many connections at once, and how slow. Beyond: closed at once, and counted.
#[derive(Debug, Clone)]
pub(super) struct Caps {
    /// In all.
    pub(super) total: usize,
    /// From one client address (IPv6: one /64).
    pub(super) per_address: usize,
    /// Whose trusted proxies speak for many; no limit per address holds for them.
    pub(super) proxies: Option<Settings>,
    /// [`STALLED`], but for tests.
    pub(super) stalled: Duration,
}

/// Serves until `stop` turns true, then lets answers under way end.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    caps: Caps,
    tls: Option<Tls>,
    counted: (Arc<Metrics>, Listener),
    mut stop: watch::Receiver<bool>,
) {
    let house = Arc::new(House { router, tls, counted, stalled: caps.stalled });
    let door = Arc::new(Door { caps, open: Mutex::default() });
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => match Door::enter(&door, peer.ip()) {
                    Ok(pass) => {
                        connections.spawn(welcome(house.clone(), stream, peer, stop.clone(), pass));
                    }
                    // overflow: closed at once; a browser tries again, an attacker has gained nothing.
                    Err(limit) => house.refused(limit),
                },
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(BREATH).await;
                }
            },
            Some(_) = connections.join_next() => {}
            () = stopped(&mut stop) => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// What every connection shares.
struct House {
    router: Router,
    tls: Option<Tls>,
    counted: (Arc<Metrics>, Listener),
    stalled: Duration,
}

impl House {
    fn refused(&self, limit: &'static str) {
        self.counted.0.connection_refused(self.counted.1, limit);
    }
}

async fn welcome(house: Arc<House>, stream: TcpStream, peer: SocketAddr, mut stop: watch::Receiver<bool>, _pass: Pass) {
    // Where they cannot be had, answers are slower, and who stalls goes later.
    let _ = stream.set_nodelay(true);
    let _ = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(house.stalled));
    let router = house.router.clone();
    let Some(tls) = &house.tls else { return converse(stream, peer, router, stop).await };
    let accepted = tokio::select! {
        accepted = tls.accept(stream) => accepted,
        () = stopped(&mut stop) => return,
    };
    match accepted {
        Ok(stream) => converse(stream, peer, router, stop).await,
        Err(Failed::Full) => house.refused("handshakes"),
        Err(Failed::Timeout) => house.counted.0.handshake_failed("timeout"),
        Err(Failed::Protocol) => house.counted.0.handshake_failed("protocol"),
    }
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    router: Router,
    mut stop: watch::Receiver<bool>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        router.clone().oneshot(request)
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(HEAD_BYTES);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(LAST_WORDS, connection).await {
                Ok(ended) => ended,
                Err(_) => Ok(()),
            }
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "a connection ended badly");
    }
}

/// Returns when the flag is true, or whoever could raise it is gone.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

impl Caps {
    fn speaks_for_many(&self, address: IpAddr) -> bool {
        let is_proxy = |settings: &Settings| {
            settings.load().public.trusted_proxies.iter().any(|proxy| client_key(*proxy) == address)
        };
        address.is_loopback() || self.proxies.as_ref().is_some_and(is_proxy)
    }
}

/// Counts who is in.
struct Door {
    caps: Caps,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// Held while a connection lives.
struct Pass {
    door: Arc<Door>,
    address: IpAddr,
}

impl Door {
    fn enter(door: &Arc<Self>, address: IpAddr) -> Result<Pass, &'static str> {
        let address = client_key(address);
        let mut open = door.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.total >= door.caps.total {
            return Err("total");
        }
        let here = open.by_address.get(&address).copied().unwrap_or(0);
        if here >= door.caps.per_address && !door.caps.speaks_for_many(address) {
            return Err("address");
        }
        open.total += 1;
        open.by_address.insert(address, here + 1);
        Ok(Pass { door: door.clone(), address })
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut open = self.door.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.total = open.total.saturating_sub(1);
        if let Some(here) = open.by_address.get_mut(&self.address) {
            *here = here.saturating_sub(1);
            if *here == 0 {
                open.by_address.remove(&self.address);
            }
        }
    }
}

/// A share of the file descriptors this process may open (proc(5)); the rest is for calls.
pub(super) fn connection_cap() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    soft.map_or(512, |soft| soft / 2).clamp(64, 10_000)
}

#[cfg(test)]
#[path = "listen_tests.rs"]
mod tests;
