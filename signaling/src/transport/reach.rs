//! Whether a peer takes connections, without a message: for who wants to know which step fails.
#![allow(clippy::disallowed_methods)] // The edge: it waits in real time and measures it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::connection::{CONNECT, Plan, connect, encrypt};
use super::datagrams::source;
use super::tls::Tls;
use crate::endpoint::{StreamError, Transport};

/// How each step of a connection went, and how long it took.
#[derive(Debug)]
pub struct Reached {
    /// The connection itself.
    pub connected: Result<Duration, StreamError>,
    /// The handshake, where there is one and it came to it.
    pub encrypted: Option<Result<Duration, StreamError>>,
}

/// Connects from an address of ours, shakes hands where the transport wants it, and closes again. `None`: datagrams need no connection.
pub async fn reach(own: &[SocketAddr], to: SocketAddr, over: &Transport, tls: &Tls) -> Option<Reached> {
    if *over == Transport::Udp {
        return None;
    }
    let began = Instant::now();
    let plan = Plan { to, from: source(own, to), over: over.clone(), tls: tls.clone(), ping: Duration::MAX };
    let stream = match timeout(CONNECT, connect(&plan)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(_)) => return Some(Reached { connected: Err(StreamError::Unreachable), encrypted: None }),
        Err(_) => return Some(Reached { connected: Err(StreamError::TimedOut), encrypted: None }),
    };
    let connected = Ok(began.elapsed());
    let Transport::Tls(domain) = &plan.over else { return Some(Reached { connected, encrypted: None }) };
    let began = Instant::now();
    let encrypted = match timeout(CONNECT, encrypt(stream, domain, tls.client(domain))).await {
        Ok(Ok(_)) => Ok(began.elapsed()),
        Ok(Err(error)) => Err(StreamError::Tls(error)),
        Err(_) => Err(StreamError::TimedOut),
    };
    Some(Reached { connected, encrypted: Some(encrypted) })
}
