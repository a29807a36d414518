//! How good each half-leg is: measured once a second, scored with the E-model, coloured.
//!
//! A bridged call has four half-legs. Each is measured, scored and coloured alone, so that nobody is blamed for
//! another's network.

mod arrivals;
mod burst;
pub mod emodel;
mod half_leg;
mod level;
mod loss;
mod monitor;
mod remote;
mod voip;

use std::time::Duration;

pub(crate) use self::arrivals::{Arrival, Arrivals, Kind};
pub(crate) use self::burst::BurstMeter;
pub use self::burst::Bursts;
pub use self::emodel::MOS_MODEL;
pub(crate) use self::monitor::{Audio, DownReading, LegReading, Monitor, UpReading};
pub(crate) use self::remote::{OwnStream, RemoteView};
pub(crate) use self::voip::voip_report;
use crate::api::Leg;

/// One direction of one leg.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HalfLeg {
    /// Visitor to gateway.
    BrowserUp,
    /// Gateway to visitor; known from the browser's reports.
    BrowserDown,
    /// Agent to gateway.
    SipUp,
    /// Gateway to agent; known from the trunk's reports.
    SipDown,
}

impl HalfLeg {
    /// All four, in the order of every array of them.
    pub const ALL: [Self; 4] = [Self::BrowserUp, Self::BrowserDown, Self::SipUp, Self::SipDown];

    /// The contract's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::BrowserUp => "browser_up",
            Self::BrowserDown => "browser_down",
            Self::SipUp => "sip_up",
            Self::SipDown => "sip_down",
        }
    }

    /// The leg it is half of.
    #[must_use]
    pub fn leg(self) -> Leg {
        match self {
            Self::BrowserUp | Self::BrowserDown => Leg::Browser,
            Self::SipUp | Self::SipDown => Leg::Trunk,
        }
    }
}

/// The colour of a half-leg, best first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Not measured, or not long enough; never a guess.
    #[default]
    Unknown,
    /// Good.
    Green,
    /// Noticeable.
    Amber,
    /// Bad.
    Red,
}

impl Level {
    /// All of them, best first.
    pub const ALL: [Self; 4] = [Self::Unknown, Self::Green, Self::Amber, Self::Red];

    /// The contract's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Green => "green",
            Self::Amber => "amber",
            Self::Red => "red",
        }
    }
}

/// What makes a half-leg amber or red.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum LevelReason {
    /// Lost and discarded packets.
    Loss = 1,
    /// Round trip.
    Rtt = 2,
    /// Interarrival jitter.
    Jitter = 4,
    /// The E-model's score.
    Mos = 8,
    /// Expected audio does not come.
    NoMedia = 16,
    /// ICE-TCP.
    TcpFallback = 32,
    /// A TURN relay.
    Relay = 64,
}

impl LevelReason {
    /// In the order the contract names them.
    pub const ALL: [Self; 7] =
        [Self::Loss, Self::Rtt, Self::Jitter, Self::Mos, Self::NoMedia, Self::TcpFallback, Self::Relay];

    /// The contract's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::Rtt => "rtt",
            Self::Jitter => "jitter",
            Self::Mos => "mos",
            Self::NoMedia => "no_media",
            Self::TcpFallback => "tcp_fallback",
            Self::Relay => "relay",
        }
    }
}

/// A set of reasons.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Reasons(u8);

impl Reasons {
    /// Adds one.
    pub fn insert(&mut self, reason: LevelReason) {
        self.0 |= reason as u8;
    }

    /// Has it among them or not.
    pub fn set(&mut self, reason: LevelReason, among: bool) {
        if among {
            self.insert(reason);
        } else {
            self.0 &= !(reason as u8);
        }
    }

    /// These and those.
    #[must_use]
    pub fn with(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether it is among them.
    #[must_use]
    pub fn contains(self, reason: LevelReason) -> bool {
        self.0 & reason as u8 != 0
    }

    /// Each of them, in the contract's order.
    pub fn iter(self) -> impl Iterator<Item = LevelReason> {
        LevelReason::ALL.into_iter().filter(move |reason| self.contains(*reason))
    }
}

/// Where a round trip was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RttSource {
    /// The peer's report on ours (RFC 3550 DLSR).
    Rtcp,
    /// The peer's XR DLRR (RFC 3611 section 4.5).
    RtcpXr,
    /// A STUN transaction of ours.
    Stun,
}

impl RttSource {
    /// Its name in records.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Rtcp => "rtcp",
            Self::RtcpXr => "rtcp_xr",
            Self::Stun => "stun",
        }
    }
}

/// One second of one half-leg. `None`: not known; never a guess.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct HalfLegSample {
    /// Packets received (up) or sent (down) in this second.
    pub packets: u32,
    /// Lost of expected in this second (down: in the peer's last report), 0..1.
    pub loss: Option<f32>,
    /// Came too late to be played, of expected, 0..1.
    pub late: Option<f32>,
    /// Interarrival jitter, milliseconds.
    pub jitter_ms: Option<f32>,
    /// Round trip, milliseconds.
    pub rtt_ms: Option<f32>,
    /// Where that was measured.
    pub rtt_source: Option<RttSource>,
    /// What the jitter buffer aims at, milliseconds.
    pub buffer_target_ms: Option<u16>,
    /// What it has, milliseconds.
    pub buffer_ms: Option<u16>,
    /// Share of the audio played in this second that was made up, 0..1.
    pub concealed: Option<f32>,
    /// Level of the audio, dBov, -127..=0.
    pub audio_dbov: Option<i8>,
    /// Listening quality (E-model without delay).
    pub mos_lq: Option<f32>,
    /// Conversational quality; unknown without a round trip.
    pub mos_cq: Option<f32>,
    /// Time since the last packet of audio that was expected, or the longest such time that ended in this second,
    /// milliseconds; 0 while none is expected. Down: time since the peer last reported that anything arrived.
    pub gap_ms: u32,
    /// Audio is expected: connected, not held, not muted. Who is silent by DTX or comfort noise leaves no gap.
    pub expected: bool,
    /// The colour after hysteresis.
    pub level: Level,
    /// What makes it so.
    pub reasons: Reasons,
}

/// Where the bands of a level begin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bands {
    /// Amber from here on.
    pub amber: f32,
    /// Red from here on.
    pub red: f32,
}

/// What is measured, and where the bands lie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// Sampling, levels, series.
    pub measure: bool,
    /// Detectors that listen to the audio.
    pub listen: bool,
    /// Loss and discard over 5 s, 0..1.
    pub loss: Bands,
    /// Milliseconds.
    pub rtt_ms: Bands,
    /// Milliseconds.
    pub jitter_ms: Bands,
    /// Conversational score: amber below `amber`, red below `red`.
    pub mos: Bands,
    /// Milliseconds without expected audio.
    pub gap_ms: Bands,
    /// Red for so long before a loss makes the network its cause.
    pub poor_after: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            measure: true,
            listen: true,
            loss: Bands { amber: 0.01, red: 0.05 },
            rtt_ms: Bands { amber: 200.0, red: 400.0 },
            jitter_ms: Bands { amber: 30.0, red: 50.0 },
            mos: Bands { amber: 4.0, red: 3.1 },
            gap_ms: Bands { amber: 500.0, red: 2000.0 },
            poor_after: Duration::from_secs(5),
        }
    }
}
