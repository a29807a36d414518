//! Does what we send a leg come back from it? Found by comparing envelopes: 10 ms levels of what went out with those of
//! what came in, at every delay up to a second and a half.
//!
//! One second says little: two people's syllables match somewhere by chance. An echo matches at the same delay second
//! after second, and nowhere else as well, and only that is believed.

use super::hearing::{FRAME_MS, Hearing, REMEMBERED};
use super::level::{level, power};

/// Delays tried, in frames.
const LAGS: usize = 150;

/// Frames compared at a time: the second that ends now.
const WINDOW: usize = 100;

/// What is quieter is not told from silence.
const QUIET_DBOV: i8 = -68;

/// Seconds in which the sent side must have spoken before anything is said.
const ENOUGH: u8 = 5;

/// Newer seconds weigh that much at least.
const MEMORY: u8 = 8;

/// Mean correlation from which on it is an echo, and below which it no longer is.
const ECHO: f32 = 0.62;
const GONE: f32 = 0.35;

/// So much less must other delays match.
const LEAD: f32 = 0.12;

/// Delays this near to each other are the same.
const NEAR: usize = 12;

/// A second that matches so well holds the echo alone.
const CLEAN: f32 = 0.6;

/// An echo with more loss is not heard.
const INAUDIBLE_DB: f32 = 42.0;
/// One that is so much louder than what was sent is none.
const AMPLIFIED_DB: f32 = -15.0;

/// Syllables move a level by so many decibels (standard deviation) at least.
const MODULATED_DB: f32 = 3.0;

/// One direction's search.
pub(super) struct Echo {
    /// Mean correlation at each delay, in 1/127.
    scores: [i8; LAGS],
    /// Seconds that went into each, up to [`MEMORY`].
    counts: [u8; LAGS],
    found: Option<Found>,
}

/// An echo.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Found {
    pub(super) delay_ms: u32,
    /// Echo return loss.
    pub(super) erl_db: f32,
    pub(super) correlation: f32,
}

impl Default for Echo {
    fn default() -> Self {
        Self { scores: [0; LAGS], counts: [0; LAGS], found: None }
    }
}

impl Echo {
    /// Looks at the last second: `sent` is what the leg was sent, `came` what came from it.
    pub(super) fn look(&mut self, sent: &Hearing, came: &Hearing) {
        let end = sent.head().min(came.head());
        if (end as usize) < REMEMBERED {
            return;
        }
        let mut out = [0i8; WINDOW + LAGS];
        let mut back = [0i8; WINDOW];
        sent.copy_frames(end, &mut out);
        came.copy_frames(end, &mut back);
        self.compare(&out, &back);
        self.conclude(&out, &back);
    }

    /// What was found, while it lasts.
    pub(super) fn found(&self) -> Option<Found> {
        self.found
    }

    /// The best score.
    pub(super) fn score(&self) -> f32 {
        self.best().map_or(0.0, |(_, score)| score)
    }

    fn compare(&mut self, out: &[i8; WINDOW + LAGS], back: &[i8; WINDOW]) {
        let came = Moments::of(back);
        let mut sent = out.map(|level| i16::from(level.max(QUIET_DBOV)));
        sent.reverse();
        let mut came_back = back.map(|level| i16::from(level.max(QUIET_DBOV)));
        came_back.reverse();
        let came_deviation = came.deviation();
        // Reversed, so that the window of a delay begins at it; from one to the next a frame leaves and another comes.
        let mut sums = Sums::of(sent.get(..WINDOW).unwrap_or_default());
        for (lag, window) in sent.windows(WINDOW).take(LAGS).enumerate() {
            let sent_now = sums.moments();
            if let (Some(leaves), Some(comes)) = (window.first(), sent.get(lag + WINDOW)) {
                sums.slide(*leaves, *comes);
            }
            // What says nothing at a delay leaves its score alone.
            if !sent_now.is_speech() {
                continue;
            }
            let (Some(score), Some(count)) = (self.scores.get_mut(lag), self.counts.get_mut(lag)) else { continue };
            let correlation = if came_deviation < MODULATED_DB / 2.0 {
                0.0
            } else {
                let products: i32 = window.iter().zip(&came_back).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum();
                let covariance = products as f32 / WINDOW as f32 - sent_now.mean * came.mean;
                (covariance / (sent_now.deviation() * came_deviation)).clamp(-1.0, 1.0)
            };
            *count = count.saturating_add(1).min(MEMORY);
            let old = f32::from(*score) / 127.0;
            *score = ((old + (correlation - old) / f32::from(*count)) * 127.0) as i8;
        }
    }

    fn conclude(&mut self, out: &[i8; WINDOW + LAGS], back: &[i8; WINDOW]) {
        let Some((lag, score)) = self.best() else {
            self.found = None;
            return;
        };
        let holds = if self.found.is_some() { GONE } else { ECHO };
        // Nothing comes back in no time.
        if lag == 0 || score < holds || (self.found.is_none() && score - self.runner_up(lag) < LEAD) {
            self.found = None;
            return;
        }
        // The loss is measured while the sent side speaks; else it stays as it was.
        let known = self.found.map(|found| found.erl_db);
        let loss = return_loss(out, back, lag).map(|now| known.map_or(now, |known| known + (now - known) / 4.0));
        let Some(erl_db) = loss.or(known) else { return };
        if (AMPLIFIED_DB..INAUDIBLE_DB).contains(&erl_db) {
            let delay_ms = u32::try_from(lag).unwrap_or(0) * FRAME_MS;
            self.found = Some(Found { delay_ms, erl_db, correlation: score });
        } else {
            self.found = None;
        }
    }

    fn best(&self) -> Option<(usize, f32)> {
        let judged = self.scores.iter().zip(&self.counts).enumerate().filter(|(_, (_, count))| **count >= ENOUGH);
        judged.max_by_key(|(_, (score, _))| **score).map(|(lag, (score, _))| (lag, f32::from(*score) / 127.0))
    }

    /// The best score of delays that are not near `lag`.
    fn runner_up(&self, lag: usize) -> f32 {
        let others = self.scores.iter().enumerate().filter(|(other, _)| other.abs_diff(lag) > NEAR);
        others.map(|(_, score)| *score).max().map_or(0.0, |score| f32::from(score) / 127.0)
    }
}

/// Level sent less level come back at this delay, over the frames in which something was sent; not known while
/// somebody talks over the echo.
fn return_loss(out: &[i8; WINDOW + LAGS], back: &[i8; WINDOW], lag: usize) -> Option<f32> {
    let sent = out.get(LAGS - lag..LAGS - lag + WINDOW)?;
    if correlation(sent, back) < CLEAN {
        return None;
    }
    let loudest = sent.iter().copied().max()?;
    let loud = sent.iter().zip(back).filter(|(level, _)| **level >= loudest.saturating_sub(15).max(-55));
    let (mut sum_sent, mut sum_back, mut frames) = (0.0, 0.0, 0u8);
    for (sent, back) in loud {
        sum_sent += power(f32::from(*sent));
        sum_back += power(f32::from(*back));
        frames += 1;
    }
    (frames >= 10).then(|| level(sum_sent) - level(sum_back))
}

fn correlation(a: &[i8], b: &[i8]) -> f32 {
    let (of_a, of_b) = (Moments::of(a), Moments::of(b));
    let clamped = |level: &i8| i32::from((*level).max(QUIET_DBOV));
    let products: i32 = a.iter().zip(b).map(|(a, b)| clamped(a) * clamped(b)).sum();
    let covariance = products as f32 / WINDOW as f32 - of_a.mean * of_b.mean;
    covariance / (of_a.deviation() * of_b.deviation()).max(0.1)
}

/// Mean and variance of a window of levels.
struct Moments {
    mean: f32,
    variance: f32,
    loud: usize,
}

impl Moments {
    fn of(window: &[i8]) -> Self {
        let mut clamped = [0i16; WINDOW];
        for (to, from) in clamped.iter_mut().zip(window) {
            *to = i16::from((*from).max(QUIET_DBOV));
        }
        Sums::of(&clamped).moments()
    }

    fn deviation(&self) -> f32 {
        self.variance.sqrt()
    }

    fn is_speech(&self) -> bool {
        self.loud >= WINDOW / 4 && self.variance >= MODULATED_DB * MODULATED_DB
    }
}

/// What the moments of a window are made of, in whole numbers, so that a window can slide.
struct Sums {
    sum: i32,
    squares: i32,
    loud: usize,
}

impl Sums {
    fn of(window: &[i16]) -> Self {
        let (mut sum, mut squares) = (0i32, 0i32);
        for &level in window {
            sum += i32::from(level);
            squares += i32::from(level) * i32::from(level);
        }
        Self { sum, squares, loud: window.iter().filter(|level| is_loud(**level)).count() }
    }

    fn slide(&mut self, leaves: i16, comes: i16) {
        let (old, new) = (i32::from(leaves), i32::from(comes));
        self.sum += new - old;
        self.squares += new * new - old * old;
        self.loud = self.loud + usize::from(is_loud(comes)) - usize::from(is_loud(leaves));
    }

    fn moments(&self) -> Moments {
        let mean = self.sum as f32 / WINDOW as f32;
        let variance = (self.squares as f32 / WINDOW as f32 - mean * mean).max(0.0);
        Moments { mean, variance, loud: self.loud }
    }
}

fn is_loud(level: i16) -> bool {
    level > -50
}
