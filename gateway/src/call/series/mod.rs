//! How good each half-leg was, second by second: the last two minutes in full, the whole call in steps of five seconds.
//! Grows as the call does; a call of a minute takes about five KiB.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use trunkline_media::quality::{HalfLeg, HalfLegSample};

use crate::clock::{Now, rfc3339};

mod point;

use point::{Point, merge};

/// Seconds kept one by one.
const RECENT: Duration = Duration::from_secs(120);
const MAX_RECENT: usize = 120;
/// Points of the whole call: two hours; of a longer call each point is longer.
const MAX_WHOLE: usize = 1_440;
/// A point of the whole call, at first.
const STEP_MS: u32 = 5_000;
/// Steps are made of [`RECENT`] seconds.
const MAX_STEP_MS: u32 = 80_000;
/// Samples come a little early or late.
const JITTER_MS: u32 = 500;
/// Room is made for so many at a time.
const GROWTH: usize = 15;

/// The series of one call.
#[derive(Debug)]
pub(super) struct Series {
    start: Instant,
    recent: VecDeque<Entry>,
    whole: VecDeque<Entry>,
    step_ms: u32,
    /// Where the step that is being filled began.
    open_from_ms: Option<u32>,
}

/// All half-legs at one time.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// The end of what it describes, milliseconds since the start.
    at_ms: u32,
    points: [Point; 4],
}

impl Series {
    pub(super) fn new(now: Instant) -> Self {
        Self { start: now, recent: VecDeque::new(), whole: VecDeque::new(), step_ms: STEP_MS, open_from_ms: None }
    }

    /// A second has passed.
    pub(super) fn push(&mut self, now: Instant, samples: &[HalfLegSample; 4]) {
        let at_ms = u32::try_from(now.saturating_duration_since(self.start).as_millis()).unwrap_or(u32::MAX);
        let oldest = at_ms.saturating_sub(u32::try_from(RECENT.as_millis()).unwrap_or(u32::MAX));
        // overflow: what is older than two minutes is in the whole call's points.
        while self.recent.len() >= MAX_RECENT || self.recent.front().is_some_and(|e| e.at_ms < oldest) {
            self.recent.pop_front();
        }
        push_tight(&mut self.recent, Entry { at_ms, points: samples.each_ref().map(Point::pack) });
        let from = *self.open_from_ms.get_or_insert(at_ms.saturating_sub(1_000));
        if at_ms.saturating_sub(from).saturating_add(JITTER_MS) >= self.step_ms
            && let Some(step) = self.open_step()
        {
            self.make_room();
            push_tight(&mut self.whole, step);
            self.open_from_ms = Some(at_ms);
        }
    }

    /// The step that is being filled, as far as it is.
    fn open_step(&self) -> Option<Entry> {
        let from = self.open_from_ms?;
        let of_step = || self.recent.iter().filter(|entry| entry.at_ms > from);
        let at_ms = self.recent.back().filter(|entry| entry.at_ms > from)?.at_ms;
        let point = |at: usize| merge(of_step().filter_map(|entry| entry.points.get(at).copied()));
        Some(Entry { at_ms, points: [point(0), point(1), point(2), point(3)] })
    }

    fn make_room(&mut self) {
        if self.whole.len() < MAX_WHOLE {
            return;
        }
        if self.step_ms >= MAX_STEP_MS {
            // overflow: a call of more than a day loses its beginning.
            self.whole.pop_front();
            return;
        }
        // overflow: two points become one, and so will all that follow.
        self.step_ms = self.step_ms.saturating_mul(2);
        let entries: Vec<Entry> = self.whole.drain(..).collect();
        self.whole.extend(entries.chunks(2).filter_map(|pair| {
            let at_ms = pair.last()?.at_ms;
            let point = |at: usize| merge(pair.iter().filter_map(|entry| entry.points.get(at).copied()));
            Some(Entry { at_ms, points: [point(0), point(1), point(2), point(3)] })
        }));
    }

    /// `{"browser_up":{"recent":[…],"whole":[…]},…}`
    pub(super) fn to_json(&self, wall: Now) -> Value {
        let open = self.open_step();
        let of_half_leg = |(at, half_leg): (usize, HalfLeg)| {
            let show = |entry: &Entry| {
                let time = wall.wall_at(self.start + Duration::from_millis(entry.at_ms.into()));
                entry.points.get(at).map(|point| point_json(rfc3339(time), &point.unpack()))
            };
            let recent: Vec<_> = self.recent.iter().filter_map(show).collect();
            let whole: Vec<_> = self.whole.iter().chain(&open).filter_map(show).collect();
            (half_leg.word().to_owned(), json!({ "recent": recent, "whole": whole }))
        };
        HalfLeg::ALL.into_iter().enumerate().map(of_half_leg).collect::<serde_json::Map<_, _>>().into()
    }
}

/// A buffer that takes little more than it holds.
fn push_tight(entries: &mut VecDeque<Entry>, entry: Entry) {
    if entries.len() == entries.capacity() {
        entries.reserve_exact(GROWTH.max(entries.len() / 4));
    }
    entries.push_back(entry);
}

fn point_json(at: String, sample: &HalfLegSample) -> Value {
    json!({
        "at": at,
        "packets": sample.packets,
        "loss": rounded(sample.loss, 4),
        "late": rounded(sample.late, 4),
        "jitter_ms": rounded(sample.jitter_ms, 1),
        "rtt_ms": rounded(sample.rtt_ms, 1),
        "rtt_source": sample.rtt_source.map(|source| source.word()),
        "jitter_buffer_target_ms": sample.buffer_target_ms,
        "jitter_buffer_ms": sample.buffer_ms,
        "concealed": rounded(sample.concealed, 4),
        "audio_level_dbov": sample.audio_dbov,
        "mos_lq": rounded(sample.mos_lq, 2),
        "mos_cq": rounded(sample.mos_cq, 2),
        "gap_ms": sample.gap_ms,
        "level": sample.level.word(),
        "reasons": sample.reasons.iter().map(|reason| reason.word()).collect::<Vec<_>>(),
    })
}

/// A measure with no more digits than it is good for.
pub(super) fn rounded(value: Option<f32>, digits: i32) -> Option<f64> {
    let scale = 10_f64.powi(digits);
    value.filter(|v| v.is_finite()).map(|v| (f64::from(v) * scale).round() / scale)
}

#[cfg(test)]
mod tests;
