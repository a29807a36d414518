//! Digits, both ways, over a line that loses packets.

use trunkline::call::Api;
use trunkline_media::api::{Digit, Leg};
use trunkline_media::audio::Codec;
use trunkline_tests::world::{BrowserId, Dial, Link, Loss, Script, World, secs, seeds};

const DIGITS: &str = "0123456789*#55";

#[test]
fn simulation_digits_arrive_once_and_in_order_under_loss() {
    for seed in seeds(8) {
        let mut world = World::new(seed);
        let phone = world.add_phone(Script::answers_after(secs(1)));
        let lossy = Link::good().loss(Loss::Random(0.05));
        world.link_phone(phone, lossy.clone());
        world.link_browser(BrowserId(0), lossy);
        let call = world.dial(&Dial::default(), &[phone]);
        world.run_until(|world| world.state(call) == "talking" && world.browsers()[0].connected, secs(30));
        world.run_for(secs(1));
        let now = world.now();
        world.browser_mut(BrowserId(0)).send_digits(now, DIGITS);
        world.phone_mut(phone).send_digits(now, DIGITS);
        world.run_for(secs(10));
        assert_eq!(world.phone(phone).line().digits, DIGITS, "seed {seed}, browser to phone");
        assert_eq!(world.browser(BrowserId(0)).digits, DIGITS, "seed {seed}, phone to browser");
        assert_eq!(world.events_named(call, "dtmf_received").len(), 2 * DIGITS.len());
    }
}

#[test]
fn simulation_digits_of_the_api_reach_the_phone() {
    for codec in [Codec::Pcmu, Codec::Pcma] {
        let (mut world, call, browser, phone) = World::talking(1, &Dial::default(), codec);
        let digits = DIGITS.chars().filter_map(Digit::from_char).collect();
        world.api(call, Api::Dtmf { towards: Leg::Trunk, digits, duration_ms: 100 });
        world.run_for(secs(4));
        assert_eq!(world.phone(phone).line().digits, DIGITS);
        world.assert_hearing(browser, phone, secs(1), secs(1));
    }
}

#[test]
fn simulation_digits_go_by_info_where_the_trunk_knows_no_telephone_events() {
    for seed in seeds(4) {
        let mut world = World::new(seed);
        let phone = world.add_phone(Script { events: false, ..Script::answers_after(secs(1)) });
        world.link_phone(phone, Link::good().loss(Loss::Random(0.05)));
        let call = world.dial(&Dial::default(), &[phone]);
        world.run_until(|world| world.state(call) == "talking" && world.browsers()[0].connected, secs(30));
        world.run_for(secs(1));
        let now = world.now();
        world.browser_mut(BrowserId(0)).send_digits(now, "159#");
        world.phone_mut(phone).send_digits_by_info(now, "73*");
        world.run_for(secs(20));
        assert_eq!(world.phone(phone).line().digits, "159#", "seed {seed}, browser to phone");
        assert_eq!(world.browser(BrowserId(0)).digits, "73*", "seed {seed}, phone to browser");
        assert_eq!(world.events_named(call, "dtmf_received").len(), 7);
    }
}
