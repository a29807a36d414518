//! What visitors hear of how their calls go.

/// Codes of the regions whose tones are known: ISO 3166 countries, and what ITU-T E.180 recommends.
pub const REGIONS: [&str; 27] = [
    "itu", "ar", "at", "au", "be", "br", "ca", "ch", "cl", "cz", "de", "dk", "es", "fi", "fr", "gb", "gr", "hu", "ie",
    "it", "mx", "nl", "no", "pl", "pt", "se", "us",
];

/// What a visitor hears of how a call over a trunk goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tones {
    /// One of [`REGIONS`].
    pub region: String,
    /// It rings until the answer, while no early media comes.
    pub ringback: bool,
    /// When no destination can be reached.
    pub failure: FailureSound,
}

/// What is heard when no destination can be reached, before the call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureSound {
    /// Nothing: the call ends at once.
    Off,
    /// The region's busy tone.
    Tone,
    /// The prompt `call_failed`.
    Prompt,
}

impl Default for Tones {
    fn default() -> Self {
        Self { region: "itu".to_owned(), ringback: true, failure: FailureSound::Off }
    }
}
