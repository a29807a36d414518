//! Audio: codecs, the jitter buffer, concealment, DTMF, prompts, test tones.

pub mod codec;
mod conceal;
pub mod dtmf;
pub(crate) mod expected_loss;
mod g711;
mod g722;
pub mod jitter_buffer;
pub(crate) mod noise;
mod ogg;
mod opus;
pub mod prompt;
mod rates;
mod resample;
pub mod signal;
pub mod sweep;
pub mod timescale;
pub mod tone;

/// What a receiver of Opus asks of its sender (RFC 7587 section 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpusWishes {
    /// It hears no more than half of this, Hz.
    pub playback_rate: u32,
    /// It makes use of in-band FEC.
    pub fec: bool,
    /// It wants no more bits a second than this.
    pub bitrate: Option<u32>,
}

impl Default for OpusWishes {
    fn default() -> Self {
        Self { playback_rate: 48_000, fec: false, bitrate: None }
    }
}

/// A voice codec this gateway speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Opus, RFC 6716 / 7587.
    Opus,
    /// G.722 at 64 kbit/s, RFC 3551.
    G722,
    /// G.711 µ-law, RFC 3551.
    Pcmu,
    /// G.711 A-law, RFC 3551.
    Pcma,
}

impl Codec {
    /// The RTP clock, Hz.
    #[must_use]
    pub fn clock_rate(self) -> u32 {
        match self {
            Self::Opus => 48_000,
            // G.722's is half its sample rate, for history's sake (RFC 3551 section 4.5.2).
            Self::G722 | Self::Pcmu | Self::Pcma => 8_000,
        }
    }

    /// The rate of the PCM that is worth its while, Hz: the codec's own; of Opus, which has them all, that of speech.
    #[must_use]
    pub fn pcm_rate(self) -> u32 {
        match self {
            Self::Opus => 16_000,
            Self::G722 => g722::RATE,
            Self::Pcmu | Self::Pcma => g711::RATE,
        }
    }

    /// The highest rate at which somebody who is sent this can play it, Hz.
    #[must_use]
    pub fn playback_rate(self) -> u32 {
        match self {
            Self::Opus => 48_000,
            Self::G722 => g722::RATE,
            Self::Pcmu | Self::Pcma => g711::RATE,
        }
    }

    /// The name in SDP, as RFC 4855 registers it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Opus => "opus",
            Self::G722 => "G722",
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        }
    }

    /// How much audio a payload holds, in units of the codec's RTP clock: what a jitter buffer wants to know of a
    /// packet. `None` if it is no payload of this codec.
    #[must_use]
    pub fn samples_in(self, payload: &[u8]) -> Option<u32> {
        match self {
            Self::Opus => opus::samples_in(payload, 48_000).and_then(|n| u32::try_from(n).ok()),
            Self::G722 => g722::octets_in(payload).and_then(|n| u32::try_from(n).ok()),
            Self::Pcmu | Self::Pcma => g711::samples_in(payload).and_then(|n| u32::try_from(n).ok()),
        }
    }

    /// What each octet of a payload stands for, where an octet is a sample.
    pub(crate) fn samples_by_octet(self) -> Option<&'static [i16; 256]> {
        match self {
            Self::Opus | Self::G722 => None,
            Self::Pcmu => Some(g711::decoder(g711::Law::Mu)),
            Self::Pcma => Some(g711::decoder(g711::Law::A)),
        }
    }

    /// Whether a payload holds (next to) silence, as far as can be said without decoding: such a frame can be left
    /// out unheard.
    #[must_use]
    pub fn is_quiet(self, payload: &[u8]) -> bool {
        match self {
            Self::Opus => payload.len() <= opus::QUIET_OCTETS,
            // Its octets tell nothing without those before them.
            Self::G722 => false,
            Self::Pcmu => g711::is_quiet(g711::Law::Mu, payload),
            Self::Pcma => g711::is_quiet(g711::Law::A, payload),
        }
    }
}
