//! Who may call: known addresses, those who know a password, and strangers, of whom nothing stays.

use super::*;
use crate::admission::{Admission, AdmissionStats, Door, Network, Strangers};
use crate::auth::{Credentials, DigestClient};
use crate::message::{HeaderName, Method};

const OTHER: &str = "192.0.2.99:5060";

fn door(name: &str, source: &str, calls: bool, password: Option<&str>) -> Door {
    Door {
        name: name.into(),
        sources: Network::parse(source).into_iter().collect(),
        calls,
        credentials: password.map(|password| Credentials { username: name.into(), password: password.into() }),
    }
}

fn guarded(strangers: Strangers, doors: Vec<Door>) -> Lone {
    let mut lone = Lone::new();
    lone.end.guard(Admission { doors, realm: "gateway.example".into(), strangers });
    lone
}

fn invite(from: &str, count: usize) -> Request {
    let text = format!(
        "INVITE sip:ann@{a} SIP/2.0\r\nVia: SIP/2.0/UDP {from};rport;branch=z9hG4bK{count}\r\nMax-Forwards: 70\r\n\
         From: <sip:x@{from}>;tag=x\r\nTo: <sip:ann@{a}>\r\nCall-ID: call{count}\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:x@{from}>\r\nUser-Agent: A telephone with quite a name\r\nContent-Type: application/sdp\r\n\
         Content-Length: 250\r\n\r\n{body:<250}",
        a = address(A),
        body = OFFER
    );
    let Ok(Message::Request(request)) = parse(Bytes::from(text)) else { panic!("an INVITE") };
    request
}

impl Lone {
    /// Statuses of the answers to what comes from an address.
    fn ask(&mut self, from: &str, bytes: Bytes) -> Vec<Response> {
        self.end.handle_datagram(self.now, from.parse().unwrap(), bytes);
        self.sent_responses()
    }

    fn admission(&self) -> AdmissionStats {
        self.end.stats().admission
    }

    fn assert_keeps_nothing(&self) {
        let stats = self.end.stats();
        assert_eq!((stats.legs, stats.transactions), (0, 0));
        assert_eq!(self.end.poll_timeout(), None);
    }
}

/// The same INVITE with the answer to a challenge.
fn proved(response: &Response, request: &Request, client: &mut DigestClient, count: usize) -> Request {
    client.handle_challenge(&response.headers, false).unwrap();
    again(request, client, count)
}

fn again(request: &Request, client: &mut DigestClient, count: usize) -> Request {
    let mut request = request.clone();
    let via = request.headers.get(&HeaderName::Via).unwrap().clone();
    let via = String::from_utf8_lossy(&via).replace("z9hG4bK", &format!("z9hG4bKagain{count}"));
    request.headers.set(HeaderName::Via, via);
    request.headers.set(HeaderName::CSeq, format!("{} INVITE", count + 1));
    let (uri, body) = (request.uri.to_string(), request.body.clone());
    client.authorize(&Method::Invite, &uri, &body, &mut request.headers);
    request
}

fn client(username: &str, password: &str) -> DigestClient {
    DigestClient::new(Credentials { username: username.into(), password: password.into() }, 1)
}

#[test]
fn a_call_comes_in_by_the_door_whose_address_it_has() {
    let far = address(B).to_string();
    for (doors, door_name, status) in [
        (vec![door("acme", "203.0.113.0/24", true, None)], "acme", 100),
        (vec![door("other", "192.0.2.1", true, None), door("acme", "203.0.113.2", true, None)], "acme", 100),
        (vec![door("acme", "203.0.113.2", false, None)], "", 403),
        (vec![door("out", "203.0.113.2", false, None), door("in", "203.0.113.2", true, None)], "in", 100),
        (vec![door("acme", "192.0.2.0/24", true, None)], "", 403),
        (vec![], "", 403),
    ] {
        let mut lone = guarded(Strangers::Refuse, doors);
        let answers = lone.ask(&far, invite(&far, 1).to_bytes());
        assert_eq!(answers[0].status, status);
        match lone.end.poll_event() {
            Some(Event::Incoming { door, peer, .. }) => {
                assert_eq!((door.as_str(), peer), (door_name, address(B)));
                assert_eq!(lone.admission().known, 1);
            }
            other => {
                assert!(status == 403 && other.is_none(), "{other:?}");
                lone.assert_keeps_nothing();
            }
        }
    }
}

#[test]
fn silence_means_that_strangers_hear_nothing_whatever_they_send() {
    let mut lone = guarded(Strangers::Silent, vec![door("acme", "203.0.113.2", true, None)]);
    let whole = String::from_utf8(invite(OTHER, 1).to_bytes().to_vec()).unwrap();
    for text in [
        whole.clone(),
        whole.replace("INVITE", "OPTIONS"),
        whole.replace("INVITE", "REGISTER"),
        whole.replace("INVITE", "CANCEL"),
        whole.replace("INVITE", "BYE").replace(">\r\nCall-ID", ">;tag=t\r\nCall-ID"),
        whole.replace("INVITE sip:", "INVITE  sip:"),
        whole.replace("Max-Forwards: 70", "Require: x"),
    ] {
        assert_eq!(lone.ask(OTHER, text.clone().into()), [], "{text}");
        lone.assert_keeps_nothing();
    }
    assert_eq!(lone.admission().silenced, 7);
    let options = lone.ask(&address(B).to_string(), whole.replace("INVITE", "OPTIONS").into());
    assert_eq!(options[0].status, 200, "a peer is answered");
}

#[test]
fn a_flood_of_strangers_leaves_no_state_and_gets_few_answers() {
    for (strangers, most) in [(Strangers::Refuse, 40), (Strangers::Silent, 0)] {
        let mut lone = guarded(strangers, vec![door("acme", "203.0.113.2", true, None)]);
        let mut answers = 0;
        for count in 0..10_000 {
            answers += lone.ask(OTHER, invite(OTHER, count).to_bytes()).len();
        }
        assert_eq!(answers, most);
        lone.assert_keeps_nothing();
        assert!(lone.end.poll_event().is_none());
        let stats = lone.admission();
        assert_eq!((stats.answered, stats.silenced), (most as u64, 10_000 - most as u64));
        let peer = address(B).to_string();
        assert_eq!(lone.ask(&peer, invite(&peer, 1).to_bytes())[0].status, 100, "peers are heard all the same");
    }
}

#[test]
fn whoever_knows_the_password_may_call_from_anywhere() {
    let mut lone = guarded(Strangers::Silent, vec![door("acme", "203.0.113.2", true, Some("secret"))]);
    let request = invite(OTHER, 1);
    let challenged = lone.ask(OTHER, request.to_bytes());
    assert_eq!(challenged[0].status, 401);
    assert!(challenged[0].to_bytes().len() <= request.to_bytes().len(), "no amplification");
    let algorithms: Vec<_> = challenged[0].headers.get_all(&HeaderName::WwwAuthenticate).collect();
    assert!(algorithms[0].windows(7).any(|w| w == b"SHA-256"), "most wanted first (RFC 8760)");
    assert!(algorithms[1].windows(3).any(|w| w == b"MD5"));
    lone.assert_keeps_nothing();

    let mut knows = client("acme", "secret");
    let answers = lone.ask(OTHER, proved(&challenged[0], &request, &mut knows, 1).to_bytes());
    assert_eq!(answers[0].status, 100);
    let Some(Event::Incoming { leg, door, .. }) = lone.end.poll_event() else { panic!("no call") };
    assert_eq!((door.as_str(), lone.admission().proved), ("acme", 1));
    lone.end.reject(lone.now, leg, 486).unwrap();
    assert_eq!(lone.sent_responses()[0].status, 486, "it has a right to answers");

    // An old telephone does MD5 alone.
    let mut md5 = challenged[0].clone();
    let fields: Vec<_> = md5.headers.get_all(&HeaderName::WwwAuthenticate).cloned().collect();
    md5.headers.set(HeaderName::WwwAuthenticate, fields[1].clone());
    let mut old = client("acme", "secret");
    // The count of this nonce was used.
    let stale = lone.ask(OTHER, proved(&md5, &request, &mut old, 2).to_bytes());
    assert_eq!(stale[0].status, 401);
    let value = stale[0].headers.get_all(&HeaderName::WwwAuthenticate).nth(1).unwrap().clone();
    assert!(value.windows(10).any(|w| w == b"stale=true"));
    md5.headers.set(HeaderName::WwwAuthenticate, value);
    assert_eq!(lone.ask(OTHER, proved(&md5, &request, &mut old, 3).to_bytes())[0].status, 100);
}

#[test]
fn a_recorded_answer_is_good_for_nothing() {
    let mut lone = guarded(Strangers::Refuse, vec![door("acme", "203.0.113.2", true, Some("secret"))]);
    let request = invite(OTHER, 1);
    let challenged = lone.ask(OTHER, request.to_bytes()).remove(0);
    let mut knows = client("acme", "secret");
    let good = proved(&challenged, &request, &mut knows, 1);
    assert_eq!(lone.ask(OTHER, good.to_bytes())[0].status, 100);
    // The same again is the same INVITE; under another branch it is another, with a count that was used.
    assert_eq!(lone.ask(OTHER, good.to_bytes())[0].status, 100);
    let text = String::from_utf8(good.to_bytes().to_vec()).unwrap();
    let replayed = text.replace("z9hG4bKagain", "z9hG4bKreplay").replace("Call-ID: call", "Call-ID: other");
    assert_eq!(lone.ask(OTHER, replayed.clone().into())[0].status, 401);
    assert_eq!(lone.ask("192.0.2.98:5060", replayed.into())[0].status, 401, "nor from elsewhere");
    // The owner goes on with the next count.
    assert_eq!(lone.ask(OTHER, again(&request, &mut knows, 2).to_bytes())[0].status, 100);
    // An hour later the nonce is stale.
    lone.wait(secs(3_600));
    lone.sent();
    let late = again(&request, &mut knows, 3);
    let stale = lone.ask(OTHER, late.to_bytes()).remove(0);
    assert_eq!(stale.status, 401);
    assert_eq!(lone.ask(OTHER, proved(&stale, &request, &mut knows, 4).to_bytes())[0].status, 100);
}

#[test]
fn unknown_users_and_wrong_passwords_look_alike() {
    for strangers in [Strangers::Refuse, Strangers::Silent] {
        let mut seen = Vec::new();
        for (username, password) in [("acme", "wrong"), ("nobody", "secret"), ("", ""), ("nobody", "")] {
            let mut lone = guarded(strangers, vec![door("acme", "203.0.113.2", true, Some("secret"))]);
            let request = invite(OTHER, 1);
            let challenged = lone.ask(OTHER, request.to_bytes()).remove(0);
            let wrong = proved(&challenged, &request, &mut client(username, password), 1);
            let answers: Vec<_> = lone.ask(OTHER, wrong.to_bytes()).iter().map(Response::to_bytes).collect();
            lone.assert_keeps_nothing();
            assert_eq!(lone.admission().wrong, 1);
            seen.push(answers);
        }
        assert!(seen.iter().all(|answers| *answers == seen[0]), "{seen:?}");
        assert_eq!(seen[0].len(), usize::from(strangers == Strangers::Refuse));
    }
}

#[test]
fn who_guesses_is_not_heard_after_twenty_tries() {
    let mut lone = guarded(Strangers::Silent, vec![door("acme", "203.0.113.2", true, Some("secret"))]);
    let request = invite(OTHER, 1);
    let mut tries = 0;
    for count in 0..1_000 {
        let Some(challenged) = lone.ask(OTHER, request.to_bytes()).pop() else { break };
        let wrong = proved(&challenged, &request, &mut client("acme", &format!("guess {count}")), count);
        assert_eq!(lone.ask(OTHER, wrong.to_bytes()), []);
        lone.wait(ms(100));
        tries += 1;
    }
    assert_eq!((tries, lone.admission().wrong), (20, 20));
    lone.assert_keeps_nothing();
}

#[test]
fn an_answered_call_is_kept_for_its_end_before_the_peer_hears_of_it() {
    let mut lone = Lone::new();
    lone.end = Endpoint::new(EndpointConfig { snapshots: Some(ms(100)), ..config(A) }, [5; 32]);
    lone.end.guard(Admission { doors: vec![door("acme", "203.0.113.2", true, None)], ..Admission::default() });
    lone.give(invite(&address(B).to_string(), 1).to_bytes());
    let Some(Event::Incoming { leg, .. }) = lone.end.poll_event() else { panic!("no call") };
    lone.sent();
    lone.end.accept(lone.now, leg, answer()).unwrap();
    let Some(Event::Snapshot { serial, snapshot: Some(snapshot), .. }) = lone.end.poll_event() else { panic!() };
    assert_eq!(lone.sent(), [], "not before it is kept");
    lone.end.snapshot_kept(leg, serial);
    assert_eq!(lone.sent_responses()[0].status, 200);
    // The process goes away; the next one ends the call.
    let snapshot = LegSnapshot::parse(&snapshot.to_bytes()).unwrap();
    assert_eq!(snapshot.label, "acme");
    lone.end = Endpoint::new(config(A), [6; 32]);
    let reason = Reason { protocol: "SIP".into(), cause: 503, text: None };
    lone.end.end_lost_leg(lone.now, snapshot, None, reason).unwrap();
    let bye = lone.sent_requests().remove(0);
    assert_eq!((bye.method, bye.headers.call_id().unwrap().as_ref()), (Method::Bye, b"call1".as_ref()));
    assert_eq!(bye.headers.to().unwrap().tag().unwrap().as_ref(), b"x");
}

/// Behind one name there are often several machines: any of them may speak for a call, and nobody else's.
#[test]
fn a_call_belongs_to_every_machine_of_its_trunk() {
    let doors = || vec![door("trunk a", "192.0.2.0/24", false, None), door("trunk b", "198.51.100.64/26", true, None)];
    let ways = [("198.51.100.77:5060", 481, ""), ("203.0.113.77:5060", 481, ""), (OTHER, 200, "ended")];
    for (from, status, end) in ways {
        let mut lone = guarded(Strangers::Refuse, doors());
        let (_, invite) = lone.answered_call();
        let answers = lone.ask(from, Lone::in_dialog(&invite, "BYE", 1, "", "").into());
        assert_eq!((answers[0].status, lone.names().join(",").as_str()), (status, end), "{from}");
    }
    // The same for a call of theirs: the ACK, and what follows it.
    let mut lone = guarded(Strangers::Refuse, doors());
    let (first, second) = ("198.51.100.70:5060", "198.51.100.71:5060");
    lone.ask(first, invite(first, 1).to_bytes());
    let Some(Event::Incoming { leg, .. }) = lone.end.poll_event() else { panic!("a call") };
    lone.end.accept(lone.now, leg, answer()).unwrap();
    let ok = lone.sent_responses().pop().unwrap();
    let within = |method: &str, number: u32| {
        let text = String::from_utf8(invite(second, number as usize + 1).to_bytes().to_vec()).unwrap();
        let (head, _) = text.split_once("Content-Type").unwrap();
        let to = String::from_utf8_lossy(ok.headers.get(&HeaderName::To).unwrap()).into_owned();
        let head = head.replace("INVITE", method).replace("CSeq: 1", &format!("CSeq: {number}"));
        let head = head.replace(&format!("To: <sip:ann@{}>", address(A)), &format!("To: {to}"));
        let head = head.replace(&format!("<sip:x@{second}>;tag"), &format!("<sip:x@{first}>;tag"));
        head.replace(&format!("call{}", number + 1), "call1") + "Content-Length: 0\r\n\r\n"
    };
    assert_eq!(lone.ask(second, within("ACK", 1).into()), []);
    assert_eq!(lone.names(), ["confirmed"]);
    assert_eq!(lone.ask(second, within("BYE", 2).into())[0].status, 200);
    assert_eq!(lone.names(), ["ended"]);
}
