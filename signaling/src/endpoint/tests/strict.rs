//! What is at stake in an identity, the end of a message and a password: IPv6 (RFC 5118), display names, hidden messages,
//! challenges of strangers.

use std::path::PathBuf;

use super::*;
use crate::auth::Credentials;
use crate::message::{HeaderName, Method};

#[test]
fn ipv6_torture_messages_get_the_answer_of_the_rfc() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/data/rfc5118");
    let table = std::fs::read_to_string(folder.join("EXPECTED.tsv")).unwrap();
    let mut rows = 0;
    for row in table.lines().skip(1) {
        let row: Vec<_> = row.split('\t').collect();
        let bytes = Bytes::from(std::fs::read(folder.join(row[0])).unwrap());
        assert_eq!(parse(bytes.clone()).is_ok(), row[3] == "accept", "{}", row[0]);
        let mut lone = Lone::new();
        let source = "[2001:db8::9:77]:40000".parse().unwrap();
        lone.end.handle_datagram(lone.now, source, bytes.clone());
        let sent: Vec<_> = std::iter::from_fn(|| lone.end.poll_transmit()).collect();
        assert_eq!(sent.len(), 1, "{}", row[0]);
        assert_eq!(sent[0].to.ip(), source.ip(), "{}: never to where a Via points", row[0]);
        let Message::Response(response) = parse(sent[0].bytes.clone()).unwrap() else { panic!("a response") };
        assert_eq!(response.status.to_string(), row[4], "{}", row[0]);
        let via = response.headers.top_via().unwrap();
        // What a sender claims to be received from is overwritten; in a Via it stands without brackets (section 4.5).
        if response.status != 400 {
            assert_eq!(via.received, Some(source.ip()), "{}", row[0]);
            assert!(via.to_string().contains(";received=2001:db8::9:77"), "{via}");
        }
        assert_eq!(lone.names(), if response.status == 100 { &["incoming"][..] } else { &[] }, "{}", row[0]);
        rows += 1;
    }
    assert_eq!(rows, 12);
}

/// Whom an INVITE with such a From makes call; `None` if it is refused.
fn caller(from: &str) -> Option<String> {
    let mut lone = Lone::new();
    lone.give(format!(
        "INVITE sip:trunkline@{a} SIP/2.0\r\nVia: SIP/2.0/UDP {b};rport;branch=z9hG4bKid\r\nMax-Forwards: 70\r\n\
         From: {from};tag=x\r\nTo: \"<sip:boss@{a}>\" <sip:desk@{a}>\r\nCall-ID: id\r\nCSeq: 9 INVITE\r\n\
         Contact: <sip:x@{b}>\r\nContent-Length: 0\r\n\r\n",
        a = address(A),
        b = address(B),
    ));
    let event = std::iter::from_fn(|| lone.end.poll_event()).find(|event| matches!(event, Event::Incoming { .. }));
    let Some(Event::Incoming { from, headers, .. }) = event else {
        // The answer repeats what was wrong, and is as hard to read.
        let answer = lone.end.poll_transmit().unwrap().bytes;
        assert!(answer.starts_with(b"SIP/2.0 400 "), "{from}");
        return None;
    };
    assert_eq!(headers.to().unwrap().uri.to_string(), format!("sip:desk@{}", address(A)));
    Some(from.uri.to_string())
}

#[test]
fn nobody_is_who_the_display_name_says() {
    for name in [
        "\"sip:admin@trunk.example\"",
        "\"<sip:admin@trunk.example>\"",
        "\"Admin <sip:admin@trunk.example>;tag=1\"",
        "\"\\\" <sip:admin@trunk.example>\"",
        "\"\\\\\\\" <sip:admin@trunk.example>;x=\\\"\"",
        "\"a, <sip:admin@trunk.example>\"",
        "\"%3Csip:admin%40trunk.example%3E\"",
        "\"\"",
        "Admin",
        "",
    ] {
        assert_eq!(
            caller(&format!("{name}<sip:thief@evil.example>")).as_deref(),
            Some("sip:thief@evil.example"),
            "{name}"
        );
    }
    // Where two readers could see two identities, nobody is let in.
    for from in [
        "<sip:admin@trunk.example> <sip:thief@evil.example>",
        "<sip:admin@trunk.example>, <sip:thief@evil.example>",
        "sip:admin@trunk.example <sip:thief@evil.example>",
        "admin@trunk.example <sip:thief@evil.example>",
        "\"Admin\" <sip:admin@trunk.example@evil.example>",
        "\"Admin <sip:thief@evil.example>",
        "\"Admin\\\" <sip:thief@evil.example>",
        "Admin\" <sip:thief@evil.example>",
        "\"A\" \"B\" <sip:thief@evil.example>",
        "\"A\" sip:thief@evil.example",
        "<sip:thief@evil.example",
        "<<sip:thief@evil.example>>",
        "<sip:thief@evil.example>x<sip:admin@trunk.example>",
        "<sip:>",
        "",
    ] {
        assert_eq!(caller(from), None, "{from}");
    }
}

/// A BYE that would end the call of `invite`.
fn hidden(invite: &Request) -> String {
    Lone::in_dialog(invite, "BYE", 90, "", "")
}

#[test]
fn what_hides_behind_or_inside_a_datagram_is_no_message() {
    let mut lone = Lone::new();
    let (_, invite) = lone.answered_call();
    let bye = hidden(&invite);
    let info = |lines: &str, body: &str| {
        Lone::in_dialog(&invite, "INFO", 80, "Content-Type: application/x\r\n", "")
            .replace("Content-Length: 0\r\n\r\n", &format!("{lines}\r\n{body}"))
    };
    let tricks = [
        info("Content-Length: 0\r\n", &bye),
        info(&format!("Content-Length: {}\r\n", bye.len()), &bye),
        info("", &bye),
        info("Content-Length: 0\r\nContent-Length: 9\r\n", &bye),
        info("l: 0\r\nContent-Length: 0\r\n", &bye),
        info("Content-Length: 0, 9\r\n", &bye),
        info("Content-Length: -1\r\n", &bye),
        info("Content-Length: 0\r\n\r\n", &bye),
        info("X: a\n\r\nContent-Length: 0\r\n", &bye),
        info("X: \r\n \r\nContent-Length: 0\r\n", &bye),
        info("Content-Length : 0\r\nTransfer-Encoding: chunked\r\n", &bye),
        info("Content-Length: 99999999999999999999\r\n", &bye),
        format!("\r\n\r\n\r\n{}", info("Content-Length: 0\r\n", &bye)),
    ];
    for (index, trick) in tricks.into_iter().enumerate() {
        let trick = trick.replace("z9hG4bKINFO80", &format!("z9hG4bKt{index}")).replacen(
            "CSeq: 80",
            &format!("CSeq: {}", 10 + index),
            1,
        );
        lone.give(trick.clone());
        assert!(lone.names().is_empty(), "{trick}");
        assert!(lone.sent_responses().len() <= 1, "{trick}");
        assert_eq!(lone.end.stats().legs, 1, "{trick}");
    }
    lone.give(bye);
    assert_eq!(lone.names(), ["ended"]);
}

fn secret() -> Option<Credentials> {
    Some(Credentials { username: "u".into(), password: "p".into() })
}

/// Challenges a request from an address.
fn challenge(lone: &mut Lone, from: &str, request: &Request, status: u16, realm: &str) {
    let name = if status == 407 { HeaderName::ProxyAuthenticate } else { HeaderName::WwwAuthenticate };
    let value = format!("Digest realm=\"{realm}\", nonce=\"n\", qop=\"auth\"");
    let response = Response::to_request(request, status, Some("rogue")).with(name, value);
    lone.end.handle_datagram(lone.now, from.parse().unwrap(), response.to_bytes());
}

fn is_authorized(request: &Request) -> bool {
    [HeaderName::Authorization, HeaderName::ProxyAuthorization].iter().any(|name| request.headers.get(name).is_some())
}

#[test]
fn a_rogue_that_was_named_in_the_answer_gets_no_password() {
    for status in [401, 407] {
        for realm in ["trunk.example", "rogue", ""] {
            let mut lone = Lone::new();
            let mut invite = call(address(B));
            invite.credentials = secret();
            let leg = lone.end.invite(lone.now, invite).unwrap();
            let first = lone.sent_requests().remove(0);
            challenge(&mut lone, "203.0.113.2:5080", &first, 401, "trunk.example");
            let second = lone.sent_requests().remove(1);
            assert!(is_authorized(&second));
            // From here on everything goes to a Contact of another address, which asks for the password each time.
            let answered = Response::to_request(&second, 200, Some("far"));
            let answered =
                answered.with(HeaderName::Contact, "<sip:rogue@192.0.2.66>").with_body("application/sdp", answer());
            lone.give(answered.to_bytes());
            lone.end.reinvite(lone.now, leg, answer()).unwrap();
            let mut methods = Vec::new();
            for _ in 0..12 {
                let mut sent = Vec::new();
                while let Some(transmit) = lone.end.poll_transmit() {
                    assert_eq!(transmit.to.to_string(), "192.0.2.66:5060");
                    let Message::Request(request) = parse(transmit.bytes).unwrap() else { continue };
                    assert!(!is_authorized(&request), "{} to a rogue", request.method);
                    methods.push(request.method.clone());
                    sent.push(request);
                }
                for request in sent.iter().filter(|request| request.method != Method::Ack) {
                    challenge(&mut lone, "192.0.2.66:5060", request, status, realm);
                }
                let _ = lone.end.hangup(lone.now, leg, None);
            }
            for method in [Method::Ack, Method::Invite, Method::Bye] {
                assert!(methods.contains(&method), "{method} was never tried: {methods:?}");
            }
        }
    }
}

#[test]
fn a_challenge_that_belongs_to_no_request_of_ours_is_dropped() {
    let mut lone = Lone::new();
    let mut invite = call(address(B));
    invite.credentials = secret();
    lone.end.invite(lone.now, invite).unwrap();
    let sent = lone.sent_requests().remove(0);
    let altered = |change: &dyn Fn(&mut Request)| {
        let mut request = sent.clone();
        change(&mut request);
        request
    };
    let via = |value: &str| {
        let value = value.to_owned();
        altered(&|request| request.headers.set(HeaderName::Via, value.clone()))
    };
    for stranger in [
        via(&format!("SIP/2.0/UDP {};branch=z9hG4bKguessed", address(A))),
        via("SIP/2.0/UDP 192.0.2.66;branch=z9hG4bK1"),
        altered(&|request| request.headers.set(HeaderName::CSeq, "1 BYE")),
        altered(&|request| request.headers.set(HeaderName::CSeq, "1 OPTIONS")),
        altered(&|request| request.headers.push(HeaderName::Via, "SIP/2.0/UDP 192.0.2.66;branch=z9hG4bK1")),
    ] {
        challenge(&mut lone, "203.0.113.2:5080", &stranger, 401, "r");
        assert!(lone.sent_requests().is_empty() && lone.names().is_empty(), "{stranger:?}");
    }
    challenge(&mut lone, "203.0.113.2:5080", &sent, 401, "r");
    assert_eq!(lone.sent_requests().len(), 2);
}
