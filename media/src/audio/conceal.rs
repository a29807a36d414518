//! Packet-loss concealment for G.711: the last pitch periods go on, fade, and melt into what comes next (the idea of
//! ITU-T G.711 appendix I, without its added delay).

/// Samples at 8 kHz in a millisecond.
const MS: usize = 8;

/// How much of the past is kept: a correlation window and the longest lag before it.
const HISTORY: usize = WINDOW + MAX_LAG;
/// The stretch of sound that is compared with its past.
const WINDOW: usize = 20 * MS;
/// Pitch periods, or small multiples of them, between 5 ms (200 Hz) and 20 ms (50 Hz).
const MIN_LAG: usize = 5 * MS;
const MAX_LAG: usize = 20 * MS;
/// The first loss goes on at full level for this long...
const HOLD: usize = 10 * MS;
/// ...and is silent by then.
const SILENT: usize = 60 * MS;
/// The step where the copy begins is levelled out over this long.
const SETTLE: usize = 3 * MS;
/// Real sound comes back over at least and at most this long.
const MERGE_MIN: usize = 5 * MS;
const MERGE_MAX: usize = 10 * MS;

/// Makes up lost 8 kHz sound. Allocates nothing.
#[derive(Debug)]
pub(super) struct Concealer {
    /// The newest sound that was played, oldest sample first.
    history: [f32; HISTORY],
    gap: Option<Gap>,
}

/// A gap that is being filled.
#[derive(Debug)]
struct Gap {
    /// One pitch period that can be repeated without a seam.
    period: [f32; MAX_LAG],
    length: usize,
    /// The step from the last real sample to the first made-up one.
    step: f32,
    /// Samples made up so far.
    played: usize,
}

impl Default for Concealer {
    fn default() -> Self {
        Self { history: [0.0; HISTORY], gap: None }
    }
}

impl Concealer {
    /// Real sound came: after a gap its beginning is blended with the made-up sound.
    pub(super) fn received(&mut self, pcm: &mut [i16]) {
        if let Some(mut gap) = self.gap.take() {
            let merge = (MERGE_MIN + gap.played / 16).min(MERGE_MAX).min(pcm.len());
            for (n, sample) in pcm.iter_mut().take(merge).enumerate() {
                let share = (n as f32 + 1.0) / (merge as f32 + 1.0);
                let made_up = gap.next_sample();
                *sample = to_pcm(made_up + (f32::from(*sample) - made_up) * share);
            }
        }
        self.remember(pcm);
    }

    /// Fills `pcm` with made-up sound.
    pub(super) fn conceal(&mut self, pcm: &mut [i16]) {
        let mut gap = self.gap.take().unwrap_or_else(|| Gap::after(&self.history));
        pcm.iter_mut().for_each(|sample| *sample = to_pcm(gap.next_sample()));
        self.gap = Some(gap);
        self.remember(pcm);
    }

    /// The next real sound does not follow the last.
    pub(super) fn skip(&mut self) {
        if self.gap.is_none() {
            self.gap = Some(Gap::after(&self.history));
        }
    }

    fn remember(&mut self, pcm: &[i16]) {
        let newest = pcm.get(pcm.len().saturating_sub(HISTORY)..).unwrap_or_default();
        self.history.rotate_left(newest.len());
        let (_, place) = self.history.split_at_mut(HISTORY - newest.len());
        place.iter_mut().zip(newest).for_each(|(kept, &sample)| *kept = f32::from(sample));
    }
}

impl Gap {
    fn after(history: &[f32; HISTORY]) -> Self {
        let length = pitch_lag(history);
        let mut period = [0.0; MAX_LAG];
        let (_, last) = history.split_at(HISTORY - length);
        period.iter_mut().zip(last).for_each(|(copy, &sample)| *copy = sample);
        // The end of the period leans towards what preceded its beginning, so that repeating it makes no step.
        let before = history.get(HISTORY - 2 * length..HISTORY - length).unwrap_or_default();
        let lean = length / 4;
        for (n, (copy, &earlier)) in period.iter_mut().zip(before).enumerate().skip(length - lean) {
            let share = (n + 1 + lean - length) as f32 / lean as f32;
            *copy += (earlier - *copy) * share;
        }
        let step = last.last().copied().unwrap_or_default() - before.last().copied().unwrap_or_default();
        Self { period, length, step, played: 0 }
    }

    fn next_sample(&mut self) -> f32 {
        let at = self.played;
        self.played += 1;
        if at >= SILENT {
            return 0.0;
        }
        let settle = self.step * SETTLE.saturating_sub(at) as f32 / (SETTLE as f32);
        let level = (SILENT - at) as f32 / (SILENT - HOLD) as f32;
        (self.period.get(at % self.length).copied().unwrap_or_default() + settle) * level.min(1.0)
    }
}

/// The lag at which the newest sound resembles its own past best: first roughly, then exactly.
fn pitch_lag(history: &[f32; HISTORY]) -> usize {
    let rough = best_lag(history, (MIN_LAG..=MAX_LAG).step_by(2), 2);
    best_lag(history, rough.saturating_sub(1).max(MIN_LAG)..=(rough + 1).min(MAX_LAG), 1)
}

fn best_lag(history: &[f32; HISTORY], lags: impl Iterator<Item = usize>, stride: usize) -> usize {
    let (_, newest) = history.split_at(HISTORY - WINDOW);
    let mut best = (MAX_LAG, 0.0);
    for lag in lags {
        let past = history.get(HISTORY - WINDOW - lag..HISTORY - lag).unwrap_or_default();
        let pairs = newest.iter().zip(past).step_by(stride);
        let (product, energy) = pairs.fold((0.0, 1.0), |(p, e), (&a, &b)| (p + a * b, e + b * b));
        let likeness = if product > 0.0 { product * product / energy } else { 0.0 };
        if likeness > best.1 {
            best = (lag, likeness);
        }
    }
    best.0
}

/// Rust's cast saturates.
fn to_pcm(sample: f32) -> i16 {
    sample.round() as i16
}
