//! The phone puts the visitor on hold, and comes back.

use trunkline::call::Api;
use trunkline_media::api::Leg;
use trunkline_media::audio::Codec;
use trunkline_tests::world::{Dial, World, secs};

fn check(direction: &'static str) {
    let (mut world, call, browser, phone) = World::talking(1, &Dial::default(), Codec::Pcmu);
    world.phone_directs(phone, direction);
    world.assert_hearing(browser, phone, secs(1), secs(2));
    world.run_for(secs(600));
    assert_eq!((world.state(call), world.outcome(call)), ("talking", None), "{:?}", world.events(call));
    world.phone_directs(phone, "sendrecv");
    world.assert_hearing(browser, phone, secs(1), secs(2));
    world.api(call, Api::VisitorHangup);
    world.run_for(secs(40));
    assert!(world.is_at_rest(), "{}", world.tell());
}

#[test]
fn simulation_ten_minutes_of_silent_hold() {
    check("inactive");
}

#[test]
fn simulation_ten_minutes_of_music() {
    check("sendonly");
}

#[test]
fn simulation_hold_and_resume_many_times() {
    let (mut world, _, browser, phone) = World::talking(1, &Dial::default(), Codec::Pcma);
    for direction in ["inactive", "sendrecv", "sendonly", "sendrecv", "sendonly", "inactive", "sendrecv"] {
        world.phone_directs(phone, direction);
        world.assert_hearing(browser, phone, secs(1), secs(1));
    }
}

/// An operator holds a leg for ten minutes, whatever the phone offers meanwhile.
fn check_operator(leg: Leg) {
    let (mut world, call, browser, phone) = World::talking(1, &Dial::default(), Codec::Pcmu);
    for held in [true, true] {
        world.api(call, Api::Hold { leg, held });
        world.assert_hearing(browser, phone, secs(1), secs(2));
    }
    for direction in ["sendonly", "sendrecv", "inactive", "sendrecv"] {
        world.phone_directs(phone, direction);
        world.assert_hearing(browser, phone, secs(1), secs(2));
    }
    world.run_for(secs(600));
    assert_eq!((world.state(call), world.outcome(call)), ("talking", None), "{:?}", world.events(call));
    world.api(call, Api::Hold { leg, held: false });
    world.assert_hearing(browser, phone, secs(1), secs(2));
    world.api(call, Api::VisitorHangup);
    world.run_for(secs(40));
    assert!(world.is_at_rest(), "{}", world.tell());
}

#[test]
fn simulation_an_operator_holds_the_visitor_for_ten_minutes() {
    check_operator(Leg::Browser);
}

#[test]
fn simulation_an_operator_holds_the_agent_for_ten_minutes() {
    check_operator(Leg::Trunk);
}
