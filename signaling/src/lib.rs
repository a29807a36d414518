//! Trunkline's SIP core (RFC 3261 and friends) as sans-IO values; SDP is opaque bytes here.
//!
//! ```text
//! transport (sockets) ── endpoint::Endpoint ─┬─ transaction (the four machines of section 17, RFC 6026)
//!                                            ├─ dialog (section 12)
//!                                            ├─ admission (who may begin something)
//!                                            ├─ auth (RFC 8760 digest)
//!                                            └─ message (section 25 grammar, zero-copy)
//! registration (section 10) ── requests that the endpoint carries outside of any call
//! targets (RFC 3263): where the requests of an endpoint's user go
//! ```

pub mod admission;
pub mod auth;
pub mod dialog;
pub mod endpoint;
pub mod message;
pub mod registration;
pub mod targets;
pub mod transaction;
pub mod transport;
