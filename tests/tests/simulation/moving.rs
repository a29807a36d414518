//! Visitors who move: another address, another network, another page.

use trunkline_media::audio::Codec;
use trunkline_tests::world::{Dial, World, secs};

const CODECS: [Codec; 1] = [Codec::Opus];

#[test]
fn simulation_a_translator_that_forgets_costs_a_pause_and_no_call() {
    let (mut world, call, browser, phone) = World::talking(1, &Dial::default(), Codec::Pcmu);
    for _ in 0..3 {
        world.rebind(browser);
        world.run_for(secs(12));
        assert_eq!(world.state(call), "talking", "{:?}", world.call(call).media_events);
        world.assert_hearing(browser, phone, secs(0), secs(2));
    }
}

#[test]
fn simulation_an_ice_restart_costs_no_audio() {
    let (mut world, call, browser, phone) = World::talking(1, &Dial::default(), Codec::Pcmu);
    for _ in 0..3 {
        world.restart_ice(call, browser);
        world.assert_hearing(browser, phone, secs(2), secs(5));
    }
    assert_eq!(world.events(call), ["call_started", "call_ringing", "call_answered"]);
}

#[test]
fn simulation_an_ice_restart_after_a_change_of_network_brings_the_call_back() {
    let (mut world, call, browser, phone) = World::talking(1, &Dial::default(), Codec::Pcmu);
    world.black_out_browser(browser, secs(6));
    world.run_for(secs(6));
    assert_eq!(world.state(call), "reconnecting");
    world.rebind(browser);
    world.restart_ice(call, browser);
    world.run_for(secs(3));
    world.assert_hearing(browser, phone, secs(0), secs(2));
    let back = world.events_named(call, "call_reconnected");
    assert_eq!(back.len(), 1, "{:?}", world.call(call).media_events);
    assert_eq!(back[0].data["cause"], "ice_restart");
}

#[test]
fn simulation_a_page_that_is_loaded_again_gets_its_call_back() {
    let (mut world, call, old, phone) = World::talking(1, &Dial::default(), Codec::Pcmu);
    world.browser_mut(old).vanished = true;
    world.run_for(secs(5));
    assert_eq!(world.state(call), "reconnecting");
    let new = world.reattach(call, &CODECS);
    world.run_for(secs(3));
    world.assert_hearing(new, phone, secs(0), secs(2));
    let back = world.events_named(call, "call_reconnected");
    assert_eq!(back.len(), 1, "{:?}", world.call(call).media_events);
    assert_eq!(back[0].data["cause"], "reattach");
    assert_eq!(world.phone(phone).lines.len(), 1, "the phone is not called again");
}

#[test]
fn simulation_a_reattached_page_may_speak_another_codec() {
    let (mut world, call, old, phone) = World::talking(1, &Dial::default(), Codec::Pcmu);
    world.browser_mut(old).vanished = true;
    let new = world.reattach(call, &[Codec::Pcmu]);
    world.run_for(secs(3));
    world.assert_hearing(new, phone, secs(0), secs(2));
    let newer = world.reattach(call, &[Codec::Pcma, Codec::Opus]);
    world.run_for(secs(3));
    world.assert_hearing(newer, phone, secs(0), secs(2));
}
