//! Whatever is done to a call, in whatever order: who should hear whom does. And every scenario repeats by its seed.

use trunkline::call::Api;
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
