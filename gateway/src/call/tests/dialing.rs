//! Destinations, attempts, answers.

use super::*;

#[test]
fn a_call_from_start_to_answer_does_exactly_this() {
    let mut bench = Bench::new(vec![route("sip:agent@acme")]);
    let attempt = AttemptId(1);
    let [Effect::Emit(started), lease] = &bench.feed(Input::Start)[..] else { panic!() };
    assert_eq!((started.seq, started.name), (1, "call_started"));
    assert_eq!(
        Value::Object(started.data.clone()),
        json!({"call": "call_1", "session": "ses_1", "context": {"plan": "gold"},
               "destination_id": "sip:agent@acme", "direction": "outbound", "has_form_values": true, "state": "setup"})
    );
    assert_eq!(*lease, Effect::LeaseTrunk { attempt, trunk: "acme".into(), last: true });
    assert_eq!(bench.leased(1), [Effect::Resolve { attempt, wanted: wanted() }]);
    let [Effect::Invite(order)] = &bench.resolved(1, &["192.0.2.9:5070"])[..] else { panic!() };
    assert_eq!(order.target.to_string(), "udp:192.0.2.9:5070");
    assert_eq!(order.fields, [("X-C2C-plan".to_owned(), "gold".to_owned())]);
    assert!(order.sdp.contains("m=audio 30000 RTP/AVP 0 8"), "{}", order.sdp);
    assert_eq!(bench.call.state(), State::Setup);

    assert_eq!(bench.sip(SipEvent::Sent(Some("id@host".into()))), []);
    assert_eq!(bench.sip(SipEvent::Provisional { fork: Fork::default(), status: 181, sdp: None }).len(), 1);
    assert_eq!(
        bench.sip(SipEvent::Provisional { fork: Fork::default(), status: 180, sdp: None }),
        [],
        "ringing is told once"
    );
    assert_eq!(bench.call.state(), State::Ringing);

    let early = bench.sip(SipEvent::Provisional { fork: Fork::default(), status: 183, sdp: pcmu() });
    assert!(matches!(&early[..], [Effect::Media(Command::ConnectTrunk(media))] if media.codec == Codec::Pcmu));
    let answered = bench.sip(SipEvent::Answered { fork: Fork::default(), sdp: pcmu() });
    let told =
        matches!(&answered[..], [Effect::Media(Command::Answered), Effect::Emit(e)] if e.name == "call_answered");
    assert!(told, "same media, not twice: {answered:?}");
    assert_eq!(bench.call.state(), State::Talking);
    assert_eq!(bench.record()["sip"]["call_id"], "id@host");
}

#[test]
fn an_answer_with_other_media_than_the_early_one_replaces_it() {
    let mut bench = Bench::inviting();
    bench.sip(SipEvent::Provisional { fork: Fork::default(), status: 183, sdp: pcmu() });
    let answered = bench.sip(SipEvent::Answered { fork: Fork::default(), sdp: Some(sdp(4_002, "8", "sendrecv")) });
    assert!(matches!(
        &answered[..],
        [Effect::Media(Command::ConnectTrunk(m)), Effect::Media(Command::Answered), Effect::Emit(_)]
            if m.codec == Codec::Pcma
    ));
    let mut bench = Bench::inviting();
    bench.sip(SipEvent::Provisional { fork: Fork::default(), status: 183, sdp: pcmu() });
    bench.sip(SipEvent::Answered { fork: Fork::default(), sdp: None });
    assert_eq!(bench.call.state(), State::Talking, "the answer came with the 183");
}

#[test]
fn the_advertised_address_stands_in_the_offer() {
    let now = Instant::now();
    let about = About { advertise: Some("203.0.113.5".parse().unwrap()), ..about(now) };
    let mut bench = Bench::of(Call::new(now, about, vec![route("sip:a@acme")]), now);
    bench.feed(Input::Start);
    bench.leased(1);
    let [Effect::Invite(order)] = &bench.resolved(1, &["192.0.2.9:5070"])[..] else { panic!() };
    assert!(order.sdp.contains("c=IN IP4 203.0.113.5"), "{}", order.sdp);
}

#[test]
fn a_trunk_is_told_the_address_of_its_own_family() {
    let rows = [
        (&["203.0.113.5", "2001:db8::5"][..], "192.0.2.9:5070", "IP4 203.0.113.5"),
        (&["203.0.113.5", "2001:db8::5"], "[2001:db8::9]:5070", "IP6 2001:db8::5"),
        (&["203.0.113.5"], "[2001:db8::9]:5070", "IP4 203.0.113.5"),
        (&[], "[2001:db8::9]:5070", "IP4 127.0.0.1"),
    ];
    for (told, target, expected) in rows {
        let now = Instant::now();
        let Planned::Dial(mut dial) = route("sip:a@acme") else { panic!() };
        Arc::make_mut(&mut dial).rtp_told = told.iter().map(|told| told.parse().unwrap()).collect();
        let mut bench = Bench::of(Call::new(now, about(now), vec![Planned::Dial(dial)]), now);
        bench.feed(Input::Start);
        bench.leased(1);
        let [Effect::Invite(order)] = &bench.resolved(1, &[target])[..] else { panic!() };
        assert!(order.sdp.contains(&format!("c=IN {expected}\r\n")), "{}", order.sdp);
    }
}

#[test]
fn each_failure_of_a_destination_has_its_reason() {
    let rejected = |status| Failure::Rejected { status, phrase: String::new(), reason: None, retry_after: None };
    let rows = [
        (rejected(486), "error dest_busy - ringing agent"),
        (rejected(600), "error dest_busy - ringing agent"),
        (rejected(603), "error dest_rejected - ringing agent"),
        (rejected(404), "error dest_not_found - ringing operator"),
        (rejected(480), "error dest_no_answer - ringing agent"),
        (rejected(408), "error dest_timeout - ringing trunk"),
        (rejected(488), "error dest_codec - ringing trunk"),
        (rejected(503), "error dest_unavailable - ringing trunk"),
        (Failure::AuthenticationFailed { status: 407 }, "error dest_auth - ringing operator"),
        (Failure::NoProvisional, "error dest_timeout no_provisional ringing trunk"),
        (Failure::NoFinal, "error dest_timeout no_final ringing trunk"),
        (Failure::Transport, "error dest_unreachable - ringing trunk"),
        (Failure::Cancelled, "error dest_no_answer - ringing agent"),
    ];
    for (failure, expected) in rows {
        let mut bench = Bench::ringing();
        let effects = bench.sip(SipEvent::Failed(failure.clone()));
        assert_eq!(effects.first(), Some(&Effect::Media(Command::ReleaseTrunk)));
        check_end(&effects[1..], None, "call_error");
        assert_eq!(words(&bench.outcome()), expected, "{failure:?}");
        let attempts = &bench.record()["sip"]["attempts"];
        assert_eq!(attempts[0]["reason"], bench.outcome()["reason"]);
        assert_eq!(attempts[0]["target"], "udp:192.0.2.9:5070");
        assert_eq!(bench.outcome()["evidence"]["attempts"], *attempts);
    }
}

#[test]
fn what_fails_before_the_invite_has_its_reason() {
    let attempt = AttemptId(1);
    let lease = |error| Input::TrunkLeased { attempt, result: Err(error) };
    let rows = [
        (false, lease(LeaseRefused::TrunkFull), "error dest_unavailable trunk_full routing operator"),
        (false, lease(LeaseRefused::Unregistered), "error dest_unavailable trunk_unregistered routing trunk"),
        (false, lease(LeaseRefused::NoPorts), "error dest_unavailable gateway_full routing gateway"),
        (false, lease(LeaseRefused::MediaGone), "error internal_error - routing gateway"),
        (
            true,
            Input::Resolved { attempt, result: Err(ResolveError::Failed("no such name".into())) },
            "error dest_dns - routing operator",
        ),
        (true, Input::Resolved { attempt, result: Err(ResolveError::TimedOut) }, "error dest_dns - routing operator"),
        (true, Input::Resolved { attempt, result: Ok(Vec::new()) }, "error dest_dns - routing operator"),
    ];
    for (leased, input, expected) in rows {
        let mut bench = Bench::started();
        if leased {
            bench.leased(1);
        }
        bench.feed(input.clone());
        assert_eq!(words(&bench.outcome()), expected, "{input:?}");
    }
    for (error, expected) in [
        (NotSent::Full, "error dest_unavailable gateway_full setup gateway"),
        (NotSent::BadUri, "error dest_not_found - setup operator"),
        (NotSent::Gone, "error dest_unreachable - setup trunk"),
    ] {
        let mut bench = Bench::inviting();
        bench.sip(SipEvent::NotSent(error));
        assert_eq!(words(&bench.outcome()), expected);
    }
}

#[test]
fn destinations_are_tried_in_order_and_the_last_failure_counts() {
    let skip = Planned::Skip {
        destination: "sip:b@off".into(),
        trunk: Some("off".into()),
        reason: Reason::DestUnavailable(Unavailable::TrunkDisabled),
    };
    let mut bench = Bench::new(vec![route("sip:a@acme"), skip, route("sip:c@acme")]);
    bench.feed(Input::Start);
    let mut bench = bench.invite(1);
    bench.sip(SipEvent::Provisional { fork: Fork::default(), status: 180, sdp: pcmu() });
    let busy = Failure::Rejected { status: 486, phrase: String::new(), reason: None, retry_after: None };
    assert_eq!(
        bench.sip(SipEvent::Failed(busy)),
        [
            Effect::Media(Command::ReleaseTrunk),
            Effect::LeaseTrunk { attempt: AttemptId(2), trunk: "acme".into(), last: true },
        ]
    );
    assert_eq!(bench.call.state(), State::Setup);
    let mut bench = bench.invite(2);
    assert_eq!(
        bench.sip(SipEvent::Provisional { fork: Fork::default(), status: 180, sdp: None }),
        [],
        "ringing is told once a call"
    );
    let late = Input::Sip { attempt: AttemptId(1), event: SipEvent::Answered { fork: Fork::default(), sdp: pcmu() } };
    assert_eq!(bench.feed(late), [], "an attempt given up has nothing to say");
    bench.sip(SipEvent::Failed(Failure::NoFinal));
    assert_eq!(words(&bench.outcome()), "error dest_timeout no_final ringing trunk");
    let attempts = bench.record()["sip"]["attempts"].as_array().unwrap().clone();
    let line = |a: &Value| format!("{} {} {}", a["destination"], a["status"], a["reason"]);
    assert_eq!(
        attempts.iter().map(line).collect::<Vec<_>>(),
        [
            r#""sip:a@acme" 486 "dest_busy""#,
            r#""sip:b@off" null "dest_unavailable""#,
            r#""sip:c@acme" null "dest_timeout""#,
        ]
    );
}

#[test]
fn a_silent_address_is_followed_by_the_next_on_the_same_ports() {
    let mut bench = Bench::started();
    bench.leased(1);
    bench.resolved(1, &["192.0.2.1:5060", "192.0.2.2:5060"]);
    let [Effect::Invite(order)] = &bench.sip(SipEvent::Failed(Failure::Transport))[..] else { panic!() };
    assert_eq!((order.attempt, order.target.clone()), (AttemptId(2), target("192.0.2.2:5060")));
    bench.sip(SipEvent::Answered { fork: Fork::default(), sdp: pcmu() });
    assert_eq!(bench.call.state(), State::Talking);
    let attempts = &bench.record()["sip"]["attempts"];
    assert_eq!((&attempts[0]["reason"], &attempts[1]["status"]), (&json!("dest_unreachable"), &json!(200)));
    assert_eq!(attempts[1]["reason"], Value::Null);
}

#[test]
fn ringing_too_long_is_cancelled_and_goes_on() {
    let mut bench = Bench::new(vec![route("sip:a@acme"), route("sip:b@acme")]);
    bench.feed(Input::Start);
    bench.connect();
    let mut bench = bench.invite(1);
    bench.sip(SipEvent::Trying);
    bench.done.clear();
    assert_eq!(bench.timeout(), "ring");
    assert_eq!(
        bench.done,
        [
            Effect::Hangup { attempt: AttemptId(1), reason: table::reason_header(Reason::DestNoAnswer) },
            Effect::Media(Command::ReleaseTrunk),
            Effect::LeaseTrunk { attempt: AttemptId(2), trunk: "acme".into(), last: true },
        ]
    );
    let mut bench = bench.invite(2);
    bench.timeout();
    assert_eq!(words(&bench.outcome()), "error dest_no_answer - setup agent");
    assert_eq!(bench.outcome()["evidence"]["timers_fired"], json!(["ring", "ring"]));
}

#[test]
fn an_answer_that_cannot_be_used_is_hung_up() {
    for answer in [None, Some(Bytes::from_static(b"nonsense")), Some(sdp(4_000, "18", "sendrecv"))] {
        let mut bench = Bench::ringing();
        let effects = bench.sip(SipEvent::Answered { fork: Fork::default(), sdp: answer });
        let Some(Effect::Hangup { reason, .. }) = effects.first() else { panic!("{effects:?}") };
        assert_eq!((reason.protocol.as_str(), reason.cause), ("Q.850", 88));
        assert_eq!(effects[1], Effect::Media(Command::ReleaseTrunk));
        check_end(&effects[2..], None, "call_error");
        assert_eq!(words(&bench.outcome()), "error dest_codec - ringing trunk");
    }
}

#[test]
fn early_media_that_cannot_be_used_is_no_failure() {
    let mut bench = Bench::inviting();
    bench.sip(SipEvent::Provisional { fork: Fork::default(), status: 183, sdp: Some(Bytes::from_static(b"nonsense")) });
    assert_eq!(bench.call.state(), State::Ringing);
}

#[test]
fn without_a_destination_the_visitor_hears_so_and_nothing_is_dialled() {
    let now = Instant::now();
    let prompt = Arc::new(Prompt::from_pcm(8_000, vec![0; 8_000]).unwrap());
    let with = About { no_destination: Some(Arc::clone(&prompt)), ..about(now) };
    let bench = || Bench::of(Call::new(now, with.clone(), Vec::new()), now);

    let mut heard = bench();
    heard.feed(Input::Start);
    heard.connect();
    let play = Effect::Media(Command::Play { leg: Leg::Browser, id: 0, prompt, looped: false, over: false });
    assert_eq!(heard.done.last(), Some(&play));
    check_end(&heard.media(MediaEvent::PromptFinished { leg: Leg::Browser, id: 0 }), None, "call_error");
    assert_eq!(words(&heard.outcome()), "error no_destination - routing operator");
    assert_eq!(heard.outcome()["evidence"]["prompt_played"], true);
    assert_eq!(heard.record()["sip"]["attempts"], json!([]));

    let mut stuck = bench();
    stuck.feed(Input::Start);
    stuck.connect();
    assert_eq!(stuck.timeout(), "prompt");
    assert_eq!(stuck.outcome()["reason"], "no_destination");

    let mut unreachable = bench();
    unreachable.feed(Input::Start);
    unreachable.media(MediaEvent::SetupFailed(SetupFailure::Ice { candidates: 1, checks: 0 }));
    assert_eq!(words(&unreachable.outcome()), "error no_destination - routing operator");
    assert_eq!(unreachable.outcome()["evidence"]["prompt_played"], false);

    let mut mute = Bench::new(Vec::new());
    mute.feed(Input::Start);
    assert_eq!(words(&mute.outcome()), "error no_destination - routing operator");
}
