//! Sockets for an [`crate::endpoint::Endpoint`].

pub mod udp;
mod unreachable;
