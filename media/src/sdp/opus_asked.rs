//! What we ask of a browser's Opus (RFC 7587 section 6.1): no more band than somebody can hear, and the bits that go
//! farthest over a network that loses packets.

use std::fmt::{Display, Formatter, Result};

use crate::audio::OpusWishes;

/// Parameters of `a=fmtp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked(OpusWishes);

/// What is asked of a browser that is heard at this rate at most, Hz, and says everything twice (RFC 2198) or not.
pub(super) fn of_browser(playback_rate: u32, twice: bool) -> Asked {
    let narrow = playback_rate <= 8_000;
    let bits = match (twice, narrow) {
        (true, true) => 24_000,
        (true, false) => 32_000,
        // In-band FEC takes up to a third of them.
        (false, true) => 40_000,
        (false, false) => 48_000,
    };
    Asked(OpusWishes { playback_rate, fec: true, bitrate: Some(bits) })
}

impl Display for Asked {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let OpusWishes { playback_rate, fec, bitrate } = self.0;
        write!(f, "useinbandfec={};stereo=0;maxplaybackrate={playback_rate}", u8::from(fec))?;
        bitrate.map_or(Ok(()), |bits| write!(f, ";maxaveragebitrate={bits}"))
    }
}
