//! Two people talk.

use trunkline::call::Api;
use trunkline_media::api::Leg;
use trunkline_media::audio::Codec;
use trunkline_tests::world::{BROWSER_TONE, Dial, PHONE_TONE, Says, Script, World, ms, secs};

/// Both hear the other's tone, all the time, and nothing else.
fn check(browser: &[Codec], trunk: Codec, relay: bool) {
    let dial = Dial { browser: browser.to_vec(), trunk: vec![trunk], relay, ..Dial::default() };
    let (mut world, call, browser, phone) = World::talking(1, &dial, trunk);
    let from = world.now();
    world.run_for(secs(10));
    let to = world.now();
    let (browser, phone) = (&world.browser(browser).ear, &world.phone(phone).line().ear);
    assert!(browser.fraction(PHONE_TONE, from, to) > 0.99, "{}", browser.fraction(PHONE_TONE, from, to));
    assert!(phone.fraction(BROWSER_TONE, from, to) > 0.99, "{}", phone.fraction(BROWSER_TONE, from, to));
    assert!(browser.fraction(BROWSER_TONE, from, to) < 0.001);
    assert!(phone.fraction(PHONE_TONE, from, to) < 0.001);
    assert_eq!(world.events(call), ["call_started", "call_ringing", "call_answered"]);
}

#[test]
fn simulation_opus_talks_to_pcmu() {
    check(&[Codec::Opus], Codec::Pcmu, false);
}

#[test]
fn simulation_opus_talks_to_pcma() {
    check(&[Codec::Opus, Codec::Pcmu], Codec::Pcma, false);
}

#[test]
fn simulation_pcmu_is_relayed() {
    check(&[Codec::Pcmu], Codec::Pcmu, true);
}

#[test]
fn simulation_pcma_talks_to_pcmu() {
    check(&[Codec::Pcma], Codec::Pcmu, false);
}

#[test]
fn simulation_opus_talks_to_g722() {
    check(&[Codec::Opus], Codec::G722, false);
}

#[test]
fn simulation_g722_talks_to_pcma() {
    check(&[Codec::G722], Codec::Pcma, false);
}

#[test]
fn simulation_g722_is_relayed() {
    check(&[Codec::G722], Codec::G722, true);
}

#[test]
fn simulation_opus_is_relayed_to_a_trunk_that_speaks_it() {
    check(&[Codec::Opus], Codec::Opus, true);
}

#[test]
fn simulation_the_visitor_hears_what_is_played_before_the_answer() {
    let mut world = World::new(1);
    let phone = world.add_phone(Script { early_media: true, ..Script::answers_after(secs(5)) });
    let call = world.dial(&Dial::default(), &[phone]);
    world.run_for(secs(2));
    let from = world.now();
    world.run_for(secs(2));
    assert_eq!(world.state(call), "ringing");
    assert!(world.browsers()[0].ear.fraction(PHONE_TONE, from, world.now()) > 0.95);
    world.run_for(secs(3));
    let from = world.now();
    world.run_for(secs(2));
    assert_eq!(world.state(call), "talking");
    assert!(world.browsers()[0].ear.fraction(PHONE_TONE, from, world.now()) > 0.95);
}

#[test]
fn simulation_who_is_muted_is_not_heard() {
    let (mut world, call, browser, phone) = World::talking(1, &Dial::default(), Codec::Pcmu);
    for (leg, muted) in [(Leg::Browser, true), (Leg::Trunk, true), (Leg::Browser, false), (Leg::Trunk, false)] {
        world.api(call, Api::Mute { leg, muted });
        world.assert_hearing(browser, phone, ms(500), secs(2));
    }
}

#[test]
fn simulation_an_hour_of_mute_ends_no_call() {
    let (mut world, call, browser, phone) = World::talking(1, &Dial::default(), Codec::Pcmu);
    world.browser_says(browser, Says::Sparse);
    world.phone_says(phone, Says::Sparse);
    world.run_for(secs(3600));
    assert_eq!((world.state(call), world.outcome(call)), ("talking", None), "{:?}", world.events(call));
    world.browser_says(browser, Says::Tone);
    world.phone_says(phone, Says::Tone);
    world.assert_hearing(browser, phone, secs(1), secs(2));
}
