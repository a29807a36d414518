use std::time::{Duration, Instant};

use super::breaker::{Breaker, FAILURES_MAX};
use super::lane::*;
use crate::ids::CallId;

const SECOND: Duration = Duration::from_secs(1);
const FAILED: Verdict = Verdict::Failed { retry_after: None };

fn plan(waits: &[u64], in_flight_max: usize) -> Plan {
    Plan { waits: waits.iter().map(|wait| Duration::from_secs(*wait)).collect(), in_flight_max }
}

fn lane(waits: &[u64], in_flight_max: usize) -> (Lane, Instant) {
    (Lane::new(plan(waits, in_flight_max), Breaker::default(), 7), Instant::now())
}

fn of_call(id: i64, call: &str) -> Waiting {
    Waiting { id, call: Some(CallId::from_client(call)), attempts: 0, not_before: None }
}

fn alone(id: i64) -> Waiting {
    Waiting { id, call: None, attempts: 0, not_before: None }
}

fn sent(lane: &mut Lane, now: Instant) -> Vec<i64> {
    std::iter::from_fn(|| lane.poll(now)).collect()
}

/// An attempt that is over and written.
fn over(lane: &mut Lane, now: Instant, id: i64, verdict: Verdict) -> Decision {
    let decision = lane.answered(now, id, verdict).unwrap();
    lane.recorded(id);
    decision
}

#[test]
fn events_of_one_call_go_one_after_another_those_of_others_at_once() {
    let (mut lane, now) = lane(&[1], 10);
    for (id, call) in [(1, "a"), (2, "a"), (3, "b"), (4, "a"), (5, "b")] {
        assert!(lane.offer(of_call(id, call)));
    }
    assert!(lane.offer(alone(6)) && lane.offer(alone(7)));
    assert!(!lane.offer(of_call(3, "b")), "it is there");
    assert_eq!(sent(&mut lane, now), [1, 3, 6, 7]);
    assert_eq!(over(&mut lane, now, 3, Verdict::Accepted).fate, Fate::Delivered);
    assert_eq!(sent(&mut lane, now), [5]);
    lane.answered(now, 1, Verdict::Accepted).unwrap();
    assert_eq!(sent(&mut lane, now), [] as [i64; 0], "not before it is durable");
    lane.recorded(1);
    assert_eq!(sent(&mut lane, now), [2]);
}

#[test]
fn the_next_event_of_a_call_waits_for_all_attempts_of_the_one_before() {
    let (mut lane, mut now) = lane(&[4, 4], 10);
    lane.offer(of_call(1, "a"));
    lane.offer(of_call(2, "a"));
    for attempt in 1..=2 {
        assert_eq!(sent(&mut lane, now), [1]);
        let decision = over(&mut lane, now, 1, FAILED);
        let Fate::Again(wait) = decision.fate else { panic!("{decision:?}") };
        assert!(wait <= 4 * SECOND && decision.attempts == attempt);
        assert_eq!(lane.poll_timeout(), Some(now + wait));
        now += wait;
    }
    assert_eq!(sent(&mut lane, now), [1]);
    assert_eq!(over(&mut lane, now, 1, FAILED).fate, Fate::GivenUp);
    assert_eq!(sent(&mut lane, now), [2]);
}

#[test]
fn there_is_one_attempt_more_than_waits_each_wait_is_jittered_and_all_of_it_is_used() {
    let waits = [1, 5, 30, 120, 600];
    let mut longest = [Duration::ZERO; 5];
    for seed in 0..200 {
        let (mut now, mut made) = (Instant::now(), Vec::new());
        let mut lane = Lane::new(plan(&waits, 1), Breaker::default(), seed);
        lane.offer(alone(1));
        loop {
            assert_eq!(lane.poll(now), Some(1));
            let decision = over(&mut lane, now, 1, FAILED);
            let Fate::Again(wait) = decision.fate else {
                assert_eq!((decision.fate, decision.attempts), (Fate::GivenUp, 6));
                break;
            };
            assert_eq!(lane.poll(now + wait / 2).is_some(), wait.is_zero());
            made.push(wait);
            now += wait;
        }
        for ((wait, most), longest) in made.into_iter().zip(waits).zip(&mut longest) {
            assert!(wait <= Duration::from_secs(most));
            *longest = wait.max(*longest);
        }
    }
    for (longest, most) in longest.into_iter().zip(waits) {
        assert!(longest > Duration::from_secs(most).mul_f64(0.9), "{longest:?} of {most}");
    }
}

#[test]
fn a_4xx_stops_at_once_and_a_wait_that_is_asked_for_is_kept_within_bounds() {
    let (mut lane, now) = lane(&[1], 10);
    for id in 1..=3 {
        lane.offer(alone(id));
    }
    assert_eq!(sent(&mut lane, now), [1, 2, 3]);
    assert_eq!(over(&mut lane, now, 1, Verdict::Refused).fate, Fate::GivenUp);
    for (id, asked, least, most) in [(2, 90, 90, 91), (3, 1_000_000, 3_600, 3_601)] {
        let verdict = Verdict::Failed { retry_after: Some(Duration::from_secs(asked)) };
        let Fate::Again(wait) = over(&mut lane, now, id, verdict).fate else { panic!() };
        assert!((least * SECOND..=most * SECOND).contains(&wait), "{wait:?}");
    }
}

#[test]
fn no_more_than_the_limit_is_under_way_and_no_more_than_the_window_is_held() {
    let (mut lane, now) = lane(&[1], 3);
    let taken = (1..=2_000).filter(|id| lane.offer(alone(*id))).count();
    assert_eq!((taken, lane.room()), (WINDOW, 0));
    assert_eq!(sent(&mut lane, now), [1, 2, 3]);
    lane.answered(now, 2, Verdict::Accepted);
    assert_eq!(lane.poll(now), None, "being written it still counts");
    lane.recorded(2);
    assert_eq!((sent(&mut lane, now), lane.room()), (vec![4], 1));
}

#[test]
fn twenty_failed_deliveries_in_a_row_pause_and_a_success_begins_anew() {
    let (mut lane, now) = lane(&[], 1);
    let fail = |lane: &mut Lane, id: i64, verdict: Verdict| {
        lane.offer(alone(id));
        assert_eq!(lane.poll(now), Some(id));
        over(lane, now, id, verdict)
    };
    for id in 1..=19 {
        assert!(!fail(&mut lane, id, if id % 2 == 0 { FAILED } else { Verdict::Refused }).pauses);
    }
    assert_eq!(fail(&mut lane, 20, Verdict::Accepted).fate, Fate::Delivered);
    assert_eq!(lane.breaker().failures(), 0);
    for id in 21..=39 {
        assert!(!fail(&mut lane, id, FAILED).pauses);
    }
    assert!(fail(&mut lane, 40, FAILED).pauses);
    assert_eq!((lane.breaker().failures(), lane.breaker().is_paused()), (FAILURES_MAX, true));
}

#[test]
fn while_paused_nothing_goes_out_and_what_was_under_way_waits_with_the_rest() {
    let (mut lane, now) = lane(&[1], 25);
    for id in 1..=30 {
        lane.offer(of_call(id, &format!("call {}", id % 28)));
    }
    assert_eq!(sent(&mut lane, now).len(), 25);
    for id in 1..=20 {
        assert_eq!(over(&mut lane, now, id, Verdict::Refused).pauses, id == 20);
    }
    assert_eq!((sent(&mut lane, now + 9 * SECOND), lane.poll_timeout(), lane.room()), (vec![], None, 0));
    assert!(!lane.offer(alone(99)));
    assert_eq!(over(&mut lane, now, 21, FAILED).fate, Fate::Held);
    assert_eq!(over(&mut lane, now, 22, Verdict::Refused).fate, Fate::Held);
    assert_eq!(over(&mut lane, now, 23, Verdict::Accepted).fate, Fate::Delivered);
    assert_eq!((lane.breaker().failures(), lane.breaker().is_paused()), (20, true));

    // 24 and 25 are still under way when it begins again: they are not sent twice.
    lane.reactivate();
    for id in (1..=22).chain(24..=30) {
        lane.offer(of_call(id, &format!("call {}", id % 28)));
    }
    assert_eq!(lane.breaker().failures(), 0);
    let again = sent(&mut lane, now);
    assert_eq!(again, (1..=22).chain([26]).collect::<Vec<_>>());
    assert!(lane.answered(now, 30, Verdict::Accepted).is_none(), "it was not sent");
}

#[test]
fn a_lane_restored_goes_on_where_it_was() {
    let now = Instant::now();
    let mut lane = Lane::new(plan(&[1, 1], 5), Breaker::restored(19, false), 1);
    lane.offer(Waiting { attempts: 2, not_before: Some(now + 5 * SECOND), ..of_call(1, "a") });
    lane.offer(of_call(2, "a"));
    assert_eq!(lane.poll(now + 4 * SECOND), None);
    assert_eq!(lane.poll(now + 5 * SECOND), Some(1));
    assert!(over(&mut lane, now, 1, FAILED).pauses, "the third attempt was the last, the delivery the twentieth");
    let mut paused = Lane::new(plan(&[], 5), Breaker::restored(20, true), 1);
    assert!(!paused.offer(alone(1)));
}

#[test]
fn another_plan_holds_for_attempts_to_come() {
    let (mut lane, now) = lane(&[], 1);
    lane.offer(alone(1));
    lane.offer(alone(2));
    assert_eq!(sent(&mut lane, now), [1]);
    lane.set_plan(plan(&[3], 2));
    assert_eq!(sent(&mut lane, now), [2]);
    assert!(matches!(over(&mut lane, now, 1, FAILED).fate, Fate::Again(_)));
}
