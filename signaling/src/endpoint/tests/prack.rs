//! Reliable provisional answers (RFC 3262), from both ends.

use super::*;
use crate::auth::Credentials;
use crate::message::{HeaderName, Method};

const EARLY: &str = "v=0\r\no=early\r\n";

fn early() -> Option<Bytes> {
    Some(Bytes::from_static(EARLY.as_bytes()))
}

fn field(request: &Request, name: &HeaderName) -> String {
    String::from_utf8_lossy(request.headers.get(name).map_or(&b"-"[..], |value| value)).into_owned()
}

/// RAck, To tag and target of each PRACK that was sent.
fn pracks(lone: &mut Lone) -> Vec<(String, String, String)> {
    let sent = lone.sent_requests().into_iter().filter(|request| request.method == Method::Prack);
    sent.map(|prack| {
        let tag = String::from_utf8_lossy(prack.headers.to().unwrap().tag().unwrap()).into_owned();
        (field(&prack, &HeaderName::RAck), tag, prack.uri.to_string())
    })
    .collect()
}

impl World {
    /// A call whose caller says this of reliable answers.
    fn call_reliably(&mut self, reliable: Reliable) -> LegId {
        self.ends[A].invite(self.now, Invite { reliable, ..call(address(B)) }).unwrap()
    }

    /// First lines of what a side sent for INVITE and PRACK, without repetitions.
    fn story(&self) -> Vec<(usize, String)> {
        let mut told: Vec<(usize, String)> = Vec::new();
        for (_, side, bytes) in &self.log {
            let Message::Response(response) = parse(bytes.clone()).unwrap() else { continue };
            let line = format!("{} {}", response.status, response.headers.cseq().unwrap().method);
            if response.status > 100 && !told.contains(&(*side, line.clone())) {
                told.push((*side, line));
            }
        }
        told
    }
}

#[test]
fn a_reliable_18x_is_acknowledged_whatever_we_said_of_it() {
    for (reliable, supported, required) in
        [(Reliable::Off, "-", "-"), (Reliable::Supported, "100rel", "-"), (Reliable::Required, "-", "100rel")]
    {
        let mut lone = Lone::new();
        lone.end.invite(lone.now, Invite { reliable, ..call(address(B)) }).unwrap();
        let invite = lone.sent_requests().remove(0);
        assert_eq!(invite.headers.lists(&HeaderName::Supported, "100rel"), supported == "100rel");
        assert_eq!(field(&invite, &HeaderName::Require), required);
        assert!(invite.headers.lists(&HeaderName::Allow, "PRACK"));
        lone.ring_reliably(&invite, "far", 7, Some(ANSWER));
        let prack = lone.sent_requests().remove(0);
        assert_eq!(prack.method, Method::Prack);
        assert_eq!(field(&prack, &HeaderName::RAck), "7 1 INVITE");
        assert_eq!(field(&prack, &HeaderName::CSeq), "2 PRACK");
        assert!(prack.body.is_empty());
        let Some(Event::Provisional { status: 183, sdp: Some(sdp), fork, .. }) = lone.end.poll_event() else {
            panic!("no early media")
        };
        assert_eq!((sdp.as_ref(), fork), (ANSWER.as_bytes(), Fork(Bytes::from_static(b"far"))));
        // What is answered for good is not answered again.
        lone.answer(&invite, 200, "far", Some("v=0\r\no=other\r\n"));
        assert!(matches!(lone.end.poll_event(), Some(Event::Answered { sdp: None, .. })));
        // The next request counts on from the PRACK.
        let ack = lone.sent_requests().remove(0);
        assert_eq!(field(&ack, &HeaderName::CSeq), "1 ACK");
    }
}

#[test]
fn each_early_dialog_counts_its_reliable_answers_by_itself() {
    let mut lone = Lone::new();
    lone.end.invite(lone.now, call(address(B))).unwrap();
    let invite = lone.sent_requests().remove(0);
    let told =
        |tag: &str, rseq: u32| (format!("{rseq} 1 INVITE"), tag.to_owned(), format!("sip:{tag}@203.0.113.2:5080"));
    // Who rings with which RSeq, and whether that is acknowledged.
    let rows = [
        ("one", 5, true),
        ("two", 100, true),
        ("one", 7, false),
        ("one", 5, false),
        ("one", 6, true),
        ("two", 101, true),
        ("one", 7, true),
        ("two", 1, false),
    ];
    for (tag, rseq, taken) in rows {
        lone.ring_reliably(&invite, tag, rseq, None);
        let expected = if taken { vec![told(tag, rseq)] } else { Vec::new() };
        assert_eq!(pracks(&mut lone), expected, "{tag} {rseq}");
        assert_eq!(lone.names().len(), usize::from(taken), "{tag} {rseq}");
    }
}

#[test]
fn a_reliable_18x_is_repeated_until_its_prack_comes() {
    let mut world = World::new(1);
    world.lose(A, "PRACK", "PRACK", 2);
    let start = world.now;
    world.call_reliably(Reliable::Supported);
    world.run(secs(5), |end, now, _, event| {
        if let Event::Incoming { leg, .. } = event {
            end.ring(now, *leg, 183, early()).unwrap();
        }
    });
    assert_eq!(world.sent_ms(start, B, "SIP/2.0 183"), [20, 520, 1520]);
    assert_eq!(world.sent_ms(start, A, "PRACK"), [40, 540, 1540]);
    assert_eq!(world.sent_ms(start, B, "SIP/2.0 200"), [1560]);
    assert_eq!(world.names(A), ["provisional 183"], "told once");
}

#[test]
fn without_a_prack_the_call_is_refused_after_64_t1() {
    let mut world = World::new(2);
    world.lose(A, "PRACK", "PRACK", 1000);
    let start = world.now;
    world.call_reliably(Reliable::Required);
    world.run(secs(33), |end, now, _, event| {
        if let Event::Incoming { leg, .. } = event {
            end.ring(now, *leg, 180, None).unwrap();
        }
    });
    assert_eq!(world.sent_ms(start, B, "SIP/2.0 180"), [20, 520, 1520, 3520, 7520, 15520, 31520]);
    assert_eq!(world.sent_ms(start, B, "SIP/2.0 504")[0], 32_020);
    assert_eq!(world.names(A), ["provisional 180", "rejected 504"]);
    assert_eq!(world.names(B), ["incoming", "cancelled SIP;cause=504;text=\"No PRACK\""]);
    world.rest(secs(80));
    world.assert_empty();
}

#[test]
fn the_2xx_waits_for_the_prack_of_its_answer() {
    let mut world = World::new(3);
    world.lose(A, "PRACK", "PRACK", 1);
    let start = world.now;
    let leg = world.call_reliably(Reliable::Supported);
    world.run(secs(5), |end, now, _, event| {
        if let Event::Incoming { leg, .. } = event {
            end.ring(now, *leg, 183, early()).unwrap();
            end.accept(now, *leg, answer()).unwrap();
        }
    });
    assert_eq!(world.sent_ms(start, A, "PRACK"), [40, 540]);
    assert_eq!(world.story(), [(B, "183 INVITE".into()), (B, "200 PRACK".into()), (B, "200 INVITE".into())]);
    assert!(matches!(&world.events[A][..], [
        Event::Provisional { sdp: Some(sdp), .. },
        Event::Answered { sdp: None, .. },
    ] if sdp == EARLY));
    assert_eq!(world.names(B), ["incoming", "confirmed"]);
    world.ends[A].hangup(world.now, leg, None).unwrap();
    world.rest(secs(40));
    world.assert_empty();
}

#[test]
fn provisional_answers_go_one_after_the_other() {
    let mut world = World::new(4);
    world.call_reliably(Reliable::Required);
    world.run(secs(5), |end, now, _, event| {
        if let Event::Incoming { leg, .. } = event {
            end.ring(now, *leg, 180, None).unwrap();
            end.ring(now, *leg, 182, None).unwrap();
            end.ring(now, *leg, 183, early()).unwrap();
        }
    });
    assert_eq!(world.names(A), ["provisional 180", "provisional 182", "provisional 183"]);
    let rseqs: Vec<u32> = world
        .log
        .iter()
        .filter_map(|(_, _, bytes)| match parse(bytes.clone()).unwrap() {
            Message::Response(response) => response.headers.rseq(),
            Message::Request(_) => None,
        })
        .collect();
    assert_eq!(rseqs, [rseqs[0], rseqs[0] + 1, rseqs[0] + 2]);
    assert!((1..1 << 31).contains(&rseqs[0]));
}

#[test]
fn a_caller_that_takes_none_is_rung_as_ever() {
    let mut world = World::new(5);
    world.call_reliably(Reliable::Off);
    world.run(secs(5), |end, now, _, event| {
        if let Event::Incoming { leg, .. } = event {
            end.ring(now, *leg, 183, early()).unwrap();
        }
    });
    assert!(matches!(&world.events[A][..], [Event::Provisional { sdp: Some(_), .. }]));
    assert!(world.log.iter().all(|(_, _, bytes)| !String::from_utf8_lossy(bytes).contains("RSeq")));
}

#[test]
fn a_prack_is_sent_again_with_credentials() {
    let mut lone = Lone::new();
    let credentials = Some(Credentials { username: "u".into(), password: "p".into() });
    lone.end.invite(lone.now, Invite { credentials, ..call(address(B)) }).unwrap();
    let invite = lone.sent_requests().remove(0);
    lone.ring_reliably(&invite, "far", 1, None);
    let prack = lone.sent_requests().remove(0);
    let challenge = Response::to_request(&prack, 407, None)
        .with(HeaderName::ProxyAuthenticate, "Digest realm=\"r\", nonce=\"n\", algorithm=MD5, qop=\"auth\"");
    lone.give(challenge.to_bytes());
    let again = lone.sent_requests().remove(0);
    assert_eq!(field(&again, &HeaderName::RAck), "1 1 INVITE");
    assert_eq!(field(&again, &HeaderName::CSeq), "3 PRACK");
    assert!(again.headers.get(&HeaderName::ProxyAuthorization).is_some());
    let refusal = Response::to_request(&again, 403, None);
    lone.give(refusal.to_bytes());
    assert!(lone.sent().is_empty());
    assert_eq!(lone.names(), ["provisional 183"], "the call goes on");
}

#[test]
fn a_prack_that_names_nothing_is_refused() {
    let mut world = World::new(6);
    world.lose(A, "PRACK", "PRACK", 1000);
    world.call_reliably(Reliable::Supported);
    world.run(ms(100), |end, now, _, event| {
        if let Event::Incoming { leg, .. } = event {
            end.ring(now, *leg, 183, early()).unwrap();
        }
    });
    let prack = world.log.iter().find(|(_, _, bytes)| bytes.starts_with(b"PRACK")).unwrap().2.clone();
    let text = String::from_utf8(prack.to_vec()).unwrap();
    let rack = text.lines().find(|line| line.starts_with("RAck")).unwrap().to_owned();
    for (n, wrong) in ["RAck: 1 1 INVITE", "RAck: 0 99 INVITE", "RAck: x", "X-Rack: 1"].into_iter().enumerate() {
        let text = text.replace(&rack, wrong).replace("branch=", &format!("branch=z9hG4bK{n}"));
        world.ends[B].handle_datagram(world.now, address(A), text.into());
        let answered = world.ends[B].poll_transmit().unwrap().bytes;
        assert!(answered.starts_with(b"SIP/2.0 481"), "{wrong}");
    }
}

#[test]
fn an_offer_in_a_prack_is_answered_in_its_200() {
    let mut world = World::new(7);
    world.lose(A, "PRACK", "PRACK", 1000);
    world.call_reliably(Reliable::Supported);
    world.run(ms(100), |end, now, _, event| {
        if let Event::Incoming { leg, .. } = event {
            end.ring(now, *leg, 183, early()).unwrap();
            end.accept(now, *leg, answer()).unwrap();
        }
    });
    let prack = world.log.iter().find(|(_, _, bytes)| bytes.starts_with(b"PRACK")).unwrap().2.clone();
    let Message::Request(prack) = parse(prack).unwrap() else { panic!("a request") };
    let prack = prack.with_body("application/sdp", Bytes::from_static(b"v=0\r\no=more\r\n"));
    world.ends[B].handle_datagram(world.now, address(A), prack.to_bytes());
    assert!(world.ends[B].poll_transmit().is_none(), "it waits for the answer, and the 2xx too");
    let Some(Event::Offer { leg, sdp, .. }) = world.ends[B].poll_event() else { panic!("no offer") };
    assert_eq!(sdp.unwrap(), "v=0\r\no=more\r\n");
    world.ends[B].answer_offer(world.now, leg, Ok(Bytes::from_static(b"v=0\r\no=agreed\r\n"))).unwrap();
    let sent: Vec<_> = std::iter::from_fn(|| world.ends[B].poll_transmit())
        .map(|transmit| match parse(transmit.bytes).unwrap() {
            Message::Response(response) => {
                (response.status, response.headers.cseq().unwrap().method, response.body.to_vec())
            }
            Message::Request(_) => panic!("no request"),
        })
        .collect();
    assert_eq!(sent, [(200, Method::Prack, b"v=0\r\no=agreed\r\n".to_vec()), (200, Method::Invite, Vec::new()),]);
}
