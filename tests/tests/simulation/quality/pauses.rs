//! Silence that is nobody's fault: mute, hold, DTX are no lack of media.

use std::time::Duration;

use trunkline::call::Api;
use trunkline_media::api::Leg;
use trunkline_tests::world::{CallNo, HalfLeg, Manner, Says, World, secs};

use super::{BROWSER, PHONE, lasting, raised, talking};

/// No half-leg is worse than green for so long, and nothing is found but what is named.
fn nobody_is_blamed(world: &mut World, call: CallNo, length: Duration, but: &[&str]) {
    let before = world.events_named(call, "network_quality_changed").len();
    world.run_for(length);
    let told = world.events_named(call, "network_quality_changed").split_off(before);
    for event in told {
        let to = event.data["to"].as_str().unwrap_or_default();
        assert!(matches!(to, "green" | "unknown"), "{:?}", event.data);
    }
    let raised = raised(world, call);
    assert!(raised.iter().all(|(finding, _)| but.contains(&finding.as_str())), "{raised:?}");
    assert_eq!((world.state(call), world.outcome(call)), ("talking", None));
}

/// And afterwards everything is as before.
fn all_is_green(world: &mut World, call: CallNo) {
    world.browser_says(BROWSER, Says::Speech(Manner::Plain));
    world.phone_says(PHONE, Says::Speech(Manner::Plain));
    world.run_for(secs(20));
    for half_leg in HalfLeg::ALL {
        let level = world.level(call, half_leg);
        assert_eq!(level.0, "green", "{} {level:?}", half_leg.word());
    }
    let open = lasting(world, call);
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn simulation_quality_dtx_is_no_gap() {
    for transcoded in [false, true] {
        let (mut world, call) = talking(transcoded);
        world.browser_says(BROWSER, Says::Sparse);
        nobody_is_blamed(&mut world, call, secs(120), &["silence"]);
        world.phone_says(PHONE, Says::Sparse);
        nobody_is_blamed(&mut world, call, secs(120), &["silence"]);
        all_is_green(&mut world, call);
    }
}

#[test]
fn simulation_quality_a_muted_microphone_is_no_gap() {
    let (mut world, call) = talking(true);
    world.browser_says(BROWSER, Says::Silence);
    nobody_is_blamed(&mut world, call, secs(120), &["silence"]);
    all_is_green(&mut world, call);
}

#[test]
fn simulation_quality_mute_by_the_gateway_is_no_gap() {
    for transcoded in [false, true] {
        let (mut world, call) = talking(transcoded);
        for leg in [Leg::Browser, Leg::Trunk] {
            world.api(call, Api::Mute { leg, muted: true });
            nobody_is_blamed(&mut world, call, secs(60), &["silence"]);
        }
        for leg in [Leg::Browser, Leg::Trunk] {
            world.api(call, Api::Mute { leg, muted: false });
        }
        all_is_green(&mut world, call);
    }
}

#[test]
fn simulation_quality_hold_is_no_gap() {
    for direction in ["inactive", "sendonly"] {
        let (mut world, call) = talking(true);
        world.phone_directs(PHONE, direction);
        nobody_is_blamed(&mut world, call, secs(120), &["silence"]);
        world.phone_directs(PHONE, "sendrecv");
        world.run_for(secs(2));
        all_is_green(&mut world, call);
    }
}
