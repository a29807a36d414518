//! Requests of ours outside of any call that somebody else makes sense of.

use super::*;
use crate::message::{HeaderName, Method};

fn register(world: &World, over: &Transport) -> Ask {
    let uri = Uri::parse(&Bytes::from(format!("sip:{}", address(B)))).unwrap();
    let contact = format!("<sip:acme@{}>;expires=60", world.ends[A].reached_at(over, address(B)));
    let request = Request::new(Method::Register, uri)
        .with(HeaderName::MaxForwards, "70")
        .with(HeaderName::From, "<sip:acme@example.com>;tag=1")
        .with(HeaderName::To, "<sip:acme@example.com>")
        .with(HeaderName::CallId, "the-same")
        .with(HeaderName::CSeq, "1 REGISTER")
        .with(HeaderName::Contact, contact);
    Ask { target: address(B), over: over.clone(), request }
}

#[test]
fn the_whole_answer_comes_back_once() {
    let mut world = World::new(1);
    let ask = register(&world, &Transport::Udp);
    let leg = world.ends[A].ask(world.now, ask).unwrap();
    world.rest(Duration::from_secs(60));
    // The other end is a user agent, and no registrar.
    assert_eq!(world.names(A), ["replied 405"]);
    assert_eq!(leg_of(&world.events[A][0]), leg);
    let sent = String::from_utf8(world.log[0].2.to_vec()).unwrap();
    assert!(sent.contains("Contact: <sip:acme@198.51.100.1:5060>;expires=60\r\n"), "{sent}");
    let Event::Replied { result: Ok(response), .. } = &world.events[A][0] else { panic!() };
    assert!(response.headers.get(&HeaderName::Allow).is_some());
    world.assert_empty();
}

#[test]
fn silence_is_told_after_timer_f() {
    let mut world = World::new(2);
    world.lose(A, "REGISTER", "REGISTER", u32::MAX);
    let ask = register(&world, &Transport::Udp);
    world.ends[A].ask(world.now, ask).unwrap();
    world.rest(Duration::from_secs(31));
    assert!(world.names(A).is_empty());
    world.rest(Duration::from_secs(2));
    assert_eq!(world.names(A), ["no reply NoProvisional"]);
    world.assert_empty();
}
