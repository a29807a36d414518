//! `[[trunks]]`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{RawCalls, RawCodec, RawInbound, RawRegistration, RawSecret, RawTls, RawTones};

/// A trunk: a SIP peer that calls are sent to.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["id", "target"]))]
pub(crate) struct RawTrunk {
    /// Its name; destinations use it as their host.
    pub(crate) id: String,
    /// Where calls are sent: host, host:port or a domain, with or without `sip:`, over what its DNS records say (RFC 3263;
    /// UDP without any), or with `;transport=udp`, `;transport=tcp` or `;transport=tls`.
    pub(crate) target: String,
    /// Codecs offered, most wanted first.
    #[schemars(length(max = 8))]
    pub(crate) codecs: Vec<RawCodec>,
    /// What the browser hears is coded in.
    pub(crate) browser_audio: RawBrowserAudio,
    /// Who evens out the jitter of what the browser says.
    pub(crate) jitter_buffer: RawJitterBuffer,
    /// Encryption of the trunk's audio.
    pub(crate) srtp: RawSrtp,
    /// Digest credentials.
    pub(crate) auth: RawAuth,
    /// Certificate shown to this trunk if it asks for one, in place of `sip.tls`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<RawTls>,
    /// Registers with the peer: calls go out only while it is registered.
    pub(crate) register: bool,
    /// Who is registered where.
    pub(crate) registration: RawRegistration,
    /// Where every request of this trunk goes first, written as `target`; empty = to the target itself.
    pub(crate) outbound_proxy: String,
    /// Time between two OPTIONS that ask whether it is there, seconds; 0 = none.
    #[schemars(range(min = 0, max = 3600))]
    pub(crate) options_seconds: u32,
    /// How digits go to the trunk and come from it.
    pub(crate) dtmf: RawDtmf,
    /// Calls at once.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) max_calls: u32,
    /// Calls begun in a second; more wait a little, or take the next trunk of a group; 0 = no limit.
    #[schemars(range(min = 0, max = 10_000))]
    pub(crate) max_calls_per_second: u32,
    /// Final answers beside 503 that send a call to the next target of this trunk, then to the next trunk of a group: 408
    /// and 500 to 599.
    #[schemars(length(max = 32))]
    pub(crate) failover_statuses: Vec<u16>,
    /// How long a destination may ring, seconds.
    #[schemars(range(min = 1, max = 600))]
    pub(crate) ring_timeout_seconds: u32,
    /// Longest call, seconds.
    #[schemars(range(min = 1, max = 86400))]
    pub(crate) max_duration_seconds: u32,
    /// Session timer asked for (RFC 4028), seconds, at least 90; 0 = off.
    #[schemars(range(min = 0, max = 86400))]
    pub(crate) session_expires_seconds: u32,
    /// Whether it is used.
    pub(crate) enabled: bool,
    /// Whose RTP is believed.
    pub(crate) rtp_source: RawRtpSource,
    /// What becomes of calls that the trunk's telephones hand over, by REFER or by an INVITE with Replaces.
    pub(crate) transfers: RawTransfers,
    /// A tone tells both sides this long before `max_duration_seconds` is over; 0 = none.
    #[schemars(range(min = 0, max = 3600))]
    pub(crate) max_duration_warning_seconds: u32,
    /// The visitor's context as SIP header fields.
    pub(crate) context_fields: RawContextFields,
    /// Some of the visitor's context in User-to-User (RFC 7433).
    pub(crate) user_to_user: RawUserToUser,
    /// Calls from the trunk to browsers that wait for some.
    pub(crate) inbound: RawInbound,
    /// How calls are made, and who they say is calling.
    pub(crate) calls: RawCalls,
    /// What a visitor hears of how a call goes.
    pub(crate) tones: RawTones,
}

impl Default for RawTrunk {
    fn default() -> Self {
        Self {
            id: String::new(),
            target: String::new(),
            codecs: vec![RawCodec::Pcmu, RawCodec::Pcma],
            browser_audio: RawBrowserAudio::Elastic,
            jitter_buffer: RawJitterBuffer::Adaptive,
            srtp: RawSrtp::Off,
            auth: RawAuth::default(),
            tls: None,
            register: false,
            registration: RawRegistration::default(),
            outbound_proxy: String::new(),
            options_seconds: 30,
            dtmf: RawDtmf::Auto,
            max_calls: 1000,
            max_calls_per_second: 0,
            failover_statuses: Vec::new(),
            ring_timeout_seconds: 60,
            max_duration_seconds: 7200,
            session_expires_seconds: 1800,
            enabled: true,
            rtp_source: RawRtpSource::Signalled,
            transfers: RawTransfers::Bridge,
            max_duration_warning_seconds: 60,
            context_fields: RawContextFields::default(),
            user_to_user: RawUserToUser::default(),
            inbound: RawInbound::default(),
            calls: RawCalls::default(),
            tones: RawTones::default(),
        }
    }
}

/// Several trunks of which one takes a call; its id stands wherever a trunk's may.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["id", "trunks"]))]
pub(crate) struct RawTrunkGroup {
    /// Its name; destinations use it as their host.
    pub(crate) id: String,
    /// The trunks.
    #[schemars(length(max = 64))]
    pub(crate) trunks: Vec<RawGroupMember>,
}

/// A trunk of a group.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["id"]))]
pub(crate) struct RawGroupMember {
    /// The trunk's name.
    pub(crate) id: String,
    /// Lower is tried first.
    #[schemars(range(min = 0, max = 65535))]
    pub(crate) priority: u16,
    /// Among those of one priority, how often it is tried first.
    #[schemars(range(min = 0, max = 65535))]
    pub(crate) weight: u16,
}

impl Default for RawGroupMember {
    fn default() -> Self {
        Self { id: String::new(), priority: 1, weight: 1 }
    }
}

/// Trunks and groups of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawTrunks<'a> {
    pub(crate) trunks: &'a [RawTrunk],
    pub(crate) groups: &'a [RawTrunkGroup],
}

/// Digest credentials; both empty = none.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawAuth {
    /// User name.
    pub(crate) username: String,
    /// Password: the value itself, `env:NAME` or `file:PATH`.
    pub(crate) password: RawSecret,
}

/// What gateway → browser audio is coded in.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawBrowserAudio {
    /// The trunk's codec, relayed.
    Relay,
    /// The trunk's codec, relayed, while the browser's network is good; Opus with in-band FEC while it loses packets.
    Elastic,
    /// Opus.
    Opus,
}

/// Who evens out the jitter of what the browser says.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawJitterBuffer {
    /// The gateway: the trunk gets packets at a steady pace.
    Adaptive,
    /// The trunk, which has an adaptive jitter buffer of its own: packets are coded and sent on as they come.
    Transparent,
}

/// How digits go to a trunk and come from it.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawDtmf {
    /// Telephone-events if the trunk's SDP agrees to them; else SIP INFO, and tones if that is refused.
    Auto,
    /// Telephone-events (RFC 4733).
    Rfc4733,
    /// SIP INFO (`application/dtmf-relay`, or `application/dtmf` if that is refused).
    Info,
    /// Tones in the audio, which are listened for as well.
    Inband,
}

/// Encryption of the trunk's audio.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawSrtp {
    /// Plain RTP.
    Off,
    /// SRTP is offered by keys on a plain line (RFC 4568, RFC 8643), plain RTP accepted.
    Optional,
    /// SRTP is demanded (RTP/SAVP): a trunk that will not have it is not called.
    Required,
}

/// Whose RTP is believed.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawRtpSource {
    /// The address and port in the SDP.
    Signalled,
    /// The address in the SDP, at the port the first packets come from: for peers behind NAT.
    Latch,
}

/// What becomes of calls that the trunk's telephones hand over.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawTransfers {
    /// Refused with 603.
    Off,
    /// The gateway dials whomever the REFER names over the same trunk, and bridges the visitor to him.
    Bridge,
}

/// The visitor's context as SIP header fields: `<prefix><key>: value`.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawContextFields {
    /// Put before each key; begins with `X-`.
    pub(crate) prefix: String,
    /// Keys that are sent; `*` is every key.
    #[schemars(length(max = 64))]
    pub(crate) allow: Vec<String>,
}

impl Default for RawContextFields {
    fn default() -> Self {
        Self { prefix: "X-C2C-".into(), allow: vec!["*".into()] }
    }
}

/// User-to-User (RFC 7433): one header field with some of the context, as `key=value;key=value`, values
/// percent-encoded; what is longer becomes the call's id, by which `GET /v1/calls/{call}/context` has it.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawUserToUser {
    /// Keys that are sent, in this order; none = no such field.
    #[schemars(length(max = 64))]
    pub(crate) fields: Vec<String>,
    /// Protocol discriminator (Q.931 table 4-26): two hexadecimal digits, or `none`.
    pub(crate) pd: String,
    /// Where it stands.
    pub(crate) pd_style: RawPdStyle,
    /// How octets are written.
    pub(crate) encoding: RawUuiEncoding,
    /// What the field says it is for.
    pub(crate) purpose: RawUuiPurpose,
    /// Most octets before they are encoded.
    #[schemars(range(min = 64, max = 512))]
    pub(crate) max_bytes: u32,
}

impl Default for RawUserToUser {
    fn default() -> Self {
        Self {
            fields: Vec::new(),
            pd: "04".into(),
            pd_style: RawPdStyle::Prefix,
            encoding: RawUuiEncoding::Hex,
            purpose: RawUuiPurpose::Omit,
            max_bytes: 128,
        }
    }
}

/// Where the protocol discriminator stands.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawPdStyle {
    /// As the first octet (RFC 7434 section 3).
    Prefix,
    /// As the parameter `pd`.
    Param,
}

/// How the octets of User-to-User are written.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawUuiEncoding {
    /// In hexadecimal.
    Hex,
    /// As they are, in quotes.
    Ascii,
}

/// What User-to-User says it is for.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
pub(crate) enum RawUuiPurpose {
    /// `purpose=isdn-uui;content=isdn-uui` (RFC 7434).
    #[serde(rename = "isdn-uui")]
    IsdnUui,
    /// Nothing, which means the same.
    #[serde(rename = "omit")]
    Omit,
}
