//! What a series keeps, and how much room it takes.

use jiff::Timestamp;
use trunkline_media::quality::Level;

use super::*;

fn second(n: u32) -> [HalfLegSample; 4] {
    let bad = n % 10 == 7;
    let sample = HalfLegSample {
        packets: 50,
        loss: Some(if bad { 0.5 } else { 0.0 }),
        level: if bad { Level::Red } else { Level::Green },
        ..HalfLegSample::default()
    };
    [sample, HalfLegSample::default(), sample, sample]
}

fn filled(seconds: u32) -> (Series, Now) {
    let start = Instant::now();
    let mut series = Series::new(start);
    for n in 1..=seconds {
        // Nothing comes to the millisecond.
        series.push(start + Duration::from_millis(u64::from(n) * 1_000 + u64::from(n * 7 % 20)), &second(n));
    }
    (series, Now { instant: start, wall: Timestamp::from_second(1_700_000_000).unwrap() })
}

fn octets(series: &Series) -> usize {
    (series.recent.capacity() + series.whole.capacity()) * size_of::<Entry>() + size_of::<Series>()
}

#[test]
fn a_call_of_a_minute_fits_its_budget() {
    let (series, _) = filled(60);
    assert!(octets(&series) < 5_500, "{}", octets(&series));
}

#[test]
fn the_last_two_minutes_are_kept_in_seconds_and_the_rest_in_steps() {
    let (series, wall) = filled(302);
    let json = series.to_json(wall);
    let up = &json["browser_up"];
    let (recent, whole) = (up["recent"].as_array().unwrap(), up["whole"].as_array().unwrap());
    assert!((119..=120).contains(&recent.len()), "{}", recent.len());
    assert_eq!(whole.len(), 61, "sixty steps and one that is being filled");
    assert!(recent.last().unwrap()["at"].as_str().unwrap().starts_with("2023-11-14T22:18:22"), "{recent:?}");
    let packets: u64 = whole.iter().map(|point| point["packets"].as_u64().unwrap()).sum();
    assert_eq!(packets, 302 * 50, "no second is lost or told twice");
    assert!(whole.iter().all(|point| point["level"] == "green" || point["loss"].as_f64() > Some(0.05)));
    assert_eq!(whole.iter().filter(|point| point["level"] == "red").count(), 30);
    assert_eq!(json["browser_down"]["recent"][0]["loss"], Value::Null);
    let keys: Vec<_> = recent[0].as_object().unwrap().keys().cloned().collect();
    let mut expected = [
        "at",
        "packets",
        "loss",
        "late",
        "jitter_ms",
        "rtt_ms",
        "rtt_source",
        "jitter_buffer_target_ms",
        "jitter_buffer_ms",
        "concealed",
        "audio_level_dbov",
        "mos_lq",
        "mos_cq",
        "gap_ms",
        "level",
        "reasons",
    ];
    expected.sort_unstable();
    assert_eq!(keys, expected);
}

#[test]
fn a_long_call_gets_longer_steps_and_no_more_room() {
    let (series, _) = filled(3 * 3_600);
    assert_eq!(series.step_ms, 10_000);
    assert!(series.whole.len() <= MAX_WHOLE && series.whole.len() >= 1_000, "{}", series.whole.len());
    let covered = series.whole.back().unwrap().at_ms - series.whole.front().unwrap().at_ms;
    assert!(covered > 3 * 3_600_000 - 30_000, "{covered}");
    let (series, _) = filled(40 * 3_600);
    assert_eq!((series.step_ms, series.whole.len()), (MAX_STEP_MS, MAX_WHOLE));
    assert!(octets(&series) < 150_000, "{}", octets(&series));
}

#[test]
fn a_second_that_never_came_is_a_hole() {
    let start = Instant::now();
    let mut series = Series::new(start);
    for n in [1, 2, 3, 200, 201] {
        series.push(start + Duration::from_secs(n), &second(1));
    }
    assert_eq!(series.recent.len(), 2);
    let wall = Now { instant: start, wall: Timestamp::UNIX_EPOCH };
    assert_eq!(series.to_json(wall)["sip_up"]["recent"].as_array().map(Vec::len), Some(2));
}
