//! Business hours.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::{every, text_if_any};
use crate::lines::item;
use crate::model::{Hours, Schedule, ScheduleException};
use crate::raw::{RawException, RawHours};
use crate::report::Report;

/// Minutes in a day.
const DAY: u16 = 24 * 60;

pub(super) fn hours(key: &str, raw: &RawHours, report: &mut Report) -> Option<Hours> {
    let week = &raw.week;
    let days = [
        ("mon", &week.mon),
        ("tue", &week.tue),
        ("wed", &week.wed),
        ("thu", &week.thu),
        ("fri", &week.fri),
        ("sat", &week.sat),
        ("sun", &week.sun),
    ];
    let has_timetable =
        !raw.timezone.is_empty() || !raw.exceptions.is_empty() || days.iter().any(|(_, windows)| !windows.is_empty());
    match (raw.always, has_timetable) {
        (true, false) => return Some(Hours::Always),
        (true, true) => {
            report.problem(&format!("{key}.always"), "contradicts the timetable beside it");
            return None;
        }
        (false, false) => {
            report.problem(key, "must be { always = true } or have a timezone and a week");
            return None;
        }
        (false, true) => {}
    }
    let timezone = timezone(&format!("{key}.timezone"), &raw.timezone, report);
    let checked = days.map(|(day, raw)| windows(&format!("{key}.week.{day}"), raw, report));
    let week: Option<Vec<_>> = checked.into_iter().collect();
    let exceptions = exceptions(&format!("{key}.exceptions"), &raw.exceptions, report);
    Some(Hours::Schedule(Schedule { timezone: timezone?, week: week?.try_into().ok()?, exceptions: exceptions? }))
}

fn timezone(key: &str, name: &str, report: &mut Report) -> Option<TimeZone> {
    if name.is_empty() {
        report.problem(key, "is missing");
        return None;
    }
    let found = zone(name);
    if found.is_none() {
        report.problem(key, format!("{name:?} is no IANA time zone, as Europe/Madrid"));
    }
    found
}

/// A zone of the IANA database: the system's, which is the fresher one, or else the one that is built in.
fn zone(name: &str) -> Option<TimeZone> {
    let found = TimeZone::get(name).or_else(|_| TimeZoneDatabase::bundled().get(name)).ok();
    // What is known by no name of that database (the unknown zone, a zone made of rules) is no choice of a person.
    found.filter(|zone| zone.iana_name().is_some() && !zone.is_unknown())
}

fn exceptions(key: &str, raw: &[RawException], report: &mut Report) -> Option<BTreeMap<Date, ScheduleException>> {
    let mut exceptions = BTreeMap::new();
    let all_good = every(key, raw, |key, raw| {
        let date_key = format!("{key}.date");
        let date = date(&raw.date);
        if date.is_none() {
            report.problem(&date_key, format!("{:?} is no date, as 2026-12-25", raw.date));
        }
        let windows_key = format!("{key}.windows");
        match (raw.closed, raw.windows.is_empty()) {
            (true, false) => report.problem(&windows_key, "contradict closed = true"),
            (false, true) => report.problem(key, "must have closed = true or windows"),
            (true, true) | (false, false) => {}
        }
        let windows = windows(&windows_key, &raw.windows, report);
        let exception = ScheduleException { windows: windows?, label: text_if_any(&raw.label) };
        if exceptions.insert(date?, exception).is_some() {
            report.problem(&date_key, format!("{} is listed twice", raw.date));
        }
        Some(())
    });
    all_good.map(|_| exceptions)
}

/// The windows of a day, in order.
fn windows(key: &str, raw: &[String], report: &mut Report) -> Option<Vec<RangeInclusive<u16>>> {
    let mut windows: Vec<RangeInclusive<u16>> = Vec::new();
    let mut whole = true;
    for (at, text) in raw.iter().enumerate() {
        match window(text) {
            Ok(window) => {
                if windows.iter().any(|other| other.start() <= window.end() && window.start() <= other.end()) {
                    report.problem(&item(key, at), format!("{text:?} overlaps another window of the day"));
                }
                windows.push(window);
            }
            Err(message) => {
                report.problem(&item(key, at), message);
                whole = false;
            }
        }
    }
    windows.sort_by_key(|window| *window.start());
    whole.then_some(windows)
}

/// `HH:MM-HH:MM`, the end exclusive, as first and last minute of the day.
fn window(text: &str) -> Result<RangeInclusive<u16>, String> {
    let parsed = text.split_once('-').and_then(|(from, to)| Some((minute(from)?, minute(to)?)));
    match parsed {
        None => Err(format!("{text:?} is no window, as 09:00-14:00")),
        Some((from, to)) if from >= to => {
            Err(format!("{text:?} ends before it begins: split a window at midnight, up to 24:00"))
        }
        Some((from, to)) => Ok(from..=to.saturating_sub(1)),
    }
}

fn minute(text: &str) -> Option<u16> {
    let two_digits = |text: &str| (text.len() == 2).then(|| number(text)).flatten();
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes) = (two_digits(hours)?, two_digits(minutes)?);
    let minute = hours.checked_mul(60)?.checked_add(minutes)?;
    (minutes < 60 && minute <= DAY).then_some(minute)
}

/// `YYYY-MM-DD`, and nothing else that could be read as a date.
fn date(text: &str) -> Option<Date> {
    let shape = |(at, byte): (usize, u8)| if matches!(at, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() };
    (text.len() == 10 && text.bytes().enumerate().all(shape)).then(|| text.parse().ok()).flatten()
}

/// Digits only: no sign, which `parse` would take.
fn number(text: &str) -> Option<u16> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_minutes_of_the_day() {
        assert_eq!(window("09:00-14:00"), Ok(540..=839));
        assert_eq!(window("00:00-24:00"), Ok(0..=1439));
        for bad in
            ["", "09:00", "9:00-14:00", "09:00-24:01", "09:60-10:00", "14:00-09:00", "09:00-09:00", "+9:00-10:00"]
        {
            assert!(window(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_zone_is_found_whatever_the_system_has() {
        for name in ["Europe/Madrid", "America/New_York", "Asia/Kolkata", "UTC"] {
            assert!(TimeZoneDatabase::bundled().get(name).is_ok(), "{name} is built in");
            assert!(zone(name).is_some(), "{name}");
        }
        for name in ["Madrid", "Europe/Nowhere", "../etc/passwd", "CET-1CEST,M3.5.0,M10.5.0/3", "Etc/Unknown", "+02:00"]
        {
            assert!(zone(name).is_none(), "{name}");
        }
    }

    #[test]
    fn dates() {
        for good in ["2026-12-25", "2028-02-29", "2000-02-29"] {
            assert_eq!(date(good).map(|date| date.to_string()).as_deref(), Some(good));
        }
        for bad in ["", "2026-02-29", "2100-02-29", "2026-13-01", "2026-00-01", "2026-04-31", "26-1-1", "2026-12-25x"] {
            assert_eq!(date(bad), None, "{bad}");
        }
    }
}
