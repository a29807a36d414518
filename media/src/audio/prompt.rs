//! Prompts: short recordings, and the player that hands them out frame by frame.

use std::sync::Arc;

/// A recording in memory: mono 16-bit PCM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    rate: u32,
    samples: Vec<i16>,
}

/// A prompt that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PromptError(pub String);

impl Prompt {
    /// Reads a WAV file's bytes (PCM 16 bit, mono or stereo mixed down, 8, 16 or 48 kHz; at most ten minutes).
    pub fn from_wav(bytes: &[u8]) -> Result<Self, PromptError> {
        todo!()
    }

    /// Takes mono PCM.
    pub fn from_pcm(rate: u32, samples: Vec<i16>) -> Result<Self, PromptError> {
        todo!()
    }
}

/// Hands out one prompt frame by frame at the rate asked for.
pub struct Player {}

impl Player {
    /// Plays `prompt` as PCM at `rate` Hz (8000, 16000 or 48000).
    #[must_use]
    pub fn new(prompt: Arc<Prompt>, rate: u32, looped: bool) -> Self {
        todo!()
    }

    /// Fills `frame`, with silence past the end; `false` once there is nothing more to play.
    pub fn fill(&mut self, frame: &mut [i16]) -> bool {
        todo!()
    }
}
