//! How good each half-leg is, was, and was before it broke off.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use trunkline_media::api::{CallStats, Leg};
use trunkline_media::detect::Verdict;
use trunkline_media::quality::{HalfLeg, HalfLegSample, Level, LevelReason, MOS_MODEL, Reasons};

use super::Call;
use super::series::{Series, rounded};
use crate::clock::rfc3339;
use crate::outcome::QualityAtEnd;

/// A pause of this long between packets is no second to judge a network by, milliseconds.
const GAP_MS: u32 = 500;

/// The quality of one call.
#[derive(Debug)]
pub(super) struct Quality {
    tracks: [Track; 4],
    last: [HalfLegSample; 4],
    verdicts: [Verdict; 4],
    pub(super) series: Series,
}

/// One half-leg.
#[derive(Debug, Clone, Copy)]
struct Track {
    now: Colour,
    /// As it last was while audio came, or none was due.
    before: Option<Before>,
    /// When it last was neither red nor silent.
    good_at: Option<Instant>,
}

/// A level, what makes it so, and since when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Colour {
    pub(super) level: Level,
    pub(super) reasons: Reasons,
    pub(super) since: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Before {
    at: Instant,
    colour: Colour,
    sample: HalfLegSample,
}

/// A half-leg has another level.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    half_leg: HalfLeg,
    from: Level,
    to: Level,
    reasons: Reasons,
}

/// A network that was red until it was lost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Poor {
    pub(super) half_leg: HalfLeg,
    pub(super) red_for: Duration,
    pub(super) reasons: Reasons,
}

impl Quality {
    pub(super) fn new(now: Instant) -> Self {
        let colour = Colour { level: Level::Unknown, reasons: Reasons::default(), since: now };
        Self {
            tracks: [Track { now: colour, before: None, good_at: None }; 4],
            last: [HalfLegSample::default(); 4],
            verdicts: [Verdict::Unknown; 4],
            series: Series::new(now),
        }
    }

    /// Takes up a second; what changed. `away`: the browser is being waited for, what it was before stays as it is.
    fn sampled(&mut self, now: Instant, samples: &[HalfLegSample; 4], away: bool) -> [Option<Change>; 4] {
        self.series.push(now, samples);
        self.last = *samples;
        let mut changes = [None; 4];
        let legs = HalfLeg::ALL.into_iter().zip(samples).zip(&mut self.tracks).zip(&mut changes);
        for (((half_leg, sample), track), change) in legs {
            // What a peer reported last says nothing once the peer itself is not heard any more.
            let heard = match half_leg.leg() {
                Leg::Browser => !is_gap(of(samples, HalfLeg::BrowserUp)) && !away,
                Leg::Trunk => !is_gap(of(samples, HalfLeg::SipUp)),
            };
            *change = track.sampled(now, half_leg, sample, heard && !is_gap(sample));
        }
        changes
    }

    /// How a half-leg stands; of a lost leg: how it stood before the loss; never unknown if it ever was known.
    fn at_end(&self, half_leg: HalfLeg, lost: Option<Leg>) -> (Colour, &HalfLegSample) {
        let Track { now, before, .. } = of(&self.tracks, half_leg);
        let look_back = lost == Some(half_leg.leg()) || now.level == Level::Unknown;
        match before {
            Some(before) if look_back => (before.colour, &before.sample),
            Some(_) | None => (*now, of(&self.last, half_leg)),
        }
    }

    /// The visitor's network, if it was red for `at_least` until it was lost, `slack` before `now` at most.
    pub(super) fn poor(&self, now: Instant, at_least: Duration, slack: Duration) -> Option<Poor> {
        let poor = |half_leg: HalfLeg| {
            let Before { at, colour, .. } = of(&self.tracks, half_leg).before?;
            let red_for = at.saturating_duration_since(colour.since);
            let poor = colour.level == Level::Red
                && red_for >= at_least
                && now.saturating_duration_since(at) <= slack
                && colour.reasons.iter().any(|reason| reason != LevelReason::NoMedia);
            poor.then_some(Poor { half_leg, red_for, reasons: colour.reasons })
        };
        [HalfLeg::BrowserUp, HalfLeg::BrowserDown].into_iter().filter_map(poor).max_by_key(|poor| poor.red_for)
    }

    /// How long ago the leg last was good both ways, as far as either is known; milliseconds.
    pub(super) fn last_good_age_ms(&self, now: Instant, leg: Leg) -> Option<u64> {
        let good = self.tracks.iter().zip(HalfLeg::ALL).filter(|(_, half_leg)| half_leg.leg() == leg);
        let at = good.filter_map(|(track, _)| track.good_at).max()?;
        Some(u64::try_from(now.saturating_duration_since(at).as_millis()).unwrap_or(u64::MAX))
    }

    /// The leg's levels before it was lost: half-leg, level and reasons.
    pub(super) fn levels_before(&self, leg: Leg) -> Value {
        let show = |half_leg: HalfLeg| {
            let (colour, _) = self.at_end(half_leg, Some(leg));
            (half_leg.word().to_owned(), json!({ "level": colour.level.word(), "reasons": words(colour.reasons) }))
        };
        HalfLeg::ALL.into_iter().filter(|half_leg| half_leg.leg() == leg).map(show).collect::<Map<_, _>>().into()
    }

    /// Whether what is sent on a half-leg is known to arrive.
    pub(super) fn is_delivered(&self, half_leg: HalfLeg) -> bool {
        let sample = of(&self.last, half_leg);
        let reported = sample.packets > 0 && sample.loss.is_some_and(|loss| loss < 0.5);
        reported || self.verdict(half_leg) == Verdict::Delivered
    }

    /// Whether audio gets through, as the media found it last.
    pub(super) fn verdict(&self, half_leg: HalfLeg) -> Verdict {
        *of(&self.verdicts, half_leg)
    }
}

impl Track {
    fn sampled(&mut self, now: Instant, half_leg: HalfLeg, sample: &HalfLegSample, heard: bool) -> Option<Change> {
        let from = self.now.level;
        let since = if from == sample.level { self.now.since } else { now };
        self.now = Colour { level: sample.level, reasons: sample.reasons, since };
        if heard && sample.level != Level::Unknown {
            self.before = Some(Before { at: now, colour: self.now, sample: *sample });
            if sample.level != Level::Red {
                self.good_at = Some(now);
            }
        }
        let change = Change { half_leg, from, to: sample.level, reasons: sample.reasons };
        (from != sample.level).then_some(change)
    }
}

/// A half-leg's own of all four.
fn of<T>([browser_up, browser_down, sip_up, sip_down]: &[T; 4], half_leg: HalfLeg) -> &T {
    match half_leg {
        HalfLeg::BrowserUp => browser_up,
        HalfLeg::BrowserDown => browser_down,
        HalfLeg::SipUp => sip_up,
        HalfLeg::SipDown => sip_down,
    }
}

fn is_gap(sample: &HalfLegSample) -> bool {
    sample.gap_ms >= GAP_MS || sample.reasons.contains(LevelReason::NoMedia)
}

/// The reasons' names.
pub(super) fn words(reasons: Reasons) -> Vec<&'static str> {
    reasons.iter().map(LevelReason::word).collect()
}

impl Call {
    /// A second of the media's has passed.
    pub(super) fn sampled(&mut self, now: Instant, stats: CallStats) {
        let away = self.browser.is_lost();
        let changes = self.quality.sampled(now, &stats.quality, away);
        self.quality.verdicts = stats.verdicts;
        self.notes.sampled(now, stats);
        for change in changes.into_iter().flatten() {
            self.emit(
                "network_quality_changed",
                [
                    ("half_leg", change.half_leg.word().into()),
                    ("from", change.from.word().into()),
                    ("to", change.to.word().into()),
                    ("reasons", words(change.reasons).into()),
                ],
            );
        }
        self.look_for_unheard(now);
    }

    /// The sampled series of each half-leg (`GET /v1/calls/{call}/quality`).
    #[must_use]
    pub fn quality_series(&self, _now: Instant) -> Value {
        json!({
            "call": self.about.call.as_str(),
            "mos_model": MOS_MODEL,
            "half_legs": self.quality.series.to_json(self.about.wall),
        })
    }

    /// The worst half-leg; of a lost leg's: as it was before.
    pub(super) fn quality_at_end(&self, lost: Option<Leg>) -> QualityAtEnd {
        let colour = |half_leg: HalfLeg| (half_leg, self.quality.at_end(half_leg, lost).0);
        // Of equals the one that has been so for longest.
        let worst = HalfLeg::ALL.into_iter().map(colour).min_by_key(|(_, c)| (std::cmp::Reverse(c.level), c.since));
        match worst {
            Some((half_leg, colour)) if colour.level != Level::Unknown => QualityAtEnd {
                level: colour.level.word(),
                since: Some(rfc3339(self.about.wall.wall_at(colour.since))),
                half_leg: Some(half_leg.word()),
                reasons: words(colour.reasons),
            },
            Some(_) | None => QualityAtEnd::unknown(),
        }
    }

    /// The record's `quality`: as it is, or as it was at the end.
    pub(super) fn quality_record(&self) -> Value {
        let lost = self.notes.outcome.as_ref().and_then(|outcome| outcome.reason.lost_leg());
        let half_leg = |half_leg: HalfLeg| {
            let (colour, sample) = match &self.notes.outcome {
                Some(_) => self.quality.at_end(half_leg, lost),
                None => (of(&self.quality.tracks, half_leg).now, of(&self.quality.last, half_leg)),
            };
            let record = json!({
                "level": colour.level.word(),
                "reasons": words(colour.reasons),
                "since": rfc3339(self.about.wall.wall_at(colour.since)),
                "loss": rounded(sample.loss, 4),
                "late": rounded(sample.late, 4),
                "jitter_ms": rounded(sample.jitter_ms, 1),
                "rtt_ms": rounded(sample.rtt_ms, 1),
                "rtt_source": sample.rtt_source.map(|source| source.word()),
                "mos_lq": rounded(sample.mos_lq, 2),
                "mos_cq": rounded(sample.mos_cq, 2),
            });
            (half_leg.word().to_owned(), record)
        };
        HalfLeg::ALL.into_iter().map(half_leg).collect::<Map<_, _>>().into()
    }
}
