//! Signalling over terrible lines: whatever is lost, doubled or overtaken, each call ends once on both sides, both sides
//! agree, and nothing is left.

use std::time::Duration;

use trunkline::call::Api;
use trunkline_tests::world::{Answer, Dial, Link, Loss, PhoneEnd, Script, World, ms, secs, seeds};

/// RFC 3261: 64*T1 until the last timer of a transaction, and what T4 adds.
const PATIENCE: Duration = Duration::from_secs(32 + 5);

fn storm(seed: u64) {
    let mut world = World::new(seed);
    let dice = world.chance();
    let loss = 0.2 + dice.fraction() * 0.1;
    let link = Link { jitter: ms(dice.below(40)), ..Link::good() }.loss(Loss::Random(loss)).shuffled(0.2, 0.2);
    let script = Script {
        ring: dice.happens(0.8).then(|| ms(dice.below(500))),
        answer: match dice.below(4) {
            0 => Answer::Reject(486, ms(dice.below(3000))),
            1 => Answer::Never,
            _ => Answer::After(ms(dice.below(3000))),
        },
        hang_up: dice.happens(0.5).then(|| ms(dice.below(4000))),
        ..Script::answers_after(secs(1)).dumb()
    };
    let visitor_hangs_up = ms(dice.below(8000));
    let lag = Duration::from_micros(dice.below(30_000));
    let second = dice.happens(0.3);
    let phone = world.add_phone(script.clone());
    world.link_phone(phone, link.clone());
    world.gateway_mut().lag = lag;
    let mut phones = vec![phone];
    if second {
        let phone = world.add_phone(script);
        world.link_phone(phone, link);
        phones.push(phone);
    }
    let dial = Dial { ring_timeout: secs(20), ..Dial::without_media() };
    let call = world.dial(&dial, &phones);
    world.run_for(visitor_hangs_up);
    world.api(call, Api::VisitorHangup);
    let lines_over =
        |world: &World| world.phones().iter().flat_map(|phone| &phone.lines).all(|line| line.end.is_some());
    world.run_for(PATIENCE + secs(10));
    assert!(world.outcome(call).is_some(), "seed {seed}: {}", world.tell());
    // Nothing of the phone ever came back: RFC 3261 section 9.1 lets no CANCEL go out, and the phone rings on by itself.
    if world.gateway().sip_stats().received == 0 {
        assert!(world.gateway().is_at_rest(), "seed {seed}: {}", world.tell());
        return;
    }
    assert!(lines_over(&world), "seed {seed}: {}", world.tell());
    world.run_until(World::is_at_rest, 3 * PATIENCE);
    agree(&world, seed);
}

/// What the gateway says of the end and what the phones say are one story.
fn agree(world: &World, seed: u64) {
    let call = world.gateway().calls.values().next().unwrap();
    let reason = call.outcomes[0].reason.word();
    let ends: Vec<_> = world.phones().iter().flat_map(|phone| &phone.lines).map(|line| line.end.unwrap()).collect();
    assert!(!ends.contains(&PhoneEnd::Lost), "seed {seed}: {reason}, {ends:?}; {}", world.tell());
    let story = match reason {
        "remote_hangup" => ends.last() == Some(&PhoneEnd::HungUp),
        "dest_busy" => ends.iter().all(|end| *end == PhoneEnd::Rejected(486)),
        "user_hangup" => true,
        _ => false,
    };
    assert!(story, "seed {seed}: {reason}, {ends:?}; {}", world.tell());
}

#[test]
fn simulation_a_thousand_storms() {
    for seed in seeds(1000) {
        storm(seed);
    }
}

#[test]
fn simulation_a_trunk_that_goes_dark_leaves_nothing_behind() {
    for seed in seeds(60) {
        let mut world = World::new(seed);
        let phone = world.add_phone(Script { hang_up: Some(secs(3)), ..Script::answers_after(secs(1)).dumb() });
        let begins = ms(world.chance().below(5000));
        let hangs_up = ms(world.chance().below(3000));
        let call = world.dial(&Dial::without_media(), &[phone]);
        world.run_for(begins);
        world.black_out_phone(phone, secs(300));
        world.run_for(hangs_up);
        world.api(call, Api::VisitorHangup);
        assert!(world.outcome(call).is_some());
        world.run_for(secs(80));
        assert!(world.gateway().is_at_rest(), "seed {seed}: {}", world.tell());
    }
}

#[test]
fn simulation_hold_works_on_a_terrible_line() {
    for seed in seeds(40) {
        let mut world = World::new(seed);
        let phone = world.add_phone(Script::answers_after(secs(1)).dumb());
        world.link_phone(phone, Link::good().loss(Loss::Random(0.25)).shuffled(0.2, 0.2));
        let call = world.dial(&Dial::without_media(), &[phone]);
        world.run_until(|world| world.state(call) == "talking", secs(40));
        for direction in ["inactive", "sendrecv", "sendonly", "sendrecv"] {
            world.phone_directs(phone, direction);
            world.run_for(secs(12));
        }
        assert_eq!(world.state(call), "talking", "seed {seed}: {}", world.tell());
        let answered = world.phone(phone).log.iter().filter(|line| **line == "phone: offer answered").count();
        assert!(answered >= 3, "seed {seed}: {answered} of 4 offers answered; {}", world.tell());
        world.api(call, Api::VisitorHangup);
        world.run_until(|world| world.gateway().is_at_rest(), 2 * PATIENCE);
        // A phone whose offer was not answered before the end waits for that answer for three minutes.
        world.run_until(World::is_at_rest, secs(200));
    }
}
