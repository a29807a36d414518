//! The quadrature mirror filters that part 16 kHz into two bands of 8 kHz and join them again (G.722 sections 3.1, 4.4
//! and 5.2).

/// Half of the symmetric filter, in units of 2^-13 (table 11).
const TAPS: [i32; 12] = [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11];

/// The last 24 samples as two lines, so that each phase of the filter is one product of vectors.
#[derive(Debug, Default)]
struct Lines {
    /// Oldest first.
    forward: [i32; 12],
    backward: [i32; 12],
}

impl Lines {
    /// Takes a pair of samples; what both phases of the filter make of the last 24.
    fn push(&mut self, first: i32, second: i32) -> (i32, i32) {
        self.forward.rotate_left(1);
        self.backward.rotate_left(1);
        let [.., forward] = &mut self.forward;
        *forward = first;
        let [.., backward] = &mut self.backward;
        *backward = second;
        let one: i32 = self.forward.iter().zip(&TAPS).map(|(sample, tap)| sample * tap).sum();
        let other: i32 = self.backward.iter().zip(TAPS.iter().rev()).map(|(sample, tap)| sample * tap).sum();
        (one, other)
    }
}

/// Parts the bands.
#[derive(Debug, Default)]
pub(super) struct Splitter(Lines);

impl Splitter {
    /// A sample of the lower band and one of the higher, each of 15 bits.
    pub(super) fn split(&mut self, first: i16, second: i16) -> (i32, i32) {
        let (one, other) = self.0.push(i32::from(first), i32::from(second));
        (limit((other + one) >> 14), limit((other - one) >> 14))
    }
}

/// Joins them.
#[derive(Debug, Default)]
pub(super) struct Joiner(Lines);

impl Joiner {
    /// Two samples.
    pub(super) fn join(&mut self, low: i32, high: i32) -> [i16; 2] {
        let (one, other) = self.0.push(low + high, low - high);
        [to_pcm(other >> 11), to_pcm(one >> 11)]
    }
}

/// Keeps a sub-band's sample within its 15 bits.
pub(super) fn limit(sample: i32) -> i32 {
    sample.clamp(-16_384, 16_383)
}

fn to_pcm(sample: i32) -> i16 {
    sample.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
}
