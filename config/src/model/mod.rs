//! The checked configuration: what the rest of the gateway sees.

mod app;
mod calls;
mod inbound;
mod public;
mod quality;
mod registration;
mod signing;
mod sip;
mod tls;
mod tones;
mod trunk;

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

pub use app::{
    AnswerHook, App, AppLimits, ContextLimits, EVENT_NAMES, Hours, Integration, Profile, Schedule, ScheduleException,
    WidgetKey,
};
pub use calls::{Calls, ReliableProvisional};
pub use inbound::{Inbound, Network, Number, Receive, Strangers};
pub use public::{ApiKey, Control, ControlLimits, IceCredentials, IceServer, Public, PublicLimits, Scope, TokenKey};
pub use quality::{Bands, Events, Quality, Records};
pub use registration::Registration;
pub use signing::{KeysError, SigningKeys};
pub use sip::Sip;
pub use tls::{Identity, Tls};
pub use tones::{FailureSound, REGIONS, Tones};
pub use trunk::{
    BrowserAudio, ContextFields, Dtmf, GroupMember, RtpSource, SipTransport, Srtp, Transfers, Trunk, TrunkAuth,
    TrunkGroup, TrunkTarget, UserToUser, UuiEncoding,
};

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
    /// `[quality]`
    pub quality: Quality,
    /// `[records]`
    pub records: Records,
    /// `[events]`
    pub events: Events,
    /// `[outbound]`
    pub outbound: Outbound,
    /// `[[trunks]]`
    pub trunks: Vec<Trunk>,
    /// `[[trunk_groups]]`
    pub trunk_groups: Vec<TrunkGroup>,
    /// `[[apps]]`
    pub apps: Vec<App>,
}

/// Requests to URLs that the file or a back end names.
#[derive(Debug, Clone)]
pub struct Outbound {
    /// PEM file of the authorities that https receivers are checked against; the system's when absent.
    pub tls_ca: Option<PathBuf>,
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

/// What legs on hold hear, over and over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldAudio {
    /// The prompt `hold`.
    Prompt,
    /// The prompt `hold_music`.
    Music,
    /// Comfort noise.
    Noise,
}

/// The media plane.
#[derive(Debug, Clone)]
pub struct Media {
    /// Worker threads; 0 in the file becomes the number of cores.
    pub workers: usize,
    /// Worker n listens on port + n.
    pub udp_listen: SocketAddr,
    /// Where browsers' TCP connections are taken, for all workers (ICE-TCP).
    pub tcp_listen: Option<SocketAddr>,
    /// Public addresses, behind 1:1 NAT.
    pub advertise: Vec<IpAddr>,
    /// Codecs a browser may be answered with.
    pub browser_codecs: Vec<Codec>,
    /// Address of the trunk legs' sockets.
    pub rtp_listen: IpAddr,
    /// Their ports; the first is even, and there is room for one pair at least.
    pub rtp_ports: RangeInclusive<u16>,
    /// How long the ports of an ended call rest before they are used again.
    pub quarantine: Duration,
    /// Offer to media.
    pub setup: Duration,
    /// No RTP.
    pub inactivity: Duration,
    /// How long a vanished browser is waited for.
    pub grace: Duration,
    /// Own prompts over the bundled ones.
    pub prompts_dir: Option<PathBuf>,
    /// What legs on hold hear.
    pub hold_audio: HoldAudio,
    /// Speaks texts, by name or path.
    pub say_command: Option<String>,
}

impl Media {
    /// Addresses worker `worker` tells browsers: the advertised ones, or else the one it listens on.
    pub fn candidates(&self, worker: usize) -> impl Iterator<Item = SocketAddr> + '_ {
        let offset = if self.udp_listen.port() == 0 { 0 } else { u16::try_from(worker).unwrap_or(u16::MAX) };
        let port = self.udp_listen.port().saturating_add(offset);
        let own = self.advertise.is_empty().then(|| self.udp_listen.ip());
        self.advertise.iter().copied().chain(own).map(move |ip| SocketAddr::new(ip, port))
    }

    /// Where browsers reach the media over TCP, if they do.
    pub fn tcp_candidates(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.tcp_listen.into_iter().flat_map(|listen| {
            let own = if listen.ip().is_unspecified() { self.udp_listen.ip() } else { listen.ip() };
            let own = self.advertise.is_empty().then_some(own);
            self.advertise.iter().copied().chain(own).map(move |ip| SocketAddr::new(ip, listen.port()))
        })
    }

    /// Pairs of an even port and the odd one above in [`Self::rtp_ports`]: as many calls can be up at once.
    #[must_use]
    pub fn rtp_pairs(&self) -> usize {
        self.rtp_ports.len() / 2
    }
}

/// A codec by its name in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// `opus`
    Opus,
    /// `G722`
    G722,
    /// `PCMU`
    Pcmu,
    /// `PCMA`
    Pcma,
}

impl std::fmt::Display for Codec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Opus => "opus",
            Self::G722 => "G722",
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        })
    }
}
