//! What is found, when it is told, and when it is over.

use trunkline_media::detect::{Fact, Issue, IssueChange, Verdict};
use trunkline_media::quality::{HalfLeg, HalfLegSample};

use super::*;

fn issue(issue: Issue, half_leg: HalfLeg, raised: bool) -> MediaEvent {
    let evidence = vec![("drops", Fact::Count(7)), ("from", Fact::Text("192.0.2.66:4000".into()))];
    MediaEvent::Issue(Box::new(IssueChange { issue, half_leg, raised, confidence: 0.8, evidence }))
}

fn report(code: &str, detail: Option<&str>) -> Input {
    Input::Api(Api::ClientReport { code: code.into(), detail: detail.map(Into::into) })
}

fn sampled(quality: [HalfLegSample; 4], verdicts: [Verdict; 4]) -> MediaEvent {
    MediaEvent::Sample(Box::new(CallStats { quality, verdicts, ..CallStats::default() }))
}

#[test]
fn an_issue_of_the_media_is_told_kept_and_cleared() {
    let mut bench = Bench::talking();
    bench.media(issue(Issue::WrongSource, HalfLeg::SipUp, true));
    bench.media(issue(Issue::WrongSource, HalfLeg::SipUp, true));
    let [told] = &bench.told("issue_detected")[..] else { panic!("{:?}", bench.told) };
    assert_eq!((&told["finding"], &told["symptom"]), (&json!("wrong_source"), &json!("no_audio")));
    assert_eq!((&told["half_leg"], &told["confidence"]), (&json!("sip_up"), &json!(0.8)));
    assert!(told.get("evidence").is_none() && told.get("advice").is_none(), "the visitor reads this: {told}");
    let found = bench.finding("wrong_source").unwrap();
    assert_eq!((&found["evidence"]["drops"], &found["until"]), (&json!(7), &Value::Null));
    let mut bench = bench.after(3);
    bench.media(issue(Issue::WrongSource, HalfLeg::SipUp, false));
    bench.media(issue(Issue::Silence, HalfLeg::SipUp, false));
    let [cleared] = &bench.told("issue_cleared")[..] else { panic!("{:?}", bench.told) };
    assert_eq!((&cleared["finding"], &cleared["until"]), (&json!("wrong_source"), &json!("2023-11-14T22:13:23.000Z")));
    assert_eq!(bench.call.diagnosis(bench.now)["findings"], bench.record()["findings"]);
}

#[test]
fn a_finding_that_explains_the_end_gives_the_advice() {
    let mut bench = Bench::talking();
    bench.media(issue(Issue::WrongSource, HalfLeg::SipUp, true));
    bench.media(MediaEvent::MediaTimeout { leg: Leg::Trunk });
    let advice = bench.outcome()["advice"].as_str().unwrap().to_owned();
    assert!(advice.contains("rtp_source"), "{advice}");
    assert_eq!(bench.call.diagnosis(bench.now)["outcome"], bench.outcome());
}

#[test]
fn each_failed_destination_is_a_finding_with_all_that_was_tried() {
    let mut bench = Bench::new(vec![route("sip:a@acme"), route("sip:b@acme")]);
    bench.feed(Input::Start);
    bench.leased(1);
    bench.resolved(1, &["192.0.2.1:5060", "192.0.2.2:5060"]);
    bench.sip(SipEvent::Failed(Failure::Transport));
    bench.sip(SipEvent::Failed(Failure::NoProvisional));
    let mut bench = bench.invite(3);
    bench.sip(SipEvent::NotSent(NotSent::Tls("certificate expired".into())));
    assert_eq!(words(&bench.outcome()), "error dest_tls - setup operator");
    assert_eq!(bench.outcome()["evidence"]["tls"], "certificate expired");
    let first = bench.finding("dest_timeout").unwrap();
    assert_eq!((&first["symptom"], &first["half_leg"]), (&json!("not_reached"), &Value::Null));
    assert_eq!(first["evidence"]["destination"], "sip:a@acme");
    let targets: Vec<_> = first["evidence"]["attempts"].as_array().unwrap().iter().map(|a| &a["target"]).collect();
    assert_eq!(targets, ["udp:192.0.2.1:5060", "udp:192.0.2.2:5060"]);
    assert!(bench.finding("dest_tls").is_some());
    assert_eq!(bench.told("issue_detected").len(), 2);
}

#[test]
fn what_only_the_call_knows_is_found() {
    let now = Instant::now();
    let fallback = About { asked_profile: Some("sails".into()), ..about(now) };
    let mut bench = Bench::of(Call::new(now, fallback, Vec::new()), now);
    bench.feed(Input::Start);
    let found = bench.finding("profile_fallback").unwrap();
    assert_eq!(found["evidence"], json!({"requested": "sails", "used": "main"}));
    assert_eq!(bench.finding("no_destination").unwrap()["evidence"]["destinations"], 0);

    let mut bench = Bench::inviting();
    bench.media(MediaEvent::SetupFailed(SetupFailure::Ice { candidates: 3, checks: 0 }));
    let found = bench.finding("udp_blocked").unwrap();
    assert_eq!((&found["half_leg"], &found["evidence"]["candidates"]), (&json!("browser_up"), &json!(3)));
    assert_eq!(found["evidence"]["checks_udp"], 0);
}

#[test]
fn digits_that_may_not_get_through_are_found() {
    let mut bench = Bench::talking();
    bench.media(MediaEvent::Dtmf { from: Leg::Browser, digit: Digit::from_char('5').unwrap(), duration_ms: 80 });
    bench.media(MediaEvent::DtmfNotSent { leg: Leg::Trunk });
    let found = bench.finding("dtmf_not_confirmed").unwrap();
    assert_eq!((&found["half_leg"], &found["evidence"]["telephone_event"]), (&json!("sip_down"), &json!(false)));
    assert_eq!(bench.told("issue_detected").len(), 1);
    bench.sip(SipEvent::Ended { reason: None });
    assert!(bench.outcome()["advice"].as_str().is_some_and(|advice| advice.contains("telephone-event")));
}

#[test]
fn a_microphone_that_was_refused_and_then_works_is_a_finding_that_is_over() {
    for code in ["mic_denied", "mic_not_found", "mic_policy_blocked", "insecure_context"] {
        let mut bench = Bench::talking();
        bench.feed(report(code, Some("NotAllowedError")));
        let found = bench.finding(code).unwrap();
        assert_eq!((&found["symptom"], &found["until"]), (&json!("microphone"), &Value::Null));
        assert_eq!(found["evidence"]["detail"], "NotAllowedError");
        bench.media(MediaEvent::FirstAudio { from: Leg::Browser });
        assert!(bench.finding(code).unwrap()["until"].is_string());
    }
    let mut bench = Bench::talking();
    bench.feed(report("other", Some("{\"stats\": 3")));
    bench.feed(report("ice_failed", None));
    assert_eq!(bench.record()["findings"], json!([]));
}

#[test]
fn audio_that_arrives_and_is_not_played_is_found_once_it_is_sure_to_arrive() {
    let stats =
        |playing: bool, packets: u64| format!(r#"{{"stats":{{"packets_received":{packets},"playing":{playing}}}}}"#);
    let delivered = [Verdict::Heard, Verdict::Delivered, Verdict::Heard, Verdict::Unknown];
    let unheard = |bench: &Bench| bench.finding("delivered_but_unheard");

    let mut bench = Bench::talking();
    bench.feed(report("autoplay_blocked", None));
    bench.media(sampled([HalfLegSample::default(); 4], [Verdict::Unknown; 4]));
    assert_eq!(unheard(&bench), None, "nothing says that audio arrives");
    let half_legs = bench.call.diagnosis(bench.now)["half_legs"].clone();
    assert_eq!(half_legs["browser_down"]["verdict"], "unknown");
    bench.media(sampled([HalfLegSample::default(); 4], delivered));
    assert_eq!(unheard(&bench).unwrap()["evidence"]["client_report"], "autoplay_blocked");
    let half_legs = bench.call.diagnosis(bench.now)["half_legs"].clone();
    assert_eq!(half_legs["browser_down"]["verdict"], "delivered_but_unheard");
    assert_eq!(half_legs["browser_up"]["verdict"], "heard");
    bench.feed(report("other", Some(&stats(true, 500))));
    assert!(unheard(&bench).unwrap()["until"].is_string());

    let mut bench = Bench::talking();
    bench.feed(report("other", Some(&stats(false, 0))));
    assert_eq!(unheard(&bench), None);
    bench.feed(report("other", Some(&stats(false, 120))));
    let found = unheard(&bench).unwrap();
    assert_eq!((&found["half_leg"], &found["evidence"]["packets_received"]), (&json!("browser_down"), &json!(120)));
    let received = HalfLegSample { packets: 50, loss: Some(0.0), ..HalfLegSample::default() };
    let mut bench = Bench::talking();
    bench.feed(report("other", Some(&stats(false, 0))));
    bench.media(sampled([received; 4], [Verdict::Unknown; 4]));
    assert_eq!(unheard(&bench).unwrap()["evidence"]["delivery"], "receiver_report");
}
