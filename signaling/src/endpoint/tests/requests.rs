//! Requests of strangers and within dialogs, and the answers they get.

use super::*;
use crate::message::HeaderName;

fn stranger(method: &str, extra: &str, body: &str) -> String {
    format!(
        "{method} sip:trunkline@{a} SIP/2.0\r\nVia: SIP/2.0/UDP {b};rport;branch=z9hG4bKs{method}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:x@{b}>;tag=x\r\nTo: <sip:y@{a}>\r\nCall-ID: stranger{method}\r\n\
         CSeq: 9 {method}\r\nContact: <sip:x@{b}>\r\nUser-Agent: Something with a name long enough for a fair answer, \
         so that nothing has to be left out of the one to OPTIONS\r\n{extra}Content-Length: {}\r\n\r\n{body}",
        body.len(),
        a = address(A),
        b = address(B)
    )
}

fn check(request: String, status: u16, field: Option<(HeaderName, &str)>) {
    let mut lone = Lone::new();
    let size = request.len();
    lone.give(request.clone());
    let sent: Vec<_> = std::iter::from_fn(|| lone.end.poll_transmit()).collect();
    assert_eq!(sent.len(), 1, "one answer to {request}");
    assert_eq!(sent[0].to, address(B));
    assert!(sent[0].bytes.len() <= size, "no amplification");
    let Message::Response(response) = parse(sent[0].bytes.clone()).unwrap() else { panic!("a response") };
    assert_eq!(response.status, status, "{request}");
    assert!(response.headers.to().unwrap().tag().is_some());
    if let Some((name, value)) = field {
        assert_eq!(response.headers.get(&name).unwrap(), value, "{request}");
    }
    assert_eq!((lone.end.stats().legs, lone.end.stats().transactions), (0, 0), "no state for {request}");
    assert_eq!(lone.end.poll_timeout(), None);
    assert!(lone.names().is_empty());
}

#[test]
fn answers_without_state() {
    let allow = || Some((HeaderName::Allow, "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO, REFER, NOTIFY"));
    let sdp = || Some((HeaderName::Accept, "application/sdp"));
    check(stranger("OPTIONS", "", ""), 200, allow());
    check(stranger("OPTIONS", "", ""), 200, sdp());
    for method in ["REGISTER", "MESSAGE", "REFER", "SUBSCRIBE", "NOTIFY", "PUBLISH"] {
        check(stranger(method, "", ""), 405, allow());
    }
    check(stranger("FROBNICATE", "", ""), 501, allow());
    for method in ["BYE", "INFO", "UPDATE", "PRACK", "CANCEL"] {
        check(stranger(method, "", ""), 481, None);
    }
    let required = stranger("INVITE", "Require: 100rel, replaces, precondition, timer\r\n", "");
    check(required, 420, Some((HeaderName::Unsupported, "precondition")));
    check(stranger("INVITE", "Content-Type: text/plain\r\n", "hello"), 415, sdp());
    let packed = stranger("INVITE", "Content-Type: application/sdp\r\nContent-Encoding: gzip\r\n", "hello");
    check(packed, 415, Some((HeaderName::AcceptEncoding, "identity")));
    check(stranger("INVITE", "Accept: text/plain, image/*\r\n", ""), 406, sdp());
    check(stranger("INVITE", "", "").replace("INVITE sip:trunkline@", "INVITE mailto:trunkline@"), 416, None);
    let foreign_dialog = stranger("BYE", "", "").replace(">\r\nCall-ID", ">;tag=unknown\r\nCall-ID");
    check(foreign_dialog.clone(), 481, None);
    check(foreign_dialog.replace("BYE", "INVITE"), 481, None);
    check(stranger("OPTIONS", "", "").replace("OPTIONS sip:", "OPTIONS  "), 400, None);
}

#[test]
fn calls_are_refused_where_none_are_taken() {
    let mut lone = Lone::new();
    let mut deaf = config(A);
    deaf.accepts_calls = false;
    lone.end = Endpoint::new(deaf, [3; 32]);
    for _ in 0..10_000 {
        lone.give(stranger("INVITE", "", ""));
    }
    let sent = lone.sent_responses();
    assert!(sent.iter().all(|response| response.status == 403 && *response == sent[0]));
    assert_eq!((sent.len(), lone.end.stats().refused), (10_000, 10_000));
    assert_eq!((lone.end.stats().legs, lone.end.stats().transactions), (0, 0));
}

#[test]
fn acceptable_invites() {
    for extra in ["Accept: */*\r\n", "Accept: application/SDP;level=1\r\n", "Accept: text/plain, application/*\r\n"] {
        let mut lone = Lone::new();
        lone.give(stranger("INVITE", extra, ""));
        assert_eq!(lone.names(), ["incoming"], "{extra}");
    }
    let mut lone = Lone::new();
    lone.give(stranger("INVITE", "", ""));
    // Again: the 100 is repeated, nothing else happens.
    lone.give(stranger("INVITE", "", ""));
    let statuses: Vec<_> = lone.sent_responses().iter().map(|response| response.status).collect();
    assert_eq!(statuses, [100, 100]);
    // By another path: merged.
    lone.give(stranger("INVITE", "", "").replace("z9hG4bKs", "z9hG4bKother"));
    assert_eq!(lone.sent_responses()[0].status, 482);
    assert_eq!(lone.names(), ["incoming"]);
}

#[test]
fn flood_of_calls_is_bounded() {
    let mut lone = Lone::new();
    for call in 0..5_000 {
        lone.give(
            stranger("INVITE", "", "")
                .replace("stranger", &format!("c{call}"))
                .replace("z9hG4bKs", &format!("z9hG4bK{call}")),
        );
    }
    assert_eq!((lone.end.stats().legs, lone.end.stats().overload), (1000, 4000));
    let refused = lone.sent_responses().into_iter().filter(|response| response.status == 503);
    assert!(refused.into_iter().all(|response| response.headers.retry_after() == Some(5)));
}

#[test]
fn answers_go_where_the_request_came_from() {
    let check = |via: &str, from: &str, to: &str, top: &str| {
        let mut lone = Lone::new();
        let request = stranger("OPTIONS", "", "");
        let via_line = request.lines().nth(1).unwrap().to_owned();
        let request = request.replace(&via_line, &format!("Via: {via}"));
        lone.end.handle_datagram(lone.now, from.parse().unwrap(), request.into());
        let transmit = lone.end.poll_transmit().unwrap();
        assert_eq!(transmit.to.to_string(), to, "{via}");
        let text = String::from_utf8_lossy(&transmit.bytes).into_owned();
        assert_eq!(text.lines().nth(1).unwrap(), format!("Via: {top}"));
    };
    check(
        "SIP/2.0/UDP 10.0.0.1:5062;rport;branch=z9hG4bK1, SIP/2.0/UDP h",
        "192.0.2.1:9000",
        "192.0.2.1:9000",
        "SIP/2.0/UDP 10.0.0.1:5062;branch=z9hG4bK1;received=192.0.2.1;rport=9000, SIP/2.0/UDP h",
    );
    check(
        "SIP/2.0/UDP host.example:5062;branch=z9hG4bK1;maddr=203.0.113.99",
        "192.0.2.1:9000",
        "192.0.2.1:5062",
        "SIP/2.0/UDP host.example:5062;branch=z9hG4bK1;received=192.0.2.1;maddr=203.0.113.99",
    );
    check(
        "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1",
        "192.0.2.1:9000",
        "192.0.2.1:5060",
        "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1",
    );
}

#[test]
fn requests_in_a_dialog() {
    let mut lone = Lone::new();
    let (_, invite) = lone.answered_call();
    let mut ask = |method: &str, cseq: u32, extra: &str, body: &str| {
        lone.give(Lone::in_dialog(&invite, method, cseq, extra, body));
        lone.sent_responses().remove(0)
    };
    assert_eq!(ask("OPTIONS", 10, "", "").status, 200);
    assert_eq!(ask("INFO", 11, "", "").status, 200);
    assert_eq!(ask("INFO", 12, "Content-Type: text/plain\r\n", "Signal=1").status, 415);
    let package = ask("INFO", 13, "Info-Package: dtmf\r\n", "");
    assert_eq!((package.status, package.headers.get(&HeaderName::other("Recv-Info")).is_some()), (469, true));
    assert_eq!(ask("MESSAGE", 14, "", "").status, 405);
    assert_eq!(ask("BYE", 9, "", "").status, 500, "out of order");
    assert_eq!(ask("BYE", 15, "Require: magic\r\n", "").status, 420);
    assert_eq!(ask("BYE", 16, "Reason: SIP;cause=200, Q.850;cause=16;text=\"bye\"\r\n", "").status, 200);
    assert_eq!(ask("BYE", 16, "", "").status, 200, "the same again");
    assert_eq!(ask("BYE", 17, "", "").status, 481, "no such dialog any more");
    assert_eq!(lone.names(), ["ended Q.850;cause=16;text=\"bye\""]);
}

#[test]
fn guessed_and_stolen_identities_touch_no_call() {
    let mut lone = Lone::new();
    let (_, invite) = lone.answered_call();
    let bye = Lone::in_dialog(&invite, "BYE", 20, "", "");
    let refused = [
        bye.replace("tag=far", "tag=near"),
        bye.replace("From: <sip:agent@203.0.113.2:5080>;tag=far", "From: <sip:agent@203.0.113.2:5080>"),
        bye.replace("\r\nCall-ID: ", "\r\nCall-ID: x"),
        bye.replace("To: ", "To: <sip:a@b>;tag=0\r\nX: "),
    ];
    for (index, spoof) in refused.iter().enumerate() {
        lone.give(spoof.replace("z9hG4bKBYE20", &format!("z9hG4bK{index}")));
        assert_eq!(lone.sent_responses().remove(0).status, 481);
    }
    // Right in everything, from an address that the call knows nothing of.
    lone.end.handle_datagram(lone.now, "192.0.2.66:5060".parse().unwrap(), bye.clone().into());
    assert_eq!(lone.sent_responses().remove(0).status, 481);
    assert!(lone.names().is_empty());
    assert_eq!(lone.end.stats().legs, 1);
    lone.give(bye);
    assert_eq!(lone.names(), ["ended"]);
}

#[test]
fn only_the_caller_cancels() {
    let mut lone = Lone::new();
    lone.give(stranger("INVITE", "", ""));
    lone.sent();
    let cancel = stranger("CANCEL", "", "").replace("z9hG4bKsCANCEL", "z9hG4bKsINVITE");
    lone.end.handle_datagram(lone.now, "192.0.2.66:5080".parse().unwrap(), cancel.clone().into());
    assert_eq!(lone.sent_responses().remove(0).status, 481);
    lone.give(cancel.clone());
    let statuses: Vec<_> = lone.sent_responses().iter().map(|response| response.status).collect();
    assert_eq!(statuses, [200, 487]);
    lone.give(cancel);
    assert_eq!(lone.sent_responses()[0].status, 200, "again, and nothing more");
    assert_eq!(lone.names(), ["incoming", "cancelled"]);
}

#[test]
fn bye_within_an_early_dialog_ends_it() {
    let mut lone = Lone::new();
    lone.give(stranger("INVITE", "", ""));
    let leg = LegId(1);
    lone.end.ring(lone.now, leg, 180, None).unwrap();
    let ringing = lone.sent_responses().pop().unwrap();
    let tag = ringing.headers.to().unwrap().tag().cloned().unwrap();
    let tag = String::from_utf8_lossy(&tag).into_owned();
    let bye = stranger("BYE", "", "").replace("strangerBYE", "strangerINVITE").replace("CSeq: 9", "CSeq: 10");
    lone.give(bye.replace(">\r\nCall-ID", &format!(">;tag={tag}\r\nCall-ID")));
    let mut statuses: Vec<_> = lone.sent_responses().iter().map(|response| response.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 487]);
    assert_eq!(lone.names(), ["incoming", "cancelled"]);
}

/// Some trunks send more than a description (RFC 5621): where a call comes from, or what the ISDN says of it.
#[test]
fn a_description_among_other_parts_is_the_description() {
    const MIXED: &str = "multipart/mixed;boundary=b";
    let parts = |sdp: &str| {
        let other = "Content-Type: application/isup;version=x\r\nContent-Disposition: signal\r\n\r\nxyz";
        format!("--b\r\n{other}\r\n--b\r\nContent-Type: application/sdp\r\n\r\n{sdp}\r\n--b--\r\n")
    };
    let field = format!("Content-Type: {MIXED}\r\n");
    let mut lone = Lone::new();
    lone.give(stranger("INVITE", &field, &parts(OFFER)));
    let Some(Event::Incoming { sdp, .. }) = lone.end.poll_event() else { panic!("a call") };
    assert_eq!(sdp.as_deref(), Some(OFFER.as_bytes()));
    let other = stranger("INVITE", &field, "--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b--");
    check(other, 415, Some((HeaderName::Accept, "application/sdp")));

    let mut lone = Lone::new();
    lone.end.invite(lone.now, call(address(B))).unwrap();
    let invite = lone.sent_requests().remove(0);
    let answered = Response::to_request(&invite, 200, Some("far")).with_body(MIXED, parts(ANSWER).into());
    lone.give(answered.to_bytes());
    let Some(Event::Answered { sdp, .. }) = lone.end.poll_event() else { panic!("an answer") };
    assert_eq!(sdp.as_deref(), Some(ANSWER.as_bytes()));
}
