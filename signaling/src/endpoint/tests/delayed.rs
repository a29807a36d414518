//! Calls whose INVITE carries no offer: whoever is called makes it, in the 2xx or in a reliable provisional answer.

use super::*;
use crate::message::Method;

/// A caller that lets the other end offer.
fn without_offer() -> Invite {
    Invite { sdp: Bytes::new(), ..call(address(B)) }
}

/// What the callee offers.
fn offered() -> Bytes {
    Bytes::from_static(OFFER.as_bytes())
}

/// Answers the call with an offer, and offers with an answer.
fn offering(end: &mut Endpoint, now: Instant, _side: usize, event: &Event) {
    if let Event::Incoming { leg, sdp, .. } = event {
        assert_eq!(*sdp, None);
        end.ring(now, *leg, 180, None).unwrap();
        end.accept(now, *leg, offered()).unwrap();
    }
    if let Event::Offer { leg, .. } = event {
        end.answer_offer(now, *leg, Ok(answer())).unwrap();
    }
}

#[test]
fn an_offer_in_the_2xx_is_answered_in_the_ack() {
    let mut world = World::new(1);
    world.lose(A, "ACK", "ACK", 2);
    let leg = world.ends[A].invite(world.now, without_offer()).unwrap();
    world.run(secs(10), offering);
    assert_eq!(world.names(A), ["provisional 180", "offer", "answered"]);
    assert!(matches!(&world.events[A][1], Event::Offer { sdp: Some(sdp), .. } if *sdp == offered()));
    assert_eq!(world.names(B), ["incoming", "confirmed"]);
    assert!(matches!(&world.events[B][1], Event::Confirmed { sdp: Some(sdp), .. } if *sdp == answer()));
    // And then it is a call like any other.
    world.ends[A].reinvite(world.now, leg, offered()).unwrap();
    world.run(secs(1), obliging);
    assert_eq!(world.names(A).last().unwrap(), "offer answered");
    world.ends[A].hangup(world.now, leg, None).unwrap();
    world.rest(secs(40));
    world.assert_empty();
}

#[test]
fn a_2xx_whose_offer_is_refused_or_not_answered_is_acknowledged_and_hung_up() {
    // What the caller does: refuse, hang up, nothing at all.
    for (deed, expected) in [("refuse", Some("rejected 488")), ("hang up", None), ("", Some("rejected 500"))] {
        let mut world = World::new(2);
        let start = world.now;
        world.ends[A].invite(world.now, without_offer()).unwrap();
        world.run(secs(60), |end, now, side, event| match (event, deed) {
            (Event::Incoming { .. }, _) => offering(end, now, side, event),
            (Event::Offer { leg, .. }, "refuse") => end.answer_offer(now, *leg, Err(488)).unwrap(),
            (Event::Offer { leg, .. }, "hang up") => end.hangup(now, *leg, None).unwrap(),
            _ => {}
        });
        let told: Vec<_> = ["provisional 180", "offer"].into_iter().chain(expected).map(str::to_owned).collect();
        assert_eq!(world.names(A), told, "{deed}");
        assert_eq!(world.names(B)[..2], ["incoming", "confirmed"], "{deed}");
        assert!(world.names(B)[2].starts_with("ended"), "{deed}");
        assert_eq!(world.sent_ms(start, A, "BYE").len(), 1, "{deed}: a repeated 2xx is no fork");
        world.assert_empty();
    }
}

#[test]
fn an_offer_in_a_reliable_18x_is_answered_in_the_prack() {
    let mut world = World::new(3);
    let invite = Invite { reliable: Reliable::Supported, ..without_offer() };
    world.ends[A].invite(world.now, invite).unwrap();
    world.run(secs(5), |end, now, side, event| {
        if let Event::Incoming { leg, .. } = event {
            end.ring(now, *leg, 183, Some(offered())).unwrap();
            end.accept(now, *leg, offered()).unwrap();
        } else {
            offering(end, now, side, event);
        }
    });
    assert_eq!(world.names(A), ["provisional 183", "offer", "answered"]);
    assert_eq!(world.names(B), ["incoming", "offer answered", "confirmed"]);
    assert!(matches!(&world.events[B][1], Event::OfferAnswered { result: Ok(sdp), .. } if *sdp == answer()));
    let with_sdp: Vec<_> = world
        .log
        .iter()
        .filter_map(|(_, _, bytes)| match parse(bytes.clone()).unwrap() {
            Message::Request(request) => (!request.body.is_empty()).then(|| request.method.to_string()),
            Message::Response(response) => (!response.body.is_empty()).then(|| response.status.to_string()),
        })
        .collect();
    assert_eq!(with_sdp, ["183", "PRACK"]);
}

#[test]
fn refusing_an_offer_in_a_reliable_18x_cancels_the_call() {
    let mut world = World::new(4);
    let invite = Invite { reliable: Reliable::Required, ..without_offer() };
    world.ends[A].invite(world.now, invite).unwrap();
    world.run(secs(80), |end, now, _, event| {
        if let Event::Incoming { leg, .. } = event {
            end.ring(now, *leg, 183, Some(offered())).unwrap();
        }
        if let Event::Offer { leg, .. } = event {
            end.answer_offer(now, *leg, Err(488)).unwrap();
        }
    });
    assert_eq!(world.names(A), ["provisional 183", "offer", "rejected 488"]);
    assert_eq!(world.names(B), ["incoming", "cancelled SIP;cause=488"]);
    world.assert_empty();
}

#[test]
fn an_unreliable_18x_makes_no_offer() {
    let mut lone = Lone::new();
    lone.end.invite(lone.now, without_offer()).unwrap();
    let invite = lone.sent_requests().remove(0);
    assert!(invite.body.is_empty());
    lone.answer(&invite, 183, "far", Some(OFFER));
    assert!(matches!(lone.end.poll_event(), Some(Event::Provisional { sdp: None, .. })));
    // Two answer; the one that comes second is a fork nobody wants, though it offers as well.
    lone.answer(&invite, 200, "far", Some(OFFER));
    lone.answer(&invite, 200, "far", Some(OFFER));
    assert!(lone.sent().is_empty(), "the ACK waits for the answer");
    lone.answer(&invite, 200, "near", Some(OFFER));
    let methods: Vec<_> = lone.sent_requests().into_iter().map(|request| request.method).collect();
    assert_eq!(methods, [Method::Ack, Method::Bye]);
    let Some(Event::Offer { leg, fork, .. }) = lone.end.poll_event() else { panic!("no offer") };
    assert_eq!(fork, Fork(Bytes::from_static(b"far")));
    lone.end.answer_offer(lone.now, leg, Ok(answer())).unwrap();
    let ack = lone.sent_requests().remove(0);
    assert_eq!((ack.method, ack.body), (Method::Ack, answer()));
    assert_eq!(lone.names(), ["answered"]);
}
