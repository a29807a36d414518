//! Half-hours of calls whose sessions somebody has to refresh (RFC 4028).

use super::*;
use crate::message::{HeaderName, Method};

const MINUTE: u64 = 60;

impl World {
    /// A call whose INVITE asks for such sessions, answered.
    fn timed(&mut self, expires: u32) -> LegId {
        let invite = Invite { session_expires: expires, ..call(address(B)) };
        let leg = self.ends[A].invite(self.now, invite).unwrap();
        self.run(secs(1), obliging);
        assert!(self.names(A).contains(&"answered".to_owned()));
        leg
    }

    /// Seconds since `start` at which `side` sent such requests.
    fn sent_secs(&self, start: Instant, side: usize, prefix: &str) -> Vec<u128> {
        self.sent_ms(start, side, prefix).into_iter().map(|ms| ms / 1000).collect()
    }
}

/// Header fields of a 2xx.
fn agreed(session: &str) -> String {
    if session.is_empty() { String::new() } else { format!("Session-Expires: {session}\r\n") }
}

impl Lone {
    /// A call that asks for sessions of half an hour, answered by a peer that says so about timers; gives the INVITE.
    fn timed_call(&mut self, extra: &str) -> (LegId, Request) {
        let invite = Invite { session_expires: 1800, ..call(address(B)) };
        let leg = self.end.invite(self.now, invite).unwrap();
        let invite = self.sent_requests().remove(0);
        self.reply(&invite, 200, extra, Some(ANSWER));
        assert_eq!(self.names(), ["answered"]);
        assert_eq!(self.sent_requests().remove(0).method, Method::Ack);
        (leg, invite)
    }

    /// Answers a request, with further header fields.
    fn reply(&mut self, request: &Request, status: u16, extra: &str, sdp: Option<&'static str>) {
        let mut response = Response::to_request(request, status, Some("far"));
        response.headers.push(HeaderName::Contact, format!("<sip:far@{}>", address(B)));
        if let Some(sdp) = sdp {
            response = response.with_body("application/sdp", Bytes::from_static(sdp.as_bytes()));
        }
        let text = String::from_utf8(response.to_bytes().to_vec()).unwrap();
        self.give(text.replacen("\r\n", &format!("\r\n{extra}"), 1));
    }
}

fn field(request: &Request, name: &HeaderName) -> String {
    String::from_utf8_lossy(request.headers.get(name).map_or(&b"-"[..], |value| value)).into_owned()
}

#[test]
fn two_of_ours_keep_a_call_for_hours_by_update() {
    let mut world = World::new(1);
    let start = world.now;
    let leg = world.timed(1800);
    world.run(secs(120 * MINUTE), obliging);
    assert_eq!(world.sent_secs(start, A, "UPDATE"), [900, 1800, 2700, 3600, 4500, 5400, 6300, 7200]);
    assert!(world.sent_ms(start, B, "UPDATE").is_empty() && world.sent_ms(start, A, "BYE").is_empty());
    world.ends[A].hangup(world.now, leg, None).unwrap();
    world.rest(secs(40));
    world.assert_empty();
}

#[test]
fn a_peer_without_timers_is_left_alone() {
    let mut world = World::new(2);
    let start = world.now;
    world.timed(0);
    world.run(secs(300 * MINUTE), obliging);
    for side in [A, B] {
        assert!(world.sent_ms(start, side, "UPDATE").is_empty() && world.sent_ms(start, side, "BYE").is_empty());
    }
    let mut lone = Lone::new();
    lone.timed_call("");
    lone.wait(secs(300 * MINUTE));
    assert!(lone.sent().is_empty() && lone.names().is_empty());
}

#[test]
fn what_the_answer_says_decides() {
    // Session-Expires of the 2xx; what we send and when, in seconds; the end.
    type Row = (&'static str, &'static [(u64, &'static str)], &'static str);
    let rows: [Row; 6] = [
        ("1800;refresher=uac", &[(900, "INVITE")], ""),
        ("1800", &[(900, "INVITE")], ""),
        ("200;refresher=uac", &[(100, "INVITE")], ""),
        ("1800;refresher=uas", &[(1768, "BYE")], "expired 1800 theirs"),
        ("90;refresher=uas", &[(60, "BYE")], "expired 90 theirs"),
        ("nonsense", &[], ""),
    ];
    for (session, sent, end) in rows {
        let mut lone = Lone::new();
        lone.timed_call(&agreed(session));
        let mut passed = 0;
        for (at, method) in sent {
            lone.wait(secs(at - passed) - ms(1));
            assert!(lone.sent().is_empty(), "{session}: before {at}");
            lone.wait(ms(1));
            passed = *at;
            let request = lone.sent_requests().remove(0);
            assert_eq!(request.method.to_string(), *method, "{session}");
            if request.method == Method::Invite {
                assert_eq!(field(&request, &HeaderName::SessionExpires), "1800;refresher=uac", "{session}");
                assert_eq!(request.body, OFFER, "{session}");
            } else {
                assert_eq!(field(&request, &HeaderName::Reason), "Q.850;cause=102;text=\"Session timer expired\"");
            }
        }
        if sent.is_empty() {
            lone.wait(secs(3600));
        }
        assert_eq!(lone.names().join(","), end, "{session}");
    }
}

#[test]
fn our_refresh_takes_the_way_the_peer_allows() {
    let mut lone = Lone::new();
    lone.timed_call("Allow: INVITE, UPDATE, BYE\r\nSession-Expires: 600;refresher=uac\r\n");
    lone.wait(secs(300));
    let update = lone.sent_requests().remove(0);
    assert_eq!((&update.method, update.body.len()), (&Method::Update, 0));
    assert!(update.headers.lists(&HeaderName::Supported, "timer"));
    // It does not take it after all: the next is a re-INVITE.
    lone.reply(&update, 501, "", None);
    lone.wait(ms(1));
    let invite = lone.sent_requests().remove(0);
    assert_eq!(invite.method, Method::Invite);
    lone.reply(&invite, 200, "Session-Expires: 600;refresher=uac\r\n", Some(ANSWER));
    assert_eq!(lone.sent_requests().remove(0).method, Method::Ack);
    assert_eq!(lone.names(), ["offer answered"]);
    lone.wait(secs(300));
    assert_eq!(lone.sent_requests().remove(0).method, Method::Invite);
}

#[test]
fn a_peer_that_refreshes_keeps_the_call() {
    for method in ["UPDATE", "INVITE"] {
        let mut lone = Lone::new();
        let (_, invite) = lone.timed_call(&agreed("300;refresher=uas"));
        for round in 0..20 {
            lone.wait(secs(150));
            assert!(lone.sent().is_empty(), "{method} {round}");
            let extra = "Supported: timer\r\nSession-Expires: 300;refresher=uac\r\nContent-Type: application/sdp\r\n";
            let body = if method == "INVITE" { ANSWER } else { "" };
            lone.give(Lone::in_dialog(&invite, method, 10 + round, extra, body));
            if method == "INVITE" {
                let Some(Event::Offer { leg, .. }) = lone.end.poll_event() else { panic!("no offer") };
                lone.end.answer_offer(lone.now, leg, Ok(answer())).unwrap();
            }
            let response = lone.sent_responses().pop().unwrap();
            assert_eq!(response.status, 200);
            assert_eq!(response.headers.get(&HeaderName::SessionExpires).unwrap(), "300;refresher=uac");
            assert!(response.headers.lists(&HeaderName::Require, "timer"));
            if method == "INVITE" {
                lone.give(Lone::in_dialog(&invite, "ACK", 10 + round, "", ""));
            }
        }
        // And then it falls silent: 300 - min(32, 100) seconds.
        lone.wait(secs(268) - ms(1));
        assert!(lone.sent().is_empty(), "{method}");
        lone.wait(ms(1));
        assert_eq!(lone.sent_requests().remove(0).method, Method::Bye);
        assert_eq!(lone.names(), ["expired 300 theirs"]);
    }
}

#[test]
fn requests_of_the_peer_about_timers() {
    // What it says; status; Session-Expires and Require of the answer.
    let rows = [
        ("Supported: timer\r\nSession-Expires: 60\r\n", 422, "-", "-"),
        ("Session-Expires: 60\r\n", 200, "90;refresher=uas", "-"),
        ("Supported: timer\r\nSession-Expires: 120\r\n", 200, "120;refresher=uac", "timer"),
        ("Supported: timer\r\nSession-Expires: 120;refresher=uas\r\n", 200, "120;refresher=uas", "-"),
        (
            "Require: timer\r\nSupported: timer\r\nSession-Expires: 120;refresher=uac\r\n",
            200,
            "120;refresher=uac",
            "timer",
        ),
        ("", 200, "1800;refresher=uas", "-"),
    ];
    for (extra, status, session, require) in rows {
        let mut lone = Lone::new();
        let (_, invite) = lone.timed_call(&agreed("1800;refresher=uac"));
        lone.give(Lone::in_dialog(&invite, "UPDATE", 10, extra, ""));
        let response = lone.sent_responses().remove(0);
        let get = |name| response.headers.get(&name).map_or("-".into(), |value| String::from_utf8_lossy(value));
        let found = (response.status, get(HeaderName::SessionExpires), get(HeaderName::Require));
        assert_eq!(found, (status, session.into(), require.into()), "{extra}");
        assert_eq!(get(HeaderName::MinSe), if status == 422 { "90" } else { "-" }, "{extra}");
    }
}

#[test]
fn too_short_for_the_peer_is_asked_again() {
    let mut lone = Lone::new();
    let invite = Invite { session_expires: 1800, ..call(address(B)) };
    lone.end.invite(lone.now, invite).unwrap();
    let first = lone.sent_requests().remove(0);
    assert_eq!(field(&first, &HeaderName::SessionExpires), "1800");
    assert_eq!(field(&first, &HeaderName::MinSe), "90");
    lone.reply(&first, 422, "Min-SE: 3600\r\n", None);
    let [ack, second] = lone.sent_requests().try_into().unwrap();
    assert_eq!(ack.method, Method::Ack);
    assert_eq!(field(&second, &HeaderName::SessionExpires), "3600");
    assert_eq!(field(&second, &HeaderName::MinSe), "3600");
    assert_eq!(second.headers.cseq().unwrap().number, 2);
    // No sense in it: then without.
    lone.reply(&second, 422, "Min-SE: 4000000000\r\n", None);
    let third = lone.sent_requests().pop().unwrap();
    assert_eq!(field(&third, &HeaderName::SessionExpires), "-");
    lone.reply(&third, 422, "Min-SE: 100\r\n", None);
    assert_eq!(lone.names(), ["rejected 422"]);
}

/// Some that allow UPDATE refuse it all the same, and some things on the way swallow it.
#[test]
fn an_update_that_is_refused_or_lost_is_followed_by_a_reinvite() {
    for (status, after) in [(Some(500), 134), (Some(403), 134), (Some(488), 134), (None, 32 + 118)] {
        let mut lone = Lone::new();
        lone.timed_call("Allow: UPDATE\r\nSession-Expires: 600;refresher=uac\r\n");
        lone.wait(secs(300));
        let update = lone.sent_requests().remove(0);
        assert_eq!(update.method, Method::Update);
        if let Some(status) = status {
            lone.reply(&update, status, "", None);
        }
        lone.wait(secs(after) - ms(1));
        assert!(lone.sent_requests().iter().all(|request| request.method == Method::Update), "{status:?}");
        lone.wait(ms(2));
        let invite = lone.sent_requests().remove(0);
        assert_eq!((&invite.method, &invite.body[..]), (&Method::Invite, OFFER.as_bytes()), "{status:?}");
        lone.reply(&invite, 200, "Allow: UPDATE\r\nSession-Expires: 600;refresher=uac\r\n", Some(ANSWER));
        assert_eq!(lone.names(), ["offer answered"], "{status:?}");
        // The session is good for ten minutes more.
        lone.sent();
        lone.wait(secs(299));
        assert!(lone.sent().is_empty() && lone.names().is_empty(), "{status:?}");
    }
}

#[test]
fn a_refresh_that_fails_is_tried_again_until_the_session_ends() {
    // The answer to each refresh; how many are sent at least; the end.
    for (status, tries, end) in [
        (Some(500), 5, "expired 600 ours"),
        (Some(403), 5, "expired 600 ours"),
        (Some(491), 20, "expired 600 ours"),
        (None, 3, "expired 600 ours"),
        (Some(481), 1, "lost Some(481)"),
        (Some(408), 1, "lost Some(408)"),
    ] {
        let mut lone = Lone::new();
        lone.timed_call("Allow: UPDATE\r\nSession-Expires: 600;refresher=uac\r\n");
        let mut refreshes = std::collections::BTreeSet::new();
        for _ in 0..700 {
            lone.wait(secs(1));
            for request in lone.sent_requests() {
                if matches!(request.method, Method::Update | Method::Invite) {
                    refreshes.insert(request.headers.cseq().unwrap().number);
                    if let Some(status) = status {
                        lone.reply(&request, status, "", None);
                    }
                }
            }
        }
        assert!(refreshes.len() >= tries, "{status:?}: {}", refreshes.len());
        assert_eq!(lone.names(), [end], "{status:?}");
    }
}

#[test]
fn lost_refreshes_are_made_up_for() {
    let mut world = World::new(3);
    let start = world.now;
    world.timed(600);
    // The whole first refresh (of five minutes) is lost, with all its repetitions.
    world.lose(A, "UPDATE", "UPDATE", 11);
    world.run(secs(30 * MINUTE), obliging);
    assert!(world.sent_ms(start, A, "BYE").is_empty() && world.sent_ms(start, B, "BYE").is_empty());
    assert!(!world.names(A).iter().any(|name| name.starts_with("expired")), "{:?}", world.names(A));
}

#[test]
fn a_call_whose_peer_has_gone_ends_before_the_session_does() {
    let mut world = World::new(4);
    let start = world.now;
    world.timed(600);
    world.loss_permille = 1000;
    world.run(secs(30 * MINUTE), obliging);
    assert_eq!(world.names(A).last().unwrap(), "expired 600 ours");
    assert_eq!(world.names(B).last().unwrap(), "expired 600 theirs");
    assert_eq!(world.sent_secs(start, A, "BYE").first(), Some(&568));
    world.assert_empty();
}

#[test]
fn an_offer_of_ours_refreshes_as_well() {
    let mut world = World::new(5);
    let start = world.now;
    let leg = world.timed(600);
    world.run(secs(200), obliging);
    world.ends[A].reinvite(world.now, leg, Bytes::from_static(b"v=0\r\nhold\r\n")).unwrap();
    world.run(secs(299), obliging);
    assert!(world.sent_ms(start, A, "UPDATE").is_empty());
    world.run(secs(2), obliging);
    assert_eq!(world.sent_secs(start, A, "UPDATE"), [501]);
}
