//! Digits as tones (ITU-T Q.23), for trunks that take them no other way.

use std::time::Duration;

use super::PAUSE;
use crate::api::Digit;
use crate::audio::prompt::{Prompt, PromptError};
use crate::audio::tone::Tone;

const RATE: u32 = 8_000;
/// -8 and -6 dBm0: the high tone suffers more on the way.
const LOW_DBOV: f64 = -14.2;
const HIGH_DBOV: f64 = -12.2;

/// A recording of one digit, with the silence that sets it apart from what was heard before and from the next.
pub fn recording(digit: Digit, duration: Duration) -> Result<Prompt, PromptError> {
    let samples = |time: Duration| usize::try_from(time.as_millis()).unwrap_or_default() * RATE as usize / 1000;
    let mut pcm = vec![0; samples(PAUSE / 2)];
    let (low, high) = frequencies(digit);
    let mut tone = Tone::new(low, RATE, LOW_DBOV).take(samples(duration));
    Tone::new(high, RATE, HIGH_DBOV).mix(&mut tone);
    pcm.append(&mut tone);
    pcm.resize(pcm.len() + samples(PAUSE / 2), 0);
    Prompt::from_pcm(RATE, pcm)
}

/// The two tones of a digit, Hz.
fn frequencies(digit: Digit) -> (f64, f64) {
    let low = match digit.as_char() {
        '1' | '2' | '3' | 'A' => 697.0,
        '4' | '5' | '6' | 'B' => 770.0,
        '7' | '8' | '9' | 'C' => 852.0,
        _ => 941.0,
    };
    let high = match digit.as_char() {
        '1' | '4' | '7' | '*' => 1209.0,
        '2' | '5' | '8' | '0' => 1336.0,
        '3' | '6' | '9' | '#' => 1477.0,
        _ => 1633.0,
    };
    (low, high)
}
