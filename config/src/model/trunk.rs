//! Trunks.

use std::time::Duration;

use super::{Calls, Codec, Inbound, Registration, Secret, Tls, Tones};

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
    /// What it says goes on as it comes, for the trunk to even out.
    pub transparent: bool,
    /// Encryption of the trunk leg.
    pub srtp: Srtp,
    /// Digest credentials.
    pub auth: Option<TrunkAuth>,
    /// Certificate shown to it; that of `sip.tls` when absent.
    pub tls: Option<Tls>,
    /// Registers with it; calls go out only while it does.
    pub registration: Option<Registration>,
    /// Where every request of the trunk goes first.
    pub outbound_proxy: Option<TrunkTarget>,
    /// OPTIONS interval; none are sent when absent.
    pub options: Option<Duration>,
    /// How digits go and come.
    pub dtmf: Dtmf,
    /// Calls at once.
    pub max_calls: u32,
    /// Calls begun in a second; 0 = no limit.
    pub max_calls_per_second: u32,
    /// Final answers beside 503 after which a call goes elsewhere.
    pub failover_statuses: Vec<u16>,
    /// Ring time-out.
    pub ring_timeout: Duration,
    /// Longest call.
    pub max_duration: Duration,
    /// Session timer asked for (RFC 4028), seconds; 0 = none.
    pub session_expires: u32,
    /// In use.
    pub enabled: bool,
    /// Whose RTP is believed.
    pub rtp_source: RtpSource,
    /// What becomes of calls that its telephones hand over.
    pub transfers: Transfers,
    /// How long before the end of the longest call a tone warns of it.
    pub max_duration_warning: Option<Duration>,
    /// The visitor's context as header fields.
    pub context_fields: ContextFields,
    /// Some of it in User-to-User.
    pub user_to_user: Option<UserToUser>,
    /// Calls from it, if they are taken.
    pub inbound: Option<Inbound>,
    /// How calls are made, and who they say is calling.
    pub calls: Calls,
    /// What a visitor hears of how a call goes.
    pub tones: Tones,
}

impl Trunk {
    /// Where its requests go: the proxy before it, if there is one.
    #[must_use]
    pub fn first_hop(&self) -> &TrunkTarget {
        self.outbound_proxy.as_ref().unwrap_or(&self.target)
    }
}

/// Trunks of which one takes a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrunkGroup {
    /// Its name in destinations; no trunk has it.
    pub id: String,
    /// Its trunks, all of which there are; never empty.
    pub members: Vec<GroupMember>,
}

/// A trunk of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMember {
    /// Trunk id.
    pub trunk: String,
    /// Lower is tried first.
    pub priority: u16,
    /// Among those of one priority, how often it is tried first.
    pub weight: u16,
}

/// The visitor's context as SIP header fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextFields {
    /// Put before each key: `X-` and more characters of a token.
    pub prefix: String,
    /// Keys that are sent; `*` is every key.
    pub allow: Vec<String>,
}

/// Some of the visitor's context in User-to-User (RFC 7433).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserToUser {
    /// Keys, in this order; never empty.
    pub fields: Vec<String>,
    /// Protocol discriminator, two hexadecimal digits.
    pub discriminator: Option<String>,
    /// It is a parameter, and not the first octet.
    pub as_parameter: bool,
    /// How octets are written.
    pub encoding: UuiEncoding,
    /// `purpose=isdn-uui;content=isdn-uui` is said.
    pub isdn: bool,
    /// Most octets before they are encoded.
    pub max_bytes: usize,
}

/// How the octets of User-to-User are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UuiEncoding {
    /// In hexadecimal.
    Hex,
    /// As they are, in quotes.
    Ascii,
}

/// `sip:host`, `host:port`, …
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrunkTarget {
    /// Name or address literal (IPv6 without brackets).
    pub host: String,
    /// Port, if one is named.
    pub port: Option<u16>,
    /// Transport, if one is named.
    pub transport: Option<SipTransport>,
    /// `sips:`: encrypted connections only.
    pub secure: bool,
}

impl TrunkTarget {
    /// The transport, unless the records of the domain name it (RFC 3263 section 4.1).
    #[must_use]
    pub fn known_transport(&self) -> Option<SipTransport> {
        let by_records = self.port.is_none() && self.host.parse::<std::net::IpAddr>().is_err();
        match self.transport {
            Some(transport) => Some(transport),
            None if self.secure => Some(SipTransport::Tls),
            None if by_records => None,
            None => Some(SipTransport::Udp),
        }
    }
}

/// A SIP transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SipTransport {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// TLS.
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
    /// The trunk's codec while the browser's network is good, Opus while it loses packets.
    Elastic,
    /// Opus.
    Opus,
}

/// How digits go to a trunk and come from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dtmf {
    /// By telephone-events if the trunk agrees to them, else by INFO, and as tones if that is refused.
    #[default]
    Auto,
    /// By telephone-events (RFC 4733) alone.
    Rfc4733,
    /// By INFO.
    Info,
    /// As tones.
    Inband,
}

/// Encryption of the trunk leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Srtp {
    /// Plain RTP.
    Off,
    /// Offered; plain RTP will do.
    Optional,
    /// Demanded.
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

/// What becomes of calls that a trunk's telephones hand over (REFER, INVITE with Replaces).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transfers {
    /// They are refused.
    Off,
    /// Whoever is named is dialled over the same trunk, and bridged.
    Bridge,
}
