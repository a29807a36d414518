//! One INVITE, many answers (RFC 3261 section 13.2.2.4).

use super::*;
use crate::message::{HeaderName, Method};

fn methods(requests: &[Request]) -> Vec<Method> {
    requests.iter().map(|request| request.method.clone()).collect()
}

#[test]
fn first_answer_wins_and_the_others_are_hung_up() {
    let mut lone = Lone::new();
    lone.end.invite(lone.now, call(address(B))).unwrap();
    let invite = lone.sent_requests().remove(0);
    lone.answer(&invite, 180, "one", None);
    lone.answer(&invite, 183, "two", Some(ANSWER));
    lone.answer(&invite, 200, "two", Some(ANSWER));
    assert_eq!(lone.names(), ["provisional 180", "provisional 183", "answered"]);
    let sent = lone.sent_requests();
    assert_eq!(methods(&sent), [Method::Ack]);
    assert_eq!(sent[0].uri.to_string(), "sip:two@203.0.113.2:5080");

    lone.answer(&invite, 200, "one", Some(ANSWER));
    let sent = lone.sent_requests();
    assert_eq!(methods(&sent), [Method::Ack, Method::Bye]);
    for request in &sent {
        assert_eq!(request.headers.to().unwrap().tag().unwrap(), "one");
    }
    assert_eq!(sent[1].headers.cseq().unwrap().number, 2);
    // Both come again: both are acknowledged again, with the very same ACK.
    for tag in ["one", "two"] {
        lone.answer(&invite, 200, tag, Some(ANSWER));
        let again = lone.sent_requests();
        assert_eq!(methods(&again), [Method::Ack]);
        assert_eq!(again[0].headers.to().unwrap().tag().unwrap(), tag);
    }
    assert!(lone.names().is_empty());
    lone.wait(secs(65));
    assert_eq!((lone.end.stats().legs, lone.end.stats().transactions), (1, 0));
}

#[test]
fn storm_of_forks_is_bounded() {
    let mut lone = Lone::new();
    lone.end.invite(lone.now, call(address(B))).unwrap();
    let invite = lone.sent_requests().remove(0);
    for fork in 0..500 {
        lone.answer(&invite, 180, &format!("f{fork}"), None);
    }
    for fork in 0..500 {
        lone.answer(&invite, 200, &format!("f{fork}"), None);
    }
    assert!(lone.end.stats().transactions < 20);
    lone.wait(secs(65));
    assert_eq!(lone.end.stats().transactions, 0);
}

#[test]
fn requests_follow_the_recorded_route() {
    let check = |routes: &str, expected_uri: &str, expected_routes: &[&str], expected_hop: &str| {
        let mut lone = Lone::new();
        let leg = lone.end.invite(lone.now, call(address(B))).unwrap();
        let invite = lone.sent_requests().remove(0);
        let mut response = Response::to_request(&invite, 200, Some("far"));
        response.headers.push(HeaderName::Contact, "<sip:far@203.0.113.77:5099;transport=udp?Subject=x>");
        response.headers.push(HeaderName::RecordRoute, routes.to_owned());
        lone.give(response.to_bytes());
        lone.end.hangup(lone.now, leg, None).unwrap();
        let mut count = 0;
        while let Some(transmit) = lone.end.poll_transmit() {
            let Message::Request(request) = parse(transmit.bytes).unwrap() else { panic!("a request") };
            assert_eq!(request.uri.to_string(), expected_uri);
            let routes: Vec<_> = request.headers.list(&HeaderName::Route).collect();
            assert_eq!(routes, expected_routes);
            assert_eq!(transmit.to.to_string(), expected_hop);
            count += 1;
        }
        assert_eq!(count, 2);
    };
    let target = "sip:far@203.0.113.77:5099;transport=udp";
    check(
        "<sip:203.0.113.9;lr>, <sip:203.0.113.8:5070;lr>",
        target,
        &["<sip:203.0.113.8:5070;lr>", "<sip:203.0.113.9;lr>"],
        "203.0.113.8:5070",
    );
    // A strict router finds itself in the Request-URI and the target last.
    check(
        "<sip:203.0.113.9;lr>, <sip:203.0.113.8:5070>",
        "sip:203.0.113.8:5070",
        &["<sip:203.0.113.9;lr>", "<sip:far@203.0.113.77:5099;transport=udp?Subject=x>"],
        "203.0.113.8:5070",
    );
    // A name we cannot reach, and a private address: back to where the INVITE went.
    check("<sip:proxy.example.com;lr>", target, &["<sip:proxy.example.com;lr>"], "203.0.113.2:5080");
    check("<sip:192.168.1.1;lr>", target, &["<sip:192.168.1.1;lr>"], "203.0.113.2:5080");
}
