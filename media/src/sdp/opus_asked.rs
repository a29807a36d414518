//! What we ask of a browser's Opus (RFC 7587 section 6.1): no more band than somebody can hear, and the bits that go
//! farthest over a network that loses packets.

use std::fmt::{Display, Formatter, Result};

use crate::audio::OpusWishes;

/// No browser is asked for less, whoever hears it: without what lies above 4 kHz nobody can tell that its microphone is a
/// narrow one.
const LEAST_RATE: u32 = 16_000;

/// Parameters of `a=fmtp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked(OpusWishes);

/// What is asked of a browser that is heard at this rate at most, Hz, and says everything twice (RFC 2198) or not.
pub(super) fn of_browser(playback_rate: u32, twice: bool) -> Asked {
    // In-band FEC takes up to a third of what is said once.
    let bits = if twice { 32_000 } else { 48_000 };
    Asked(OpusWishes { playback_rate: playback_rate.max(LEAST_RATE), fec: true, bitrate: Some(bits) })
}

impl Display for Asked {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let OpusWishes { playback_rate, fec, bitrate } = self.0;
        write!(f, "useinbandfec={};stereo=0;maxplaybackrate={playback_rate}", u8::from(fec))?;
        bitrate.map_or(Ok(()), |bits| write!(f, ";maxaveragebitrate={bits}"))
    }
}
