//! The node, its trunks, probes, and what the network has to let through.

use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::control_api::{Configuration, Drain};

use super::Level;

/// The node.
#[derive(ToSchema)]
pub struct Node {
    /// Its name.
    pub node: String,
    /// Of the program.
    pub version: String,
    /// When it started.
    #[schema(format = DateTime)]
    pub started_at: String,
    /// Since then.
    pub uptime_seconds: u64,
    /// `live` and `started`.
    #[schema(value_type = Object)]
    pub calls: Map<String, Value>,
    /// Sessions that may start calls.
    pub sessions: u64,
    /// Nothing new is taken.
    pub draining: bool,
    /// Since when, and when the rest is ended.
    #[schema(required)]
    pub drain: Option<Drain>,
    /// The configuration in force.
    pub configuration: Configuration,
    /// Media workers.
    pub workers: Vec<Value>,
    /// `legs` and `transactions`.
    #[schema(value_type = Object)]
    pub sip: Map<String, Value>,
}

/// A probe that runs.
#[derive(ToSchema)]
pub struct ProbeRunning {
    /// `running`
    #[schema(pattern = "^running$")]
    pub state: String,
}

/// What a probe found.
#[derive(ToSchema)]
pub struct ProbeVerdict {
    /// Of the network, the worse direction; `red` if nothing came through.
    pub level: Level,
    /// UDP gets through.
    pub udp: bool,
    /// TCP does; null: it was not needed, so nobody knows.
    #[schema(required)]
    pub tcp: Option<bool>,
    /// Round trip.
    #[schema(required)]
    pub rtt_ms: Option<f64>,
    /// Lost of expected, the worst second of the worse direction, 0 to 1.
    #[schema(required)]
    pub loss: Option<f64>,
    /// The most interarrival jitter of what came.
    #[schema(required)]
    pub jitter_ms: Option<f64>,
    /// `ok`, `silent` or `clipping`; null: nothing could come.
    #[schema(required)]
    pub mic: Option<String>,
}

/// The trunks.
#[derive(ToSchema)]
pub struct TrunkList {
    /// In the order of the configuration.
    pub trunks: Vec<Trunk>,
}

/// A trunk.
#[derive(ToSchema)]
pub struct Trunk {
    /// Its id.
    pub id: String,
    /// Whether calls go to it.
    pub enabled: bool,
    /// `up`, `down` or `unknown`, by its answers to OPTIONS (two in a row change it), and `down` while no registrar knows
    /// us where one should.
    #[schema(pattern = "^(up|down|unknown)$")]
    pub state: String,
    /// How it is registered with; null: it is not to be.
    #[schema(required)]
    pub registration: Option<TrunkRegistration>,
    /// What its answers to OPTIONS said last: `state`, `since`, `status`, `rtt_ms`, `answered_at`, `last_failure`.
    #[schema(value_type = Object)]
    pub options: Map<String, Value>,
    /// Round trip of the last OPTIONS that was answered.
    #[schema(required)]
    pub rtt_ms: Option<f64>,
    /// The last OPTIONS that was not answered well.
    #[schema(required)]
    pub last_failure: Option<TrunkFailure>,
    /// Seconds between two OPTIONS; null: none are sent.
    #[schema(required)]
    pub options_seconds: Option<u64>,
    /// `host`, `port`, `transport` (null: DNS decides).
    #[schema(value_type = Object)]
    pub target: Map<String, Value>,
    /// Where its name led when it was asked last, in DNS's order: `target` (`udp:192.0.2.1:5060`), `name`, and `state` by
    /// OPTIONS and calls: `well`, `dead`, or `resting` while it asked to be left alone.
    #[schema(value_type = Vec<Object>)]
    pub targets: Vec<Map<String, Value>>,
    /// In order of preference.
    pub codecs: Vec<String>,
    /// `relay`, `elastic` or `opus`.
    pub browser_audio: String,
    /// `off`, `optional` or `required`.
    pub srtp: String,
    /// Whether it shall be registered with.
    pub register: bool,
    /// Calls it may have.
    pub max_calls: u32,
    /// Calls it has.
    pub live_calls: u32,
}

/// How a trunk is registered with: one registrar that knows us is enough.
#[derive(ToSchema)]
pub struct TrunkRegistration {
    /// `registering` until something was answered, `registered`, `failed`, `unregistered`.
    #[schema(pattern = "^(registering|registered|failed|unregistered)$")]
    pub state: String,
    /// Until when, by the last answer.
    #[schema(required, format = DateTime)]
    pub expires_at: Option<String>,
    /// The last REGISTER that came to nothing; it stays when a later one succeeds.
    #[schema(required)]
    pub last_failure: Option<TrunkFailure>,
    /// Each by itself: `registrar`, `state`, `expires_at`, `contacts`, `service_route`, `path`, `observed`, `last_failure`.
    #[schema(value_type = Vec<Object>)]
    pub registrars: Vec<Map<String, Value>>,
}

/// An OPTIONS that was not answered well.
#[derive(ToSchema)]
pub struct TrunkFailure {
    /// When.
    pub at: String,
    /// `dns`, `unreachable`, `tls`, `no_answer` or `status_503`.
    pub error: String,
}

/// A trunk, tested.
#[derive(ToSchema)]
pub struct TrunkTest {
    /// Its id.
    pub trunk: String,
    /// A target answered well: a call would get through.
    pub ok: bool,
    /// Each question to DNS and its targets, then for each target the steps up to the first that failed.
    pub steps: Vec<TrunkStep>,
}

/// A destination to be tested.
#[derive(ToSchema)]
pub struct DestinationToTest {
    /// As a profile names it.
    #[schema(max_length = 256)]
    pub destination: String,
    /// Whose trunk takes it, if its host names none.
    pub app: Option<String>,
}

/// What a test of a destination found.
#[derive(ToSchema)]
pub struct DestinationTest {
    /// As asked.
    pub destination: String,
    /// A call would get through.
    pub ok: bool,
    /// By trunk, in the order they would be tried: `trunk`, `ok`, `steps` as of a trunk's test, `request_uri` and `state`;
    /// or `reason` and `detail` of one that would be passed over.
    #[schema(value_type = Vec<Object>)]
    pub ways: Vec<Map<String, Value>>,
}

/// A step towards a trunk.
#[derive(ToSchema)]
pub struct TrunkStep {
    /// `dns`, `transport`, `tls` or `options`.
    #[schema(pattern = "^(dns|transport|tls|options)$")]
    pub step: String,
    /// How it went.
    pub ok: bool,
    /// What failed, in a word: `dns`, `timed_out`, `unreachable`, `tls`, `no_answer` or `status_503`.
    pub error: Option<String>,
    /// The same in words.
    pub detail: Option<String>,
    /// How long a connection or a handshake took.
    pub duration_ms: Option<f64>,
    /// What DNS was asked for: `NAPTR`, `SRV`, `A` or `AAAA`.
    pub query: Option<String>,
    /// The records, each in a line.
    pub records: Option<Vec<String>>,
    /// Whose word they are: `dns`, `cache` or `last_good`.
    pub source: Option<String>,
    /// Where a call would go, best first.
    pub targets: Option<Vec<String>>,
    /// SIP status of the answer to OPTIONS.
    pub status: Option<u16>,
    /// How long that took.
    pub rtt_ms: Option<f64>,
}

/// What firewalls must let through.
#[derive(ToSchema)]
pub struct NetworkRequirements {
    /// Between browsers and this node.
    pub browsers: NetworkSide,
    /// Between this node and its trunks.
    pub trunks: NetworkSide,
}

/// One side of the node.
#[derive(ToSchema)]
pub struct NetworkSide {
    /// What has to get through.
    pub flows: Vec<NetworkFlow>,
    /// Of a call.
    pub bandwidth: Bandwidth,
}

/// Something that has to get through.
#[derive(ToSchema)]
pub struct NetworkFlow {
    /// `signalling` or `media`.
    pub purpose: String,
    /// The trunk it is of.
    pub trunk: Option<String>,
    /// Names or addresses.
    pub hosts: Vec<String>,
    /// Ports, or ranges as `first` and `last`.
    pub ports: Vec<Value>,
    /// `tcp` or `udp`.
    #[schema(pattern = "^(tcp|udp)$")]
    pub transport: String,
    /// What is spoken.
    pub protocol: String,
    /// Who begins.
    pub direction: String,
    /// The node's own address, where it begins.
    pub from: Option<String>,
}

/// What a call needs.
#[derive(ToSchema)]
pub struct Bandwidth {
    /// Of the codec that needs most, headers, RTCP and checks included; null without a codec.
    #[schema(required)]
    pub kbps_each_way: Option<u32>,
    /// Of each codec.
    #[schema(value_type = Object)]
    pub by_codec: Map<String, Value>,
}
