//! What phones do.

use std::net::SocketAddr;
use std::time::Duration;

use trunkline_media::audio::Codec;

use super::rtcp::Rtcp;
use super::transfer::Obeys;
use crate::world::voice::Says;

/// What a phone does with a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    /// Says 180 after this; `None`: never.
    pub ring: Option<Duration>,
    /// Then.
    pub answer: Answer,
    /// Plays its tone while it rings (183 with a description).
    pub early_media: bool,
    /// The codec it speaks, and the only one.
    pub codec: Codec,
    /// Sends and plays audio; off, a phone costs next to nothing.
    pub audio: bool,
    /// What it says once it has answered.
    pub says: Says,
    /// What it reports of what it hears.
    pub rtcp: Rtcp,
    /// Its RTP comes from here, whatever its SDP says.
    pub rtp_from: Option<SocketAddr>,
    /// Its RTP carries this payload type, whatever its SDP says.
    pub payload_type: Option<u8>,
    /// Takes digits as telephone events.
    pub events: bool,
    /// Hangs up this long after it answered.
    pub hang_up: Option<Duration>,
    /// What it says when it is asked to hand its caller over.
    pub obeys: Obeys,
}

/// How a phone ends its ringing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// 200, this long after the INVITE.
    After(Duration),
    /// This status, this long after the INVITE.
    Reject(u16, Duration),
    /// Rings on.
    Never,
}

impl Script {
    /// Rings at once, is answered after this.
    #[must_use]
    pub fn answers_after(delay: Duration) -> Self {
        Self {
            ring: Some(Duration::from_millis(50)),
            answer: Answer::After(delay),
            early_media: false,
            codec: Codec::Pcmu,
            audio: true,
            says: Says::Tone,
            rtcp: Rtcp::Honest,
            rtp_from: None,
            payload_type: None,
            events: true,
            hang_up: None,
            obeys: Obeys::Refuses(405),
        }
    }

    /// Refuses with this status.
    #[must_use]
    pub fn rejects(status: u16) -> Self {
        let answer = Answer::Reject(status, Duration::from_millis(200));
        Self { ring: None, answer, ..Self::answers_after(Duration::ZERO) }
    }

    /// Rings for ever.
    #[must_use]
    pub fn rings() -> Self {
        Self { answer: Answer::Never, ..Self::answers_after(Duration::ZERO) }
    }

    /// With this codec.
    #[must_use]
    pub fn codec(self, codec: Codec) -> Self {
        Self { codec, ..self }
    }

    /// With these words.
    #[must_use]
    pub fn says(self, says: Says) -> Self {
        Self { says, ..self }
    }

    /// With this RTCP.
    #[must_use]
    pub fn rtcp(self, rtcp: Rtcp) -> Self {
        Self { rtcp, ..self }
    }

    /// Without audio.
    #[must_use]
    pub fn dumb(self) -> Self {
        Self { audio: false, ..self }
    }
}
