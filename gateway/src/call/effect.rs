//! What a call wants done: data, carried out in order by its driver.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value};
use trunkline_media::api::Command;
use trunkline_signaling::endpoint::{LegId, Reason as ReasonHeader, TransferOrder};
use trunkline_signaling::targets::{Sign, Target, Wanted};

use super::actions::Sound;
use super::headers::Fields;
use super::input::AttemptId;
use crate::hook::Question;
use crate::ids::SessionId;
use crate::outcome::Outcome;
use crate::routing::Route;

/// What a call wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Tell the media plane.
    Media(Command),
    /// Count the call on the trunk and lease a port pair; comes back as `Input::TrunkLeased`.
    LeaseTrunk {
        /// For whom.
        attempt: AttemptId,
        /// Whose limits count.
        trunk: String,
        /// There is no other: one that is down is tried all the same, and one that is asked too often is waited for.
        last: bool,
    },
    /// The same for a leg that may take the trunk's place, beside it.
    LeaseSpare {
        /// For whom.
        attempt: AttemptId,
        /// Whose limits count.
        trunk: String,
        /// As above; `None` if the leg has called by itself.
        last: Option<bool>,
    },
    /// Find out where a transfer leads over this trunk; comes back as `Input::TransferPlanned`.
    PlanTransfer {
        /// Which trunk.
        trunk: String,
        /// A URI.
        to: String,
    },
    /// Do what a transfer needs of a leg. What comes of it is told by `SipEvent`s.
    Transfer {
        /// Whose.
        attempt: AttemptId,
        /// What.
        order: TransferOrder,
    },
    /// A leg that called in the place of another is this attempt's from now on.
    Adopt {
        /// Whose.
        attempt: AttemptId,
        /// Which.
        leg: LegId,
    },
    /// Find out where requests go; comes back as `Input::Resolved`.
    Resolve {
        /// For whom.
        attempt: AttemptId,
        /// What is known of it.
        wanted: Wanted,
    },
    /// A target has shown how it is.
    Met {
        /// Which.
        target: Target,
        /// What it showed.
        sign: Sign,
    },
    /// Send an INVITE; comes back as `SipEvent`s.
    Invite(Box<InviteOrder>),
    /// CANCEL or BYE, whatever the leg's state asks for.
    Hangup {
        /// Whose.
        attempt: AttemptId,
        /// Why.
        reason: ReasonHeader,
    },
    /// Answer the trunk's offer, or refuse it with a status.
    AnswerOffer {
        /// Whose.
        attempt: AttemptId,
        /// The description.
        answer: Result<Bytes, u16>,
    },
    /// Offer the trunk another description; comes back as `SipEvent::OfferAnswered`.
    Offer {
        /// Whose.
        attempt: AttemptId,
        /// The description.
        sdp: Bytes,
    },
    /// Tell the trunk that it rings (180).
    Ring {
        /// Whose INVITE.
        attempt: AttemptId,
    },
    /// Answer the trunk's INVITE with 200.
    Accept {
        /// Whose.
        attempt: AttemptId,
        /// The answer, or our offer where the INVITE had none.
        sdp: Bytes,
    },
    /// Refuse the trunk's INVITE.
    Refuse {
        /// Whose.
        attempt: AttemptId,
        /// 400 and above.
        status: u16,
        /// Why.
        reason: ReasonHeader,
    },
    /// Tell browsers that the call is there, or is theirs no more.
    Tell {
        /// Whom.
        sessions: Vec<SessionId>,
        /// What.
        summons: Summons,
    },
    /// Send digits by INFO; comes back as `SipEvent::DigitsRefused` if the trunk takes none.
    SendDigits {
        /// Whose.
        attempt: AttemptId,
        /// Each with how long it lasts.
        digits: Vec<(char, Duration)>,
    },
    /// Ask the app's answer hook; comes back as `Input::Asked`.
    Ask(Arc<Question>),
    /// Get what is to be heard; comes back as `Input::Fetched`.
    Fetch {
        /// What it is called.
        id: u32,
        /// A text or a URL.
        sound: Sound,
    },
    /// Tell the world.
    Emit(CallEvent),
    /// The call is over. Nothing follows.
    Finished(Box<Outcome>),
}

/// What a browser that waits for calls is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Summons {
    /// There is a call: the event's fields.
    Incoming(Map<String, Value>),
    /// It is not to be had any more, for this reason.
    Cancelled(&'static str),
}

/// An INVITE to send.
#[derive(Debug, Clone, PartialEq)]
pub struct InviteOrder {
    /// For whom.
    pub attempt: AttemptId,
    /// Where to, and over what.
    pub target: Target,
    /// Request-URI, credentials.
    pub route: Arc<Route>,
    /// Further header fields, clean.
    pub fields: Fields,
    /// How many more there were no room for.
    pub dropped_fields: usize,
    /// The offer.
    pub sdp: String,
}

/// An event without what only the edge knows (id, wall time).
#[derive(Debug, Clone, PartialEq)]
pub struct CallEvent {
    /// From 1, without gaps.
    pub seq: u64,
    /// The contract's name.
    pub name: &'static str,
    /// Call, session, context and the event's own fields.
    pub data: Map<String, Value>,
}
