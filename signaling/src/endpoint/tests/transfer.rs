//! Calls that are handed over: REFER both ways, what is told of it, and INVITEs that replace a dialog.

use super::*;
use crate::auth::Credentials;
use crate::message::{HeaderName, Method, Replaces};

fn uri(text: &str) -> Uri {
    Uri::parse(&Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

fn refer(to: &str) -> TransferOrder {
    TransferOrder::Refer(Box::new(Refer { to: uri(to), replaces: None }))
}

fn field(request: &Request, name: &'static str) -> String {
    let value = request.headers.get(&HeaderName::other(name)).cloned().unwrap_or_default();
    String::from_utf8_lossy(&value).into_owned()
}

/// A NOTIFY of the peer's about our REFER.
fn notify(invite: &Request, cseq: u32, event: &str, state: &str, fragment: &str) -> String {
    let extra =
        format!("Event: {event}\r\nSubscription-State: {state}\r\nContent-Type: message/sipfrag;version=2.0\r\n");
    Lone::in_dialog(invite, "NOTIFY", cseq, &extra, fragment)
}

/// A REFER of the peer's.
fn asks(invite: &Request, cseq: u32, to: &str, extra: &str) -> String {
    let extra = format!("Refer-To: {to}\r\n{extra}");
    Lone::in_dialog(invite, "REFER", cseq, &extra, "")
}

pub(super) fn statuses(lone: &mut Lone) -> Vec<u16> {
    lone.sent_responses().iter().map(|response| response.status).collect()
}

#[test]
fn both_ends_of_a_refer_hear_of_every_step() {
    for seed in 0..20 {
        let (mut world, caller, callee) = talking(seed);
        world.loss_permille = 200;
        world.ends[A].transfer(world.now, caller, refer("sip:other@203.0.113.2")).unwrap();
        assert!(world.ends[A].transfer(world.now, caller, refer("sip:other@203.0.113.2")).is_err(), "one at a time");
        world.run(secs(40), |end, now, _, event| {
            if let Event::Transfer { leg, transfer: Transfer::Asked(_) } = event {
                for order in [TransferOrder::Answer(Ok(())), TransferOrder::Report(180), TransferOrder::Report(200)] {
                    end.transfer(now, *leg, order).unwrap();
                }
            }
        });
        assert_eq!(world.names(B), ["asked for sip:other@203.0.113.2"]);
        let told = world.names(A);
        assert_eq!(
            (told.first().map(String::as_str), told.last().map(String::as_str)),
            (Some("refer accepted"), Some("refer progress 200")),
            "{told:?}"
        );
        // The older word gives way while one is on its way.
        assert_eq!(told.iter().filter(|name| name.as_str() == "refer progress 100").count(), 1, "{told:?}");
        assert!(world.ends[B].transfer(world.now, callee, TransferOrder::Report(486)).is_err(), "it is over");
        world.ends[A].hangup(world.now, caller, None).unwrap();
        world.run(secs(80), obliging);
        world.assert_empty();
    }
}

#[test]
fn a_refer_names_its_target_and_who_refers_and_the_dialog_to_replace() {
    let mut lone = Lone::new();
    let (leg, _) = lone.answered_call();
    let replaces = Replaces::parse(&Bytes::from_static(b"c1;to-tag=b;from-tag=a")).ok_or(()).unwrap();
    let order = TransferOrder::Refer(Box::new(Refer { to: uri("sip:bob@192.0.2.9"), replaces: Some(replaces) }));
    lone.end.transfer(lone.now, leg, order).unwrap();
    let sent = lone.sent_requests().remove(0);
    assert_eq!(sent.method, Method::Refer);
    assert_eq!(field(&sent, "Refer-To"), "<sip:bob@192.0.2.9?Replaces=c1%3Bto-tag%3Db%3Bfrom-tag%3Da>");
    assert_eq!(field(&sent, "Referred-By"), "<sip:example.com>");
    assert!(!field(&sent, "Contact").is_empty() && field(&sent, "To").contains("tag=far"));
}

#[test]
fn a_challenged_refer_is_sent_again_with_an_answer() {
    let mut lone = Lone::new();
    let credentials = Credentials { username: "user".into(), password: "pass".into() };
    let invite = Invite { credentials: Some(credentials), ..call(address(B)) };
    let leg = lone.end.invite(lone.now, invite).unwrap();
    let invite = lone.sent_requests().remove(0);
    lone.answer(&invite, 200, "far", Some(ANSWER));
    lone.sent();
    lone.names();
    lone.end.transfer(lone.now, leg, refer("sip:bob@192.0.2.9")).unwrap();
    let first = lone.sent_requests().remove(0);
    let challenge = Response::to_request(&first, 401, None)
        .with(HeaderName::WwwAuthenticate, r#"Digest realm="r", nonce="n", qop="auth", algorithm=SHA-256"#);
    lone.give(challenge.to_bytes());
    let second = lone.sent_requests().remove(0);
    assert!(field(&second, "Authorization").contains("response="));
    assert_eq!(second.headers.cseq().unwrap().number, first.headers.cseq().unwrap().number + 1);
    lone.answer(&second, 202, "far", None);
    assert_eq!(lone.names(), ["refer accepted"]);
}

#[test]
fn every_way_a_refer_comes_to_nothing_leaves_the_call_up() {
    // What the peer answers, what it says then, how long nothing more comes, what is told.
    type Row = (Option<u16>, Option<(&'static str, &'static str)>, u64, &'static [&'static str]);
    let rows: [Row; 7] = [
        (Some(405), None, 0, &["refer refused Some(405)"]),
        (Some(603), None, 0, &["refer refused Some(603)"]),
        (Some(408), None, 0, &["refer refused Some(408)"]),
        (None, None, 32, &["refer refused None"]),
        (Some(202), None, 32, &["refer accepted", "refer untold"]),
        (
            Some(202),
            Some(("active;expires=10", "SIP/2.0 100 Trying\r\n")),
            10,
            &["refer accepted", "refer progress 100", "refer untold"],
        ),
        (
            Some(202),
            Some(("terminated;reason=noresource", "SIP/2.0 486 Busy Here\r\n")),
            0,
            &["refer accepted", "refer progress 486"],
        ),
    ];
    for (answer, told, seconds, expected) in rows {
        let mut lone = Lone::new();
        let (leg, invite) = lone.answered_call();
        lone.end.transfer(lone.now, leg, refer("sip:bob@192.0.2.9")).unwrap();
        let sent = lone.sent_requests().remove(0);
        if let Some(status) = answer {
            lone.answer(&sent, status, "far", None);
        }
        if let Some((state, fragment)) = told {
            lone.give(notify(&invite, 1, "refer", state, fragment));
            assert_eq!(statuses(&mut lone), [200]);
        }
        lone.wait(secs(seconds) + ms(1));
        assert_eq!(lone.names(), expected, "{answer:?} {told:?}");
        lone.sent();
        assert!(
            lone.end.transfer(lone.now, leg, refer("sip:bob@192.0.2.9")).is_ok(),
            "the call is up, and may try again"
        );
    }
}

#[test]
fn a_refer_in_a_dialog_that_is_no_more_loses_the_leg() {
    let mut lone = Lone::new();
    let (leg, _) = lone.answered_call();
    lone.end.transfer(lone.now, leg, refer("sip:bob@192.0.2.9")).unwrap();
    let sent = lone.sent_requests().remove(0);
    lone.answer(&sent, 481, "far", None);
    assert_eq!(lone.names(), ["lost Some(481)"]);
}

#[test]
fn a_peer_that_will_not_tell_says_so() {
    let mut lone = Lone::new();
    let (leg, _) = lone.answered_call();
    lone.end.transfer(lone.now, leg, refer("sip:bob@192.0.2.9")).unwrap();
    let sent = lone.sent_requests().remove(0);
    let answer = Response::to_request(&sent, 200, None).with(HeaderName::other("Refer-Sub"), "false");
    lone.give(answer.to_bytes());
    lone.wait(secs(300));
    assert_eq!(lone.names(), ["refer accepted unwatched"]);
}

#[test]
fn notifies_are_taken_for_our_refer_alone() {
    let mut lone = Lone::new();
    let (leg, invite) = lone.answered_call();
    let trying = "SIP/2.0 100 Trying\r\n";
    lone.give(notify(&invite, 1, "refer", "active", trying));
    assert_eq!(statuses(&mut lone), [481], "nothing is subscribed to");
    lone.end.transfer(lone.now, leg, refer("sip:bob@192.0.2.9")).unwrap();
    let cseq = lone.sent_requests().remove(0).headers.cseq().unwrap().number;
    lone.give(notify(&invite, 2, "presence", "active", trying));
    lone.give(notify(&invite, 3, &format!("refer;id={}", cseq + 1), "active", trying));
    assert_eq!(statuses(&mut lone), [489, 481]);
    let good = notify(&invite, 4, &format!("refer;id={cseq}"), "active", trying);
    lone.give(good.replace("Subscription-State", "X-State"));
    assert_eq!(statuses(&mut lone), [400]);
    // Faster than the answer to the REFER, and repeated.
    let good = good.replace("NOTIFY4", "NOTIFY4a");
    lone.give(good.clone());
    lone.give(good);
    assert_eq!(statuses(&mut lone), [200, 200]);
    assert_eq!(lone.names(), ["refer accepted", "refer progress 100"]);
    for fragment in ["", "SIP/2.0 1", "HTTP/1.1 200 OK", "SIP/2.0 999 What"] {
        let cseq = 10 + u32::try_from(fragment.len()).unwrap();
        lone.give(notify(&invite, cseq, "refer", "active", fragment));
        assert_eq!((statuses(&mut lone), lone.names()), (vec![200], vec![]), "{fragment}");
    }
}

#[test]
fn what_a_refer_may_name() {
    let rows = [
        ("<sip:bob@192.0.2.9>", None),
        ("sip:bob@192.0.2.9", None),
        ("\"Bob\" <sip:bob@192.0.2.9;method=INVITE>", None),
        ("<tel:+34910000000>", None),
        ("<sip:bob@192.0.2.9?Replaces=c%3Bto-tag%3Da%3Bfrom-tag%3Db>", None),
        ("<sip:bob@192.0.2.9>\r\nRefer-To: <sip:eve@192.0.2.9>", Some(400)),
        ("bob", Some(400)),
        ("<sip:bob@192.0.2.9?Replaces=nonsense>", Some(400)),
        ("<sip:bob@192.0.2.9;method=BYE>", Some(603)),
        ("<https://example.com/>", Some(416)),
    ];
    for (to, refused) in rows {
        let mut lone = Lone::new();
        let (_, invite) = lone.answered_call();
        lone.give(asks(&invite, 1, to, ""));
        let (answered, told) = (statuses(&mut lone), lone.names());
        match refused {
            Some(status) => assert_eq!((answered, told), (vec![status], vec![]), "{to}"),
            None => assert!(answered.is_empty() && told.len() == 1, "{to}: {answered:?} {told:?}"),
        }
    }
    let mut lone = Lone::new();
    let (_, invite) = lone.answered_call();
    lone.give(asks(&invite, 1, "<sip:bob@192.0.2.9>", "").replace("Refer-To: <sip:bob@192.0.2.9>\r\n", ""));
    assert_eq!(statuses(&mut lone), [400]);
}

#[test]
fn a_refer_is_answered_and_told_in_order_and_for_a_bounded_time() {
    let mut lone = Lone::new();
    let (leg, invite) = lone.answered_call();
    lone.give(asks(&invite, 1, "<sip:bob@192.0.2.9>", "Referred-By: <sip:agent@x>\r\n"));
    lone.give(asks(&invite, 2, "<sip:eve@192.0.2.9>", ""));
    assert_eq!(statuses(&mut lone), [491], "one at a time");
    assert_eq!(lone.names(), ["asked for sip:bob@192.0.2.9"]);
    lone.end.transfer(lone.now, leg, TransferOrder::Answer(Ok(()))).unwrap();
    let sent = lone.sent();
    let [Message::Response(accepted), Message::Request(trying)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(accepted.status, 202);
    assert_eq!(
        (field(trying, "Event"), field(trying, "Subscription-State")),
        ("refer".into(), "active;expires=180".into())
    );
    assert_eq!(
        (&trying.body[..], field(trying, "Content-Type")),
        (&b"SIP/2.0 100 Trying\r\n"[..], "message/sipfrag;version=2.0".into())
    );
    for status in [180, 183, 200] {
        lone.end.transfer(lone.now, leg, TransferOrder::Report(status)).unwrap();
    }
    assert!(lone.sent().is_empty(), "the first NOTIFY has no answer yet");
    lone.answer(trying, 200, "far", None);
    let last = lone.sent_requests().remove(0);
    assert_eq!(
        (&last.body[..], field(&last, "Subscription-State")),
        (&b"SIP/2.0 200 OK\r\n"[..], "terminated;reason=noresource".into())
    );
    lone.answer(&last, 200, "far", None);

    // The next one goes by its number, and nobody ever finishes it.
    lone.give(asks(&invite, 7, "<sip:bob@192.0.2.9>", ""));
    lone.end.transfer(lone.now, leg, TransferOrder::Answer(Ok(()))).unwrap();
    let trying = lone.sent_requests().remove(0);
    assert_eq!(field(&trying, "Event"), "refer;id=7");
    lone.answer(&trying, 200, "far", None);
    lone.wait(secs(180));
    let last = lone.sent_requests().remove(0);
    assert_eq!(&last.body[..], b"SIP/2.0 408 Request Timeout\r\n");
    lone.answer(&last, 481, "far", None);

    // And one that nobody here answers.
    lone.names();
    lone.give(asks(&invite, 8, "<sip:bob@192.0.2.9>", ""));
    lone.wait(secs(9));
    assert_eq!(statuses(&mut lone), [603]);
    assert_eq!(lone.names().len(), 1);
}

#[test]
fn a_refer_without_subscription_gets_no_notify() {
    let mut lone = Lone::new();
    let (leg, invite) = lone.answered_call();
    lone.give(asks(&invite, 1, "<sip:bob@192.0.2.9>", "Require: norefersub\r\nRefer-Sub: false\r\n"));
    lone.end.transfer(lone.now, leg, TransferOrder::Answer(Ok(()))).unwrap();
    lone.end.transfer(lone.now, leg, TransferOrder::Report(180)).unwrap();
    lone.end.transfer(lone.now, leg, TransferOrder::Report(200)).unwrap();
    let sent = lone.sent();
    let [Message::Response(accepted)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(accepted.headers.get(&HeaderName::other("Refer-Sub")).unwrap(), "false");
}

#[test]
fn the_last_word_goes_out_before_the_bye() {
    let mut lone = Lone::new();
    let (leg, invite) = lone.answered_call();
    lone.give(asks(&invite, 1, "<sip:bob@192.0.2.9>", ""));
    lone.end.transfer(lone.now, leg, TransferOrder::Answer(Ok(()))).unwrap();
    let reason = Reason { protocol: "Q.850".into(), cause: 16, text: None };
    lone.end.transfer(lone.now, leg, TransferOrder::Finish(reason)).unwrap();
    let methods: Vec<_> = lone.sent_requests().into_iter().map(|request| request.method).collect();
    assert_eq!(methods, [Method::Notify, Method::Notify, Method::Bye]);
}

#[test]
fn a_refer_that_a_bye_overtakes_leaves_nothing() {
    let mut lone = Lone::new();
    let (_, invite) = lone.answered_call();
    lone.give(asks(&invite, 1, "<sip:bob@192.0.2.9>", ""));
    lone.give(Lone::in_dialog(&invite, "BYE", 2, "", ""));
    let mut answered = statuses(&mut lone);
    answered.sort_unstable();
    assert_eq!(answered, [200, 487]);
    lone.wait(secs(40));
    assert_eq!((lone.end.stats().legs, lone.end.stats().transactions), (0, 0));
}
