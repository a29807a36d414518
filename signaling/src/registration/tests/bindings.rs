//! What is bound, through which ways, and how it is removed.

use super::*;

#[test]
fn bindings_are_removed_at_the_end_whatever_is_under_way() {
    // At rest.
    let mut case = Case::new(settings());
    case.run(0, |_, _| ok(600));
    case.registration.unregister();
    case.run(0, |_, _| status(200, &[]));
    assert_eq!(case.field(1, "Contact"), ["<sip:acme@192.0.2.10:5060>;expires=0"]);
    assert_eq!(case.field(1, "Expires"), ["0"]);
    assert_eq!((case.registration.state(), case.registration.poll_timeout()), (State::Unregistered, None));

    // Challenged once more.
    let mut case = Case::new(known_user(settings()));
    case.run(0, |_, _| ok(600));
    case.registration.unregister();
    case.run(0, |_, n| {
        if n == 1 { status(401, &[("WWW-Authenticate", r#"Digest realm="r", nonce="n""#)]) } else { status(200, &[]) }
    });
    assert_eq!((case.field(2, "Expires"), case.field(2, "Authorization").len()), (vec!["0".to_owned()], 1));
    assert_eq!(case.registration.state(), State::Unregistered);

    // A first request crosses it: the binding it makes is removed.
    let mut case = Case::new(settings());
    case.registration.handle_timeout(case.now);
    let order = case.registration.poll_order().unwrap();
    case.registration.unregister();
    assert!(case.registration.poll_order().is_none(), "one after the other");
    case.registration.handle_response(case.now, &Response::to_request(&order.request, 200, None));
    let removal = case.registration.poll_order().unwrap();
    assert_eq!(removal.request.headers.expires(), Some(0));
    case.registration.handle_failure(case.now, Failure::NoAnswer);
    assert_eq!((case.registration.state(), case.registration.poll_timeout()), (State::Unregistered, None));

    // Nothing was ever bound.
    let mut case = Case::new(settings());
    case.run(0, |_, _| status(403, &[]));
    case.registration.unregister();
    assert!(case.registration.poll_order().is_none());
    assert_eq!(case.registration.state(), State::Unregistered);
}

#[test]
fn the_ways_in_and_out_are_those_of_the_last_answer() {
    let mut case = Case::new(settings());
    let granted = |routes: &[&str]| {
        let mut fields = vec![("Contact", format!("<{CONTACT}>;expires=100"))];
        fields.extend(routes.iter().map(|route| ("Service-Route", (*route).to_owned())));
        fields.push(("Path", "<sip:edge.example;lr>".to_owned()));
        Said::Status(200, fields)
    };
    let texts = |values: &[Bytes]| -> Vec<String> {
        values.iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect()
    };
    case.run(0, |_, _| granted(&["<sip:p1.example;lr>, <sip:p2.example;lr>", "<sip:p3.example;lr>"]));
    let expected = ["<sip:p1.example;lr>", "<sip:p2.example;lr>", "<sip:p3.example;lr>"];
    assert_eq!(texts(case.registration.service_route()), expected);
    assert_eq!(texts(case.registration.path()), ["<sip:edge.example;lr>"]);
    // Another answer replaces it, one that is nonsense or beyond all measure counts as none.
    case.run(51, |_, _| granted(&["<sip:p4.example;lr>"]));
    assert_eq!(texts(case.registration.service_route()), ["<sip:p4.example;lr>"]);
    let many = vec!["<sip:p.example;lr>"; 9];
    for bad in [vec!["nonsense"], vec!["<tel:+1>"], many] {
        case.run(51, |_, _| granted(&bad));
        assert!(case.registration.service_route().is_empty(), "{bad:?}");
    }
    // And none holds when nothing is bound.
    case.run(51, |_, _| granted(&["<sip:p4.example;lr>"]));
    case.run(51, |_, _| status(403, &[]));
    assert!(case.registration.service_route().is_empty());
}

#[test]
fn an_outbound_proxy_is_the_next_hop_and_the_first_route() {
    let proxied = Settings { outbound_proxy: Some(uri("sip:proxy.example:5080;transport=tcp")), ..settings() };
    let mut case = Case::new(proxied);
    case.run(0, |_, _| ok(60));
    assert_eq!(case.log[0].1.hop.to_string(), "sip:proxy.example:5080;transport=tcp");
    assert_eq!(case.log[0].1.request.uri.to_string(), "sip:registrar.example");
    assert_eq!(case.field(0, "Route"), ["<sip:proxy.example:5080;transport=tcp;lr>"]);
}

#[test]
fn of_several_contacts_the_first_to_run_out_counts_and_all_must_be_bound() {
    let both = [uri(CONTACT), uri("sip:acme@192.0.2.11:5060")];
    let mut case = Case::new(Settings { contacts: both.to_vec(), ..settings() });
    let second = "<sip:acme@192.0.2.11:5060>;expires=50";
    case.run(0, |_, _| status(200, &[("Contact", &format!("<{CONTACT}>;expires=70, {second}"))]));
    assert_eq!(case.field(0, "Contact").len(), 2);
    assert_eq!((case.registration.state(), case.left()), (State::Registered, Some(50)));
    case.run(25, |_, _| status(200, &[("Contact", second)]));
    assert_eq!(case.registration.failure(), Some(&Failure::NotBound));
}

#[test]
fn the_contact_follows_a_nat_and_the_old_one_is_removed() {
    let seen = |order: &Order, port: u16| {
        let mut fields =
            vec![("Via", format!("SIP/2.0/UDP 192.0.2.10:5060;received=203.0.113.7;rport={port};branch=z9hG4bK1"))];
        let contacts = order.request.headers.get_all(&HeaderName::Contact);
        fields.extend(contacts.map(|value| ("Contact", String::from_utf8_lossy(value).into_owned())));
        Said::Status(200, fields)
    };
    let mut case = Case::new(Settings { follow_observed: true, expires: 100, ..settings() });
    case.run(0, |order, _| seen(order, 40_000));
    assert_eq!(case.log.len(), 2, "at once");
    let expected = ["<sip:acme@203.0.113.7:40000>;expires=100", "<sip:acme@192.0.2.10:5060>;expires=0"];
    assert_eq!(case.field(1, "Contact"), expected);
    assert_eq!((case.registration.state(), case.left()), (State::Registered, Some(100)));
    // The same mapping: nothing more is done. Another one: at once again.
    case.run(50, |order, _| seen(order, 40_000));
    assert_eq!((case.log.len(), case.field(2, "Contact").len()), (3, 1));
    case.run(50, |order, _| seen(order, 40_001));
    assert_eq!(case.field(4, "Contact")[0], "<sip:acme@203.0.113.7:40001>;expires=100");
    // A NAT with another port each time is followed once a refresh.
    let before = case.log.len();
    case.run(50, |order, n| seen(order, 50_000 + u16::try_from(n).unwrap()));
    assert_eq!(case.log.len(), before + 2);
    // Whose address was configured has it kept.
    let mut fixed = Case::new(settings());
    fixed.run(0, |order, _| seen(order, 40_000));
    assert_eq!((fixed.log.len(), fixed.registration.observed().map(|seen| seen.port())), (1, Some(40_000)));
}
