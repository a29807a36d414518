//! An independent reader, `rsip`, must find in what we write what we meant.

use bytes::Bytes;
use rsip::prelude::*;

use crate::message::{HeaderName, Host, Method, NameAddr, Request, Response, SipUri, Uri, Via, parse};

fn invite(user: &str, display: Option<&str>) -> Request {
    let uri = SipUri::new(Some(user), Host::Name("trunk.example.com".to_owned()), Some(5070));
    let from = SipUri::new(Some("widget"), Host::Ip([192, 0, 2, 9].into()), None);
    let via = Via::new("UDP", ([192, 0, 2, 9], 5060).into(), "z9hG4bKabc");
    Request::new(Method::Invite, uri.clone())
        .with(HeaderName::Via, via.to_value())
        .with(HeaderName::MaxForwards, "70")
        .with(
            HeaderName::From,
            NameAddr::new(from.clone()).with_display(display.map(Into::into)).with_tag("f1").to_value(),
        )
        .with(HeaderName::To, NameAddr::new(uri).to_value())
        .with(HeaderName::CallId, "c1@192.0.2.9")
        .with(HeaderName::CSeq, "21 INVITE")
        .with(HeaderName::Contact, NameAddr::new(from).to_value())
        .with(HeaderName::other("X-Order"), "evil\r\nX-Added: 1")
        .with_body("application/sdp", Bytes::from_static(b"v=0\r\n"))
}

#[test]
fn requests_are_read_alike() {
    for (user, display) in [
        ("+4930123456", None),
        ("*21#", Some("Anna")),
        ("a b@c", Some("M\u{fc}ller \"X\"")),
        ("alice", Some("a, b; c")),
    ] {
        let ours = invite(user, display);
        let theirs = rsip::Request::try_from(ours.to_bytes().to_vec()).unwrap();
        assert_eq!(theirs.method, rsip::Method::Invite);
        assert_eq!(theirs.uri.to_string(), ours.uri.to_string());
        assert_eq!(theirs.call_id_header().unwrap().value().as_bytes(), ours.headers.call_id().unwrap());
        let cseq = theirs.cseq_header().unwrap().typed().unwrap();
        assert_eq!((cseq.seq, cseq.method), (21, rsip::Method::Invite));
        let from = theirs.from_header().unwrap().typed().unwrap();
        assert_eq!(from.uri.to_string(), ours.headers.from().unwrap().uri.to_string());
        assert_eq!(from.tag().unwrap().value(), "f1");
        assert_eq!(theirs.to_header().unwrap().uri().unwrap().to_string(), ours.uri.to_string());
        assert_eq!(theirs.via_header().unwrap().typed().unwrap().branch().unwrap().value(), "z9hG4bKabc");
        assert_eq!(theirs.body, ours.body);
        assert_eq!(theirs.headers.iter().count(), ours.headers.len() + 1, "none added but Content-Length");
    }
}

#[test]
fn responses_are_read_alike() {
    let request = invite("alice", None);
    for status in [100, 180, 200, 404, 487, 503, 603] {
        let ours = Response::to_request(&request, status, Some("t1"));
        let theirs = rsip::Response::try_from(ours.to_bytes().to_vec()).unwrap();
        assert_eq!(theirs.status_code.code(), status);
        assert_eq!(theirs.to_header().unwrap().tag().unwrap().unwrap().value(), "t1");
        assert_eq!(theirs.call_id_header().unwrap().value(), "c1@192.0.2.9");
    }
}

#[test]
fn we_read_what_they_write() {
    let theirs = rsip::Request::try_from(invite("alice", Some("Anna")).to_bytes().to_vec()).unwrap();
    let crate::message::Message::Request(ours) = parse(theirs.to_string().into()).unwrap() else { panic!("a request") };
    assert_eq!(ours.uri, Uri::parse(&Bytes::from_static(b"sip:alice@trunk.example.com:5070")).unwrap());
    assert_eq!(ours.headers.from().unwrap().display.as_deref(), Some("Anna"));
}
