//! Who is registered where.

use super::{complaints, load_with};

/// One line of TOML after another, each with exactly the complaint it earns.
fn check(text: &str, expected: &[&str]) {
    assert_eq!(complaints(text, &[]), expected, "{text}");
}

#[test]
fn a_trunk_registers_as_its_user_at_its_target_unless_told_otherwise() {
    let trunk = |lines: &str| {
        let text = format!("[[trunks]]\nid = 't'\ntarget = 'sip.example.com:5070'\n{lines}");
        load_with(&text, &[]).unwrap().config.trunks.remove(0)
    };
    assert!(trunk("auth = { username = 'u', password = 'p' }").registration.is_none());
    let plain = trunk("register = true\nauth = { username = 'a b', password = 'p' }");
    assert_eq!(plain.first_hop(), &plain.target);
    let registration = plain.registration.unwrap();
    assert_eq!(registration.registrars, [plain.target]);
    assert_eq!(registration.address_of_record, "sip:a%20b@sip.example.com");
    assert_eq!((registration.expires_seconds, registration.retry_max.as_secs()), (3600, 1800));
    let told = trunk(
        "register = true\noutbound_proxy = 'sips:edge.example.com'\n\
         registration = { registrars = ['r1', 'r2;transport=tcp'], address = 'sip:acme@x', contacts = ['sip:c@h:1'] }",
    );
    assert_eq!(told.first_hop().host, "edge.example.com");
    let registration = told.registration.unwrap();
    assert_eq!((registration.registrars.len(), registration.address_of_record.as_str()), (2, "sip:acme@x"));
}

#[test]
fn registrations() {
    let trunk = |line: &str, expected: &[&str]| check(&format!("[[trunks]]\nid = 't'\ntarget = 'h'\n{line}"), expected);
    trunk(
        "register = true",
        &["line 1: trunks[0].registration.address: is missing, and there is no auth.username to take its place"],
    );
    trunk(
        "registration = { registrars = ['a', 'a', 'a:0'], address = 'acme', contacts = ['sip:h'] }",
        &[
            "line 4: trunks[0].registration.registrars[1]: is listed twice",
            "line 4: trunks[0].registration.registrars[2]: \"0\" is no port",
            "line 4: trunks[0].registration.address: \"acme\" is no SIP URI, as sip:user@example.com",
            "line 4: trunks[0].registration.contacts[0]: \"sip:h\" is no SIP URI, as sip:user@example.com",
        ],
    );
    trunk(
        "registration = { address = 'sip:a@h:5060', retry_seconds = 60, retry_max_seconds = 30 }",
        &[
            "line 4: trunks[0].registration.address: must not hold a port or parameters: it says who, not where",
            "line 4: trunks[0].registration.retry_max_seconds: must not be less than retry_seconds",
        ],
    );
    trunk(
        "registration = { expires_seconds = 5 }",
        &["line 4: trunks[0].registration.expires_seconds: must be between 30 and 604800"],
    );
}
