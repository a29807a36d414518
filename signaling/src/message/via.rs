//! Via.

use std::net::IpAddr;

use bytes::Bytes;

use super::Host;

/// One Via value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Via {
    /// `UDP`, `TCP`, …, upper case.
    pub transport: Bytes,
    /// sent-by host.
    pub host: Host,
    /// sent-by port.
    pub port: Option<u16>,
    /// `branch`.
    pub branch: Option<Bytes>,
    /// `received`.
    pub received: Option<IpAddr>,
    /// `rport`: asked for (`None` inside) or filled in.
    pub rport: Option<Option<u16>>,
    /// `maddr`, `ttl` and others, as they came.
    pub parameters: Vec<(Bytes, Option<Bytes>)>,
}
