//! What is wrong with a call's audio, found by listening to it and counting: raised while it lasts, cleared after.

mod detectors;
mod ear;
mod echo;
mod hearing;
mod ledger;
mod level;
mod microphone;
mod passage;
mod probe;
#[cfg(test)]
mod tests;
mod voice_activity;

pub(crate) use self::detectors::{Detectors, Situation};
pub(crate) use self::ear::Ear;
pub(crate) use self::hearing::Hearing;
pub(crate) use self::level::dbov;
use crate::quality::HalfLeg;

/// Something wrong that a call's media shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Issue {
    /// Nothing comes (up), or the peer reports that nothing arrives (down).
    NoPackets,
    /// Packets come that the keys do not open.
    Undecryptable,
    /// Packets come from an address that is not believed.
    WrongSource,
    /// Packets come of a payload type nobody negotiated.
    UnknownPayloadType,
    /// Packets come without any energy in them.
    Silence,
    /// Lost packets.
    Loss,
    /// Jitter.
    Jitter,
    /// A long round trip.
    Rtt,
    /// The microphone is too quiet.
    MicLow,
    /// The microphone clips.
    MicClipping,
    /// The microphone's gain goes up and down.
    MicUnstableGain,
    /// No energy over 4 kHz in a wideband stream.
    NarrowbandMic,
    /// Noise behind the voice.
    BackgroundNoise,
    /// What the other side says comes back.
    Echo,
    /// The browser reaches us over TCP.
    TcpFallback,
    /// The browser reaches us through a TURN relay.
    RelayInUse,
}

/// A piece of evidence.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// A measure, in the unit its name ends with.
    Number(f64),
    /// How many.
    Count(u64),
    /// A word or an address.
    Text(String),
}

/// An issue begins or ends.
#[derive(Debug, Clone, PartialEq)]
pub struct IssueChange {
    /// What.
    pub issue: Issue,
    /// Where.
    pub half_leg: HalfLeg,
    /// It begins (or is seen again with better evidence); else it is over.
    pub raised: bool,
    /// How sure, 0..1.
    pub confidence: f32,
    /// What shows it, by name.
    pub evidence: Vec<(&'static str, Fact)>,
}

/// Whether a half-leg's audio gets through, in a word. It stays from when it was last known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Not known, or nothing is expected.
    #[default]
    Unknown,
    /// Sound comes (up).
    Heard,
    /// The peer reports that our packets arrive (down).
    Delivered,
    /// Packets come and hold silence; nobody has spoken yet.
    Silent,
    /// Nothing comes (up), or nothing arrives (down).
    NoPackets,
    /// Only packets come that the keys do not open.
    Undecryptable,
    /// Only packets come from an address that is not believed.
    WrongSource,
    /// Only packets come of a payload type nobody negotiated.
    UnknownPayloadType,
}

impl Verdict {
    /// The contract's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Heard => "heard",
            Self::Delivered => "delivered",
            Self::Silent => "silent",
            Self::NoPackets => "no_packets",
            Self::Undecryptable => "undecryptable",
            Self::WrongSource => "wrong_source",
            Self::UnknownPayloadType => "unknown_payload_type",
        }
    }
}
