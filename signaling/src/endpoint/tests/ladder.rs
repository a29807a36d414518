//! What is told of a leg's messages.

use super::*;

/// A world whose first end tells its messages.
fn traced() -> World {
    let mut world = World::new(5);
    world.ends[A] = Endpoint::new(EndpointConfig { trace: true, ..config(A) }, [5; 32]);
    world
}

/// Events in a word or two; messages with an arrow, repeated ones in brackets.
fn ladder(world: &World) -> Vec<String> {
    let told = world.events[A].iter().map(|event| {
        let Event::Traced { traced, .. } = event else { return name(event) };
        assert_eq!(traced.peer, address(B));
        let line: String = traced.start_line.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let line = line.replace(" sip:", "-").split('-').next().unwrap_or_default().replace("SIP/2.0 ", "");
        let sdp = if traced.sdp.is_some() { " sdp" } else { "" };
        let arrow = if traced.outgoing { ">" } else { "<" };
        let text = format!("{arrow} {line}{sdp}");
        if traced.repeated { format!("({text})") } else { text }
    });
    told.collect()
}

#[test]
fn a_call_from_invite_to_bye() {
    let mut world = traced();
    let leg = world.call();
    world.run(secs(1), obliging);
    let callee = leg_of(&world.events[B][0]);
    world.ends[B].hangup(world.now, callee, Some(Reason { protocol: "Q.850".into(), cause: 16, text: None })).unwrap();
    world.rest(secs(40));
    let expected = [
        "> INVITE sdp",
        "< 100",
        "< 180",
        "provisional 180",
        "< 200 sdp",
        "> ACK",
        "answered",
        "< BYE",
        "> 200",
        "ended Q.850;cause=16",
    ];
    assert_eq!(ladder(&world), expected);
    let Event::Traced { leg: told, traced } = &world.events[A][7] else { panic!() };
    assert_eq!((*told, traced.cseq.as_str(), traced.reason.as_deref()), (leg, "1 BYE", Some("Q.850;cause=16")));
    world.assert_empty();
}

#[test]
fn repeated_messages_are_marked() {
    let mut world = traced();
    world.lose(A, "INVITE", "INVITE", 1);
    world.lose(A, "ACK", "ACK", 1);
    let leg = world.call();
    world.run(secs(3), obliging);
    world.ends[A].hangup(world.now, leg, None).unwrap();
    world.rest(secs(40));
    let expected = [
        "> INVITE sdp",
        "(> INVITE sdp)",
        "< 100",
        "< 180",
        "provisional 180",
        "< 200 sdp",
        "> ACK",
        "answered",
        "(< 200 sdp)",
        "(> ACK)",
        "> BYE",
        "< 200",
    ];
    assert_eq!(ladder(&world), expected);
}

#[test]
fn a_refusal_is_told_before_the_failure() {
    let mut world = traced();
    world.call();
    world.run(secs(1), |end, now, _, event| {
        if let Event::Incoming { leg, .. } = event {
            end.reject(now, *leg, 486).unwrap();
        }
    });
    assert_eq!(ladder(&world), ["> INVITE sdp", "< 100", "< 486", "> ACK", "rejected 486"]);
}

#[test]
fn of_very_many_messages_a_few_are_told_and_the_rest_is_counted() {
    let mut world = traced();
    let leg = world.call();
    world.run(secs(1), |end, now, _, event| {
        if let Event::Incoming { leg, .. } = event {
            for _ in 0..200 {
                end.ring(now, *leg, 180, None).unwrap();
            }
        }
    });
    let told = ladder(&world).iter().filter(|line| line.starts_with(['<', '>'])).count();
    let provisional = ladder(&world).iter().filter(|line| line.starts_with("provisional")).count();
    assert_eq!((told, provisional, world.ends[A].stats().untold), (64, 200, 200 + 2 - 64));
    world.ends[A].hangup(world.now, leg, None).unwrap();
    world.rest(secs(40));
    world.assert_empty();
}
