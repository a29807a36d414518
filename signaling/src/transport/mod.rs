//! Sockets for an [`crate::endpoint::Endpoint`]: datagrams, and connections towards peers that are reached by TCP or TLS.

mod connection;
mod framing;
pub mod reach;
mod streams;
#[cfg(test)]
mod streams_tests;
pub mod tls;
pub mod udp;
mod unreachable;
