//! Every end: its words, its cause, its record.

use super::*;

#[test]
fn each_end_of_an_answered_call_has_its_reason_and_cause() {
    let media = |event| Input::Media(event);
    let sip = |event| Input::Sip { attempt: AttemptId(1), event };
    let grace = |how| media(MediaEvent::GraceExpired { how });
    let q = |cause| Some(("Q.850", cause));
    let rows = [
        (Input::Api(Api::VisitorHangup), q(16), "ended user_hangup - talking none"),
        (Input::Api(Api::OperatorHangup("abuse".into())), q(16), "ended remote_hangup operator talking operator"),
        (sip(SipEvent::Ended { reason: None }), None, "ended remote_hangup bye talking none"),
        (sip(SipEvent::Lost { status: Some(481) }), None, "error trunk_lost - talking trunk"),
        (
            sip(SipEvent::SessionExpired {
                interval: Duration::from_secs(1800),
                refresher_is_us: false,
                since: Duration::from_secs(1768),
            }),
            None,
            "error session_timer_expired - talking trunk",
        ),
        (sip(SipEvent::Lost { status: None }), None, "error sip_transport_lost - talking trunk"),
        (Input::SipGone, None, "error sip_transport_lost - talking trunk"),
        (grace(BrowserLoss::Silence), q(31), "error peer_vanished - talking visitor_network"),
        (grace(BrowserLoss::CloseNotify), q(31), "error client_gone - talking visitor"),
        (grace(BrowserLoss::RtcpBye), q(31), "error client_gone - talking visitor"),
        (media(MediaEvent::MediaTimeout { leg: Leg::Browser }), q(38), "error media_timeout browser talking visitor"),
        (media(MediaEvent::MediaTimeout { leg: Leg::Trunk }), q(38), "error media_timeout sip talking trunk"),
        (media(MediaEvent::Crashed), Some(("SIP", 500)), "error internal_error - talking gateway"),
        (Input::Broken("queue".into()), Some(("SIP", 500)), "error internal_error - talking gateway"),
        (Input::Shutdown, Some(("SIP", 503)), "error node_shutdown - talking gateway"),
    ];
    for (input, header, expected) in rows {
        let mut bench = Bench::talking().after(9);
        let effects = bench.feed(input.clone());
        let clean = expected.starts_with("ended");
        check_end(&effects, header, if clean { "call_ended" } else { "call_error" });
        assert_eq!(words(&bench.outcome()), expected, "{input:?}");
        assert_eq!(bench.record()["talk_seconds"], 9.0);
        assert!(bench.outcome()["advice"].as_str().is_some_and(|a| a.ends_with('.')));
        assert_eq!(bench.outcome()["quality_at_end"]["level"], "unknown");
    }
}

#[test]
fn hanging_up_early_cancels_what_is_on_its_way() {
    type Start = fn() -> Bench;
    let rows: [(Start, _, &str); 5] = [
        (Bench::started, None, "routing"),
        (Bench::inviting, Some(("Q.850", 16)), "setup"),
        (Bench::ringing, Some(("Q.850", 16)), "ringing"),
        (Bench::talking, Some(("Q.850", 16)), "talking"),
        (
            || {
                let mut bench = Bench::started();
                bench.leased(1);
                bench
            },
            None,
            "routing",
        ),
    ];
    for (bench, header, phase) in rows {
        let mut bench = bench();
        check_end(&bench.feed(Input::Api(Api::VisitorHangup)), header, "call_ended");
        assert_eq!(bench.outcome()["phase"], phase);
    }
}

#[test]
fn a_call_lasts_as_long_as_the_trunk_allows() {
    let mut bench = Bench::talking();
    assert_eq!(bench.timeout(), "ending_soon");
    assert_eq!(bench.timeout(), "max_duration");
    assert_eq!(words(&bench.outcome()), "ended remote_hangup max_duration talking none");
    assert_eq!(bench.record()["talk_seconds"], 7_200.0);
}

#[test]
fn both_sides_hear_a_tone_before_the_longest_call_is_over() {
    let tone = Arc::new(Prompt::from_pcm(8_000, vec![1; 800]).unwrap());
    let warned = |change: fn(&mut Route)| {
        let now = Instant::now();
        let Planned::Dial(mut route) = route("sip:agent@acme") else { panic!("a route") };
        change(Arc::make_mut(&mut route));
        let about = About { ending_soon: Some(Arc::clone(&tone)), ..about(now) };
        let mut bench = Bench::of(Call::new(now, about, vec![Planned::Dial(route)]), now);
        bench.feed(Input::Start);
        let mut bench = bench.invite(1);
        bench.connect();
        bench.sip(SipEvent::Answered { fork: Fork::default(), sdp: pcmu() });
        bench.done.clear();
        bench.timeout();
        let played = |leg| {
            let play = |effect: &Effect| matches!(effect, Effect::Media(Command::Play { leg: to, looped: false, .. }) if *to == leg);
            bench.done.iter().filter(|effect| play(effect)).count()
        };
        (bench.now.duration_since(now).as_secs(), played(Leg::Browser), played(Leg::Trunk), bench.call.is_over())
    };
    assert_eq!(warned(|_| {}), (7_140, 1, 1, false));
    assert_eq!(warned(|route| route.warning = None), (7_200, 0, 0, true));
    assert_eq!(warned(|route| route.max_duration = Duration::from_secs(60)), (60, 0, 0, true));
}

#[test]
fn the_received_reason_is_kept() {
    let mut bench = Bench::talking();
    let reason = ReasonHeader { protocol: "Q.850".into(), cause: 17, text: Some("busy".repeat(200)) };
    bench.sip(SipEvent::Ended { reason: Some(reason) });
    let kept = &bench.outcome()["evidence"]["received_reason"];
    assert_eq!((&kept["cause"], &kept["sip_status"]), (&json!(17), &json!(486)));
    assert_eq!(kept["text"].as_str().map(str::len), Some(256));
    assert_eq!(bench.outcome()["evidence"]["last_sip"], json!({"message": "BYE", "code": null}));
}

#[test]
fn the_evidence_tells_how_old_the_last_signs_of_life_are() {
    let mut bench = Bench::talking();
    let stream = |age| StreamStats {
        packets: 95,
        lost: 5,
        jitter_ms: 2.5,
        last_rtp_age_ms: Some(age),
        ..StreamStats::default()
    };
    let stats = CallStats {
        browser_in: stream(20),
        trunk_in: stream(40),
        last_check_age_ms: Some(900),
        ..CallStats::default()
    };
    bench.media(MediaEvent::Sample(Box::new(stats)));
    let mut bench = bench.after(1);
    bench.feed(Input::Api(Api::VisitorHangup));
    let evidence = &bench.outcome()["evidence"];
    assert_eq!(evidence["last_rtp_age_ms"], json!({"browser": 1_020, "sip": 1_040}));
    assert_eq!(evidence["last_stun_check_age_ms"], 1_900);
    assert_eq!((&evidence["ice_state"], &evidence["selected_path"]), (&json!("connected"), &json!("udp")));
    assert_eq!(evidence["last_sip"], json!({"message": "INVITE", "code": 200}));
}

#[test]
fn the_record_is_the_contracts() {
    let mut bench = Bench::talking();
    bench.media(MediaEvent::FirstAudio { from: Leg::Browser });
    bench.feed(Input::Api(Api::ClientReport { code: "mic_denied".into(), detail: None }));
    let mut record = bench.record();
    let at = json!("2023-11-14T22:13:20.000Z");
    assert_eq!(
        record["quality"].as_object_mut().map(|q| q.keys().cloned().collect::<Vec<_>>()),
        Some(["browser_down", "browser_up", "sip_down", "sip_up"].map(String::from).to_vec())
    );
    record["quality"] = Value::Null;
    assert_eq!(
        record,
        json!({
            "call": "call_1", "session": "ses_1", "direction": "outbound", "caller": null, "app": "acme", "profile": "main", "state": "talking", "started_at": at,
            "timings": {"offer_at": at, "ice_connected_at": at, "dtls_connected_at": at, "ringing_at": at,
                "answered_at": at, "first_audio_up_at": at, "first_audio_down_at": null, "ended_at": null},
            "context": {"plan": "gold"}, "metadata": null, "duration_seconds": 0.0, "talk_seconds": 0.0,
            "browser": {"codec": "opus", "path": "udp", "srtp": "AEAD_AES_128_GCM", "remote": "198.51.100.7:5000",
                "held": false},
            "sip": {"trunk": "acme", "destination": "sip:agent@acme", "call_id": null, "codec": "PCMU", "srtp": null,
                "held": false,
                "attempts": [{"destination": "sip:agent@acme", "trunk": "acme", "target": "udp:192.0.2.9:5070",
                    "status": 200, "reason": null, "detail": null}]},
            "quality": null, "mos_model": "g107-nb/2",
            "client_reports": [{"at": at, "code": "mic_denied", "detail": null}],
            "untold_digits": 0, "outcome": null,
            "findings": [{"finding": "mic_denied", "symptom": "microphone", "half_leg": "browser_up", "since": at,
                "until": null, "confidence": 0.9, "evidence": {"client_report": "mic_denied", "detail": ""},
                "advice": "The visitor refused the microphone: show how to allow it for this page."}],
        })
    );
}

#[test]
fn nothing_happens_after_the_end() {
    let mut bench = Bench::talking();
    bench.feed(Input::Api(Api::VisitorHangup));
    assert_eq!(bench.call.poll_timeout(), None);
    assert_eq!(bench.feed(Input::Shutdown), []);
    assert_eq!(bench.sip(SipEvent::Offer { fork: Fork::default(), sdp: None }), []);
    assert_eq!(bench.call.state(), State::Ended);
}
