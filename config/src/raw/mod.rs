//! The file as serde reads it. Doc comments here are the descriptions in the JSON Schema; bounds here are the bounds
//! the file is held to.

mod app;
mod calls;
mod inbound;
mod public;
mod quality;
mod registration;
mod tones;
mod trunk;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) use app::{RawApp, RawException, RawHours, RawIntegration, RawProfile};
pub(crate) use calls::{RawCalls, RawPassed, RawPrivacy, RawReliable};
pub(crate) use inbound::{RawInbound, RawReceive, RawStrangers};
pub(crate) use public::{RawIceServer, RawPublic, RawTls, RawTokenKeys};
pub(crate) use quality::{RawBands, RawEvents, RawQuality, RawRecords};
pub(crate) use registration::RawRegistration;
pub(crate) use tones::{RawFailureSound, RawTones};
pub(crate) use trunk::{
    RawAuth, RawBrowserAudio, RawContextFields, RawDtmf, RawGroupMember, RawJitterBuffer, RawPdStyle, RawRtpSource,
    RawSrtp, RawTransfers, RawTrunk, RawTrunkGroup, RawTrunks, RawUserToUser, RawUuiEncoding, RawUuiPurpose,
};

/// Trunkline configuration.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Raw {
    /// This process.
    pub(crate) node: RawNode,
    /// The listener browsers use.
    pub(crate) public: RawPublic,
    /// The listener operators and back ends use.
    pub(crate) control: RawControl,
    /// The media plane: worker threads, their sockets, their limits.
    pub(crate) media: RawMedia,
    /// The SIP side.
    pub(crate) sip: RawSip,
    /// What is measured of a call, and what counts as good.
    pub(crate) quality: RawQuality,
    /// How long calls are remembered.
    pub(crate) records: RawRecords,
    /// How long events are remembered, and how many may wait.
    pub(crate) events: RawEvents,
    /// Requests to URLs that are named here or by a back end.
    pub(crate) outbound: RawOutbound,
    /// Trunks: where calls go.
    #[schemars(length(max = 1000))]
    pub(crate) trunks: Vec<RawTrunk>,
    /// Groups of trunks: each call takes one of them.
    #[schemars(length(max = 1000))]
    pub(crate) trunk_groups: Vec<RawTrunkGroup>,
    /// Apps: whose widgets may call, and where to.
    #[schemars(length(max = 10_000))]
    pub(crate) apps: Vec<RawApp>,
}

/// Requests to URLs that are named here or by a back end: webhooks, hooks, recordings.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawOutbound {
    /// PEM file of the certificate authorities that https receivers are checked against; empty = the system's.
    pub(crate) tls_ca: String,
}

/// A secret: the value itself, `env:NAME` or `file:PATH` (relative to the configuration file).
#[derive(Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("writeOnly" = true))]
pub(crate) struct RawSecret(pub(crate) String);

impl std::fmt::Debug for RawSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// This process.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawNode {
    /// Name of this gateway in logs, records and call ids.
    pub(crate) name: String,
    /// Directory for calls, outbox and integration state; relative to the configuration file.
    pub(crate) data_dir: String,
    /// How long a drain waits for live calls, seconds.
    #[schemars(range(min = 0, max = 86400))]
    pub(crate) drain_seconds: u32,
}

impl Default for RawNode {
    fn default() -> Self {
        Self { name: "gw-1".into(), data_dir: "./data".into(), drain_seconds: 3600 }
    }
}

/// The listener operators and back ends use.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawControl {
    /// Address and port; keep it on loopback or in a private network.
    pub(crate) listen: String,
    /// Who may use it.
    #[schemars(length(max = 256))]
    pub(crate) api_keys: Vec<RawApiKey>,
    /// Limits per API key.
    pub(crate) limits: RawControlLimits,
}

impl Default for RawControl {
    fn default() -> Self {
        Self { listen: "127.0.0.1:8081".into(), api_keys: Vec::new(), limits: RawControlLimits::default() }
    }
}

/// Limits per API key; 0 = no limit.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawControlLimits {
    /// New sessions a minute.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub(crate) sessions_per_minute_per_key: u32,
}

/// A bearer key.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name", "key", "scopes"]))]
pub(crate) struct RawApiKey {
    /// Names the key in logs.
    pub(crate) name: String,
    /// The key, 8 bytes or more: the value itself, `env:NAME` or `file:PATH`.
    pub(crate) key: RawSecret,
    /// What it may do.
    #[schemars(length(max = 8))]
    pub(crate) scopes: Vec<RawScope>,
}

/// What an API key may do.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawScope {
    /// Look at calls, quality, trunks and events.
    Read,
    /// Steer calls.
    Control,
    /// Steer the node.
    Admin,
}

/// The media plane.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawMedia {
    /// Worker threads; 0 = one per core.
    #[schemars(range(min = 0, max = 256))]
    pub(crate) workers: u32,
    /// Address and port of the browsers' media; worker n listens on port + n.
    pub(crate) udp_listen: String,
    /// Address and port of ICE-TCP; empty = off.
    pub(crate) tcp_listen: String,
    /// Public addresses told to browsers instead of the listening one, behind 1:1 NAT.
    #[schemars(length(max = 8))]
    pub(crate) advertise: Vec<String>,
    /// Codecs a browser may be answered with.
    #[schemars(length(max = 8))]
    pub(crate) browser_codecs: Vec<RawCodec>,
    /// Address of the trunk legs' RTP sockets; `::` receives both families.
    pub(crate) rtp_listen: String,
    /// Their ports, as low-high; each call takes an even port and the odd one above.
    pub(crate) rtp_ports: String,
    /// How long the ports of an ended call rest before another call gets them, seconds.
    #[schemars(range(min = 0, max = 300))]
    pub(crate) rtp_quarantine_seconds: u32,
    /// Time from offer to media, else the call ends as ice_failed, seconds.
    #[schemars(range(min = 1, max = 120))]
    pub(crate) setup_seconds: u32,
    /// Time without RTP that ends a call as media_timeout, seconds.
    #[schemars(range(min = 1, max = 3600))]
    pub(crate) inactivity_seconds: u32,
    /// How long a vanished browser is waited for, seconds.
    #[schemars(range(min = 0, max = 600))]
    pub(crate) grace_seconds: u32,
    /// Directory of own prompts that win over the bundled ones, relative to the configuration file; empty = none.
    pub(crate) prompts_dir: String,
    /// What legs on hold hear.
    pub(crate) hold_audio: RawHoldAudio,
    /// Program that speaks texts, by name or path; empty = none. Called as espeak-ng is.
    pub(crate) say_command: String,
}

impl Default for RawMedia {
    fn default() -> Self {
        Self {
            workers: 0,
            udp_listen: "127.0.0.1:20000".into(),
            tcp_listen: String::new(),
            advertise: Vec::new(),
            browser_codecs: vec![RawCodec::Opus, RawCodec::Pcmu, RawCodec::Pcma],
            rtp_listen: "127.0.0.1".into(),
            rtp_ports: "30000-39998".into(),
            rtp_quarantine_seconds: 10,
            setup_seconds: 20,
            inactivity_seconds: 20,
            grace_seconds: 30,
            prompts_dir: String::new(),
            hold_audio: RawHoldAudio::Prompt,
            say_command: "espeak-ng".to_owned(),
        }
    }
}

/// What legs on hold hear.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawHoldAudio {
    /// The prompt `hold`, over and over: own music where there is some, else two soft beeps every five seconds.
    Prompt,
    /// The prompt `hold_music`, over and over: the bundled piece, unless there is own music of that name.
    Music,
    /// Comfort noise.
    Noise,
}

/// A codec.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
pub(crate) enum RawCodec {
    /// Opus, 48 kHz.
    #[serde(rename = "opus")]
    Opus,
    /// G.722, 16 kHz.
    G722,
    /// G.711 µ-law.
    #[serde(rename = "PCMU")]
    Pcmu,
    /// G.711 A-law.
    #[serde(rename = "PCMA")]
    Pcma,
}

/// The SIP side.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawSip {
    /// Address and port for SIP over UDP; of both families: one of each, a comma between.
    pub(crate) udp_listen: String,
    /// Address and port for SIP over TCP, or one of each family; empty = off.
    pub(crate) tcp_listen: String,
    /// Address and port for SIP over TLS, or one of each family; empty = off.
    pub(crate) tls_listen: String,
    /// Certificate for `tls_listen`, also shown to trunks that ask for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<RawTls>,
    /// Connections that peers may have in all.
    #[schemars(range(min = 1, max = 100_000))]
    pub(crate) max_connections: usize,
    /// Connections that peers may have from one IPv4 address or IPv6 network of 64 bits.
    #[schemars(range(min = 1, max = 100_000))]
    pub(crate) max_connections_per_address: usize,
    /// Address in Via, Contact and SDP, behind 1:1 NAT, or one of each family; empty = the listening one.
    pub(crate) advertise: String,
    /// Host in From; empty = the address in Via.
    pub(crate) domain: String,
    /// PEM file of the certificate authorities that TLS trunks are checked against; empty = the system's.
    pub(crate) tls_ca: String,
    /// How those are met whom no trunk knows.
    pub(crate) strangers: RawStrangers,
    /// Name servers that are asked for trunks, address:port; none = the machine's.
    #[schemars(length(max = 8))]
    pub(crate) dns_servers: Vec<String>,
}

impl Default for RawSip {
    fn default() -> Self {
        Self {
            udp_listen: "127.0.0.1:5060".into(),
            tcp_listen: String::new(),
            tls_listen: String::new(),
            tls: None,
            max_connections: 2_000,
            max_connections_per_address: 100,
            advertise: String::new(),
            domain: String::new(),
            tls_ca: String::new(),
            strangers: RawStrangers::Refuse,
            dns_servers: Vec::new(),
        }
    }
}
