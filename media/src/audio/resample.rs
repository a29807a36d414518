//! Sample-rate conversion for recordings that lie in memory: a windowed sinc, one phase a step.

use std::f64::consts::PI;

/// Zero crossings of the sinc on each side.
const LOBES: usize = 12;
/// Most phases: 22050 to 16000 Hz has 320.
const PHASES: usize = 640;

/// Converts between two rates. Each output sample is computed from the recording
/// directly, so there is no state and no delay.
#[derive(Debug)]
pub(super) struct Resampler {
    /// So many output samples
    up: usize,
    /// come of so many input samples.
    down: usize,
    /// Input samples before the one an output falls on.
    reach: usize,
    /// `up` phases of `2 * reach` taps.
    taps: Vec<f32>,
}

impl Resampler {
    /// `None` where one is no rate, or they have too little in common.
    pub(super) fn new(from: u32, to: u32) -> Option<Self> {
        let (from, to) = (from as usize, to as usize);
        let common = common_divisor(from, to);
        let (up, down) = (to.checked_div(common)?, from.checked_div(common)?);
        if up == 0 || down == 0 || up > PHASES {
            return None;
        }
        // The lower of both rates decides how far a sample is smeared.
        let slower = (down as f64 / up as f64).max(1.0);
        let reach = (LOBES as f64 * slower).ceil() as usize;
        let taps = (0..up).flat_map(|phase| phase_taps(phase as f64 / up as f64, reach, slower)).collect();
        Some(Self { up, down, reach, taps })
    }

    /// How many samples come of `input` samples.
    pub(super) fn output_len(&self, input: usize) -> usize {
        input.saturating_mul(self.up) / self.down
    }

    /// Output sample `n` of the recording that `input(i)` tells (`i` may lie outside of it).
    pub(super) fn sample(&self, n: usize, input: impl Fn(isize) -> i16) -> i16 {
        let place = n.saturating_mul(self.down);
        let (phase, at) = (place % self.up, (place / self.up).cast_signed());
        if self.up == 1 && self.down == 1 {
            return input(at);
        }
        let width = 2 * self.reach;
        let taps = self.taps.get(phase * width..(phase + 1) * width).unwrap_or_default();
        let first = at - self.reach.cast_signed() + 1;
        let sum: f32 = taps.iter().zip(first..).map(|(tap, i)| tap * f32::from(input(i))).sum();
        sum.round() as i16
    }
}

fn common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

/// Taps for an output that lies `offset` input samples behind the input sample it falls on. Their sum is one.
fn phase_taps(offset: f64, reach: usize, slower: f64) -> Vec<f32> {
    // The cut-off is at the lower of both rates' half, less a margin for the filter's slope.
    let cutoff = 0.92 / slower;
    let taps: Vec<f64> = (0..2 * reach)
        .map(|k| {
            let distance = k as f64 - (reach as f64 - 1.0) - offset;
            let x = PI * distance * cutoff;
            let sinc = if x.abs() < 1e-9 { 1.0 } else { x.sin() / x };
            let window = 0.5 + 0.5 * (PI * distance / reach as f64).clamp(-PI, PI).cos();
            sinc * window
        })
        .collect();
    let sum: f64 = taps.iter().sum();
    taps.iter().map(|tap| (tap / sum) as f32).collect()
}
