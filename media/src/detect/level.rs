//! Levels in dBov (RFC 6464 section 3): 0 is the power of a full-scale square wave.

/// The level of nothing.
pub(super) const FLOOR_DBOV: i8 = -127;

/// 10·log10 of full scale squared.
const FULL_SCALE_DB: f32 = 90.309;

/// Level of this mean of squares.
pub(crate) fn dbov(power: f32) -> i8 {
    if power > 0.0 { of_power(power) } else { FLOOR_DBOV }
}

/// Level of a sum of `count` mean squares.
pub(super) fn dbov_of_sums(sum: f32, count: u16) -> i8 {
    if sum <= 0.0 || count == 0 {
        return FLOOR_DBOV;
    }
    of_power(sum / f32::from(count))
}

fn of_power(power: f32) -> i8 {
    (decibels(power) - FULL_SCALE_DB).clamp(-127.0, 0.0).round() as i8
}

/// 10·log10 with an error of at most 0.3 dB: the exponent is there already, and within it the logarithm is nearly
/// straight.
fn decibels(power: f32) -> f32 {
    /// Octaves a bit of the mantissa stands for.
    const BIT: f32 = 1.0 / (1 << 23) as f32;
    /// Halves the error.
    const MIDDLE: f32 = 0.043;
    let octaves = power.to_bits() as f32 * BIT - 127.0 + MIDDLE;
    octaves * 3.0103
}

/// What a level stands for, in units where 0 dBov is 1.
pub(super) fn power(level: f32) -> f32 {
    10.0_f32.powf(level / 10.0)
}

/// The way back.
pub(super) fn level(power: f32) -> f32 {
    10.0 * power.max(1e-13).log10()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::tone::Tone;

    #[test]
    fn levels_are_those_of_tones() {
        for wanted in [-3.1, -10.0, -25.0, -40.0, -55.0, -70.0] {
            let pcm = Tone::new(440.0, 8000, wanted).take(8000);
            let energy: u64 = pcm.iter().map(|s| u64::from(s.unsigned_abs()).pow(2)).sum();
            let measured = f64::from(dbov(energy as f32 / pcm.len() as f32));
            assert!((measured - wanted).abs() <= 1.0, "{measured} for {wanted}");
        }
        assert_eq!((dbov(0.0), dbov(f32::MAX)), (-127, 0));
    }
}
