//! The edge of the media plane: threads, sockets, batches. No logic.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::api::{CallKey, CallStats, Command, OpenCall, OpenError, Opened, Report, Restarted};
use crate::sdp::browser::IceCredentials;

/// How the plane is laid out.
#[derive(Debug, Clone)]
pub struct PlaneConfig {
    /// Threads, at least one.
    pub workers: usize,
    /// Worker n listens on port + n (port 0: any free port, for tests).
    pub udp_listen: SocketAddr,
    /// Public addresses put into candidates instead of the listening one.
    pub advertise: Vec<IpAddr>,
    /// Where trunk legs bind.
    pub rtp_listen: IpAddr,
    /// Their ports; each leg takes an even port and the odd one above.
    pub rtp_ports: RangeInclusive<u16>,
    /// How long a pair is drained before it is used again.
    pub quarantine: Duration,
    /// Calls a worker takes at once.
    pub max_calls_per_worker: usize,
}

/// The media plane could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A socket could not be bound.
    #[error("cannot bind {address}: {source}")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Something else of the operating system.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// No certificate.
    #[error(transparent)]
    Identity(#[from] crate::browser::transport::IdentityError),
}

/// No port pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// All pairs are leased or in quarantine.
    #[error("no free RTP port pair")]
    Exhausted,
    /// No such call.
    #[error("no such call")]
    NoSuchCall,
    /// The plane is gone.
    #[error("the media plane has stopped")]
    Stopped,
}

/// A worker's gauges and counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WorkerStats {
    /// Live calls.
    pub calls: u64,
    /// Leased port pairs (live trunk legs).
    pub leased_pairs: u64,
    /// Pairs in quarantine.
    pub quarantined_pairs: u64,
    /// Datagrams in.
    pub received: u64,
    /// Datagrams out.
    pub sent: u64,
    /// Datagrams the kernel would not take.
    pub send_failures: u64,
    /// Datagrams that belong to no call.
    pub stray: u64,
    /// Reports dropped because the control plane does not keep up.
    pub reports_dropped: u64,
    /// Commands for unknown calls.
    pub commands_dropped: u64,
    /// Panics caught.
    pub panics: u64,
}

/// A handle on the media plane; clones share it.
#[derive(Clone)]
pub struct Plane {}

impl Plane {
    /// Binds every socket and starts the threads. Reports of all workers arrive on the one receiver.
    pub fn start(config: PlaneConfig) -> Result<(Self, mpsc::Receiver<Report>), StartError> {
        todo!()
    }

    /// The public UDP addresses, one a worker.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        todo!()
    }

    /// Opens a call on the worker with the fewest; returns once it is registered.
    pub async fn open(&self, open: OpenCall) -> Result<Opened, OpenError> {
        todo!()
    }

    /// New peer connection for a live call.
    pub async fn reattach(&self, open: OpenCall) -> Result<Opened, OpenError> {
        todo!()
    }

    /// ICE restart of a live call.
    pub async fn restart_ice(&self, key: CallKey, remote: IceCredentials) -> Result<Restarted, OpenError> {
        todo!()
    }

    /// Leases a port pair for the call's trunk leg; the address to put into SDP (before `advertise`).
    pub async fn lease_trunk(&self, key: CallKey) -> Result<SocketAddr, LeaseError> {
        todo!()
    }

    /// Sends a command; `false` if the worker's queue is full or gone.
    pub fn command(&self, key: CallKey, command: Command) -> bool {
        todo!()
    }

    /// A call's counters now.
    pub async fn call_stats(&self, key: CallKey) -> Option<CallStats> {
        todo!()
    }

    /// Every worker's counters.
    #[must_use]
    pub fn stats(&self) -> Vec<WorkerStats> {
        todo!()
    }

    /// Ends every call and stops the threads; returns when they are gone.
    pub fn shutdown(&self) {
        todo!()
    }
}
