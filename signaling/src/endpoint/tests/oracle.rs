//! An independent reader, `rsip`, over everything that an endpoint sends in any of these tests.

use std::collections::BTreeSet;

use rsip::prelude::{HasHeaders, HeadersExt, ToTypedHeader, UntypedHeader};

use super::*;

/// Another implementation reads the message to the same start line, the same header fields in the same order, the same
/// identifying parts of them, and the same body.
pub(super) fn assert_read_alike(bytes: &Bytes) {
    let shown = String::from_utf8_lossy(bytes);
    let ours = parse(bytes.clone()).unwrap_or_else(|error| panic!("{error}: {shown}"));
    // It knows neither IPv6 literals nor octets that are no UTF-8.
    if shown.contains('[') || shown.contains('\u{fffd}') {
        return;
    }
    let theirs = rsip::SipMessage::try_from(bytes.as_ref()).unwrap_or_else(|error| panic!("{error}: {shown}"));
    match (&ours, &theirs) {
        (Message::Request(ours), rsip::SipMessage::Request(theirs)) => {
            assert_eq!(ours.method.to_string(), theirs.method.to_string());
            // A `tel:` URI is to it whatever it is.
            if ours.uri.as_sip().is_some() {
                assert_eq!(ours.uri.to_string(), theirs.uri.to_string());
            }
        }
        (Message::Response(ours), rsip::SipMessage::Response(theirs)) => {
            assert_eq!(ours.status, theirs.status_code.code());
        }
        (Message::Request(_), rsip::SipMessage::Response(_)) | (Message::Response(_), rsip::SipMessage::Request(_)) => {
            panic!("of another kind: {shown}")
        }
    }
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    let headers = ours.headers();
    let field = |line: String| {
        let (name, value) = line.split_once(": ").map_or((line.as_str(), ""), |(name, value)| (name, value));
        (name.to_ascii_lowercase(), value.trim().to_owned())
    };
    let own: Vec<_> = headers.iter().map(|(name, value)| field(format!("{name}: {}", text(value)))).collect();
    let read: Vec<_> = theirs.headers().iter().map(|header| field(header.to_string())).collect();
    assert_eq!(own, read, "{shown}");
    assert_eq!(text(&headers.call_id().unwrap()), theirs.call_id_header().unwrap().value());
    let (cseq, theirs_cseq) = (headers.cseq().unwrap(), theirs.cseq_header().unwrap().typed().unwrap());
    assert_eq!((cseq.number, cseq.method.to_string()), (theirs_cseq.seq, theirs_cseq.method.to_string()));
    let (via, theirs_via) = (headers.top_via().unwrap(), theirs.via_header().unwrap().typed().unwrap());
    assert_eq!(via.branch.as_ref().map(text), theirs_via.branch().map(|branch| branch.value().to_owned()));
    assert_eq!(text(&via.transport), theirs_via.transport.to_string());
    let of_from = theirs.from_header().unwrap().tag().unwrap().map(|tag| tag.value().to_owned());
    let of_to = theirs.to_header().unwrap().tag().unwrap().map(|tag| tag.value().to_owned());
    assert_eq!((headers.from().unwrap().tag().map(text), headers.to().unwrap().tag().map(text)), (of_from, of_to));
    assert_eq!(ours.body().as_ref(), theirs.body().as_slice());
}

/// Kinds of messages that went over a world's wire: methods, and statuses with the method they answer.
fn kinds(world: &World) -> BTreeSet<String> {
    let kind = |(_, _, bytes): &(Instant, usize, Bytes)| match parse(bytes.clone()).unwrap() {
        Message::Request(request) => request.method.to_string(),
        Message::Response(response) => format!("{} {}", response.status, response.headers.cseq().unwrap().method),
    };
    world.log.iter().map(kind).collect()
}

#[test]
fn another_parser_reads_every_kind_of_message_we_send() {
    let mut seen = BTreeSet::new();
    // A call with a re-INVITE, session timers, and its end.
    let mut world = World::new(1);
    let invite = Invite { session_expires: 120, ..call(address(B)) };
    let caller = world.ends[A].invite(world.now, invite).unwrap();
    world.run(secs(200), obliging);
    world.ends[A].reinvite(world.now, caller, answer()).unwrap();
    world.run(secs(1), obliging);
    world.ends[A].hangup(world.now, caller, Some(Reason { protocol: "Q.850".into(), cause: 16, text: None })).unwrap();
    world.rest(secs(40));
    seen.append(&mut kinds(&world));
    // One that is cancelled, and one that is refused.
    let mut world = World::new(2);
    let caller = world.call();
    world.rest(secs(1));
    world.ends[A].hangup(world.now, caller, None).unwrap();
    world.rest(secs(1));
    world.call();
    world.run(secs(1), |end, now, _, event| {
        if let Event::Incoming { leg, .. } = event {
            end.reject(now, *leg, 486).unwrap();
        }
    });
    let uri = Uri::parse(&Bytes::from(format!("sip:{}", address(B)))).unwrap();
    world.ends[A].ping(world.now, Ping { target: address(B), over: Transport::Udp, uri }).unwrap();
    world.rest(secs(1));
    seen.append(&mut kinds(&world));
    for kind in [
        "INVITE",
        "ACK",
        "CANCEL",
        "BYE",
        "UPDATE",
        "OPTIONS",
        "100 INVITE",
        "180 INVITE",
        "200 INVITE",
        "200 UPDATE",
        "200 BYE",
        "200 CANCEL",
        "487 INVITE",
        "486 INVITE",
        "200 OPTIONS",
    ] {
        assert!(seen.contains(kind), "{kind} was never sent: {seen:?}");
    }
}
