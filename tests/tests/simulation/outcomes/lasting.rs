//! What must not end a call, line by line.

use trunkline::call::Api;
use trunkline_media::api::Leg;
use trunkline_media::audio::Codec;
use trunkline_tests::world::{Dial, HalfLeg, Lie, Link, PhoneId, Rtcp, Says, Script, World, ms, secs};

use super::{BROWSER, talking};

const PHONE: PhoneId = PhoneId(0);

/// The call goes on: nobody was told of an end, and everybody hears.
fn goes_on(mut world: World, call: trunkline_tests::world::CallNo) {
    assert_eq!((world.state(call), world.outcome(call)), ("talking", None), "{:?}", world.events(call));
    world.assert_hearing(BROWSER, PHONE, secs(3), secs(2));
    assert_eq!(world.phone(PHONE).lines.len(), 1, "the phone is not called again");
}

#[test]
fn simulation_lasting_undecryptable_media_however_much() {
    let (mut world, call, _) = talking();
    for _ in 0..3 {
        world.impair(HalfLeg::BrowserUp, BROWSER, PHONE, Link::good().corrupting());
        world.run_for(secs(10));
        world.impair(HalfLeg::BrowserUp, BROWSER, PHONE, Link::good());
        world.run_for(secs(4));
    }
    assert!(world.stats(call).drops.undecryptable > 1_000);
    goes_on(world, call);
}

#[test]
fn simulation_lasting_foreign_datagrams_however_many() {
    let (mut world, call, _) = talking();
    let public = world.gateway().public;
    let browser = world.stats(call).browser_remote.unwrap();
    for nth in 0..20_000_u32 {
        let kind = [0_u8, 22, 128, 129, 64, 200][nth as usize % 6];
        let mut bytes = vec![kind; 12 + nth as usize % 90];
        bytes[1] = nth as u8;
        let from = if nth % 2 == 0 { browser } else { "198.18.7.7:9".parse().unwrap() };
        world.inject(from, public, bytes);
        if nth % 20 == 0 {
            world.run_for(ms(10));
        }
    }
    goes_on(world, call);
}

#[test]
fn simulation_lasting_ten_seconds_of_darkness_on_either_leg_and_either_way() {
    for half_leg in HalfLeg::ALL {
        let (mut world, call, _) = talking();
        world.darken(half_leg, BROWSER, PHONE, secs(10));
        world.run_for(secs(16));
        goes_on(world, call);
    }
    for whole_leg in [true, false] {
        let (mut world, call, phone) = talking();
        if whole_leg {
            world.black_out_browser(BROWSER, secs(10))
        } else {
            world.black_out_phone(phone, secs(10))
        }
        world.run_for(secs(16));
        goes_on(world, call);
    }
}

#[test]
fn simulation_lasting_a_nat_rebinding() {
    let (mut world, call, _) = talking();
    world.rebind(BROWSER);
    world.run_for(secs(14));
    goes_on(world, call);
}

#[test]
fn simulation_lasting_a_page_reload() {
    let (mut world, call, phone) = talking();
    let now = world.now();
    world.browser_mut(BROWSER).close(now);
    world.run_for(ms(300));
    world.browser_mut(BROWSER).vanished = true;
    world.run_for(secs(2));
    let new = world.reattach(call, &[Codec::Opus]);
    world.run_for(secs(3));
    assert_eq!((world.state(call), world.outcome(call)), ("talking", None), "{:?}", world.events(call));
    world.assert_hearing(new, phone, secs(1), secs(2));
    let [back] = world.events_named(call, "call_reconnected")[..] else { panic!("{:?}", world.events(call)) };
    assert!(back.data["gap_ms"].as_u64().is_some());
}

#[test]
fn simulation_lasting_an_ip_change_with_an_ice_restart() {
    let (mut world, call, _) = talking();
    world.black_out_browser(BROWSER, secs(20));
    world.run_for(secs(20));
    assert_eq!(world.events_named(call, "call_reconnecting").len(), 1);
    world.rebind(BROWSER);
    world.restart_ice(call, BROWSER);
    world.run_for(secs(4));
    assert_eq!(world.events_named(call, "call_reconnected").len(), 1);
    goes_on(world, call);
}

#[test]
fn simulation_lasting_a_sleeping_device_within_the_grace() {
    let (mut world, call, _) = talking();
    world.sleep(BROWSER, secs(20));
    world.run_for(secs(26));
    goes_on(world, call);
}

#[test]
fn simulation_lasting_an_hour_of_silence_dtx_mute_and_hold() {
    let (mut world, call, phone) = talking();
    world.deafen();
    world.browser_says(BROWSER, Says::Sparse);
    world.phone_says(phone, Says::Silence);
    world.run_for(secs(900));
    world.browser_says(BROWSER, Says::Tone);
    world.phone_says(phone, Says::Sparse);
    world.api(call, Api::Mute { leg: Leg::Browser, muted: true });
    world.api(call, Api::Mute { leg: Leg::Trunk, muted: true });
    world.run_for(secs(900));
    for direction in ["inactive", "sendonly"] {
        world.phone_directs(phone, direction);
        world.run_for(secs(900));
        assert_eq!((world.state(call), world.outcome(call)), ("talking", None), "{:?}", world.events(call));
    }
}

#[test]
fn simulation_lasting_lies_and_goodbyes_in_the_trunks_rtcp() {
    for lie in [Lie::Byes, Lie::AllLost, Lie::Malformed, Lie::SourceStorm] {
        let mut world = World::new(1);
        let phone = world.add_phone(Script::answers_after(secs(1)).rtcp(Rtcp::Lying(lie)));
        let call = world.dial(&Dial::default(), &[phone]);
        world.run_for(secs(40));
        goes_on(world, call);
    }
}

#[test]
fn simulation_lasting_other_tasks_that_take_their_time() {
    // DNS, port leases and the media plane's reports come late: a busy machine, a slow server.
    let mut world = World::new(1);
    world.gateway_mut().lag = ms(400);
    let phone = world.add_phone(Script::answers_after(secs(3)));
    let call = world.dial(&Dial::default(), &[phone]);
    world.run_for(secs(30));
    goes_on(world, call);
}
