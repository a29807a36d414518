use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use jiff::SignedDuration;
use jiff::tz::TimeZoneDatabase;
use proptest::prelude::*;
use trunkline_config::ScheduleException;

use super::*;

type Windows = &'static [&'static str];

/// `HH:MM-HH:MM`, the end exclusive.
fn window(text: &str) -> RangeInclusive<u16> {
    let minute = |text: &str| {
        let (hours, minutes) = text.split_once(':').unwrap();
        hours.parse::<u16>().unwrap() * 60 + minutes.parse::<u16>().unwrap()
    };
    let (from, to) = text.split_once('-').unwrap();
    minute(from)..=minute(to) - 1
}

fn windows_of(windows: Windows) -> Vec<RangeInclusive<u16>> {
    windows.iter().map(|text| window(text)).collect()
}

fn schedule(zone: &str, days: [Windows; 7], exceptions: &[(&str, Windows, &str)]) -> Hours {
    let exception = |(date, windows, label): &(&str, Windows, &str)| {
        let label = (!label.is_empty()).then(|| (*label).to_owned());
        (date.parse().unwrap(), ScheduleException { windows: windows_of(windows), label })
    };
    Hours::Schedule(Schedule {
        timezone: TimeZoneDatabase::bundled().get(zone).unwrap(),
        week: days.map(windows_of),
        exceptions: exceptions.iter().map(exception).collect(),
    })
}

/// Rows of a moment and what is true then: `open`, `never`, or when it opens, with the day's name behind a space.
fn check(hours: &Hours, rows: &[(&str, &str)]) {
    for (at, expected) in rows {
        let found = match open_at(hours, at.parse().unwrap()) {
            Standing::Open => "open".to_owned(),
            Standing::Closed { opens_at: None, .. } => "never".to_owned(),
            Standing::Closed { opens_at: Some(opens_at), label: None } => opens_at.to_string(),
            Standing::Closed { opens_at: Some(opens_at), label: Some(label) } => format!("{opens_at} {label}"),
        };
        assert_eq!(found, *expected, "{at}");
    }
}

#[test]
fn around_the_clock() {
    check(&Hours::Always, &[("2026-01-01T00:00:00Z", "open"), ("2026-03-29T01:30:00Z", "open")]);
}

#[test]
fn a_week_with_split_shifts() {
    const DAY: Windows = &["09:00-14:00", "16:00-19:00"];
    // Madrid is one hour ahead in winter. 2026-01-05 is a Monday.
    let hours = schedule("Europe/Madrid", [DAY, DAY, DAY, DAY, &["09:00-14:00"], &[], &[]], &[]);
    check(
        &hours,
        &[
            ("2026-01-05T07:59:59.999Z", "2026-01-05T08:00:00Z"),
            ("2026-01-05T08:00:00Z", "open"),
            ("2026-01-05T12:59:59.999Z", "open"),
            ("2026-01-05T13:00:00Z", "2026-01-05T15:00:00Z"),
            ("2026-01-05T14:59:59Z", "2026-01-05T15:00:00Z"),
            ("2026-01-05T15:00:00Z", "open"),
            ("2026-01-05T17:59:59Z", "open"),
            ("2026-01-05T18:00:00Z", "2026-01-06T08:00:00Z"),
            // Friday afternoon to Monday morning.
            ("2026-01-09T13:00:00Z", "2026-01-12T08:00:00Z"),
            ("2026-01-11T23:30:00Z", "2026-01-12T08:00:00Z"),
        ],
    );
}

#[test]
fn midnight_joins_and_parts_days() {
    let hours = schedule("Europe/Madrid", [&["20:00-24:00"], &["00:00-02:00"], &[], &[], &[], &[], &[]], &[]);
    check(
        &hours,
        &[
            ("2026-01-05T18:59:59Z", "2026-01-05T19:00:00Z"),
            ("2026-01-05T22:59:59Z", "open"),
            ("2026-01-05T23:00:00Z", "open"),
            ("2026-01-06T00:59:59Z", "open"),
            ("2026-01-06T01:00:00Z", "2026-01-12T19:00:00Z"),
        ],
    );
    // The zone's date counts, not that of UTC: in Auckland Monday begins on Sunday at 11:00 UTC.
    let hours = schedule("Pacific/Auckland", [&["00:00-24:00"], &[], &[], &[], &[], &[], &[]], &[]);
    check(
        &hours,
        &[
            ("2026-01-04T10:59:59Z", "2026-01-04T11:00:00Z"),
            ("2026-01-04T11:00:00Z", "open"),
            ("2026-01-05T10:59:59Z", "open"),
            ("2026-01-05T11:00:00Z", "2026-01-11T11:00:00Z"),
        ],
    );
}

#[test]
fn exceptions_win_over_the_week() {
    const DAY: Windows = &["09:00-17:00"];
    let exceptions: [(&str, Windows, &str); 4] = [
        ("2026-12-24", &["09:00-12:00"], "Christmas Eve"),
        ("2026-12-25", &[], "Christmas"),
        ("2026-12-26", &["10:00-11:00"], ""),
        ("2026-12-28", &[], ""),
    ];
    let hours = schedule("Europe/Madrid", [DAY, DAY, DAY, DAY, DAY, &[], &[]], &exceptions);
    check(
        &hours,
        &[
            ("2026-12-24T08:00:00Z", "open"),
            // The day's own hours are over; its name says why.
            ("2026-12-24T11:00:00Z", "2026-12-26T09:00:00Z Christmas Eve"),
            ("2026-12-25T10:00:00Z", "2026-12-26T09:00:00Z Christmas"),
            // A Saturday that is open for once.
            ("2026-12-26T09:30:00Z", "open"),
            // Sunday, then a Monday that is closed for once and has no name.
            ("2026-12-27T10:00:00Z", "2026-12-29T08:00:00Z"),
            ("2026-12-28T10:00:00Z", "2026-12-29T08:00:00Z"),
        ],
    );
}

#[test]
fn never_open_and_long_closed() {
    check(&schedule("UTC", [&[]; 7], &[]), &[("2026-01-01T00:00:00Z", "never")]);
    let past: [(&str, Windows, &str); 1] = [("2025-12-31", &["00:00-24:00"], "")];
    check(&schedule("UTC", [&[]; 7], &past), &[("2026-01-01T00:00:00Z", "never")]);
    let season: [(&str, Windows, &str); 1] = [("2026-12-31", &["23:00-24:00"], "")];
    check(&schedule("UTC", [&[]; 7], &season), &[("2026-01-01T00:00:00Z", "2026-12-31T23:00:00Z")]);
}

#[test]
fn the_skipped_hour_is_missing() {
    // 2026-03-29, Madrid: 02:00 becomes 03:00 at 01:00 UTC. A Sunday.
    let sunday = |windows| schedule("Europe/Madrid", [&[], &[], &[], &[], &[], &[], windows], &[]);
    check(
        &sunday(&["01:30-02:30"]),
        &[("2026-03-29T00:59:59Z", "open"), ("2026-03-29T01:00:00Z", "2026-04-04T23:30:00Z")],
    );
    check(&sunday(&["02:15-02:45"]), &[("2026-03-29T00:00:00Z", "2026-04-05T00:15:00Z")]);
    check(
        &sunday(&["02:30-04:00"]),
        &[("2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z"), ("2026-03-29T01:59:59Z", "open")],
    );
    // Nine o'clock is nine o'clock, before and after.
    check(&sunday(&["09:00-10:00"]), &[("2026-03-29T06:59:59Z", "2026-03-29T07:00:00Z")]);
    check(&sunday(&["09:00-10:00"]), &[("2026-03-22T07:59:59Z", "2026-03-22T08:00:00Z")]);
}

#[test]
fn the_repeated_hour_comes_twice() {
    // 2026-10-25, Madrid: 03:00 becomes 02:00 at 01:00 UTC. A Sunday.
    let sunday = |windows| schedule("Europe/Madrid", [&[], &[], &[], &[], &[], &[], windows], &[]);
    check(
        &sunday(&["02:15-02:45"]),
        &[
            ("2026-10-25T00:00:00Z", "2026-10-25T00:15:00Z"),
            ("2026-10-25T00:44:59Z", "open"),
            ("2026-10-25T00:45:00Z", "2026-10-25T01:15:00Z"),
            ("2026-10-25T01:15:00Z", "open"),
            ("2026-10-25T01:45:00Z", "2026-11-01T01:15:00Z"),
        ],
    );
    // The clock goes back into a window that was over.
    check(
        &sunday(&["01:00-02:30"]),
        &[("2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z"), ("2026-10-25T01:29:59Z", "open")],
    );
    // All day is all of the day, 25 hours of it.
    check(&sunday(&["00:00-24:00"]), &[("2026-10-24T22:00:00Z", "open"), ("2026-10-25T22:59:59Z", "open")]);
}

#[test]
fn clocks_that_are_set_at_midnight() {
    // Cairo skips the first hour of 2026-04-24, a Friday, and repeats the last one of 2026-10-29, a Thursday.
    let hours = schedule("Africa/Cairo", [&[], &[], &[], &["23:15-23:30"], &["00:00-02:00"], &[], &[]], &[]);
    check(
        &hours,
        &[
            ("2026-04-23T21:59:59Z", "2026-04-23T22:00:00Z"),
            ("2026-04-23T22:59:59Z", "open"),
            ("2026-10-29T20:30:00Z", "2026-10-29T21:15:00Z"),
            ("2026-10-29T21:15:00Z", "open"),
            ("2026-10-29T21:30:00Z", "2026-10-29T22:00:00Z"),
        ],
    );
}

fn any_windows() -> impl Strategy<Value = Vec<RangeInclusive<u16>>> {
    proptest::collection::vec((0_u16..1440, 1_u16..400), 0..3)
        .prop_map(|all| all.into_iter().map(|(from, length)| from..=(from + length - 1).min(1439)).collect())
}

fn any_schedule() -> impl Strategy<Value = Schedule> {
    let zones = ["Europe/Madrid", "America/Havana", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Kathmandu", "UTC"];
    let week = proptest::collection::vec(any_windows(), 7);
    let exceptions = proptest::collection::vec((0_i64..60, any_windows()), 0..8);
    (proptest::sample::select(zones.to_vec()), week, exceptions).prop_map(|(zone, week, exceptions)| {
        let first: Date = "2026-03-01".parse().unwrap();
        let exceptions: BTreeMap<_, _> = exceptions
            .into_iter()
            .map(|(day, windows)| (first.checked_add(day.days()).unwrap(), ScheduleException { windows, label: None }))
            .collect();
        let timezone = TimeZoneDatabase::bundled().get(zone).unwrap();
        Schedule { timezone, week: week.try_into().unwrap(), exceptions }
    })
}

proptest! {
    /// Against the plain way: walk on by the minute until it is open.
    #[test]
    fn the_moment_told_is_the_first_open_one(schedule in any_schedule(), minutes in 0_i64..60 * 24 * 60) {
        let start: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
        let now = start + SignedDuration::from_mins(minutes);
        let walked = (0..60 * 24 * 9).map(|m| now + SignedDuration::from_mins(m)).find(|&at| is_open(&schedule, at));
        match open_at(&Hours::Schedule(schedule), now) {
            Standing::Open => prop_assert_eq!(walked, Some(now)),
            Standing::Closed { opens_at, .. } => {
                prop_assert_ne!(walked, Some(now));
                if walked.is_some() {
                    prop_assert_eq!(opens_at, walked);
                }
            }
        }
    }
}
