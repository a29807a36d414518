//! The checked configuration: what the rest of the gateway sees.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// A whole, checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// `[node]`
    pub node: Node,
    /// `[public]`
    pub public: Public,
    /// `[control]`
    pub control: Control,
    /// `[media]`
    pub media: Media,
    /// `[sip]`
    pub sip: Sip,
    /// `[[trunks]]`
    pub trunks: Vec<Trunk>,
    /// `[[apps]]`
    pub apps: Vec<App>,
}

/// This process.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its name, part of nothing secret.
    pub name: String,
    /// Where state is kept.
    pub data_dir: PathBuf,
    /// How long a drain waits for live calls.
    pub drain: Duration,
}

/// The listener browsers use.
#[derive(Debug, Clone)]
pub struct Public {
    /// Address.
    pub listen: SocketAddr,
    /// What browsers use, without a trailing slash.
    pub url: String,
    /// Plain HTTP on a non-loopback address was asked for.
    pub allow_insecure: bool,
    /// TLS files.
    pub tls: Option<Tls>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// Per-address limits.
    pub limits: PublicLimits,
    /// Key that signs session tokens; random at start when absent.
    pub token_key: Option<Secret>,
}

/// Certificate and key files.
#[derive(Debug, Clone)]
pub struct Tls {
    /// PEM chain.
    pub certificate: PathBuf,
    /// PEM key.
    pub key: PathBuf,
}

/// Limits per client address; 0 = none.
#[derive(Debug, Clone, Copy)]
pub struct PublicLimits {
    /// `POST /v1/sessions`.
    pub sessions_per_minute_per_address: u32,
    /// `POST /v1/calls`.
    pub calls_per_minute_per_address: u32,
}

/// The listener operators and back ends use.
#[derive(Debug, Clone)]
pub struct Control {
    /// Address.
    pub listen: SocketAddr,
    /// Who may use it.
    pub api_keys: Vec<ApiKey>,
}

/// A bearer key.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// Names the key in logs.
    pub name: String,
    /// The key.
    pub key: Secret,
    /// What it may do.
    pub scopes: Vec<Scope>,
}

/// What an API key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Look.
    Read,
    /// Steer calls.
    Control,
    /// Steer the node.
    Admin,
}

/// A value that never shows itself: `Debug` prints `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value, for the one place that needs it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// The media plane.
#[derive(Debug, Clone)]
pub struct Media {
    /// Worker threads; 0 in the file becomes the number of cores.
    pub workers: usize,
    /// Worker n listens on port + n.
    pub udp_listen: SocketAddr,
    /// ICE-TCP.
    pub tcp_listen: Option<SocketAddr>,
    /// Public addresses, behind 1:1 NAT.
    pub advertise: Vec<IpAddr>,
    /// Codecs a browser may be answered with.
    pub browser_codecs: Vec<Codec>,
    /// Address of the trunk legs' sockets.
    pub rtp_listen: IpAddr,
    /// Their ports.
    pub rtp_ports: RangeInclusive<u16>,
    /// Offer to media.
    pub setup: Duration,
    /// No RTP.
    pub inactivity: Duration,
    /// How long a vanished browser is waited for.
    pub grace: Duration,
    /// Own prompts over the bundled ones.
    pub prompts_dir: Option<PathBuf>,
}

/// A codec by its name in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// `opus`
    Opus,
    /// `G722` (accepted, not active yet)
    G722,
    /// `PCMU`
    Pcmu,
    /// `PCMA`
    Pcma,
}

/// The SIP side.
#[derive(Debug, Clone)]
pub struct Sip {
    /// UDP.
    pub udp_listen: SocketAddr,
    /// TCP (not active yet).
    pub tcp_listen: Option<SocketAddr>,
    /// TLS (not active yet).
    pub tls_listen: Option<SocketAddr>,
    /// Address in Via, Contact and SDP.
    pub advertise: Option<IpAddr>,
    /// From host; the advertised or listening address when empty.
    pub domain: String,
}

/// A trunk.
#[derive(Debug, Clone)]
pub struct Trunk {
    /// Its name in destinations.
    pub id: String,
    /// Where INVITEs go.
    pub target: TrunkTarget,
    /// Preference order.
    pub codecs: Vec<Codec>,
    /// What the browser is sent.
    pub browser_audio: BrowserAudio,
    /// Encryption of the trunk leg.
    pub srtp: Srtp,
    /// Digest credentials.
    pub auth: Option<TrunkAuth>,
    /// REGISTER (not active yet).
    pub register: bool,
    /// OPTIONS interval (not active yet).
    pub options: Option<Duration>,
    /// Calls at once.
    pub max_calls: u32,
    /// Ring time-out.
    pub ring_timeout: Duration,
    /// Longest call.
    pub max_duration: Duration,
    /// In use.
    pub enabled: bool,
    /// Whose RTP is believed.
    pub rtp_source: RtpSource,
}

/// `sip:host`, `host:port`, …
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrunkTarget {
    /// Name or address literal (IPv6 without brackets).
    pub host: String,
    /// Port, if one is named.
    pub port: Option<u16>,
    /// Transport.
    pub transport: SipTransport,
}

/// A SIP transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SipTransport {
    /// UDP.
    Udp,
    /// TCP (not active yet).
    Tcp,
    /// TLS (not active yet).
    Tls,
}

/// Digest credentials.
#[derive(Debug, Clone)]
pub struct TrunkAuth {
    /// User name.
    pub username: String,
    /// Password.
    pub password: Secret,
}

/// What gateway → browser audio is coded in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrowserAudio {
    /// The trunk's codec, relayed.
    Relay,
    /// G.711 while the network is good, Opus when it is not (not active yet: as `opus`).
    Elastic,
    /// Opus.
    Opus,
}

/// Encryption of the trunk leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Srtp {
    /// Plain RTP.
    Off,
    /// Offered (not active yet).
    Optional,
    /// Demanded (not active yet).
    Required,
}

/// Whose RTP a trunk leg believes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RtpSource {
    /// The address in the SDP.
    Signalled,
    /// The SDP's IP, any port, locked on the first packets.
    Latch,
}

/// An app: one widget owner.
#[derive(Debug, Clone)]
pub struct App {
    /// Its name.
    pub id: String,
    /// Keys its widgets show.
    pub widget_keys: Vec<WidgetKey>,
    /// `scheme://host[:port]`, exactly.
    pub allowed_origins: Vec<String>,
    /// Trunk of its destinations that name none.
    pub trunk: Option<String>,
    /// Profile used when a session names none or an unknown one.
    pub default_profile: Option<String>,
    /// Calls at once.
    pub max_calls: u32,
    /// Answer hook (not active yet).
    pub answer_url: Option<String>,
    /// Its fallback (not active yet).
    pub answer_fallback_url: Option<String>,
    /// Business hours.
    pub hours: Hours,
    /// Profiles.
    pub profiles: Vec<Profile>,
    /// Webhooks (not active yet).
    pub integrations: Vec<Integration>,
    /// Context caps.
    pub context: ContextLimits,
}

/// A widget key, as it is or as its SHA-256.
#[derive(Debug, Clone)]
pub enum WidgetKey {
    /// The key.
    Plain(Secret),
    /// `sha256:<hex>`.
    Sha256([u8; 32]),
}

/// Caps on a session's context.
#[derive(Debug, Clone, Copy)]
pub struct ContextLimits {
    /// Per value, bytes (default 256).
    pub value_bytes: usize,
    /// In all, bytes of keys and values (default 4096).
    pub total_bytes: usize,
}

/// When calls are taken. (A schedule is validated; anything but `always` is not active yet.)
#[derive(Debug, Clone)]
pub enum Hours {
    /// Around the clock.
    Always,
    /// By timetable.
    Schedule(Schedule),
}

/// A weekly timetable in one time zone.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// IANA name.
    pub timezone: String,
    /// Monday first: windows as minutes of the day.
    pub week: [Vec<RangeInclusive<u16>>; 7],
    /// Days that differ.
    pub exceptions: Vec<ScheduleException>,
}

/// A day that differs from its weekday.
#[derive(Debug, Clone)]
pub struct ScheduleException {
    /// `YYYY-MM-DD`.
    pub date: String,
    /// Windows of that day; empty = closed.
    pub windows: Vec<RangeInclusive<u16>>,
    /// Shown to people.
    pub label: Option<String>,
}

/// A profile: where an app's calls go.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Its name.
    pub id: String,
    /// SIP URIs, tried in order; the host may be a trunk id.
    pub destinations: Vec<String>,
    /// Whether the widget shows its survey.
    pub survey: bool,
}

/// A webhook destination (not active yet).
#[derive(Debug, Clone)]
pub struct Integration {
    /// Its name.
    pub id: String,
    /// Where events go.
    pub url: String,
    /// Which.
    pub events: Vec<String>,
    /// Signing secret.
    pub secret: Secret,
    /// Static headers.
    pub headers: Vec<(String, Secret)>,
    /// http and private addresses allowed.
    pub allow_insecure: bool,
    /// Waits between attempts.
    pub retry: Vec<Duration>,
}
