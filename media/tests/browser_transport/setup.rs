//! Set-up: good, slow, broken, and attacked.

use std::time::Duration;

use proptest::prelude::*;
use str0m::config::DtlsVersion;
use str0m::{Event, RtcConfig};
use trunkline_media::api::{Path, SetupFailure};
use trunkline_media::browser::TransportEvent;

use crate::world::{Setup, Towards, Wire, World};

const SECOND: Duration = Duration::from_secs(1);

fn is_handshake(bytes: &[u8]) -> bool {
    matches!(bytes, [20..=63, ..])
}

fn is_client_hello(bytes: &[u8]) -> bool {
    bytes.first() == Some(&22) && bytes.get(13) == Some(&1)
}

#[test]
fn a_browser_connects_at_once() {
    let world = World::connected();
    let remote = world.public;
    let expected = [
        TransportEvent::IceConnected { remote, path: Path::Udp },
        TransportEvent::DtlsConnected { profile: "SRTP_AEAD_AES_128_GCM" },
    ];
    assert_eq!(world.events, expected);
    assert!(world.sent.iter().all(|(_, bytes)| bytes.len() <= 1200));
}

#[test]
fn a_connected_transport_comes_to_rest() {
    let mut world = World::connected();
    world.run_for(SECOND * 4);
    assert_eq!(world.gateway.poll_timeout(), None);
    let mut world = World::connected();
    world.browser_speaks(&[1; 40]);
    world.run_for(Duration::from_millis(30));
    assert_eq!(world.gateway.poll_timeout(), None, "audio shows that the browser has its keys");
}

#[test]
fn a_browser_that_prefers_newer_dtls_connects() {
    let config = |config: RtcConfig| config.set_dtls_version(DtlsVersion::Auto);
    let mut world = World::with(Setup { config, ..Setup::default() });
    assert!(world.run_until(SECOND * 5, |w| w.is_connected()), "{:?}", world.events);
}

/// Cuts a datagram with one handshake record into records with a piece of the message each.
fn fragmented(bytes: &[u8], size: usize) -> Vec<Vec<u8>> {
    let (head, message) = (&bytes[..13], &bytes[13..]);
    let (header, body) = (&message[..12], &message[12..]);
    let pieces = body.chunks(size).enumerate().map(|(n, piece)| {
        let three = |n: usize| [(n >> 16) as u8, (n >> 8) as u8, n as u8];
        let mut record = head[..11].to_vec();
        record.extend(u16::try_from(12 + piece.len()).unwrap().to_be_bytes());
        record.extend(&header[..6]);
        record.extend(three(n * size));
        record.extend(three(piece.len()));
        record.extend(piece);
        record
    });
    pieces.collect()
}

#[test]
fn a_client_hello_in_pieces_is_put_together() {
    for (size, backwards) in [(60, false), (50, true), (33, true)] {
        let wire: Wire = Box::new(move |_, bytes| {
            if !is_client_hello(bytes) {
                return vec![(Duration::ZERO, bytes.to_vec())];
            }
            let mut pieces = fragmented(bytes, size);
            assert!(pieces.len() > 1);
            if backwards {
                pieces.reverse();
            }
            pieces.into_iter().map(|piece| (Duration::ZERO, piece)).collect()
        });
        let mut world = World::with(Setup { wire, ..Setup::default() });
        assert!(world.run_until(SECOND * 3, |w| w.is_connected()), "{size}: {:?}", world.events);
    }
}

/// A datagram with a ClientHello, grown by an extension nobody knows: as big as hellos with post-quantum key shares.
fn grown(bytes: &[u8], by: u16) -> Vec<u8> {
    let mut body = bytes[25..].to_vec();
    let skip = |at: usize, width: usize, body: &[u8]| {
        at + width + body[at..at + width].iter().fold(0, |sum, &octet| sum << 8 | usize::from(octet))
    };
    let (session, cookie) = (skip(34, 1, &body), skip(skip(34, 1, &body), 1, &body));
    assert!(cookie > session);
    let extensions = skip(skip(cookie, 2, &body), 1, &body);
    let length = u16::from_be_bytes([body[extensions], body[extensions + 1]]) + 4 + by;
    body[extensions..extensions + 2].copy_from_slice(&length.to_be_bytes());
    body.extend([0xfa, 0xfa]);
    body.extend(by.to_be_bytes());
    body.extend(vec![0x5a; usize::from(by)]);
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    let mut datagram = bytes[..25].to_vec();
    datagram[11..13].copy_from_slice(&(u16::from_be_bytes(length) + 12).to_be_bytes());
    datagram[15..17].copy_from_slice(&length);
    datagram[23..25].copy_from_slice(&length);
    datagram.extend(body);
    datagram
}

#[test]
fn a_big_client_hello_gets_its_answer() {
    let wire: Wire = Box::new(|towards, bytes| {
        if towards != Towards::Gateway || !is_client_hello(bytes) {
            return vec![(Duration::ZERO, bytes.to_vec())];
        }
        let mut pieces = fragmented(&grown(bytes, 1800), 1100);
        pieces.reverse();
        pieces.into_iter().map(|piece| (Duration::ZERO, piece)).collect()
    });
    let mut world = World::with(Setup { wire, ..Setup::default() });
    let has_server_hello = |w: &World| w.sent.iter().any(|(_, d)| d[0] == 22 && d[13] == 2);
    assert!(world.run_until(SECOND * 3, has_server_hello), "{:?}", world.gateway.drops());
}

#[test]
fn several_records_in_a_datagram_are_taken() {
    // All handshake datagrams of a burst travel as one.
    let mut waiting: Vec<u8> = Vec::new();
    let wire: Wire = Box::new(move |towards, bytes| {
        if towards != Towards::Gateway || !is_handshake(bytes) || is_client_hello(bytes) {
            return vec![(Duration::ZERO, bytes.to_vec())];
        }
        waiting.extend_from_slice(bytes);
        // The Finished message is the only one in epoch 1.
        let has_finished = bytes.windows(5).any(|w| w[0] == 22 && w[1..3] == [0xfe, 0xfd] && w[3..5] == [0, 1]);
        if has_finished { vec![(Duration::ZERO, std::mem::take(&mut waiting))] } else { vec![] }
    });
    let mut world = World::with(Setup { wire, ..Setup::default() });
    assert!(world.run_until(SECOND * 3, |w| w.is_connected()), "{:?}", world.events);
}

/// A small generator, so that a run can be repeated.
fn dice(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |sides| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) % sides
    }
}

#[test]
fn a_lossy_path_that_reorders_and_duplicates_connects() {
    let mut slow = 0;
    for seed in 1..=60 {
        let mut roll = dice(seed);
        let wire: Wire = Box::new(move |_, bytes| {
            let copies = match roll(10) {
                0 | 1 => 0,
                2 => 2,
                _ => 1,
            };
            (0..copies).map(|_| (Duration::from_millis(roll(80)), bytes.to_vec())).collect()
        });
        let mut world = World::with(Setup { wire, ..Setup::default() });
        let now = world.now;
        let ok = world.run_until(SECOND * 14, |w| w.is_connected());
        println!("{seed} {ok} {:?}", world.now - now);
        slow += u32::from(world.events.len() > 3);
    }
    assert_eq!(slow, 0, "no set-up reports more than it has to");
}

#[test]
fn a_damaged_path_does_no_harm() {
    for seed in 1..=60 {
        let mut roll = dice(seed);
        let wire: Wire = Box::new(move |towards, bytes| {
            let mut bytes = bytes.to_vec();
            if towards == Towards::Gateway && is_handshake(&bytes) && roll(3) == 0 {
                let at = usize::try_from(roll(bytes.len() as u64)).unwrap();
                bytes[at] = u8::try_from(roll(256)).unwrap();
            }
            vec![(Duration::ZERO, bytes)]
        });
        let mut world = World::with(Setup { wire, ..Setup::default() });
        world.run_until(SECOND * 16, |w| w.is_connected());
        let over = world.events.iter().any(|e| matches!(e, TransportEvent::Failed(_)));
        assert!(world.gateway.is_connected() || over, "seed {seed}: {:?}", world.events);
    }
}

#[test]
fn another_certificate_is_refused() {
    let offer = |text: String| {
        let at = text.find("a=fingerprint:sha-256 ").unwrap() + "a=fingerprint:sha-256 ".len();
        let mut text = text.into_bytes();
        text[at] = if text[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(text).unwrap()
    };
    let mut world = World::with(Setup { offer, ..Setup::default() });
    let failed = TransportEvent::Failed(SetupFailure::DtlsFingerprint);
    assert!(world.run_until(SECOND * 5, |w| w.events.contains(&failed)), "{:?}", world.events);
    assert!(!world.gateway.is_connected() && !world.gateway_speaks(1, &[1; 20]));
    let told = world.sent.last().map(|(_, bytes)| (bytes[0], bytes[13..].to_vec()));
    assert_eq!(told, Some((21, vec![2, 42])), "a fatal bad_certificate");
}

#[test]
fn one_of_several_fingerprints_is_enough() {
    let offer = |text: String| {
        let other = format!("a=fingerprint:sha-256 {}\r\na=fingerprint:sha-256 ", vec!["00"; 32].join(":"));
        text.replacen("a=fingerprint:sha-256 ", &other, 1)
    };
    let mut world = World::with(Setup { offer, ..Setup::default() });
    assert!(world.run_until(SECOND * 5, |w| w.is_connected()), "{:?}", world.events);
}

#[test]
fn a_set_up_that_never_ends_fails_and_says_why() {
    let check = |drop: fn(Towards, &[u8]) -> bool, expected: fn(&SetupFailure) -> bool| {
        let wire: Wire = Box::new(move |towards, bytes| match drop(towards, bytes) {
            true => vec![],
            false => vec![(Duration::ZERO, bytes.to_vec())],
        });
        let mut world = World::with(Setup { wire, limit: SECOND * 8, ..Setup::default() });
        let started = world.now;
        world.run_until(SECOND * 20, |w| w.events.iter().any(|e| matches!(e, TransportEvent::Failed(_))));
        assert_eq!(world.now - started, SECOND * 8);
        match world.events.last() {
            Some(TransportEvent::Failed(failure)) => assert!(expected(failure), "{failure:?}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(world.gateway.poll_timeout(), None);
    };
    let silent = |f: &SetupFailure| *f == SetupFailure::Ice { candidates: 1, checks: 0 };
    check(|towards, _| towards == Towards::Gateway, silent);
    check(|_, bytes| is_handshake(bytes), |f| *f == SetupFailure::DtlsTimeout);
    // Everything but what a browser answers our flight with.
    let tail = |towards, bytes: &[u8]| towards == Towards::Gateway && is_handshake(bytes) && !is_client_hello(bytes);
    check(tail, |f| *f == SetupFailure::DtlsTimeout);
}

#[test]
fn our_flight_is_repeated_soon() {
    // The first flight after the cookie is lost.
    let mut lost = 0;
    let wire: Wire = Box::new(move |towards, bytes| {
        let is_server_hello = bytes.first() == Some(&22) && bytes.get(13) == Some(&2);
        if towards == Towards::Browser && is_server_hello && lost < 1 {
            lost += 1;
            return vec![];
        }
        vec![(Duration::ZERO, bytes.to_vec())]
    });
    let mut world = World::with(Setup { wire, ..Setup::default() });
    let started = world.now;
    assert!(world.run_until(SECOND * 5, |w| w.is_connected()));
    assert!(world.now - started < Duration::from_millis(600), "{:?}", world.now - started);
}

#[test]
fn a_stranger_cannot_hinder_a_set_up() {
    let hello = World::connected().captured.into_iter().find(|d| is_client_hello(d)).unwrap();
    let mut world = World::new();
    let stranger = "198.51.100.66:6666".parse().unwrap();
    let mut roll = dice(5);
    let mut done = false;
    for _ in 0..1000 {
        done |= world.run_until(Duration::from_millis(2), |w| w.is_connected());
        world.inject(stranger, &hello);
        world.inject(stranger, &[21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40]);
        let length = roll(100);
        let junk: Vec<u8> = (0..length).map(|_| u8::try_from(roll(256)).unwrap()).collect();
        world.inject(stranger, &junk);
    }
    assert!(done, "{:?}", world.events);
    assert!(world.sent.iter().all(|(to, _)| *to != stranger));
    assert!(world.gateway.drops().wrong_source >= 1000);
}

/// The same from the browser's own address, which a stranger may forge, but without seeing what goes there.
#[test]
fn who_forges_the_address_cannot_hinder_a_set_up() {
    let captured = World::connected().captured;
    let hello = captured.iter().find(|d| is_client_hello(d)).unwrap();
    let mut null = hello.clone();
    let random = 13 + 12 + 2;
    let suites = random + 32 + 1 + 1;
    let length = usize::from(u16::from_be_bytes([null[suites], null[suites + 1]]));
    null[suites + 2..suites + 2 + length].fill(0);
    let mut stale = captured.iter().filter(|d| is_client_hello(d)).nth(1).unwrap().clone();
    stale[random + 32 + 1 + 1] ^= 0xff; // into the cookie, which a stranger does not know
    let alert = [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40];
    let mut sealed = vec![22, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 0, 0, 40];
    sealed.extend_from_slice(&[0x5a; 40]);

    let mut world = World::new();
    let friend = world.public;
    let mut done = false;
    for _ in 0..300 {
        done |= world.run_until(Duration::from_millis(2), |w| w.is_connected());
        for datagram in [hello, &null, &stale, &alert.to_vec(), &sealed] {
            world.inject(friend, datagram);
        }
    }
    assert!(done, "{:?} {:?}", world.events, world.gateway.drops());
}

#[test]
fn a_browser_that_refuses_us_is_believed_after_a_while() {
    let mut world = World::new();
    let has_server_hello = |w: &World| w.sent.iter().any(|(_, d)| d[0] == 22 && d[13] == 2);
    assert!(world.run_until(SECOND, has_server_hello));
    // From here on only its alert gets through.
    world.wire = Box::new(|_, _| vec![]);
    let friend = world.public;
    world.inject(friend, &[21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 42]);
    let failed = TransportEvent::Failed(SetupFailure::DtlsAlert(Some(42)));
    assert!(world.run_until(SECOND * 4, |w| w.events.contains(&failed)), "{:?}", world.events);
}

#[test]
fn dtls_before_the_first_check_is_dropped() {
    let mut world = World::new();
    let friend = world.public;
    world.inject(friend, &[22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!((world.gateway.drops().wrong_source, world.sent.len()), (1, 0));
    assert!(world.run_until(SECOND * 5, |w| w.is_connected()));
    assert!(world.browser_events.iter().any(|e| matches!(e, Event::Connected)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// A run of datagrams of any content, from the browser's address and from others, at any moment of the set-up.
    #[test]
    fn no_datagrams_panic(
        after in 0u64..200,
        datagrams in proptest::collection::vec((any::<bool>(), 0u8..70, proptest::collection::vec(any::<u8>(), 0..90)), 1..40),
    ) {
        let mut world = World::new();
        world.run_for(Duration::from_millis(after));
        let friend = world.public;
        for (is_friend, first, mut bytes) in datagrams {
            if let (true, Some(octet)) = (first > 19, bytes.first_mut()) {
                *octet = first; // most of them DTLS
            }
            if first % 2 == 0 && bytes.len() > 13 {
                let length = bytes.len() - 13;
                bytes.splice(1..13, [0xfe, 0xfd, 0, first % 4 / 2, 0, 0, 0, 0, 0, first, 0, length as u8]);
            }
            world.inject(if is_friend { friend } else { "198.51.100.66:6666".parse().unwrap() }, &bytes);
        }
        world.run_for(SECOND * 20);
    }
}
