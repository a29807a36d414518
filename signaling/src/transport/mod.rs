//! Sockets for an [`crate::endpoint::Endpoint`]: datagrams, and connections that either end opens, plain or encrypted.
//!
//! ```text
//! udp        the task: sockets, endpoint, commands, events
//!  ├─ datagrams (unreachable)   one socket for each family
//!  ├─ streams ── connection     one task for each connection: framing, liveness
//!  │     └─ redial              when a missing one is tried again
//!  └─ listeners ── room         those that peers open
//! ```

mod connection;
mod counters;
mod datagrams;
mod framing;
mod listeners;
mod liveness;
pub mod reach;
mod redial;
mod room;
mod streams;
#[cfg(test)]
pub(crate) mod tests;
pub mod tls;
pub mod udp;
mod unreachable;

pub use counters::ConnectionStats;
pub use listeners::{Bound, ListenError, Sockets};
pub use room::Limits;
