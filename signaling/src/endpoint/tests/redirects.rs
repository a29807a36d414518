//! 3xx, loops, and callers that do not want to be known.

use super::*;
use crate::message::HeaderName;

#[test]
fn redirections_are_told_with_their_contacts_best_first() {
    // Contact fields; the URIs, in order.
    type Row = (&'static [&'static str], &'static [&'static str]);
    let rows: [Row; 5] = [
        (&[], &[]),
        (&["<sip:a@h.example>;q=0.5, <sip:b@h.example>;q=0.75", "sip:c@h.example"], &["c", "b", "a"]),
        (&["<sip:a@h.example>;q=1.0, <sip:b@h.example>;q=0.001, <sip:c@h.example>"], &["a", "c", "b"]),
        (&["*", "<sip:a@h.example>;q=nonsense", "<broken", "<sip:b@h.example>;q=0.1"], &["b", "a"]),
        (
            &["<sip:1@h.example>,<sip:2@h.example>,<sip:3@h.example>,<sip:4@h.example>,<sip:5@h.example>,\
               <sip:6@h.example>,<sip:7@h.example>,<sip:8@h.example>,<sip:9@h.example>"],
            &["1", "2", "3", "4", "5", "6", "7", "8"],
        ),
    ];
    for (fields, expected) in rows {
        let mut lone = Lone::new();
        lone.end.invite(lone.now, call(address(B))).unwrap();
        let invite = lone.sent_requests().remove(0);
        let mut response = Response::to_request(&invite, 302, Some("far"));
        for value in fields {
            response.headers.push(HeaderName::Contact, *value);
        }
        lone.give(response.to_bytes());
        let Some(Event::Failed { failure: Failure::Redirected { status: 302, contacts, .. }, .. }) =
            lone.end.poll_event()
        else {
            panic!("{fields:?}")
        };
        let expected: Vec<_> = expected.iter().map(|user| format!("sip:{user}@h.example")).collect();
        assert_eq!(contacts.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
        assert_eq!(lone.sent_requests()[0].method.to_string(), "ACK");
    }
}

#[test]
fn a_call_that_comes_back_or_has_gone_too_far_is_refused() {
    // A further Via, Max-Forwards; the status.
    let rows = [
        ("SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKother", 70, None),
        ("SIP/2.0/UDP 198.51.100.1;branch=z9hG4bKours", 69, Some(482)),
        ("SIP/2.0/TCP 198.51.100.1:5060;branch=z9hG4bKours", 69, Some(482)),
        ("SIP/2.0/UDP 198.51.100.1:5062;branch=z9hG4bKours", 69, None),
        ("SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKother", 0, Some(483)),
    ];
    for (via, hops, status) in rows {
        let mut lone = Lone::new();
        lone.give(format!(
            "INVITE sip:trunkline@198.51.100.1 SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.2:5080;branch=z9hG4bK1\r\n\
             Via: {via}\r\nMax-Forwards: {hops}\r\nFrom: <sip:a@b.example>;tag=1\r\nTo: <sip:c@d.example>\r\n\
             Call-ID: 1@b\r\nCSeq: 1 INVITE\r\nContact: <sip:a@203.0.113.2:5080>\r\nContent-Length: 0\r\n\r\n"
        ));
        let answered = lone.sent_responses().remove(0).status;
        assert_eq!(answered, status.unwrap_or(100), "{via} {hops}");
        assert_eq!(lone.end.stats().legs, usize::from(status.is_none()), "{via} {hops}");
    }
}

#[test]
fn somebody_anonymous_is_named_nowhere() {
    let mut lone = Lone::new();
    lone.end.invite(lone.now, Invite { anonymous: true, ..call(address(B)) }).unwrap();
    let invite = lone.sent_requests().remove(0);
    assert_eq!(invite.headers.max_forwards(), Some(70));
    let from = invite.headers.from().unwrap();
    assert_eq!(from.display.as_deref(), Some("Anonymous"));
    assert_eq!(from.uri.to_string(), "sip:anonymous@anonymous.invalid");
    assert!(!String::from_utf8_lossy(&invite.to_bytes()).contains("isitor"));
}
