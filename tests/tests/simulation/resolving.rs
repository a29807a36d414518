//! Names that DNS knows, forgets and knows again, targets that die and come back, over a bad line: whatever happens, each call
//! ends once, and no leg is left.

use std::time::Duration;

use trunkline::call::Api;
use trunkline_tests::world::{Answer, Dial, Link, Loss, PhoneId, Script, Trouble, World, ms, secs, seeds};

/// 64*T1, and five seconds.
const PATIENCE: Duration = Duration::from_secs(32 + 5);

fn storm(seed: u64) {
    let mut world = World::new(seed);
    let dial = Dial { ring_timeout: secs(15), ..Dial::without_media() };
    let number = 2 + world.chance().below(3) as usize;
    let mut phones = Vec::new();
    for _ in 0..number {
        let dice = world.chance();
        let answer = match dice.below(6) {
            0 => Answer::Reject(503, ms(dice.below(1_000))),
            1 => Answer::Reject(486, ms(dice.below(3_000))),
            2 => Answer::Never,
            _ => Answer::After(ms(dice.below(3_000))),
        };
        let ring = dice.happens(0.7).then(|| ms(dice.below(600)));
        let hang_up = dice.happens(0.4).then(|| ms(dice.below(4_000)));
        let script = Script { ring, answer, hang_up, ..Script::answers_after(secs(1)).dumb() };
        let loss = Loss::Random(dice.fraction() * 0.15);
        let phone = world.add_phone(script);
        world.link_phone(phone, Link::good().loss(loss).shuffled(0.1, 0.1));
        phones.push(phone);
    }
    // Each name has the addresses of all phones, from its own on.
    for first in 0..number {
        let addresses = (0..number).map(|n| world.phone(phones[(first + n) % number]).address()).collect();
        world.gateway_mut().names.insert(format!("phone{first}"), addresses);
    }
    world.gateway_mut().dns.ttl = secs(1 + world.chance().below(5));
    let mut calls = Vec::new();
    for _ in 0..12 {
        let dice = world.chance();
        let trouble = match dice.below(6) {
            0 => Trouble::ServFail,
            1 => Trouble::NxDomain,
            2 => Trouble::Silent,
            _ => Trouble::None,
        };
        let (whom, vanishes, begins) = (dice.below(number as u64) as usize, dice.happens(0.3), dice.happens(0.35));
        let (destinations, pause) = (1 + dice.below(2) as usize, ms(dice.below(2_500)));
        world.gateway_mut().dns.trouble = trouble;
        world.phone_mut(phones[whom]).vanished = vanishes;
        if begins && calls.len() < 3 {
            let to: Vec<PhoneId> = (0..destinations).map(|n| phones[(whom + n) % number]).collect();
            calls.push(world.dial(&dial, &to));
        }
        world.run_for(pause);
    }
    for call in &calls {
        world.api(*call, Api::VisitorHangup);
    }
    world.run_for(PATIENCE);
    for call in &calls {
        let outcomes = world.call(*call).outcomes.len();
        assert_eq!(outcomes, 1, "seed {seed}: {}", world.tell());
    }
    assert_eq!(world.gateway().sip_stats().legs, 0, "seed {seed}: {}", world.tell());
    world.run_until(|world| world.gateway().is_at_rest(), PATIENCE);
}

#[test]
fn simulation_a_thousand_seeds_of_failing_names_and_targets() {
    for seed in seeds(1_000) {
        storm(seed);
    }
}
