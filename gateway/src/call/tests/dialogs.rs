//! Several that ring at once, offers at odd times, and redirections.

use trunkline_config::Calls;
use trunkline_signaling::message::Uri;

use super::*;

fn fork(tag: &'static str) -> Fork {
    Fork(Bytes::from_static(tag.as_bytes()))
}

fn described(tag: &'static str, port: u16) -> SipEvent {
    SipEvent::Provisional { fork: fork(tag), status: 183, sdp: Some(sdp(port, "0", "sendrecv")) }
}

/// The ports the media plane was told to talk to.
fn connected(effects: &[Effect]) -> Vec<u16> {
    let port = |effect: &Effect| {
        if let Effect::Media(Command::ConnectTrunk(media)) = effect { Some(media.remote.port()) } else { None }
    };
    effects.iter().filter_map(port).collect()
}

/// A call over a trunk that is called like this.
fn inviting_with(calls: Calls) -> Bench {
    let Planned::Dial(plain) = route("sip:agent@acme") else { panic!("a route") };
    let mut bench = Bench::new(vec![Planned::Dial(Arc::new(Route { calls, ..(*plain).clone() }))]);
    bench.feed(Input::Start);
    bench.invite(1)
}

#[test]
fn of_several_that_ring_the_last_that_described_its_audio_is_heard_and_who_answers_wins() {
    let rows = [
        // Who answers, with which port in its answer; the port that counts, and whether it had to be told.
        ("one", None, 4_000, true),
        ("two", None, 4_100, false),
        ("two", Some(4_102), 4_102, true),
        ("new", Some(4_200), 4_200, true),
    ];
    for (winner, port, expected, told) in rows {
        let mut bench = Bench::inviting();
        assert_eq!(connected(&bench.sip(described("one", 4_000))), [4_000]);
        assert_eq!(connected(&bench.sip(described("two", 4_100))), [4_100]);
        assert!(connected(&bench.sip(described("one", 4_000))).is_empty(), "it says nothing new");
        let answer = port.map(|port| sdp(port, "0", "sendrecv"));
        let effects = bench.sip(SipEvent::Answered { fork: fork(winner), sdp: answer });
        assert_eq!(connected(&effects), if told { vec![expected] } else { vec![] }, "{winner}");
        assert_eq!(bench.call.state(), State::Talking, "{winner}");
    }
    // Who has never described anything cannot be talked to.
    let mut bench = Bench::inviting();
    bench.sip(described("one", 4_000));
    bench.sip(SipEvent::Answered { fork: fork("two"), sdp: None });
    assert_eq!(words(&bench.outcome()), "error dest_codec - ringing trunk");
}

#[test]
fn an_early_update_moves_the_audio_of_its_own_fork() {
    let mut bench = Bench::inviting();
    bench.sip(described("one", 4_000));
    bench.sip(described("two", 4_100));
    let effects = bench.sip(SipEvent::Offer { fork: fork("one"), sdp: Some(sdp(4_010, "8", "sendrecv")) });
    let Some(Effect::AnswerOffer { answer: Ok(answer), .. }) = effects.first() else { panic!("{effects:?}") };
    assert!(String::from_utf8_lossy(answer).contains("o=- 7 2 "), "{answer:?}");
    assert_eq!(connected(&effects), [4_010]);
    let refused = bench.sip(SipEvent::Offer { fork: fork("two"), sdp: Some(sdp(4_110, "18", "sendrecv")) });
    assert_eq!(refused, [Effect::AnswerOffer { attempt: AttemptId(1), answer: Err(488) }]);
    let nothing = bench.sip(SipEvent::Offer { fork: fork("two"), sdp: None });
    assert_eq!(nothing, [Effect::AnswerOffer { attempt: AttemptId(1), answer: Err(491) }]);
    let answered = bench.sip(SipEvent::Answered { fork: fork("two"), sdp: None });
    assert_eq!(connected(&answered), [4_100], "the refused offer changed nothing");
    // The next answer of ours counts on from what was said to that fork.
    let effects = bench.sip(SipEvent::Offer { fork: fork("two"), sdp: Some(sdp(4_120, "0", "sendrecv")) });
    let Some(Effect::AnswerOffer { answer: Ok(answer), .. }) = effects.first() else { panic!("{effects:?}") };
    assert!(String::from_utf8_lossy(answer).contains("o=- 7 2 "), "{answer:?}");
}

#[test]
fn a_trunk_that_wants_to_offer_is_called_without_an_offer() {
    let late = Calls { late_offer: true, ..Calls::default() };
    let mut bench = inviting_with(late.clone());
    let Some(Effect::Invite(order)) = bench.done.last() else { panic!("{:?}", bench.done) };
    assert_eq!(order.sdp, "");
    let effects = bench.sip(SipEvent::Offer { fork: fork("far"), sdp: Some(sdp(4_000, "8 0", "sendrecv")) });
    let Some(Effect::AnswerOffer { answer: Ok(answer), .. }) = effects.first() else { panic!("{effects:?}") };
    assert!(String::from_utf8_lossy(answer).contains("o=- 7 1 "), "{answer:?}");
    assert_eq!(connected(&effects), [4_000]);
    bench.sip(SipEvent::Answered { fork: fork("far"), sdp: None });
    assert_eq!(bench.call.state(), State::Talking);
    assert_eq!(bench.record()["sip"]["codec"], "PCMA");

    let mut bench = inviting_with(late);
    let effects = bench.sip(SipEvent::Offer { fork: fork("far"), sdp: Some(sdp(4_000, "18", "sendrecv")) });
    assert_eq!(effects, [Effect::AnswerOffer { attempt: AttemptId(1), answer: Err(488) }]);
    let refused = Failure::Rejected { status: 488, phrase: String::new(), reason: None, retry_after: None };
    bench.sip(SipEvent::Failed(refused));
    assert_eq!(words(&bench.outcome()), "error dest_codec - setup trunk");
}

#[test]
fn what_is_offered_again_is_answered_as_before() {
    let mut bench = Bench::talking();
    let mut ask = |port| bench.sip(SipEvent::Offer { fork: fork("far"), sdp: Some(sdp(port, "8", "sendrecv")) });
    let first = ask(4_004);
    let [Effect::AnswerOffer { answer, .. }, Effect::Media(Command::ConnectTrunk(_))] = &first[..] else {
        panic!("{first:?}")
    };
    for _ in 0..3 {
        let again = ask(4_004);
        assert_eq!(again, [Effect::AnswerOffer { attempt: AttemptId(1), answer: answer.clone() }], "nothing changed");
    }
    // Only the address is new: our own description is not.
    let moved = ask(4_006);
    assert_eq!(connected(&moved), [4_006]);
    assert!(matches!(&moved[0], Effect::AnswerOffer { answer: same, .. } if same == answer));
}

fn redirected(contacts: &[&str]) -> SipEvent {
    let uri = |text: &&str| Uri::parse(&Bytes::from((*text).to_owned())).unwrap();
    SipEvent::Failed(Failure::Redirected { status: 302, contacts: contacts.iter().map(uri).collect(), reason: None })
}

#[test]
fn redirections_are_followed_where_the_trunk_allows_it() {
    // Contacts; where the INVITE goes then (host and Request-URI), or why it goes nowhere.
    type Row = (&'static [&'static str], Result<(&'static str, &'static str), &'static str>);
    let rows: [Row; 9] = [
        (&["sip:b@trunk.example"], Ok(("trunk.example:5070", "sip:b@trunk.example"))),
        (&["sip:b@TRUNK.example:5080"], Ok(("trunk.example:5080", "sip:b@trunk.example:5080"))),
        (&["sip:b@192.0.2.9:5090;transport=tcp"], Ok(("192.0.2.9:5090", "sip:b@192.0.2.9:5090;transport=tcp"))),
        (&["sip:b@allowed.example?Subject=x"], Ok(("allowed.example:", "sip:b@allowed.example"))),
        (&["sip:b@evil.example", "sip:c@trunk.example"], Ok(("trunk.example:5070", "sip:c@trunk.example"))),
        (&["sip:b@evil.example"], Err("foreign_host")),
        (&["tel:+34910000000"], Err("no_sip_uri")),
        (&["sip:agent@acme.example"], Err("loop")),
        (&[], Err("no_contact")),
    ];
    for (contacts, expected) in rows {
        let calls = Calls { redirect_hosts: vec!["allowed.example".into()], ..Calls::default() };
        let mut bench = inviting_with(calls);
        let effects = bench.sip(redirected(contacts));
        match expected {
            Ok((to, uri)) => {
                let [Effect::Resolve { attempt: AttemptId(2), wanted }] = &effects[..] else {
                    panic!("{contacts:?}: {effects:?}")
                };
                let port = wanted.port.map_or(String::new(), |port| port.to_string());
                assert_eq!(format!("{}:{port}", wanted.host), to, "{contacts:?}");
                let effects = bench.resolved(2, &["192.0.2.77:5070"]);
                let [Effect::Invite(order)] = &effects[..] else { panic!("{effects:?}") };
                assert_eq!(order.route.request_uri, uri);
                let is_foreign = to.starts_with("allowed");
                assert_eq!(order.route.credentials.is_none(), is_foreign, "{contacts:?}");
                bench.sip(SipEvent::Answered { fork: fork("far"), sdp: pcmu() });
                assert_eq!(bench.record()["sip"]["attempts"][0]["status"], 302);
            }
            Err(why) => {
                assert_eq!(words(&bench.outcome()), "error dest_unavailable - setup trunk", "{contacts:?}");
                assert_eq!(bench.outcome()["evidence"]["redirect_refused"], why, "{contacts:?}");
            }
        }
    }
}

#[test]
fn redirections_end_in_an_exact_outcome() {
    // In a circle: cut when it comes round.
    let mut bench = Bench::inviting();
    bench.sip(redirected(&["sip:b@trunk.example"]));
    bench.resolved(2, &["192.0.2.9:5070"]);
    bench.sip(redirected(&["sip:c@trunk.example"]));
    bench.resolved(3, &["192.0.2.9:5070"]);
    bench.sip(redirected(&["sip:b@trunk.example"]));
    assert_eq!(words(&bench.outcome()), "error dest_unavailable - setup trunk");
    assert_eq!(bench.outcome()["evidence"]["redirect_refused"], "loop");
    // Without end: cut at the limit.
    let mut bench = inviting_with(Calls { redirects: 2, ..Calls::default() });
    for (attempt, user) in [(2, "b"), (3, "c")] {
        bench.sip(redirected(&[&format!("sip:{user}@trunk.example")]));
        bench.resolved(attempt, &["192.0.2.9:5070"]);
    }
    bench.sip(redirected(&["sip:d@trunk.example"]));
    assert_eq!(bench.outcome()["evidence"]["redirect_refused"], "too_many");
    // Several: one after the other, and the last one's failure is the call's.
    let mut bench = Bench::inviting();
    let busy = |status| Failure::Rejected { status, phrase: String::new(), reason: None, retry_after: None };
    bench.sip(redirected(&["sip:b@trunk.example", "sip:c@trunk.example"]));
    bench.resolved(2, &["192.0.2.9:5070"]);
    let next = bench.sip(SipEvent::Failed(busy(486)));
    assert!(matches!(&next[..], [Effect::Resolve { attempt: AttemptId(3), .. }]), "{next:?}");
    bench.resolved(3, &["192.0.2.9:5070"]);
    bench.sip(SipEvent::Failed(busy(404)));
    assert_eq!(words(&bench.outcome()), "error dest_not_found - setup operator");
    // A 6xx speaks for all.
    let mut bench = Bench::inviting();
    bench.sip(redirected(&["sip:b@trunk.example", "sip:c@trunk.example"]));
    bench.resolved(2, &["192.0.2.9:5070"]);
    bench.sip(SipEvent::Failed(busy(603)));
    assert_eq!(words(&bench.outcome()), "error dest_rejected - setup agent");
    // None is followed where none is to be.
    let mut bench = inviting_with(Calls { redirects: 0, ..Calls::default() });
    bench.sip(redirected(&["sip:b@trunk.example"]));
    assert_eq!(words(&bench.outcome()), "error dest_unavailable - setup trunk");
}

#[test]
fn a_contact_whose_name_leads_nowhere_is_followed_by_the_next() {
    for nowhere in [ResolveError::Failed("NXDOMAIN".into()), ResolveError::TimedOut, ResolveError::Resting] {
        let mut bench = Bench::inviting();
        bench.sip(redirected(&["sip:b@trunk.example:5090", "sip:c@trunk.example"]));
        let next = bench.feed(Input::Resolved { attempt: AttemptId(2), result: Err(nowhere.clone()) });
        assert!(matches!(&next[..], [Effect::Resolve { attempt: AttemptId(3), .. }]), "{nowhere:?}: {next:?}");
        bench.resolved(3, &["192.0.2.9:5070"]);
        bench.sip(SipEvent::Answered { fork: fork("far"), sdp: pcmu() });
        let attempts = bench.record()["sip"]["attempts"].as_array().unwrap().clone();
        let shown: Vec<_> = attempts.iter().map(|a| format!("{} {}", a["status"], a["reason"])).collect();
        let reason = if nowhere == ResolveError::Resting { "dest_unavailable" } else { "dest_dns" };
        let skipped = format!("null \"{reason}\"");
        assert_eq!(shown, ["302 \"dest_unavailable\"", skipped.as_str(), "200 null"]);
    }
}
