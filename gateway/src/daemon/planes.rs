//! The two planes and the calls between them, as the configuration lays them out.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use trunkline_config::{Config, Quality};
use trunkline_media::quality::{Bands, Policy};
use trunkline_media::worker::{Plane, PlaneConfig};
use trunkline_signaling::endpoint::Event;

use super::StartError;
use super::doors;
use super::sip_side::SipSide;
use crate::calls::Calls;
use crate::clock::Clock;
use crate::control_api::Gauges;
use crate::metrics::Snapshot;
use crate::outbound::Client;
use crate::prompts::Prompts;
use crate::settings::{Edition, Settings};
use crate::speech::{Espeak, Speech};
use crate::store::Store;
use crate::trunks::{Carrier, Trunks};

/// Calls a worker takes at once.
const CALLS_PER_WORKER: usize = 4_000;

pub(super) struct Planes {
    plane: Plane,
    sip: Arc<SipSide>,
    calls: Calls,
    client: Client,
}

impl Planes {
    /// Starts the media plane, and joins it with a SIP side that has started. On an error the SIP side ends with it.
    pub(super) fn start(
        settings: &Settings,
        (sip, events): (Arc<SipSide>, mpsc::Receiver<Event>),
        clock: &Clock,
        store: Store,
    ) -> Result<Self, StartError> {
        let config = settings.load();
        let (plane, reports) = Plane::start(plane_config(&config))?;
        let prompts = Prompts::load(config.media.prompts_dir.as_deref());
        let prompts = prompts.on_hold(config.media.hold_audio);
        let calls =
            Calls::with_store(settings.clone(), Arc::new(plane.clone()), sip.clone(), prompts, clock.clone(), store);
        let client = Client::new(config.outbound.tls_ca.as_deref())?;
        calls.equip(&client, speech(&config));
        calls.listen(reports, events);
        tokio::spawn(follow(settings.watch(), plane.clone()));
        Ok(Self { plane, sip, calls, client })
    }

    pub(super) fn calls(&self) -> Calls {
        self.calls.clone()
    }

    /// Asks what the configuration and back ends name.
    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Lets in whom the configuration knows, until told to stop.
    pub(super) fn keep_doors(
        &self,
        settings: Settings,
        stop: watch::Receiver<bool>,
    ) -> impl Future<Output = ()> + use<> {
        doors::keep(settings, self.sip.clone(), self.calls.finder().clone(), stop)
    }

    /// The trunks, asked through this SIP side.
    pub(super) fn trunks(&self, settings: &Settings, clock: &Clock) -> Trunks {
        let trunks = Trunks::new(settings.clone(), clock.clone(), self.sip.clone(), &self.calls);
        self.calls.heed(trunks.registrations().clone());
        trunks
    }

    /// Carries requests of no call.
    pub(super) fn carrier(&self) -> Arc<dyn Carrier> {
        self.sip.clone()
    }

    pub(super) fn media_addrs(&self) -> Vec<SocketAddr> {
        self.plane.addresses()
    }

    pub(super) fn media_tcp_addr(&self) -> Option<SocketAddr> {
        self.plane.tcp_address()
    }

    /// Reads what the planes count.
    pub(super) fn gauges(&self) -> Gauges {
        let (plane, sip) = (self.plane.clone(), self.sip.clone());
        Box::new(move || {
            let (plane, sip) = (plane.clone(), sip.clone());
            Box::pin(async move {
                Snapshot {
                    workers: plane.stats(),
                    sip: sip.stats().await,
                    connections: sip.connections(),
                    browser_connections: plane.connections(),
                    ..Snapshot::default()
                }
            })
        })
    }

    /// After the last call has ended.
    pub(super) async fn stop(self) {
        self.sip.stop().await;
        let plane = self.plane;
        // It waits for its threads.
        let _ = tokio::task::spawn_blocking(move || plane.shutdown()).await;
    }
}

/// Who speaks texts, if somebody can.
fn speech(config: &Config) -> Option<Arc<dyn Speech>> {
    let program = config.media.say_command.as_deref()?;
    let found = Espeak::find(program);
    if found.is_none() {
        tracing::info!(program, "not installed: no texts are spoken");
    }
    found.map(|espeak| Arc::new(espeak) as Arc<dyn Speech>)
}

fn plane_config(config: &Config) -> PlaneConfig {
    let media = &config.media;
    PlaneConfig {
        workers: media.workers.max(1),
        udp_listen: media.udp_listen,
        tcp_listen: media.tcp_listen,
        advertise: media.advertise.clone(),
        rtp_listen: media.rtp_listen,
        rtp_ports: media.rtp_ports.clone(),
        quarantine: media.quarantine,
        max_calls_per_worker: CALLS_PER_WORKER,
        policy: policy(&config.quality),
    }
}

/// New calls are measured as the configuration of the moment says.
async fn follow(mut settings: watch::Receiver<Edition>, plane: Plane) {
    while settings.changed().await.is_ok() {
        let policy = policy(&settings.borrow_and_update().config.quality);
        plane.measure_by(policy);
    }
}

/// What the media plane measures.
#[allow(clippy::cast_possible_truncation)] // thresholds have a few digits
fn policy(quality: &Quality) -> Policy {
    let bands = |bands: trunkline_config::Bands| Bands { amber: bands.amber as f32, red: bands.red as f32 };
    Policy {
        measure: quality.measure,
        listen: quality.listen,
        loss: bands(quality.loss),
        rtt_ms: bands(quality.rtt_ms),
        jitter_ms: bands(quality.jitter_ms),
        mos: bands(quality.mos),
        gap_ms: bands(quality.gap_ms),
        poor_after: quality.poor_after,
    }
}
