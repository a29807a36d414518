//! Tables for URIs, addresses, Via, lists, framing and limits.

use bytes::Bytes;

use crate::message::{
    HeaderName, Headers, Host, Message, Method, NameAddr, Reason, Refresher, Request, Response, SipUri, Uri, Via, parse,
};

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// An OPTIONS with extra header lines.
fn options(lines: &str, body: &str) -> String {
    format!(
        "OPTIONS sip:a@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa\r\nFrom: <sip:b@c>;tag=1\r\n\
         To: <sip:a@example.com>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n{lines}\r\n{body}"
    )
}

fn status(message: &str) -> Option<u16> {
    parse(bytes(message)).map_err(|error| error.answer.map(|answer| answer.0)).err().flatten()
}

#[test]
fn uris() {
    for (text, written) in [
        ("sip:alice@example.com", "sip:alice@example.com"),
        ("SIPS:Alice@Example.COM:5061;transport=tcp;lr", "sips:Alice@example.com:5061;transport=tcp;lr"),
        ("sip:[2001:DB8::10]:5070", "sip:[2001:db8::10]:5070"),
        ("sip:[::1]", "sip:[::1]"),
        ("sip:*21#@example.com", "sip:*21#@example.com"),
        ("sip:a:secret@10.0.0.1?subject=x", "sip:a:secret@10.0.0.1?subject=x"),
        ("sip:gw_1.example.com", "sip:gw_1.example.com"),
        ("tel:+1-201-555-0123;phone-context=x", "tel:+1-201-555-0123;phone-context=x"),
        ("urn:service:sos", "urn:service:sos"),
        ("sip:m\u{fc}ller@example.com", "sip:m%C3%BCller@example.com"),
    ] {
        assert_eq!(Uri::parse(&bytes(text)).unwrap().to_string(), written, "{text}");
    }
    for text in [
        "",
        "sip:",
        ":x",
        "sip",
        "1sip:x",
        "sip:@example.com",
        "sip:a@",
        "sip:a@b@c",
        "sip:a b@c",
        "sip:a@b;;lr",
        "sip:a@b;",
        "sip:a@b?",
        "sip:a%4@b",
        "sip:a%zz@b",
        "sip:a@256.1.1.1",
        "sip:a@1.2.3",
        "sip:a@b:0",
        "sip:a@b:65536",
        "sip:a@b:",
        "sip:a@b:x",
        "sip:a@[::1",
        "sip:a@[::g]",
        "sip:a@::1",
        "sip:a@[::1]x",
        "sip:a@b<c",
        "sip:a@b\r\nX: y",
        "sip:a@.b",
        "sip:a@b..c",
        "sip:a@-b",
        "sip:a@b\\c",
        "sip:a@b\u{e4}",
        "tel:",
        "tel:1 2",
    ] {
        assert!(Uri::parse(&bytes(text)).is_err(), "{text}");
    }
}

#[test]
fn made_uris_hold_nothing_but_themselves() {
    let made = SipUri::new(Some("a@evil>\r\nX: y"), Host::Name("b\r\n.c>".to_owned()), Some(5060));
    assert_eq!(made.to_string(), "sip:a%40evil%3E%0D%0AX%3A%20y@b.c:5060");
    let read = Uri::parse(&bytes(&made.to_string())).unwrap();
    assert_eq!(read.as_sip().unwrap().user_text().unwrap(), "a@evil>\r\nX: y");
    assert_eq!(SipUri::at(None, "[::1]:5060".parse().unwrap()).to_string(), "sip:[::1]:5060");
}

#[test]
fn name_addrs() {
    for (text, display, uri, tag) in [
        ("sip:a@b;tag=x", None, "sip:a@b", Some("x")),
        ("<sip:a@b;tag=u>;tag=x", None, "sip:a@b;tag=u", Some("x")),
        ("\"A \\\"B\\\" <sip:evil@c>\" <sip:a@b> ; TAG = x", Some("A \"B\" <sip:evil@c>"), "sip:a@b", Some("x")),
        ("\"\"<sip:a@b>", None, "sip:a@b", None),
        ("Anna Lena <sip:a@b>", Some("Anna Lena"), "sip:a@b", None),
        ("M\u{fc}ller <sip:a@b>", Some("M\u{fc}ller"), "sip:a@b", None),
        ("<tel:+49301>;x=\"<;>\"", None, "tel:+49301", None),
    ] {
        let read = NameAddr::parse(&bytes(text)).unwrap();
        assert_eq!(read.display.as_deref(), display, "{text}");
        assert_eq!(
            (read.uri.to_string().as_str(), read.tag().map(|t| t.as_ref())),
            (uri, tag.map(str::as_bytes)),
            "{text}"
        );
        assert_eq!(NameAddr::parse(&read.to_value()).unwrap(), read, "{text}");
    }
    for text in [
        "",
        "a@b",
        "<sip:a@b",
        "\"A <sip:a@b>",
        "\"A\" sip:a@b",
        "\"A\" x <sip:a@b>",
        "A, B <sip:a@b>",
        "<sip:a@b>x",
        "<sip:a@b>;",
        "<sip:a@b>;;tag=x",
        "<sip:a@b>;tag=x;Tag=y",
        "<sip:a@b>;tag=",
        "< sip:a@b >",
        "<sip:a@b>, <sip:c@d>",
        "sip:a@b?x=y",
        "sip:a,b@c",
        "<sip:a@b>;x=\"y",
        "sip:evil@c <sip:a@b>",
        "<<sip:a@b>>",
    ] {
        assert!(NameAddr::parse(&bytes(text)).is_err(), "{text}");
    }
}

#[test]
fn display_names_are_quoted() {
    let name = |display: &str| {
        NameAddr::new(SipUri::new(Some("a"), Host::Name("b".to_owned()), None)).with_display(Some(display.to_owned()))
    };
    assert_eq!(name("A \"B\" \\").with_tag("t").to_string(), "\"A \\\"B\\\" \\\\\" <sip:a@b>;tag=t");
    assert_eq!(name("A\r\nX: y").to_string(), "\"A  X: y\" <sip:a@b>");
}

#[test]
fn vias() {
    for (text, written) in [
        ("SIP/2.0/UDP 192.0.2.1", "SIP/2.0/UDP 192.0.2.1"),
        ("SIP / 2.0 / tcp  Host.Example : 5060 ; branch = z9hG4bK1", "SIP/2.0/TCP host.example:5060;branch=z9hG4bK1"),
        ("SIP/2.0/UDP [2001:db8::9]:7;rport;received=[::1];x", "SIP/2.0/UDP [2001:db8::9]:7;received=::1;rport;x"),
        ("SIP/2.0/TLS a.b;rport=5;maddr=224.2.0.1;ttl=16", "SIP/2.0/TLS a.b;rport=5;maddr=224.2.0.1;ttl=16"),
    ] {
        assert_eq!(Via::parse(&bytes(text)).unwrap().to_string(), written, "{text}");
    }
    for text in [
        "",
        "/",
        "//",
        "SIP/2.0/UDP",
        "SIP/2.0/UDP ",
        "SIP/2.0/ a",
        "SIP//UDP a",
        "SIP/2.0/UDP ;branch=x",
        "SIP/2.0/UDP a;",
        "SIP/2.0/UDP a;branch",
        "SIP/2.0/UDP a;branch=1;branch=2",
        "SIP/2.0/UDP a;rport=x",
        "SIP/2.0/UDP a;received=b",
        "SIP/2.0/UDP a b",
        "SIP/2.0/UDP 2001:db8::9",
        "// ;0=;",
    ] {
        assert!(Via::parse(&bytes(text)).is_err(), "{text}");
    }
}

#[test]
fn the_source_is_marked_in_the_top_via_alone() {
    let mut headers = Headers::default();
    headers.push(HeaderName::Via, "SIP/2.0/UDP a;branch=z9hG4bK1;rport;received=6.6.6.6, SIP/2.0/UDP b");
    headers.push(HeaderName::Via, "SIP/2.0/UDP c");
    let mut top = headers.top_via().unwrap();
    top.mark_source("192.0.2.7:5062".parse().unwrap());
    headers.set_top_via(&top);
    let values: Vec<_> = headers.list(&HeaderName::Via).collect();
    assert_eq!(
        values,
        ["SIP/2.0/UDP a;branch=z9hG4bK1;received=192.0.2.7;rport=5062", "SIP/2.0/UDP b", "SIP/2.0/UDP c"]
    );

    let mut plain = Via::parse(&bytes("SIP/2.0/UDP 192.0.2.7:9;branch=z9hG4bK;received=6.6.6.6")).unwrap();
    plain.mark_source("192.0.2.7:5062".parse().unwrap());
    assert_eq!((plain.received, plain.rport, plain.transaction_branch()), (None, None, None));
}

#[test]
fn lists_split_at_the_right_commas() {
    let mut headers = Headers::default();
    headers.push(HeaderName::Contact, "\"A, \\\", B\" <sip:a,1@b>;x=\"1,2\" , <sip:c@d>,, sip:e(f@g");
    headers.push(HeaderName::Contact, "*");
    headers.push(HeaderName::UserAgent, "One (a, (b), c), Two");
    headers.push(HeaderName::Supported, "100rel,timer");
    let contacts: Vec<_> = headers.list(&HeaderName::Contact).collect();
    assert_eq!(contacts, ["\"A, \\\", B\" <sip:a,1@b>;x=\"1,2\"", "<sip:c@d>", "sip:e(f@g", "*"]);
    assert_eq!(headers.list(&HeaderName::UserAgent).count(), 2);
    assert!(headers.lists(&HeaderName::Supported, "Timer") && !headers.lists(&HeaderName::Supported, "replaces"));
    assert_eq!(headers.unsupported(&HeaderName::Supported, &["timer"]), ["100rel"]);
}

#[test]
fn framing() {
    let body = |message: &str| parse(bytes(message)).unwrap().body().clone();
    assert_eq!(body(&options("", "abc")), "abc");
    assert_eq!(body(&options("l : 2\r\n", "abc")), "ab");
    assert_eq!(body(&format!("\r\n\r\n{}", options("Content-Length: 0003\r\n", "abc"))), "abc");
    for lines in [
        "Content-Length: 4\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 1, 1\r\n",
        "Content-Length: 1\r\nl: 1\r\n",
        "Content-Length: 99999999999999999999999\r\n",
        "Content-Length:\r\n",
        "Content-Length: +3\r\n",
        "X: a\nContent-Length: 0\r\n",
        "X: a\rY: b\r\n",
        "no colon\r\n",
        " : b\r\n",
        ": b\r\n",
        "X Y: b\r\n",
        "X\u{e9}: b\r\n",
        "From: <sip:x@y>;tag=2\r\n",
        "v: SIP/2.0/UDP\r\n",
        "Max-Forwards: 256\r\n",
        "Max-Forwards: x\r\n",
        "Route: <sip:a@b\r\n",
        "Contact: <sip:a@b>;;\r\n",
    ] {
        assert_eq!(status(&options(lines, "abc")), Some(400), "{lines}");
    }
    let complete = options("", "");
    assert_eq!(status(complete.strip_suffix("\r\n").unwrap()), Some(400));
    for keep_alive in ["", "\r\n", "\r\n\r\n"] {
        assert_eq!(parse(bytes(keep_alive)).unwrap_err().answer, None);
    }
}

#[test]
fn limits_are_limits() {
    let many = |line: &str, count: usize| options(&line.repeat(count), "");
    assert!(parse(bytes(&many("X: y\r\n", 251))).is_ok());
    assert_eq!(status(&many("X: y\r\n", 252)), Some(513));
    assert!(parse(bytes(&many("Via: SIP/2.0/UDP a\r\n", 63))).is_ok());
    assert_eq!(status(&many("Via: SIP/2.0/UDP a, SIP/2.0/UDP b\r\n", 32)), Some(513));
    assert_eq!(status(&options(&format!("X: {}\r\n", "y".repeat(8190)), "")), Some(513));
    assert_eq!(status(&options(&format!("X: {}\r\n", "y\r\n ".repeat(3000)), "")), Some(513));
    assert_eq!(status(&options("", &"z".repeat(65_536))), Some(513));
    let long = options("", "").replacen("sip:a@", &format!("sip:{}@", "a".repeat(2048)), 1);
    assert_eq!(status(&long), Some(414));
    assert_eq!(status(&options(&format!("Contact: <sip:{}@b>\r\n", "a".repeat(2048)), "")), Some(400));
    assert_eq!(status(&options(&format!("Contact: <sip:a@b>{}\r\n", ";x".repeat(70)), "")), Some(400));
}

#[test]
fn start_lines() {
    let with = |line: &str| options("", "").replacen("OPTIONS sip:a@example.com SIP/2.0", line, 1);
    assert!(parse(bytes(&with("OPTIONS sip:a@example.com sip/2.0"))).is_ok());
    assert_eq!(status(&with("OPTIONS sip:a@example.com SIP/3.0")), Some(505));
    assert_eq!(status(&with("options sip:a@example.com SIP/2.0")), Some(501));
    assert_eq!(status(&with("INVITE sip:a@example.com SIP/2.0")), Some(400));
    assert_eq!(status(&with("OPTIONS  SIP/2.0")), Some(400));
    // Never an answer to an ACK, nor to what is no SIP.
    for line in ["ACK sip:a@example.com SIP/2.0", "GET / HTTP/1.1", "OPTIONS", "", "OPT/IONS x SIP/2.0"] {
        assert_eq!(parse(bytes(&with(line))).unwrap_err().answer, None, "{line}");
    }
    let response = |line: &str| parse(bytes(&with(line)));
    assert!(matches!(response("SIP/2.0 200").unwrap(), Message::Response(Response { status: 200, .. })));
    for line in
        ["SIP/2.0 99 x", "SIP/2.0 700 x", "SIP/2.0 0200 x", "SIP/3.0 200 OK", "SIP/2.0  200 OK", "SIP/2.0 2x0 OK"]
    {
        assert_eq!(response(line).unwrap_err().answer, None, "{line}");
    }
}

#[test]
fn answers_copy_what_the_rfc_says() {
    let invite = "INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP p, SIP/2.0/UDP q\r\nv: SIP/2.0/UDP r\r\nRecord-Route: <sip:p;lr>\r\n\
        f: \"\\\u{7}x\" <sip:c@d>;tag=1\r\nt: sip:a@b\r\ni: id@x\r\nCSeq: 7 INVITE\r\nTimestamp: 54\r\n\r\n";
    let Message::Request(invite) = parse(bytes(invite)).unwrap() else { panic!("a request") };
    let ringing = Response::to_request(&invite, 180, Some("t1"));
    assert_eq!(
        ringing.to_bytes(),
        "SIP/2.0 180 Ringing\r\nVia: SIP/2.0/UDP p, SIP/2.0/UDP q\r\nVia: SIP/2.0/UDP r\r\nFrom: \"\\\u{7}x\" <sip:c@d>;tag=1\r\n\
         To: sip:a@b;tag=t1\r\nCall-ID: id@x\r\nCSeq: 7 INVITE\r\nRecord-Route: <sip:p;lr>\r\nContent-Length: 0\r\n\r\n"
    );
    let trying = Response::to_request(&invite, 100, None);
    assert!(trying.headers.get(&HeaderName::RecordRoute).is_none());
    assert_eq!(trying.headers.get(&HeaderName::other("timestamp")).unwrap(), "54");
    assert_eq!(trying.headers.to().unwrap().tag(), None);
    assert!(Response::to_request(&invite, 486, Some("t1")).headers.get(&HeaderName::RecordRoute).is_none());
    let again = Request { headers: ringing.headers, ..invite };
    assert_eq!(Response::to_request(&again, 200, Some("t2")).headers.to().unwrap().tag().unwrap(), "t1");
}

#[test]
fn names_of_one_field_are_equal() {
    let mut headers = Headers::default();
    headers.push(HeaderName::Other(bytes("L")), "99");
    headers.push(HeaderName::Other(bytes("x-Foo")), "1");
    headers.push(HeaderName::Other(bytes("s")), "hello");
    headers.push(HeaderName::Other(bytes("X-Bad: y\r\nEvil")), "1");
    headers.push(HeaderName::Other(bytes("")), "1");
    assert_eq!(headers.len(), 3);
    assert_eq!(headers.get(&HeaderName::ContentLength).unwrap(), "99");
    assert_eq!(headers.get(&HeaderName::other("X-FOO")).unwrap(), "1");
    assert_eq!(headers.get(&HeaderName::other("Subject")).unwrap(), "hello");
    assert_eq!(HeaderName::Other(bytes("via")), HeaderName::Via);
    headers.set(HeaderName::other("x-foo"), "2");
    assert_eq!(headers.iter().nth(1).unwrap().1, "2");
    headers.remove(&HeaderName::other("X-Foo"));
    assert_eq!(headers.len(), 2);
}

#[test]
fn typed_fields() {
    let mut headers = Headers::default();
    headers.push(HeaderName::Reason, "Q.850;cause=16;text=\"Normal, call \\\"clearing\\\"\", SIP ;cause=\"200\", x");
    headers.push(HeaderName::RetryAfter, "18000;duration=3600 (busy, sorry)");
    headers.push(HeaderName::Expires, "99999999999999999999");
    headers.push(HeaderName::SessionExpires, "1800 ; Refresher=UAS");
    headers.push(HeaderName::RAck, "776656  1 INVITE");
    headers.push(HeaderName::ContentType, "Application / SDP;charset=utf-8");
    let reasons = headers.reasons();
    let clearing = Reason { protocol: "Q.850".into(), cause: 16, text: Some("Normal, call \"clearing\"".into()) };
    assert_eq!(reasons, [clearing.clone(), Reason { protocol: "SIP".into(), cause: 200, text: None }]);
    assert_eq!(Reason::parse(&bytes(&clearing.to_string())), Some(clearing));
    assert_eq!((headers.retry_after(), headers.expires(), headers.min_se()), (Some(18000), Some(u32::MAX), None));
    let session = headers.session_expires().unwrap();
    assert_eq!((session.seconds, session.refresher), (1800, Some(Refresher::Uas)));
    let rack = headers.rack().unwrap();
    assert_eq!((rack.rseq, rack.cseq, rack.method), (776_656, 1, Method::Invite));
    assert_eq!(headers.content_type().as_deref(), Some("application/sdp"));
}
