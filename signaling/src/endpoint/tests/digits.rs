//! Digits by INFO, both ways.

use super::*;
use crate::auth::Credentials;
use crate::message::{HeaderName, Method};

fn digits(text: &str, each: u64) -> Vec<(char, Duration)> {
    text.chars().map(|digit| (digit, ms(each))).collect()
}

fn heard(world: &World, side: usize) -> String {
    let digits = world.events[side].iter().filter_map(|event| {
        let Event::Digit { digit, .. } = event else { return None };
        Some(*digit)
    });
    digits.collect()
}

#[test]
fn digits_arrive_once_and_in_order_and_leave_room_for_each_other() {
    for form in [InfoForm::Relay, InfoForm::Plain] {
        let (mut world, caller, callee) = talking(1);
        let start = world.now;
        assert_eq!(world.ends[A].send_digits(start, caller, form, &digits("1590*#AD", 100)), Ok(8));
        assert_eq!(world.ends[B].send_digits(start, callee, form, &digits("73", 100)), Ok(2));
        world.rest(secs(40));
        assert_eq!((heard(&world, B), heard(&world, A)), ("1590*#AD".to_owned(), "73".to_owned()));
        // The tone and the pause after it, before the next.
        let sent = world.sent_ms(start, A, "INFO");
        assert_eq!(sent, (0..8).map(|n| n * 170).collect::<Vec<u128>>());
        for side in [A, B] {
            assert_eq!(world.names(side).iter().filter(|name| *name == "digits sent").count(), 1);
        }
    }
}

#[test]
fn under_loss_no_digit_is_doubled_or_overtaken() {
    for seed in 0..50 {
        let (mut world, caller, _) = talking(seed);
        world.loss_permille = 300;
        world.latency_ms = 5..80;
        world.ends[A].send_digits(world.now, caller, InfoForm::Relay, &digits("12345", 80)).unwrap();
        world.rest(secs(200));
        let heard = heard(&world, B);
        let unsent = world.names(A).iter().find_map(|name| Some(name.strip_prefix("digits refused None ")?.to_owned()));
        match unsent {
            None => assert_eq!(heard, "12345", "seed {seed}"),
            // Nothing came through for 32 s; the digit may have arrived all the same.
            Some(unsent) => assert!("12345".starts_with(&heard) && "12345".ends_with(&unsent), "seed {seed}"),
        }
    }
}

#[test]
fn a_peer_that_takes_none_is_told_apart_and_gets_no_more() {
    for status in [405, 415, 501, 603] {
        let mut lone = Lone::new();
        let (leg, _) = lone.answered_call();
        lone.end.send_digits(lone.now, leg, InfoForm::Relay, &digits("12#", 100)).unwrap();
        let info = lone.sent_requests().remove(0);
        assert_eq!((info.method.clone(), &info.body[..]), (Method::Info, &b"Signal=1\r\nDuration=100\r\n"[..]));
        assert_eq!(info.headers.content_type().as_deref(), Some("application/dtmf-relay"));
        lone.answer(&info, status, "far", None);
        if status == 415 {
            // It may know the digit alone.
            let plain = lone.sent_requests().remove(0);
            assert_eq!(
                (&plain.body[..], plain.headers.content_type().as_deref()),
                (&b"1"[..], Some("application/dtmf"))
            );
            lone.answer(&plain, status, "far", None);
        }
        assert_eq!(lone.names(), [format!("digits refused Some({status}) 12#")]);
        lone.wait(secs(5));
        assert!(lone.sent_requests().is_empty());
    }
    // A call that is none any more.
    let mut lone = Lone::new();
    let (leg, _) = lone.answered_call();
    lone.end.send_digits(lone.now, leg, InfoForm::Relay, &digits("1", 100)).unwrap();
    let info = lone.sent_requests().remove(0);
    lone.answer(&info, 481, "far", None);
    assert_eq!(lone.names(), ["lost Some(481)"]);
}

#[test]
fn a_challenge_is_answered_and_the_digit_goes_again() {
    let mut lone = Lone::new();
    let credentials = Some(Credentials { username: "u".into(), password: "p".into() });
    let leg = lone.end.invite(lone.now, Invite { credentials, ..call(address(B)) }).unwrap();
    let invite = lone.sent_requests().remove(0);
    lone.answer(&invite, 200, "far", Some(ANSWER));
    lone.names();
    lone.sent_requests();
    lone.end.send_digits(lone.now, leg, InfoForm::Relay, &digits("5", 100)).unwrap();
    let info = lone.sent_requests().remove(0);
    let challenge = Response::to_request(&info, 401, Some("far"))
        .with(HeaderName::WwwAuthenticate, r#"Digest realm="r", nonce="n", qop="auth""#);
    lone.give(challenge.to_bytes());
    let again = lone.sent_requests().remove(0);
    assert!(again.headers.get(&HeaderName::Authorization).is_some());
    assert_eq!(again.body, info.body);
    lone.answer(&again, 200, "far", None);
    assert_eq!(lone.names(), ["digits sent"]);
}

#[test]
fn the_queue_of_digits_has_an_end() {
    let mut lone = Lone::new();
    let (leg, _) = lone.answered_call();
    assert_eq!(lone.end.send_digits(lone.now, leg, InfoForm::Relay, &digits(&"1".repeat(100), 50)), Ok(64));
    assert_eq!(lone.end.send_digits(lone.now, leg, InfoForm::Relay, &digits("2", 50)), Ok(0));
    lone.end.hangup(lone.now, leg, None).unwrap();
    assert_eq!(lone.end.send_digits(lone.now, leg, InfoForm::Relay, &digits("2", 50)), Err(NoSuchLeg));
}

#[test]
fn info_row_by_row() {
    let rows: [(&str, &str, u16, &[&str]); 8] = [
        ("Content-Type: application/dtmf-relay\r\n", "Signal=5\r\nDuration=160\r\n", 200, &["digit 5 Some(160)"]),
        ("Content-Type: Application/DTMF-Relay;x=y\r\n", "Signal=11\r\n", 200, &["digit # None"]),
        ("Content-Type: application/dtmf\r\n", "7", 200, &["digit 7 None"]),
        ("Content-Type: application/dtmf-relay\r\n", "Signal=16\r\nDuration=250\r\n", 200, &[]),
        ("Content-Type: application/dtmf-relay\r\n", "Signal=?\r\n", 400, &[]),
        ("Content-Type: application/media_control+xml\r\n", "<x/>", 415, &[]),
        ("", "", 200, &[]),
        ("Info-Package: dtmf\r\nContent-Type: application/dtmf\r\n", "7", 469, &[]),
    ];
    for (fields, body, status, events) in rows {
        let mut lone = Lone::new();
        let (_, invite) = lone.answered_call();
        let info = Lone::in_dialog(&invite, "INFO", 7, fields, body);
        for _ in 0..3 {
            lone.give(info.clone());
        }
        let responses = lone.sent_responses();
        assert_eq!(responses[0].status, status, "{fields}{body}");
        assert_eq!(lone.names(), events, "{fields}{body}: once, however often it comes");
        if status == 415 {
            let accepted = String::from_utf8_lossy(responses[0].headers.get(&HeaderName::Accept).unwrap()).into_owned();
            assert_eq!(accepted, "application/dtmf-relay, application/dtmf");
        }
        if !events.is_empty() {
            assert!(responses.iter().all(|response| response.status == 200));
        }
    }
}
