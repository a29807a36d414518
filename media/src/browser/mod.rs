//! The browser leg's transport: ICE-lite, DTLS server, SRTP, on one public port shared by every call.

pub mod demux;
mod dtls;
pub(crate) mod framing;
mod ice;
mod probe;
mod srtp;
mod stun;
pub mod transport;

pub use transport::{BrowserTransport, Inbound, TransportEvent};
