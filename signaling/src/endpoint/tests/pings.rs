//! OPTIONS of ours outside of any call.

use super::*;

fn ping(world: &mut World, over: Transport) -> LegId {
    let uri = Uri::parse(&Bytes::from(format!("sip:{}", address(B)))).unwrap();
    world.ends[A].ping(world.now, Ping { target: address(B), over, uri }).unwrap()
}

#[test]
fn an_answer_is_told_once_with_its_time() {
    let mut world = World::new(1);
    let leg = ping(&mut world, Transport::Udp);
    world.rest(Duration::from_secs(60));
    assert_eq!(world.names(A), ["pinged 200 40"]);
    assert_eq!(leg_of(&world.events[A][0]), leg);
    let request = String::from_utf8(world.log[0].2.to_vec()).unwrap();
    assert!(request.starts_with("OPTIONS sip:203.0.113.2:5080 SIP/2.0\r\n"), "{request}");
    for field in
        ["Max-Forwards: 70", "CSeq: 1 OPTIONS", "Accept: application/sdp", "Contact: <sip:trunkline@198.51.100.1:5060>"]
    {
        assert!(request.contains(field), "{field}: {request}");
    }
    world.assert_empty();
}

#[test]
fn a_lost_answer_is_asked_for_again() {
    let mut world = World::new(2);
    world.lose(B, "SIP/2.0 200", "OPTIONS", 2);
    ping(&mut world, Transport::Udp);
    world.rest(Duration::from_secs(60));
    // T1 and twice T1 (RFC 3261 section 17.1.2.2), and the way there and back.
    assert_eq!(world.names(A), ["pinged 200 1540"]);
    world.assert_empty();
}

#[test]
fn silence_and_a_closed_port_are_told_apart() {
    let mut world = World::new(3);
    world.lose(A, "OPTIONS", "OPTIONS", u32::MAX);
    ping(&mut world, Transport::Udp);
    world.rest(Duration::from_secs(60));
    assert_eq!(world.names(A), ["ping failed NoProvisional"]);
    world.assert_empty();

    let mut world = World::new(4);
    ping(&mut world, Transport::Udp);
    world.ends[A].handle_transport_error(world.now, address(B));
    assert_eq!(
        std::iter::from_fn(|| world.ends[A].poll_event()).map(|event| name(&event)).collect::<Vec<_>>(),
        ["ping failed Transport"]
    );
}

#[test]
fn a_connection_that_does_not_come_up_is_told_with_its_error() {
    let over = Transport::Tls("agents.example".into());
    let mut world = World::new(5);
    ping(&mut world, over.clone());
    assert_eq!(world.ends[A].poll_transmit().unwrap().over, over);
    world.ends[A].handle_stream_error(world.now, address(B), &over, StreamError::Tls("expired".into()));
    assert_eq!(name(&world.ends[A].poll_event().unwrap()), r#"ping failed Tls("expired")"#);
    assert_eq!(world.ends[A].stats().transactions, 0);
}

#[test]
fn pings_count_among_the_transactions_an_endpoint_may_have() {
    let mut world = World::new(6);
    world.ends[A] = Endpoint::new(EndpointConfig { max_transactions: 1, ..config(A) }, [0; 32]);
    ping(&mut world, Transport::Udp);
    let uri = Uri::parse(&Bytes::from_static(b"sip:b")).unwrap();
    let second = Ping { target: address(B), over: Transport::Udp, uri };
    assert!(world.ends[A].ping(world.now, second).is_err());
    assert_eq!(world.ends[A].stats().overload, 1);
}
