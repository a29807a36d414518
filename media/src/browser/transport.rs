//! One browser's transport: bytes from the network in, plain RTP and RTCP out, and back.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::demux::{Kind, classify};
use super::dtls::{Dtls, DtlsEvent};
pub use super::dtls::{DtlsIdentity, IdentityError};
use super::ice::{Checked, IceLite};
pub use super::probe::ProbeStats;
use super::probe::Probes;
use super::srtp::{Refusal, Srtp};
use crate::api::{DropStats, Path, SetupFailure};
use crate::outbox::{Outbox, Remote};
use crate::sdp::browser::{IceCredentials, Offer};
use crate::srtp::Outbound;

/// Events nobody has asked for yet; far more than one datagram can cause.
const EVENTS_LIMIT: usize = 32;

/// ICE-lite agent, DTLS server and SRTP contexts of one browser.
#[repr(C)]
pub struct BrowserTransport {
    phase: Phase,
    /// It has sent something with its keys.
    peer_is_keyed: bool,
    events: VecDeque<TransportEvent>,
    ice: IceLite,
    srtp: Option<Srtp>,
    identity: Arc<DtlsIdentity>,
    dtls: Dtls,
    probes: Probes,
    candidates: usize,
    reported: Option<Remote>,
    drops: DropStats,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Until when the handshake has to be done.
    Setup(Instant),
    Connected,
    /// Failed or closed: nothing is answered any more.
    Over,
}

/// What a datagram turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Inbound<'a> {
    /// Handled inside, or dropped and counted.
    Consumed,
    /// A decrypted RTP packet.
    Rtp(&'a [u8]),
    /// A decrypted RTCP compound packet.
    Rtcp(&'a [u8]),
}

/// What the transport reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransportEvent {
    /// First authentic check.
    IceConnected {
        /// Where it came from.
        remote: SocketAddr,
        /// Over what.
        path: Path,
    },
    /// The address we send to changed after an authentic (nominating) check from a new address.
    Moved {
        /// The new address.
        remote: SocketAddr,
        /// Over what.
        path: Path,
    },
    /// SRTP keys are in place.
    DtlsConnected {
        /// The registered name of the SRTP profile.
        profile: &'static str,
    },
    /// Set-up is over without success.
    Failed(SetupFailure),
    /// The peer sent close_notify (or a fatal alert after the handshake).
    Closed,
}

impl BrowserTransport {
    /// A transport for the peer that made `offer`. It fails by itself `setup` after `now` unless DTLS is done.
    /// `seed` feeds every random choice that is ours; keys, cookies and nonces of DTLS come from the operating system.
    pub fn new(
        now: Instant,
        identity: &Arc<DtlsIdentity>,
        offer: &Offer,
        local: IceCredentials,
        setup: Duration,
        seed: u64,
    ) -> Self {
        Self {
            identity: Arc::clone(identity),
            dtls: Dtls::new(identity, &offer.fingerprints, &local.password),
            ice: IceLite::new(local, &offer.ice, &**identity.provider()),
            srtp: None,
            probes: Probes::new(seed),
            candidates: offer.candidates,
            phase: Phase::Setup(now + setup),
            peer_is_keyed: false,
            reported: None,
            events: VecDeque::new(),
            drops: DropStats::default(),
        }
    }

    /// Our current credentials.
    #[must_use]
    pub fn local_credentials(&self) -> &IceCredentials {
        self.ice.local()
    }

    /// The browser told so many more candidates: what a path that never comes up is explained with.
    pub fn add_candidates(&mut self, count: usize) {
        self.candidates = self.candidates.saturating_add(count);
    }

    /// Whether datagrams from this address belong here (an authentic check came from it).
    #[must_use]
    pub fn knows(&self, path: Path, address: SocketAddr) -> bool {
        self.ice.knows(Remote { path, address })
    }

    /// The connection from there has ended.
    pub fn forget_connection(&mut self, address: SocketAddr) {
        self.ice.forget(Remote { path: Path::Tcp, address });
        self.report_remote();
    }

    /// Takes a datagram addressed to this leg (by 5-tuple or by ufrag). Never an error: bad ones are counted.
    /// STUN answers and DTLS records go to `out`.
    pub fn handle_datagram<'a>(
        &'a mut self,
        now: Instant,
        path: Path,
        from: SocketAddr,
        datagram: &'a mut [u8],
        out: &mut Outbox,
    ) -> Inbound<'a> {
        if self.phase == Phase::Over {
            return Inbound::Consumed;
        }
        let from = Remote { path, address: from };
        match classify(datagram) {
            Kind::Stun => self.handle_stun(now, from, datagram, out),
            Kind::Unknown => self.drops.malformed = self.drops.malformed.saturating_add(1),
            Kind::Dtls | Kind::Rtp | Kind::Rtcp if !self.ice.knows(from) => {
                self.drops.wrong_source = self.drops.wrong_source.saturating_add(1);
            }
            Kind::Dtls => self.handle_dtls(now, from, datagram, out),
            Kind::Rtp => return self.handle_srtp(now, from, datagram, false),
            Kind::Rtcp => return self.handle_srtp(now, from, datagram, true),
        }
        Inbound::Consumed
    }

    /// Encrypts the plain RTP packet that `write` composes at a buffer's end, and sends it to the selected address; `false`
    /// while there are no keys.
    pub fn send_rtp(&mut self, out: &mut Outbox, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        self.send(out, write, Outbound::protect_rtp)
    }

    /// Encrypts and sends a compound RTCP packet; `false` while there are no keys.
    pub fn send_rtcp(&mut self, plain: &[u8], out: &mut Outbox) -> bool {
        self.send(out, |buffer| buffer.extend_from_slice(plain), Outbound::protect_rtcp)
    }

    /// Measures the round trip by a transaction of our own, every few seconds, once nothing else has told it for a
    /// while. Call about once a second; `wanted`: nothing else tells it now.
    pub fn probe(&mut self, now: Instant, wanted: bool, out: &mut Outbox) {
        let (Some(to), Phase::Connected) = (self.ice.selected(), self.phase) else { return };
        if self.probes.is_due(now, wanted) {
            let credentials = (self.ice.local(), self.ice.remote());
            self.probes.send(now, to, credentials, &**self.identity.provider(), out);
        }
    }

    /// The last round trip that [`Self::probe`] measured, while it is fresh.
    #[must_use]
    pub fn round_trip(&self, now: Instant) -> Option<Duration> {
        self.probes.round_trip(now)
    }

    /// How the probes fared.
    #[must_use]
    pub fn probe_stats(&self) -> ProbeStats {
        self.probes.stats()
    }

    /// New credentials on both sides (ICE restart). Keys, addresses and the selected pair stay until a check with the
    /// new credentials comes; checks with the old ones are still answered meanwhile.
    pub fn restart_ice(&mut self, _now: Instant, remote: IceCredentials, local: IceCredentials) {
        self.ice.restart(&remote, local, &**self.identity.provider());
    }

    /// Sends close_notify.
    pub fn close(&mut self, now: Instant, out: &mut Outbox) {
        if let (Some(to), Phase::Setup(_) | Phase::Connected) = (self.ice.selected(), self.phase) {
            self.dtls.close(now, to, out);
        }
        self.phase = Phase::Over;
    }

    /// Retransmits DTLS flights, gives up set-up.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) {
        if self.phase == Phase::Over {
            return;
        }
        if let Some(to) = self.ice.selected()
            && let Some(event) = self.dtls.handle_timeout(now, to, out)
        {
            self.take_dtls(event);
        }
        if let Phase::Setup(deadline) = self.phase
            && now >= deadline
        {
            self.fail(self.cause_of_delay());
        }
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<TransportEvent> {
        self.events.pop_front()
    }

    /// When to call [`Self::handle_timeout`], and why.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let setup = match self.phase {
            Phase::Setup(deadline) => Some((deadline, "browser set-up")),
            Phase::Connected => None,
            Phase::Over => return None,
        };
        setup.into_iter().chain(self.dtls.poll_timeout()).min_by_key(|(at, _)| *at)
    }

    /// Where we send now.
    #[must_use]
    pub fn remote(&self) -> Option<SocketAddr> {
        self.ice.selected().map(|remote| remote.address)
    }

    /// Over what we send now.
    #[must_use]
    pub fn path(&self) -> Option<Path> {
        self.ice.selected().map(|remote| remote.path)
    }

    /// Whether keys are in place.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.phase == Phase::Connected
    }

    /// When the last authentic check came.
    #[must_use]
    pub fn last_check(&self) -> Option<Instant> {
        self.ice.last_check()
    }

    /// Dropped so far, by reason.
    #[must_use]
    pub fn drops(&self) -> DropStats {
        DropStats { bad_dtls: self.dtls.bad(), ..self.drops }
    }

    fn handle_stun(&mut self, now: Instant, from: Remote, datagram: &[u8], out: &mut Outbox) {
        if self.probes.handle(now, from, datagram) {
            self.ice.heard(now, from);
            return;
        }
        match self.ice.handle(now, from, datagram, out) {
            Checked::Authentic => self.report_remote(),
            Checked::Refused | Checked::Ignored => {}
            Checked::Malformed => self.drops.malformed = self.drops.malformed.saturating_add(1),
            Checked::BadIntegrity => self.drops.bad_integrity = self.drops.bad_integrity.saturating_add(1),
        }
    }

    fn report_remote(&mut self) {
        let Some(selected) = self.ice.selected() else { return };
        let Remote { path, address: remote } = selected;
        match self.reported.replace(selected) {
            None => self.report(TransportEvent::IceConnected { remote, path }),
            Some(last) if last != selected => self.report(TransportEvent::Moved { remote, path }),
            Some(_) => {}
        }
    }

    fn handle_dtls(&mut self, now: Instant, from: Remote, datagram: &[u8], out: &mut Outbox) {
        let to = self.ice.selected().unwrap_or(from);
        if let Some(event) = self.dtls.handle(now, datagram, to, out) {
            self.ice.heard(now, from);
            self.take_dtls(event);
        }
    }

    fn take_dtls(&mut self, event: DtlsEvent) {
        match event {
            DtlsEvent::Keyed { profile, keying_material } => {
                match Srtp::new(profile, &keying_material, &**self.identity.provider()) {
                    Ok(srtp) => {
                        self.srtp = Some(srtp);
                        self.phase = Phase::Connected;
                        self.report(TransportEvent::DtlsConnected { profile: profile.name() });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a finished handshake gave no usable keys");
                        self.fail(SetupFailure::DtlsAlert(None));
                    }
                }
            }
            DtlsEvent::Failed(failure) => self.fail(failure),
            DtlsEvent::Closed => {
                self.phase = Phase::Over;
                self.report(TransportEvent::Closed);
            }
        }
    }

    fn handle_srtp(&mut self, now: Instant, from: Remote, datagram: &[u8], is_rtcp: bool) -> Inbound<'_> {
        let Some(srtp) = &mut self.srtp else {
            self.drops.undecryptable = self.drops.undecryptable.saturating_add(1);
            return Inbound::Consumed;
        };
        let plain = if is_rtcp {
            srtp.inbound.unprotect_rtcp(datagram).map(Inbound::Rtcp)
        } else {
            srtp.inbound.unprotect_rtp(datagram).map(Inbound::Rtp)
        };
        match plain {
            Ok(inbound) => {
                self.ice.heard(now, from);
                if !std::mem::replace(&mut self.peer_is_keyed, true) {
                    self.dtls.peer_is_keyed();
                }
                return inbound;
            }
            Err(Refusal::Undecryptable) => self.drops.undecryptable = self.drops.undecryptable.saturating_add(1),
            Err(Refusal::Replayed) => self.drops.replayed = self.drops.replayed.saturating_add(1),
        }
        Inbound::Consumed
    }

    fn send(
        &mut self,
        out: &mut Outbox,
        write: impl FnOnce(&mut Vec<u8>),
        protect: impl FnOnce(&mut Outbound, &mut Vec<u8>, usize) -> Option<()>,
    ) -> bool {
        let (Some(srtp), Some(to), Phase::Connected) = (&mut self.srtp, self.ice.selected(), self.phase) else {
            return false;
        };
        out.push_if(to.port(), to.address, |buffer, start| {
            write(buffer);
            protect(&mut srtp.outbound, buffer, start)
        });
        true
    }

    fn cause_of_delay(&self) -> SetupFailure {
        match (self.ice.selected(), self.dtls.last_alert()) {
            (None, _) => SetupFailure::Ice { candidates: self.candidates, checks: self.ice.requests() },
            (Some(_), Some(code)) => SetupFailure::DtlsAlert(Some(code)),
            (Some(_), None) => SetupFailure::DtlsTimeout,
        }
    }

    fn fail(&mut self, failure: SetupFailure) {
        self.phase = Phase::Over;
        self.report(TransportEvent::Failed(failure));
    }

    fn report(&mut self, event: TransportEvent) {
        // overflow: the oldest event goes; who never asks wants to know how things stand at most.
        if self.events.len() >= EVENTS_LIMIT {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }
}
