//! Calls that are handed over: REFER both ways with the word of what came of it (RFC 3515, RFC 4488), and INVITEs that
//! take the place of a dialog (RFC 3891).
//!
//! ```text
//! asking     our REFER, the peer's NOTIFYs
//! asked      the peer's REFER, our NOTIFYs
//! replacing  an INVITE with Replaces for one of our dialogs
//! ```
//! One REFER a direction and leg at a time; what is said about each has an end.

mod asked;
mod asking;
mod replacing;

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::leg::Stage;
use super::{Endpoint, LegId, NoSuchLeg, Reason};
use crate::message::{HeaderName, Replaces, Uri};

use self::asked::Served;
pub(super) use self::asked::{flush, withdraw};
use self::asking::Sent;
pub(super) use self::replacing::names_a_dialog;

/// How long a REFER may be under way between two words about it, and how long one of the peer's may be at all.
const LIFETIME: Duration = Duration::from_secs(180);
/// The body of a NOTIFY about a REFER.
const SIPFRAG: &str = "message/sipfrag";

/// Where the REFERs of a leg stand.
#[derive(Debug, Default)]
pub(super) struct Refers {
    pub(super) sent: Option<Sent>,
    pub(super) served: Option<Served>,
    /// REFERs of the peer so far: each further one goes by its number (RFC 3515 section 2.4.6).
    pub(super) count: u32,
}

/// Whom the peer shall call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refer {
    /// Refer-To.
    pub to: Uri,
    /// The dialog at that end whose place the new call takes.
    pub replaces: Option<Replaces>,
}

/// What is asked of an endpoint about a call that is handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransferOrder {
    /// Send REFER in the leg's dialog; [`Transfer`] tells what comes of it.
    Refer(Box<Refer>),
    /// The answer to [`Transfer::Asked`]: taken on, or a status.
    Answer(Result<(), u16>),
    /// How far what was asked for has come: the status of the call made for it. From 200 on it is the last word.
    Report(u16),
    /// It was done: says so, and hangs the leg up.
    Finish(Reason),
    /// Answers the leg that [`Transfer::Replaced`] named.
    Accept(Bytes),
    /// Refuses it; the leg it would have replaced stays as it is.
    Reject(u16),
}

/// What happens on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transfer {
    /// The peer takes our REFER on.
    Accepted {
        /// It will tell how it goes on.
        watched: bool,
    },
    /// The status of the call the peer makes for it; from 200 on it is the last word.
    Progress(u16),
    /// The peer does not do it: its status, or `None` if it does not even say so.
    Refused(Option<u16>),
    /// The peer took it on and says no more about it.
    Untold,
    /// The peer asks us to call somebody in its place. Answer it, then report.
    Asked(Box<Asked>),
    /// Somebody the peer vouches for calls in the place of this leg: accept the new leg, or reject it. Hanging up this
    /// leg is up to the caller of the endpoint.
    Replaced {
        /// The new leg.
        by: LegId,
        /// Its Call-ID.
        call_id: Bytes,
        /// Its offer; `None` asks us to make one.
        sdp: Option<Bytes>,
    },
}

/// A REFER of the peer's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Whom to call, without URI headers.
    pub to: Uri,
    /// The dialog at that end whose place the call takes.
    pub replaces: Option<Replaces>,
    /// Referred-By (RFC 3892), to be passed on.
    pub referred_by: Option<Bytes>,
}

impl Endpoint {
    /// Does what a transfer needs of a leg. Fails if the leg is gone or in another state, or if a REFER of ours is under
    /// way.
    pub fn transfer(&mut self, now: Instant, leg: LegId, order: TransferOrder) -> Result<(), NoSuchLeg> {
        match order {
            TransferOrder::Refer(refer) => self.send_refer(now, leg, *refer),
            TransferOrder::Answer(answer) => self.answer_refer(now, leg, answer),
            TransferOrder::Report(status) => self.report(now, leg, status),
            TransferOrder::Finish(reason) => {
                // A peer that has stopped listening is hung up on all the same.
                let _ = self.report(now, leg, 200);
                self.hangup(now, leg, Some(reason))
            }
            TransferOrder::Accept(sdp) => self.accept(now, leg, sdp),
            TransferOrder::Reject(status) => self.reject(now, leg, status),
        }
    }

    /// How the peer of an answered leg is called, and how it knows this dialog: what somebody needs to take our place
    /// in it.
    #[must_use]
    pub fn replaceable(&self, leg: LegId) -> Option<Refer> {
        let Stage::Up(up) = &self.legs.get(&leg)?.stage else { return None };
        let id = up.dialog.id();
        let replaces = Replaces {
            call_id: id.call_id.clone(),
            to_tag: up.dialog.remote_tag()?.clone(),
            from_tag: id.local_tag.clone(),
            early_only: false,
        };
        Some(Refer { to: up.dialog.remote_target().clone(), replaces: Some(replaces) })
    }
}

fn referred_by() -> HeaderName {
    HeaderName::other("Referred-By")
}

fn refer_sub() -> HeaderName {
    HeaderName::other("Refer-Sub")
}

fn subscription_state() -> HeaderName {
    HeaderName::other("Subscription-State")
}
