use std::time::{Duration, Instant};

use super::meters::Meters;
use super::nonces::Nonces;
use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// An hour ahead: whatever asks the real clock is found out.
#[expect(clippy::disallowed_methods, reason = "virtual time has to begin somewhere")]
fn now() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

#[test]
fn networks_hold_the_addresses_that_begin_like_them() {
    for (network, inside, outside) in [
        ("192.0.2.0/24", &["192.0.2.0", "192.0.2.255", "::ffff:192.0.2.7"][..], &["192.0.3.0", "2001:db8::1"][..]),
        ("192.0.2.7", &["192.0.2.7"], &["192.0.2.6", "192.0.2.8"]),
        ("192.0.2.6/31", &["192.0.2.6", "192.0.2.7"], &["192.0.2.8"]),
        ("0.0.0.0/0", &["255.255.255.255", "0.0.0.0"], &["::"]),
        ("2001:db8::/32", &["2001:db8::1", "2001:db8:ffff::"], &["2001:db9::", "192.0.2.1"]),
        ("2001:db8::1", &["2001:db8::1"], &["2001:db8::2"]),
        ("::/0", &["::1"], &["127.0.0.1"]),
    ] {
        let parsed = Network::parse(network).unwrap();
        inside.iter().for_each(|address| assert!(parsed.contains(ip(address)), "{address} in {network}"));
        outside.iter().for_each(|address| assert!(!parsed.contains(ip(address)), "{address} not in {network}"));
    }
    for bad in ["", "192.0.2.0/33", "192.0.2.1/24", "192.0.2/24", "/24", "2001:db8::/129", "example.com", "1.2.3.4/x"] {
        assert_eq!(Network::parse(bad), None, "{bad}");
    }
}

#[test]
fn a_nonce_is_good_for_its_time_and_address_and_each_count_once() {
    let (start, peer) = (now(), ip("203.0.113.2"));
    let mut nonces = Nonces::new([1; 32]);
    let nonce = nonces.make(start, peer);
    assert_ne!(nonce, nonces.make(start, peer), "no two alike");
    assert!(nonces.is_good(start, peer, nonce.as_bytes()));
    assert!(!nonces.is_good(start, ip("203.0.113.3"), nonce.as_bytes()), "somebody else's");
    for forged in ["", "0", "00000000000000010000000000000000", &nonce.to_uppercase().replace('0', "1")] {
        assert!(!nonces.is_good(start, peer, forged.as_bytes()), "{forged}");
    }
    assert!(nonces.is_good(start + Duration::from_secs(299), peer, nonce.as_bytes()));
    assert!(!nonces.is_good(start + Duration::from_secs(300), peer, nonce.as_bytes()));
    for (count, fresh) in [(1, true), (1, false), (2, true), (7, true), (3, false), (7, false), (0, false), (8, true)] {
        assert_eq!(nonces.count(start, nonce.as_bytes(), count), fresh, "{count}");
    }
}

#[test]
fn counted_nonces_are_bounded_and_a_forgotten_one_is_good_no_more() {
    let (start, peer) = (now(), ip("203.0.113.2"));
    let mut nonces = Nonces::new([1; 32]);
    let made: Vec<_> = (0..5_000).map(|_| nonces.make(start, peer)).collect();
    made.iter().for_each(|nonce| assert!(nonces.count(start, nonce.as_bytes(), 1)));
    assert!(!nonces.is_good(start, peer, made[0].as_bytes()), "its count is not known any more");
    assert!(nonces.is_good(start, peer, made[4_999].as_bytes()));
    assert!(!nonces.count(start, made[4_999].as_bytes(), 1));
}

#[test]
fn strangers_have_so_many_answers_and_guesses_and_no_more() {
    let (mut now, scanner, other) = (now(), ip("203.0.113.2"), ip("198.51.100.9"));
    let mut meters = Meters::new([2; 32]);
    let answered = (0..1_000).filter(|_| meters.may_answer(now, scanner)).count();
    assert_eq!(answered, 40);
    assert!(meters.may_answer(now, other), "others have theirs");
    now += Duration::from_secs(1);
    assert_eq!((0..1_000).filter(|_| meters.may_answer(now, scanner)).count(), 20);
    let from_everywhere = (0..100_000_u32).filter(|n| meters.may_answer(now, IpAddr::from(n.to_be_bytes()))).count();
    assert!((400..=500).contains(&from_everywhere), "all together have theirs: {from_everywhere}");
    for _ in 0..20 {
        assert!(meters.may_guess(now, scanner));
        meters.guessed_wrong(now, scanner);
    }
    assert!(!meters.may_guess(now, scanner));
    assert!(!meters.may_guess(now + Duration::from_secs(29), scanner));
    assert!(meters.may_guess(now + Duration::from_secs(30), scanner));
    let network = |host: u16| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, host]);
    (0..20).for_each(|host| meters.guessed_wrong(now, network(host)));
    assert!(!meters.may_guess(now, network(99)), "an IPv6 network is one sender");
}
