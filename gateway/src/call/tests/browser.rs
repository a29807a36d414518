//! The browser's coming, going and coming back.

use super::*;

#[test]
fn a_browser_that_never_connects_ends_the_call() {
    let ice = |candidates, checks| SetupFailure::Ice { candidates, checks };
    let rows = [
        (ice(0, 0), "error ice_failed no_candidates setup visitor_network"),
        (ice(3, 0), "error ice_failed udp_blocked setup visitor_network"),
        (ice(3, 9), "error ice_failed checks_timeout setup visitor_network"),
        (SetupFailure::DtlsFingerprint, "error dtls_failed fingerprint setup visitor_network"),
        (SetupFailure::DtlsTimeout, "error dtls_failed handshake_timeout setup visitor_network"),
        (SetupFailure::DtlsAlert(Some(40)), "error dtls_failed alert setup visitor"),
    ];
    for (failure, expected) in rows {
        let mut bench = Bench::ringing();
        check_end(&bench.media(MediaEvent::SetupFailed(failure.clone())), Some(("Q.850", 41)), "call_error");
        let outcome = bench.outcome();
        assert_eq!(words(&outcome), expected);
        match failure {
            SetupFailure::Ice { candidates, checks } => {
                assert_eq!(outcome["evidence"]["candidates"], candidates);
                assert_eq!(outcome["evidence"]["checks_udp"], checks);
                assert_eq!(outcome["evidence"]["ice_state"], "failed");
            }
            SetupFailure::DtlsAlert(alert) => assert_eq!(outcome["evidence"]["dtls_alert"], json!(alert)),
            SetupFailure::DtlsFingerprint | SetupFailure::DtlsTimeout => {}
        }
    }
}

#[test]
fn a_later_peer_connection_that_fails_does_not_end_the_call() {
    let mut bench = Bench::talking();
    bench.feed(Input::Api(Api::Reattached { codec: Codec::Pcmu }));
    bench.media(MediaEvent::SetupFailed(SetupFailure::DtlsTimeout));
    assert_eq!(bench.call.state(), State::Reconnecting);
    assert_eq!(bench.record()["browser"]["codec"], "PCMU");
}

#[test]
fn a_lost_browser_is_waited_for_and_welcomed_back() {
    let mut bench = Bench::talking();
    let lost = bench.media(MediaEvent::BrowserLost { how: BrowserLoss::Silence });
    assert!(matches!(&lost[..], [Effect::Emit(e)] if e.name == "call_reconnecting" && e.data["cause"] == "silence"));
    assert_eq!(bench.call.state(), State::Reconnecting);
    assert_eq!(bench.media(MediaEvent::BrowserLost { how: BrowserLoss::Silence }), [], "told once");
    assert_eq!(bench.media(MediaEvent::MediaTimeout { leg: Leg::Browser }), [], "the grace covers its silence");
    let back =
        bench.media(MediaEvent::BrowserBack { gap_ms: 4_321, cause: BackCause::IceRestart, gap: GapKind::Network });
    let [Effect::Emit(event)] = &back[..] else { panic!("{back:?}") };
    assert_eq!(
        (event.name, &event.data["gap_ms"], &event.data["cause"]),
        ("call_reconnected", &json!(4_321), &json!("ice_restart"))
    );
    assert_eq!(bench.call.state(), State::Talking);
}

#[test]
fn a_browser_lost_before_the_answer_is_told_of_after_it() {
    let mut bench = Bench::ringing();
    bench.connect();
    assert_eq!(bench.media(MediaEvent::BrowserLost { how: BrowserLoss::Silence }), []);
    assert_eq!(bench.call.state(), State::Ringing);
    bench.sip(SipEvent::Answered { fork: Fork::default(), sdp: pcmu() });
    assert_eq!(bench.events(), ["call_started", "call_ringing", "call_answered", "call_reconnecting"]);
}

#[test]
fn a_network_change_without_return_is_an_ip_change() {
    let changes: [fn(&mut Bench); 3] = [
        |bench| {
            bench.feed(Input::Api(Api::Restarted));
        },
        |bench| {
            bench.feed(Input::Api(Api::Reattached { codec: Codec::Opus }));
        },
        |bench| {
            bench.media(MediaEvent::BrowserMoved { remote: "198.51.100.8:1".parse().unwrap(), path: Path::Udp });
        },
    ];
    for change in changes {
        let mut bench = Bench::talking();
        bench.media(MediaEvent::BrowserLost { how: BrowserLoss::Silence });
        change(&mut bench);
        check_end(
            &bench.media(MediaEvent::GraceExpired { how: BrowserLoss::Silence }),
            Some(("Q.850", 41)),
            "call_error",
        );
        assert_eq!(bench.outcome()["reason"], "ip_change");
    }
    let mut bench = Bench::talking();
    bench.feed(Input::Api(Api::Restarted));
    let mut bench = bench.after(60);
    bench.media(MediaEvent::BrowserLost { how: BrowserLoss::Silence });
    bench.media(MediaEvent::GraceExpired { how: BrowserLoss::Silence });
    assert_eq!(bench.outcome()["reason"], "peer_vanished", "a change long ago explains nothing");
}

#[test]
fn reports_the_media_plane_never_made_are_made_up_for() {
    let mut bench = Bench::inviting();
    assert_eq!(bench.timeout(), "setup");
    assert_eq!(words(&bench.outcome()), "error ice_failed checks_timeout setup visitor_network");
    let mut bench = Bench::inviting();
    bench.media(MediaEvent::IceConnected { remote: "198.51.100.7:5000".parse().unwrap(), path: Path::Udp });
    bench.timeout();
    assert_eq!(words(&bench.outcome()), "error dtls_failed handshake_timeout setup visitor_network");
    let mut bench = Bench::talking();
    bench.media(MediaEvent::BrowserLost { how: BrowserLoss::CloseNotify });
    assert_eq!(bench.timeout(), "grace");
    assert_eq!(words(&bench.outcome()), "error client_gone - talking visitor");
    let mut bench = Bench::started();
    assert_eq!(bench.timeout(), "step");
    assert_eq!(words(&bench.outcome()), "error dest_unavailable gateway_full routing gateway");
}

#[test]
fn digits_are_told_up_to_a_limit() {
    let mut bench = Bench::talking();
    for _ in 0..600 {
        bench.media(MediaEvent::Dtmf { from: Leg::Browser, digit: Digit::from_char('#').unwrap(), duration_ms: 80 });
    }
    assert_eq!(bench.events().len(), 512);
    assert_eq!(bench.record()["untold_digits"], 88);
    let Some(Effect::Emit(event)) = bench.done.first() else { panic!() };
    assert_eq!(
        (event.name, &event.data["leg"], &event.data["digit"]),
        ("dtmf_received", &json!("browser"), &json!("#"))
    );
}
