//! The paths that speech can take through a call.

use serde::Serialize;
use trunkline_media::audio::Codec;

/// Which way speech goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Way {
    /// From the browser to the trunk.
    Up,
    /// From the trunk to the browser.
    Down,
}

/// One path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Path {
    pub(super) name: &'static str,
    pub(super) way: Way,
    /// What the browser offers; it speaks the first.
    pub(super) offered: &'static [Codec],
    pub(super) trunk: Codec,
    pub(super) elastic: bool,
    pub(super) on_arrival: bool,
    /// The browser offers redundancy (RFC 2198), and speaks so.
    pub(super) red: bool,
    /// How hard the gateway may try to encode Opus: 1 where its processor is busy, more where it is idle.
    pub(super) complexity: u8,
    /// PCM rate at which it is judged, Hz.
    pub(super) rate: u32,
}

impl Path {
    /// What the browser speaks.
    pub(super) fn browser(&self) -> Codec {
        self.offered.first().copied().unwrap_or(Codec::Opus)
    }

    /// PCM rate of the one who speaks, Hz: a browser's microphone has the whole band.
    pub(super) fn source_rate(&self) -> u32 {
        if self.way == Way::Up && self.browser() == Codec::Opus { 48_000 } else { self.rate }
    }
}

const OPUS: &[Codec] = &[Codec::Opus];
const BOTH: &[Codec] = &[Codec::Opus, Codec::Pcmu];
const PCMU: &[Codec] = &[Codec::Pcmu];

/// What a worker of the gateway permits that has been idle for a while.
const IDLE: u8 = 5;

const fn path(name: &'static str, way: Way, offered: &'static [Codec], trunk: Codec) -> Path {
    Path { name, way, offered, trunk, elastic: false, on_arrival: false, red: false, complexity: 1, rate: 8_000 }
}

/// Where the codec of one leg is another than that of the other, and where it is the same.
pub(super) const ALL: [Path; 12] = [
    path("PCMU relayed up", Way::Up, PCMU, Codec::Pcmu),
    path("PCMU relayed down", Way::Down, PCMU, Codec::Pcmu),
    path("opus relayed up", Way::Up, OPUS, Codec::Opus),
    Path { red: true, ..path("opus relayed up, RED", Way::Up, OPUS, Codec::Opus) },
    path("opus to PCMU", Way::Up, OPUS, Codec::Pcmu),
    Path { red: true, ..path("opus to PCMU, RED", Way::Up, OPUS, Codec::Pcmu) },
    Path { on_arrival: true, ..path("opus to PCMU, transparent", Way::Up, OPUS, Codec::Pcmu) },
    Path { rate: 16_000, ..path("opus to G722", Way::Up, OPUS, Codec::G722) },
    path("PCMU to opus", Way::Down, OPUS, Codec::Pcmu),
    Path { complexity: IDLE, ..path("PCMU to opus, idle", Way::Down, OPUS, Codec::Pcmu) },
    Path { red: true, ..path("PCMU to opus, RED", Way::Down, OPUS, Codec::Pcmu) },
    Path { elastic: true, ..path("PCMU, elastic", Way::Down, BOTH, Codec::Pcmu) },
];
