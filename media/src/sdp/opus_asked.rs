//! What we ask of a browser's Opus (RFC 7587 section 6.1): no more band than somebody can hear, and the bits that go
//! farthest over a network that loses packets.

/// No browser is asked for less, whoever hears it: without what lies above 4 kHz nobody can tell that its microphone is a
/// narrow one.
const LEAST_RATE: u32 = 16_000;

/// What is asked of a browser that is heard at this rate at most, Hz, and says everything twice (RFC 2198) or not: parameters
/// of `a=fmtp`.
pub(super) fn of_browser(playback_rate: u32, twice: bool) -> String {
    let rate = playback_rate.max(LEAST_RATE);
    // In-band FEC takes up to a third of what is said once.
    let bits = if twice { 32_000 } else { 48_000 };
    format!("useinbandfec=1;stereo=0;maxplaybackrate={rate};maxaveragebitrate={bits}")
}
