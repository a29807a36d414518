//! A process goes away with calls up; the next one knows nothing but the last snapshots, and ends them.

use super::*;
use crate::auth::Credentials;
use crate::message::{HeaderName, Method};

const LIMIT: Duration = Duration::from_millis(100);

fn telling(side: usize) -> EndpointConfig {
    EndpointConfig { snapshots: Some(LIMIT), ..config(side) }
}

fn crash() -> Reason {
    Reason { protocol: "SIP".into(), cause: 503, text: Some("node_crash".into()) }
}

/// A world whose caller tells snapshots.
fn world() -> World {
    let mut world = World::new(7);
    world.ends[A] = Endpoint::new(telling(A), [7; 32]);
    world
}

/// Keeps a snapshot at once.
fn keep(end: &mut Endpoint, event: &Event) {
    if let Event::Snapshot { leg, serial, .. } = event {
        end.snapshot_kept(*leg, *serial);
    }
}

/// Everybody does what is asked at once.
fn keeping(end: &mut Endpoint, now: Instant, side: usize, event: &Event) {
    keep(end, event);
    if side == B {
        obliging(end, now, side, event);
    }
}

/// The callee rings and answers nothing.
fn ringing(end: &mut Endpoint, now: Instant, _side: usize, event: &Event) {
    keep(end, event);
    if let Event::Incoming { leg, .. } = event {
        end.ring(now, *leg, 180, None).unwrap();
    }
}

fn snapshot_of(event: &Event) -> Option<Option<LegSnapshot>> {
    if let Event::Snapshot { snapshot, .. } = event { Some(snapshot.as_deref().cloned()) } else { None }
}

/// What the caller told last, as it comes back from a disk.
fn last_snapshot(world: &World) -> Option<LegSnapshot> {
    let told = world.events[A].iter().rev().find_map(snapshot_of);
    let bytes = told.expect("a snapshot was told")?.to_bytes();
    Some(LegSnapshot::parse(&bytes).expect("it can be read again"))
}

/// The caller's process goes away, and another one ends what the first has left.
fn restart(world: &mut World, after: Duration) {
    let snapshot = last_snapshot(world).expect("there is a leg to end");
    assert_eq!((snapshot.peer, snapshot.label.as_str()), (address(B), "trunk a"));
    world.ends[A] = Endpoint::new(telling(A), [8; 32]);
    world.events = [Vec::new(), Vec::new()];
    world.rest(after);
    world.log.clear();
    world.ends[A].end_lost_leg(world.now, snapshot, None, crash()).unwrap();
}

fn requests(world: &World) -> Vec<Request> {
    let sent = world.log.iter().filter(|(_, side, _)| *side == A).map(|(_, _, bytes)| parse(bytes.clone()).unwrap());
    sent.filter_map(|message| match message {
        Message::Request(request) => Some(request),
        Message::Response(_) => None,
    })
    .collect()
}

fn methods(world: &World) -> Vec<Method> {
    requests(world).into_iter().map(|request| request.method).collect()
}

#[test]
fn an_answered_leg_gets_a_bye_with_a_number_above_all_before() {
    let mut world = world();
    let leg = world.call();
    world.run(secs(1), keeping);
    // A re-INVITE that no snapshot knows of.
    world.ends[A].reinvite(world.now, leg, answer()).unwrap();
    world.run(secs(1), keeping);
    let highest = requests(&world).iter().map(|request| request.headers.cseq().unwrap().number).max().unwrap();
    world.losses.clear();
    world.lose(A, "BYE", "BYE", 1);
    restart(&mut world, secs(60));
    world.run(secs(40), keeping);
    assert_eq!(world.names(B), ["ended SIP;cause=503;text=\"node_crash\""]);
    assert_eq!(methods(&world), [Method::Bye, Method::Bye], "the lost one is repeated");
    assert!(requests(&world)[0].headers.cseq().unwrap().number > highest);
    assert_eq!(last_snapshot(&world), None, "nothing is left to be ended");
    world.assert_empty();
}

#[test]
fn a_ringing_leg_gets_a_cancel() {
    let mut world = world();
    world.call();
    world.run(secs(2), ringing);
    restart(&mut world, secs(3));
    world.run(secs(60), ringing);
    assert_eq!(world.names(B), ["cancelled SIP;cause=503;text=\"node_crash\""]);
    assert_eq!(methods(&world), [Method::Cancel, Method::Ack]);
    assert_eq!(last_snapshot(&world), None);
    world.assert_empty();
}

#[test]
fn an_answer_that_nobody_heard_is_acknowledged_and_hung_up() {
    let mut world = world();
    world.call();
    world.lose(B, "SIP/2.0 200", "INVITE", 2);
    world.run(secs(1), keeping);
    restart(&mut world, secs(1));
    world.run(secs(60), keeping);
    // The callee's own CANCEL handling says 200 and changes nothing; its 2xx comes again.
    assert_eq!(methods(&world)[..3], [Method::Cancel, Method::Ack, Method::Bye], "{:?}", methods(&world));
    let bye = &requests(&world)[2];
    let reason = bye.headers.get(&HeaderName::Reason).unwrap();
    assert_eq!(reason, &Bytes::from(crash().to_string()));
    assert_eq!(world.names(B), ["confirmed", "ended SIP;cause=503;text=\"node_crash\""]);
    assert_eq!(last_snapshot(&world), None);
    world.assert_empty();
}

#[test]
fn an_invite_that_never_arrived_leaves_nothing() {
    let mut world = world();
    world.call();
    world.lose(A, "INVITE", "INVITE", 9);
    world.run(secs(1), keeping);
    restart(&mut world, secs(1));
    world.run(secs(60), keeping);
    assert!(world.names(B).is_empty());
    assert_eq!(last_snapshot(&world), None);
    world.assert_empty();
}

#[test]
fn nothing_of_a_leg_is_sent_before_its_snapshot_is_kept_or_the_limit_is_over() {
    let mut lone = Lone::new();
    lone.end = Endpoint::new(telling(A), [7; 32]);
    let leg = lone.end.invite(lone.now, call(address(B))).unwrap();
    assert!(lone.sent().is_empty());
    let Some(Event::Snapshot { serial, snapshot: Some(_), .. }) = lone.end.poll_event() else { panic!("not told") };
    lone.end.snapshot_kept(leg, serial + 1);
    assert!(lone.sent().is_empty(), "that was another one");
    lone.end.snapshot_kept(leg, serial);
    let invite = lone.sent_requests().remove(0);

    // The ACK waits as well: until then the callee repeats its 2xx, which does not help it.
    lone.answer(&invite, 200, "far", Some(ANSWER));
    lone.answer(&invite, 200, "far", Some(ANSWER));
    assert!(lone.sent().is_empty());
    assert_eq!(lone.names(), ["snapshot", "answered"]);
    assert_eq!(lone.end.stats().unkept, 0);
    lone.wait(LIMIT);
    assert_eq!(lone.sent_requests().len(), 1, "one ACK");
    assert_eq!(lone.end.stats().unkept, 1);

    // A new target is another thing to end; the same one is not.
    for (contact, told) in [("sip:far@203.0.113.2:5080", 0), ("sip:new@203.0.113.2:5080", 1)] {
        let update = Lone::in_dialog(&invite, "UPDATE", 7, "", "").replace("sip:far@203.0.113.2:5080", contact);
        lone.give(update.replace("branch=z9hG4bKUPDATE7", &format!("branch=z9hG4bK{told}")));
        assert_eq!(lone.names().len(), told);
        assert_eq!(lone.sent_responses().len(), 1 - told, "the 200 waits");
    }
    lone.wait(LIMIT);
    assert_eq!(lone.sent_responses().len(), 1);
}

#[test]
fn a_snapshot_has_the_route_and_no_secret_and_follows_a_challenged_invite() {
    let mut lone = Lone::new();
    lone.end = Endpoint::new(telling(A), [7; 32]);
    let mut invite = call(address(B));
    invite.credentials = Some(Credentials { username: "u".into(), password: "p".into() });
    invite.over = Transport::Tls("sip.example.com".into());
    lone.end.invite(lone.now, invite.clone()).unwrap();
    let mut snapshots = Vec::new();
    let over = invite.over.clone();
    for _ in 0..2 {
        while let Some(event) = lone.end.poll_event() {
            if let Event::Snapshot { leg, serial, snapshot: Some(snapshot), .. } = event {
                lone.end.snapshot_kept(leg, serial);
                snapshots.push(*snapshot);
            }
        }
        let sent = lone.sent_requests().pop().unwrap();
        let mut response = Response::to_request(&sent, 407, Some("far"));
        let challenge = "Digest realm=\"r\", nonce=\"n\", algorithm=MD5, qop=\"auth\"";
        if snapshots.len() == 2 {
            response = Response::to_request(&sent, 200, Some("far"));
            response.headers.push(HeaderName::Contact, "<sip:far@203.0.113.2:5080>");
            response.headers.push(HeaderName::RecordRoute, "<sip:203.0.113.9;lr>, <sip:203.0.113.8;lr>");
        } else {
            response.headers.push(HeaderName::ProxyAuthenticate, challenge);
        }
        lone.end.handle_message(lone.now, address(B), &over, response.to_bytes());
    }
    while let Some(event) = lone.end.poll_event() {
        if let Event::Snapshot { snapshot: Some(snapshot), .. } = event {
            snapshots.push(*snapshot);
        }
    }
    let texts: Vec<String> = snapshots.iter().map(|s| String::from_utf8(s.to_bytes().to_vec()).unwrap()).collect();
    assert!(texts[0].contains("CSeq: 1 INVITE") && texts[1].contains("CSeq: 2 INVITE"), "{texts:?}");
    assert!(texts.iter().all(|text| text.starts_with("tls:sip.example.com 203.0.113.2:5080 trunk a\r\n")), "{texts:?}");
    assert!(texts.iter().all(|text| !text.contains("Digest") && !text.contains("v=0")), "{texts:?}");
    assert_eq!(snapshots.len(), 3);

    // The BYE goes the whole way, and answers a challenge.
    let snapshot = LegSnapshot::parse(&snapshots[2].to_bytes()).unwrap();
    assert_eq!(snapshot.to_bytes(), snapshots[2].to_bytes());
    lone.end = Endpoint::new(telling(A), [8; 32]);
    lone.end.end_lost_leg(lone.now, snapshot, invite.credentials, crash()).unwrap();
    let sent = lone.end.poll_transmit().unwrap();
    assert_eq!((sent.to, &sent.over), ("203.0.113.8:5060".parse().unwrap(), &over));
    let Ok(Message::Request(bye)) = parse(sent.bytes) else { panic!("no request") };
    let routes: Vec<_> = bye.headers.get_all(&HeaderName::Route).cloned().collect();
    assert_eq!(routes, ["<sip:203.0.113.8;lr>", "<sip:203.0.113.9;lr>"]);
    assert_eq!(bye.uri.to_string(), "sip:far@203.0.113.2:5080");
    assert_eq!(bye.headers.to().unwrap().tag().unwrap(), "far");
}

#[test]
fn the_bye_of_a_lost_leg_answers_a_challenge() {
    let mut lone = Lone::new();
    lone.end = Endpoint::new(telling(A), [7; 32]);
    lone.end.invite(lone.now, call(address(B))).unwrap();
    lone.wait(LIMIT);
    let invite = lone.sent_requests().remove(0);
    lone.answer(&invite, 200, "far", Some(ANSWER));
    let told = std::iter::from_fn(|| lone.end.poll_event()).filter_map(|event| snapshot_of(&event)?);
    let snapshot = told.last().unwrap();
    lone.end = Endpoint::new(telling(A), [8; 32]);
    let credentials = Credentials { username: "u".into(), password: "p".into() };
    lone.end.end_lost_leg(lone.now, snapshot, Some(credentials), crash()).unwrap();
    let bye = lone.sent_requests().remove(0);
    let challenge = "Digest realm=\"r\", nonce=\"n\", algorithm=MD5, qop=\"auth\"";
    lone.give(Response::to_request(&bye, 401, None).with(HeaderName::WwwAuthenticate, challenge).to_bytes());
    let again = lone.sent_requests().remove(0);
    assert!(again.headers.get(&HeaderName::Authorization).is_some());
    assert!(again.headers.cseq().unwrap().number > bye.headers.cseq().unwrap().number);
    lone.answer(&again, 200, "far", None);
    assert_eq!((lone.end.stats().legs, lone.names()), (0, vec!["snapshot".to_owned()]));
}

#[test]
fn what_is_no_snapshot_is_not_taken_for_one() {
    for text in ["", "udp", "udp 192.0.2.1:5060 t\r\n", "sctp 192.0.2.1:5060 t\r\nBYE sip:a@b SIP/2.0\r\n\r\n"] {
        assert_eq!(LegSnapshot::parse(&Bytes::from(text)), None, "{text}");
    }
}
