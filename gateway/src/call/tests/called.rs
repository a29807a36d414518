//! Calls from the trunk: who is rung, who has it, what the trunk hears.

use super::*;
use crate::ids::SessionId;

fn session(who: u8) -> SessionId {
    SessionId::from_client(&format!("ses_{who}"))
}

pub(in super::super) fn answerer(who: u8) -> Answerer {
    Answerer {
        session: session(who),
        profile: Some("main".into()),
        metadata: Some(json!({"agent": who})),
        lang: "es".into(),
        codec: Codec::Opus,
        ending_soon: None,
        hold: None,
        please_wait: None,
    }
}

/// A call from the trunk that these would hear of.
pub(in super::super) fn call(now: Instant, offer: Option<Bytes>, receivers: Vec<SessionId>) -> Call {
    with_busy(now, offer, receivers, 0)
}

fn with_busy(now: Instant, offer: Option<Bytes>, receivers: Vec<SessionId>, busy: usize) -> Call {
    let Planned::Dial(route) = route("sip:ann@gateway.example") else { panic!("a route") };
    let caller = Caller {
        number: "+34910000001".into(),
        display: Some("<b>Ann</b>".into()),
        called: "+34910000000".into(),
        name: "ann".into(),
    };
    let about = About { session: None, profile: None, caller: Some(caller), ..about(now) };
    let (peer, call_id) = (target("192.0.2.9:5070"), Some("id@trunk".into()));
    Call::called(now, about, Called { route, peer, call_id, offer, receivers, busy })
}

fn bench(offer: Option<Bytes>, receivers: &[u8], busy: usize) -> Bench {
    let now = Instant::now() + Duration::from_secs(3_600);
    let receivers = receivers.iter().map(|who| session(*who)).collect();
    Bench::of(with_busy(now, offer, receivers, busy), now)
}

/// It rings two browsers.
fn ringing() -> Bench {
    let mut bench = bench(pcmu(), &[1, 2], 0);
    bench.feed(Input::Start);
    bench
}

fn answered(mut bench: Bench, who: u8) -> Bench {
    bench.feed(Input::Receiver(ReceiverSays::Answered(Box::new(answerer(who)))));
    bench
}

/// What the browsers were told: whom, what, why.
fn told(effects: &[Effect]) -> Vec<(Vec<String>, &'static str)> {
    let tell = |effect: &Effect| {
        let Effect::Tell { sessions, summons } = effect else { return None };
        let what = match summons {
            Summons::Incoming(_) => "incoming",
            Summons::Cancelled(why) => why,
        };
        Some((sessions.iter().map(|session| session.as_str().to_owned()).collect(), what))
    };
    effects.iter().filter_map(tell).collect()
}

fn sessions(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn refused(effects: &[Effect]) -> Option<(u16, String)> {
    effects.iter().find_map(|effect| {
        let Effect::Refuse { status, reason, .. } = effect else { return None };
        Some((*status, reason.text.clone().unwrap_or_default()))
    })
}

#[test]
fn a_call_from_the_trunk_rings_all_and_is_the_first_ones() {
    let mut bench = bench(pcmu(), &[1, 2], 0);
    let effects = bench.feed(Input::Start);
    let [
        Effect::Emit(started),
        Effect::Ring { attempt: AttemptId(1) },
        Effect::Emit(rings),
        Effect::Tell { sessions: all, summons },
    ] = &effects[..]
    else {
        panic!("{effects:?}")
    };
    assert_eq!(
        (started.name, &started.data["direction"], &started.data["session"]),
        ("call_started", &json!("inbound"), &json!(null))
    );
    assert_eq!((rings.name, bench.call.state()), ("call_ringing", State::Ringing));
    assert_eq!(*all, [session(1), session(2)]);
    let Summons::Incoming(fields) = summons else { panic!("{summons:?}") };
    assert_eq!(
        Value::Object(fields.clone()),
        json!({
            "call": "call_1", "trunk": "acme", "from": {"number": "+34910000001", "display": "<b>Ann</b>"},
            "to": "+34910000000", "name": "ann", "context": {"plan": "gold"},
        })
    );
    assert_eq!((bench.call.rings(&session(1)), bench.call.rings(&session(3))), (Rings::Yes, Rings::No));
    assert!(bench.call.rings_for("acme", "ann") && !bench.call.rings_for("acme", "bob"));

    let effects = bench.feed(Input::Receiver(ReceiverSays::Answered(Box::new(answerer(2)))));
    assert_eq!(told(&effects), [(sessions(&["ses_1"]), "answered_elsewhere")]);
    assert!(matches!(effects.last(), Some(Effect::LeaseTrunk { trunk, .. }) if trunk == "acme"));
    assert_eq!(bench.call.rings(&session(1)), Rings::NoMore);
    assert_eq!(bench.leased(1), [], "the browser's keys are not in place yet");
    assert_eq!(bench.call.state(), State::Ringing, "the caller hears that it rings");
    bench.connect();
    let accepted = bench.done.iter().find_map(|effect| {
        let Effect::Accept { sdp, .. } = effect else { return None };
        Some(String::from_utf8_lossy(sdp).into_owned())
    });
    assert!(accepted.is_some_and(|sdp| sdp.contains("m=audio 30000 RTP/AVP 0\r\n")), "{:?}", bench.done);
    assert_eq!(bench.call.state(), State::Talking);
    assert_eq!(bench.events(), ["call_started", "call_ringing", "call_answered"]);
    let record = bench.record();
    assert_eq!(
        (&record["session"], &record["direction"], &record["metadata"]),
        (&json!("ses_2"), &json!("inbound"), &json!({"agent": 2}))
    );
    assert_eq!(record["caller"]["name"], "ann");
    assert_eq!((&record["sip"]["call_id"], &record["sip"]["attempts"][0]["status"]), (&json!("id@trunk"), &json!(200)));
    assert_eq!(record["sip"]["attempts"][0]["target"], "udp:192.0.2.9:5070");
    // From here on it is as any call.
    let effects = bench.sip(SipEvent::Ended { reason: None });
    check_end(&effects, None, "call_ended");
    assert_eq!(words(&bench.outcome()), "ended remote_hangup bye talking none");
}

#[test]
fn the_browser_may_be_keyed_before_there_is_a_port() {
    let mut bench = answered(ringing(), 1);
    bench.connect();
    assert_eq!(bench.call.state(), State::Ringing);
    let effects = bench.leased(1);
    assert!(matches!(effects[0], Effect::Accept { .. }), "{effects:?}");
    assert_eq!(bench.call.state(), State::Talking);
    let effects = bench.feed(Input::Api(Api::VisitorHangup));
    check_end(&effects, Some(("Q.850", 16)), "call_ended");
}

#[test]
fn an_invite_without_an_offer_gets_ours_and_answers_with_its_ack() {
    for (answer, ends) in [(pcmu(), None), (None, Some(88)), (Some(sdp(4_000, "18", "sendrecv")), Some(88))] {
        let mut bench = bench(None, &[1], 0);
        bench.feed(Input::Start);
        let mut bench = answered(bench, 1);
        bench.leased(1);
        bench.connect();
        let Some(Effect::Accept { sdp, .. }) = bench.done.last() else { panic!("{:?}", bench.done) };
        assert!(String::from_utf8_lossy(sdp).contains("RTP/AVP 0 8 101"));
        assert_eq!(bench.call.state(), State::Ringing, "nobody can be heard yet");
        let effects = bench.sip(SipEvent::Confirmed { sdp: answer });
        match ends {
            None => assert_eq!(bench.call.state(), State::Talking),
            Some(cause) => {
                check_end(
                    &effects.into_iter().filter(|e| told(std::slice::from_ref(e)).is_empty()).collect::<Vec<_>>(),
                    Some(("Q.850", cause)),
                    "call_error",
                );
            }
        }
    }
}

#[test]
fn what_the_trunk_hears_when_nobody_takes_the_call() {
    let declined = |who| Input::Receiver(ReceiverSays::Declined(session(who)));
    // Nobody waits; everybody is in a call; what the trunk speaks nobody understands.
    for (offer, receivers, busy, status, outcome) in [
        (pcmu(), &[][..], 0, 480, "error dest_no_answer - routing agent"),
        (pcmu(), &[], 2, 486, "error dest_busy - routing agent"),
        (Some(sdp(4_000, "18", "sendrecv")), &[1], 0, 488, "error dest_codec - routing trunk"),
        (Some(Bytes::from_static(b"nonsense")), &[1], 0, 488, "error dest_codec - routing trunk"),
    ] {
        let mut bench = bench(offer, receivers, busy);
        let effects = bench.feed(Input::Start);
        assert_eq!(refused(&effects).map(|(status, _)| status), Some(status), "{effects:?}");
        assert_eq!(told(&effects), [], "nobody hears of it");
        assert_eq!(words(&bench.outcome()), outcome);
        assert!(!bench.done.iter().any(|effect| matches!(effect, Effect::Media(_))), "there is no media to close");
    }
    // All decline.
    let mut bench = ringing();
    assert_eq!(bench.feed(declined(1)), []);
    assert_eq!(bench.feed(declined(7)), [], "who was never asked");
    assert_eq!(bench.call.rings(&session(1)), Rings::NoMore);
    let effects = bench.feed(declined(2));
    assert_eq!(refused(&effects), Some((603, "dest_rejected".into())));
    assert_eq!(words(&bench.outcome()), "error dest_rejected - ringing agent");
    // It rings too long.
    let mut bench = ringing();
    assert_eq!(bench.timeout(), "ring");
    assert_eq!(refused(&bench.done).map(|(status, _)| status), Some(480));
    assert_eq!(told(&bench.done).last(), Some(&(sessions(&["ses_1", "ses_2"]), "dest_no_answer")));
    assert_eq!(words(&bench.outcome()), "error dest_no_answer - ringing agent");
    // The caller gives up.
    let mut bench = ringing();
    let effects = bench.sip(SipEvent::Cancelled { reason: None });
    assert_eq!((refused(&effects), told(&effects).len()), (None, 1));
    assert_eq!(words(&bench.outcome()), "ended remote_hangup cancel ringing none");
    assert_eq!(bench.record()["sip"]["attempts"][0]["status"], 487);
}

#[test]
fn a_call_that_ends_between_the_answer_and_the_first_word_is_refused() {
    let failed = SetupFailure::Ice { candidates: 1, checks: 0 };
    for (input, status, outcome) in [
        (
            Input::Media(MediaEvent::SetupFailed(failed)),
            Some(480),
            "error ice_failed udp_blocked setup visitor_network",
        ),
        (Input::Api(Api::VisitorHangup), Some(603), "ended user_hangup - ringing none"),
        (Input::Shutdown, Some(503), "error node_shutdown - ringing gateway"),
        (
            Input::TrunkLeased { attempt: AttemptId(1), result: Err(LeaseRefused::NoPorts) },
            Some(503),
            "error dest_unavailable gateway_full ringing gateway",
        ),
        (
            Input::Sip { attempt: AttemptId(1), event: SipEvent::Cancelled { reason: None } },
            None,
            "ended remote_hangup cancel ringing none",
        ),
    ] {
        let mut bench = answered(ringing(), 1);
        let effects = bench.feed(input);
        assert_eq!(refused(&effects).map(|(status, _)| status), status, "{effects:?}");
        assert_eq!(words(&bench.outcome()), outcome);
        assert!(effects.contains(&Effect::Media(Command::Close)), "the browser's leg is closed");
    }
}

#[test]
fn who_comes_while_it_rings_is_rung_too() {
    let mut bench = ringing();
    let joined = |who| Input::Receiver(ReceiverSays::Joined(session(who)));
    assert_eq!(told(&bench.feed(joined(3))), [(sessions(&["ses_3"]), "incoming")]);
    assert_eq!(bench.feed(joined(3)), [], "once");
    for who in 4..50 {
        bench.feed(joined(who));
    }
    assert_eq!(bench.call.rings(&session(16)), Rings::Yes);
    assert_eq!(bench.call.rings(&session(17)), Rings::No, "so many and no more");
    let mut bench = answered(bench, 3);
    assert_eq!(bench.feed(joined(60)), [], "somebody has it");
}
