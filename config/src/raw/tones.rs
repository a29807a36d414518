//! `[[trunks]] tones`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a visitor hears of how a call over a trunk goes, where the trunk itself lets nothing be heard.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawTones {
    /// Country (ISO 3166, lower case) whose tones they are; `itu` = what ITU-T E.180 recommends.
    pub(crate) region: String,
    /// A ringback tone from 180 to the answer, while no early media comes.
    pub(crate) ringback: bool,
    /// What is heard when no destination can be reached, before the call ends.
    pub(crate) failure: RawFailureSound,
}

impl Default for RawTones {
    fn default() -> Self {
        Self { region: "itu".into(), ringback: true, failure: RawFailureSound::Off }
    }
}

/// What is heard when no destination can be reached.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RawFailureSound {
    /// Nothing: the call ends at once.
    Off,
    /// The region's busy tone, for some seconds.
    Tone,
    /// The prompt `call_failed`.
    Prompt,
}
