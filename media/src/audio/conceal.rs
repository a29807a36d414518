//! Packet-loss concealment for codecs that have none of their own: the last pitch periods go on, fade, and melt into what
//! comes next (the idea of ITU-T G.711 appendix I, without its added delay).

/// How much of the past is kept, milliseconds: a correlation window and the longest lag before it.
const HISTORY_MS: usize = WINDOW_MS + MAX_LAG_MS;
/// The stretch of sound that is compared with its past.
const WINDOW_MS: usize = 20;
/// Pitch periods, or small multiples of them, between 5 ms (200 Hz) and 20 ms (50 Hz).
const MIN_LAG_MS: usize = 5;
const MAX_LAG_MS: usize = 20;
/// The first loss goes on at full level for this long...
const HOLD_MS: usize = 10;
/// ...and is silent by then.
const SILENT_MS: usize = 60;
/// The step where the copy begins is levelled out over this long.
const SETTLE_MS: usize = 3;
/// Real sound comes back over at least and at most this long.
const MERGE_MIN_MS: usize = 5;
const MERGE_MAX_MS: usize = 10;

/// Makes up lost sound. Allocates once.
#[derive(Debug)]
pub(super) struct Concealer {
    /// Samples in a millisecond.
    ms: usize,
    /// The newest sound that was played, oldest sample first.
    history: Box<[f32]>,
    /// One pitch period that can be repeated without a seam, while a gap is being filled.
    period: Box<[f32]>,
    gap: Option<Gap>,
}

/// A gap that is being filled.
#[derive(Debug)]
struct Gap {
    /// Of the period.
    length: usize,
    /// The step from the last real sample to the first made-up one.
    step: f32,
    /// Samples made up so far.
    played: usize,
}

impl Concealer {
    /// For sound of `rate` Hz.
    pub(super) fn new(rate: u32) -> Self {
        let ms = (rate / 1000).max(1) as usize;
        Self { ms, history: vec![0.0; HISTORY_MS * ms].into(), period: vec![0.0; MAX_LAG_MS * ms].into(), gap: None }
    }

    /// Real sound came: after a gap its beginning is blended with the made-up sound.
    pub(super) fn received(&mut self, pcm: &mut [i16]) {
        if let Some(mut gap) = self.gap.take() {
            let most = (MERGE_MIN_MS * self.ms + gap.played / 16).min(MERGE_MAX_MS * self.ms);
            let merge = most.min(pcm.len());
            for (n, sample) in pcm.iter_mut().take(merge).enumerate() {
                let share = (n as f32 + 1.0) / (merge as f32 + 1.0);
                let made_up = gap.next_sample(&self.period, self.ms);
                *sample = to_pcm(made_up + (f32::from(*sample) - made_up) * share);
            }
        }
        self.remember(pcm);
    }

    /// Fills `pcm` with made-up sound.
    pub(super) fn conceal(&mut self, pcm: &mut [i16]) {
        let mut gap = self.gap.take().unwrap_or_else(|| self.begin());
        pcm.iter_mut().for_each(|sample| *sample = to_pcm(gap.next_sample(&self.period, self.ms)));
        self.gap = Some(gap);
        self.remember(pcm);
    }

    /// The next real sound does not follow the last.
    pub(super) fn skip(&mut self) {
        if self.gap.is_none() {
            self.gap = Some(self.begin());
        }
    }

    fn remember(&mut self, pcm: &[i16]) {
        let room = self.history.len();
        let newest = pcm.get(pcm.len().saturating_sub(room)..).unwrap_or_default();
        self.history.copy_within(newest.len().., 0);
        let (_, place) = self.history.split_at_mut(room - newest.len());
        place.iter_mut().zip(newest).for_each(|(kept, &sample)| *kept = f32::from(sample));
    }

    fn begin(&mut self) -> Gap {
        let length = self.pitch_lag();
        let (earlier, last) = self.history.split_at(self.history.len() - length);
        let (_, before) = earlier.split_at(earlier.len() - length);
        self.period.iter_mut().zip(last).for_each(|(copy, &sample)| *copy = sample);
        // The end of the period leans towards what preceded its beginning, so that repeating it makes no step.
        let lean = length / 4;
        for (n, (copy, &earlier)) in self.period.iter_mut().zip(before).enumerate().skip(length - lean) {
            let share = (n + 1 + lean - length) as f32 / lean as f32;
            *copy += (earlier - *copy) * share;
        }
        let step = last.last().copied().unwrap_or_default() - before.last().copied().unwrap_or_default();
        Gap { length, step, played: 0 }
    }

    /// The lag at which the newest sound resembles its own past best: first roughly, then exactly.
    fn pitch_lag(&self) -> usize {
        let (least, most) = (MIN_LAG_MS * self.ms, MAX_LAG_MS * self.ms);
        let stride = (self.ms / 4).max(1);
        let rough = self.best_lag((least..=most).step_by(stride), stride);
        let near = stride - 1;
        self.best_lag(rough.saturating_sub(near).max(least)..=(rough + near).min(most), 1)
    }

    fn best_lag(&self, lags: impl Iterator<Item = usize>, stride: usize) -> usize {
        let begin = self.history.len() - WINDOW_MS * self.ms;
        let (_, newest) = self.history.split_at(begin);
        let mut best = (MAX_LAG_MS * self.ms, 0.0);
        for lag in lags {
            let past = self.history.get(begin - lag..self.history.len() - lag).unwrap_or_default();
            let pairs = newest.iter().zip(past).step_by(stride);
            let (product, energy) = pairs.fold((0.0, 1.0), |(p, e), (&a, &b)| (p + a * b, e + b * b));
            let likeness = if product > 0.0 { product * product / energy } else { 0.0 };
            if likeness > best.1 {
                best = (lag, likeness);
            }
        }
        best.0
    }
}

impl Gap {
    fn next_sample(&mut self, period: &[f32], ms: usize) -> f32 {
        let at = self.played;
        self.played += 1;
        let (hold, silent, settle) = (HOLD_MS * ms, SILENT_MS * ms, SETTLE_MS * ms);
        if at >= silent {
            return 0.0;
        }
        let settling = self.step * settle.saturating_sub(at) as f32 / (settle as f32);
        let level = (silent - at) as f32 / (silent - hold) as f32;
        (period.get(at % self.length).copied().unwrap_or_default() + settling) * level.min(1.0)
    }
}

/// Rust's cast saturates.
fn to_pcm(sample: f32) -> i16 {
    sample.round() as i16
}
