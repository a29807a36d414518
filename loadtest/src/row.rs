//! The rows of the table: what kind of call is measured.

use serde::Serialize;
use trunkline_media::audio::Codec;

use crate::speech::Speech;
use crate::stream::{Content, Format};

/// Payload type of Opus in browsers' offers.
pub(crate) const OPUS: u8 = 111;
/// And of redundant Opus.
pub(crate) const RED: u8 = 63;

/// A kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Row {
    /// As `relay`, with nothing measured and nobody listening: what quality and diagnosis cost is the difference.
    Unmeasured,
    /// PCMU in SRTP to PCMU in RTP.
    Relay,
    /// As `relay`, while somebody who may not sends 2,000 SIP requests a second.
    Flooded,
    /// Opus in SRTP to PCMU in RTP, both ways.
    Transcode,
    /// Opus in SRTP to PCMU in RTP, and PCMU back while nothing gets lost.
    Elastic,
}

impl Row {
    pub(crate) const ALL: [Self; 5] = [Self::Unmeasured, Self::Relay, Self::Flooded, Self::Transcode, Self::Elastic];

    /// The trunk's `browser_audio`.
    pub(crate) fn policy(self) -> &'static str {
        match self {
            Self::Unmeasured | Self::Relay | Self::Flooded => "relay",
            Self::Transcode => "opus",
            Self::Elastic => "elastic",
        }
    }

    /// Whether quality is measured: `[quality]` of the configuration.
    pub(crate) fn is_measured(self) -> bool {
        match self {
            Self::Unmeasured => false,
            Self::Relay | Self::Flooded | Self::Transcode | Self::Elastic => true,
        }
    }

    /// What the browser offers, most wanted first.
    pub(crate) fn offered(self) -> &'static [Codec] {
        match self {
            Self::Unmeasured | Self::Relay | Self::Flooded => &[Codec::Pcmu, Codec::Opus],
            Self::Transcode => &[Codec::Opus],
            Self::Elastic => &[Codec::Opus, Codec::Pcmu],
        }
    }

    /// What the browser says.
    pub(crate) fn browser_says(self, speech: &Speech) -> (Content, Format) {
        match self {
            Self::Unmeasured | Self::Relay | Self::Flooded => {
                (Content::Stamped, Format { payload_type: 0, ticks: 160 })
            }
            Self::Transcode | Self::Elastic => {
                (Content::Speech(speech.opus.clone()), Format { payload_type: OPUS, ticks: 960 })
            }
        }
    }

    /// What the agent says: PCMU.
    pub(crate) fn agent_says(self, speech: &Speech) -> (Content, Format) {
        let content = match self {
            Self::Unmeasured | Self::Relay | Self::Flooded => Content::Stamped,
            Self::Transcode | Self::Elastic => Content::Speech(speech.pcmu.clone()),
        };
        (content, Format { payload_type: 0, ticks: 160 })
    }
}
