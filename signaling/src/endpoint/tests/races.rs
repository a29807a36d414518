//! The call flows of RFC 5407 section 3, one test each: messages that meet an end in another state than their sender
//! thinks.

use super::*;

fn new_offer() -> Bytes {
    Bytes::from_static(b"v=0\r\no=new\r\n")
}

/// A call that is answered at B, whose ACK is lost for now.
fn moratorium(seed: u64, invite: Invite) -> (World, LegId, LegId) {
    let mut world = World::new(seed);
    world.lose(A, "ACK", "ACK", 1);
    let caller = world.ends[A].invite(world.now, invite).unwrap();
    world.run(ms(200), obliging);
    assert_eq!(world.names(B), ["incoming"]);
    let callee = leg_of(&world.events[B][0]);
    (world, caller, callee)
}

fn ends_well(world: &mut World) {
    world.rest(secs(80));
    world.assert_empty();
}

/// 3.1.1: the INVITE's repetition reaches a callee that has answered it.
#[test]
fn an_invite_is_repeated_after_its_2xx() {
    let mut world = World::new(1);
    world.lose(B, "SIP/2.0", "INVITE", 3);
    let start = world.now;
    world.call();
    world.run(secs(5), obliging);
    assert_eq!(world.sent_ms(start, A, "INVITE"), [0, 500]);
    assert_eq!(world.names(B), ["incoming", "confirmed"], "no second call");
    assert_eq!(world.names(A), ["answered"]);
}

/// 3.1.2: CANCEL crosses the 2xx: its 200 changes nothing, a BYE ends the call.
#[test]
fn cancel_crosses_the_2xx() {
    let mut world = World::new(2);
    let caller = world.call();
    world.rest(ms(100));
    let callee = leg_of(&world.events[B][0]);
    let start = world.now;
    world.ends[B].accept(world.now, callee, answer()).unwrap();
    world.ends[A].hangup(world.now, caller, None).unwrap();
    world.rest(secs(5));
    assert_eq!(world.sent_ms(start, A, "CANCEL"), [0]);
    assert_eq!(world.sent_ms(start, A, "ACK"), [20]);
    assert_eq!(world.sent_ms(start, A, "BYE"), [20]);
    assert_eq!(world.names(A), ["failed Cancelled"]);
    assert_eq!(world.names(B), ["incoming", "confirmed", "ended"]);
    ends_well(&mut world);
}

/// 3.1.3: a BYE in the early dialog crosses the 2xx. We send none there; one that comes ends the call, and what crossed
/// it is acknowledged by whoever sent it.
#[test]
fn an_early_bye_crosses_the_2xx() {
    let mut world = World::new(3);
    world.call();
    world.run(ms(100), |end, now, _, event| {
        if let Event::Incoming { leg, .. } = event {
            end.ring(now, *leg, 180, None).unwrap();
        }
    });
    let invite = world.log.iter().find(|(_, _, bytes)| bytes.starts_with(b"INVITE")).unwrap().2.clone();
    let ringing = world.log.iter().find(|(_, _, bytes)| bytes.starts_with(b"SIP/2.0 180")).unwrap().2.clone();
    let (Message::Request(invite), Message::Response(ringing)) = (parse(invite).unwrap(), parse(ringing).unwrap())
    else {
        panic!("an INVITE and a 180")
    };
    let mut bye = crate::dialog::Dialog::uac(&invite, &ringing).unwrap().request(crate::message::Method::Bye);
    bye.headers.push_front(crate::message::HeaderName::Via, format!("SIP/2.0/UDP {};branch=z9hG4bKbye", address(A)));
    let (callee, start) = (leg_of(&world.events[B][0]), world.now);
    world.ends[B].accept(world.now, callee, answer()).unwrap();
    world.ends[B].handle_datagram(world.now, address(A), bye.to_bytes());
    world.rest(secs(1));
    assert_eq!(world.names(B), ["incoming", "ended"]);
    assert_eq!(world.names(A), ["provisional 180", "answered"]);
    // The ACK finds nobody, and nothing is repeated.
    assert_eq!(world.sent_ms(start, B, "SIP/2.0 200").len(), 2);
}

/// 3.1.4: a re-INVITE overtakes the ACK of a call whose offer was in the INVITE: it is taken, and says that the 2xx came.
#[test]
fn a_reinvite_overtakes_the_ack() {
    let (mut world, caller, _) = moratorium(4, call(address(B)));
    world.ends[A].reinvite(world.now, caller, new_offer()).unwrap();
    world.run(secs(5), obliging);
    assert_eq!(world.names(B), ["incoming", "confirmed", "offer"]);
    assert_eq!(world.names(A).last().unwrap(), "offer answered");
    assert!(world.log.iter().all(|(_, _, bytes)| !bytes.starts_with(b"SIP/2.0 491")));
    world.ends[A].hangup(world.now, caller, None).unwrap();
    ends_well(&mut world);
}

/// 3.1.5: the same where the ACK brings the answer: 491, and again when it has come.
#[test]
fn a_reinvite_overtakes_the_ack_with_the_answer() {
    let mut world = World::new(5);
    world.lose(A, "ACK", "ACK", 1);
    let caller = world.ends[A].invite(world.now, Invite { sdp: Bytes::new(), ..call(address(B)) }).unwrap();
    world.run(ms(200), obliging);
    world.ends[A].reinvite(world.now, caller, new_offer()).unwrap();
    world.run(secs(10), obliging);
    assert!(world.log.iter().any(|(_, side, bytes)| *side == B && bytes.starts_with(b"SIP/2.0 491")));
    assert_eq!(world.names(B), ["incoming", "confirmed", "offer"]);
    assert!(matches!(&world.events[B][1], Event::Confirmed { sdp: Some(_), .. }));
    assert_eq!(world.names(A).last().unwrap(), "offer answered");
    world.ends[A].hangup(world.now, caller, None).unwrap();
    ends_well(&mut world);
}

/// 3.1.6: a BYE overtakes the ACK.
#[test]
fn a_bye_overtakes_the_ack() {
    let (mut world, caller, _) = moratorium(6, call(address(B)));
    let start = world.now;
    world.ends[A].hangup(world.now, caller, None).unwrap();
    world.run(secs(5), obliging);
    assert_eq!(world.names(B), ["incoming", "ended"]);
    assert!(world.sent_ms(start, B, "SIP/2.0 200").len() <= 1, "the 2xx is not repeated any more");
    ends_well(&mut world);
}

/// 3.2.1: both hang up.
#[test]
fn bye_meets_bye() {
    let (mut world, caller, callee) = talking(7);
    world.ends[A].hangup(world.now, caller, None).unwrap();
    world.ends[B].hangup(world.now, callee, None).unwrap();
    let start = world.now;
    world.rest(secs(2));
    for side in [A, B] {
        assert_eq!(world.sent_ms(start, side, "SIP/2.0 200").len(), 1);
        assert!(world.names(side).is_empty());
    }
    ends_well(&mut world);
}

/// 3.2.2: a re-INVITE meets an end that has hung up: it is refused, and the BYE ends the call.
#[test]
fn a_reinvite_meets_a_bye() {
    let (mut world, caller, callee) = talking(8);
    world.ends[A].hangup(world.now, caller, None).unwrap();
    world.ends[B].reinvite(world.now, callee, new_offer()).unwrap();
    world.run(secs(10), obliging);
    assert!(world.names(A).is_empty());
    assert_eq!(world.names(B), ["ended"]);
    ends_well(&mut world);
}

/// 3.2.3: the 2xx to a re-INVITE meets an end that has hung up: it is acknowledged.
#[test]
fn the_2xx_of_a_reinvite_meets_a_bye() {
    let (mut world, caller, callee) = talking(9);
    world.ends[A].reinvite(world.now, caller, new_offer()).unwrap();
    world.rest(ms(30));
    assert_eq!(world.names(B), ["offer"]);
    world.ends[B].answer_offer(world.now, callee, Ok(answer())).unwrap();
    world.ends[A].hangup(world.now, caller, None).unwrap();
    let start = world.now;
    world.rest(secs(10));
    assert_eq!(world.sent_ms(start, A, "ACK").len(), 1);
    assert_eq!(world.names(B), ["offer", "ended"]);
    ends_well(&mut world);
}

/// 3.2.4: the ACK reaches a callee that hung up. Ours waits for the ACK before it does; an ACK after that harms nobody.
#[test]
fn the_ack_meets_a_bye() {
    let (mut world, _, callee) = moratorium(10, call(address(B)));
    world.ends[B].hangup(world.now, callee, None).unwrap();
    world.run(secs(10), obliging);
    assert_eq!(world.names(A).last().unwrap(), "ended");
    let ack = world.log.iter().find(|(_, _, bytes)| bytes.starts_with(b"ACK")).unwrap().2.clone();
    world.ends[B].handle_datagram(world.now, address(A), ack);
    assert!(world.ends[B].poll_transmit().is_none() && world.ends[B].poll_event().is_none());
    ends_well(&mut world);
}

/// 3.3.1: both send a re-INVITE.
#[test]
fn reinvite_meets_reinvite() {
    let (mut world, caller, callee) = talking(11);
    let start = world.now;
    world.ends[A].reinvite(world.now, caller, new_offer()).unwrap();
    world.ends[B].reinvite(world.now, callee, new_offer()).unwrap();
    world.run(secs(10), obliging);
    // Whoever made the call waits 2.1 to 4 seconds, the other up to 2: it comes first, and its offer alone.
    let again = world.sent_ms(start, B, "INVITE")[1];
    assert!((40..=2040).contains(&again), "{again:?}");
    assert_eq!(world.sent_ms(start, A, "INVITE"), [0]);
    assert_eq!(
        (world.names(A).join(", ").as_str(), &world.names(B)[..]),
        ("offer refused 491, offer", &["offer answered".to_owned()][..])
    );
    world.ends[A].hangup(world.now, caller, None).unwrap();
    ends_well(&mut world);
}

/// 3.3.2: an UPDATE with an offer meets a re-INVITE.
#[test]
fn update_meets_reinvite() {
    let (mut world, caller, callee) = talking(12);
    let answered = world.log.iter().find(|(_, _, bytes)| bytes.starts_with(b"SIP/2.0 200")).unwrap().2.clone();
    let Message::Response(answered) = parse(answered).unwrap() else { panic!("a response") };
    let far = Fork(answered.headers.to().unwrap().tag().unwrap().clone());
    world.ends[A].update(world.now, caller, &far, new_offer()).unwrap();
    world.ends[B].reinvite(world.now, callee, new_offer()).unwrap();
    world.run(secs(10), obliging);
    let refusals = world.log.iter().filter(|(_, _, bytes)| bytes.starts_with(b"SIP/2.0 491"));
    assert_eq!(refusals.count(), 2);
    assert_eq!(
        (world.names(A).join(", ").as_str(), world.names(B).join(", ").as_str()),
        ("offer refused 491, offer", "offer answered")
    );
    world.ends[A].hangup(world.now, caller, None).unwrap();
    ends_well(&mut world);
}

/// 3.3.3: a REFER meets an end that has hung up: it is refused, and nothing comes of it.
#[test]
fn a_refer_meets_a_bye() {
    let mut lone = Lone::new();
    let (leg, invite) = lone.answered_call();
    lone.end.hangup(lone.now, leg, None).unwrap();
    let bye = lone.sent_requests().remove(0);
    lone.give(Lone::in_dialog(&invite, "REFER", 1, "Refer-To: <sip:other@203.0.113.9>\r\n", ""));
    let refusals: Vec<_> = lone.sent_responses().iter().map(|response| response.status).collect();
    assert!(refusals.len() == 1 && refusals[0] >= 400, "{refusals:?}");
    lone.answer(&bye, 200, "far", None);
    assert!(lone.names().is_empty());
    lone.wait(secs(40));
    assert_eq!((lone.end.stats().legs, lone.end.stats().transactions), (0, 0));
}
