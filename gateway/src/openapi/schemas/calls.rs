//! Calls.

use serde_json::{Map, Value};
use utoipa::ToSchema;

/// What is known of a call's visitor.
#[derive(ToSchema)]
pub struct CallContext {
    /// `call_…`
    pub call: String,
    /// `ses_…`; null while nobody has answered a call from a trunk.
    #[schema(required)]
    pub session: Option<String>,
    /// The app.
    pub app: String,
    /// The profile in use.
    #[schema(required)]
    pub profile: Option<String>,
    /// What the page told, as it was accepted.
    #[schema(value_type = Object)]
    pub context: Map<String, Value>,
    /// What the back end attached to the session.
    #[schema(value_type = Value)]
    pub metadata: Value,
}

/// A page of call records, newest first.
#[derive(ToSchema)]
pub struct CallList {
    /// The records.
    pub calls: Vec<CallRecord>,
    /// The `cursor` of the next page, if there is one.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

/// Where a call is.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum CallState {
    /// The browser's path comes up, destinations are tried.
    Setup,
    /// A destination rings.
    Ringing,
    /// Answered.
    Talking,
    /// The browser's path is lost; the agent is held.
    Reconnecting,
    /// Over.
    Ended,
}

/// Who called whom.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum Direction {
    /// The trunk called a browser.
    Inbound,
    /// A browser called the trunk.
    Outbound,
}

/// Who calls from a trunk, in the trunk's words: not to be believed.
#[derive(ToSchema)]
pub struct Caller {
    /// User of the From URI.
    pub number: String,
    /// Display name.
    pub display: Option<String>,
    /// User of the Request-URI.
    pub called: String,
    /// Under which name browsers are called by that.
    pub name: String,
}

/// All that is known of a call.
#[derive(ToSchema)]
pub struct CallRecord {
    /// `call_…`
    #[schema(pattern = "^call_")]
    pub call: String,
    /// `ses_…`; null while nobody has answered a call from a trunk.
    #[schema(required)]
    pub session: Option<String>,
    /// Whether the trunk called.
    pub direction: Option<Direction>,
    /// Who called, if the trunk did.
    pub caller: Option<Caller>,
    /// App id.
    pub app: String,
    /// The profile in use.
    #[schema(required)]
    pub profile: Option<String>,
    /// Where it is.
    pub state: CallState,
    /// When the offer came.
    #[schema(format = DateTime)]
    pub started_at: String,
    /// When each stage was reached.
    pub timings: Timings,
    /// What the page said of its visitor.
    #[schema(value_type = Object)]
    pub context: Map<String, Value>,
    /// The back end's own data.
    pub metadata: Option<Value>,
    /// From the offer to now or the end.
    pub duration_seconds: f64,
    /// From the answer to now or the end.
    pub talk_seconds: f64,
    /// The browser's leg.
    pub browser: BrowserLeg,
    /// The trunk's leg.
    pub sip: SipLeg,
    /// Each half-leg now, or at the end.
    pub quality: Qualities,
    /// What was found wrong.
    pub findings: Vec<Finding>,
    /// How it ended; null while it lives.
    #[schema(required)]
    pub outcome: Option<Outcome>,
}

/// When each stage was reached, RFC 3339; null until then.
#[derive(ToSchema)]
pub struct Timings {
    /// The offer came.
    pub offer_at: Option<String>,
    /// First authentic check.
    #[schema(required)]
    pub ice_connected_at: Option<String>,
    /// Keys.
    #[schema(required)]
    pub dtls_connected_at: Option<String>,
    /// First 18x.
    #[schema(required)]
    pub ringing_at: Option<String>,
    /// 200.
    #[schema(required)]
    pub answered_at: Option<String>,
    /// First audio from the browser.
    #[schema(required)]
    pub first_audio_up_at: Option<String>,
    /// First audio from the trunk.
    #[schema(required)]
    pub first_audio_down_at: Option<String>,
    /// The end.
    #[schema(required)]
    pub ended_at: Option<String>,
}

/// The browser's leg.
#[derive(ToSchema)]
pub struct BrowserLeg {
    /// `opus`, `PCMU` or `PCMA`.
    pub codec: String,
    /// `udp`, `tcp` or `turn`.
    #[schema(required)]
    pub path: Option<String>,
    /// The SRTP profile.
    #[schema(required)]
    pub srtp: Option<String>,
    /// Address and port the browser's packets come from.
    #[schema(required)]
    pub remote: Option<String>,
    /// An operator has put it on hold.
    pub held: bool,
}

/// The trunk's leg.
#[derive(ToSchema)]
pub struct SipLeg {
    /// Trunk id.
    #[schema(required)]
    pub trunk: Option<String>,
    /// Dialled last.
    #[schema(required)]
    pub destination: Option<String>,
    /// Call-ID of the INVITE.
    #[schema(required)]
    pub call_id: Option<String>,
    /// Codec towards the trunk.
    #[schema(required)]
    pub codec: Option<String>,
    /// SRTP profile towards the trunk.
    #[schema(required)]
    pub srtp: Option<String>,
    /// An operator has put it on hold.
    pub held: bool,
    /// Every INVITE and every destination passed over, in order.
    pub attempts: Vec<Attempt>,
}

/// One try of one destination.
#[derive(ToSchema)]
pub struct Attempt {
    /// The destination.
    pub destination: String,
    /// Its trunk.
    pub trunk: Option<String>,
    /// Transport, address and port; null when no INVITE went out.
    pub target: Option<String>,
    /// Final SIP status.
    pub status: Option<u16>,
    /// The reason it failed for.
    pub reason: Option<String>,
    /// Further to the reason.
    pub detail: Option<String>,
}

/// How good the network is.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum Level {
    /// Nothing was measured.
    Unknown,
    /// Good.
    Green,
    /// Audible.
    Amber,
    /// Bad.
    Red,
}

/// The four half-legs.
#[derive(ToSchema)]
pub struct Qualities {
    /// From the browser.
    pub browser_up: Quality,
    /// To the browser.
    pub browser_down: Quality,
    /// From the trunk.
    pub sip_up: Quality,
    /// To the trunk.
    pub sip_down: Quality,
}

/// A half-leg, measured.
#[derive(ToSchema)]
pub struct Quality {
    /// Of the network.
    pub level: Level,
    /// Why it is not green.
    pub reasons: Vec<String>,
    /// Since when.
    #[schema(required)]
    pub since: Option<String>,
    /// Lost of expected packets, 0 to 1.
    pub loss: Option<f64>,
    /// Of those, come too late.
    pub late: Option<f64>,
    /// Interarrival jitter.
    pub jitter_ms: Option<f64>,
    /// Round trip.
    pub rtt_ms: Option<f64>,
    /// Score of listening (E-model).
    pub mos_lq: Option<f64>,
    /// Score of conversing (E-model).
    pub mos_cq: Option<f64>,
}

/// Something that is wrong, with what shows it.
#[derive(ToSchema)]
pub struct Finding {
    /// What.
    pub finding: String,
    /// Where, if at one place.
    pub half_leg: Option<String>,
    /// From when.
    pub since: String,
    /// Until when; null while it lasts.
    pub until: Option<String>,
    /// 0 to 1.
    pub confidence: f64,
    /// What shows it.
    #[schema(value_type = Object)]
    pub evidence: Map<String, Value>,
    /// What to do.
    pub advice: String,
}

/// How a call ended.
#[derive(ToSchema)]
pub struct Outcome {
    /// `ended` or `error`.
    #[schema(pattern = "^(ended|error)$")]
    pub class: String,
    /// One word.
    pub reason: String,
    /// Further to the reason.
    #[schema(required)]
    pub detail: Option<String>,
    /// `routing`, `setup`, `ringing` or `talking`.
    pub phase: String,
    /// Who can do something about it.
    pub blame: String,
    /// The network at the end: `level`, `since`, `half_leg`, `reasons`.
    #[schema(value_type = Object)]
    pub quality_at_end: Map<String, Value>,
    /// What shows it.
    #[schema(value_type = Object)]
    pub evidence: Map<String, Value>,
    /// One sentence an operator can act on.
    pub advice: String,
}

/// The sampled series of a call.
#[derive(ToSchema)]
pub struct QualitySeries {
    /// The call.
    pub call: String,
    /// Series by half-leg.
    #[schema(value_type = Object)]
    pub half_legs: Map<String, Value>,
}

/// What was found wrong with a call, and what its audio was like.
#[derive(ToSchema)]
pub struct Diagnosis {
    /// The call.
    pub call: String,
    /// The findings.
    pub findings: Vec<Finding>,
    /// The audio by half-leg.
    #[schema(value_type = Object)]
    pub half_legs: Map<String, Value>,
}

/// Everything that is known of a call, without secrets.
#[derive(ToSchema)]
pub struct Bundle {
    /// Of this shape.
    pub bundle_version: u32,
    /// When it was made.
    pub generated_at: String,
    /// The node that had the call.
    pub node: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// Its configuration.
    pub config_version: Option<String>,
    /// As `GET /v1/calls/{call}/quality`.
    pub quality: QualitySeries,
    /// As `GET /v1/calls/{call}/diagnosis`.
    #[schema(value_type = Object)]
    pub diagnosis: Value,
    /// What happened, in order.
    pub timeline: Vec<Value>,
    /// Offers and answers.
    pub sdp: Vec<Value>,
    /// ICE candidates: `local`, `remote`.
    #[schema(value_type = Object)]
    pub candidates: Map<String, Value>,
    /// SIP messages of the call.
    pub sip_ladder: Vec<Value>,
    /// What the browser said.
    pub client_reports: Vec<Value>,
    /// How it ended.
    #[schema(required)]
    pub outcome: Option<Outcome>,
    /// As `GET /v1/calls/{call}`; `context` and `metadata` only if they were asked for.
    #[schema(value_type = Object)]
    pub record: Value,
}
