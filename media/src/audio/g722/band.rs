//! The adaptive differential code of each sub-band (G.722 sections 3.2 to 3.6 and 6.2): the difference to what was
//! predicted is quantised, and coder and decoder alike learn from it how loud the next will be and how to predict it.
//!
//! All numbers are 16 bits wide and saturate, as the Recommendation has them, and are held in 32.

use super::qmf::limit;

/// Decision levels of the lower band (table 16), in units of 2^-12 of the scale.
const LOW_LEVELS: [i32; 29] = [
    35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023, 1121, 1219, 1339,
    1458, 1612, 1765, 1980, 2195, 2557, 2919,
];

/// What the lower band's codes stand for, in units of 2^-15 of the scale: all six bits (table 18), and the upper four, from
/// which both sides learn (table 17).
const LOW_6_BITS: [i32; 64] = [
    -136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232, -9360, -8576,
    -7856, -7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776, -2400, -2032, -1688, -1360, -1040,
    -728, 24808, 21904, 19008, 16704, 14984, 13512, 12280, 11192, 10232, 9360, 8576, 7856, 7192, 6576, 6000, 5456,
    4944, 4464, 4008, 3576, 3168, 2776, 2400, 2032, 1688, 1360, 1040, 728, 432, 136, -432, -136,
];
const LOW_4_BITS: [i32; 16] =
    [0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584, 1200, 0];
/// The same of the higher band (table 20), and its one decision level.
const HIGH_2_BITS: [i32; 4] = [-7408, -1616, 7408, 1616];
const HIGH_LEVEL: i32 = 564;

/// How much louder or softer the next is expected to be (tables 12 and 14), by the codes.
const LOW_STEPS: [i32; 16] = [-60, 3042, 1198, 538, 334, 172, 58, -30, 3042, 1198, 538, 334, 172, 58, -30, -60];
const HIGH_STEPS: [i32; 4] = [798, -214, 798, -214];

/// 2^(n/32) in units of 2^-11 (table 13).
const POWERS: [i32; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834, 2896, 2960, 3025,
    3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];

/// The lower band: six bits a sample.
#[derive(Debug)]
pub(super) struct Low(Adaptive);

impl Default for Low {
    fn default() -> Self {
        Self(Adaptive::new(32))
    }
}

impl Low {
    /// The code of a sample.
    pub(super) fn encode(&mut self, sample: i32) -> u8 {
        let (magnitude, negative) = self.0.difference(sample);
        let scale = self.0.scale;
        let level = LOW_LEVELS.partition_point(|&level| magnitude >= (level * scale) >> 12) as u8;
        // Table 5: the two inmost negative levels have the codes that the outmost would have.
        let code = match (negative, level) {
            (true, 0..=1) => 63 - level,
            (true, _) => 33 - level,
            (false, _) => 61 - level,
        };
        self.learn(code);
        code
    }

    /// The sample of a code.
    pub(super) fn decode(&mut self, code: u8) -> i32 {
        let sample = limit(self.0.predicted + self.0.scaled(entry(&LOW_6_BITS, code)));
        self.learn(code);
        sample
    }

    fn learn(&mut self, code: u8) {
        let code = code >> 2;
        let difference = self.0.scaled(entry(&LOW_4_BITS, code));
        self.0.rescale(entry(&LOW_STEPS, code), 18_432, 8);
        self.0.predict(difference);
    }
}

/// The higher band: two bits a sample.
#[derive(Debug)]
pub(super) struct High(Adaptive);

impl Default for High {
    fn default() -> Self {
        Self(Adaptive::new(8))
    }
}

impl High {
    /// The code of a sample.
    pub(super) fn encode(&mut self, sample: i32) -> u8 {
        let (magnitude, negative) = self.0.difference(sample);
        let is_large = magnitude >= (HIGH_LEVEL * self.0.scale) >> 12;
        // Table 6.
        let code = match (negative, is_large) {
            (true, false) => 1,
            (true, true) => 0,
            (false, false) => 3,
            (false, true) => 2,
        };
        self.learn(code);
        code
    }

    /// The sample of a code.
    pub(super) fn decode(&mut self, code: u8) -> i32 {
        let sample = limit(self.0.predicted + self.0.scaled(entry(&HIGH_2_BITS, code)));
        self.learn(code);
        sample
    }

    fn learn(&mut self, code: u8) {
        let difference = self.0.scaled(entry(&HIGH_2_BITS, code));
        self.0.rescale(entry(&HIGH_STEPS, code), 22_528, 10);
        self.0.predict(difference);
    }
}

/// What both bands have in common, and both ends.
#[derive(Debug, Default)]
struct Adaptive {
    /// The quantiser's scale, and its logarithm.
    scale: i32,
    log_scale: i32,
    /// The next sample as it is expected, and the part of it that the zeros tell.
    predicted: i32,
    predicted_by_zeros: i32,
    poles: [i32; 2],
    zeros: [i32; 6],
    /// Newest first: differences, samples as the other end makes them, and these less what the poles told.
    differences: [i32; 6],
    samples: [i32; 2],
    partial: [i32; 2],
}

impl Adaptive {
    fn new(scale: i32) -> Self {
        Self { scale, ..Self::default() }
    }

    /// How far a sample is from what was expected, and whether it is below.
    fn difference(&self, sample: i32) -> (i32, bool) {
        let difference = saturate(sample - self.predicted);
        let negative = difference < 0;
        (if negative { -(difference + 1) } else { difference }, negative)
    }

    fn scaled(&self, part: i32) -> i32 {
        (self.scale * part) >> 15
    }

    /// LOGSCL and SCALEL of section 6.2.1.3, and their siblings for the higher band.
    fn rescale(&mut self, step: i32, most: i32, base: i32) {
        self.log_scale = (((self.log_scale * 127) >> 7) + step).clamp(0, most);
        let power = entry(&POWERS, ((self.log_scale >> 6) & 31) as u8);
        let shift = base - (self.log_scale >> 11);
        self.scale = if shift < 0 { power << -shift } else { power >> shift } << 2;
    }

    /// Learns from a difference and expects the next sample (section 6.2.1.4).
    fn predict(&mut self, difference: i32) {
        let partial = saturate(difference + self.predicted_by_zeros);
        let sample = saturate(self.predicted + difference);
        self.adapt_poles(partial);
        self.adapt_zeros(difference);
        self.partial = [partial, self.partial[0]];
        self.samples = [sample, self.samples[0]];
        let [newest, older] = self.samples;
        let [first, second] = self.poles;
        let by_poles = saturate(product(first, saturate(2 * newest)) + product(second, saturate(2 * older)));
        self.predicted = saturate(by_poles + self.predicted_by_zeros);
    }

    /// UPPOL2 and UPPOL1.
    fn adapt_poles(&mut self, partial: i32) {
        let same = |older: i32| (partial < 0) == (older < 0);
        let [newer, older] = self.partial.map(same);
        let [first, second] = self.poles;
        let first_four_times = saturate(4 * first);
        let towards = saturate(signed(first_four_times, !newer)) >> 7;
        let second = towards + signed(128, older) + product(second, 32_512);
        let second = second.clamp(-12_288, 12_288);
        let room = 15_360 - second;
        let first = signed(192, newer) + product(first, 32_640);
        self.poles = [first.clamp(-room, room), second];
    }

    /// UPZERO, and FILTEZ on what comes of it.
    fn adapt_zeros(&mut self, difference: i32) {
        let step = if difference == 0 { 0 } else { 128 };
        for (zero, &older) in self.zeros.iter_mut().zip(&self.differences) {
            let towards = signed(step, (older < 0) == (difference < 0));
            *zero = saturate(towards + product(*zero, 32_640));
        }
        self.differences.rotate_right(1);
        self.differences[0] = difference;
        // Oldest first, as it matters where it saturates.
        let pairs = self.zeros.iter().zip(&self.differences).rev();
        self.predicted_by_zeros =
            pairs.fold(0, |sum, (&zero, &older)| saturate(sum + product(zero, saturate(2 * older))));
    }
}

fn saturate(number: i32) -> i32 {
    number.clamp(i32::from(i16::MIN), i32::from(i16::MAX))
}

fn signed(number: i32, positive: bool) -> i32 {
    if positive { number } else { -number }
}

fn product(a: i32, b: i32) -> i32 {
    (a * b) >> 15
}

/// Codes are masked to their table's size.
fn entry<const N: usize>(table: &[i32; N], code: u8) -> i32 {
    table.get(usize::from(code)).copied().unwrap_or_default()
}
