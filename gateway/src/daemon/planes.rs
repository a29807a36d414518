//! The two planes and the calls between them, as the configuration lays them out.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use trunkline_config::Config;
use trunkline_media::worker::{Plane, PlaneConfig};

use super::StartError;
use super::sip_socket::{SipPortHandle, SipSocket};
use crate::calls::Calls;
use crate::clock::Clock;
use crate::control_api::Gauges;
use crate::metrics::Snapshot;
use crate::prompts::Prompts;

/// Calls a worker takes at once.
const CALLS_PER_WORKER: usize = 4_000;

pub(super) struct Planes {
    plane: Plane,
    sip: Arc<SipSocket>,
    sip_addr: SocketAddr,
    sip_stop: watch::Sender<bool>,
    sip_task: JoinHandle<()>,
    calls: Calls,
}

impl Planes {
    /// Starts both planes. `sip` is bound to the address the configuration names.
    pub(super) fn start(config: &Arc<Config>, sip: UdpSocket, clock: &Clock) -> Result<Self, StartError> {
        let (plane, reports) = Plane::start(plane_config(config))?;
        let (sip, events) = SipSocket::new(config, sip, clock.clone());
        let (sip_stop, stopped) = watch::channel(false);
        let sip_task = tokio::spawn(sip.clone().run(stopped));
        let prompts = Prompts::load(config.media.prompts_dir.as_deref());
        let port = Arc::new(SipPortHandle(sip.clone()));
        let calls = Calls::new(config.clone(), Arc::new(plane.clone()), port, prompts, clock.clone());
        calls.listen(reports, events);
        Ok(Self { plane, sip, sip_addr: config.sip.udp_listen, sip_stop, sip_task, calls })
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
        let (plane, sip) = (self.plane.clone(), self.sip.clone());
        Box::new(move || {
            let (sip_events_dropped, sip_datagrams_dropped) = sip.dropped();
            Snapshot {
                workers: plane.stats(),
                sip: sip.stats(),
                sip_events_dropped,
                sip_datagrams_dropped,
                ..Snapshot::default()
            }
        })
    }

    /// After the last call has ended.
    pub(super) async fn stop(self) {
        self.sip_stop.send_replace(true);
        let _ = self.sip_task.await;
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
        quarantine: media.quarantine,
        max_calls_per_worker: CALLS_PER_WORKER,
    }
}
