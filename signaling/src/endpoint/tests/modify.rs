//! Changing a call: re-INVITE and UPDATE from either end, and from both.

use super::*;
use crate::message::Method;

const NEW: &str = "v=0\r\no=new\r\n";

fn offer() -> Bytes {
    Bytes::from_static(NEW.as_bytes())
}

#[test]
fn hold_is_offered_and_answered() {
    let (mut world, caller, callee) = talking(1);
    world.ends[A].reinvite(world.now, caller, offer()).unwrap();
    assert_eq!(world.ends[A].reinvite(world.now, caller, offer()), Err(NoSuchLeg), "one at a time");
    world.run(secs(1), obliging);
    assert_eq!(world.names(B), ["offer"]);
    assert_eq!(world.names(A), ["offer answered"]);
    world.ends[B].reinvite(world.now, callee, offer()).unwrap();
    world.run(secs(1), obliging);
    assert_eq!(world.names(A), ["offer answered", "offer"]);
    assert_eq!(world.names(B), ["offer", "offer answered"]);
    world.ends[A].hangup(world.now, caller, None).unwrap();
    world.rest(secs(40));
    world.assert_empty();
}

#[test]
fn refused_offer_leaves_the_call_as_it_was() {
    let (mut world, caller, _) = talking(2);
    world.ends[A].reinvite(world.now, caller, offer()).unwrap();
    world.run(secs(1), |end, now, _, event| {
        if let Event::Offer { leg, .. } = event {
            end.answer_offer(now, *leg, Err(488)).unwrap();
            assert_eq!(end.answer_offer(now, *leg, Err(488)), Err(NoSuchLeg));
        }
    });
    assert_eq!(world.names(A), ["offer refused 488"]);
    assert!(world.ends[A].reinvite(world.now, caller, offer()).is_ok());
}

#[test]
fn glare_is_settled() {
    for seed in 0..20 {
        let (mut world, caller, callee) = talking(seed);
        world.ends[A].reinvite(world.now, caller, offer()).unwrap();
        world.ends[B].reinvite(world.now, callee, offer()).unwrap();
        world.run(secs(10), obliging);
        // Whoever made the call waits longer, and what it wanted to say is not so any more: it may say it anew.
        assert_eq!(world.names(B), ["offer answered"], "seed {seed}");
        assert_eq!(world.names(A), ["offer refused 491", "offer"], "seed {seed}");
        world.ends[A].reinvite(world.now, caller, offer()).unwrap();
        world.run(secs(1), obliging);
        assert_eq!(world.names(A).last().unwrap(), "offer answered", "seed {seed}");
        assert!(world.log.iter().any(|(_, _, bytes)| bytes.starts_with(b"SIP/2.0 491")));
        world.ends[A].hangup(world.now, caller, None).unwrap();
        world.rest(secs(40));
        world.assert_empty();
    }
}

#[test]
fn an_offer_that_met_another_is_made_again_if_the_other_is_not() {
    let mut lone = Lone::new();
    let (leg, _) = lone.answered_call();
    lone.end.reinvite(lone.now, leg, offer()).unwrap();
    let first = lone.sent_requests().remove(0);
    lone.answer(&first, 491, "far", None);
    assert_eq!(lone.sent_requests().remove(0).method, Method::Ack);
    lone.wait(ms(4100));
    let again = lone.sent_requests().remove(0);
    assert_eq!((&again.method, &again.body), (&Method::Invite, &offer()));
    lone.answer(&again, 200, "far", Some(ANSWER));
    assert_eq!(lone.names(), ["offer answered"]);
}

/// A refresh that met the peer's offer is made anew, with what both ends have agreed on since.
#[test]
fn a_refresh_that_gives_way_is_not_forgotten() {
    for taken in [true, false] {
        let mut lone = Lone::new();
        let leg = lone.end.invite(lone.now, Invite { session_expires: 600, ..call(address(B)) }).unwrap();
        let invite = lone.sent_requests().remove(0);
        let session = "Session-Expires: 600;refresher=uac\r\n";
        let mut answered = Response::to_request(&invite, 200, Some("far"));
        answered.headers.push(crate::message::HeaderName::SessionExpires, "600;refresher=uac");
        lone.give(answered.with_body("application/sdp", answer()).to_bytes());
        lone.wait(secs(300));
        let refresh = lone.sent_requests().pop().unwrap();
        assert_eq!(refresh.method, Method::Invite);
        lone.answer(&refresh, 491, "far", None);
        lone.sent();
        lone.names();
        let sdp = format!("Content-Type: application/sdp\r\nSupported: timer\r\n{session}");
        lone.give(Lone::in_dialog(&invite, "INVITE", 1, &sdp, NEW));
        assert_eq!(lone.names(), ["offer"]);
        let said = Bytes::from_static(b"v=0\r\no=said\r\n");
        lone.end.answer_offer(lone.now, leg, if taken { Ok(said) } else { Err(488) }).unwrap();
        lone.give(Lone::in_dialog(&invite, "ACK", 1, "", "").replace("z9hG4bKACK1", "z9hG4bKother"));
        lone.sent();
        lone.wait(secs(10));
        let again = lone.sent_requests();
        // The peer's own request was a refresh, if it was taken.
        assert_eq!(again.iter().any(|request| request.method == Method::Invite), !taken, "{taken}");
        assert!(lone.names().is_empty());
    }
}

#[test]
fn own_offer_comes_after_the_answer_to_the_one_of_the_peer() {
    let (mut world, caller, callee) = talking(3);
    world.ends[A].reinvite(world.now, caller, offer()).unwrap();
    world.rest(ms(50));
    assert_eq!(world.ends[B].reinvite(world.now, callee, offer()), Err(NoSuchLeg));
    assert_eq!(world.names(B), ["offer"]);
    world.ends[B].answer_offer(world.now, callee, Ok(answer())).unwrap();
    // It waits for the ACK.
    world.ends[B].reinvite(world.now, callee, offer()).unwrap();
    world.run(secs(1), obliging);
    assert_eq!(world.names(A), ["offer answered", "offer"]);
    assert_eq!(world.names(B), ["offer", "offer answered"]);
}

#[test]
fn offer_that_nobody_answers_is_refused() {
    let (mut world, caller, callee) = talking(4);
    world.ends[A].reinvite(world.now, caller, offer()).unwrap();
    world.rest(secs(20));
    assert_eq!(world.names(A), ["offer refused 500"]);
    assert_eq!(world.ends[B].answer_offer(world.now, callee, Ok(answer())), Err(NoSuchLeg));
}

#[test]
fn peer_that_lost_the_call_ends_it() {
    let mut lone = Lone::new();
    let (leg, _) = lone.answered_call();
    lone.end.reinvite(lone.now, leg, offer()).unwrap();
    let reinvite = lone.sent_requests().remove(0);
    lone.answer(&reinvite, 481, "far", None);
    assert_eq!(lone.names(), ["lost Some(481)"]);
    assert_eq!(lone.sent_requests().iter().map(|sent| sent.method.clone()).collect::<Vec<_>>(), [Method::Ack]);
    lone.wait(secs(40));
    assert_eq!((lone.end.stats().legs, lone.end.stats().transactions), (0, 0));
}

#[test]
fn silent_peer_ends_the_call() {
    let (mut world, caller, _) = talking(5);
    world.loss_permille = 1000;
    world.ends[A].reinvite(world.now, caller, offer()).unwrap();
    world.rest(secs(33));
    assert_eq!(world.names(A), ["lost None"]);
    world.rest(secs(33));
    assert_eq!(world.ends[A].stats().legs, 0);
}

#[test]
fn hangup_during_a_reinvite_leaves_nothing() {
    let (mut world, caller, callee) = talking(6);
    world.ends[A].reinvite(world.now, caller, offer()).unwrap();
    world.rest(ms(50));
    world.ends[B].hangup(world.now, callee, None).unwrap();
    world.rest(secs(80));
    assert_eq!(world.names(A), ["offer refused 487", "ended"]);
    world.assert_empty();
}

#[test]
fn offerless_reinvite_is_given_our_offer() {
    let mut lone = Lone::new();
    let (leg, invite) = lone.answered_call();
    lone.give(Lone::in_dialog(&invite, "INVITE", 1, "", ""));
    assert_eq!(lone.names(), ["offer wanted"]);
    lone.end.answer_offer(lone.now, leg, Ok(offer())).unwrap();
    let ok = lone.sent_responses().pop().unwrap();
    assert_eq!((ok.status, ok.body), (200, offer()));
    let ack = Lone::in_dialog(&invite, "ACK", 1, "Content-Type: application/sdp\r\n", ANSWER);
    lone.give(ack.replace("z9hG4bKACK1", "z9hG4bKother"));
    assert_eq!(lone.names(), ["offer answered"]);
    lone.wait(secs(40));
    assert!(lone.sent().is_empty());
}

#[test]
fn updates() {
    let mut lone = Lone::new();
    let (leg, invite) = lone.answered_call();
    let sdp = "Content-Type: application/sdp\r\n";
    // Without an offer it only refreshes the target.
    let moved = Lone::in_dialog(&invite, "UPDATE", 1, "", "").replace("sip:far@", "sip:moved@");
    lone.give(moved);
    assert_eq!(lone.sent_responses()[0].status, 200);
    assert!(lone.names().is_empty());
    lone.give(Lone::in_dialog(&invite, "UPDATE", 2, sdp, NEW));
    lone.give(Lone::in_dialog(&invite, "UPDATE", 3, sdp, NEW));
    assert_eq!(lone.names(), ["offer"]);
    let early = lone.sent_responses().remove(0);
    assert_eq!(early.status, 500);
    assert!(early.headers.retry_after().is_some_and(|seconds| seconds <= 10));
    lone.end.answer_offer(lone.now, leg, Ok(answer())).unwrap();
    let ok = lone.sent_responses().remove(0);
    assert_eq!((ok.status, ok.headers.cseq().unwrap().number), (200, 2));
    lone.end.hangup(lone.now, leg, None).unwrap();
    assert!(lone.sent_requests()[0].uri.to_string().starts_with("sip:far@"), "the offer's Contact came last");
}

#[test]
fn cancelled_reinvite() {
    let mut lone = Lone::new();
    let (leg, invite) = lone.answered_call();
    let reinvite = Lone::in_dialog(&invite, "INVITE", 1, "Content-Type: application/sdp\r\n", NEW);
    lone.give(reinvite.clone());
    lone.sent();
    lone.give(Lone::in_dialog(&invite, "CANCEL", 1, "", "").replace("z9hG4bKCANCEL1", "z9hG4bKINVITE1"));
    let statuses: Vec<_> = lone.sent_responses().iter().map(|response| response.status).collect();
    assert_eq!(statuses, [200, 487]);
    assert_eq!(lone.end.answer_offer(lone.now, leg, Ok(answer())), Err(NoSuchLeg));
    assert_eq!(lone.end.stats().legs, 1);
}

#[test]
fn made_up_tags_in_answers_to_a_reinvite_are_acknowledged_only_so_often() {
    let mut lone = Lone::new();
    let (leg, _) = lone.answered_call();
    lone.end.reinvite(lone.now, leg, offer()).unwrap();
    let reinvite = lone.sent_requests().remove(0);
    for tag in 0..200 {
        // An answer keeps the tag of the request, so it has to be forged.
        let text = String::from_utf8(Response::to_request(&reinvite, 200, None).to_bytes().to_vec()).unwrap();
        lone.give(text.replace("tag=far", &format!("tag=far{tag}")));
    }
    assert!(lone.sent_requests().len() <= 17);
    assert_eq!(lone.names(), ["offer refused 488"]);
}
