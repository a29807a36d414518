//! Who speaks a text: one small interface, and what stands behind it by default.

use std::sync::Arc;

use futures::future::BoxFuture;
use trunkline_media::audio::prompt::Prompt;

mod espeak;

pub use espeak::Espeak;

/// Speaks texts.
pub trait Speech: Send + Sync + 'static {
    /// A text in a language (BCP 47) as a recording. Bounded in time and size by whoever implements it; dropped when
    /// nobody wants it any more.
    fn say(&self, text: String, lang: String) -> BoxFuture<'static, Result<Arc<Prompt>, SpeechError>>;
}

/// A text that is not spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpeechError {
    /// Too many texts are being spoken.
    #[error("too many texts are being spoken")]
    Busy,
    /// It took too long.
    #[error("speaking took too long")]
    TimedOut,
    /// More audio than a text can come to.
    #[error("the speaker does not stop")]
    TooLarge,
    /// The program cannot be started, failed, or said nothing that can be heard.
    #[error("the speaker failed")]
    Failed,
}
