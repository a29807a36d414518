//! RFC 4475, every message: what a parser must make of it, and what it must have read.

use std::path::PathBuf;

use bytes::Bytes;

use crate::message::{HeaderName, Message, Method, ParseError, Request, Uri, parse};

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/data").join(name)
}

fn load(file: &str) -> Result<Message, ParseError> {
    parse(Bytes::from(std::fs::read(folder("rfc4475").join(file)).unwrap()))
}

fn request(file: &str) -> Request {
    match load(file).unwrap() {
        Message::Request(request) => request,
        Message::Response(_) => panic!("{file} is a request"),
    }
}

#[test]
fn every_message_is_taken_or_refused_as_the_rfc_says() {
    let table = std::fs::read_to_string(folder("rfc4475").join("EXPECTED.tsv")).unwrap();
    let mut rows = 0;
    for row in table.lines().skip(1) {
        let columns: Vec<_> = row.split('\t').collect();
        let (file, kind, expectation, answer) = (columns[0], columns[3], columns[4], columns[5]);
        check(file, kind, expectation, answer);
        rows += 1;
    }
    assert_eq!(rows, 49);
}

fn check(file: &str, kind: &str, expectation: &str, answer: &str) {
    match (load(file), expectation) {
        (Ok(message), "accept" | "either") => {
            assert_eq!(matches!(message, Message::Response(_)), kind == "resp", "{file}");
        }
        (Err(error), "reject" | "either") => {
            let status = error.answer.map(|answer| answer.0);
            let wanted = (kind == "req").then(|| first_status(answer));
            assert_eq!(status, wanted, "{file}: {}", error.what);
        }
        (outcome, _) => panic!("{file}: wanted {expectation}, got {outcome:?}"),
    }
}

fn first_status(text: &str) -> u16 {
    let digits = text.split(|c: char| !c.is_ascii_digit()).find(|word| word.len() == 3);
    digits.unwrap().parse().unwrap()
}

/// Where the RFC leaves a choice, ours is pinned here.
#[test]
fn choices() {
    for file in ["lwsstart.dat", "trws.dat", "baddate.dat", "badbranch.dat"] {
        assert!(load(file).is_ok(), "{file}");
    }
    for file in
        ["quotbal.dat", "ltgtruri.dat", "lwsruri.dat", "escruri.dat", "regbadct.dat", "badaspec.dat", "baddn.dat"]
    {
        assert!(load(file).is_err(), "{file}");
    }
    // In the RFC's archive, used by no section: its start line names no SIP version.
    assert_eq!(load("test.dat").unwrap_err().answer, None);
}

#[test]
fn tortuous_invite_is_read_right() {
    let invite = request("wsinv.dat");
    let headers = &invite.headers;
    assert_eq!(invite.method, Method::Invite);
    assert_eq!(invite.uri.to_string(), "sip:vivekg@chair-dnrc.example.com;unknownparam");
    assert_eq!(headers.to().unwrap().tag().unwrap(), "1918181833n");
    let from = headers.from().unwrap();
    assert_eq!(from.display.as_deref(), Some("J Rosenberg \\\""));
    assert_eq!(from.tag().unwrap(), "98asjd8");
    assert_eq!(headers.max_forwards(), Some(68));
    assert_eq!(headers.cseq().unwrap().number, 9);
    assert_eq!(headers.get(&HeaderName::other("Subject")).unwrap(), "");
    assert_eq!(
        headers.get(&HeaderName::other("newfangledheader")).unwrap(),
        "newfangled value continued newfangled value"
    );
    let vias: Vec<_> = headers.list(&HeaderName::Via).collect();
    assert_eq!(vias.len(), 3);
    let top = headers.top_via().unwrap();
    assert_eq!((top.transport.as_ref(), top.branch.as_deref()), (&b"UDP"[..], Some(&b"390skdjuw"[..])));
    assert_eq!(headers.contact().unwrap().unwrap().parameter("q").unwrap().unwrap(), "0.33");
    assert_eq!(headers.routes(&HeaderName::Route).unwrap().len(), 1);
    assert_eq!(invite.body.len(), 150);
}

#[test]
fn unusual_characters_are_read_right() {
    let odd = request("intmeth.dat");
    assert_eq!(odd.method, Method::Other(Bytes::from_static(b"!interesting-Method0123456789_*+`.%indeed'~")));
    let uri = odd.uri.as_sip().unwrap();
    assert_eq!(uri.user.as_deref().unwrap(), b"1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*");
    assert_eq!(uri.password.as_deref().unwrap(), b"&it+has=1,weird!*pas$wo~d_too.(doesn't-it)");
    assert_eq!(odd.headers.to().unwrap().display.as_deref(), Some("BEL:\u{7} NUL:\0 DEL:\u{7f}"));
    let from = odd.headers.from().unwrap();
    assert_eq!(from.display.as_deref(), Some("token1~` token2'+_ token3*%!.-"));
    assert_eq!(from.tag().unwrap(), "_token~1'+`*%!-.");
}

#[test]
fn escapes_are_kept_and_undone_once() {
    let escaped = request("esc01.dat");
    let uri = escaped.uri.as_sip().unwrap();
    assert_eq!(uri.user.as_deref().unwrap(), b"sips%3Auser%40example.com");
    assert_eq!(uri.user_text().unwrap(), "sips:user@example.com");
    let contact = escaped.headers.contact().unwrap().unwrap();
    assert_eq!(contact.uri.to_string(), "sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31");

    let nulls = request("escnull.dat");
    let to = nulls.headers.to().unwrap();
    assert_eq!(to.uri.as_sip().unwrap().user_text().unwrap(), "null-\0-null");
    assert_eq!(nulls.headers.list(&HeaderName::Contact).count(), 2);

    let plain = request("esc02.dat");
    assert_ne!(plain.method, Method::Register);
    assert_eq!(plain.headers.from().unwrap().display.as_deref(), Some("%Z%45"));
    assert_eq!(plain.headers.list(&HeaderName::Contact).count(), 2);
}

#[test]
fn bodies_end_where_content_length_says() {
    assert_eq!(request("dblreq.dat").body.len(), 0);
    assert_eq!(request("mpart01.dat").body.len(), 553);
    let old = request("inv2543.dat");
    assert!(old.body.starts_with(b"v=0\r\n") && old.body.ends_with(b"m=audio 49217 RTP/AVP 0\r\n"));
    assert_eq!((old.headers.from().unwrap().tag(), old.headers.top_via().unwrap().branch), (None, None));
}

#[test]
fn header_parameters_are_told_from_uri_parameters() {
    let of_header = request("cparam01.dat").headers.contact().unwrap().unwrap();
    assert!(of_header.parameter("unknownparam").is_some() && of_header.uri.as_sip().unwrap().parameters.is_empty());
    let of_uri = request("cparam02.dat").headers.contact().unwrap().unwrap();
    assert!(of_uri.parameters.is_empty() && of_uri.uri.as_sip().unwrap().parameter("unknownparam").is_some());
    let user = request("semiuri.dat").uri;
    assert_eq!(user.as_sip().unwrap().user_text().unwrap(), "user;par=u@example.net");
}

#[test]
fn other_schemes_are_no_fault_of_the_syntax() {
    assert_eq!(
        request("unkscm.dat").uri,
        Uri::Other(Bytes::from_static(b"nobodyKnowsThisScheme:totallyopaquecontent"))
    );
    assert!(matches!(request("novelsc.dat").uri, Uri::Other(_)));
    assert_eq!(request("unksm2.dat").headers.to().unwrap().uri.to_string(), "isbn:2983792873");
}

#[test]
fn refusals_carry_what_an_answer_copies() {
    let (status, headers) = *load("badvers.dat").unwrap_err().answer.unwrap();
    assert_eq!(status, 505);
    assert_eq!(headers.call_id().unwrap(), "badvers.31417@c.example.com");
    assert_eq!(headers.len(), 5);
    // Doubled fields are answered with the first of each.
    assert_eq!(load("multi01.dat").unwrap_err().answer.unwrap().1.len(), 5);
    // Nothing is made up for what is missing.
    assert_eq!(load("insuf.dat").unwrap_err().answer.unwrap().1.len(), 2);
}

#[test]
fn inputs_that_felled_other_parsers() {
    let mut seen = 0;
    for entry in std::fs::read_dir(folder("sip-crashers")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ext| ext == "bin") {
            assert_eq!(parse(std::fs::read(&path).unwrap().into()).unwrap_err().answer, None, "{path:?}");
            seen += 1;
        }
    }
    assert_eq!(seen, 8);
}
