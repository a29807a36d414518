//! What can happen to a call.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use trunkline_media::api::{Leg, MediaEvent};
use trunkline_media::audio::Codec;
use trunkline_media::audio::prompt::Prompt;
use trunkline_signaling::endpoint::{Failure, Fork, Reason as ReasonHeader, Traced, Transfer};
use trunkline_signaling::targets::Target;

use super::actions::{Action, Manner, Sound};
use super::caller::Answerer;
use super::transfer::HandOver;
use crate::hook::Asked;
use crate::ids::SessionId;
use crate::routing::Planned;

/// Names one try to reach somebody inside a call: one leased trunk leg, or one INVITE over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(pub u32);

/// What can happen to a call.
#[derive(Debug, Clone)]
pub enum Input {
    /// The browser leg is open: begin. Once, first.
    Start,
    /// The media plane reports.
    Media(MediaEvent),
    /// The SIP side reports, about one attempt.
    Sip {
        /// Which.
        attempt: AttemptId,
        /// What.
        event: SipEvent,
    },
    /// Somebody asks for something through the API.
    Api(Api),
    /// What became of [`super::Effect::LeaseTrunk`] or [`super::Effect::LeaseSpare`].
    TrunkLeased {
        /// For whom.
        attempt: AttemptId,
        /// The local RTP address.
        result: Result<SocketAddr, LeaseRefused>,
    },
    /// What became of [`super::Effect::Resolve`].
    Resolved {
        /// For whom.
        attempt: AttemptId,
        /// Where to, best first; never empty when `Ok`.
        result: Result<Vec<Target>, ResolveError>,
    },
    /// What became of [`super::Effect::PlanTransfer`].
    TransferPlanned(Planned),
    /// What became of [`super::Effect::Ask`].
    Asked(Box<Asked>),
    /// What became of [`super::Effect::Fetch`].
    Fetched {
        /// What was asked for.
        id: u32,
        /// The recording, or why there is none.
        result: Result<Arc<Prompt>, String>,
    },
    /// A browser that is rung says something, or is rung only now.
    Receiver(ReceiverSays),
    /// This gateway failed the call: a panic, a full queue. With the error's chain.
    Broken(String),
    /// The SIP side of this node is gone.
    SipGone,
    /// This node stops.
    Shutdown,
    /// Blows up, for tests of what catches it.
    #[cfg(test)]
    Panic,
}

/// What those say whom a call from the trunk rings.
#[derive(Debug, Clone)]
pub enum ReceiverSays {
    /// One has answered, and its leg is open.
    Answered(Box<Answerer>),
    /// One does not want the call.
    Declined(SessionId),
    /// One has come, and waits for calls to this name.
    Joined(SessionId),
}

/// What the SIP side says of an attempt.
#[derive(Debug, Clone)]
pub enum SipEvent {
    /// The INVITE is on its way; its Call-ID. Of a leg that called us: its 200 is on its way.
    Sent(Option<String>),
    /// It could not be sent.
    NotSent(NotSent),
    /// 100: somebody is there.
    Trying,
    /// 101..=199.
    Provisional {
        /// Who says so, of those the INVITE reached.
        fork: Fork,
        /// Status.
        status: u16,
        /// Early media.
        sdp: Option<Bytes>,
    },
    /// 2xx, already ACKed.
    Answered {
        /// Who answered.
        fork: Fork,
        /// The answer.
        sdp: Option<Bytes>,
    },
    /// It came to nothing; the leg is gone.
    Failed(Failure),
    /// The trunk offers (re-INVITE, UPDATE); `None`: asks us to offer.
    Offer {
        /// Who offers, of those the INVITE reached.
        fork: Fork,
        /// Its offer.
        sdp: Option<Bytes>,
    },
    /// The trunk's answer to an offer of ours, or the status that refused it.
    OfferAnswered(Result<Bytes, u16>),
    /// The trunk hung up; the leg is gone.
    Ended {
        /// Its Reason.
        reason: Option<ReasonHeader>,
    },
    /// The trunk has acknowledged our 200; an answer to an offer of ours in it.
    Confirmed {
        /// The answer.
        sdp: Option<Bytes>,
    },
    /// The trunk gave up a call to us before it was answered; the leg is gone.
    Cancelled {
        /// Its Reason.
        reason: Option<ReasonHeader>,
    },
    /// A digit came by INFO, and how long it lasted if that was said.
    Digit {
        /// Which.
        digit: char,
        /// How long.
        duration: Option<Duration>,
    },
    /// The trunk takes no digits by INFO.
    DigitsRefused {
        /// The status, if one came.
        status: Option<u16>,
        /// Those it did not take.
        digits: Vec<(char, Duration)>,
    },
    /// Something about handing the call over.
    Transfer(Box<Transfer>),
    /// A message was sent or received.
    Traced(Box<Traced>),
    /// Nobody refreshed the session in time (RFC 4028); the leg is gone.
    SessionExpired {
        /// What was agreed.
        interval: Duration,
        /// The refresh was ours to send.
        refresher_is_us: bool,
        /// Since the last refresh, or the answer.
        since: Duration,
    },
    /// The dialog died; the leg is gone.
    Lost {
        /// The status, if one came.
        status: Option<u16>,
    },
}

/// Why an INVITE was never sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// No SIP transaction left.
    #[error("too many SIP transactions")]
    Full,
    /// The Request-URI is none.
    #[error("not a SIP URI")]
    BadUri,
    /// The SIP side is gone.
    #[error("the SIP side has stopped")]
    Gone,
    /// No encrypted connection to the trunk: what the handshake said.
    #[error("TLS: {0}")]
    Tls(String),
}

/// Why there is no trunk leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LeaseRefused {
    /// The trunk is at its `max_calls`.
    #[error("the trunk is at its limit")]
    TrunkFull,
    /// It has to be registered with, and is not.
    #[error("the trunk is not registered with")]
    Unregistered,
    /// It does not answer, and there is another.
    #[error("the trunk does not answer")]
    TrunkDown,
    /// Too many calls begin on it in a second.
    #[error("too many calls begin on the trunk")]
    TrunkRate,
    /// No port pair is free.
    #[error("no free RTP port")]
    NoPorts,
    /// The media plane has lost the call.
    #[error("the media plane has lost the call")]
    MediaGone,
}

/// Why a name has no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// DNS says so.
    #[error("{0}")]
    Failed(String),
    /// DNS says nothing.
    #[error("no answer from DNS in time")]
    TimedOut,
    /// All there are have asked for rest (503 with Retry-After).
    #[error("it wants no calls for a while")]
    Resting,
}

/// What the API asks of a call.
#[derive(Debug, Clone)]
pub enum Api {
    /// The visitor hung up.
    VisitorHangup,
    /// An operator hung up, for this reason.
    OperatorHangup(String),
    /// Send digits, already checked.
    Dtmf {
        /// Who receives them.
        towards: Leg,
        /// Which.
        digits: Vec<trunkline_media::api::Digit>,
        /// How long each.
        duration_ms: u32,
    },
    /// Withhold what a leg says.
    Mute {
        /// Whose speech.
        leg: Leg,
        /// Muted or not.
        muted: bool,
    },
    /// Put a leg on hold, or take it back.
    Hold {
        /// Which.
        leg: Leg,
        /// Held or taken back.
        held: bool,
    },
    /// Let a leg hear something.
    Play {
        /// Who hears it.
        leg: Leg,
        /// What.
        sound: Sound,
        /// How.
        manner: Manner,
    },
    /// Let a leg hear no more of it.
    Stop {
        /// Which.
        leg: Leg,
    },
    /// Hand the call over.
    Transfer(Box<HandOver>),
    /// Run these actions.
    Act(Vec<Action>),
    /// ICE was restarted.
    Restarted,
    /// The browser came with a new peer connection.
    Reattached {
        /// What it will send.
        codec: Codec,
    },
    /// The widget noticed something.
    ClientReport {
        /// One of the contract's codes.
        code: String,
        /// Its words.
        detail: Option<String>,
    },
}
