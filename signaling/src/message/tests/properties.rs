//! What holds for any bytes, and for any message we make.

use bytes::Bytes;
use proptest::prelude::*;

use crate::message::{HeaderName, Host, Message, Method, NameAddr, Request, Response, SipUri, Uri, Via, parse};

const SEED: &[u8] = b"INVITE sip:a@b;lr SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa;rport\r\nMax-Forwards: 70\r\n\
    From: \"A \\\" B\" <sip:c@d>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: x@y\r\nCSeq: 1 INVITE\r\nContact: <sip:c@192.0.2.1>,\r\n \
    <sip:[::1]>\r\nSession-Expires: 90;refresher=uac\r\nReason: SIP;cause=200;text=\"x\"\r\nContent-Length: 3\r\n\r\nabc";

/// Reads everything there is to read.
fn read_all(message: &Message) {
    let headers = message.headers();
    let _ = (headers.top_via(), headers.from(), headers.to(), headers.call_id(), headers.cseq(), headers.contact());
    let _ = (headers.routes(&HeaderName::Route), headers.routes(&HeaderName::RecordRoute), headers.reasons());
    let _ =
        (headers.max_forwards(), headers.expires(), headers.retry_after(), headers.session_expires(), headers.rack());
    let _ = (headers.content_type(), headers.list(&HeaderName::Allow).count(), headers.rseq());
    if let Message::Request(request) = message {
        let _ = Response::to_request(request, 200, Some("t")).to_bytes();
    }
}

fn token() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9!%*_+`'~.-]{1,12}"
}

fn host() -> impl Strategy<Value = Host> {
    prop_oneof![
        "[a-z]([a-z0-9-]{0,8}[a-z0-9])?(\\.[a-z][a-z0-9]{0,4})?".prop_map(Host::Name),
        any::<std::net::IpAddr>().prop_map(Host::Ip),
    ]
}

fn uri() -> impl Strategy<Value = Uri> {
    let parameter = ("[a-z]{1,6}", prop::option::of("[a-z0-9.%]{1,6}".prop_map(|v| v.replace('%', "%41"))));
    let parameters = prop::collection::btree_map(parameter.0, parameter.1, 0..3);
    prop_oneof![
        (any::<bool>(), prop::option::of(any::<String>()), host(), prop::option::of(1_u16..), parameters).prop_map(
            |(secure, user, host, port, parameters)| {
                let mut uri = SipUri::new(user.as_deref(), host, port);
                uri.secure = secure;
                uri.parameters =
                    parameters.into_iter().map(|(name, value)| (name.into(), value.map(Into::into))).collect();
                Uri::Sip(uri)
            }
        ),
        "[0-9+*-]{1,15}(;x=[a-z]{1,3})?".prop_map(|number| Uri::Tel(number.into())),
        "[a-z]{4,8}:[a-z0-9/?]{1,10}"
            .prop_filter("a known scheme", |uri| !uri.starts_with("sips:"))
            .prop_map(|uri| Uri::Other(uri.into())),
    ]
}

fn name_addr() -> impl Strategy<Value = NameAddr> {
    let display = prop::option::of("[^\\p{Cc}]{1,20}");
    (display, uri(), prop::option::of(token())).prop_map(|(display, uri, tag)| {
        let named = NameAddr::new(uri).with_display(display);
        match tag {
            Some(tag) => named.with_tag(tag),
            None => named,
        }
    })
}

fn via() -> impl Strategy<Value = Via> {
    (
        token(),
        host(),
        prop::option::of(1_u16..),
        prop::option::of(any::<std::net::IpAddr>()),
        any::<Option<Option<u16>>>(),
    )
        .prop_map(|(branch, host, port, received, rport)| Via {
            transport: Bytes::from_static(b"UDP"),
            host,
            port,
            branch: Some(branch.into()),
            received,
            rport,
            parameters: vec![(Bytes::from_static(b"x"), Some(Bytes::from_static(b"\"a;b\"")))],
        })
}

prop_compose! {
    fn request()(
        method in prop_oneof![Just("INVITE".to_owned()), Just("BYE".to_owned()), token()], uri in uri(),
        vias in prop::collection::vec(via(), 1..4), from in name_addr(), to in name_addr(), call_id in "[!-~]{1,20}",
        cseq in 0_u32..1 << 31, hops: u8, extra in prop::collection::vec(("X-[a-zA-Z]{1,8}", any::<String>()), 0..4),
        body: Vec<u8>,
    ) -> Request {
        let method = Method::parse(&method.clone().into()).unwrap();
        let mut request = Request::new(method.clone(), uri);
        for via in vias {
            request = request.with(HeaderName::Via, via.to_value());
        }
        request = request
            .with(HeaderName::MaxForwards, hops.to_string())
            .with(HeaderName::From, from.to_value())
            .with(HeaderName::To, to.to_value())
            .with(HeaderName::CallId, call_id)
            .with(HeaderName::CSeq, format!("{cseq} {method}"))
            .with(HeaderName::ContentLength, body.len().to_string());
        for (name, value) in extra {
            request = request.with(HeaderName::Other(name.into()), value);
        }
        request.body = body.into();
        request
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let _ = parse(bytes.into());
    }

    #[test]
    fn no_damage_panics(edits in prop::collection::vec((0..SEED.len(), any::<u8>()), 1..6), cut in 0..SEED.len()) {
        let mut message = SEED.to_vec();
        for (at, byte) in edits {
            message[at] = byte;
        }
        if let Ok(read) = parse(message.clone().into()) {
            read_all(&read);
        }
        message.drain(..cut);
        let _ = parse(message.into());
    }

    #[test]
    fn what_is_written_is_read(request in request()) {
        let message = Message::Request(request);
        prop_assert_eq!(parse(message.to_bytes()).unwrap(), message);
    }

    #[test]
    fn answers_are_read(request in request(), status in 100_u16..700, tag in token(), reason: Vec<u8>) {
        let mut response = Response::to_request(&request, status, Some(&tag)).with(HeaderName::ContentLength, "0");
        response.reason = reason.into_iter().filter(|b| !b.is_ascii_control()).collect();
        let message = Message::Response(response);
        prop_assert_eq!(parse(message.to_bytes()).unwrap(), message);
    }

    #[test]
    fn pieces_are_read_as_written(uri in uri(), address in name_addr(), via in via()) {
        prop_assert_eq!(Uri::parse(&uri.to_string().into()).unwrap(), uri);
        prop_assert_eq!(NameAddr::parse(&address.to_value()).unwrap(), address);
        prop_assert_eq!(Via::parse(&via.to_value()).unwrap(), via);
    }

    /// However a value, name, method, reason or URI was made up, it adds no line.
    #[test]
    fn nothing_adds_a_line(name: Vec<u8>, value: Vec<u8>, injected in "\r\n(X: y|\r\n)?") {
        let poisoned = |bytes: &[u8]| Bytes::from([bytes, injected.as_bytes(), bytes].concat());
        let uri = Uri::Other(poisoned(&value));
        let mut request = Request::new(Method::Other(poisoned(&name)), uri)
            .with(HeaderName::Other(Bytes::from(name.clone())), poisoned(&value))
            .with(HeaderName::Other(poisoned(&name)), "v")
            .with(HeaderName::Via, Via::new("UDP", ([127, 0, 0, 1], 1).into(), poisoned(&value)).to_value())
            .with(HeaderName::From, NameAddr::new(Uri::Tel(poisoned(&value))).with_tag(poisoned(&value)).to_value());
        request.headers.set(HeaderName::Reason, poisoned(&value));
        let fields = request.headers.iter().filter(|(name, _)| **name != HeaderName::ContentLength).count();
        prop_assert_eq!(lines(&request.to_bytes()), fields + 3);

        let mut response = Response::to_request(&request, 200, Some(std::str::from_utf8(injected.as_bytes()).unwrap()));
        response.reason = poisoned(&value);
        prop_assert_eq!(lines(&response.to_bytes()), response.headers.len() + 3);
    }
}

/// Line ends of any kind: LF, CR and CRLF each count once.
fn lines(message: &[u8]) -> usize {
    let text: Vec<_> = message.iter().filter(|b| matches!(b, b'\r' | b'\n')).collect();
    assert!(text.chunks(2).all(|pair| matches!(pair, [b'\r', b'\n'])));
    text.len() / 2
}
