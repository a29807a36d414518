//! A bad network between two real peers: a UDP relay in user space that loses, delays, jitters, reorders, duplicates and
//! throttles what passes it, by a seed, each direction by itself, and that can change its outer port as a NAT does.
//!
//! ```no_run
//! # use trunkline_tests::relay::{Impairment, Relay};
//! # async fn example(gateway: std::net::SocketAddr) -> anyhow::Result<()> {
//! let relay = Relay::start(gateway, 7).await?;
//! // Tell the client `relay.address()` instead of the gateway's, then:
//! relay.up(Impairment::loss(0.05));
//! relay.down(Impairment { delay_ms: 150, jitter_ms: 40, ..Impairment::default() });
//! relay.rebind().await?;
//! # Ok(()) }
//! ```
//!
//! Where the relay is put: a browser is sent through it by `relay` in the options of `Page::call_with`, which rewrites the
//! candidates of the answer; a trunk by the port in the SDP of its agent.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use tokio::net::UdpSocket;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::world::chance::Chance;

mod impairment;

use impairment::Direction;
pub use impairment::{Burst, Impairment, Tally};

/// Largest datagram that passes.
const MTU: usize = 2048;
/// A relay in front of one peer (the target); any number of clients. Ends with the value.
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

struct Shared {
    /// The side the clients see.
    inner: UdpSocket,
    target: SocketAddr,
    state: Mutex<State>,
    due: Notify,
    arrivals: mpsc::Sender<Arrival>,
}

struct State {
    chance: Chance,
    directions: [Direction; 2],
    /// One outer port for each client.
    clients: HashMap<SocketAddr, Outer>,
    waiting: BinaryHeap<Reverse<Waiting>>,
    number: u64,
}

struct Outer {
    socket: Arc<UdpSocket>,
    reader: JoinHandle<()>,
}

impl Drop for Outer {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

#[derive(Clone, Copy)]
enum Way {
    Up = 0,
    Down = 1,
}

struct Arrival {
    client: SocketAddr,
    datagram: Vec<u8>,
}

struct Waiting {
    at: Instant,
    number: u64,
    way: Way,
    client: SocketAddr,
    datagram: Vec<u8>,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}
impl Eq for Waiting {}
impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl Relay {
    /// A relay on a free even loopback port that hands everything to `target` and what that answers back.
    pub async fn start(target: SocketAddr, seed: u64) -> Result<Self> {
        let inner = even_port().await?;
        let address = inner.local_addr()?;
        let (arrivals, answers) = mpsc::channel(1024);
        let state = State {
            chance: Chance::new(seed),
            directions: Default::default(),
            clients: HashMap::new(),
            waiting: BinaryHeap::new(),
            number: 0,
        };
        let shared = Arc::new(Shared { inner, target, state: Mutex::new(state), due: Notify::new(), arrivals });
        let tasks = vec![
            tokio::spawn(read_clients(Arc::clone(&shared))),
            tokio::spawn(read_answers(Arc::clone(&shared), answers)),
            tokio::spawn(deliver(Arc::clone(&shared))),
        ];
        Ok(Self { address, shared, tasks })
    }

    /// What clients are told instead of the target's address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on for what goes to the target.
    pub fn up(&self, impairment: Impairment) {
        self.shared.lock().directions[0].impairment = impairment;
    }

    /// From now on for what comes from the target.
    pub fn down(&self, impairment: Impairment) {
        self.shared.lock().directions[1].impairment = impairment;
    }

    /// From now on for both.
    pub fn both(&self, impairment: Impairment) {
        self.up(impairment);
        self.down(impairment);
    }

    /// Every client gets a new outer port, as after a NAT has lost its table: the target sees a new address, and what it
    /// sends to the old one is gone.
    pub async fn rebind(&self) -> Result<()> {
        let clients: Vec<SocketAddr> = self.shared.lock().clients.keys().copied().collect();
        for client in clients {
            let outer = self.shared.outer(client).await?;
            self.shared.lock().clients.insert(client, outer);
        }
        Ok(())
    }

    /// What passed towards the target, and from it.
    #[must_use]
    pub fn tallies(&self) -> [Tally; 2] {
        let state = self.shared.lock();
        [state.directions[0].tally, state.directions[1].tally]
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        self.shared.lock().clients.clear();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn outer(&self, client: SocketAddr) -> Result<Outer> {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await?);
        let (from, to) = (Arc::clone(&socket), self.arrivals.clone());
        let target = self.target;
        let reader = tokio::spawn(async move {
            let mut buffer = vec![0; MTU];
            loop {
                // A port that nobody listens on shows up as an error here; it may be there later.
                let Ok((length, sender)) = from.recv_from(&mut buffer).await else { continue };
                if sender == target && to.send(Arrival { client, datagram: buffer[..length].to_vec() }).await.is_err() {
                    return;
                }
            }
        });
        Ok(Outer { socket, reader })
    }

    fn pass(&self, way: Way, client: SocketAddr, datagram: &[u8]) {
        let now = Instant::now();
        let mut state = self.lock();
        let State { chance, directions, waiting, number, .. } = &mut *state;
        for at in directions[way as usize].times(chance, now, datagram.len()) {
            *number += 1;
            waiting.push(Reverse(Waiting { at, number: *number, way, client, datagram: datagram.to_vec() }));
        }
        drop(state);
        self.due.notify_one();
    }
}

async fn read_clients(shared: Arc<Shared>) {
    let mut buffer = vec![0; MTU];
    loop {
        let Ok((length, client)) = shared.inner.recv_from(&mut buffer).await else { continue };
        let known = shared.lock().clients.contains_key(&client);
        if !known {
            let Ok(outer) = shared.outer(client).await else { continue };
            shared.lock().clients.insert(client, outer);
        }
        shared.pass(Way::Up, client, &buffer[..length]);
    }
}

async fn read_answers(shared: Arc<Shared>, mut answers: mpsc::Receiver<Arrival>) {
    while let Some(Arrival { client, datagram }) = answers.recv().await {
        shared.pass(Way::Down, client, &datagram);
    }
}

async fn deliver(shared: Arc<Shared>) {
    loop {
        let next = shared.lock().waiting.peek().map(|Reverse(waiting)| waiting.at);
        match next {
            Some(at) if at <= Instant::now() => {}
            Some(at) => {
                tokio::select! {
                    () = tokio::time::sleep_until(at) => {}
                    () = shared.due.notified() => {}
                }
                continue;
            }
            None => {
                shared.due.notified().await;
                continue;
            }
        }
        let (waiting, outer) = {
            let mut state = shared.lock();
            let Some(Reverse(waiting)) = state.waiting.pop() else { continue };
            let outer = state.clients.get(&waiting.client).map(|outer| Arc::clone(&outer.socket));
            (waiting, outer)
        };
        // Who is gone does not get it.
        let _ = match (waiting.way, outer) {
            (Way::Up, Some(outer)) => outer.send_to(&waiting.datagram, shared.target).await,
            (Way::Up, None) => continue,
            (Way::Down, _) => shared.inner.send_to(&waiting.datagram, waiting.client).await,
        };
    }
}

async fn even_port() -> Result<UdpSocket> {
    for _ in 0..64 {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        if socket.local_addr()?.port().is_multiple_of(2) {
            return Ok(socket);
        }
    }
    None.context("no even port is free")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_is_answered_and_its_outer_port_changes() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let relay = Relay::start(server.local_addr().unwrap(), 1).await.unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut buffer = [0; 16];
        let mut seen = Vec::new();
        for n in 0..2 {
            client.send_to(b"ping", relay.address()).await.unwrap();
            let (_, from) = server.recv_from(&mut buffer).await.unwrap();
            seen.push(from);
            server.send_to(b"pong", from).await.unwrap();
            let (length, back) = client.recv_from(&mut buffer).await.unwrap();
            assert_eq!((&buffer[..length], back), (b"pong".as_slice(), relay.address()), "{n}");
            relay.rebind().await.unwrap();
        }
        assert_ne!(seen[0], seen[1]);
        assert_eq!(relay.tallies()[0], Tally { received: 2, sent: 2, lost: 0 });
    }
}
