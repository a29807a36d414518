use super::*;

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn net() -> (SimNet, Instant) {
    (SimNet::new(1, at("192.0.2.10:1").ip()), Instant::now())
}

fn lost_of(link: Link, sent: u32) -> f64 {
    let (mut net, now) = net();
    net.set_link(at("10.0.0.1:1").ip(), link);
    for _ in 0..sent {
        net.send(now, at("10.0.0.1:1"), at("192.0.2.10:5"), b"x");
    }
    net.lost as f64 / f64::from(sent)
}

#[test]
fn links_lose_what_they_say() {
    assert!((lost_of(Link::good(), 1000)).abs() < 1e-9);
    assert!((lost_of(Link::good().loss(Loss::Random(0.2)), 20_000) - 0.2).abs() < 0.02);
    assert!((lost_of(Link::good().loss(Loss::bursty(0.05, 4.0)), 50_000) - 0.05).abs() < 0.01);
}

#[test]
fn a_translator_shows_its_own_address_and_forgets_the_one_before() {
    let (mut net, now) = net();
    let (inner, gateway) = (at("10.0.0.1:50000"), at("192.0.2.10:20000"));
    net.translate(inner, at("198.51.100.1:40000"));
    net.send(now, inner, gateway, b"up");
    let later = now + Duration::from_secs(1);
    let arrival = net.poll(later).unwrap();
    assert_eq!((arrival.from, arrival.to), (at("198.51.100.1:40000"), gateway));
    net.translate(inner, at("198.51.100.1:40001"));
    net.send(later, gateway, at("198.51.100.1:40000"), b"lost");
    net.send(later, gateway, at("198.51.100.1:40001"), b"down");
    let arrival = net.poll(later + Duration::from_secs(1)).unwrap();
    assert_eq!((arrival.to, arrival.bytes.as_slice()), (inner, b"down".as_slice()));
    assert!(net.poll(later + Duration::from_secs(1)).is_none());
}

#[test]
fn a_blackout_takes_everything_and_ends() {
    let (mut net, now) = net();
    net.black_out(at("10.0.0.1:1").ip(), now + Duration::from_secs(10));
    net.send(now, at("10.0.0.1:1"), at("192.0.2.10:5"), b"x");
    assert_eq!((net.in_flight(), net.lost), (0, 1));
    net.send(now + Duration::from_secs(10), at("10.0.0.1:1"), at("192.0.2.10:5"), b"x");
    assert_eq!(net.in_flight(), 1);
}

#[test]
fn each_direction_has_its_own_link() {
    let (mut net, now) = net();
    let (host, gateway) = (at("10.0.0.1:1"), at("192.0.2.10:5"));
    net.set_way(host.ip(), Towards::Gateway, Link::good().loss(Loss::Random(1.0)));
    net.set_way(host.ip(), Towards::Host, Link::good().corrupting());
    net.send(now, host, gateway, b"x");
    assert_eq!((net.in_flight(), net.lost), (0, 1));
    let later = now + Duration::from_secs(1);
    for (sent, arrives) in [
        ([0x80, 111, 0, 9], [0x80, 111, 0, 9 ^ 0x55]),
        ([0x80, 239, 0, 9], [0x80, 239, 0, 9 ^ 0x55]),
        ([0x80, 200, 0, 9], [0x80, 200, 0, 9]),
        ([0, 1, 0, 9], [0, 1, 0, 9]),
        ([22, 254, 253, 9], [22, 254, 253, 9]),
    ] {
        net.send(now, gateway, host, &sent);
        assert_eq!(net.poll(later).unwrap().bytes, arrives);
    }
    net.black_out_way(host.ip(), Towards::Host, later);
    net.send(now, gateway, host, b"x");
    assert_eq!((net.in_flight(), net.lost), (0, 2));
}
