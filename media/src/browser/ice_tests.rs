use proptest::prelude::*;

use std::net::SocketAddr;

use super::*;
use crate::api::Path;
use crate::browser::stun::testing::{Check, request};

const NEW_PASSWORD: &str = "another-password-of-22";

fn credentials(ufrag: &str, password: &str) -> IceCredentials {
    IceCredentials { ufrag: ufrag.into(), password: password.into() }
}

fn agent() -> (IceLite, Instant) {
    let provider = rtc_crypto::default_provider().unwrap();
    let local = credentials("ours", "a-password-of-22-chars");
    #[allow(clippy::disallowed_methods)] // the one clock reading of a simulated run
    let now = Instant::now();
    (IceLite::new(local, &credentials("theirs", "not used by a lite agent"), &*provider), now)
}

fn address(last: u16) -> Remote {
    Remote { path: Path::Udp, address: SocketAddr::from(([192, 0, 2, 1], last)) }
}

/// Hands over a check; says what it was and which type of message answered it.
fn send(agent: &mut IceLite, now: Instant, from: Remote, check: &Check<'_>) -> (Checked, Option<u16>) {
    let mut out = Outbox::new();
    let checked = agent.handle(now, from, &request(check), &mut out);
    assert!(out.len() <= 1);
    let answer = out.iter().next().map(|d| {
        assert_eq!((d.port, d.to), (from.port(), from.address));
        stun::message_type(d.bytes).unwrap()
    });
    (checked, answer)
}

fn numbered<'a>(number: u8) -> Check<'a> {
    Check { transaction: [number; 12], ..Check::default() }
}

const AUTHENTIC: Checked = Checked::Authentic;

#[test]
fn checks_are_judged() {
    let table = [
        (Check::default(), AUTHENTIC, Some(stun::BINDING_SUCCESS)),
        (Check { password: "wrong", ..Check::default() }, Checked::BadIntegrity, None),
        (Check { username: "ours:others", ..Check::default() }, Checked::BadIntegrity, None),
        (Check { username: "theirs:ours", ..Check::default() }, Checked::BadIntegrity, None),
        (Check { username: "ours", ..Check::default() }, Checked::BadIntegrity, None),
        (Check { unknown: Some(0x7777), ..Check::default() }, Checked::Refused, Some(stun::BINDING_ERROR)),
        (Check { unknown: Some(0xC057), ..Check::default() }, AUTHENTIC, Some(stun::BINDING_SUCCESS)),
        (Check { controlled: true, ..Check::default() }, Checked::Refused, Some(stun::BINDING_ERROR)),
    ];
    for (check, expected, answer) in table {
        let (mut agent, now) = agent();
        assert_eq!(send(&mut agent, now, address(1), &check), (expected, answer), "{check:?}");
        assert_eq!(agent.knows(address(1)), expected == AUTHENTIC, "{check:?}");
        assert_eq!(agent.requests(), 1);
    }
}

#[test]
fn a_check_without_integrity_gets_no_answer() {
    let (mut agent, now) = agent();
    let mut bytes = request(&Check::default());
    bytes.truncate(bytes.len() - 32); // integrity and fingerprint
    let length = u16::try_from(bytes.len() - 20).unwrap();
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    let mut out = Outbox::new();
    assert_eq!(agent.handle(now, address(1), &bytes, &mut out), Checked::BadIntegrity);
    assert!(out.is_empty());
}

#[test]
fn the_first_validated_pair_is_used_until_one_is_nominated() {
    let (mut agent, now) = agent();
    send(&mut agent, now, address(1), &numbered(1));
    send(&mut agent, now, address(2), &numbered(2));
    assert_eq!(agent.selected(), Some(address(1)));
    send(&mut agent, now, address(2), &Check { use_candidate: true, ..numbered(3) });
    assert_eq!(agent.selected(), Some(address(2)));
    send(&mut agent, now, address(1), &numbered(4));
    assert_eq!(agent.selected(), Some(address(2)), "a plain check does not undo a nomination");
    send(&mut agent, now, address(3), &Check { use_candidate: true, ..numbered(5) });
    assert_eq!(agent.selected(), Some(address(3)), "the latest nomination counts");
    assert!(agent.knows(address(1)) && agent.knows(address(2)));
}

#[test]
fn an_address_that_fell_silent_yields_to_one_that_is_alive() {
    let (mut agent, now) = agent();
    send(&mut agent, now, address(1), &Check { use_candidate: true, ..numbered(1) });
    let later = now + Duration::from_millis(900);
    send(&mut agent, later, address(2), &numbered(2));
    assert_eq!(agent.selected(), Some(address(1)));
    agent.heard(later, address(1));
    let later = now + Duration::from_millis(1800);
    send(&mut agent, later, address(2), &numbered(3));
    assert_eq!(agent.selected(), Some(address(1)), "audio counts as a sign of life");
    send(&mut agent, now + Duration::from_secs(3), address(2), &numbered(4));
    assert_eq!(agent.selected(), Some(address(2)));
}

/// A browser that sends no audio, as they check: the pair in use every 2.5 seconds, and nominate it, others now and then.
#[test]
fn who_only_listens_is_not_sent_to_a_pair_that_is_merely_alive() {
    let (mut agent, now) = agent();
    let mut number = 0;
    let mut check = |agent: &mut IceLite, ms: u64, from: u16, use_candidate: bool| {
        number += 1;
        let check = Check { use_candidate, ..numbered(number) };
        assert_eq!(send(agent, now + Duration::from_millis(ms), address(from), &check).0, AUTHENTIC);
    };
    check(&mut agent, 0, 1, true);
    for second in (0..120).step_by(10) {
        for n in 1..=4 {
            check(&mut agent, second * 1_000 + n * 2_500, 1, true);
            // A report comes soon after some of them.
            agent.heard(now + Duration::from_millis(second * 1_000 + n * 2_500 + 100), address(1));
        }
        check(&mut agent, second * 1_000 + 12_300, 2, false);
        assert_eq!(agent.selected(), Some(address(1)), "{second}");
    }
    // And yields once nothing comes from there.
    check(&mut agent, 130_000, 2, false);
    assert_eq!(agent.selected(), Some(address(2)));
}

#[test]
fn a_check_replayed_from_elsewhere_moves_nothing() {
    let (mut agent, now) = agent();
    let check = Check { use_candidate: true, ..numbered(1) };
    send(&mut agent, now, address(1), &check);
    assert_eq!(send(&mut agent, now, address(1), &check).0, AUTHENTIC, "a retransmission");
    assert_eq!(send(&mut agent, now, address(9), &check), (Checked::BadIntegrity, None));
    assert_eq!(agent.selected(), Some(address(1)));
}

#[test]
fn old_credentials_are_answered_until_new_ones_are_used() {
    let (mut agent, now) = agent();
    let provider = rtc_crypto::default_provider().unwrap();
    send(&mut agent, now, address(1), &Check { use_candidate: true, ..numbered(1) });
    agent.restart(&credentials("theirs2", "x"), credentials("ours2", NEW_PASSWORD), &*provider);
    assert_eq!(agent.local().ufrag, "ours2");
    assert_eq!(agent.selected(), Some(address(1)));
    assert_eq!(send(&mut agent, now, address(1), &numbered(2)).0, AUTHENTIC);
    let new = Check { username: "ours2:theirs2", password: NEW_PASSWORD, ..numbered(3) };
    assert_eq!(send(&mut agent, now, address(2), &new).0, AUTHENTIC);
    assert_eq!(agent.selected(), Some(address(2)));
    assert_eq!(send(&mut agent, now, address(1), &numbered(4)).0, Checked::BadIntegrity);
    assert!(agent.knows(address(1)), "media of the old path may still be under way");
}

#[test]
fn addresses_are_bounded_and_the_selected_one_stays() {
    let (mut agent, now) = agent();
    send(&mut agent, now, address(1), &Check { use_candidate: true, ..numbered(0) });
    for port in 2..500u16 {
        let now = now + Duration::from_millis(u64::from(port));
        let mut transaction = [7; 12];
        transaction[..2].copy_from_slice(&port.to_be_bytes());
        send(&mut agent, now, address(port), &Check { transaction, ..Check::default() });
    }
    assert_eq!(agent.remotes.len(), REMOTES_LIMIT);
    assert!(agent.knows(address(1)) && agent.knows(address(499)) && !agent.knows(address(2)));
}

#[test]
fn indications_and_answers_are_ignored() {
    let (mut agent, now) = agent();
    for kind in [stun::BINDING_INDICATION, stun::BINDING_SUCCESS, stun::BINDING_ERROR] {
        let mut bytes = request(&Check::default());
        bytes[..2].copy_from_slice(&kind.to_be_bytes());
        let mut out = Outbox::new();
        assert_eq!(agent.handle(now, address(1), &bytes, &mut out), Checked::Ignored);
        assert!(out.is_empty());
    }
    assert_eq!(agent.requests(), 0);
}

/// The same address over UDP and over TCP is two, and a connection that is gone is neither sent to nor believed.
#[test]
fn a_connection_is_no_datagram_and_is_forgotten_with_its_end() {
    let (mut agent, now) = agent();
    let (udp, tcp) = (address(1), Remote { path: Path::Tcp, ..address(1) });
    send(&mut agent, now, tcp, &numbered(1));
    assert!(agent.knows(tcp) && !agent.knows(udp));
    assert_eq!(agent.selected(), Some(tcp));
    agent.forget(tcp);
    assert!(!agent.knows(tcp) && agent.selected().is_none());
    send(&mut agent, now, udp, &numbered(2));
    send(&mut agent, now, tcp, &Check { use_candidate: true, ..numbered(3) });
    assert_eq!(agent.selected(), Some(tcp));
    agent.forget(tcp);
    assert_eq!(agent.selected(), Some(udp));
}

proptest! {
    #[test]
    fn no_damaged_check_panics_or_is_believed(at in 0usize..100, value: u8) {
        let (mut agent, now) = agent();
        let mut bytes = request(&Check::default());
        let at = at % (bytes.len() - 8); // nothing protects what follows the integrity
        prop_assume!(bytes[at] != value);
        bytes[at] = value;
        agent.handle(now, address(1), &bytes, &mut Outbox::new());
        prop_assert!(!agent.knows(address(1)));
    }
}
