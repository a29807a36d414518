//! One call's media as a value: two legs and the bridge between them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::api::{CallStats, Command, MediaEvent, OpenCall, OpenError, Opened, Path, Restarted};
use crate::browser::transport::DtlsIdentity;
use crate::outbox::Outbox;
use crate::sdp::browser::IceCredentials;

/// One call's media. After any `handle_*`: drain [`Self::poll_event`], send the outbox, read [`Self::poll_timeout`].
pub struct Call {}

/// What a call needs from the place it lives in.
#[derive(Clone)]
pub struct Surroundings {
    /// The gateway's certificate.
    pub identity: Arc<DtlsIdentity>,
    /// `a=candidate` values of the worker's public port(s).
    pub candidates: Arc<[String]>,
    /// Wall time (since the Unix epoch) that belongs to `wall_at`.
    pub wall: Duration,
    /// See `wall`.
    pub wall_at: Instant,
}

impl Call {
    /// Takes the browser's offer; the answer is ready to be sent once the call is registered with its worker.
    pub fn open(now: Instant, open: &OpenCall, surroundings: &Surroundings) -> Result<(Self, Opened), OpenError> {
        todo!()
    }

    /// A new peer connection for the same call (page reload, other network): the old browser leg is dropped, the trunk
    /// leg stays.
    pub fn reattach(&mut self, now: Instant, open: &OpenCall, out: &mut Outbox) -> Result<Opened, OpenError> {
        todo!()
    }

    /// ICE restart: new credentials on both sides.
    pub fn restart_ice(&mut self, now: Instant, remote: IceCredentials) -> Restarted {
        todo!()
    }

    /// A port pair was leased: the trunk leg exists (silent until [`Command::ConnectTrunk`]). Replaces an older leg.
    pub fn attach_trunk(&mut self, now: Instant, local: SocketAddr) {
        todo!()
    }

    /// The control plane asks for something.
    pub fn handle_command(&mut self, now: Instant, command: Command, out: &mut Outbox) {
        todo!()
    }

    /// Local ufrags by which a worker finds this call (two during an ICE restart).
    pub fn ufrags(&self) -> impl Iterator<Item = &str> {
        std::iter::from_fn(|| todo!())
    }

    /// A datagram on the public port that belongs to this call by 5-tuple or ufrag. `true` if `from` is now proven, so
    /// that the worker may learn the 5-tuple.
    pub fn handle_browser(
        &mut self,
        now: Instant,
        path: Path,
        from: SocketAddr,
        datagram: &mut [u8],
        out: &mut Outbox,
    ) -> bool {
        todo!()
    }

    /// A datagram on the trunk leg's RTP port.
    pub fn handle_trunk_rtp(&mut self, now: Instant, from: SocketAddr, datagram: &[u8], out: &mut Outbox) {
        todo!()
    }

    /// A datagram on the trunk leg's RTCP port.
    pub fn handle_trunk_rtcp(&mut self, now: Instant, from: SocketAddr, datagram: &[u8], out: &mut Outbox) {
        todo!()
    }

    /// A deadline passed: playout, RTCP, DTMF, DTLS, limits.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) {
        todo!()
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<MediaEvent> {
        todo!()
    }

    /// The next deadline and why.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        todo!()
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self, now: Instant) -> CallStats {
        todo!()
    }
}
