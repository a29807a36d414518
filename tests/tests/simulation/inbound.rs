//! A phone calls, two browsers wait, the first to answer has the call.

use trunkline::call::{Api, Input, ReceiverSays};
use trunkline::ids::SessionId;
use trunkline_media::api::Leg;
use trunkline_media::audio::Codec;
use trunkline_tests::world::{BrowserId, CallNo, Dial, Link, Loss, PhoneEnd, PhoneId, Script, World, ms, secs, seeds};

const TWO: [&str; 2] = ["ses_ann", "ses_bob"];

/// It rings both.
fn ringing(seed: u64, dial: &Dial, codec: Codec) -> (World, CallNo, PhoneId) {
    let mut world = World::new(seed);
    let phone = world.add_phone(Script::answers_after(secs(1)).codec(codec));
    world.take_calls(dial, &TWO);
    let call = world.phone_calls(phone);
    world.run_until(|world| world.state(call) == "ringing", secs(2));
    (world, call, phone)
}

/// One has it, and they talk.
fn talking(seed: u64, dial: &Dial, codec: Codec) -> (World, CallNo, BrowserId, PhoneId) {
    let (mut world, call, phone) = ringing(seed, dial, codec);
    world.run_for(secs(3));
    let browser = world.answer(call, "ses_bob", &dial.browser);
    world.run_until(|world| world.state(call) == "talking", secs(10));
    world.run_for(secs(1));
    (world, call, browser, phone)
}

fn over(mut world: World, call: CallNo, phone: PhoneId, outcome: (&str, Option<&str>), end: PhoneEnd) {
    world.run_until(|world| world.outcome(call).is_some(), secs(70));
    assert_eq!(world.outcome(call), Some(outcome));
    world.run_for(secs(40));
    assert_eq!(world.phone(phone).line().end, Some(end));
    assert!(world.is_at_rest(), "{}", world.tell());
}

fn says(mut world: World, call: CallNo, says: ReceiverSays) -> World {
    world.tell_call(call, Input::Receiver(says));
    world
}

fn told(session: &str, what: &'static str) -> (String, &'static str) {
    (session.to_owned(), what)
}

#[test]
fn simulation_a_phone_calls_and_the_first_browser_to_answer_has_the_call() {
    for (codec, relay) in [(Codec::Pcmu, false), (Codec::Pcma, true)] {
        let dial = Dial { relay, ..Dial::default() };
        let (mut world, call, browser, phone) = talking(1, &dial, codec);
        assert_eq!(
            world.told_of(call),
            [told("ses_ann", "incoming"), told("ses_bob", "incoming"), told("ses_ann", "answered_elsewhere")]
        );
        assert!(world.phone(phone).log.contains(&"phone: it rings there"));
        world.assert_hearing(browser, phone, secs(1), secs(2));
        for held in [true, false] {
            world.api(call, Api::Hold { leg: Leg::Trunk, held });
            world.assert_hearing(browser, phone, secs(1), secs(2));
        }
        world.phone_directs(phone, "inactive");
        world.assert_hearing(browser, phone, secs(1), secs(2));
        world.phone_directs(phone, "sendrecv");
        world.assert_hearing(browser, phone, secs(1), secs(2));
        assert_eq!(world.events(call), ["call_started", "call_ringing", "call_answered"]);
        world.api(call, Api::VisitorHangup);
        over(world, call, phone, ("user_hangup", None), PhoneEnd::Ended);
    }
}

#[test]
fn simulation_a_phone_that_called_hangs_up() {
    let (mut world, call, _, phone) = talking(1, &Dial::default(), Codec::Pcmu);
    world.phone_hangs_up(phone);
    over(world, call, phone, ("remote_hangup", Some("bye")), PhoneEnd::HungUp);
}

#[test]
fn simulation_a_phone_that_called_gives_up() {
    let (mut world, call, phone) = ringing(1, &Dial::default(), Codec::Pcmu);
    world.run_for(secs(5));
    world.phone_hangs_up(phone);
    world.run_for(secs(1));
    let gone = [told("ses_ann", "remote_hangup"), told("ses_bob", "remote_hangup")];
    assert_eq!(world.told_of(call)[2..], gone);
    over(world, call, phone, ("remote_hangup", Some("cancel")), PhoneEnd::HungUp);
}

#[test]
fn simulation_a_call_from_a_phone_that_nobody_wants() {
    let (world, call, phone) = ringing(1, &Dial::default(), Codec::Pcmu);
    let world = says(world, call, ReceiverSays::Declined(SessionId::from_client("ses_ann")));
    assert_eq!(world.outcome(call), None, "it rings the other");
    let world = says(world, call, ReceiverSays::Declined(SessionId::from_client("ses_bob")));
    over(world, call, phone, ("dest_rejected", None), PhoneEnd::Rejected(603));
    let (world, call, phone) = ringing(1, &Dial::default(), Codec::Pcmu);
    over(world, call, phone, ("dest_no_answer", None), PhoneEnd::Rejected(480));
}

#[test]
fn simulation_a_browser_that_answers_and_cannot_be_reached() {
    let (mut world, call, phone) = ringing(1, &Dial::default(), Codec::Pcmu);
    let browser = world.answer(call, "ses_ann", &[Codec::Opus]);
    world.black_out_browser(browser, secs(60));
    world.run_for(secs(10));
    assert_eq!(world.state(call), "ringing", "the caller hears that it rings");
    world.run_until(|world| world.outcome(call).is_some(), secs(20));
    assert_eq!(world.outcome(call).map(|(reason, _)| reason), Some("ice_failed"));
    world.run_for(secs(40));
    assert_eq!(world.phone(phone).line().end, Some(PhoneEnd::Rejected(480)));
    assert!(world.is_at_rest(), "{}", world.tell());
}

/// Whatever is lost on the way, and whoever hangs up when: one end, and nothing is left.
#[test]
fn simulation_calls_from_phones_over_a_bad_network_end_once() {
    for seed in seeds(60) {
        let mut world = World::new(seed);
        let phone = world.add_phone(Script::answers_after(secs(1)).dumb());
        world.take_calls(&Dial::default(), &TWO);
        let loss = world.chance().below(30) as f64 / 100.0;
        world.link_phone(phone, Link::default().loss(Loss::Random(loss)));
        let call = world.phone_calls(phone);
        let wait = ms(world.chance().below(8_000));
        world.run_for(wait);
        match world.chance().below(4) {
            0 => world.phone_hangs_up(phone),
            1 => world.tell_call(call, Input::Shutdown),
            _ if world.outcome(call).is_none() => {
                world.answer(call, "ses_ann", &[Codec::Pcmu]);
                let wait = ms(world.chance().below(3_000));
                world.run_for(wait);
                if world.chance().below(2) == 0 {
                    world.phone_hangs_up(phone);
                } else {
                    world.api(call, Api::VisitorHangup);
                }
            }
            _ => {}
        }
        world.run_for(secs(120));
        assert!(world.outcome(call).is_some(), "seed {seed}: {}", world.tell());
        world.run_for(secs(60));
        assert!(world.is_at_rest(), "seed {seed}: {}", world.tell());
    }
}
