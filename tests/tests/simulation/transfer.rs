//! Calls that are handed to somebody else, or were to be: who hears whom before, meanwhile and after.

use std::sync::Arc;
use std::time::Duration;

use trunkline::call::{Api, HandOver};
use trunkline::routing::Planned;
use trunkline_media::audio::Codec;
use trunkline_signaling::endpoint::Refer;
use trunkline_signaling::message::Uri;
use trunkline_tests::world::chance::Chance;
use trunkline_tests::world::dial::route;
use trunkline_tests::world::{
    Answer, BrowserId, CallNo, Dial, Link, Loss, Obeys, PHONE_TONE, PhoneEnd, PhoneId, Script, World, ms, secs, seeds,
};

fn planned(phone: PhoneId) -> Planned {
    Planned::Dial(Arc::new(route(&Dial::default(), &format!("phone{}", phone.0))))
}

fn bridge(phone: PhoneId) -> Api {
    let plan = vec![planned(phone)];
    Api::Transfer(Box::new(HandOver::Bridge { destination: "sip:other@acme".into(), plan, replaces: None }))
}

fn refer() -> Api {
    let to = Uri::parse(&bytes::Bytes::from_static(b"sip:other@trunk.example")).unwrap();
    Api::Transfer(Box::new(HandOver::Refer {
        destination: "sip:other@acme".into(),
        refer: Box::new(Refer { to, replaces: None }),
    }))
}

/// The REFERs of phones that name `sip:other@pbx` lead to this one.
fn leads_to(world: &mut World, phone: PhoneId) {
    world.gateway_mut().transfers.insert("sip:other@pbx".into(), planned(phone));
}

fn happened(world: &World, call: CallNo, name: &str) -> bool {
    world.events(call).contains(&name)
}

/// Nobody hears anybody for a while.
fn assert_parted(world: &mut World, browser: BrowserId) {
    world.run_for(ms(300));
    let from = world.now();
    world.run_for(ms(1000));
    let heard = world.browser(browser).ear.fraction(PHONE_TONE, from, world.now());
    assert!(heard < 0.05, "the visitor hears {heard:.2} of the agent; {}", world.tell());
}

fn end(mut world: World, call: CallNo) {
    world.api(call, Api::VisitorHangup);
    world.run_for(secs(80));
    assert!(world.is_at_rest(), "{}", world.tell());
}

#[test]
fn simulation_a_bridged_transfer_is_heard() {
    for (first, second) in [(Codec::Pcmu, Codec::Pcma), (Codec::Pcma, Codec::Pcma), (Codec::Pcmu, Codec::Pcmu)] {
        let (mut world, call, browser, agent) = World::talking(1, &Dial::default(), first);
        let other = world.add_phone(Script::answers_after(secs(3)).codec(second));
        world.assert_hearing(browser, agent, ms(300), secs(1));
        world.api(call, bridge(other));
        assert_parted(&mut world, browser);
        assert_eq!(world.gateway().ports.leased().len(), 2);
        world.run_until(|world| happened(world, call, "call_transferred"), secs(5));
        world.assert_hearing(browser, other, ms(500), secs(2));
        assert_eq!(world.gateway().ports.leased().len(), 1);
        let line = world.phone(agent).line();
        assert_eq!((line.end, line.reason.clone()), (Some(PhoneEnd::Ended), Some(("Q.850".into(), 16))));
        let record = world.call(call).call.record(world.now());
        assert_eq!(record["sip"]["codec"], second.name());
        end(world, call);
    }
}

#[test]
fn simulation_a_bridged_transfer_that_fails_gives_the_agent_back() {
    let scripts = [Script::rejects(486), Script::rings(), Script::answers_after(secs(1)).codec(Codec::Opus)];
    for script in scripts {
        let (mut world, call, browser, agent) = World::talking(2, &Dial::default(), Codec::Pcmu);
        let other = world.add_phone(script);
        world.api(call, bridge(other));
        world.run_until(|world| happened(world, call, "call_transfer_failed"), secs(70));
        world.assert_hearing(browser, agent, ms(500), secs(2));
        assert_eq!(world.gateway().ports.leased().len(), 1);
        end(world, call);
    }
}

#[test]
fn simulation_a_phone_hands_the_visitor_over() {
    let (mut world, call, browser, agent) = World::talking(3, &Dial::default(), Codec::Pcmu);
    let other = world.add_phone(Script::answers_after(secs(2)).codec(Codec::Pcma));
    leads_to(&mut world, other);
    let now = world.now();
    world.phone_mut(agent).refer(now, "sip:other@pbx");
    world.run_until(|world| happened(world, call, "call_transferred"), secs(5));
    world.assert_hearing(browser, other, ms(500), secs(2));
    let log = &world.phone(agent).log;
    for word in ["phone: transfer accepted", "phone: transfer goes on", "phone: transfer done"] {
        assert!(log.contains(&word), "{word}: {log:?}");
    }
    assert_eq!(world.phone(agent).line().end, Some(PhoneEnd::Ended));
    end(world, call);
}

#[test]
fn simulation_a_phone_that_names_nobody_keeps_the_visitor() {
    let (mut world, call, browser, agent) = World::talking(4, &Dial::default(), Codec::Pcmu);
    let now = world.now();
    world.phone_mut(agent).refer(now, "sip:nobody@elsewhere");
    world.run_until(|world| happened(world, call, "call_transfer_failed"), secs(5));
    world.assert_hearing(browser, agent, ms(500), secs(2));
    assert!(world.phone(agent).log.contains(&"phone: transfer failed"));
    end(world, call);
}

#[test]
fn simulation_a_visitor_is_handed_back_and_forth() {
    let (mut world, call, browser, agent) = World::talking(5, &Dial::default(), Codec::Pcmu);
    let other = world.add_phone(Script::answers_after(ms(500)).codec(Codec::Pcma));
    for round in 0..6 {
        let to = if round % 2 == 0 { other } else { agent };
        world.api(call, bridge(to));
        let done = round + 1;
        world.run_until(|world| world.events_named(call, "call_transferred").len() == done, secs(5));
        world.assert_hearing(browser, to, ms(500), secs(1));
    }
    end(world, call);
}

#[test]
fn simulation_a_refer_takes_the_agent_away_or_leaves_all_as_it_was() {
    let rows = [
        (Obeys::Tells(&[180, 200]), true),
        (Obeys::Tells(&[486]), false),
        (Obeys::Silent, false),
        (Obeys::Refuses(405), false),
    ];
    for (obeys, done) in rows {
        let (mut world, call, browser, agent) = World::talking(6, &Dial::default(), Codec::Pcmu);
        world.phone_mut(agent).script.obeys = obeys;
        world.api(call, refer());
        if done {
            world.run_until(|world| world.outcome(call).is_some(), secs(10));
            assert_eq!(world.outcome(call), Some(("remote_hangup", Some("operator"))));
            assert!(happened(&world, call, "call_transferred"));
            world.run_for(secs(80));
            assert!(world.is_at_rest(), "{}", world.tell());
        } else {
            world.run_until(|world| happened(world, call, "call_transfer_failed"), secs(200));
            world.assert_hearing(browser, agent, ms(300), secs(1));
            world.api(call, Api::VisitorHangup);
            // What the phone never finished telling has its own end.
            world.run_for(secs(200));
            assert!(world.is_at_rest(), "{obeys:?} {}", world.tell());
        }
    }
}

#[test]
fn simulation_a_leg_is_replaced_by_an_invite() {
    let (mut world, call, browser, agent) = World::talking(7, &Dial::default(), Codec::Pcmu);
    let (now, gateway) = (world.now(), world.gateway().sip_address);
    let place = world.phone(agent).replaceable();
    world.phone_mut(agent).pick_up(now, gateway, &place);
    world.run_until(|world| happened(world, call, "call_transferred"), secs(5));
    world.assert_hearing(browser, agent, ms(500), secs(2));
    let ends: Vec<_> = world.phone(agent).lines.iter().map(|line| line.end).collect();
    assert_eq!(ends, [Some(PhoneEnd::Ended), None]);
    assert_eq!(world.gateway().ports.leased().len(), 1);
    end(world, call);
}

/// Transfers over terrible lines with everybody hanging up when he likes: one end, one outcome, nothing left.
#[test]
fn simulation_storms_of_transfers() {
    for seed in seeds(200) {
        let mut world = World::new(seed);
        let dice = world.chance();
        let link = Link::good().loss(Loss::Random(dice.fraction() * 0.25)).shuffled(0.2, 0.2);
        let script = |dice: &mut Chance| Script {
            answer: match dice.below(4) {
                0 => Answer::Reject(486, ms(dice.below(2000))),
                1 => Answer::Never,
                _ => Answer::After(ms(dice.below(3000))),
            },
            hang_up: dice.happens(0.4).then(|| ms(dice.below(8000))),
            obeys: if dice.happens(0.5) { Obeys::Tells(&[180, 200]) } else { Obeys::Silent },
            ..Script::answers_after(secs(1)).dumb()
        };
        let first = Script { answer: Answer::After(ms(dice.below(1000))), ..script(dice) };
        let (second, way, when, leaves) = (script(dice), dice.below(3), ms(dice.below(4000)), ms(dice.below(9000)));
        let agent = world.add_phone(first);
        let other = world.add_phone(second);
        world.link_phone(agent, link.clone());
        world.link_phone(other, link);
        leads_to(&mut world, other);
        let call = world.dial(&Dial { ring_timeout: secs(20), ..Dial::without_media() }, &[agent]);
        world.run_for(secs(1) + when);
        match way {
            0 => world.api(call, bridge(other)),
            1 => world.api(call, refer()),
            _ if world.phone(agent).lines.is_empty() => {}
            _ => {
                let now = world.now();
                world.phone_mut(agent).refer(now, "sip:other@pbx");
            }
        }
        world.run_for(leaves);
        world.api(call, Api::VisitorHangup);
        world.run_for(Duration::from_secs(37 + 10));
        assert!(world.outcome(call).is_some(), "seed {seed}: {}", world.tell());
        assert!(world.gateway().ports.leased().is_empty(), "seed {seed}: {}", world.tell());
        world.run_until(|world| world.gateway().is_at_rest(), secs(120));
    }
}

/// Half an hour with session timers, holds, a codec change, a transfer, and a trunk that restarts and keeps its calls.
#[test]
fn simulation_thirty_minutes_with_everything_keep_their_audio() {
    let dial = Dial { session_expires: 120, ..Dial::default() };
    let (mut world, call, browser, agent) = World::talking(8, &dial, Codec::Pcmu);
    world.assert_hearing(browser, agent, ms(300), secs(1));
    quiet(&mut world, 290);
    for direction in ["sendonly", "sendrecv", "inactive", "sendrecv"] {
        world.phone_directs(agent, direction);
        world.assert_hearing(browser, agent, secs(1), secs(1));
    }
    quiet(&mut world, 300);
    let now = world.now();
    world.phone_mut(agent).come_back(now, Codec::Pcma);
    world.assert_hearing(browser, agent, secs(1), secs(2));
    quiet(&mut world, 300);
    let other = world.add_phone(Script::answers_after(secs(4)).codec(Codec::Pcmu));
    leads_to(&mut world, other);
    let now = world.now();
    world.phone_mut(agent).refer(now, "sip:other@pbx");
    world.run_until(|world| happened(world, call, "call_transferred"), secs(10));
    world.assert_hearing(browser, other, secs(1), secs(2));
    quiet(&mut world, 300);
    // The trunk is away for a moment, and comes back at another port with another codec.
    world.black_out_phone(other, secs(4));
    world.run_for(secs(5));
    let now = world.now();
    world.phone_mut(other).come_back(now, Codec::Pcma);
    world.assert_hearing(browser, other, secs(2), secs(2));
    quiet(&mut world, 600);
    world.assert_hearing(browser, other, secs(1), secs(2));
    assert!(world.age() > secs(1800), "{:?}", world.age());
    assert_eq!((world.state(call), world.outcome(call)), ("talking", None), "{:?}", world.events(call));
    end(world, call);
}

/// A trunk that has lost its dialogs goes on talking until a refresh tells that they are gone (RFC 3261 section 12.2.1.2).
#[test]
fn simulation_a_trunk_that_lost_its_dialogs_is_heard_until_it_says_so() {
    let dial = Dial { session_expires: 120, ..Dial::default() };
    let (mut world, call, browser, agent) = World::talking(9, &dial, Codec::Pcmu);
    world.restart_phone(agent);
    world.assert_hearing(browser, agent, ms(300), secs(20));
    world.run_until(|world| world.outcome(call).is_some(), secs(120));
    assert_eq!(world.outcome(call), Some(("trunk_lost", None)));
    world.run_for(secs(40));
    assert!(world.gateway().is_at_rest(), "{}", world.tell());
}

/// Time passes in which nobody listens closely.
fn quiet(world: &mut World, seconds: u64) {
    world.run_for(secs(seconds));
}
