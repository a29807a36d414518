//! Comfort noise (RFC 3389): the sound of a line whose speaker is silent. Its level is kept; the shape of its spectrum, which
//! few senders tell, is not.

/// Louder noise is nobody's comfort, -dBov.
const LOUDEST: u8 = 30;
/// Level where nobody asks for another, -dBov: that of a quiet line.
pub(crate) const NOISE: u8 = 66;
/// A uniform number between -1 and 1 has this power, and what is written below makes it one.
const UNIFORM: f32 = 3.0;

/// Noise of one level.
#[derive(Debug, Clone)]
pub(crate) struct ComfortNoise {
    /// -dBov.
    level: u8,
    peak: f32,
    random: u32,
}

impl ComfortNoise {
    /// What a payload asks for (section 3.1: the level is its first octet); `None` if it is empty.
    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        payload.first().map(|level| Self::at(level & 0x7f))
    }

    /// Noise of this level, -dBov.
    pub(crate) fn at(level: u8) -> Self {
        let level = level.max(LOUDEST);
        let rms = 32_768.0 * 10.0_f32.powf(-f32::from(level) / 20.0);
        Self { level, peak: rms * UNIFORM.sqrt(), random: 1 }
    }

    /// Goes on at another level, -dBov.
    pub(crate) fn set_level(&mut self, level: u8) {
        if level.max(LOUDEST) != self.level {
            *self = Self { random: self.random, ..Self::at(level) };
        }
    }

    /// Its level, -dBov.
    pub(crate) fn level(&self) -> u8 {
        self.level
    }

    /// Noise for a frame.
    pub(crate) fn fill(&mut self, pcm: &mut [i16]) {
        for sample in pcm {
            // Numbers enough for noise: Knuth's and Lewis's generator.
            self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let number = self.random.cast_signed() as f32 / 2.0_f32.powi(31);
            *sample = (self.peak * number) as i16;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::tone::level;

    #[test]
    fn the_level_is_what_was_asked_for() {
        let heard = |payload: &[u8]| {
            let mut pcm = [0; 8_000];
            ComfortNoise::read(payload).unwrap().fill(&mut pcm);
            level(&pcm)
        };
        for asked in [40, 50, 60] {
            assert!((heard(&[asked, 1, 2, 3]) + f64::from(asked)).abs() < 0.5, "{asked}: {}", heard(&[asked]));
        }
        assert!((heard(&[0]) + 30.0).abs() < 0.5, "nobody is deafened");
        assert!(heard(&[127]) < -90.0);
        assert!(ComfortNoise::read(&[]).is_none());
    }
}
