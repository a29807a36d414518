//! Business hours: whether calls are taken at a moment, and if not, from when on.
//!
//! The wall clock of the schedule's zone decides: it is open while that clock shows a minute of one of the date's windows.
//! On the days clocks are set, what lies in the skipped hour is missing and what lies in the repeated one comes twice.

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _};
use trunkline_config::{Hours, Schedule};

use crate::clock::rfc3339;
use crate::problem::Problem;

/// How far ahead an opening is looked for: over a year, so that a season's pause is spanned.
const HORIZON_DAYS: usize = 400;
/// Clock changes within that time: two a year, four where a fasting month interrupts summer time.
const CLOCK_CHANGES: usize = 8;

/// Whether calls are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// They are.
    Open,
    /// They are not.
    Closed {
        /// When they will be; `None`: not within a year.
        opens_at: Option<Timestamp>,
        /// What this day is called, if it is an exception with a name.
        label: Option<String>,
    },
}

/// Whether calls are taken at a moment.
#[must_use]
pub fn open_at(hours: &Hours, now: Timestamp) -> Standing {
    let schedule = match hours {
        Hours::Always => return Standing::Open,
        Hours::Schedule(schedule) => schedule,
    };
    if is_open(schedule, now) {
        return Standing::Open;
    }
    let today = schedule.exceptions.get(&date(schedule, now));
    Standing::Closed { opens_at: opens_at(schedule, now), label: today.and_then(|today| today.label.clone()) }
}

/// The answer to an offer made out of hours.
#[must_use]
pub fn closed(opens_at: Option<Timestamp>, label: Option<&str>) -> Problem {
    let problem = Problem::closed("calls are taken in business hours").with("opens_at", opens_at.map(rfc3339));
    match label {
        Some(label) => problem.with("label", label),
        None => problem,
    }
}

fn is_open(schedule: &Schedule, at: Timestamp) -> bool {
    let clock = schedule.timezone.to_datetime(at);
    let minute = u16::from(clock.hour().unsigned_abs()) * 60 + u16::from(clock.minute().unsigned_abs());
    windows(schedule, clock.date()).iter().any(|window| window.contains(&minute))
}

fn date(schedule: &Schedule, at: Timestamp) -> Date {
    schedule.timezone.to_datetime(at).date()
}

fn windows(schedule: &Schedule, day: Date) -> &[std::ops::RangeInclusive<u16>] {
    if let Some(exception) = schedule.exceptions.get(&day) {
        return &exception.windows;
    }
    let weekday = usize::from(day.weekday().to_monday_zero_offset().unsigned_abs());
    schedule.week.get(weekday).map_or(&[], Vec::as_slice)
}

/// The first open moment after one that is not: a window begins, or a change of the clock leads into one.
fn opens_at(schedule: &Schedule, now: Timestamp) -> Option<Timestamp> {
    let first =
        |found: &mut dyn Iterator<Item = Timestamp>| found.filter(|&at| at > now && is_open(schedule, at)).min();
    // From yesterday on: where clocks are set back at midnight, its last hour comes again.
    let mut days = date(schedule, now).yesterday().ok()?.series(1.day()).take(HORIZON_DAYS);
    let begun = days.find_map(|day| first(&mut beginnings(schedule, day)));
    let changes = schedule.timezone.following(now).take(CLOCK_CHANGES).map(|change| change.timestamp());
    let changed = first(&mut changes.take_while(|&at| begun.is_none_or(|begun| at < begun)));
    begun.into_iter().chain(changed).min()
}

/// When the windows of a day begin: once, or twice in an hour that is repeated. For a skipped hour these are moments
/// beside it, which harm nothing: if they are open at all, then later than the change itself.
fn beginnings(schedule: &Schedule, day: Date) -> impl Iterator<Item = Timestamp> + '_ {
    windows(schedule, day).iter().flat_map(move |window| {
        let (hour, minute) = (window.start() / 60, window.start() % 60);
        let clock = day.at(i8::try_from(hour).unwrap_or(0), i8::try_from(minute).unwrap_or(0), 0, 0);
        let begins = schedule.timezone.to_ambiguous_timestamp(clock);
        [begins.earlier(), begins.later()].into_iter().flatten()
    })
}

#[cfg(test)]
mod tests;
