//! The browser leg's transport: ICE-lite, DTLS server, SRTP, on one public port shared by every call.

pub mod demux;
pub mod dtls;
pub mod ice;
pub mod srtp;
pub mod transport;

pub use transport::{BrowserTransport, Inbound, TransportEvent};
