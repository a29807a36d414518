//! Whatever is done to a call, in whatever order: who should hear whom does. And every scenario repeats by its seed.

use trunkline::call::{Api, Input};
use trunkline_media::api::Leg;
use trunkline_media::audio::Codec;
use trunkline_tests::world::{BrowserId, CallNo, Dial, Link, Loss, PhoneId, Says, Script, World, ms, secs, seeds};

/// Ten things happen to a call.
fn walk(seed: u64, listen: bool) -> World {
    let codec = if seed.is_multiple_of(2) { Codec::Pcmu } else { Codec::Pcma };
    let dial = Dial { relay: seed.is_multiple_of(3), ..Dial::default() };
    let (mut world, call, browser, phone) = World::talking(seed, &dial, codec);
    let mut state = Walk { call, browser, phone, muted: [false; 2], silent: false, direction: "sendrecv" };
    for _ in 0..10 {
        let settle = state.step(&mut world);
        if listen {
            world.assert_hearing(browser, phone, settle, secs(1));
        } else {
            world.run_for(settle);
        }
        assert_eq!((world.outcome(call), world.gateway().ports.leased().len()), (None, 1));
    }
    world
}

struct Walk {
    call: CallNo,
    browser: BrowserId,
    phone: PhoneId,
    muted: [bool; 2],
    silent: bool,
    direction: &'static str,
}

impl Walk {
    /// Does something; how long it takes until it is heard.
    fn step(&mut self, world: &mut World) -> std::time::Duration {
        match world.chance().below(7) {
            nth @ (0 | 1) => {
                let leg = if nth == 0 { Leg::Browser } else { Leg::Trunk };
                let muted = &mut self.muted[nth as usize];
                *muted ^= true;
                world.api(self.call, Api::Mute { leg, muted: *muted });
                ms(500)
            }
            2 => {
                self.silent ^= true;
                world.browser_says(self.browser, if self.silent { Says::Silence } else { Says::Tone });
                ms(700)
            }
            3 => {
                let directions = ["sendrecv", "sendonly", "inactive"];
                self.direction = directions[world.chance().below(3) as usize];
                world.phone_directs(self.phone, self.direction);
                ms(1000)
            }
            4 => {
                world.rebind(self.browser);
                secs(12)
            }
            5 => {
                world.restart_ice(self.call, self.browser);
                secs(2)
            }
            _ => {
                world.black_out_browser(self.browser, secs(2));
                secs(5)
            }
        }
    }
}

#[test]
fn simulation_random_walks_sound_as_they_should() {
    for seed in seeds(8) {
        walk(seed, true);
    }
}

#[test]
fn simulation_a_seed_repeats_a_walk() {
    for seed in seeds(3) {
        assert_eq!(walk(seed, false).fingerprint(), walk(seed, false).fingerprint(), "seed {seed}");
    }
}

#[test]
fn simulation_a_seed_repeats_a_storm() {
    let storm = |seed| {
        let mut world = World::new(seed);
        let busy = world.add_phone(Script::rejects(486).dumb());
        let phone = world.add_phone(Script { hang_up: Some(secs(2)), ..Script::answers_after(secs(1)).dumb() });
        for phone in [busy, phone] {
            world.link_phone(phone, Link::good().loss(Loss::Random(0.3)).shuffled(0.2, 0.2));
        }
        let call = world.dial(&Dial::without_media(), &[busy, phone]);
        world.run_until(|world| world.outcome(call).is_some(), secs(120));
        (world.fingerprint(), world.age(), world.net().delivered, world.net().lost)
    };
    for seed in seeds(20) {
        assert_eq!(storm(seed), storm(seed), "seed {seed}");
    }
}

/// Something that ends a call, or may, or does not.
fn blow(world: &mut World, call: CallNo, browser: BrowserId, phone: PhoneId) {
    match world.chance().below(12) {
        0 => world.api(call, Api::VisitorHangup),
        1 => world.phone_hangs_up(phone),
        2 => world.api(call, Api::OperatorHangup("walk".into())),
        3 => world.browser_mut(browser).vanished = true,
        4 => {
            let now = world.now();
            world.browser_mut(browser).close(now);
        }
        5 => world.phone_says(phone, Says::Nothing),
        6 => world.browser_says(browser, Says::Nothing),
        7 => world.phone_mut(phone).vanished = true,
        8 => world.tell_call(call, Input::Shutdown),
        9 => world.restart_phone(phone),
        10 => world.link_browser(browser, Link::mobile().loss(Loss::Random(0.4))),
        _ => world.sleep(browser, secs(40)),
    }
}

#[test]
fn simulation_random_walks_end_once_and_for_a_reason() {
    let mut reasons = std::collections::BTreeMap::new();
    for seed in seeds(60) {
        let dial = Dial { max_duration: secs(200), session_expires: 90, ..Dial::default() };
        let (mut world, call, browser, phone) = World::talking(seed, &dial, Codec::Pcmu);
        world.deafen();
        for _ in 0..3 {
            blow(&mut world, call, browser, phone);
            let pause = ms(world.chance().below(6_000));
            world.run_for(pause);
        }
        world.run_until(|world| world.outcome(call).is_some(), secs(201));
        let bundle = world.bundle(call);
        let outcome = &bundle["outcome"];
        assert_eq!(world.call(call).outcomes.len(), 1, "seed {seed}");
        let told = [&outcome["reason"], &outcome["class"], &outcome["phase"], &outcome["blame"], &outcome["advice"]];
        assert!(told.iter().all(|word| word.as_str().is_some_and(|word| !word.is_empty() && word != "unknown")));
        assert_eq!(outcome["phase"], "talking", "seed {seed}: {outcome:#}");
        *reasons.entry(outcome["reason"].as_str().unwrap().to_owned()).or_insert(0) += 1;
    }
    assert!(reasons.len() > 4, "{reasons:?}");
}
