//! What a call can be told to do, by an answer hook or through the API.

use std::sync::Arc;

use trunkline_media::audio::prompt::Prompt;

use super::headers::Fields;
use crate::routing::Planned;

/// Most actions in one list.
pub const MAX_ACTIONS: usize = 16;

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Let the visitor hear this to its end.
    Hear(Sound, Manner),
    /// Dial these destinations; what stands behind it is for when they come to nothing.
    Connect(Box<Connect>),
    /// End the call; in whose name.
    Hangup(&'static str),
}

impl Action {
    /// Its name in the trail.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Hear(Sound::Say { .. }, _) => "say",
            Self::Hear(Sound::Prompt(_) | Sound::Url(_) | Sound::Missing(_), _) => "play",
            Self::Connect(_) => "connect",
            Self::Hangup(_) => "hangup",
        }
    }
}

/// How something is played.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Manner {
    /// Over and over, until it is stopped or something else is played.
    pub looped: bool,
    /// Over what the other leg says, which is lowered meanwhile; else instead of it.
    pub over: bool,
}

/// Something that can be heard.
#[derive(Debug, Clone, PartialEq)]
pub enum Sound {
    /// A recording in memory.
    Prompt(Arc<Prompt>),
    /// A text to be spoken.
    Say {
        /// What is said.
        text: String,
        /// BCP 47.
        lang: String,
    },
    /// A recording somewhere else.
    Url(String),
    /// A recording of this name that there is not.
    Missing(String),
}

/// Where a call shall go.
#[derive(Debug, Clone, PartialEq)]
pub struct Connect {
    /// Destinations, in order.
    pub plan: Vec<Planned>,
    /// Further header fields; they win over the session's.
    pub headers: Fields,
}
