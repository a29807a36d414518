//! Several early dialogs at once, and UPDATE in them and after (RFC 3311).

use super::*;
use crate::message::{HeaderName, Method};

const MORE: &str = "v=0\r\no=more\r\n";

fn more() -> Bytes {
    Bytes::from_static(MORE.as_bytes())
}

fn fork(tag: &'static str) -> Fork {
    Fork(Bytes::from_static(tag.as_bytes()))
}

/// A call that rings with a reliable answer to its offer, at both ends.
fn ringing(seed: u64) -> (World, LegId, LegId) {
    let mut world = World::new(seed);
    let invite = Invite { reliable: Reliable::Supported, ..call(address(B)) };
    let caller = world.ends[A].invite(world.now, invite).unwrap();
    world.run(secs(1), |end, now, _, event| {
        if let Event::Incoming { leg, .. } = event {
            end.ring(now, *leg, 183, Some(answer())).unwrap();
        }
    });
    assert_eq!(world.names(A), ["provisional 183"]);
    let callee = leg_of(&world.events[B][0]);
    world.events = [Vec::new(), Vec::new()];
    (world, caller, callee)
}

/// The tag the other end of a ringing call goes by.
fn other_end(world: &World, side: usize) -> Fork {
    let ringing = world.log.iter().find(|(_, _, bytes)| bytes.starts_with(b"SIP/2.0 183")).unwrap();
    let Message::Response(response) = parse(ringing.2.clone()).unwrap() else { panic!("a response") };
    let end = if side == A { response.headers.to() } else { response.headers.from() };
    Fork(end.unwrap().tag().unwrap().clone())
}

#[test]
fn each_fork_is_named_and_has_its_own_way() {
    let mut lone = Lone::new();
    lone.end.invite(lone.now, call(address(B))).unwrap();
    let invite = lone.sent_requests().remove(0);
    for (tag, hop) in [("one", "203.0.113.11:5060"), ("two", "203.0.113.12:5070")] {
        let mut response = Response::to_request(&invite, 183, Some(tag));
        response.headers.push(HeaderName::Contact, format!("<sip:{tag}@203.0.113.99>"));
        response.headers.push(HeaderName::RecordRoute, format!("<sip:{hop};lr>"));
        response.headers.push(HeaderName::Require, "100rel");
        response.headers.push(HeaderName::RSeq, "1");
        let response = response.with_body("application/sdp", Bytes::from(format!("v=0\r\no={tag}\r\n")));
        lone.give(response.to_bytes());
        let prack = lone.end.poll_transmit().unwrap();
        assert_eq!(prack.to.to_string(), hop);
        let Message::Request(prack) = parse(prack.bytes).unwrap() else { panic!("a request") };
        assert_eq!(prack.uri.to_string(), format!("sip:{tag}@203.0.113.99"));
        let Some(Event::Provisional { fork, sdp: Some(sdp), .. }) = lone.end.poll_event() else { panic!("{tag}") };
        assert_eq!((fork.0.as_ref(), sdp), (tag.as_bytes(), Bytes::from(format!("v=0\r\no={tag}\r\n"))));
    }
    // The second answers: its early dialog is the call's, the first one's late 2xx is hung up along its own route.
    lone.answer(&invite, 200, "two", None);
    lone.sent();
    let Some(Event::Answered { fork: winner, sdp: None, .. }) = lone.end.poll_event() else { panic!("not answered") };
    assert_eq!(winner, fork("two"));
    lone.answer(&invite, 200, "one", None);
    let methods: Vec<_> = lone.sent_requests().into_iter().map(|request| request.method).collect();
    assert_eq!(methods, [Method::Ack, Method::Bye]);
}

#[test]
fn an_update_of_the_callee_while_it_rings() {
    let (mut world, _, callee) = ringing(1);
    let caller = other_end(&world, B);
    world.ends[B].update(world.now, callee, &caller, more()).unwrap();
    assert_eq!(world.ends[B].update(world.now, callee, &caller, more()), Err(NoSuchLeg), "one at a time");
    world.run(secs(1), obliging);
    let callee_tag = other_end(&world, A);
    assert!(
        matches!(&world.events[A][0], Event::Offer { sdp: Some(sdp), fork, .. } if sdp == MORE && *fork == callee_tag)
    );
    assert_eq!(world.names(B), ["offer answered"]);
    world.ends[B].accept(world.now, callee, answer()).unwrap();
    world.run(secs(1), obliging);
    assert_eq!(world.names(A), ["offer", "answered"]);
    assert!(matches!(&world.events[A][1], Event::Answered { sdp: None, .. }), "all is agreed");
}

#[test]
fn an_update_of_the_caller_while_it_rings() {
    let (mut world, caller, callee) = ringing(2);
    let other = other_end(&world, A);
    world.ends[A].update(world.now, caller, &other, more()).unwrap();
    world.run(secs(1), obliging);
    assert_eq!((world.names(A), world.names(B)), (vec!["offer answered".to_owned()], vec!["offer".to_owned()]));
    // The answer crosses the next one.
    world.ends[A].update(world.now, caller, &other, more()).unwrap();
    world.ends[B].accept(world.now, callee, answer()).unwrap();
    world.run(secs(5), obliging);
    assert_eq!(world.names(A)[1..], ["answered", "offer answered"]);
    world.ends[A].hangup(world.now, caller, None).unwrap();
    world.rest(secs(40));
    world.assert_empty();
}

#[test]
fn glare_of_updates_while_it_rings_is_settled() {
    for seed in 0..20 {
        let (mut world, caller, callee) = ringing(seed);
        let tags = [other_end(&world, A), other_end(&world, B)];
        world.ends[A].update(world.now, caller, &tags[A], more()).unwrap();
        world.ends[B].update(world.now, callee, &tags[B], more()).unwrap();
        world.run(secs(10), obliging);
        assert_eq!(world.names(A).join(", "), "offer refused 491, offer", "seed {seed}");
        assert_eq!(world.names(B), ["offer answered"], "seed {seed}");
        assert!(world.log.iter().any(|(_, _, bytes)| bytes.starts_with(b"SIP/2.0 491")));
    }
}

#[test]
fn updates_come_at_the_right_time_only() {
    // What the peer has said so far (RSeq of its answer); the status of its UPDATE with an offer.
    for (rseq, status) in [(None, 491), (Some(1), 200)] {
        let mut lone = Lone::new();
        lone.end.invite(lone.now, call(address(B))).unwrap();
        let invite = lone.sent_requests().remove(0);
        match rseq {
            Some(rseq) => lone.ring_reliably(&invite, "far", rseq, Some(ANSWER)),
            None => lone.answer(&invite, 183, "far", Some(ANSWER)),
        }
        lone.sent();
        lone.names();
        let update = Lone::in_dialog(&invite, "UPDATE", 1, "Content-Type: application/sdp\r\n", MORE);
        lone.give(update);
        while let Some(event) = lone.end.poll_event() {
            if let Event::Offer { leg, .. } = event {
                lone.end.answer_offer(lone.now, leg, Ok(answer())).unwrap();
            }
        }
        assert_eq!(lone.sent_responses().remove(0).status, status, "{rseq:?}");
    }
    // Ours waits for the same.
    let mut lone = Lone::new();
    let leg = lone.end.invite(lone.now, call(address(B))).unwrap();
    let invite = lone.sent_requests().remove(0);
    lone.answer(&invite, 183, "far", Some(ANSWER));
    assert_eq!(lone.end.update(lone.now, leg, &fork("far"), more()), Err(NoSuchLeg));
    lone.ring_reliably(&invite, "far", 1, Some(ANSWER));
    assert_eq!(lone.end.update(lone.now, leg, &fork("near"), more()), Err(NoSuchLeg));
    lone.end.update(lone.now, leg, &fork("far"), more()).unwrap();
    let update = lone.sent_requests().pop().unwrap();
    assert_eq!((update.method, update.body, update.headers.cseq().unwrap().number), (Method::Update, more(), 3));
}

#[test]
fn the_offer_of_a_fork_that_lost_is_refused() {
    let mut lone = Lone::new();
    let leg = lone.end.invite(lone.now, call(address(B))).unwrap();
    let invite = lone.sent_requests().remove(0);
    lone.ring_reliably(&invite, "far", 1, Some(ANSWER));
    lone.give(Lone::in_dialog(&invite, "UPDATE", 1, "Content-Type: application/sdp\r\n", MORE));
    lone.sent();
    lone.answer(&invite, 200, "near", Some(ANSWER));
    let statuses: Vec<_> = lone
        .sent()
        .into_iter()
        .map(|message| match message {
            Message::Response(response) => response.status.to_string(),
            Message::Request(request) => request.method.to_string(),
        })
        .collect();
    assert_eq!(statuses, ["ACK", "487"]);
    assert_eq!(lone.end.answer_offer(lone.now, leg, Ok(answer())), Err(NoSuchLeg));
    assert_eq!(lone.names(), ["provisional 183", "offer", "answered"]);
}

#[test]
fn an_offer_by_update_in_an_answered_call() {
    // What the peer says to the UPDATE; what we send then; what is told.
    type Row = (u16, &'static str, Option<&'static str>, &'static str);
    let rows: [Row; 5] = [
        (200, "", None, "offer answered"),
        (488, "", None, "offer refused 488"),
        (405, "", Some("INVITE"), ""),
        (491, "", Some("UPDATE"), ""),
        (500, "Retry-After: 1\r\n", Some("UPDATE"), ""),
    ];
    for (status, extra, then, told) in rows {
        let mut lone = Lone::new();
        let leg = lone.end.invite(lone.now, call(address(B))).unwrap();
        let invite = lone.sent_requests().remove(0);
        let mut response = Response::to_request(&invite, 200, Some("far"));
        response.headers.push(HeaderName::Contact, format!("<sip:far@{}>", address(B)));
        response.headers.push(HeaderName::Allow, "UPDATE");
        lone.give(response.with_body("application/sdp", answer()).to_bytes());
        lone.sent();
        lone.names();
        lone.end.update(lone.now, leg, &fork("far"), more()).unwrap();
        let update = lone.sent_requests().remove(0);
        let mut response = Response::to_request(&update, status, None);
        if status == 200 {
            response = response.with_body("application/sdp", answer());
        }
        let text = String::from_utf8(response.to_bytes().to_vec()).unwrap();
        lone.give(text.replacen("\r\n", &format!("\r\n{extra}"), 1));
        lone.wait(secs(5));
        let sent = lone.sent_requests();
        assert_eq!(sent.first().map(|request| request.method.to_string()).as_deref(), then, "{status}");
        assert!(sent.iter().all(|request| request.body == more()), "{status}");
        assert_eq!(lone.names().join(","), told, "{status}");
    }
}

#[test]
fn an_offer_that_cannot_be_used_is_refused_with_a_warning() {
    let mut lone = Lone::new();
    let (leg, invite) = lone.answered_call();
    for (cseq, method) in ["INVITE", "UPDATE"].into_iter().enumerate() {
        let cseq = u32::try_from(cseq).unwrap() + 1;
        lone.give(Lone::in_dialog(&invite, method, cseq, "Content-Type: application/sdp\r\n", MORE));
        lone.end.answer_offer(lone.now, leg, Err(488)).unwrap();
        let refusal = lone.sent_responses().pop().unwrap();
        assert_eq!(refusal.status, 488);
        let warning = refusal.headers.get(&HeaderName::Warning).unwrap();
        assert_eq!(warning, "305 example.com \"Incompatible media format\"");
    }
}
