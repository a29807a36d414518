//! Every finding of the diagnosis table, by name: it is raised where it belongs, no other is, and whoever reads nothing
//! but the bundle names the cause.

use std::time::Duration;

use trunkline::call::Api;
use trunkline_config::Dtmf;
use trunkline_media::api::{Digit, Leg, RtpSource};
use trunkline_media::audio::Codec;
use trunkline_tests::world::{
    BrowserId, CallNo, Dial, HalfLeg, Link, Loss, Manner, PhoneId, Rtcp, Says, Script, Visitor, World, ms, reader, secs,
};

const BROWSER: BrowserId = BrowserId(0);
const PHONE: PhoneId = PhoneId(0);
const SPEECH: Says = Says::Speech(Manner::Plain);

/// Silent calls are told from the answer on within two seconds, plus what the sample and the tasks take.
const SOON: Duration = Duration::from_millis(2_300);

/// A call of two who speak, if the phone's script and the visitor let them.
fn call(script: Script, dial: &Dial, says: Says) -> (World, CallNo) {
    let mut world = World::new(1);
    let phone = world.add_phone(script);
    let call = world.dial(dial, &[phone]);
    world.browser_says(BROWSER, says);
    world.run_until(|world| world.state(call) == "talking" && world.browser(BROWSER).connected, secs(10));
    (world, call)
}

fn answers() -> Script {
    Script::answers_after(secs(2)).says(SPEECH)
}

/// Nothing else is found, and the bundle says it all.
fn named(world: &World, call: CallNo, cause: &str) {
    let bundle = world.bundle(call);
    assert_eq!(reader::findings(&bundle), [cause], "{:#}", bundle["diagnosis"]);
    assert_eq!(reader::cause(&bundle), cause, "{:#}", bundle["diagnosis"]);
    let finding = &bundle["diagnosis"]["findings"][0];
    assert!(finding["advice"].as_str().is_some_and(|advice| advice.len() > 10), "{finding:#}");
    assert!(finding["evidence"].is_object(), "{finding:#}");
    assert_eq!(bundle["record"]["findings"], bundle["diagnosis"]["findings"]);
}

/// A call in which nothing is heard on a half-leg, for this reason: told soon after the answer, and alone.
fn silent(world: &mut World, call: CallNo, cause: &str) {
    let answered = world.told_at(call, "call_answered", world.now() - secs(30)).unwrap();
    world.run_for(secs(6));
    let told = world.told_at(call, "issue_detected", answered);
    assert!(
        told.is_some_and(|told| told - answered <= SOON),
        "{:?} after the answer",
        told.map(|told| told - answered)
    );
    named(world, call, cause);
}

#[test]
fn simulation_diagnosis_of_a_good_call_finds_nothing() {
    for browser in [Codec::Opus, Codec::Pcmu] {
        let (mut world, call) = call(answers(), &Dial { browser: vec![browser], ..Dial::default() }, SPEECH);
        world.run_for(secs(120));
        let bundle = world.bundle(call);
        assert_eq!(reader::findings(&bundle), [] as [&str; 0], "{:#}", bundle["diagnosis"]);
        assert_eq!(reader::cause(&bundle), "nothing");
    }
}

#[test]
fn simulation_diagnosis_no_packets_from_the_trunk() {
    let (mut world, call) = call(answers().dumb(), &Dial::default(), SPEECH);
    silent(&mut world, call, "no_packets at sip_up");
}

#[test]
fn simulation_diagnosis_no_packets_from_the_browser() {
    let (mut world, call) = call(answers(), &Dial::default(), Says::Nothing);
    silent(&mut world, call, "no_packets at browser_up");
}

#[test]
fn simulation_diagnosis_undecryptable() {
    let mut world = World::new(1);
    let phone = world.add_phone(answers());
    world.impair(HalfLeg::BrowserUp, BROWSER, phone, Link::good().corrupting());
    let call = world.dial(&Dial::default(), &[phone]);
    world.browser_says(BROWSER, SPEECH);
    world.run_until(|world| world.state(call) == "talking", secs(10));
    silent(&mut world, call, "undecryptable at browser_up");
}

#[test]
fn simulation_diagnosis_wrong_source() {
    let elsewhere = Some("203.0.113.10:49000".parse().unwrap());
    let (mut world, call) = call(Script { rtp_from: elsewhere, ..answers() }, &Dial::default(), SPEECH);
    silent(&mut world, call, "wrong_source at sip_up");
}

#[test]
fn simulation_diagnosis_a_latching_trunk_may_send_from_another_port() {
    let elsewhere = Some("203.0.113.10:49000".parse().unwrap());
    let dial = Dial { rtp_source: RtpSource::Latch, ..Dial::default() };
    let (mut world, call) = call(Script { rtp_from: elsewhere, ..answers() }, &dial, SPEECH);
    world.run_for(secs(6));
    assert_eq!(reader::findings(&world.bundle(call)), [] as [&str; 0]);
}

#[test]
fn simulation_diagnosis_unknown_payload_type_from_the_trunk() {
    let (mut world, call) = call(Script { payload_type: Some(9), ..answers() }, &Dial::default(), SPEECH);
    silent(&mut world, call, "unknown_payload_type at sip_up");
}

#[test]
fn simulation_diagnosis_unknown_payload_type_from_the_browser() {
    let visitor = Visitor { foreign_payload: true, ..Visitor::default() };
    let (mut world, call) = call(answers(), &Dial { visitor, browser: vec![Codec::Opus], ..Dial::default() }, SPEECH);
    silent(&mut world, call, "unknown_payload_type at browser_up");
}

#[test]
fn simulation_diagnosis_silence_of_the_agent() {
    let (mut world, call) = call(answers().says(Says::Silence), &Dial::default(), SPEECH);
    silent(&mut world, call, "silence at sip_up");
}

#[test]
fn simulation_diagnosis_silence_of_the_visitor() {
    for browser in [Codec::Opus, Codec::Pcmu] {
        let (mut world, call) = call(answers(), &Dial { browser: vec![browser], ..Dial::default() }, Says::Silence);
        silent(&mut world, call, "silence at browser_up");
    }
}

#[test]
fn simulation_diagnosis_delivered_but_unheard() {
    let (mut world, call) = call(answers(), &Dial::default(), SPEECH);
    world.run_for(secs(8));
    world.api(call, Api::ClientReport { code: "autoplay_blocked".into(), detail: None });
    world.run_for(secs(8));
    named(&world, call, "delivered_but_unheard at browser_down");
}

#[test]
fn simulation_diagnosis_udp_blocked() {
    let mut world = World::new(1);
    let phone = world.add_phone(answers());
    let call = world.dial(&Dial::default(), &[phone]);
    world.browser_mut(BROWSER).vanished = true;
    world.run_until(|world| world.outcome(call).is_some(), secs(30));
    let bundle = world.bundle(call);
    assert!(reader::findings(&bundle).contains(&"udp_blocked at browser_up".to_owned()), "{:#}", bundle["diagnosis"]);
    assert_eq!(reader::cause(&bundle), "ice_failed: udp_blocked");
}

#[test]
fn simulation_diagnosis_tcp_fallback() {
    let visitor = Visitor { over_tcp: true, ..Visitor::default() };
    let (mut world, call) = call(answers(), &Dial { visitor, ..Dial::default() }, SPEECH);
    world.run_for(secs(6));
    named(&world, call, "tcp_fallback at browser_up");
}

#[test]
fn simulation_diagnosis_relay_in_use() {
    let visitor = Visitor { relayed: true, ..Visitor::default() };
    let (mut world, call) = call(answers(), &Dial { visitor, ..Dial::default() }, SPEECH);
    world.run_for(secs(6));
    named(&world, call, "relay_in_use at browser_up");
}

/// A half-leg is like this for half a minute.
fn network(half_leg: HalfLeg, link: Link, cause: &str) {
    let (mut world, call) = call(answers(), &Dial::default(), SPEECH);
    world.run_for(secs(12));
    world.impair(half_leg, BROWSER, PHONE, link);
    world.run_for(secs(30));
    among(&world, call, cause);
}

/// It is found, and lasts; what else is found is of the same half-leg, or over.
fn among(world: &World, call: CallNo, cause: &str) {
    let bundle = world.bundle(call);
    let findings = bundle["diagnosis"]["findings"].as_array().unwrap();
    assert!(reader::findings(&bundle).contains(&cause.to_owned()), "{findings:#?}");
    let half_leg = cause.split(' ').next_back().unwrap();
    let elsewhere = findings.iter().find(|finding| finding["until"].is_null() && finding["half_leg"] != half_leg);
    assert!(elsewhere.is_none(), "{findings:#?}");
}

fn lossy() -> Link {
    Link::good().loss(Loss::Random(0.15))
}

#[test]
fn simulation_diagnosis_uplink_loss() {
    network(HalfLeg::BrowserUp, lossy(), "uplink_loss at browser_up");
}

#[test]
fn simulation_diagnosis_downlink_loss() {
    network(HalfLeg::BrowserDown, lossy(), "downlink_loss at browser_down");
}

#[test]
fn simulation_diagnosis_sip_loss_either_way() {
    network(HalfLeg::SipUp, lossy(), "sip_loss at sip_up");
    network(HalfLeg::SipDown, lossy(), "sip_loss at sip_down");
}

/// Jitter without loss: what the network holds back comes late to a buffer, so nothing is transcoded here.
fn jittery(half_leg: HalfLeg, cause: &str) {
    let dial = Dial { browser: vec![Codec::Pcmu], trunk: vec![Codec::Pcmu], relay: true, ..Dial::default() };
    let (mut world, call) = call(answers(), &dial, SPEECH);
    world.run_for(secs(12));
    world.impair(half_leg, BROWSER, PHONE, Link::good().jitter(ms(160)));
    world.run_for(secs(30));
    among(&world, call, cause);
}

#[test]
fn simulation_diagnosis_high_jitter() {
    jittery(HalfLeg::BrowserUp, "high_jitter at browser_up");
}

#[test]
fn simulation_diagnosis_sip_jitter_is_the_trunks_not_the_visitors() {
    jittery(HalfLeg::SipUp, "sip_jitter at sip_up");
}

#[test]
fn simulation_diagnosis_high_rtt() {
    let (mut world, call) = call(answers(), &Dial::default(), SPEECH);
    world.run_for(secs(12));
    world.link_browser(BROWSER, Link::good().delay(ms(300)));
    world.run_for(secs(30));
    let bundle = world.bundle(call);
    let found = reader::findings(&bundle);
    assert!(!found.is_empty() && found.iter().all(|finding| finding.starts_with("high_rtt at browser_")), "{found:?}");
}

/// The visitor's microphone is like this.
fn microphone(browser: Codec, manner: Manner, cause: &str) {
    let (mut world, call) = call(answers(), &Dial { browser: vec![browser], ..Dial::default() }, Says::Speech(manner));
    world.run_for(secs(60));
    named(&world, call, cause);
}

#[test]
fn simulation_diagnosis_mic_low() {
    microphone(Codec::Opus, Manner::Low, "mic_low at browser_up");
}

#[test]
fn simulation_diagnosis_mic_clipping() {
    microphone(Codec::Opus, Manner::Clipping, "mic_clipping at browser_up");
}

#[test]
fn simulation_diagnosis_mic_unstable_gain() {
    microphone(Codec::Opus, Manner::Unstable, "mic_unstable_gain at browser_up");
}

#[test]
fn simulation_diagnosis_narrowband_mic() {
    microphone(Codec::Opus, Manner::Narrow, "narrowband_mic at browser_up");
}

#[test]
fn simulation_diagnosis_background_noise() {
    microphone(Codec::Opus, Manner::Noisy, "background_noise at browser_up");
}

const ECHO: Says = Says::Echo { after_ms: 180, weaker_db: 12 };

#[test]
fn simulation_diagnosis_agent_echo() {
    let (mut world, call) = call(answers().says(ECHO), &Dial::default(), SPEECH);
    world.run_for(secs(60));
    named(&world, call, "agent_echo at sip_up");
    let evidence = world.bundle(call)["diagnosis"]["findings"][0]["evidence"].clone();
    let delay = evidence.as_object().unwrap().iter().find(|(name, _)| name.contains("delay")).map(|(_, ms)| ms.clone());
    assert!(delay.and_then(|ms| ms.as_f64()).is_some_and(|ms| (180.0..500.0).contains(&ms)), "{evidence:#}");
}

#[test]
fn simulation_diagnosis_visitor_echo() {
    let (mut world, call) = call(answers(), &Dial { browser: vec![Codec::Pcmu], ..Dial::default() }, ECHO);
    world.run_for(secs(60));
    named(&world, call, "visitor_echo at browser_up");
}

#[test]
fn simulation_diagnosis_each_destination_that_failed() {
    let mut world = World::new(1);
    let phones = [486, 404].map(|status| world.add_phone(Script::rejects(status)));
    let answering = world.add_phone(answers());
    let call = world.dial(&Dial::default(), &[phones[0], phones[1], answering]);
    world.browser_says(BROWSER, SPEECH);
    world.run_for(secs(8));
    assert_eq!(reader::findings(&world.bundle(call)), ["dest_busy", "dest_not_found"]);
}

#[test]
fn simulation_diagnosis_no_destination() {
    let mut world = World::new(1);
    let call = world.dial(&Dial::default(), &[]);
    world.run_until(|world| world.outcome(call).is_some(), secs(40));
    let bundle = world.bundle(call);
    assert_eq!(
        (reader::findings(&bundle).as_slice(), reader::cause(&bundle).as_str()),
        (["no_destination".to_owned()].as_slice(), "no_destination")
    );
}

#[test]
fn simulation_diagnosis_of_what_the_browser_reports() {
    for code in ["mic_denied", "mic_not_found", "mic_policy_blocked", "insecure_context"] {
        let mut world = World::new(1);
        let phone = world.add_phone(answers());
        let call = world.dial(&Dial::default(), &[phone]);
        world.browser_says(BROWSER, Says::Nothing);
        world.api(call, Api::ClientReport { code: code.into(), detail: Some("NotAllowedError".into()) });
        world.run_for(secs(8));
        let bundle = world.bundle(call);
        let expected = [format!("{code} at browser_up"), "no_packets at browser_up".into()];
        assert_eq!(reader::findings(&bundle), expected, "{:#}", bundle["diagnosis"]);
        assert_eq!(reader::cause(&bundle), expected[0], "why nothing comes, not only that nothing comes");
    }
}

#[test]
fn simulation_diagnosis_dtmf_not_confirmed() {
    let dial = Dial { dtmf: Dtmf::Rfc4733, ..Dial::default() };
    let (mut world, call) = call(Script { events: false, ..answers() }, &dial, SPEECH);
    world.run_for(secs(5));
    let digits = "12#".chars().filter_map(Digit::from_char).collect();
    world.api(call, Api::Dtmf { towards: Leg::Trunk, digits, duration_ms: 100 });
    world.run_for(secs(3));
    named(&world, call, "dtmf_not_confirmed at sip_down");
}

/// What the end of an absence says of it.
fn absence(world: &World, call: CallNo) -> (String, String) {
    let [back] = world.events_named(call, "call_reconnected")[..] else { panic!("{:?}", world.events(call)) };
    let word = |name: &str| back.data.get(name).and_then(|word| word.as_str()).unwrap_or("?").to_owned();
    (word("cause"), word("gap"))
}

#[test]
fn simulation_diagnosis_a_sleeping_laptop_is_no_lost_network() {
    let (mut world, asleep) = call(answers(), &Dial::default(), SPEECH);
    world.run_for(secs(5));
    world.sleep(BROWSER, secs(12));
    world.run_for(secs(20));
    let (mut other, lost) = call(answers(), &Dial::default(), SPEECH);
    other.run_for(secs(5));
    other.black_out_browser(BROWSER, secs(12));
    other.run_for(secs(20));
    // A check that comes back before the first packet of audio leaves the kind of gap open; it is never the wrong one.
    let (asleep, lost) = (absence(&world, asleep), absence(&other, lost));
    assert!(asleep.0 == "same_path" && asleep.1 != "network", "{asleep:?}");
    assert!(lost.0 == "same_path" && lost.1 != "asleep", "{lost:?}");
}

#[test]
fn simulation_diagnosis_an_ip_change_is_named_when_it_is_over() {
    let (mut world, call) = call(answers(), &Dial::default(), SPEECH);
    world.run_for(secs(5));
    world.black_out_browser(BROWSER, secs(8));
    world.run_for(secs(8));
    world.rebind(BROWSER);
    world.restart_ice(call, BROWSER);
    world.run_for(secs(5));
    assert_eq!(absence(&world, call).0, "ice_restart");
}

#[test]
fn simulation_diagnosis_without_reports_says_unknown() {
    let (mut world, call) = call(answers().rtcp(Rtcp::Silent), &Dial::default(), SPEECH);
    world.run_for(secs(20));
    let half_legs = world.bundle(call)["diagnosis"]["half_legs"].clone();
    let verdicts =
        HalfLeg::ALL.map(|half_leg| half_legs[half_leg.word()]["verdict"].as_str().unwrap_or("?").to_owned());
    assert_eq!(verdicts, ["heard", "delivered", "heard", "unknown"]);
}
