//! Targets, trunks of a group, and what sends a call from one to the next.

use super::*;

/// Two targets, the INVITE to the first is out.
fn two_targets() -> Bench {
    let mut bench = Bench::started();
    bench.connect();
    bench.leased(1);
    bench.resolved(1, &["192.0.2.1:5060", "192.0.2.2:5060"]);
    bench
}

fn invited(effects: &[Effect]) -> Vec<String> {
    let of = |effect: &Effect| if let Effect::Invite(order) = effect { Some(order.target.to_string()) } else { None };
    effects.iter().filter_map(of).collect()
}

fn rejected(status: u16, retry_after: Option<u32>) -> SipEvent {
    SipEvent::Failed(Failure::Rejected { status, phrase: String::new(), reason: None, retry_after })
}

#[test]
fn a_silent_target_is_given_up_early_when_there_is_another() {
    let mut bench = two_targets();
    let before = (bench.now, bench.done.len());
    assert_eq!(bench.timeout(), "target");
    assert!(bench.now - before.0 <= Duration::from_secs(2));
    let effects = bench.done.split_off(before.1);
    assert_eq!(bench.met, [("udp:192.0.2.1:5060".to_owned(), Sign::Dead)]);
    assert!(matches!(&effects[0], Effect::Hangup { attempt: AttemptId(1), .. }), "it must not ring there late");
    assert_eq!(invited(&effects), ["udp:192.0.2.2:5060"]);
    assert_eq!(bench.timeout(), "ring", "the last one may take its time");
}

#[test]
fn a_target_that_says_anything_is_waited_for() {
    let mut bench = two_targets();
    bench.sip(SipEvent::Trying);
    bench.sip(SipEvent::Trying);
    assert_eq!(bench.met, [("udp:192.0.2.1:5060".to_owned(), Sign::Answered)], "once");
    assert_eq!(bench.timeout(), "ring");
}

#[test]
fn what_sends_a_call_to_the_next_target() {
    let resting = |seconds| Sign::Resting(Duration::from_secs(seconds));
    let rows = [
        (rejected(503, None), true, Sign::Answered),
        (rejected(503, Some(120)), true, resting(120)),
        (rejected(500, None), true, Sign::Answered),
        (rejected(408, None), true, Sign::Answered),
        (rejected(502, None), false, Sign::Answered),
        (rejected(486, None), false, Sign::Answered),
        (rejected(603, None), false, Sign::Answered),
        (SipEvent::Failed(Failure::Transport), true, Sign::Dead),
        (SipEvent::Failed(Failure::Tls("no".into())), true, Sign::Dead),
        (SipEvent::Failed(Failure::NoProvisional), true, Sign::Dead),
    ];
    for (event, goes_on, sign) in rows {
        let mut bench = two_targets();
        let effects = bench.sip(event.clone());
        assert_eq!(bench.met, [("udp:192.0.2.1:5060".to_owned(), sign)], "{event:?}");
        assert_eq!(!invited(&effects).is_empty(), goes_on, "{event:?}");
    }
}

#[test]
fn nothing_sends_a_call_on_once_somebody_was_reached() {
    for status in [180, 181, 182, 183] {
        for event in [rejected(503, None), rejected(500, None), SipEvent::Failed(Failure::Transport)] {
            let mut bench = two_targets();
            bench.sip(SipEvent::Provisional { fork: Fork::default(), status, sdp: None });
            assert_eq!(invited(&bench.sip(event.clone())), [""; 0], "{status}, then {event:?}");
            assert!(bench.call.is_over());
        }
    }
}

fn over(trunk: &str) -> Planned {
    let Planned::Dial(route) = route("sip:agent@carriers") else { panic!("a route") };
    Planned::Dial(Arc::new(Route { trunk: trunk.into(), ..Arc::unwrap_or_clone(route) }))
}

/// Trunks that were asked for, in order, with whether nothing else was left.
fn leases(effects: &[Effect]) -> Vec<(String, bool)> {
    let of = |effect: &Effect| {
        if let Effect::LeaseTrunk { trunk, last, .. } = effect { Some((trunk.clone(), *last)) } else { None }
    };
    effects.iter().filter_map(of).collect()
}

#[test]
fn the_trunks_of_a_group_are_tried_until_one_takes_the_call() {
    let off = Planned::Skip {
        destination: "sip:agent@carriers".into(),
        trunk: Some("off".into()),
        reason: Reason::DestUnavailable(Unavailable::TrunkDisabled),
    };
    let mut bench = Bench::new(vec![Planned::Hunt(vec![off, over("a"), over("b"), over("c")])]);
    bench.feed(Input::Start);
    let refused = |attempt, error| Input::TrunkLeased { attempt: AttemptId(attempt), result: Err(error) };
    bench.feed(refused(1, LeaseRefused::TrunkFull));
    bench.leased(2);
    bench.resolved(2, &["192.0.2.2:5060"]);
    bench.sip(rejected(503, None));
    bench.leased(3);
    bench.resolved(3, &["192.0.2.3:5060"]);
    bench.sip(SipEvent::Answered { fork: Fork::default(), sdp: pcmu() });
    assert_eq!(bench.call.state(), State::Talking);
    let expected = [("a", false), ("b", false), ("c", true)].map(|(trunk, last)| (trunk.to_owned(), last));
    assert_eq!(leases(&bench.done), expected);
    let told: Vec<String> = bench.record()["sip"]["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| format!("{} {} {}", a["trunk"].as_str().unwrap(), a["status"], a["detail"].as_str().unwrap_or("-")))
        .collect();
    assert_eq!(told, ["off null trunk_disabled", "a null trunk_full", "b 503 -", "c 200 -"]);
}

#[test]
fn a_destination_that_has_decided_is_not_asked_over_another_trunk() {
    for event in [rejected(486, None), rejected(603, None), rejected(404, None)] {
        let mut bench = Bench::new(vec![Planned::Hunt(vec![over("a"), over("b")])]);
        bench.feed(Input::Start);
        bench.leased(1);
        bench.resolved(1, &["192.0.2.1:5060"]);
        bench.sip(event);
        assert!(bench.call.is_over());
        assert_eq!(leases(&bench.done).len(), 1);
    }
}

#[test]
fn a_trunk_that_is_down_is_passed_over_and_tried_when_nothing_else_is_left() {
    let mut bench = Bench::new(vec![Planned::Hunt(vec![over("a"), over("b")])]);
    bench.feed(Input::Start);
    bench.feed(Input::TrunkLeased { attempt: AttemptId(1), result: Err(LeaseRefused::TrunkDown) });
    bench.leased(2);
    bench.resolved(2, &["192.0.2.2:5060"]);
    bench.sip(rejected(503, None));
    let expected = [("a", false), ("b", false), ("a", true)].map(|(trunk, last)| (trunk.to_owned(), last));
    assert_eq!(leases(&bench.done), expected);
    let attempts = &bench.record()["sip"]["attempts"];
    assert_eq!((&attempts[0]["trunk"], &attempts[0]["detail"]), (&json!("a"), &json!("trunk_down")));
    bench.leased(3);
    bench.resolved(3, &["192.0.2.1:5060"]);
    bench.sip(SipEvent::Answered { fork: Fork::default(), sdp: pcmu() });
    assert_eq!(bench.call.state(), State::Talking);
}

#[test]
fn targets_that_want_rest_are_no_failure_of_dns() {
    let mut bench = Bench::started();
    bench.leased(1);
    bench.feed(Input::Resolved { attempt: AttemptId(1), result: Err(ResolveError::Resting) });
    assert_eq!(words(&bench.outcome()), "error dest_unavailable retry_after routing trunk");
}
