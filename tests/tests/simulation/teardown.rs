//! How calls end.

use trunkline::call::{Api, Input};
use trunkline_media::audio::Codec;
use trunkline_tests::world::{BrowserId, CallNo, Dial, PhoneEnd, PhoneId, Says, World, secs};

/// The call ends like this within the limit, both sides know, and nothing is left.
fn ends(mut world: World, call: CallNo, phone: PhoneId, limit: u64, outcome: (&str, Option<&str>), cause: Option<u16>) {
    world.run_until(|world| world.outcome(call).is_some(), secs(limit));
    assert_eq!(world.outcome(call), Some(outcome));
    world.run_for(secs(40));
    let end = if cause.is_some() { PhoneEnd::Ended } else { PhoneEnd::HungUp };
    let line = world.phone(phone).line();
    assert_eq!((line.end, line.reason.as_ref().map(|r| r.1)), (Some(end), cause));
    assert!(world.is_at_rest(), "{}", world.tell());
}

fn talking() -> (World, CallNo, BrowserId, PhoneId) {
    World::talking(1, &Dial::default(), Codec::Pcmu)
}

#[test]
fn simulation_the_visitor_hangs_up() {
    let (mut world, call, _, phone) = talking();
    world.api(call, Api::VisitorHangup);
    ends(world, call, phone, 1, ("user_hangup", None), Some(16));
}

#[test]
fn simulation_the_agent_hangs_up() {
    let (mut world, call, _, phone) = talking();
    world.phone_hangs_up(phone);
    ends(world, call, phone, 1, ("remote_hangup", Some("bye")), None);
}

#[test]
fn simulation_the_operator_hangs_up() {
    let (mut world, call, _, phone) = talking();
    world.api(call, Api::OperatorHangup("training".into()));
    ends(world, call, phone, 1, ("remote_hangup", Some("operator")), Some(16));
}

#[test]
fn simulation_the_node_stops() {
    let (mut world, call, _, phone) = talking();
    let now = world.now();
    world.gateway_mut().input(now, call, Input::Shutdown);
    ends(world, call, phone, 1, ("node_shutdown", None), Some(503));
}

#[test]
fn simulation_a_browser_that_vanishes_is_waited_for_and_then_given_up() {
    let (mut world, call, browser, phone) = talking();
    world.browser_mut(browser).vanished = true;
    world.run_for(secs(10));
    assert_eq!(world.state(call), "reconnecting");
    assert_eq!(world.events_named(call, "call_reconnecting").len(), 1);
    world.run_for(secs(20));
    assert_eq!(world.outcome(call), None, "the grace is thirty seconds");
    ends(world, call, phone, 6, ("peer_vanished", None), Some(31));
}

#[test]
fn simulation_a_page_that_is_closed_is_waited_for_and_then_given_up() {
    let (mut world, call, browser, phone) = talking();
    let now = world.now();
    world.browser_mut(browser).close(now);
    world.run_for(secs(1));
    world.browser_mut(browser).vanished = true;
    assert_eq!(world.state(call), "reconnecting", "{:?}", world.call(call).media_events);
    ends(world, call, phone, 35, ("client_gone", None), Some(31));
}

#[test]
fn simulation_a_phone_that_sends_no_audio_is_given_up() {
    let (mut world, call, _, phone) = talking();
    world.phone_says(phone, Says::Nothing);
    world.run_for(secs(19));
    assert_eq!(world.outcome(call), None);
    ends(world, call, phone, 2, ("media_timeout", Some("sip")), Some(38));
}

#[test]
fn simulation_a_browser_that_sends_no_audio_is_given_up() {
    let (mut world, call, browser, phone) = talking();
    world.browser_says(browser, Says::Nothing);
    world.run_for(secs(19));
    assert_eq!(world.outcome(call), None);
    ends(world, call, phone, 2, ("media_timeout", Some("browser")), Some(38));
}

#[test]
fn simulation_a_trunk_that_vanishes_ends_the_call_by_its_silence() {
    let (mut world, call, _, phone) = talking();
    world.phone_mut(phone).vanished = true;
    world.run_until(|world| world.outcome(call).is_some(), secs(25));
    assert_eq!(world.outcome(call), Some(("media_timeout", Some("sip"))));
    world.run_for(secs(40));
    assert!(world.is_at_rest(), "{}", world.tell());
}

#[test]
fn simulation_both_hang_up_at_once() {
    let (mut world, call, _, phone) = talking();
    world.phone_hangs_up(phone);
    world.api(call, Api::VisitorHangup);
    world.run_for(secs(40));
    assert_eq!(world.outcome(call), Some(("user_hangup", None)));
    assert_eq!(world.phone(phone).line().end, Some(PhoneEnd::HungUp));
    assert!(world.is_at_rest(), "{}", world.tell());
}
