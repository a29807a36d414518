//! `[quality]`, `[records]` and `[events]`

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is measured of a call, and what counts as good.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawQuality {
    /// Measures every half-leg once a second, colours it, keeps the series.
    pub(crate) measure: bool,
    /// Listens for what people report: echo, noise, a clipping or silent microphone.
    pub(crate) listen: bool,
    /// Lost and discarded packets over 5 seconds, of a thousand.
    pub(crate) loss_permille: RawBands,
    /// Round trip, milliseconds.
    pub(crate) rtt_ms: RawBands,
    /// Interarrival jitter, milliseconds.
    pub(crate) jitter_ms: RawBands,
    /// Conversational score of the E-model in hundredths: the level holds below the number.
    pub(crate) mos_hundredths: RawBands,
    /// Time without expected audio, milliseconds.
    pub(crate) gap_ms: RawBands,
    /// A network that was red for so long before a call was lost is named as the cause, seconds.
    #[schemars(range(min = 1, max = 60))]
    pub(crate) poor_after_seconds: u32,
}

impl Default for RawQuality {
    fn default() -> Self {
        let bands = |amber, red| RawBands { amber, red };
        Self {
            measure: true,
            listen: true,
            loss_permille: bands(10, 50),
            rtt_ms: bands(200, 400),
            jitter_ms: bands(30, 50),
            mos_hundredths: bands(400, 310),
            gap_ms: bands(500, 2000),
            poor_after_seconds: 5,
        }
    }
}

/// Where amber and red begin.
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawBands {
    /// Amber from here on.
    #[schemars(range(min = 1, max = 60_000))]
    pub(crate) amber: u32,
    /// Red from here on.
    #[schemars(range(min = 1, max = 60_000))]
    pub(crate) red: u32,
}

/// How long calls are remembered: records, series, findings and trails of ended calls, in the database of
/// `node.data_dir`. Whichever limit is reached first, the oldest go.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawRecords {
    /// Days a call is kept after its end.
    #[schemars(range(min = 1, max = 3650))]
    pub(crate) keep_days: u32,
    /// Megabytes the database may grow to.
    #[schemars(range(min = 16, max = 1_000_000))]
    pub(crate) keep_megabytes: u32,
}

impl Default for RawRecords {
    fn default() -> Self {
        Self { keep_days: 30, keep_megabytes: 1024 }
    }
}

/// The log of events and of their deliveries, in the database of `node.data_dir`. What waits for a receiver is not
/// forgotten.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawEvents {
    /// Days an event is kept.
    #[schemars(range(min = 1, max = 3650))]
    pub(crate) keep_days: u32,
    /// Megabytes events and their deliveries may take.
    #[schemars(range(min = 16, max = 1_000_000))]
    pub(crate) keep_megabytes: u32,
    /// Megabytes of events that may wait in memory while the disk is away.
    #[schemars(range(min = 1, max = 4096))]
    pub(crate) backlog_megabytes: u32,
    /// Deliveries that may wait for one integration; more are not tried unless somebody asks for them.
    #[schemars(range(min = 100, max = 10_000_000))]
    pub(crate) pending_max: u32,
}

impl Default for RawEvents {
    fn default() -> Self {
        Self { keep_days: 7, keep_megabytes: 512, backlog_megabytes: 64, pending_max: 100_000 }
    }
}
