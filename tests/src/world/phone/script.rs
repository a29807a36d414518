//! What phones do.

use std::time::Duration;

use trunkline_media::audio::Codec;

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
    /// Hangs up this long after it answered.
    pub hang_up: Option<Duration>,
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
            hang_up: None,
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

    /// Without audio.
    #[must_use]
    pub fn dumb(self) -> Self {
        Self { audio: false, ..self }
    }
}
