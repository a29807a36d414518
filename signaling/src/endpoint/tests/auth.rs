//! Challenges of INVITE, re-INVITE and BYE.

use super::*;
use crate::auth::Credentials;
use crate::message::{HeaderName, Method};

fn lone_call() -> (Lone, LegId, Request) {
    let mut lone = Lone::new();
    let mut invite = call(address(B));
    invite.credentials = Some(Credentials { username: "u".into(), password: "p".into() });
    let leg = lone.end.invite(lone.now, invite).unwrap();
    let request = lone.sent_requests().remove(0);
    (lone, leg, request)
}

fn challenge(lone: &mut Lone, request: &Request, status: u16, nonce: &str) {
    let name = if status == 407 { HeaderName::ProxyAuthenticate } else { HeaderName::WwwAuthenticate };
    let value = format!("Digest realm=\"r{status}\", nonce=\"{nonce}\", algorithm=MD5, qop=\"auth\"");
    lone.give(Response::to_request(request, status, Some("challenger")).with(name, value).to_bytes());
}

fn sent_invite(lone: &mut Lone) -> Request {
    let mut sent = lone.sent_requests();
    assert_eq!(sent.remove(0).method, Method::Ack);
    sent.remove(0)
}

#[test]
fn proxy_and_server_are_satisfied_one_after_the_other() {
    let (mut lone, leg, first) = lone_call();
    challenge(&mut lone, &first, 407, "n1");
    let second = sent_invite(&mut lone);
    challenge(&mut lone, &second, 401, "n2");
    let third = sent_invite(&mut lone);
    for (request, cseq, proxy, server) in [(&first, 1, 0, 0), (&second, 2, 1, 0), (&third, 3, 1, 1)] {
        let headers = &request.headers;
        assert_eq!(headers.cseq().unwrap().number, cseq);
        assert_eq!(headers.call_id().unwrap(), first.headers.call_id().unwrap());
        assert_eq!(headers.from().unwrap().tag(), first.headers.from().unwrap().tag());
        assert_eq!(headers.to().unwrap().tag(), None);
        assert_eq!(headers.get_all(&HeaderName::ProxyAuthorization).count(), proxy);
        assert_eq!(headers.get_all(&HeaderName::Authorization).count(), server);
    }
    assert!(lone.names().is_empty());
    lone.answer(&third, 200, "far", Some(ANSWER));
    assert_eq!(lone.names(), ["answered"]);
    let ack = lone.sent_requests().remove(0);
    for name in [HeaderName::ProxyAuthorization, HeaderName::Authorization] {
        assert_eq!(ack.headers.get(&name), third.headers.get(&name), "the ACK has the INVITE's credentials");
    }
    // Requests in the dialog may be challenged as well.
    lone.end.hangup(lone.now, leg, None).unwrap();
    let bye = lone.sent_requests().remove(0);
    challenge(&mut lone, &bye, 401, "n3");
    let again = lone.sent_requests().remove(0);
    assert_eq!(again.method, Method::Bye);
    assert!(again.headers.get(&HeaderName::Authorization).is_some_and(|value| value.windows(2).any(|w| w == b"n3")));
    lone.answer(&again, 200, "far", None);
    assert_eq!(lone.end.stats().legs, 0);
}

#[test]
fn refused_credentials_fail_the_call() {
    let (mut lone, _, first) = lone_call();
    challenge(&mut lone, &first, 401, "n1");
    let second = sent_invite(&mut lone);
    challenge(&mut lone, &second, 401, "n1");
    assert_eq!(lone.names(), ["failed AuthenticationFailed { status: 401 }"]);
}

#[test]
fn without_credentials_there_is_nothing_to_try() {
    let mut lone = Lone::new();
    lone.end.invite(lone.now, call(address(B))).unwrap();
    let invite = lone.sent_requests().remove(0);
    challenge(&mut lone, &invite, 407, "n1");
    assert_eq!(lone.names(), ["failed AuthenticationFailed { status: 407 }"]);
    assert_eq!(lone.sent_requests().len(), 1, "nothing but the ACK");
}

#[test]
fn endless_challenges_come_to_an_end() {
    let (mut lone, _, mut invite) = lone_call();
    for round in 0..20 {
        challenge(&mut lone, &invite, if round % 2 == 0 { 401 } else { 407 }, &format!("n{round}"));
        if !lone.names().is_empty() {
            return;
        }
        invite = sent_invite(&mut lone);
    }
    panic!("it goes on for ever");
}

#[test]
fn credentials_do_not_follow_a_contact_elsewhere() {
    let (mut lone, leg, first) = lone_call();
    challenge(&mut lone, &first, 401, "n1");
    let second = sent_invite(&mut lone);
    let response = Response::to_request(&second, 200, Some("far"));
    lone.give(response.with(HeaderName::Contact, "<sip:thief@192.0.2.66>").to_bytes());
    lone.end.reinvite(lone.now, leg, answer()).unwrap();
    let sent = lone.sent_requests();
    challenge(&mut lone, &sent[1], 401, "n2");
    lone.end.hangup(lone.now, leg, None).unwrap();
    let later = lone.sent_requests();
    for request in sent.iter().chain(&later) {
        assert!(request.headers.get(&HeaderName::Authorization).is_none(), "{} to a stranger", request.method);
    }
}
