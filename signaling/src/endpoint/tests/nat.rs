//! Behind a NAT that nobody told us of (RFC 3581).

use super::*;
use crate::message::{HeaderName, Method};

impl Lone {
    fn behind_nat() -> Self {
        let mut lone = Self::new();
        lone.end.follow_observed();
        lone
    }

    /// Answers a request as the peer that has seen it come from there.
    fn answer_seen(&mut self, request: &Request, status: u16, seen: &str) {
        let mut seen_there = request.clone();
        let mut via = seen_there.headers.top_via().unwrap();
        via.mark_source(seen.parse().unwrap());
        seen_there.headers.set_top_via(&via);
        let sdp = (request.method == Method::Invite && status == 200).then_some(ANSWER);
        self.answer(&seen_there, status, "far", sdp);
    }

    fn request(&mut self, method: &Method) -> Request {
        let found = self.sent_requests().into_iter().find(|request| request.method == *method);
        found.unwrap_or_else(|| panic!("no {method}"))
    }
}

fn contact(headers: &crate::message::Headers) -> String {
    String::from_utf8_lossy(headers.get(&HeaderName::Contact).unwrap()).into_owned()
}

const OWN: &str = "<sip:trunkline@198.51.100.1:5060>";
const OUTSIDE: &str = "<sip:trunkline@192.0.2.7:40000>";
const MOVED: &str = "<sip:trunkline@192.0.2.7:40001>";

#[test]
fn a_peer_is_told_the_address_it_sees_and_each_new_one() {
    let mut lone = Lone::behind_nat();
    let uri = Uri::parse(&Bytes::from_static(b"sip:203.0.113.2:5080")).unwrap();
    lone.end.ping(lone.now, Ping { target: address(B), over: Transport::Udp, uri }).unwrap();
    let options = lone.request(&Method::Options);
    assert_eq!(contact(&options.headers), OWN);
    lone.answer_seen(&options, 200, "192.0.2.7:40000");
    assert_eq!(lone.end.stats().moved, 1);
    // The call begins with what OPTIONS has brought to light; Via stays what we are.
    let invite = Invite { session_expires: 1800, ..call(address(B)) };
    let leg = lone.end.invite(lone.now, invite).unwrap();
    let invite = lone.request(&Method::Invite);
    assert_eq!(contact(&invite.headers), OUTSIDE);
    assert!(invite.headers.get(&HeaderName::Via).unwrap().starts_with(b"SIP/2.0/UDP 198.51.100.1:5060;rport;"));
    // The answer is heard all the same, and comes from a NAT that has moved: what is asked for next says so.
    lone.answer_seen(&invite, 200, "192.0.2.7:40001");
    assert_eq!(lone.names(), ["pinged 200 0", "answered"]);
    lone.sent();
    lone.end.reinvite(lone.now, leg, Bytes::from_static(OFFER.as_bytes())).unwrap();
    let again = lone.request(&Method::Invite);
    assert_eq!(contact(&again.headers), MOVED);
    lone.answer_seen(&again, 200, "192.0.2.7:40001");
    // And so do answers to the peer's own requests.
    lone.sent();
    lone.give(Lone::in_dialog(&invite, "INVITE", 1, "Content-Type: application/sdp\r\n", OFFER));
    lone.end.answer_offer(lone.now, leg, Ok(answer())).unwrap();
    let ok = lone.sent_responses().into_iter().find(|response| response.status == 200).unwrap();
    assert_eq!(contact(&ok.headers), MOVED);
    assert_eq!(lone.end.stats().moved, 2);
    assert_eq!(lone.end.reached_at(&Transport::Udp, address(B)).to_string(), "192.0.2.7:40001");
    // Another peer has not said what it sees, and no connection is reached there.
    assert_eq!(lone.end.reached_at(&Transport::Udp, "203.0.113.9:5060".parse().unwrap()), address(A));
    assert_eq!(lone.end.reached_at(&Transport::Tcp, address(B)), address(A));
}

#[test]
fn a_challenge_already_shows_where_we_are_seen() {
    let mut lone = Lone::behind_nat();
    let credentials = Some(Credentials { username: "a".into(), password: "b".into() });
    lone.end.invite(lone.now, Invite { credentials, ..call(address(B)) }).unwrap();
    let invite = lone.request(&Method::Invite);
    assert_eq!(contact(&invite.headers), OWN);
    let mut seen_there = invite.clone();
    let mut via = seen_there.headers.top_via().unwrap();
    via.mark_source("192.0.2.7:40000".parse().unwrap());
    seen_there.headers.set_top_via(&via);
    let mut challenge = Response::to_request(&seen_there, 401, Some("far"));
    challenge.headers.push(HeaderName::WwwAuthenticate, "Digest realm=\"r\", nonce=\"n\"");
    lone.give(challenge.to_bytes());
    assert_eq!(contact(&lone.request(&Method::Invite).headers), OUTSIDE);
}

#[test]
fn what_peers_see_changes_nothing_where_it_says_nothing_new_or_is_not_asked_for() {
    // What comes back in the Via, and whether it is to be followed.
    let rows = [
        ("the same address", ";rport=5060;received=198.51.100.1", true),
        ("no port", ";rport;received=192.0.2.7", true),
        ("no port that could be one", ";rport=0;received=192.0.2.7", true),
        ("our address is configured", ";rport=40000;received=192.0.2.7", false),
    ];
    for (what, marks, is_followed) in rows {
        let mut lone = if is_followed { Lone::behind_nat() } else { Lone::new() };
        lone.end.invite(lone.now, call(address(B))).unwrap();
        let invite = lone.request(&Method::Invite);
        let ringing = Response::to_request(&invite, 180, Some("far")).to_bytes();
        let ringing = String::from_utf8_lossy(&ringing).replacen(";rport", marks, 1);
        lone.give(ringing);
        assert_eq!(lone.names(), ["provisional 180"], "{what}");
        lone.end.invite(lone.now, call(address(B))).unwrap();
        assert_eq!(contact(&lone.request(&Method::Invite).headers), OWN, "{what}");
        assert_eq!(lone.end.stats().moved, 0, "{what}");
    }
}
