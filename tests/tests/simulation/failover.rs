//! DNS that fails, targets that are dead, trunks that are down: the call gets through all the same, and rings once.

use std::sync::Arc;

use trunkline::routing::Planned;
use trunkline_signaling::targets::{Kind, Question, Records, Srv};
use trunkline_tests::world::dial::route;
use trunkline_tests::world::{CallNo, Dial, PhoneEnd, PhoneId, Script, Trouble, World, ms, secs};

/// A world whose name `phone0` has the addresses of this many phones, which answer after a second.
fn world(seed: u64, phones: usize) -> (World, Vec<PhoneId>) {
    let mut world = World::new(seed);
    let phones: Vec<PhoneId> = (0..phones).map(|_| world.add_phone(Script::answers_after(secs(1)).dumb())).collect();
    let addresses = phones.iter().map(|phone| world.phone(*phone).address()).collect();
    world.gateway_mut().names.insert("phone0".into(), addresses);
    (world, phones)
}

fn dial(world: &mut World) -> CallNo {
    world.dial(&Dial::without_media(), &[PhoneId(0)])
}

fn talks(world: &mut World, call: CallNo, within_ms: u64) {
    let before = world.age();
    world.run_until(|world| world.state(call) == "talking", ms(within_ms));
    assert!(world.age() - before <= ms(within_ms));
}

#[test]
fn simulation_the_first_call_after_a_target_died_gets_through_within_four_seconds() {
    for seed in 0..20 {
        let (mut world, phones) = world(seed, 2);
        world.phone_mut(phones[0]).vanished = true;
        let first = dial(&mut world);
        talks(&mut world, first, 4_000);
        assert_eq!(world.call(first).invites.len(), 2);
        // From then on the dead one is tried last.
        let second = dial(&mut world);
        talks(&mut world, second, 1_500);
        assert_eq!(world.call(second).invites, [world.phone(phones[1]).address()]);
    }
}

#[test]
fn simulation_a_target_that_wakes_up_after_it_was_given_up_does_not_ring() {
    for awake_after in [200, 800, 1_400, 1_690, 1_710, 2_500, 5_000, 20_000] {
        let (mut world, phones) = world(1, 2);
        world.phone_mut(phones[0]).vanished = true;
        let call = dial(&mut world);
        world.run_for(ms(awake_after));
        world.phone_mut(phones[0]).vanished = false;
        world.run_until(|world| world.state(call) == "talking", secs(6));
        world.run_for(secs(60));
        let up = |phone: PhoneId| world.phone(phone).lines.iter().filter(|line| line.end.is_none()).count();
        assert_eq!(up(phones[0]) + up(phones[1]), 1, "awake after {awake_after} ms");
        for line in &world.phone(phones[0]).lines {
            assert!(line.end.is_none() || line.end == Some(PhoneEnd::Cancelled), "awake after {awake_after} ms");
        }
    }
}

#[test]
fn simulation_a_503_sends_the_call_to_the_next_target() {
    let mut world = World::new(1);
    let refuses = world.add_phone(Script::rejects(503).dumb());
    let answers = world.add_phone(Script::answers_after(secs(1)).dumb());
    let addresses = vec![world.phone(refuses).address(), world.phone(answers).address()];
    world.gateway_mut().names.insert("phone0".into(), addresses);
    let call = dial(&mut world);
    talks(&mut world, call, 3_000);
    assert_eq!(world.phone(answers).lines.len(), 1);
}

#[test]
fn simulation_dns_that_fails_after_it_was_good_is_not_noticed() {
    for trouble in [Trouble::ServFail, Trouble::Silent] {
        let (mut world, _) = world(1, 1);
        let call = dial(&mut world);
        talks(&mut world, call, 2_000);
        world.run_for(secs(61));
        for _ in 0..5 {
            world.gateway_mut().dns.trouble = trouble.clone();
            let call = dial(&mut world);
            talks(&mut world, call, 2_000);
            world.run_for(secs(7));
            // It flaps.
            world.gateway_mut().dns.trouble = Trouble::None;
            let call = dial(&mut world);
            talks(&mut world, call, 2_000);
            world.run_for(secs(61));
        }
    }
}

#[test]
fn simulation_dns_that_never_was_good_is_named() {
    for (trouble, limit) in [(Trouble::ServFail, 100), (Trouble::NxDomain, 100), (Trouble::Silent, 2_500)] {
        let (mut world, _) = world(1, 1);
        world.gateway_mut().dns.trouble = trouble;
        let call = dial(&mut world);
        world.run_until(|world| world.outcome(call).is_some(), ms(limit));
        assert_eq!(world.outcome(call), Some(("dest_dns", None)));
    }
}

#[test]
fn simulation_srv_records_lead_past_a_dead_host() {
    let (mut world, phones) = world(1, 3);
    world.phone_mut(phones[0]).vanished = true;
    let srv = |priority, target: &str| Srv { priority, weight: 1, port: 5060, target: target.into() };
    let question = Question { kind: Kind::Srv, name: "_sip._udp.carrier.example".into() };
    let records = Records::Srv(vec![srv(30, "c.example"), srv(10, "a.example"), srv(20, "b.example")]);
    world.gateway_mut().dns.records.insert(question, records);
    for (name, phone) in [("a.example", 0), ("b.example", 1), ("c.example", 2)] {
        let address = world.phone(phones[phone]).address();
        world.gateway_mut().names.insert(name.into(), vec![address]);
    }
    let mut way = route(&Dial::without_media(), "carrier.example");
    way.wanted.port = None;
    let call = world.dial_plan(&Dial::without_media(), vec![Planned::Dial(Arc::new(way))]);
    talks(&mut world, call, 4_000);
    let addresses = [phones[0], phones[1]].map(|phone| world.phone(phone).address());
    assert_eq!(world.call(call).invites, addresses);
}

#[test]
fn simulation_a_group_passes_over_a_trunk_that_is_down() {
    let mut world = World::new(1);
    let phones: Vec<PhoneId> = (0..2).map(|_| world.add_phone(Script::answers_after(secs(1)).dumb())).collect();
    world.gateway_mut().trunks_down.insert("phone0".into());
    let dial = Dial::without_media();
    let ways = ["phone0", "phone1"].map(|host| Planned::Dial(Arc::new(route(&dial, host))));
    let call = world.dial_plan(&dial, vec![Planned::Hunt(ways.into())]);
    talks(&mut world, call, 1_500);
    assert!(world.phone(phones[0]).lines.is_empty());
    assert_eq!(world.phone(phones[1]).lines.len(), 1);
}
