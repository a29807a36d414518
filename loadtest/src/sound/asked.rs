//! What a gateway's answer asks of a browser, and what Chromium makes of it.

use trunkline_media::audio::OpusWishes;

use crate::row::{OPUS, RED};

/// What a browser does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    /// How it speaks Opus; it takes all the bits.
    pub(super) opus: OpusWishes,
    pub(super) bits: u32,
    /// It says everything twice (RFC 2198).
    pub(super) twice: bool,
}

impl Asked {
    /// Of who is asked for nothing in particular.
    pub(super) const NOTHING: Self =
        Self { opus: OpusWishes { playback_rate: 48_000, fec: true, bitrate: None }, bits: 32_000, twice: false };

    /// Reads an answer.
    pub(super) fn by(answer: &str) -> Self {
        let own = format!("a=fmtp:{OPUS} ");
        let parameters = answer.lines().find_map(|line| line.strip_prefix(&own)).unwrap_or_default();
        let number = |name: &str| {
            let named = |parameter: &str| parameter.split_once('=').filter(|(own, _)| *own == name)?.1.parse().ok();
            parameters.split(';').find_map(named)
        };
        let playback_rate = number("maxplaybackrate").unwrap_or(48_000);
        let usual = match playback_rate {
            0..=8_000 => 12_000,
            8_001..=16_000 => 20_000,
            _ => 32_000,
        };
        let line = answer.lines().find(|line| line.starts_with("m=audio")).unwrap_or_default();
        let at = |number: u8| line.split(' ').position(|word| word == number.to_string());
        Self {
            opus: OpusWishes { playback_rate, fec: number("useinbandfec") == Some(1), bitrate: None },
            bits: number("maxaveragebitrate").unwrap_or(usual),
            // Behind what it repeats it is for listening only.
            twice: at(RED).is_some_and(|red| at(OPUS).is_some_and(|opus| red < opus)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_does_what_it_is_asked_as_chromium_does() {
        let by = |formats: &str, parameters: &str| {
            Asked::by(&format!("v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF {formats}\r\na=fmtp:111 {parameters}\r\n"))
        };
        let check = |asked: Asked, rate, bits, twice| {
            assert_eq!((asked.opus.playback_rate, asked.bits, asked.twice), (rate, bits, twice));
        };
        check(by("111 0", "useinbandfec=1"), 48_000, 32_000, false);
        check(by("111 63 0", "maxplaybackrate=16000"), 16_000, 20_000, false);
        check(by("63 111", "useinbandfec=1;maxplaybackrate=8000;maxaveragebitrate=24000"), 8_000, 24_000, true);
        assert!(by("111", "minptime=10;useinbandfec=1").opus.fec && !by("111", "stereo=0").opus.fec);
        assert_eq!(Asked::by("v=0\r\n"), Asked { opus: OpusWishes::default(), ..Asked::NOTHING });
    }
}
