//! The two planes and the calls between them, as the configuration lays them out.

use std::net::SocketAddr;
use std::time::Duration;

use trunkline_config::Config;
use trunkline_media::worker::{Plane, PlaneConfig};

use super::StartError;
use crate::calls::Calls;
use crate::control_api::Gauges;
use crate::metrics::Snapshot;

/// How long a port pair is drained before it is used again: later than the peers' last packets.
const QUARANTINE: Duration = Duration::from_secs(5);
/// Calls a worker takes at once.
const CALLS_PER_WORKER: usize = 4_000;

pub(super) struct Planes {
    plane: Plane,
    calls: Calls,
    sip_addr: SocketAddr,
}

impl Planes {
    pub(super) async fn start(config: &Config) -> Result<Self, StartError> {
        let (plane, _reports) = Plane::start(plane_config(config))?;
        Ok(Self { plane, calls: Calls {}, sip_addr: config.sip.udp_listen })
    }

    pub(super) fn calls(&self) -> Calls {
        self.calls.clone()
    }

    pub(super) fn sip_addr(&self) -> SocketAddr {
        self.sip_addr
    }

    pub(super) fn media_addrs(&self) -> Vec<SocketAddr> {
        self.plane.addresses()
    }

    /// Reads what the planes count.
    pub(super) fn gauges(&self) -> Gauges {
        let plane = self.plane.clone();
        Box::new(move || Snapshot { workers: plane.stats(), ..Snapshot::default() })
    }

    /// After the last call has ended.
    pub(super) async fn stop(self) {
        let plane = self.plane;
        // It waits for its threads.
        let _ = tokio::task::spawn_blocking(move || plane.shutdown()).await;
    }
}

fn plane_config(config: &Config) -> PlaneConfig {
    let media = &config.media;
    PlaneConfig {
        workers: media.workers.max(1),
        udp_listen: media.udp_listen,
        advertise: media.advertise.clone(),
        rtp_listen: media.rtp_listen,
        rtp_ports: media.rtp_ports.clone(),
        quarantine: QUARANTINE,
        max_calls_per_worker: CALLS_PER_WORKER,
    }
}
