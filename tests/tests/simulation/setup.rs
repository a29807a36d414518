//! From the click to the answer, and everything that keeps it from coming.

use trunkline::call::Api;
use trunkline_media::audio::Codec;
use trunkline_tests::world::ports::Ports;
use trunkline_tests::world::{Dial, PhoneEnd, Script, World, ms, secs};

/// Nothing but signalling: the outcome of calling one phone that does this.
fn outcome_of(script: Script) -> (&'static str, Option<&'static str>) {
    let mut world = World::new(1);
    let phone = world.add_phone(script.dumb());
    let call = world.dial(&Dial::without_media(), &[phone]);
    world.run_until(|world| world.outcome(call).is_some(), secs(120));
    world.run_for(secs(40));
    assert!(world.is_at_rest(), "{}", world.tell());
    world.outcome(call).unwrap()
}

#[test]
fn simulation_each_refusal_has_its_reason() {
    let rows = [
        (486, "dest_busy", None),
        (600, "dest_busy", None),
        (403, "dest_rejected", None),
        (603, "dest_rejected", None),
        (404, "dest_not_found", None),
        (410, "dest_not_found", None),
        (484, "dest_not_found", None),
        (604, "dest_not_found", None),
        (480, "dest_no_answer", None),
        (408, "dest_timeout", None),
        (401, "dest_auth", None),
        (407, "dest_auth", None),
        (415, "dest_codec", None),
        (488, "dest_codec", None),
        (606, "dest_codec", None),
        (500, "dest_unavailable", None),
        (503, "dest_unavailable", None),
    ];
    for (status, reason, detail) in rows {
        assert_eq!(outcome_of(Script::rejects(status)), (reason, detail), "{status}");
    }
}

#[test]
fn simulation_after_a_busy_phone_the_next_is_called() {
    let mut world = World::new(1);
    let busy = world.add_phone(Script::rejects(486));
    let free = world.add_phone(Script::answers_after(secs(1)));
    let call = world.dial(&Dial::default(), &[busy, free]);
    world.run_until(|world| world.state(call) == "talking", secs(10));
    assert_eq!(world.phone(busy).line().end, Some(PhoneEnd::Rejected(486)));
    assert_eq!(world.gateway().ports.leased().len(), 1);
    let browser = trunkline_tests::world::BrowserId(0);
    world.assert_hearing(browser, free, secs(1), secs(2));
}

#[test]
fn simulation_when_all_are_busy_the_last_says_why() {
    let mut world = World::new(1);
    let phones = [486, 404, 486].map(|status| world.add_phone(Script::rejects(status)));
    let call = world.dial(&Dial::without_media(), &phones);
    world.run_until(|world| world.outcome(call).is_some(), secs(10));
    assert_eq!(world.outcome(call), Some(("dest_busy", None)));
    assert_eq!(world.call(call).invites.len(), 3);
    assert_eq!(world.events(call), ["call_started", "call_error"]);
}

#[test]
fn simulation_a_phone_that_rings_on_is_cancelled() {
    let mut world = World::new(1);
    let phone = world.add_phone(Script::rings());
    let dial = Dial { ring_timeout: secs(30), ..Dial::default() };
    let call = world.dial(&dial, &[phone]);
    world.run_for(secs(29));
    assert_eq!(world.state(call), "ringing");
    world.run_for(secs(2));
    assert_eq!(world.outcome(call), Some(("dest_no_answer", None)));
    assert_eq!(world.phone(phone).line().end, Some(PhoneEnd::Cancelled));
    world.run_for(secs(40));
    assert!(world.is_at_rest(), "{}", world.tell());
}

#[test]
fn simulation_a_trunk_that_says_nothing_times_out() {
    let mut world = World::new(1);
    let phone = world.add_phone(Script::rings());
    world.phone_mut(phone).vanished = true;
    let call = world.dial(&Dial::default(), &[phone]);
    world.run_until(|world| world.outcome(call).is_some(), secs(60));
    assert_eq!(world.outcome(call), Some(("dest_timeout", Some("no_provisional"))));
    assert!((secs(32)..secs(34)).contains(&world.age()), "{:?}", world.age());
}

#[test]
fn simulation_a_second_address_is_tried_when_the_first_is_silent() {
    let mut world = World::new(1);
    let silent = world.add_phone(Script::rings());
    let other = world.add_phone(Script::answers_after(secs(1)));
    world.phone_mut(silent).vanished = true;
    let addresses = vec![world.phone(silent).address(), world.phone(other).address()];
    world.gateway_mut().names.insert("phone0".into(), addresses);
    let call = world.dial(&Dial::default(), &[silent]);
    world.run_until(|world| world.state(call) == "talking", secs(40));
    assert_eq!(world.call(call).invites.len(), 2);
}

#[test]
fn simulation_a_visitor_who_gives_up_stops_the_ringing() {
    for after in [0, 1, 20, 40, 100, 500, 3000] {
        let mut world = World::new(1);
        let phone = world.add_phone(Script::rings());
        let call = world.dial(&Dial::default(), &[phone]);
        world.run_for(ms(after));
        world.api(call, Api::VisitorHangup);
        assert_eq!(world.outcome(call), Some(("user_hangup", None)));
        assert_eq!(world.events(call).last(), Some(&"call_ended"));
        world.run_for(secs(40));
        for line in &world.phone(phone).lines {
            assert_eq!(line.end, Some(PhoneEnd::Cancelled), "given up after {after} ms");
            assert_eq!(line.reason, Some(("Q.850".into(), 16)));
        }
        assert!(world.is_at_rest(), "given up after {after} ms: {}", world.tell());
    }
}

#[test]
fn simulation_no_codec_in_common() {
    let mut world = World::new(1);
    let phone = world.add_phone(Script::answers_after(secs(1)).codec(Codec::Pcma));
    let dial = Dial { trunk: vec![Codec::Pcmu], ..Dial::without_media() };
    let call = world.dial(&dial, &[phone]);
    world.run_until(|world| world.outcome(call).is_some(), secs(10));
    assert_eq!(world.outcome(call), Some(("dest_codec", None)));
}

#[test]
fn simulation_a_name_that_does_not_exist() {
    let mut world = World::new(1);
    let phone = world.add_phone(Script::rings());
    world.gateway_mut().names.clear();
    let call = world.dial(&Dial::without_media(), &[phone]);
    world.run_until(|world| world.outcome(call).is_some(), secs(10));
    assert_eq!(world.outcome(call), Some(("dest_dns", None)));
    assert!(world.phone(phone).lines.is_empty());
}

#[test]
fn simulation_nobody_to_call() {
    let mut world = World::new(1);
    let call = world.dial(&Dial::default(), &[]);
    world.run_until(|world| world.outcome(call).is_some(), secs(30));
    assert_eq!(world.outcome(call), Some(("no_destination", None)));
}

#[test]
fn simulation_ports_come_back_after_their_quarantine() {
    let mut world = World::new(1);
    let phone = world.add_phone(Script::rejects(486).dumb());
    world.gateway_mut().ports = Ports::new(30_000, 1, secs(10));
    let dial = Dial::without_media();
    let mut outcomes = Vec::new();
    for pause in [1, 1, 12, 1] {
        let call = world.dial(&dial, &[phone]);
        world.run_for(secs(pause));
        outcomes.push(world.outcome(call).unwrap());
    }
    let full = ("dest_unavailable", Some("gateway_full"));
    let busy = ("dest_busy", None);
    assert_eq!(outcomes, [busy, full, full, busy]);
}

#[test]
fn simulation_a_browser_whose_packets_never_come_ends_the_call_at_the_phone_too() {
    let mut world = World::new(1);
    let phone = world.add_phone(Script::answers_after(secs(2)));
    let call = world.dial(&Dial::default(), &[phone]);
    world.browser_mut(trunkline_tests::world::BrowserId(0)).vanished = true;
    world.run_until(|world| world.outcome(call).is_some(), secs(30));
    assert_eq!(world.outcome(call), Some(("ice_failed", Some("udp_blocked"))));
    assert!((secs(19)..secs(22)).contains(&world.age()), "{:?}", world.age());
    world.run_for(secs(1));
    assert_eq!(world.phone(phone).line().end, Some(PhoneEnd::Ended));
    assert_eq!(world.phone(phone).line().reason, Some(("Q.850".into(), 41)));
}

#[test]
fn simulation_fifty_calls_at_once_hear_their_own_phone() {
    let mut world = World::new(1);
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let phone = world.add_phone(Script::answers_after(secs(1)).dumb());
            world.dial(&Dial::without_media(), &[phone])
        })
        .collect();
    world.run_until(|world| calls.iter().all(|call| world.state(*call) == "talking"), secs(10));
    assert_eq!(world.gateway().ports.leased().len(), 50);
    for call in &calls {
        world.api(*call, Api::VisitorHangup);
    }
    world.run_for(secs(40));
    assert!(world.is_at_rest(), "{}", world.tell());
}
