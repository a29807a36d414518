//! The daemon: binds everything, puts the pieces together, and takes them apart in the right order.
//!
//! ```text
//! run (signals) ─ Daemon::start ─┬─ planes: media::worker::Plane, the SIP task, calls::Calls
//!                                ├─ listen: public_api::router
//!                                └─ listen: control_api::router
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use trunkline_config::Config;
use trunkline_signaling::transport::tls::RootsError;
use trunkline_signaling::transport::{Bound, ListenError};

use crate::calls::Calls;
use crate::clock::Clock;
use crate::metrics::{Listener, Metrics};
use crate::outbox::Webhooks;
use crate::reload::{Reloader, Source};
use crate::session::Desk;
use crate::settings::Settings;
use crate::store::{self, OpenError, Orphan, Store};
use crate::{control_api, public_api};

mod doors;
mod listen;
mod memory;
mod planes;
mod signals;
mod sip_side;
mod sip_tls;
#[cfg(test)]
mod tests;
mod tls;

use listen::Caps;
use memory::Returned;
pub use memory::be_frugal;
use planes::Planes;
use signals::{Asked, Signals};
use sip_side::SipSide;
use tls::Tls;

/// How often what is expired is forgotten when nobody asks.
const REAP: Duration = Duration::from_secs(30);
/// How long streams of all events wait for the last ones to be durable.
const LAST_EVENTS: Duration = Duration::from_secs(1);
/// Connections from one client address at once.
const PER_ADDRESS: usize = 256;

/// The daemon could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An HTTP listener could not be bound.
    #[error("{listener} cannot listen on {address}: {source}")]
    Bind {
        /// `public.listen` or `control.listen`.
        listener: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The database cannot be read.
    #[error("{0}")]
    Read(#[from] crate::store::ReadError),
    /// The media plane could not start.
    #[error("media: {0}")]
    Media(#[from] trunkline_media::worker::StartError),
    /// The SIP side could not start.
    #[error("sip: {0}")]
    Sip(#[from] ListenError),
    /// Nobody is there to check trunks with.
    #[error("sip.tls_ca cannot be used: {0}")]
    SipAuthorities(RootsError),
    /// TLS could not be set up.
    #[error("public.tls: {0}")]
    Tls(#[from] tokio_rustls::rustls::Error),
    /// What must outlive the process cannot be kept.
    #[error("node.data_dir cannot be used: {0}")]
    DataDir(#[from] OpenError),
    /// Nobody is there to check receivers of webhooks with.
    #[error("outbound.tls_ca cannot be used: {0}")]
    Authorities(#[from] RootsError),
    /// A part of the gateway broke while it started.
    #[error("the store broke while it was opened")]
    Broken,
    /// Signals could not be caught.
    #[error("signals: {0}")]
    Signals(std::io::Error),
}

/// A gateway that runs.
pub struct Daemon {
    /// Where browsers reach it.
    pub public_addr: SocketAddr,
    /// Where operators and back ends reach it.
    pub control_addr: SocketAddr,
    /// Where SIP is spoken over UDP.
    pub sip_addr: SocketAddr,
    /// And over all else: TCP, TLS, the other family.
    pub sip: Bound,
    /// Where browsers' media arrives, one address a worker.
    pub media_addrs: Vec<SocketAddr>,
    /// Where its TCP connections are taken, if they are.
    pub media_tcp_addr: Option<SocketAddr>,
    calls: Calls,
    planes: Planes,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    reloader: Arc<Reloader>,
}

/// Runs a gateway until a signal ends it; at SIGHUP its configuration is read anew from `source`.
///
/// # Errors
/// What kept it from starting.
pub async fn run(config: Config, source: Source) -> Result<(), StartError> {
    let mut signals = Signals::catch().map_err(StartError::Signals)?;
    let daemon = Daemon::start_with(config, Some(source), axum::Router::new()).await?;
    let reloader = daemon.reloader.clone();
    if end(&mut signals, &reloader).await == Asked::Drain {
        daemon.calls.drain();
        tokio::select! {
            () = daemon.calls.drained() => {}
            _ = end(&mut signals, &reloader) => tracing::warn!("a second signal: the drain is over"),
        }
    }
    tokio::select! {
        () = daemon.shutdown() => tracing::info!("stopped"),
        _ = end(&mut signals, &reloader) => tracing::warn!("another signal: stopped without waiting"),
    }
    Ok(())
}

/// The next signal that asks for the end; what others ask is done meanwhile.
async fn end(signals: &mut Signals, reloader: &Reloader) -> Asked {
    loop {
        match signals.next().await {
            // Whatever comes of it is in the log.
            Asked::Reload => drop(reloader.reload().await),
            asked @ (Asked::Drain | Asked::Stop) => return asked,
        }
    }
}

impl Daemon {
    /// Binds every socket and starts. Port 0 is any free port; a `public.url` on port 0 gets the one it became.
    ///
    /// # Errors
    /// The first thing that cannot be had.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_with(config, None, axum::Router::new()).await
    }

    /// As [`Self::start`]; with where reloads read the configuration from, and further pages on the public listener.
    ///
    /// # Errors
    /// The first thing that cannot be had.
    pub async fn start_with(
        mut config: Config,
        source: Option<Source>,
        pages: axum::Router,
    ) -> Result<Self, StartError> {
        let as_read = config.clone();
        let clock = Clock::system();
        let (store, orphans) = open_store(&config, &clock).await?;
        let lost_legs = store.legs().await?;
        let public = bind("public.listen", config.public.listen).await?;
        let control = bind("control.listen", config.control.listen).await?;
        let (public_addr, control_addr) = (public.1, control.1);
        if let Some(base) = config.public.url.strip_suffix(":0") {
            config.public.url = format!("{base}:{}", public_addr.port());
        }
        let (sip, events, bound) = SipSide::start(&config)?;
        let mut udp = bound.udp.iter().copied();
        let sip_addr = udp.next().unwrap_or(config.sip.udp_listen);
        (config.sip.udp_listen, config.sip.udp_listen_beside) = (sip_addr, udp.next());
        (config.sip.tcp_listen, config.sip.tls_listen) = (bound.tcp.clone(), bound.tls.clone());
        let settings = Settings::new(config);
        sip.follow(&settings);
        let config = settings.load();
        let tls = config.public.tls.as_ref().map(|_| Tls::new(settings.clone())).transpose()?;
        let reloader = Arc::new(Reloader::new(settings.clone(), source, as_read, clock.clone()));
        let planes = Planes::start(&settings, (sip, events), &clock, store)?;
        let calls = planes.calls();
        calls.adopt(orphans);
        calls.end_lost_legs(lost_legs);
        let (desk, metrics) = (Arc::new(Desk::new(settings.clone())), Arc::new(Metrics::new()));
        let (stop, stopped) = watch::channel(false);

        let public_api =
            public_api::Api::new(settings.clone(), desk.clone(), calls.clone(), metrics.clone(), clock.clone());
        let trunks = planes.trunks(&settings, &clock);
        let (outbox, herald) = (calls.store().clone(), calls.herald().clone());
        let webhooks = Webhooks::new(settings.clone(), outbox, planes.client(), herald, clock.clone());
        let control_api = control_api::Api::new(
            reloader.clone(),
            desk.clone(),
            calls.clone(),
            metrics.clone(),
            clock.clone(),
            control_addr,
            (trunks.clone(), webhooks.clone()),
            planes.gauges(),
        );
        let mut tasks = JoinSet::new();
        tasks.spawn(webhooks.run(stopped.clone()));
        let serve = |listener, router, tls, proxies, name| {
            let total = listen::connection_cap();
            let caps = Caps { total, per_address: PER_ADDRESS, proxies, stalled: listen::STALLED };
            listen::serve(listener, router, caps, tls, (metrics.clone(), name), stopped.clone())
        };
        let public_pages = public_api::router(Arc::new(public_api)).merge(pages);
        tasks.spawn(serve(public.0, public_pages, tls, Some(settings.clone()), Listener::Public));
        tasks.spawn(serve(control.0, control_api::router(Arc::new(control_api)), None, None, Listener::Control));
        tasks.spawn(trunks.clone().watch(stopped.clone()));
        tasks.spawn(trunks.register(planes.carrier(), stopped.clone()));
        tasks.spawn(planes.keep_doors(settings.clone(), stopped.clone()));
        tasks.spawn(reap(desk, calls.clone(), clock, stopped));

        let daemon = Self {
            public_addr,
            control_addr,
            sip_addr,
            sip: bound,
            media_addrs: planes.media_addrs(),
            media_tcp_addr: planes.media_tcp_addr(),
            calls,
            planes,
            stop,
            tasks,
            reloader,
        };
        tracing::info!(
            node = config.node.name,
            version = env!("CARGO_PKG_VERSION"),
            public = %daemon.public_addr,
            url = config.public.url,
            control = %daemon.control_addr,
            sip = %daemon.sip_addr,
            sip_tcp = ?daemon.sip.tcp,
            sip_tls = ?daemon.sip.tls,
            media = ?daemon.media_addrs,
            media_tcp = ?daemon.media_tcp_addr,
            "listening"
        );
        Ok(daemon)
    }

    /// The calls of this node.
    #[must_use]
    pub fn calls(&self) -> &Calls {
        &self.calls
    }

    /// Ends every call with a BYE, answers what is under way, closes every socket.
    pub async fn shutdown(mut self) {
        self.calls.shutdown().await;
        let store = self.calls.store().clone();
        let told = store.clone();
        if !tokio::task::spawn_blocking(move || told.flush(LAST_EVENTS)).await.unwrap_or(false) {
            tracing::warn!("the last events are not on the disk yet, and no stream of all events tells them");
        }
        store.bus().close();
        self.calls.receivers().close();
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
        self.planes.stop().await;
        let _ = tokio::task::spawn_blocking(move || store.close()).await;
    }
}

/// Also the calls an earlier process left behind.
async fn open_store(config: &Config, clock: &Clock) -> Result<(Store, Vec<Orphan>), StartError> {
    let (records, clock) = (&config.records, clock.clone());
    let options = store::Options {
        dir: config.node.data_dir.clone(),
        keep: records.keep,
        keep_bytes: records.keep_bytes,
        events: config.events.into(),
    };
    let opened = tokio::task::spawn_blocking(move || Store::open(&options, &clock)).await;
    Ok(opened.map_err(|_| StartError::Broken)??)
}

async fn bind(listener: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let wrong = |source| StartError::Bind { listener, address, source };
    let socket = TcpListener::bind(address).await.map_err(wrong)?;
    let bound = socket.local_addr().map_err(wrong)?;
    Ok((socket, bound))
}

/// Requests forget expired sessions as they come; this does when none come, and gives memory back.
async fn reap(desk: Arc<Desk>, calls: Calls, clock: Clock, mut stop: watch::Receiver<bool>) {
    let (mut sessions, mut memory) = (tokio::time::interval(REAP), tokio::time::interval(memory::LOOK));
    let mut returned = Returned::default();
    loop {
        tokio::select! {
            _ = sessions.tick() => {
                let now = clock.now();
                desk.reap(now);
                calls.forget_old(now.instant);
                calls.store().bus().forget(now.wall);
            }
            _ = memory.tick() => returned.look(calls.live(), calls.counters().started),
            _ = stop.changed() => break,
        }
    }
}
