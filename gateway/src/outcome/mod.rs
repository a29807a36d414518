//! How a call ends: one function, once, one outcome. The words are the contract's; the same code goes to the event
//! stream, the record, the `Reason` header, the log line and the counter.

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

mod demands;
mod reason;
pub mod table;

pub use reason::{DestTimeout, DtlsFailure, IceFailure, Reason, Refusal, RemoteHangup, Unavailable};

/// Whether a call came to a clean end. Decides the widget's last screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Clean.
    Ended,
    /// Something failed.
    Error,
}

/// How far a call had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing dialled yet, or on the way to it (ports, DNS).
    Routing,
    /// An INVITE is out, nobody rings; or the browser's path is not up.
    Setup,
    /// A 18x came.
    Ringing,
    /// A 200 came.
    Talking,
}

/// Who can do something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// The visitor's doing (closed the page, stopped the microphone).
    Visitor,
    /// What lies between the visitor and this gateway.
    VisitorNetwork,
    /// This gateway.
    Gateway,
    /// The trunk or its provider.
    Trunk,
    /// The person called.
    Agent,
    /// Who runs or configures this gateway.
    Operator,
    /// Nobody.
    None,
}

macro_rules! words {
    ($type:ident: $($variant:ident => $word:literal),+ $(,)?) => {
        impl $type {
            /// The contract's word.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
    };
}
words!(Class: Ended => "ended", Error => "error");
words!(Phase: Routing => "routing", Setup => "setup", Ringing => "ringing", Talking => "talking");
words!(Blame: Visitor => "visitor", VisitorNetwork => "visitor_network", Gateway => "gateway", Trunk => "trunk",
    Agent => "agent", Operator => "operator", None => "none");

/// The network's state when the call ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QualityAtEnd {
    /// `unknown` without a measurement; never a guess.
    pub level: &'static str,
    /// Since when, RFC 3339.
    pub since: Option<String>,
    /// The worst half-leg.
    pub half_leg: Option<&'static str>,
    /// Why it has that level.
    pub reasons: Vec<&'static str>,
}

impl QualityAtEnd {
    /// Nothing is known.
    #[must_use]
    pub fn unknown() -> Self {
        Self { level: "unknown", since: None, half_leg: None, reasons: Vec::new() }
    }
}

/// The last SIP message seen on a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastSip {
    /// `INVITE` and what became of it, `BYE`, …
    pub message: &'static str,
    /// Status code; `None` for a request.
    pub code: Option<u16>,
}

/// Age of the last RTP packet per direction, milliseconds; `None`: none ever came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RtpAge {
    /// From the browser.
    pub browser: Option<u64>,
    /// From the trunk.
    pub sip: Option<u64>,
}

/// State of the browser's path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IceState {
    /// No authentic check yet.
    #[default]
    New,
    /// A path is proven.
    Connected,
    /// It was, and went silent.
    Disconnected,
    /// It never came up.
    Failed,
}

/// What every outcome rests on.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Evidence {
    /// See [`RtpAge`].
    pub last_rtp_age_ms: RtpAge,
    /// Age of the last authentic STUN check, milliseconds.
    pub last_stun_check_age_ms: Option<u64>,
    /// The browser's path.
    pub ice_state: IceState,
    /// `udp` or `tcp`.
    pub selected_path: Option<&'static str>,
    /// The last SIP message.
    pub last_sip: Option<LastSip>,
    /// Timers of the call that fired, in order.
    pub timers_fired: Vec<&'static str>,
    /// What the reason demands beyond that.
    #[serde(flatten)]
    pub further: Map<String, Value>,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Why, with its detail.
    pub reason: Reason,
    /// How far it had come.
    pub phase: Phase,
    /// The network at that moment.
    pub quality_at_end: QualityAtEnd,
    /// What shows it.
    pub evidence: Evidence,
    /// One sentence an operator can act on.
    pub advice: &'static str,
}

impl Outcome {
    /// An outcome with the advice its reason always has.
    #[must_use]
    pub fn new(reason: Reason, phase: Phase, quality_at_end: QualityAtEnd, evidence: Evidence) -> Self {
        Self { reason, phase, quality_at_end, evidence, advice: reason.advice() }
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Outcome", 8)?;
        out.serialize_field("class", &self.reason.class())?;
        out.serialize_field("reason", self.reason.word())?;
        out.serialize_field("detail", &self.reason.detail())?;
        out.serialize_field("phase", &self.phase)?;
        out.serialize_field("blame", &self.reason.blame())?;
        out.serialize_field("quality_at_end", &self.quality_at_end)?;
        out.serialize_field("evidence", &self.evidence)?;
        out.serialize_field("advice", self.advice)?;
        out.end()
    }
}
