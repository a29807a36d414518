//! The RFCs' own vectors, what choices are made among challenges, and client against server.

use bytes::Bytes;
use proptest::prelude::*;

use super::server::{Algorithm, DigestServer, Verdict, nonce};
use super::{AuthError, Credentials, DigestClient};
use crate::message::{HeaderName, Headers, Method, Request, Uri};

const REALM_MD5: &str = r#"Digest realm="sip.example.com", nonce="n1", algorithm=MD5, qop="auth""#;
const REALM_SHA: &str = r#"Digest realm="sip.example.com", nonce="n2", algorithm=SHA-256, qop="auth""#;

fn client(username: &str, password: &str) -> DigestClient {
    DigestClient::new(Credentials { username: username.to_owned(), password: password.to_owned() }, 1)
}

fn challenges(values: &[&str]) -> Headers {
    let mut headers = Headers::default();
    for value in values {
        headers.push(HeaderName::WwwAuthenticate, value.to_string());
    }
    headers
}

/// Challenges, then the answer to them (all Authorization values, in order).
fn answer(client: &mut DigestClient, values: &[&str]) -> Result<Vec<String>, AuthError> {
    client.handle_challenge(&challenges(values), false)?;
    Ok(authorized(client, "GET", "/dir/index.html"))
}

fn authorized(client: &mut DigestClient, method: &'static str, uri: &str) -> Vec<String> {
    let mut headers = Headers::default();
    let method = Method::parse(&Bytes::from_static(method.as_bytes())).unwrap();
    client.authorize(&method, uri, &Bytes::new(), &mut headers);
    headers.iter().map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
}

fn part(value: &str, name: &str) -> Option<String> {
    let start = value.find(&format!("{name}="))? + name.len() + 1;
    let rest = value[start..].split(", ").next()?;
    Some(rest.trim_matches('"').to_owned())
}

#[test]
fn vectors_of_the_rfcs() {
    let check = |password: &str, challenge: &str, cnonce: &str, response: &str| {
        let mut client = client("Mufasa", password);
        client.handle_challenge(&challenges(&[challenge]), false).unwrap();
        client.fix_cnonce(cnonce);
        let value = authorized(&mut client, "GET", "/dir/index.html").remove(0);
        assert_eq!(part(&value, "response").as_deref(), Some(response));
        assert_eq!((part(&value, "nc").as_deref(), part(&value, "qop").as_deref()), (Some("00000001"), Some("auth")));
        assert!(part(&value, "opaque").is_some());
    };
    // RFC 2617 section 3.5
    check(
        "Circle Of Life",
        r#"Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093",
           opaque="5ccc069c403ebaf9f0171e9517f40e41""#,
        "0a4f113b",
        "6629fae49393a05397450978507c4ef1",
    );
    // RFC 7616 section 3.9.1
    for (algorithm, response) in [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ] {
        check(
            "Circle of Life",
            &format!(
                r#"Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm},
                   nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
                   opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#
            ),
            "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
            response,
        );
    }
}

#[test]
fn the_strongest_algorithm_of_a_realm_is_answered() {
    let unknown = r#"Digest realm="sip.example.com", nonce="n3", algorithm=SHA-512-256, qop="auth""#;
    let chosen = |values: &[&str]| {
        let values = answer(&mut client("u", "p"), values).unwrap();
        values.iter().map(|value| part(value, "nonce").unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(chosen(&[REALM_MD5, REALM_SHA]), ["n2"]);
    assert_eq!(chosen(&[REALM_SHA, REALM_MD5]), ["n2"]);
    assert_eq!(chosen(&[unknown, REALM_MD5]), ["n1"]);
    assert_eq!(chosen(&["Basic realm=\"x\"", REALM_MD5]), ["n1"]);
    assert_eq!(chosen(&[&format!("Negotiate, Basic realm=\"a,b\", {REALM_MD5}, {REALM_SHA}")]), ["n2"]);
    assert_eq!(chosen(&[&format!("Bearer abc=, {REALM_MD5}")]), ["n1"]);
    let elsewhere = r#"Digest realm="other", nonce="n9""#;
    assert_eq!(chosen(&[REALM_MD5, elsewhere]), ["n1", "n9"]);
}

#[test]
fn nothing_to_answer_is_unsupported() {
    for value in [
        "",
        "NoOneKnowsThisScheme opaque-data=here",
        r#"Basic realm="x""#,
        r#"Digest realm="x", nonce="n", algorithm=SHA-512-256"#,
        r#"Digest realm="x", nonce="n", qop="auth-conf""#,
        r#"Digest nonce="n""#,
        r#"Digest realm="x"#,
        &format!(r#"Digest realm="x", nonce="{}""#, "n".repeat(2000)),
    ] {
        assert_eq!(answer(&mut client("u", "p"), &[value]), Err(AuthError::Unsupported), "{value}");
    }
    // The challenge is in the field of the other kind.
    assert_eq!(client("u", "p").handle_challenge(&challenges(&[REALM_MD5]), true), Err(AuthError::Unsupported));
}

#[test]
fn qop_decides_the_form() {
    let with = |qop: &str| {
        let challenge = format!(r#"Digest realm="r", nonce="n"{qop}"#);
        answer(&mut client("u", "p"), &[&challenge]).unwrap().remove(0)
    };
    assert_eq!(part(&with(r#", qop="auth-int,auth""#), "qop").as_deref(), Some("auth"));
    assert_eq!(part(&with(r#", qop="auth-int""#), "qop").as_deref(), Some("auth-int"));
    assert_eq!(part(&with(", qop=AUTH"), "qop").as_deref(), Some("auth"));
    let old = with("");
    assert_eq!((part(&old, "qop"), part(&old, "nc"), part(&old, "cnonce")), (None, None, None));
    // An algorithm is only named where the challenge named one.
    assert_eq!(part(&old, "algorithm"), None);
}

#[test]
fn each_use_of_a_nonce_is_counted() {
    let mut client = client("u", "p");
    client.handle_challenge(&challenges(&[REALM_MD5]), false).unwrap();
    let uses: Vec<_> = (0..11).map(|_| authorized(&mut client, "BYE", "sip:a@b").remove(0)).collect();
    assert_eq!(part(&uses[0], "nc").as_deref(), Some("00000001"));
    assert_eq!(part(&uses[10], "nc").as_deref(), Some("0000000b"));
    assert_eq!(part(&uses[0], "cnonce"), part(&uses[10], "cnonce"));
}

#[test]
fn the_next_nonce_is_taken_from_the_answer() {
    let learned = |info: &str| {
        let mut client = client("u", "p");
        let before = answer(&mut client, &[REALM_MD5]).unwrap().remove(0);
        let info = info.replace("OURS", &part(&before, "cnonce").unwrap());
        client.learn(&Headers::default());
        let mut headers = Headers::default();
        headers.push(HeaderName::other("Authentication-Info"), info);
        client.learn(&headers);
        let after = authorized(&mut client, "BYE", "sip:a@b").remove(0);
        (part(&after, "nonce").unwrap(), part(&after, "nc").unwrap(), part(&before, "cnonce") == part(&after, "cnonce"))
    };
    let renewed = ("n,9".to_owned(), "00000001".to_owned(), false);
    assert_eq!(learned(r#"nextnonce="n,9""#), renewed);
    assert_eq!(learned(r#"qop=auth, rspauth="0", cnonce="OURS", nc=00000001, NextNonce="n,9""#), renewed);
    // Of another request, nothing, too much, nonsense: the nonce in use goes on.
    let same = ("n1".to_owned(), "00000002".to_owned(), true);
    let long = format!("nextnonce=\"{}\"", "x".repeat(1025));
    for info in
        [r#"nextnonce="n,9", cnonce="theirs""#, "nextnonce=", r#"nextnonce="""#, "rspauth=1", "", ",=,\"", &long]
    {
        assert_eq!(learned(info), same, "{info:.40}");
    }
    // Of two realms nobody knows whose it is.
    let mut two = client("u", "p");
    answer(&mut two, &[REALM_MD5, r#"Digest realm="other", nonce="n2""#]).unwrap();
    let mut headers = Headers::default();
    headers.push(HeaderName::other("Authentication-Info"), r#"nextnonce="n9""#);
    two.learn(&headers);
    let nonces: Vec<_> = authorized(&mut two, "BYE", "sip:a@b").iter().map(|value| part(value, "nonce")).collect();
    assert_eq!(nonces, [Some("n1".to_owned()), Some("n2".to_owned())]);
}

#[test]
fn refusals_end_and_stale_nonces_do_not() {
    let fresh = |nonce: &str| format!(r#"Digest realm="r", nonce="{nonce}", qop="auth""#);
    let stale = |nonce: &str| format!(r#"Digest realm="r", nonce="{nonce}", qop="auth", stale=TRUE"#);

    let mut same = client("u", "p");
    answer(&mut same, &[&fresh("1")]).unwrap();
    assert_eq!(answer(&mut same, &[&fresh("1")]), Err(AuthError::Refused));

    let mut renewed = client("u", "p");
    answer(&mut renewed, &[&fresh("1")]).unwrap();
    let value = answer(&mut renewed, &[&stale("2")]).unwrap().remove(0);
    assert_eq!((part(&value, "nonce").as_deref(), part(&value, "nc").as_deref()), (Some("2"), Some("00000001")));

    // A server that makes a new nonce for each refusal must not keep us going for ever.
    for challenge in [&fresh as &dyn Fn(&str) -> String, &stale] {
        let mut turned_away = client("u", "p");
        let last = (0..20).map(|n| answer(&mut turned_away, &[&challenge(&n.to_string())])).find(Result::is_err);
        assert_eq!(last.unwrap(), Err(AuthError::Refused));
    }
    let mut realms = client("u", "p");
    let last = (0..20).map(|n| answer(&mut realms, &[&format!("Digest realm={n}, nonce=n")])).find(Result::is_err);
    assert_eq!(last.unwrap(), Err(AuthError::Refused));

    // A long call where every nonce serves once: each was taken, then a later request is challenged anew.
    let mut long = client("u", "p");
    for n in 0..50 {
        answer(&mut long, &[&fresh(&n.to_string())]).unwrap();
        authorized(&mut long, "UPDATE", "sip:a@b");
    }
}

#[test]
fn server_and_proxy_are_answered_side_by_side() {
    let mut headers = challenges(&[REALM_MD5]);
    headers.push(HeaderName::ProxyAuthenticate, r#"Digest realm="sip.example.com", nonce="p1""#);
    let mut client = client("u", "p");
    client.handle_challenge(&headers, true).unwrap();
    let mut request = Headers::default();
    for _ in 0..2 {
        client.authorize(&Method::Invite, "sip:a@b", &Bytes::new(), &mut request);
    }
    // The second time replaces the first.
    assert_eq!(request.len(), 2);
    assert!(request.get(&HeaderName::Authorization).is_some());
    assert!(request.get(&HeaderName::ProxyAuthorization).is_some());
}

#[test]
fn quotes_are_escaped_and_escapes_undone() {
    let mut client = client(r#"a"b\c"#, "p");
    client.handle_challenge(&challenges(&[r#"Digest realm="x\"y", nonce="n", opaque="o,\\p""#]), false).unwrap();
    let value = authorized(&mut client, "GET", "sip:x").remove(0);
    assert!(value.starts_with(r#"Digest username="a\"b\\c", realm="x\"y", nonce="n""#), "{value}");
    assert!(value.ends_with(r#"opaque="o,\\p""#), "{value}");
}

fn check_against_server(server: &DigestServer, body: &'static [u8]) {
    let nonce = nonce(7, 1);
    let uri: Uri = Uri::parse(&Bytes::from_static(b"sip:+4930123@trunk.example.com;user=phone")).unwrap();
    let user = Credentials { username: "trunk \"7\"".to_owned(), password: "geheim:ä".to_owned() };
    let mut request = Request::new(Method::Invite, uri).with_body("application/sdp", Bytes::from_static(body));
    assert_eq!(server.check(&request, &nonce, &user), Verdict::Missing);

    let mut challenge = Headers::default();
    server.challenge(&nonce, false, &mut challenge);
    let mut client = DigestClient::new(user.clone(), 3);
    client.handle_challenge(&challenge, server.proxy).unwrap();
    client.authorize(&request.method, &request.uri.to_string(), &request.body, &mut request.headers);
    assert!(matches!(server.check(&request, &nonce, &user), Verdict::Accepted { .. }), "{server:?}");
    assert_eq!(server.check(&request, "another", &user), Verdict::Stale);

    let stranger = Credentials { password: "falsch".to_owned(), ..user.clone() };
    assert_eq!(server.check(&request, &nonce, &stranger), Verdict::Wrong);
    let moved = Request { uri: Uri::Tel(Bytes::from_static(b"110")), ..request.clone() };
    assert_eq!(server.check(&moved, &nonce, &user), Verdict::Wrong);
    let altered = Request { body: Bytes::from_static(b"v=1"), ..request };
    let is_covered = server.qop == Some("auth-int");
    assert_eq!(server.check(&altered, &nonce, &user) == Verdict::Wrong, is_covered);
}

#[test]
fn client_and_server_agree_on_every_form() {
    for algorithm in [Algorithm::Md5, Algorithm::Md5Sess, Algorithm::Sha256, Algorithm::Sha256Sess] {
        for qop in [None, Some("auth"), Some("auth-int"), Some("auth,auth-int")] {
            for proxy in [false, true] {
                let server = DigestServer { realm: "r \"1\"".to_owned(), algorithm, qop, proxy };
                check_against_server(&server, b"v=0\r\n");
            }
        }
    }
}

/// A host is no matter of case, and an address has many spellings: the hash is of the one that stood there.
#[test]
fn a_uri_is_checked_as_its_sender_writes_it() {
    let user = Credentials { username: "trunk".to_owned(), password: "geheim".to_owned() };
    let server = DigestServer { realm: "r".to_owned(), algorithm: Algorithm::Md5, qop: Some("auth"), proxy: false };
    for (asked, hashed, expected) in [
        ("sip:+34910000000@GW.Acme.Example", "sip:+34910000000@GW.Acme.Example", true),
        ("SIP:ann@gw.acme.example:5060", "SIP:ann@gw.acme.example:5060", true),
        ("sip:ann@[2001:DB8::0:1]", "sip:ann@[2001:DB8::0:1]", true),
        ("sip:ann@gw.acme.example", "sip:ann@GW.acme.example", true),
        ("sip:ann@gw.acme.example", "sip:bob@gw.acme.example", false),
        ("sip:ann@gw.acme.example", "no uri", false),
    ] {
        let nonce = nonce(7, 1);
        let mut request = Request::new(Method::Invite, Uri::parse(&Bytes::from(asked)).unwrap());
        let mut challenge = Headers::default();
        server.challenge(&nonce, false, &mut challenge);
        let mut client = DigestClient::new(user.clone(), 3);
        client.handle_challenge(&challenge, false).unwrap();
        client.authorize(&request.method, hashed, &Bytes::new(), &mut request.headers);
        let verdict = server.check(&request, &nonce, &user);
        assert_eq!(verdict == Verdict::Accepted { count: 1 }, expected, "{asked} {hashed}: {verdict:?}");
    }
}

proptest! {
    #[test]
    fn no_challenge_harms(values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..4), proxy: bool) {
        let mut headers = Headers::default();
        for value in values {
            let name = if proxy { HeaderName::ProxyAuthenticate } else { HeaderName::WwwAuthenticate };
            headers.push(name, [b"Digest realm=r, nonce=n,", value.as_slice()].concat());
        }
        let mut client = client("u", "p");
        if client.handle_challenge(&headers, proxy).is_ok() {
            let mut request = Headers::default();
            client.authorize(&Method::Invite, "sip:a@b", &Bytes::new(), &mut request);
            let line_ends = request.iter().any(|(_, value)| value.iter().any(u8::is_ascii_control));
            prop_assert!(!request.is_empty() && !line_ends);
        }
    }
}
