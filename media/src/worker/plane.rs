//! The handle on the media plane: places calls on workers and speaks to them.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use mio::Waker;
use tokio::sync::{mpsc, oneshot};

use super::asks::Ask;
use super::candidates::{host_candidates, tcp_candidates};
use super::placement::{Load, next_home};
use super::ports::Pool;
use super::reports;
use super::rest::Bell;
use super::shared::Shared;
use super::tcp::door::{Door, Doorbell};
use super::tcp::{Arrived, ConnectionStats, Names};
use super::thread::{Worker, WorkerParts};
use super::{LeaseError, PlaneConfig, StartError, WorkerStats};
use crate::api::{CallKey, CallStats, Command, OpenCall, OpenError, Opened, Report, Restarted};
use crate::browser::transport::DtlsIdentity;
use crate::quality::Policy;
use crate::sdp::browser::IceCredentials;

/// Commands a worker may be behind with.
const COMMANDS: usize = 1024;

/// Kernel memory of a public port: half a second of a thousand calls.
const PUBLIC_BUFFER: usize = 8 * 1024 * 1024;

/// A handle on the media plane; clones share it. The plane stops with [`Plane::shutdown`] or with its last handle.
#[derive(Clone)]
pub struct Plane(Arc<Inner>);

struct Inner {
    workers: Vec<Handle>,
    max_calls: usize,
    /// Which worker each call lives on.
    homes: Arc<Mutex<Homes>>,
    /// Where browsers' connections are taken.
    door: Option<Doorbell>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Clone)]
struct Handle {
    address: SocketAddr,
    asks: mpsc::Sender<Ask>,
    waker: Arc<Waker>,
    shared: Arc<Shared>,
}

struct Homes {
    by_key: HashMap<CallKey, usize>,
    load: Vec<usize>,
    /// For the door; without one, nobody.
    names: Option<Names>,
}

impl Plane {
    /// Binds every socket and starts the threads. Reports of all workers arrive on the one receiver.
    pub fn start(config: PlaneConfig) -> Result<(Self, mpsc::Receiver<Report>), StartError> {
        let identity = Arc::new(DtlsIdentity::generate()?);
        let (reports, receiver) = mpsc::channel(reports::CHANNEL);
        let count = config.workers.max(1);
        let (door, bell) = config.tcp_listen.map(open_door).transpose()?.unzip();
        let homes = Homes { by_key: HashMap::new(), load: vec![0; count], names: bell.is_some().then(Names::default) };
        let pool = Pool::new(&config.rtp_ports);
        let sockets = (0..count).map(|nth| bind_public(config.udp_listen, nth)).collect::<Result<Vec<_>, _>>()?;
        let inner = Inner {
            workers: Vec::with_capacity(count),
            max_calls: config.max_calls_per_worker,
            homes: Arc::new(Mutex::new(homes)),
            door: bell,
            threads: Mutex::new(Vec::with_capacity(count)),
        };
        // Dropping `inner` on an error below ends the threads that run already.
        let mut inner = inner;
        for (nth, socket) in sockets.into_iter().enumerate() {
            let address = socket.local_addr()?;
            let poll = mio::Poll::new()?;
            let (bell, waker) = Bell::new(poll.registry(), super::thread::BELL)?;
            let (asks, queue) = mpsc::channel(COMMANDS);
            let shared = Arc::new(Shared::default());
            shared.measure_by(config.policy);
            let mut candidates = host_candidates(address, &config.advertise);
            if let Some(bell) = &inner.door {
                candidates.extend(tcp_candidates(bell.address, address, &config.advertise));
            }
            let parts = WorkerParts {
                pool: pool.clone(),
                poll,
                bell,
                public: socket,
                queue,
                reports: reports.clone(),
                shared: Arc::clone(&shared),
                identity: Arc::clone(&identity),
                candidates: candidates.into(),
                connections: inner.door.as_ref().map(|bell| Arc::clone(&bell.counters)).unwrap_or_default(),
                config: config.clone(),
            };
            let thread = std::thread::Builder::new().name(format!("media-{nth}")).spawn(move || Worker::run(parts))?;
            inner.threads.get_mut().unwrap_or_else(PoisonError::into_inner).push(thread);
            inner.workers.push(Handle { address, asks, waker, shared });
        }
        if let Some(door) = door {
            let (homes, workers) = (Arc::clone(&inner.homes), inner.workers.clone());
            let run = move || door.run(|arrived| admit(&homes, &workers, arrived));
            let thread = std::thread::Builder::new().name("media-tcp".into()).spawn(run)?;
            inner.threads.get_mut().unwrap_or_else(PoisonError::into_inner).push(thread);
        }
        Ok((Self(Arc::new(inner)), receiver))
    }

    /// The public UDP addresses, one a worker.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.0.workers.iter().map(|worker| worker.address).collect()
    }

    /// Where browsers' TCP connections are taken, if they are.
    #[must_use]
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.0.door.as_ref().map(|bell| bell.address)
    }

    /// How those connections fare.
    #[must_use]
    pub fn connections(&self) -> ConnectionStats {
        self.0.door.as_ref().map(|bell| bell.counters.read()).unwrap_or_default()
    }

    /// How calls that are opened from now on are measured; live ones go on as they began.
    pub fn measure_by(&self, policy: Policy) {
        self.0.workers.iter().for_each(|worker| worker.shared.measure_by(policy));
    }

    /// Opens a call on a worker with room for it; returns once it is registered. If this future is dropped before,
    /// the call is closed.
    pub async fn open(&self, open: OpenCall) -> Result<Opened, OpenError> {
        let key = open.key;
        let reservation = self.0.reserve(key)?;
        let worker = self.0.workers.get(reservation.worker).ok_or(OpenError::Stopped)?;
        let opened =
            worker.ask(|reply| Ask::Open { open: Box::new(open), reply }).await.unwrap_or(Err(OpenError::Stopped))?;
        reservation.keep();
        self.0.homes().learn(key, &opened.ice_session);
        Ok(opened)
    }

    /// New peer connection for a live call. The trunk leg, mutes and prompts stay as they are.
    pub async fn reattach(&self, open: OpenCall) -> Result<Opened, OpenError> {
        let key = open.key;
        let worker = self.0.home(key).ok_or(OpenError::NoSuchCall)?;
        let ask = |reply| Ask::Reattach { open: Box::new(open), reply };
        let opened = worker.ask(ask).await.unwrap_or(Err(OpenError::Stopped))?;
        self.0.homes().learn(key, &opened.ice_session);
        Ok(opened)
    }

    /// ICE restart of a live call.
    pub async fn restart_ice(&self, key: CallKey, remote: IceCredentials) -> Result<Restarted, OpenError> {
        let worker = self.0.home(key).ok_or(OpenError::NoSuchCall)?;
        let ask = |reply| Ask::RestartIce { key, remote, reply };
        let restarted = worker.ask(ask).await.unwrap_or(Err(OpenError::Stopped))?;
        self.0.homes().learn(key, &restarted.ice_session);
        Ok(restarted)
    }

    /// Leases a port pair for the call's trunk leg; the address to put into SDP (before `advertise`). A pair the call
    /// had is released.
    pub async fn lease_trunk(&self, key: CallKey) -> Result<SocketAddr, LeaseError> {
        let worker = self.0.home(key).ok_or(LeaseError::NoSuchCall)?;
        worker.ask(|reply| Ask::Lease { key, reply }).await.unwrap_or(Err(LeaseError::Stopped))
    }

    /// Leases a second port pair, for a leg that is to take the trunk leg's place ([`Command::SwapTrunk`]). One the call
    /// had is released.
    pub async fn lease_spare(&self, key: CallKey) -> Result<SocketAddr, LeaseError> {
        let worker = self.0.home(key).ok_or(LeaseError::NoSuchCall)?;
        worker.ask(|reply| Ask::LeaseSpare { key, reply }).await.unwrap_or(Err(LeaseError::Stopped))
    }

    /// Sends a command; `false` if the worker's queue is full or gone. [`Command::Close`] always gets through, and is
    /// owed for every call that was opened, one that crashed included.
    pub fn command(&self, key: CallKey, command: Command) -> bool {
        let Some(worker) = self.0.home(key) else { return false };
        let closes = matches!(command, Command::Close);
        if closes {
            self.0.homes().leave(key);
        }
        // overflow: the caller is told; a close goes by the side door.
        let taken = worker.asks.try_send(Ask::Command { key, command }).is_ok();
        if !taken && closes {
            worker.shared.close_later(key);
        }
        worker.wake();
        taken || closes
    }

    /// A call's counters now.
    pub async fn call_stats(&self, key: CallKey) -> Option<CallStats> {
        self.0.home(key)?.ask(|reply| Ask::Stats { key, reply }).await?
    }

    /// Every worker's counters.
    #[must_use]
    pub fn stats(&self) -> Vec<WorkerStats> {
        self.0.workers.iter().map(|worker| worker.shared.stats()).collect()
    }

    /// Ends every call and stops the threads; returns when they are gone.
    pub fn shutdown(&self) {
        self.0.shutdown();
    }

    #[cfg(test)]
    pub(super) fn panic_in(&self, key: CallKey) {
        let worker = self.0.home(key).unwrap();
        assert!(worker.asks.try_send(Ask::Panic { key }).is_ok());
        worker.wake();
    }
}

impl Inner {
    fn homes(&self) -> MutexGuard<'_, Homes> {
        self.homes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn home(&self, key: CallKey) -> Option<&Handle> {
        let worker = *self.homes().by_key.get(&key)?;
        self.workers.get(worker)
    }

    /// Takes a place on a worker.
    fn reserve(&self, key: CallKey) -> Result<Reservation<'_>, OpenError> {
        let mut homes = self.homes();
        if homes.by_key.contains_key(&key) {
            return Err(OpenError::Unsupported("a call with this key is open".into()));
        }
        let loads = homes.load.iter().zip(&self.workers).map(|(calls, worker)| {
            let (busy, calls_then) = worker.shared.busy();
            Load { calls: *calls, busy, calls_then }
        });
        let worker = next_home(loads, self.max_calls).ok_or(OpenError::Full)?;
        homes.by_key.insert(key, worker);
        if let Some(load) = homes.load.get_mut(worker) {
            *load += 1;
        }
        Ok(Reservation { inner: self, key, worker, kept: false })
    }

    fn shutdown(&self) {
        for worker in &self.workers {
            worker.shared.stop();
            worker.wake();
        }
        if let Some(bell) = &self.door {
            bell.stop();
        }
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a media thread had panicked");
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl Homes {
    /// A call that is open goes by this ufrag from now on.
    fn learn(&mut self, key: CallKey, ufrag: &str) {
        if let Some(names) = self.names.as_mut().filter(|_| self.by_key.contains_key(&key)) {
            names.learn(key, ufrag);
        }
    }

    fn leave(&mut self, key: CallKey) {
        if let Some(names) = &mut self.names {
            names.forget(key);
        }
        if let Some(load) = self.by_key.remove(&key).and_then(|worker| self.load.get_mut(worker)) {
            *load -= 1;
        }
    }
}

/// A place on a worker that is given back unless the call is really opened.
struct Reservation<'a> {
    inner: &'a Inner,
    key: CallKey,
    worker: usize,
    kept: bool,
}

impl Reservation<'_> {
    fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        self.inner.homes().leave(self.key);
        // The worker may have opened it while nobody waits any more.
        if let Some(worker) = self.inner.workers.get(self.worker) {
            worker.shared.close_later(self.key);
            worker.wake();
        }
    }
}

impl Handle {
    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        // overflow: awaited; the worker drains its queue at every wake-up.
        self.asks.send(ask(reply)).await.ok()?;
        self.wake();
        answer.await.ok()
    }

    fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "cannot wake a media thread");
        }
    }
}

fn open_door(address: SocketAddr) -> Result<(Door, Doorbell), StartError> {
    Door::open(address).map_err(|source| StartError::Bind { address, source })
}

/// Takes a browser's connection to its call's worker; `false` if there is none.
fn admit(homes: &Mutex<Homes>, workers: &[Handle], arrived: Arrived) -> bool {
    let home = {
        let homes = homes.lock().unwrap_or_else(PoisonError::into_inner);
        let key = homes.names.as_ref().and_then(|names| names.find(&arrived.ufrag));
        key.and_then(|key| homes.by_key.get(&key).copied())
    };
    let Some(worker) = home.and_then(|worker| workers.get(worker)) else { return false };
    // overflow: the connection is closed, and the browser tries another.
    let taken = worker.asks.try_send(Ask::Connection(Box::new(arrived))).is_ok();
    worker.wake();
    taken
}

fn bind_public(listen: SocketAddr, nth: usize) -> Result<UdpSocket, StartError> {
    let mut address = listen;
    if listen.port() != 0 {
        let port = u16::try_from(nth).ok().and_then(|nth| listen.port().checked_add(nth));
        address.set_port(port.ok_or_else(|| StartError::Bind {
            address: listen,
            source: std::io::Error::new(std::io::ErrorKind::InvalidInput, "no such port"),
        })?);
    }
    let bound = UdpSocket::bind(address).and_then(|socket| socket.set_nonblocking(true).map(|()| socket));
    let socket = bound.map_err(|source| StartError::Bind { address, source })?;
    // Best effort: the kernel caps them at net.core.{r,w}mem_max.
    let options = socket2::SockRef::from(&socket);
    let _ = options.set_recv_buffer_size(PUBLIC_BUFFER);
    let _ = options.set_send_buffer_size(PUBLIC_BUFFER);
    Ok(socket)
}
