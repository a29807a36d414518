//! Offers that become no call, and what does not become of them.

use std::sync::atomic::AtomicBool;

use trunkline_config::{Hours, Schedule};

use super::*;

fn refused(calls: &Calls, reason: &str) -> u64 {
    let outcomes = calls.outcomes();
    outcomes.iter().find(|(labels, _)| *labels == ["refused", reason, "admission"]).map_or(0, |(_, count)| *count)
}

/// Open in the first half of 2026.
fn half_a_year() -> Hours {
    let day = |date: jiff::civil::Date| {
        let windows = vec![0..=1439];
        (date, trunkline_config::ScheduleException { windows, label: None })
    };
    let days = jiff::civil::date(2026, 1, 1).series(jiff::ToSpan::day(1)).take(181).map(day);
    Hours::Schedule(Schedule {
        timezone: jiff::tz::TimeZone::UTC,
        week: Default::default(),
        exceptions: days.collect(),
    })
}

/// A clock whose date jumps from a moment before closing time to one after it.
fn clock(late: &Arc<AtomicBool>) -> Clock {
    let late = Arc::clone(late);
    Clock::new(move || {
        let wall = if late.load(Ordering::Relaxed) { "2026-07-01T00:00:00Z" } else { "2026-06-30T23:59:59.999Z" };
        crate::clock::Now { instant: Instant::now(), wall: wall.parse().unwrap() }
    })
}

#[tokio::test]
async fn closing_time_refuses_new_calls_and_cuts_none() {
    let late = Arc::new(AtomicBool::new(false));
    let bench = Bench::at(clock(&late), |config| config.apps[0].hours = half_a_year());
    let call = bench.talking("ses_1").await;
    late.store(true, Ordering::Relaxed);
    let problem = bench.start("ses_2").await.unwrap_err();
    assert_eq!((problem.status, problem.slug), (403, "closed"));
    assert_eq!(problem.extra.get("opens_at"), Some(&serde_json::Value::Null));
    assert_eq!(refused(&bench.calls, "closed_hours"), 1);
    assert_eq!(bench.calls.live_call_of(&SessionId::from_client("ses_2")), None);
    assert_eq!(bench.media.opened.lock().unwrap().len(), 1);
    // The one that is up goes on, and takes all a call takes.
    assert_eq!(bench.calls.record(&call).unwrap()["state"], "talking");
    assert!(bench.calls.reattach(&call, OFFER).await.is_ok());
    bench.calls.hangup(&call, HangupBy::Visitor);
    assert_eq!(bench.story(&call).await.last(), Some(&"call_ended"));
}

#[tokio::test]
async fn a_session_that_was_closed_may_call_once_it_is_open() {
    let late = Arc::new(AtomicBool::new(true));
    let bench = Bench::at(clock(&late), |config| config.apps[0].hours = half_a_year());
    assert_eq!(bench.start("ses_1").await.unwrap_err().slug, "closed");
    late.store(false, Ordering::Relaxed);
    assert!(bench.start("ses_1").await.is_ok());
}

#[tokio::test]
async fn a_preview_with_a_good_offer_starts_nothing() {
    let bench = Bench::new();
    let mut feed = Feed::open(bench.calls.store(), Filter::default(), None).await.unwrap().unwrap();
    let preview = Session { preview: true, ..bench.session("ses_1") };
    for _ in 0..3 {
        let problem = bench.calls.start(&preview, OFFER).await.unwrap_err();
        assert_eq!((problem.status, problem.slug), (403, "preview-session"));
    }
    assert_eq!(refused(&bench.calls, "preview_session"), 3);
    assert!(bench.media.opened.lock().unwrap().is_empty() && bench.media.commands.lock().unwrap().is_empty());
    assert!(bench.sip.invites.lock().unwrap().is_empty());
    assert_eq!((bench.calls.live(), bench.calls.counters().started), (0, 0));
    let call = bench.start("ses_2").await.unwrap();
    let Heard::Event(first) = feed.next().await.unwrap() else { panic!("it keeps up") };
    assert_eq!((first.name, first.call.as_ref()), ("call_started", Some(&call)), "nothing was told before");
}

#[tokio::test]
async fn a_browser_is_asked_for_as_wide_a_sound_as_any_trunk_can_carry() {
    use trunkline_config::Codec::{G722, Opus, Pcma, Pcmu};
    for (codecs, enabled, rate) in [
        (vec![Pcmu, Pcma], true, 8_000),
        (vec![Pcma, G722], true, 16_000),
        (vec![Pcmu, Opus], true, 48_000),
        (vec![Pcmu, Opus], false, 8_000),
    ] {
        let bench = Bench::of(|config| {
            config.trunks[0].codecs = vec![Pcmu];
            // Nobody dials it, but a transfer might.
            let other =
                trunkline_config::Trunk { id: "other".into(), codecs: codecs.clone(), ..config.trunks[0].clone() };
            config.trunks.push(trunkline_config::Trunk { enabled, ..other });
        });
        let call = bench.start("ses_1").await.unwrap();
        bench.calls.reattach(&call, OFFER).await.unwrap();
        assert_eq!(*bench.media.playback_rates.lock().unwrap(), [rate, rate], "{codecs:?} {enabled}");
    }
}
