//! What the calls of this node need from the two protocol sides, so that tests can stand in for either.

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use trunkline_media::api::{CallKey, Command, OpenCall, OpenError, Opened, Restarted};
use trunkline_media::sdp::browser::IceCredentials;
use trunkline_media::worker::{LeaseError, Plane};
use trunkline_signaling::auth::Credentials;
use trunkline_signaling::endpoint::{Failure, LegId, LegSnapshot, Reason as ReasonHeader, Refer, TransferOrder};
use trunkline_signaling::message::Response;

use crate::call::{InviteOrder, NotSent};

/// The media plane.
pub trait MediaPort: Send + Sync + 'static {
    /// See [`Plane::open`].
    fn open(&self, open: OpenCall) -> BoxFuture<'static, Result<Opened, OpenError>>;
    /// See [`Plane::reattach`].
    fn reattach(&self, open: OpenCall) -> BoxFuture<'static, Result<Opened, OpenError>>;
    /// See [`Plane::restart_ice`].
    fn restart_ice(&self, key: CallKey, remote: IceCredentials) -> BoxFuture<'static, Result<Restarted, OpenError>>;
    /// See [`Plane::lease_trunk`].
    fn lease_trunk(&self, key: CallKey) -> BoxFuture<'static, Result<std::net::SocketAddr, LeaseError>>;
    /// See [`Plane::lease_spare`].
    fn lease_spare(&self, key: CallKey) -> BoxFuture<'static, Result<std::net::SocketAddr, LeaseError>>;
    /// See [`Plane::command`].
    fn command(&self, key: CallKey, command: Command) -> bool;
}

/// An INVITE that is on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Its leg.
    pub leg: LegId,
    /// Its Call-ID, for records.
    pub call_id: Option<String>,
}

/// The SIP side.
pub trait SipPort: Send + Sync + 'static {
    /// Sends an INVITE; what becomes of it is told by events of the leg.
    fn invite(&self, order: InviteOrder) -> BoxFuture<'static, Result<Placed, NotSent>>;
    /// CANCEL or BYE. A leg that is gone is no error.
    fn hangup(&self, leg: LegId, reason: ReasonHeader);
    /// Answers the trunk's offer. A leg that is gone is no error.
    fn answer_offer(&self, leg: LegId, answer: Result<Bytes, u16>);
    /// Offers the trunk another description; what it says to that is an event of the leg. `false`: an offer of ours is
    /// under way, or the leg is gone.
    fn offer(&self, leg: LegId, sdp: Bytes) -> BoxFuture<'static, bool>;
    /// Sends digits by INFO, in order. A leg that is gone is no error.
    fn send_digits(&self, _leg: LegId, _digits: Vec<(char, Duration)>) {}
    /// Does what a transfer needs of a leg; what comes of it is told by events of the leg. `false`: the leg is gone, or in
    /// another state.
    fn transfer(&self, leg: LegId, order: TransferOrder) -> BoxFuture<'static, bool>;
    /// What it takes to take our place in the dialog of an answered leg; `None`: there is no such leg.
    fn replaceable(&self, leg: LegId) -> BoxFuture<'static, Option<Refer>>;
    /// A leg's snapshot is written down: what is sent of the leg need not wait any longer.
    fn snapshot_kept(&self, leg: LegId, serial: u64) -> BoxFuture<'static, ()>;
    /// Ends a leg of a process that is no more; `false`: there is no room.
    fn end_lost_leg(
        &self,
        leg: LegSnapshot,
        credentials: Option<Credentials>,
        reason: ReasonHeader,
    ) -> BoxFuture<'static, bool>;
    /// Tells a trunk that its INVITE rings. A leg that is gone is no error, here and below.
    fn ring(&self, leg: LegId);
    /// Answers a trunk's INVITE with 200.
    fn accept(&self, leg: LegId, sdp: Bytes);
    /// Refuses a trunk's INVITE.
    fn refuse(&self, leg: LegId, status: u16, reason: Option<ReasonHeader>);
    /// What came of an OPTIONS that no call sent.
    fn pinged(&self, _leg: LegId, _result: Result<(u16, Duration), Failure>) {}
    /// What came of another request that no call sent.
    fn replied(&self, _leg: LegId, _result: Result<Box<Response>, Failure>) {}
}

impl MediaPort for Plane {
    fn open(&self, open: OpenCall) -> BoxFuture<'static, Result<Opened, OpenError>> {
        let plane = self.clone();
        Box::pin(async move { plane.open(open).await })
    }

    fn reattach(&self, open: OpenCall) -> BoxFuture<'static, Result<Opened, OpenError>> {
        let plane = self.clone();
        Box::pin(async move { plane.reattach(open).await })
    }

    fn restart_ice(&self, key: CallKey, remote: IceCredentials) -> BoxFuture<'static, Result<Restarted, OpenError>> {
        let plane = self.clone();
        Box::pin(async move { plane.restart_ice(key, remote).await })
    }

    fn lease_trunk(&self, key: CallKey) -> BoxFuture<'static, Result<std::net::SocketAddr, LeaseError>> {
        let plane = self.clone();
        Box::pin(async move { plane.lease_trunk(key).await })
    }

    fn lease_spare(&self, key: CallKey) -> BoxFuture<'static, Result<std::net::SocketAddr, LeaseError>> {
        let plane = self.clone();
        Box::pin(async move { plane.lease_spare(key).await })
    }

    fn command(&self, key: CallKey, command: Command) -> bool {
        Plane::command(self, key, command)
    }
}
