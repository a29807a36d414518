//! Business hours.

use std::collections::HashSet;
use std::ops::RangeInclusive;

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
    let message = "a timetable is not active yet, and calls must not be taken around the clock instead";
    report.blocking_note(key, message, true);
    timezone(&format!("{key}.timezone"), &raw.timezone, report);
    let checked = days.map(|(day, raw)| windows(&format!("{key}.week.{day}"), raw, report));
    let week: Option<Vec<_>> = checked.into_iter().collect();
    let exceptions = exceptions(&format!("{key}.exceptions"), &raw.exceptions, report);
    Some(Hours::Schedule(Schedule {
        timezone: raw.timezone.clone(),
        week: week?.try_into().ok()?,
        exceptions: exceptions?,
    }))
}

/// `Area/City`, `UTC`: the look of an IANA name.
fn timezone(key: &str, name: &str, report: &mut Report) {
    let part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+-".contains(&b));
    if name.is_empty() {
        report.problem(key, "is missing");
    } else if name.len() > 64 || !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.split('/').all(part) {
        report.problem(key, format!("{name:?} is no IANA time zone, as Europe/Madrid"));
    }
}

fn exceptions(key: &str, raw: &[RawException], report: &mut Report) -> Option<Vec<ScheduleException>> {
    let mut dates = HashSet::new();
    every(key, raw, |key, raw| {
        let date_key = format!("{key}.date");
        if !is_date(&raw.date) {
            report.problem(&date_key, format!("{:?} is no date, as 2026-12-25", raw.date));
        } else if !dates.insert(raw.date.clone()) {
            report.problem(&date_key, format!("{} is listed twice", raw.date));
        }
        let windows_key = format!("{key}.windows");
        match (raw.closed, raw.windows.is_empty()) {
            (true, false) => report.problem(&windows_key, "contradict closed = true"),
            (false, true) => report.problem(key, "must have closed = true or windows"),
            (true, true) | (false, false) => {}
        }
        let windows = windows(&windows_key, &raw.windows, report)?;
        Some(ScheduleException { date: raw.date.clone(), windows, label: text_if_any(&raw.label) })
    })
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

/// `YYYY-MM-DD` of the Gregorian calendar.
fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let &[year, month, day] = parts.as_slice() else { return false };
    if (year.len(), month.len(), day.len()) != (4, 2, 2) {
        return false;
    }
    let (Some(year), Some(month), Some(day)) = (number(year), number(month), number(day)) else { return false };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day)
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
    fn dates() {
        for good in ["2026-12-25", "2028-02-29", "2000-02-29"] {
            assert!(is_date(good), "{good}");
        }
        for bad in ["", "2026-02-29", "2100-02-29", "2026-13-01", "2026-00-01", "2026-04-31", "26-1-1", "2026-12-25x"] {
            assert!(!is_date(bad), "{bad}");
        }
    }
}
