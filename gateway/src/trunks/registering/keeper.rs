//! Keeps one registration: carries what it wants sent, and tells how it stands.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::watch;
use trunkline_signaling::endpoint::{Failure as NoAnswer, Transport};
use trunkline_signaling::message::{Host, Request, Response, SipUri};
use trunkline_signaling::registration::{Failure, Order, Registration, State};
use trunkline_signaling::targets::{Protocol, Target, Wanted};

use super::{Plan, Standing};
use crate::ids::random_bits;
use crate::routing::wanted;
use crate::trunks::Trunks;

/// Addresses of a registrar that one request is tried at (RFC 3263 section 4.3).
const MAX_TARGETS: usize = 3;
/// Until a registrar's name is looked up again before anything could be sent.
const LOOK_UP_AGAIN: Duration = Duration::from_secs(5);

/// Carries requests that belong to no call.
pub trait Carrier: Send + Sync + 'static {
    /// Sends a request: its final answer.
    fn ask(&self, target: Target, request: Request) -> BoxFuture<'static, Result<Box<Response>, NoAnswer>>;
    /// Where a peer there reaches us over this transport.
    fn reached_at(&self, over: Transport, peer: SocketAddr) -> BoxFuture<'static, Option<SocketAddr>>;
}

pub(super) struct Keeper {
    pub(super) trunks: Trunks,
    pub(super) carrier: Arc<dyn Carrier>,
    pub(super) plan: Plan,
    pub(super) stop: watch::Receiver<bool>,
    /// Times the name of the first hop had no address before anything could be sent.
    pub(super) unresolved: u64,
}

impl Keeper {
    /// Keeps it until told to stop, then removes it.
    pub(super) async fn keep(mut self) {
        let Some(mut registration) = self.begin().await else { return };
        self.tell(&registration);
        loop {
            if let Some(order) = registration.poll_order() {
                match self.answer_to(order, &mut registration).await {
                    Ok(response) => registration.handle_response(self.now(), &response),
                    Err(failure) => registration.handle_failure(self.now(), failure),
                }
                self.tell(&registration);
                continue;
            }
            let Some((due, _)) = registration.poll_timeout() else { return };
            tokio::select! {
                () = tokio::time::sleep_until(due.into()) => registration.handle_timeout(self.now()),
                () = wait_for(self.stop.clone()) => registration.unregister(),
            }
            self.tell(&registration);
        }
    }

    /// Our own contact depends on over what and where to the first hop is reached: nothing begins before that is known.
    async fn begin(&mut self) -> Option<Registration> {
        loop {
            let found = self.trunks.finder().targets(wanted(self.plan.first_hop())).await;
            let first = found.ok().and_then(|all| all.into_iter().next());
            if let Some(target) = first {
                let own = self.carrier.reached_at(target.over.clone(), target.address).await?;
                let contact = own_contact(self.plan.user().as_deref(), own, &target.over);
                let settings = self.plan.settings(contact)?;
                return Some(Registration::new(self.now(), settings, random_bits()));
            }
            let failure = (self.trunks.clock().now().wall, Failure::Dns.word());
            self.unresolved += 1;
            self.put(Standing {
                registrar: self.plan.registrar_text(),
                state: State::Failed,
                expires_at: None,
                last_failure: Some(failure),
                contacts: Vec::new(),
                service_route: Vec::new(),
                path: Vec::new(),
                observed: None,
                succeeded: 0,
                failed: self.unresolved,
            });
            tokio::select! {
                () = tokio::time::sleep(LOOK_UP_AGAIN) => {}
                () = wait_for(self.stop.clone()) => return None,
            }
        }
    }

    /// Carries a request; being told to stop meanwhile is passed on.
    async fn answer_to(&self, order: Order, registration: &mut Registration) -> Result<Box<Response>, Failure> {
        let mut answer = std::pin::pin!(self.carry(order));
        tokio::select! {
            answer = &mut answer => answer,
            () = wait_for(self.stop.clone()) => {
                registration.unregister();
                answer.await
            }
        }
    }

    /// Sends a request to the addresses of its next hop, until one of them answers.
    async fn carry(&self, order: Order) -> Result<Box<Response>, Failure> {
        let targets = self.trunks.finder().targets(wanted_of(&order.hop)).await.map_err(|_| Failure::Dns)?;
        let mut failure = Failure::Dns;
        for target in targets.into_iter().take(MAX_TARGETS) {
            failure = match self.carrier.ask(target, order.request.clone()).await {
                Ok(response) => return Ok(response),
                Err(NoAnswer::Tls(_)) => Failure::Tls,
                Err(NoAnswer::Transport) => Failure::Unreachable,
                Err(_) => Failure::NoAnswer,
            };
        }
        Err(failure)
    }

    fn tell(&self, registration: &Registration) {
        let now = self.trunks.clock().now();
        let before = self.trunks.registrations().standing(&self.plan);
        let failed = self.unresolved + registration.stats().failed;
        let failure = registration.failure().map(Failure::word);
        // The time of a failure is that of the moment it was counted.
        let last_failure = match (&before, failure) {
            (Some(before), Some(word)) if before.failed == failed => {
                before.last_failure.clone().or(Some((now.wall, word)))
            }
            (_, Some(word)) => Some((now.wall, word)),
            (before, None) => before.as_ref().and_then(|before| before.last_failure.clone()),
        };
        let texts = |values: &[Bytes]| values.iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect();
        self.put(Standing {
            registrar: self.plan.registrar_text(),
            state: registration.state(),
            expires_at: registration.bound_until().map(|until| now.wall_at(until)),
            last_failure,
            contacts: registration.contacts().iter().map(ToString::to_string).collect(),
            service_route: texts(registration.service_route()),
            path: texts(registration.path()),
            observed: registration.observed().map(|seen| seen.to_string()),
            succeeded: registration.stats().granted,
            failed,
        });
    }

    fn put(&self, standing: Standing) {
        self.trunks.note_registration(&self.plan, standing);
    }

    fn now(&self) -> Instant {
        self.trunks.clock().now().instant
    }
}

/// Until it turns true; whoever could turn it is gone: the same.
async fn wait_for(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

fn own_contact(user: Option<&str>, address: SocketAddr, over: &Transport) -> SipUri {
    let mut contact = SipUri::at(user, address);
    match over {
        Transport::Udp => {}
        Transport::Tcp | Transport::Tls(_) => {
            let name = over.token().to_ascii_lowercase();
            contact.parameters.push((Bytes::from_static(b"transport"), Some(name.into())));
        }
    }
    contact
}

/// What a URI says of where its requests go.
pub(super) fn wanted_of(uri: &SipUri) -> Wanted {
    let host = match &uri.host {
        Host::Ip(ip) => ip.to_string(),
        Host::Name(name) => name.clone(),
    };
    let transport = uri.parameter("transport").flatten().and_then(|name| match name.to_ascii_lowercase().as_slice() {
        b"udp" => Some(Protocol::Udp),
        b"tcp" => Some(Protocol::Tcp),
        b"tls" => Some(Protocol::Tls),
        _ => None,
    });
    Wanted { host: host.into(), port: uri.port, transport, secure: uri.secure }
}
