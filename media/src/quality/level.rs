//! The colour of a half-leg: bands of each metric, the worst one wins, and it takes its time.
//!
//! Worse when three of the last five samples are worse (at once on a long gap), better only after five good ones in a
//! row, unknown until the fourth sample. To be good a sample must clear the threshold by a margin, so that a metric
//! that lies on a threshold does not flap; getting worse knows no margin. Who gets worse again soon after it got better
//! must be good for four times as long the next time. TCP and a relay do not change the colour by
//! themselves: they are named as reasons while it is amber or red.

use super::loss::LossWindow;
use super::{Bands, Level, LevelReason, Policy, Reasons};

/// Samples looked back at.
const SAMPLES: usize = 5;

/// Worse again within so many samples of getting better is a relapse.
const RELAPSE: u8 = 60;

/// Relapses in a row that count.
const RELAPSES: u8 = 2;

/// So many of them decide for worse.
const MAJORITY: usize = 3;

/// Samples before the first colour: it is unknown for the first three seconds.
const FIRST: u8 = 4;

/// To be better, a metric must be better than the threshold by these shares of it.
const RTT_MARGIN: f32 = 0.1;
/// A round trip, by this share of its spread if that is more: what is left of chance once it is smoothed.
const SPREAD_MARGIN: f32 = 0.33;
const JITTER_MARGIN: f32 = 0.15;
/// The same for the score, in points.
const MOS_MARGIN: f32 = 0.1;

/// One metric's band: `plain` as the thresholds say, `calm` with the margin of whoever gets better.
#[derive(Debug, Clone, Copy)]
struct Verdict {
    reason: LevelReason,
    plain: Level,
    calm: Level,
}

/// What a sample is judged by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub(crate) loss: &'a LossWindow,
    /// Seconds in which there must have been packets for the loss to count.
    pub(crate) loss_within: usize,
    pub(crate) rtt_ms: Option<f32>,
    /// So far apart may two round trips be by jitter alone.
    pub(crate) rtt_spread_ms: f32,
    pub(crate) jitter_ms: Option<f32>,
    pub(crate) mos_cq: Option<f32>,
    pub(crate) gap_ms: u32,
}

/// The judgement of one sample.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Judgement {
    verdicts: [Option<Verdict>; 5],
    /// A gap so long that there is nothing to wait for.
    at_once: bool,
}

/// One sample that is over.
#[derive(Debug, Default, Clone, Copy)]
struct Past {
    level: Level,
    reasons: Reasons,
}

/// Level with its hysteresis.
#[derive(Debug, Clone)]
pub(crate) struct LevelMachine {
    level: Level,
    reasons: Reasons,
    /// Newest first.
    past: [Past; SAMPLES],
    samples: u8,
    /// Samples in a row that were better, and the worst of them.
    better: u8,
    worst_better: Past,
    /// Relapses in a row, and samples since it last got better.
    relapses: u8,
    since_better: u8,
}

impl Judgement {
    pub(crate) fn of(reading: &Reading<'_>, policy: &Policy) -> Self {
        let loss = reading.loss.rate(reading.loss_within).map(|rate| Verdict {
            reason: LevelReason::Loss,
            plain: upward(rate, policy.loss),
            calm: match () {
                () if !reading.loss.is_below(policy.loss.red) => Level::Red,
                () if !reading.loss.is_below(policy.loss.amber) => Level::Amber,
                () => Level::Green,
            },
        });
        let gap = reading.gap_ms as f32;
        let verdicts = [
            loss,
            reading.rtt_ms.map(|value| {
                let least = reading.rtt_spread_ms * SPREAD_MARGIN;
                with_margin(LevelReason::Rtt, value, policy.rtt_ms, (RTT_MARGIN, least))
            }),
            reading
                .jitter_ms
                .map(|value| with_margin(LevelReason::Jitter, value, policy.jitter_ms, (JITTER_MARGIN, 0.0))),
            reading.mos_cq.map(|value| Verdict {
                reason: LevelReason::Mos,
                plain: downward(value, policy.mos),
                calm: downward(value - MOS_MARGIN, policy.mos),
            }),
            (reading.gap_ms > 0).then(|| with_margin(LevelReason::NoMedia, gap, policy.gap_ms, (0.0, 0.0))),
        ];
        Self { verdicts, at_once: reading.gap_ms > 0 && upward(gap, policy.gap_ms) == Level::Red }
    }

    /// The worst band, and what is in it.
    fn worst(&self, calm: bool) -> Past {
        let band = |verdict: &Verdict| if calm { verdict.calm } else { verdict.plain };
        let level = self.verdicts.iter().flatten().map(band).max().unwrap_or(Level::Green);
        let mut reasons = Reasons::default();
        if level > Level::Green {
            self.verdicts.iter().flatten().filter(|v| band(v) == level).for_each(|v| reasons.insert(v.reason));
        }
        Past { level, reasons }
    }
}

impl Default for LevelMachine {
    fn default() -> Self {
        Self {
            level: Level::Unknown,
            reasons: Reasons::default(),
            past: [Past::default(); SAMPLES],
            samples: 0,
            better: 0,
            worst_better: Past::default(),
            relapses: 0,
            since_better: RELAPSE,
        }
    }
}

impl LevelMachine {
    pub(crate) fn level(&self) -> Level {
        self.level
    }

    /// Why, with what is in use beside.
    pub(crate) fn reasons(&self, in_use: Reasons) -> Reasons {
        match self.level {
            Level::Unknown | Level::Green => Reasons::default(),
            Level::Amber | Level::Red => self.reasons.with(in_use),
        }
    }

    /// Takes one more sample.
    pub(crate) fn judge(&mut self, judgement: &Judgement) {
        let plain = judgement.worst(false);
        self.past.copy_within(..SAMPLES - 1, 1);
        if let Some(newest) = self.past.first_mut() {
            *newest = plain;
        }
        self.samples = self.samples.saturating_add(1);
        self.since_better = self.since_better.saturating_add(1);
        if self.since_better == RELAPSE {
            self.relapses = 0;
        }
        if self.samples < FIRST {
            return;
        }
        let calm = judgement.worst(true);
        if judgement.at_once {
            self.become_worse(Level::Red);
        } else if let Some(worse) = self.majority() {
            self.become_worse(worse);
        } else if self.grew_better(calm) {
            self.level = self.worst_better.level;
            self.reasons = self.worst_better.reasons;
            self.better = 0;
            self.since_better = 0;
        }
        // While it lasts, the reasons are those of now.
        if calm.level >= self.level && self.level > Level::Green {
            self.reasons = calm.reasons;
        }
    }

    /// How bad the middle one of the samples that are worse is, if they are the majority.
    fn majority(&self) -> Option<Level> {
        let mut worse = self.past.map(|past| past.level);
        worse.sort_unstable();
        let from = worse.partition_point(|level| *level <= self.level);
        let count = SAMPLES - from;
        if count < MAJORITY { None } else { worse.get(from + (count - 1) / 2).copied() }
    }

    fn become_worse(&mut self, level: Level) {
        if level > self.level {
            if self.since_better < RELAPSE {
                self.relapses = (self.relapses + 1).min(RELAPSES);
                self.since_better = RELAPSE;
            }
            self.level = level;
            self.reasons = Reasons::default();
            for past in self.past.iter().filter(|past| past.level >= level) {
                self.reasons = self.reasons.with(past.reasons);
            }
        }
        self.better = 0;
    }

    /// Whether this is the fifth better sample in a row, or as many as it takes after relapses.
    fn grew_better(&mut self, calm: Past) -> bool {
        if calm.level >= self.level {
            self.better = 0;
            return false;
        }
        if self.better == 0 || calm.level > self.worst_better.level {
            self.worst_better = calm;
        }
        self.better += 1;
        usize::from(self.better) >= SAMPLES << (2 * self.relapses)
    }
}

fn upward(value: f32, bands: Bands) -> Level {
    match () {
        () if value >= bands.red => Level::Red,
        () if value >= bands.amber => Level::Amber,
        () => Level::Green,
    }
}

fn downward(value: f32, bands: Bands) -> Level {
    match () {
        () if value < bands.red => Level::Red,
        () if value < bands.amber => Level::Amber,
        () => Level::Green,
    }
}

/// The margin is a share of the threshold, and so much at least.
fn with_margin(reason: LevelReason, value: f32, bands: Bands, (share, least): (f32, f32)) -> Verdict {
    let within = |threshold: f32| threshold - (threshold * share).max(least);
    let closer = Bands { amber: within(bands.amber), red: within(bands.red) };
    Verdict { reason, plain: upward(value, bands), calm: upward(value, closer) }
}

#[cfg(test)]
#[path = "level_tests.rs"]
mod tests;
