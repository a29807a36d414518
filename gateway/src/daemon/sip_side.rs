//! The SIP side as the calls see it: orders go to the task that owns the endpoint and its socket.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use trunkline_config::Config;
use trunkline_signaling::admission::Admission;
use trunkline_signaling::auth::Credentials;
use trunkline_signaling::endpoint::{
    Ask, Endpoint, EndpointConfig, EndpointStats, Event, Failure, InfoForm, LegId, LegSnapshot, Ping,
    Reason as ReasonHeader, Refer, Timers, TransferOrder, Transport,
};
use trunkline_signaling::message::{Request, Response, Uri};
use trunkline_signaling::targets::Target;
use trunkline_signaling::transport::reach::{Reached, reach};
use trunkline_signaling::transport::tls::Tls;
use trunkline_signaling::transport::udp::{self, Handle};
use trunkline_signaling::transport::{Bound, ConnectionStats, Limits, Sockets};

use super::{StartError, sip_tls};
use crate::call::{InviteOrder, NotSent};
use crate::calls::{Placed, SipPort};
use crate::ids::random_bits;
use crate::settings::Settings;
use crate::sip;
use crate::trunks::{Carrier, Prober};

/// RFC 3261 table 4.
const TIMERS: Timers =
    Timers { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) };
/// SIP transactions and legs at once.
const TRANSACTIONS: usize = 20_000;
/// How long an INVITE or ACK waits for the disk.
const JOURNAL: Duration = Duration::from_millis(100);
/// How long the last BYEs may wait for their answers, and how often that is looked at.
const LAST_WORDS: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(10);

/// The way to the task. It ends when the handle is taken away: the calls themselves hold this, and its events hold the
/// calls.
pub(super) struct SipSide {
    handle: Mutex<Option<Handle>>,
    bound: Vec<SocketAddr>,
    keys: Tls,
    /// Who waits for the answer to an OPTIONS; no more than the endpoint has transactions for.
    pings: Arc<Mutex<HashMap<LegId, oneshot::Sender<Pinged>>>>,
    /// Who waits for the answer to another request of no call; no more than the endpoint has transactions for.
    asks: Arc<Mutex<HashMap<LegId, oneshot::Sender<Replied>>>>,
}

type Pinged = Result<(u16, Duration), Failure>;
type Replied = Result<Box<Response>, Failure>;

impl SipSide {
    /// Binds the sockets and starts the task; also where they are bound.
    pub(super) fn start(config: &Config) -> Result<(Arc<Self>, mpsc::Receiver<Event>, Bound), StartError> {
        let endpoint = EndpointConfig {
            advertised: config.sip.contact(),
            domain: config.sip.from_host(),
            user_agent: concat!("Trunkline/", env!("CARGO_PKG_VERSION")).to_owned(),
            accepts_calls: false,
            timers: TIMERS,
            max_transactions: TRANSACTIONS,
            trace: true,
            snapshots: Some(JOURNAL),
        };
        let sip = &config.sip;
        let keys = Tls::new(sip_tls::keys(config).map_err(StartError::SipAuthorities)?);
        let sockets = Sockets {
            udp: sip.udp().collect(),
            tcp: sip.tcp_listen.clone(),
            tls: sip.tls_listen.clone(),
            advertise: sip.advertise.clone(),
            keys: keys.clone(),
            limits: Limits { total: sip.max_connections, per_source: sip.max_connections_per_address },
        };
        let (handle, events, bound) = udp::listen(endpoint, sockets, random_bits())?;
        let (handle, pings, asks) = (Mutex::new(Some(handle)), Arc::default(), Arc::default());
        let side = Self { handle, bound: bound.udp.clone(), keys, pings, asks };
        Ok((Arc::new(side), events, bound))
    }

    /// Certificates and authorities of later configurations are in force for connections from then on.
    pub(super) fn follow(&self, settings: &Settings) {
        tokio::spawn(sip_tls::follow(settings.watch(), self.keys.clone()));
    }

    /// What happened to connections; nothing once it has stopped.
    pub(super) fn connections(&self) -> ConnectionStats {
        self.handle().map(|handle| handle.connections()).unwrap_or_default()
    }

    /// What the endpoint counted; nothing once it has stopped.
    pub(super) async fn stats(&self) -> EndpointStats {
        match self.handle() {
            Some(handle) => handle.call(|endpoint, _| endpoint.stats()).await.unwrap_or_default(),
            None => EndpointStats::default(),
        }
    }

    /// Who may begin something with us from now on.
    pub(super) async fn guard(&self, admission: Admission) {
        if let Some(handle) = self.handle() {
            // A SIP side that is gone admits nobody.
            let _ = handle.call(move |endpoint, _| endpoint.guard(admission)).await;
        }
    }

    /// Waits a little for the answers to the last BYEs, then lets the task end.
    pub(super) async fn stop(&self) {
        let silent = async {
            while self.stats().await.legs > 0 {
                tokio::time::sleep(LOOK).await;
            }
        };
        let _ = tokio::time::timeout(LAST_WORDS, silent).await;
        self.handle.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Has something done whose failure is of no consequence: the leg is gone then, and says so by itself.
    fn post<R>(&self, operation: impl FnOnce(&mut Endpoint, Instant) -> R + Send + 'static) {
        if let Some(handle) = self.handle() {
            handle.post(move |endpoint, now| drop(operation(endpoint, now)));
        }
    }

    fn handle(&self) -> Option<Handle> {
        self.handle.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl SipPort for SipSide {
    fn invite(&self, order: InviteOrder) -> BoxFuture<'static, Result<Placed, NotSent>> {
        let handle = self.handle();
        Box::pin(async move {
            let invite = sip::invite(order)?;
            let handle = handle.ok_or(NotSent::Gone)?;
            let placed = handle.call(move |endpoint, now| {
                let leg = endpoint.invite(now, invite).map_err(|_| NotSent::Full)?;
                let call_id = endpoint.call_id(leg).map(|id| String::from_utf8_lossy(&id).into_owned());
                Ok(Placed { leg, call_id })
            });
            placed.await.map_err(|_| NotSent::Gone)?
        })
    }

    fn hangup(&self, leg: LegId, reason: ReasonHeader) {
        self.post(move |endpoint, now| endpoint.hangup(now, leg, Some(reason)));
    }

    fn offer(&self, leg: LegId, sdp: Bytes) -> BoxFuture<'static, bool> {
        let handle = self.handle();
        Box::pin(async move {
            let Some(handle) = handle else { return false };
            let offered = handle.call(move |endpoint, now| endpoint.reinvite(now, leg, sdp)).await;
            offered.is_ok_and(|offered| offered.is_ok())
        })
    }

    fn transfer(&self, leg: LegId, order: TransferOrder) -> BoxFuture<'static, bool> {
        let handle = self.handle();
        Box::pin(async move {
            let Some(handle) = handle else { return false };
            handle.call(move |endpoint, now| endpoint.transfer(now, leg, order)).await.is_ok_and(|done| done.is_ok())
        })
    }

    fn replaceable(&self, leg: LegId) -> BoxFuture<'static, Option<Refer>> {
        let handle = self.handle();
        Box::pin(async move { handle?.call(move |endpoint, _| endpoint.replaceable(leg)).await.ok().flatten() })
    }

    fn answer_offer(&self, leg: LegId, answer: Result<Bytes, u16>) {
        self.post(move |endpoint, now| endpoint.answer_offer(now, leg, answer));
    }

    fn ring(&self, leg: LegId) {
        self.post(move |endpoint, now| endpoint.ring(now, leg, 180, None));
    }

    fn accept(&self, leg: LegId, sdp: Bytes) {
        self.post(move |endpoint, now| endpoint.accept(now, leg, sdp));
    }

    fn refuse(&self, leg: LegId, status: u16, reason: Option<ReasonHeader>) {
        let fields = sip::refusal(status, reason);
        self.post(move |endpoint, now| endpoint.reject_with(now, leg, status, &fields));
    }

    fn send_digits(&self, leg: LegId, digits: Vec<(char, Duration)>) {
        self.post(move |endpoint, now| endpoint.send_digits(now, leg, InfoForm::Relay, &digits));
    }

    fn snapshot_kept(&self, leg: LegId, serial: u64) -> BoxFuture<'static, ()> {
        let handle = self.handle();
        Box::pin(async move {
            if let Some(handle) = handle {
                // A SIP side that is gone sends nothing any more.
                let _ = handle.call(move |endpoint, _| endpoint.snapshot_kept(leg, serial)).await;
            }
        })
    }

    fn end_lost_leg(
        &self,
        leg: LegSnapshot,
        credentials: Option<Credentials>,
        reason: ReasonHeader,
    ) -> BoxFuture<'static, bool> {
        let handle = self.handle();
        Box::pin(async move {
            let Some(handle) = handle else { return false };
            let ended = handle.call(move |endpoint, now| endpoint.end_lost_leg(now, leg, credentials, reason));
            matches!(ended.await, Ok(Ok(_)))
        })
    }

    fn pinged(&self, leg: LegId, result: Pinged) {
        let waiting = self.pings.lock().unwrap_or_else(PoisonError::into_inner).remove(&leg);
        // Who asked may have given up waiting.
        let _ = waiting.map(|waiting| waiting.send(result));
    }

    fn replied(&self, leg: LegId, result: Replied) {
        let waiting = self.asks.lock().unwrap_or_else(PoisonError::into_inner).remove(&leg);
        // Who asked may be gone.
        let _ = waiting.map(|waiting| waiting.send(result));
    }
}

impl Carrier for SipSide {
    fn ask(&self, target: Target, request: Request) -> BoxFuture<'static, Replied> {
        let (handle, asks) = (self.handle(), Arc::clone(&self.asks));
        Box::pin(async move {
            let (sender, answer) = oneshot::channel();
            let ask = Ask { target: target.address, over: target.over, request };
            let handle = handle.ok_or(Failure::Transport)?;
            let asked = handle.call(move |endpoint, now| {
                let leg = endpoint.ask(now, ask).ok()?;
                // Before the endpoint can tell of it.
                asks.lock().unwrap_or_else(PoisonError::into_inner).insert(leg, sender);
                Some(leg)
            });
            asked.await.ok().flatten().ok_or(Failure::Transport)?;
            answer.await.unwrap_or(Err(Failure::Transport))
        })
    }

    fn reached_at(&self, over: Transport, peer: SocketAddr) -> BoxFuture<'static, Option<SocketAddr>> {
        let handle = self.handle();
        Box::pin(async move { handle?.call(move |endpoint, _| endpoint.reached_at(&over, peer)).await.ok() })
    }
}

impl Prober for SipSide {
    fn ping(&self, to: SocketAddr, over: Transport, host: String) -> BoxFuture<'static, Pinged> {
        let (handle, pings) = (self.handle(), Arc::clone(&self.pings));
        Box::pin(async move {
            let host = if host.contains(':') { format!("[{host}]") } else { host };
            let uri = Uri::parse(&Bytes::from(format!("sip:{host}:{}", to.port()))).map_err(|_| Failure::Transport)?;
            let (sender, answer) = oneshot::channel();
            let ping = Ping { target: to, over, uri };
            let handle = handle.ok_or(Failure::Transport)?;
            let asked = handle.call(move |endpoint, now| {
                let leg = endpoint.ping(now, ping).ok()?;
                // Before the endpoint can tell of it.
                pings.lock().unwrap_or_else(PoisonError::into_inner).insert(leg, sender);
                Some(leg)
            });
            asked.await.ok().flatten().ok_or(Failure::Transport)?;
            answer.await.unwrap_or(Err(Failure::Transport))
        })
    }

    fn reach(&self, to: SocketAddr, over: Transport) -> BoxFuture<'static, Option<Reached>> {
        let (own, keys) = (self.bound.clone(), self.keys.clone());
        Box::pin(async move { reach(&own, to, &over, &keys).await })
    }
}

#[cfg(test)]
#[path = "sip_side_tests.rs"]
mod tests;
