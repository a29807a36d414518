//! The edge of the media plane: threads, sockets, batches. No logic.
//!
//! A call lives on one worker: one thread, one public UDP socket shared by all its browsers, and a pair of RTP sockets
//! for each trunk leg. A wake-up reads the clock once, takes commands, drains sockets within a budget, fires timers,
//! and sends everything in batches.

mod asks;
mod batch;
mod calls;
mod candidates;
mod datagrams;
mod effort;
mod lateness;
mod placement;
mod plane;
mod ports;
mod reports;
mod rest;
mod shared;
mod tcp;
mod thread;
mod timers;
mod upkeep;

#[cfg(test)]
mod effort_tests;
#[cfg(test)]
mod flood_tests;
#[cfg(test)]
mod spare_tests;
#[cfg(test)]
mod tcp_tests;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

pub use self::lateness::{LATENESS_MS, Lateness};
pub use self::plane::Plane;
pub use self::tcp::ConnectionStats;
use crate::quality::Policy;

/// How the plane is laid out.
#[derive(Debug, Clone)]
pub struct PlaneConfig {
    /// Threads, at least one.
    pub workers: usize,
    /// Worker n listens on port + n (port 0: any free port, for tests).
    pub udp_listen: SocketAddr,
    /// Where browsers' TCP connections are taken, for all workers (ICE-TCP; port 0: any free port, for tests).
    pub tcp_listen: Option<SocketAddr>,
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
    /// What is measured, and what counts as good.
    pub policy: Policy,
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
    /// Datagrams dropped because one call had too many in one wake-up.
    pub flooded: u64,
    /// Port pairs passed over because another program held them.
    pub ports_in_use: u64,
    /// Datagrams the kernel dropped because a socket was full; those of a trunk's ports are told when its leg ends.
    pub socket_drops: u64,
    /// Processor time of the thread, microseconds; told once a second.
    pub cpu_us: u64,
    /// Thousandths of a core it used in the last second it ran, and the calls it had then.
    pub busy: u64,
    /// See `busy`.
    pub busy_calls: u64,
    /// Complexity at which its calls encode Opus.
    pub complexity: u64,
    /// How late deadlines of calls were met.
    pub lateness: Lateness,
}
