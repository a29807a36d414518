//! A call from its first message to its last, and what the network or the other end may do to it.

use super::*;

fn reason() -> Option<Reason> {
    Some(Reason { protocol: "Q.850".into(), cause: 16, text: None })
}

#[test]
fn caller_hangs_up() {
    let (mut world, caller, _) = talking(1);
    world.ends[A].hangup(world.now, caller, reason()).unwrap();
    world.rest(secs(40));
    assert_eq!(world.names(B), ["ended Q.850;cause=16"]);
    assert!(world.names(A).is_empty());
    world.assert_empty();
}

#[test]
fn callee_hangs_up() {
    let (mut world, _, callee) = talking(2);
    world.ends[B].hangup(world.now, callee, reason()).unwrap();
    assert_eq!(world.ends[B].hangup(world.now, callee, None), Err(NoSuchLeg));
    world.rest(secs(40));
    assert_eq!(world.names(A), ["ended Q.850;cause=16"]);
    world.assert_empty();
}

#[test]
fn early_media_and_answer_are_passed_on() {
    let mut world = World::new(3);
    world.call();
    world.run(secs(1), |end, now, _, event| {
        if let Event::Incoming { leg, sdp, from, uri, .. } = event {
            assert_eq!(sdp.as_deref(), Some(OFFER.as_bytes()));
            assert_eq!(from.display.as_deref(), Some("Ann \"A\" Visitor"));
            assert_eq!(from.uri.to_string(), "sip:visitor%207@example.com");
            assert_eq!(uri.to_string(), "sip:agent@203.0.113.2:5080");
            end.ring(now, *leg, 183, Some(Bytes::from_static(b"early"))).unwrap();
            end.accept(now, *leg, answer()).unwrap();
        }
    });
    assert!(matches!(&world.events[A][0], Event::Provisional { status: 183, sdp: Some(sdp), .. } if sdp == "early"));
    assert!(matches!(&world.events[A][1], Event::Answered { sdp: Some(sdp), .. } if sdp == ANSWER));
    assert!(matches!(&world.events[B][1], Event::Confirmed { sdp: None, .. }));
}

#[test]
fn busy_is_reported_and_leaves_nothing() {
    let mut world = World::new(4);
    world.lose(A, "ACK", "ACK", 2);
    world.call();
    world.run(secs(80), |end, now, _, event| {
        if let Event::Incoming { leg, .. } = event {
            end.reject(now, *leg, 486).unwrap();
        }
    });
    assert_eq!(world.names(A), ["rejected 486"]);
    world.assert_empty();
}

#[test]
fn cancel_waits_for_a_provisional_answer() {
    let mut world = World::new(5);
    let leg = world.call();
    world.ends[A].hangup(world.now, leg, reason()).unwrap();
    let start = world.now;
    world.run(secs(80), |_, _, _, _| {});
    assert_eq!(world.sent_ms(start, A, "CANCEL"), [40]);
    assert_eq!(world.names(A), ["failed Cancelled"]);
    assert_eq!(world.names(B), ["incoming", "cancelled Q.850;cause=16"]);
    world.assert_empty();
}

#[test]
fn cancel_while_ringing() {
    let mut world = World::new(6);
    let leg = world.call();
    world.run(secs(1), |end, now, _, event| {
        if let Event::Incoming { leg, .. } = event {
            end.ring(now, *leg, 180, None).unwrap();
        }
    });
    world.ends[A].hangup(world.now, leg, None).unwrap();
    world.rest(secs(80));
    assert_eq!(world.names(A), ["provisional 180", "failed Cancelled"]);
    assert_eq!(world.names(B), ["incoming", "cancelled"]);
    world.assert_empty();
}

#[test]
fn cancel_crosses_the_answer() {
    let mut world = World::new(7);
    let leg = world.call();
    world.rest(ms(100));
    let callee = leg_of(&world.events[B][0]);
    world.ends[A].hangup(world.now, leg, None).unwrap();
    world.ends[B].accept(world.now, callee, answer()).unwrap();
    world.rest(secs(80));
    assert_eq!(world.names(A), ["failed Cancelled"]);
    assert_eq!(world.names(B), ["incoming", "confirmed", "ended"]);
    world.assert_empty();
}

#[test]
fn answer_comes_before_the_held_cancel_could_go() {
    let mut world = World::new(8);
    world.lose(B, "SIP/2.0 1", "INVITE", 10);
    let leg = world.call();
    world.ends[A].hangup(world.now, leg, None).unwrap();
    let start = world.now;
    world.run(secs(80), obliging);
    assert!(world.sent_ms(start, A, "CANCEL").is_empty());
    assert_eq!(world.names(A), ["failed Cancelled"]);
    assert_eq!(world.names(B), ["incoming", "confirmed", "ended"]);
    world.assert_empty();
}

#[test]
fn cancel_without_487_is_given_up() {
    let mut world = World::new(9);
    world.lose(B, "SIP/2.0 487", "INVITE", 1000);
    let leg = world.call();
    world.rest(secs(1));
    world.ends[A].hangup(world.now, leg, None).unwrap();
    world.rest(ms(31_900));
    assert!(world.names(A).is_empty());
    world.rest(ms(200));
    assert_eq!(world.names(A), ["failed Cancelled"]);
    world.rest(secs(60));
    world.assert_empty();
}

#[test]
fn nobody_there() {
    let mut world = World::new(10);
    world.lose(A, "INVITE", "INVITE", 1000);
    let start = world.now;
    world.call();
    world.rest(secs(32));
    assert_eq!(world.sent_ms(start, A, "INVITE"), [0, 500, 1500, 3500, 7500, 15500, 31500]);
    assert_eq!(world.names(A), ["failed NoProvisional"]);
    world.assert_empty();
}

#[test]
fn ringing_for_ever() {
    let mut lone = Lone::new();
    lone.end.invite(lone.now, call(address(B))).unwrap();
    let invite = lone.sent_requests().remove(0);
    lone.answer(&invite, 180, "far", None);
    lone.wait(secs(100));
    lone.answer(&invite, 180, "far", None);
    lone.wait(secs(179));
    assert_eq!(lone.names(), ["provisional 180", "provisional 180"]);
    lone.wait(secs(1));
    assert_eq!(lone.names(), ["failed NoFinal"]);
    assert_eq!(lone.sent_requests()[0].method.to_string(), "CANCEL");
    lone.wait(secs(80));
    assert_eq!((lone.end.stats().legs, lone.end.stats().transactions), (0, 0));
}

#[test]
fn lost_acks_are_repeated() {
    let mut world = World::new(11);
    world.lose(A, "ACK", "ACK", 2);
    let start = world.now;
    world.call();
    world.run(secs(10), obliging);
    assert_eq!(world.names(B), ["incoming", "confirmed"]);
    assert_eq!(world.sent_ms(start, B, "SIP/2.0 200"), [20, 520, 1520]);
    assert_eq!(world.sent_ms(start, A, "ACK"), [40, 540, 1540]);
}

#[test]
fn lost_answers_are_repeated() {
    let mut world = World::new(12);
    world.lose(B, "SIP/2.0 200", "INVITE", 3);
    world.call();
    world.run(secs(10), obliging);
    assert_eq!(world.names(A), ["provisional 180", "answered"]);
    assert_eq!(world.names(B), ["incoming", "confirmed"]);
}

#[test]
fn call_without_ack_ends() {
    let mut world = World::new(13);
    world.lose(A, "ACK", "ACK", 1000);
    world.call();
    world.run(secs(100), obliging);
    assert_eq!(world.names(B), ["incoming", "lost None"]);
    assert_eq!(world.names(A), ["provisional 180", "answered", "ended"]);
    world.assert_empty();
}

#[test]
fn hangup_of_the_callee_waits_for_the_ack() {
    let mut world = World::new(14);
    world.lose(A, "ACK", "ACK", 1);
    let start = world.now;
    world.call();
    world.run(secs(80), |end, now, side, event| {
        obliging(end, now, side, event);
        if let Event::Incoming { leg, .. } = event {
            end.hangup(now, *leg, None).unwrap();
        }
    });
    assert_eq!(world.sent_ms(start, B, "BYE"), [560]);
    assert_eq!(world.names(B), ["incoming"]);
    assert_eq!(world.names(A), ["provisional 180", "answered", "ended"]);
    world.assert_empty();
}

#[test]
fn lost_byes_are_repeated() {
    let (mut world, caller, _) = talking(15);
    world.lose(A, "BYE", "BYE", 2);
    world.lose(B, "SIP/2.0 200", "BYE", 2);
    world.ends[A].hangup(world.now, caller, None).unwrap();
    world.rest(secs(80));
    assert_eq!(world.names(B), ["ended"]);
    world.assert_empty();
}

#[test]
fn bye_crosses_bye() {
    let (mut world, caller, callee) = talking(16);
    world.ends[A].hangup(world.now, caller, None).unwrap();
    world.ends[B].hangup(world.now, callee, None).unwrap();
    world.rest(secs(80));
    assert!(world.names(A).is_empty() && world.names(B).is_empty());
    world.assert_empty();
}

#[test]
fn deaf_peer_does_not_keep_a_leg() {
    let (mut world, caller, callee) = talking(17);
    world.loss_permille = 1000;
    world.ends[A].hangup(world.now, caller, None).unwrap();
    world.ends[B].hangup(world.now, callee, None).unwrap();
    world.rest(secs(33));
    world.assert_empty();
}

#[test]
fn refused_datagram_fails_the_call_at_once() {
    let mut lone = Lone::new();
    lone.end.invite(lone.now, call(address(B))).unwrap();
    lone.end.handle_transport_error(lone.now, address(A));
    assert!(lone.names().is_empty());
    lone.end.handle_transport_error(lone.now, address(B));
    assert_eq!(lone.names(), ["failed Transport"]);
    assert_eq!((lone.end.stats().legs, lone.end.stats().transactions), (0, 0));
    lone.sent();
    let (leg, _) = lone.answered_call();
    lone.end.handle_transport_error(lone.now, address(B));
    assert!(lone.names().is_empty(), "an answered call survives");
    lone.end.hangup(lone.now, leg, None).unwrap();
}

#[test]
fn unanswered_incoming_call_is_given_up() {
    let mut world = World::new(18);
    world.call();
    world.rest(secs(181));
    assert_eq!(world.names(B), ["incoming", "cancelled"]);
    assert!(["failed NoFinal", "rejected 480"].contains(&world.names(A)[0].as_str()));
    world.rest(secs(60));
    world.assert_empty();
}

#[test]
fn full_endpoint_says_so() {
    let mut lone = Lone::new();
    for _ in 0..1000 {
        lone.end.invite(lone.now, call(address(B))).unwrap();
    }
    assert_eq!(lone.end.invite(lone.now, call(address(B))), Err(Full));
    assert_eq!(lone.end.stats().overload, 1);
    lone.wait(secs(33));
    assert!(lone.end.invite(lone.now, call(address(B))).is_ok());
}

#[test]
fn the_same_seed_sends_the_same() {
    let run = || {
        let mut world = World::new(19);
        world.loss_permille = 200;
        world.call();
        world.run(secs(20), obliging);
        world.log.into_iter().map(|(_, side, bytes)| (side, bytes)).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}

#[test]
fn a_callee_that_hangs_up_after_a_lost_answer_ends_the_call() {
    let mut world = World::new(12);
    let caller = world.call();
    world.rest(secs(1));
    let callee = leg_of(&world.events[B][0]);
    world.ends[B].ring(world.now, callee, 180, None).unwrap();
    world.rest(secs(1));
    // None of its answers arrives; when it has given up waiting for the ACK its BYE does.
    world.lose(B, "SIP/2.0 200", "INVITE", 100);
    world.ends[B].accept(world.now, callee, answer()).unwrap();
    world.rest(secs(34));
    assert_eq!(world.names(A), ["provisional 180", "failed NoFinal"]);
    assert_eq!(leg_of(&world.events[A][1]), caller);
    world.rest(secs(70));
    world.assert_empty();
}

#[test]
fn of_two_that_ring_one_may_hang_up() {
    let mut lone = Lone::new();
    lone.end.invite(lone.now, call(address(B))).unwrap();
    let invite = lone.sent_requests().remove(0);
    lone.answer(&invite, 180, "far", None);
    lone.answer(&invite, 180, "other", None);
    lone.give(Lone::in_dialog(&invite, "BYE", 2, "", ""));
    assert_eq!(lone.sent_responses().remove(0).status, 200);
    assert_eq!(lone.names(), ["provisional 180", "provisional 180"]);
    lone.answer(&invite, 200, "other", Some(ANSWER));
    assert_eq!(lone.names(), ["answered"]);
}
