//! One browser's transport: bytes from the network in, plain RTP and RTCP out, and back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::api::{DropStats, Path, SetupFailure};
use crate::outbox::Outbox;
use crate::sdp::browser::{Fingerprint, IceCredentials, Offer};

/// The gateway's DTLS identity: one self-signed ECDSA P-256 certificate, made at start, shared by all legs.
pub struct DtlsIdentity {}

impl DtlsIdentity {
    /// Makes a certificate.
    pub fn generate() -> Result<Self, IdentityError> {
        todo!()
    }

    /// Its SHA-256.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        todo!()
    }
}

/// No certificate could be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make a DTLS certificate: {0}")]
pub struct IdentityError(pub String);

/// ICE-lite agent, DTLS server and SRTP contexts of one browser.
pub struct BrowserTransport {}

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
    IceConnected { remote: SocketAddr, path: Path },
    /// The address we send to changed after an authentic (nominating) check from a new address.
    Moved { remote: SocketAddr },
    /// SRTP keys are in place.
    DtlsConnected { profile: &'static str },
    /// Set-up is over without success.
    Failed(SetupFailure),
    /// The peer sent close_notify (or a fatal alert after the handshake).
    Closed,
}

impl BrowserTransport {
    /// A transport for the peer that made `offer`. It fails by itself `setup` after `now` unless DTLS is done.
    /// `seed` feeds every random choice that is ours.
    pub fn new(
        now: Instant,
        identity: &Arc<DtlsIdentity>,
        offer: &Offer,
        local: IceCredentials,
        setup: Duration,
        seed: u64,
    ) -> Self {
        todo!()
    }

    /// Our current credentials.
    #[must_use]
    pub fn local_credentials(&self) -> &IceCredentials {
        todo!()
    }

    /// Whether datagrams from this address belong here (an authentic check came from it).
    #[must_use]
    pub fn knows(&self, from: SocketAddr) -> bool {
        todo!()
    }

    /// Takes a datagram addressed to this leg (by 5-tuple or by ufrag). Never an error: bad ones are counted.
    /// STUN answers and DTLS records go to `out` on [`crate::outbox::Port::Browser`].
    pub fn handle_datagram<'a>(
        &'a mut self,
        now: Instant,
        path: Path,
        from: SocketAddr,
        datagram: &'a mut [u8],
        out: &mut Outbox,
    ) -> Inbound<'a> {
        todo!()
    }

    /// Encrypts a plain RTP packet and sends it to the selected address; `false` while there are no keys.
    pub fn send_rtp(&mut self, plain: &[u8], out: &mut Outbox) -> bool {
        todo!()
    }

    /// Encrypts and sends a compound RTCP packet; `false` while there are no keys.
    pub fn send_rtcp(&mut self, plain: &[u8], out: &mut Outbox) -> bool {
        todo!()
    }

    /// New credentials on both sides (ICE restart). Keys, addresses and the selected pair stay until a check with the
    /// new credentials comes; checks with the old ones are still answered meanwhile.
    pub fn restart_ice(&mut self, now: Instant, remote: IceCredentials, local: IceCredentials) {
        todo!()
    }

    /// Sends close_notify.
    pub fn close(&mut self, now: Instant, out: &mut Outbox) {
        todo!()
    }

    /// Retransmits DTLS flights, gives up set-up.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) {
        todo!()
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<TransportEvent> {
        todo!()
    }

    /// When to call [`Self::handle_timeout`], and why.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        todo!()
    }

    /// Where we send now.
    #[must_use]
    pub fn remote(&self) -> Option<SocketAddr> {
        todo!()
    }

    /// Whether keys are in place.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        todo!()
    }

    /// When the last authentic check came.
    #[must_use]
    pub fn last_check(&self) -> Option<Instant> {
        todo!()
    }

    /// Dropped so far, by reason.
    #[must_use]
    pub fn drops(&self) -> DropStats {
        todo!()
    }
}
