//! Dialogs from the messages that make them.

use super::*;
use crate::message::{Message, parse};

const INVITE: &str = "INVITE sip:callee@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n\
    From: \"C\" <sip:caller@a>;tag=ct\r\nTo: <sip:callee@b>\r\nCall-ID: id\r\nCSeq: 314 INVITE\r\n\
    Contact: <sip:caller@192.0.2.1:5071>\r\nRecord-Route: <sip:192.0.2.8;lr>, <sip:192.0.2.9;lr>\r\n\
    Content-Length: 0\r\n\r\n";

fn invite(text: &str) -> Request {
    match parse(Bytes::copy_from_slice(text.as_bytes())).unwrap() {
        Message::Request(request) => request,
        Message::Response(_) => panic!("a request"),
    }
}

fn routes(request: &Request) -> Vec<Bytes> {
    request.headers.list(&HeaderName::Route).collect()
}

#[test]
fn both_ends_see_each_other() {
    let request = invite(INVITE);
    let mut callee = Dialog::uas(&request, "et").unwrap();
    let response = Response::to_request(&request, 200, Some("et")).with(HeaderName::Contact, "<sip:e@192.0.2.2:5072>");
    let mut caller = Dialog::uac(&request, &response).unwrap();

    assert_eq!((caller.id().local_tag.as_ref(), caller.remote_tag().unwrap().as_ref()), (&b"ct"[..], &b"et"[..]));
    assert_eq!((callee.id().local_tag.as_ref(), callee.remote_tag().unwrap().as_ref()), (&b"et"[..], &b"ct"[..]));

    let bye = caller.request(Method::Bye);
    assert_eq!(bye.uri.to_string(), "sip:e@192.0.2.2:5072");
    assert_eq!(routes(&bye), ["<sip:192.0.2.9;lr>", "<sip:192.0.2.8;lr>"]);
    assert_eq!(caller.next_hop(), Some("192.0.2.9:5060".parse().unwrap()));
    assert_eq!(bye.headers.cseq().unwrap().number, 315);
    assert!(callee.is_from_peer(bye.headers.from().unwrap().tag()));
    assert_eq!(bye.headers.to().unwrap().tag(), Some(&callee.id().local_tag));

    let bye = callee.request(Method::Bye);
    assert_eq!(bye.uri.to_string(), "sip:caller@192.0.2.1:5071");
    assert_eq!(routes(&bye), ["<sip:192.0.2.8;lr>", "<sip:192.0.2.9;lr>"]);
    assert!(caller.is_from_peer(bye.headers.from().unwrap().tag()));
    assert_eq!(bye.headers.from().unwrap().uri.to_string(), "sip:callee@b");
    assert_eq!(bye.headers.to().unwrap().display.as_deref(), Some("C"));

    let ack = caller.ack(314);
    assert_eq!((ack.method.clone(), ack.headers.cseq().unwrap().number), (Method::Ack, 314));
}

#[test]
fn requests_come_in_order() {
    let mut callee = Dialog::uas(&invite(INVITE), "et").unwrap();
    for (number, accepted) in [(313, false), (314, true), (400, true), (399, false), (400, true), (2_000_000_000, true)]
    {
        assert_eq!(callee.accept_cseq(number), accepted, "{number}");
    }
}

#[test]
fn target_moves_and_the_route_stays() {
    let request = invite(INVITE);
    let mut callee = Dialog::uas(&request, "et").unwrap();
    let mut headers = Headers::default();
    callee.refresh_target(&headers);
    headers.push(HeaderName::Contact, "broken <");
    callee.refresh_target(&headers);
    assert_eq!(callee.request(Method::Bye).uri.to_string(), "sip:caller@192.0.2.1:5071");
    headers.set(HeaderName::Contact, "<sip:caller@192.0.2.7>");
    callee.refresh_target(&headers);
    let bye = callee.request(Method::Bye);
    assert_eq!(bye.uri.to_string(), "sip:caller@192.0.2.7");
    assert_eq!(routes(&bye).len(), 2);
}

#[test]
fn old_peers_without_tags_and_contacts() {
    let text = INVITE.replace(";tag=ct", "").replace("Contact: <sip:caller@192.0.2.1:5071>\r\n", "");
    let mut callee = Dialog::uas(&invite(&text), "et").unwrap();
    assert_eq!(callee.remote_tag(), None);
    assert!(callee.is_from_peer(None));
    assert_eq!(callee.request(Method::Bye).uri.to_string(), "sip:caller@a");
}
