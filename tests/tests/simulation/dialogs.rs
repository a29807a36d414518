//! What the ends agree on changes, early, late and both at once: whoever should be heard is.

use trunkline::call::Api;
use trunkline_config::Calls;
use trunkline_media::api::Leg;
use trunkline_media::audio::Codec;
use trunkline_tests::world::{BROWSER_TONE, Dial, PHONE_TONE, Script, World, secs};

fn end(world: &mut World, call: trunkline_tests::world::CallNo) {
    world.api(call, Api::VisitorHangup);
    world.run_for(secs(40));
    assert!(world.is_at_rest(), "{}", world.tell());
}

#[test]
fn simulation_the_agent_changes_the_codec_and_the_audio_goes_on() {
    for relay in [false, true] {
        let dial = Dial { relay, browser: vec![Codec::Pcmu, Codec::Pcma], ..Dial::default() };
        let (mut world, call, browser, phone) = World::talking(1, &dial, Codec::Pcmu);
        for codec in [Codec::Pcma, Codec::Pcmu, Codec::Pcma] {
            world.phone_offers_codec(phone, codec, true);
            world.assert_hearing(browser, phone, secs(1), secs(3));
        }
        assert_eq!(world.bundle(call)["record"]["sip"]["codec"], "PCMA", "{}", world.tell());
        end(&mut world, call);
    }
}

#[test]
fn simulation_the_agents_audio_moves_to_another_address() {
    let (mut world, call, browser, phone) = World::talking(1, &Dial::default(), Codec::Pcmu);
    for _ in 0..3 {
        world.phone_moves(phone);
        world.assert_hearing(browser, phone, secs(1), secs(3));
    }
    end(&mut world, call);
}

#[test]
fn simulation_an_offer_that_cannot_be_used_changes_nothing() {
    let (mut world, call, browser, phone) = World::talking(1, &Dial::default(), Codec::Pcmu);
    world.phone_offers_codec(phone, Codec::Opus, false);
    world.assert_hearing(browser, phone, secs(0), secs(3));
    assert!(world.phone(phone).log.contains(&"phone: offer refused"), "{}", world.tell());
    assert_eq!(world.state(call), "talking");
    end(&mut world, call);
}

#[test]
fn simulation_a_trunk_that_makes_the_offer_itself() {
    for early_media in [false, true] {
        let mut world = World::new(1);
        let phone = world.add_phone(Script { early_media, ..Script::answers_after(secs(3)) });
        let calls = Calls { late_offer: true, ..Calls::default() };
        let call = world.dial(&Dial { calls, ..Dial::default() }, &[phone]);
        world.run_for(secs(5));
        assert_eq!(world.state(call), "talking", "{}", world.tell());
        let from = world.now();
        world.run_for(secs(3));
        assert!(world.browsers()[0].ear.fraction(PHONE_TONE, from, world.now()) > 0.95, "{}", world.tell());
        let ear = &world.phone(phone).line().ear;
        assert!(ear.fraction(BROWSER_TONE, from, world.now()) > 0.95, "{}", world.tell());
        end(&mut world, call);
    }
}

#[test]
fn simulation_early_media_moves_while_it_rings() {
    let mut world = World::new(1);
    let phone = world.add_phone(Script { early_media: true, ..Script::answers_after(secs(10)) });
    let call = world.dial(&Dial::default(), &[phone]);
    world.run_for(secs(2));
    for moves in [false, true] {
        if moves {
            world.phone_moves(phone);
            world.run_for(secs(1));
        }
        let from = world.now();
        world.run_for(secs(2));
        assert_eq!(world.state(call), "ringing");
        assert!(world.browsers()[0].ear.fraction(PHONE_TONE, from, world.now()) > 0.95, "{moves}: {}", world.tell());
    }
    world.run_for(secs(6));
    assert_eq!(world.state(call), "talking", "{}", world.tell());
    let from = world.now();
    world.run_for(secs(3));
    assert!(world.browsers()[0].ear.fraction(PHONE_TONE, from, world.now()) > 0.95, "{}", world.tell());
    assert!(world.phone(phone).line().ear.fraction(BROWSER_TONE, from, world.now()) > 0.95, "{}", world.tell());
    end(&mut world, call);
}

#[test]
fn simulation_both_ends_hold_at_once_and_come_back() {
    let (mut world, call, browser, phone) = World::talking(1, &Dial::default(), Codec::Pcmu);
    for (held, direction) in [(true, "sendonly"), (false, "sendrecv")] {
        world.api(call, Api::Hold { leg: Leg::Trunk, held });
        world.phone_directs(phone, direction);
        // Both are refused, and come again one after the other (RFC 3261 section 14.1).
        world.assert_hearing(browser, phone, secs(10), secs(3));
    }
    end(&mut world, call);
}
