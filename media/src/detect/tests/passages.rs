//! Whether audio gets through: each way it may not, and none when it does.

use std::time::{Duration, Instant};

use super::signals::{noise, voice};
use super::{Bench, Ear, Way};
use crate::api::{DropStats, Leg};
use crate::audio::Codec;
use crate::detect::{Issue, Verdict};
use crate::quality::{HalfLeg, Level, LevelReason, Reasons};

/// What is counted while nothing is accepted from either leg makes this the verdict, within two seconds.
fn check(count: fn(&mut DropStats), stranger: Option<u8>, expected: (Issue, Verdict)) {
    let mut bench = Bench::answered();
    bench.situation.strangers = [stranger; 2];
    for _ in 0..100 {
        count(&mut bench.stats.drops);
        count(&mut bench.stats.drops);
        count(&mut bench.stats.trunk_drops);
        bench.wait(20);
    }
    for (half_leg, at) in [(HalfLeg::BrowserUp, 0), (HalfLeg::SipUp, 2)] {
        assert!(bench.raised(expected.0, half_leg), "{expected:?}: {:?}", bench.told);
        assert_eq!(bench.stats.verdicts[at], expected.1);
    }
    assert_eq!(bench.told.len(), 2, "told once, and nothing else: {:?}", bench.told);
    // It gets through after all.
    let pcm = voice(0, 8_000, 0, 3, -26.0);
    bench.talk(Way::Transcoded, &pcm, &pcm);
    assert!(bench.cleared(expected.0, HalfLeg::BrowserUp) && bench.cleared(expected.0, HalfLeg::SipUp));
    assert_eq!((bench.stats.verdicts[0], bench.stats.verdicts[2]), (Verdict::Heard, Verdict::Heard));
    assert_eq!(bench.told.len(), 4);
}

#[test]
fn no_packets() {
    check(|_| (), None, (Issue::NoPackets, Verdict::NoPackets));
}

#[test]
fn undecryptable() {
    check(|drops| drops.undecryptable += 1, None, (Issue::Undecryptable, Verdict::Undecryptable));
}

#[test]
fn wrong_source() {
    check(|drops| drops.wrong_source += 1, None, (Issue::WrongSource, Verdict::WrongSource));
}

#[test]
fn unknown_payload_type() {
    check(|drops| drops.unknown_payload += 1, Some(18), (Issue::UnknownPayloadType, Verdict::UnknownPayloadType));
}

#[test]
fn speech_from_the_start_is_heard_within_two_seconds() {
    for way in [Way::Transcoded, Way::Relayed] {
        for n in 0..super::signals::ALL {
            let mut bench = Bench::answered();
            let pcm = voice(n, 8_000, 0, 2, -30.0);
            bench.talk(way, &pcm, &pcm);
            assert_eq!((bench.stats.verdicts[0], bench.stats.verdicts[2]), (Verdict::Heard, Verdict::Heard));
            assert_eq!(bench.told, []);
        }
    }
}

#[test]
fn a_quiet_room_is_no_silence_and_nothing_at_all_is() {
    for way in [Way::Transcoded, Way::Relayed] {
        let mut bench = Bench::answered();
        bench.talk(way, &noise(80_000, -68.0, 1), &[0; 80_000]);
        assert!(!bench.raised(Issue::Silence, HalfLeg::BrowserUp));
        assert!(bench.raised(Issue::Silence, HalfLeg::SipUp));
        assert_eq!((bench.stats.verdicts[0], bench.stats.verdicts[2]), (Verdict::Heard, Verdict::Silent));
        let confidences: Vec<f32> = bench.told.iter().map(|change| change.confidence).collect();
        assert!(confidences[0] < 0.55, "not sure at first: {confidences:?}");
        bench.talk(way, &noise(160_000, -68.0, 1), &[0; 160_000]);
        assert!(bench.told.last().is_some_and(|change| change.raised && change.confidence > 0.6), "{:?}", bench.told);
        let pcm = voice(1, 8_000, 0, 2, -30.0);
        bench.talk(way, &pcm, &pcm);
        assert!(bench.cleared(Issue::Silence, HalfLeg::SipUp));
    }
}

#[test]
fn silence_is_told_within_two_seconds() {
    let mut bench = Bench::answered();
    bench.talk(Way::Transcoded, &[0; 16_000], &[0; 16_000]);
    assert!(bench.raised(Issue::Silence, HalfLeg::BrowserUp) && bench.raised(Issue::Silence, HalfLeg::SipUp));
}

#[test]
fn who_has_spoken_may_listen() {
    let mut bench = Bench::answered();
    let pcm = voice(2, 8_000, 0, 4, -28.0);
    bench.talk(Way::Transcoded, &pcm, &pcm);
    bench.talk(Way::Transcoded, &[0; 160_000], &[0; 160_000]);
    assert_eq!(bench.told, []);
    bench.talk(Way::Transcoded, &[0; 160_000], &[0; 160_000]);
    assert!(bench.raised(Issue::Silence, HalfLeg::BrowserUp), "forty seconds of nothing at all are odd");
    assert!(bench.told.iter().all(|change| change.confidence < 0.5));
}

#[test]
fn discontinuous_transmission_is_silence_only_while_nobody_has_spoken() {
    let mut bench = Bench::answered();
    let quiet = |bench: &mut Bench, seconds: u64| {
        for n in 0..seconds * 5 / 2 {
            bench.ears[0].packet(bench.now, Codec::Opus, n, &[0x78, 0], false);
            bench.situation.audio = bench.situation.audio.map(|packets| packets + 1);
            bench.wait(400);
        }
    };
    quiet(&mut bench, 4);
    assert!(bench.raised(Issue::Silence, HalfLeg::BrowserUp));
    let pcm = voice(2, 8_000, 0, 3, -28.0);
    bench.talk(Way::Transcoded, &pcm, &pcm);
    bench.told.clear();
    quiet(&mut bench, 60);
    assert!(!bench.raised(Issue::Silence, HalfLeg::BrowserUp), "{:?}", bench.told);
}

#[test]
fn nothing_is_missed_that_is_not_expected() {
    let mut bench = Bench::new();
    bench.wait(30_000);
    assert_eq!(bench.told, []);
    // Held in the middle of a call, and back.
    let mut bench = Bench::answered();
    let (pcm, other) = (voice(2, 8_000, 0, 4, -28.0), voice(3, 8_000, 900, 4, -28.0));
    bench.talk(Way::Relayed, &pcm, &other);
    bench.situation.expected = [false; 4];
    bench.wait(20_000);
    bench.situation.expected = [true; 4];
    bench.wait(500);
    bench.talk(Way::Relayed, &pcm, &other);
    assert_eq!(bench.told, []);
}

#[test]
fn audio_that_stops_or_turns_undecryptable_is_told() {
    let mut bench = Bench::answered();
    let pcm = voice(3, 8_000, 0, 4, -28.0);
    bench.talk(Way::Relayed, &pcm, &pcm);
    bench.wait(2_500);
    assert_eq!(bench.told, [], "a pause is no issue");
    bench.wait(9_000);
    assert!(bench.raised(Issue::NoPackets, HalfLeg::SipUp));
    bench.talk(Way::Relayed, &pcm, &pcm);
    assert!(bench.cleared(Issue::NoPackets, HalfLeg::SipUp));
    for _ in 0..150 {
        bench.stats.drops.undecryptable += 1;
        bench.wait(20);
    }
    assert!(bench.raised(Issue::Undecryptable, HalfLeg::BrowserUp));
    assert!(!bench.raised(Issue::Undecryptable, HalfLeg::SipUp));
}

#[test]
fn who_has_said_that_it_is_silent_is_not_missed() {
    let mut bench = Bench::answered();
    let pcm = voice(3, 8_000, 0, 4, -28.0);
    bench.talk(Way::Relayed, &pcm, &pcm);
    bench.situation.rests = [false, true];
    bench.wait(30_000);
    assert!(!bench.raised(Issue::NoPackets, HalfLeg::SipUp), "{:?}", bench.told);
    assert!(bench.raised(Issue::NoPackets, HalfLeg::BrowserUp), "it has said nothing");
    // Unless there is something that cannot be understood.
    for _ in 0..150 {
        bench.stats.drops.undecryptable += 1;
        bench.stats.trunk_drops.undecryptable += 1;
        bench.wait(20);
    }
    assert!(bench.raised(Issue::Undecryptable, HalfLeg::SipUp));
}

#[test]
fn who_takes_anothers_place_has_not_been_heard_before() {
    let mut bench = Bench::answered();
    let pcm = voice(2, 8_000, 0, 4, -28.0);
    bench.talk(Way::Transcoded, &pcm, &pcm);
    bench.detectors.forget(Leg::Trunk);
    bench.look();
    bench.talk(Way::Transcoded, &pcm[..16_000], &[0; 16_000]);
    assert!(bench.raised(Issue::Silence, HalfLeg::SipUp), "{:?}", bench.told);
    assert_eq!(bench.stats.verdicts[0], Verdict::Heard, "the other leg is who it was");
}

/// A report comes from the leg every so many milliseconds, while 50 packets a second are sent there.
fn report(bench: &mut Bench, leg: Leg, every_ms: u64, reports: &[Option<u32>]) {
    for highest in reports {
        for _ in 0..every_ms / 20 {
            bench.stats.browser_out.packets += 1;
            bench.stats.trunk_out.packets += 1;
            bench.wait(20);
        }
        bench.detectors.reported(bench.now, leg, *highest);
    }
    bench.wait(1_000);
}

/// With only the ways down expected.
fn sending() -> Bench {
    let mut bench = Bench::new();
    bench.situation.expected = [false, true, false, true];
    bench.look();
    bench
}

#[test]
fn reports_tell_what_arrives() {
    for (leg, half_leg, at) in [(Leg::Browser, HalfLeg::BrowserDown, 1), (Leg::Trunk, HalfLeg::SipDown, 3)] {
        let mut bench = sending();
        report(&mut bench, leg, 5_000, &[Some(200), Some(450), Some(450)]);
        assert_eq!((bench.stats.verdicts[at], bench.told.len()), (Verdict::Delivered, 0), "one may be chance");
        report(&mut bench, leg, 5_000, &[Some(450)]);
        assert!(bench.raised(Issue::NoPackets, half_leg));
        assert_eq!(bench.stats.verdicts[at], Verdict::NoPackets);
        report(&mut bench, leg, 5_000, &[Some(460)]);
        assert!(bench.cleared(Issue::NoPackets, half_leg));
        assert_eq!(bench.stats.verdicts[at], Verdict::Delivered);
    }
}

#[test]
fn who_reports_nothing_is_not_said_to_get_nothing() {
    let mut bench = sending();
    bench.wait(40_000);
    assert_eq!((bench.stats.verdicts, bench.told.len()), ([Verdict::Unknown; 4], 0));
    // It once got something; then what tells of it is lost, and what tells of nothing is not.
    report(&mut bench, Leg::Browser, 1_000, &[Some(3_000)]);
    report(&mut bench, Leg::Browser, 1_000, &[None; 15]);
    assert_eq!((bench.stats.verdicts[1], bench.told.len()), (Verdict::Delivered, 0));
    // Nothing arrives, and then it is not heard either.
    report(&mut bench, Leg::Browser, 1_000, &[Some(3_000); 3]);
    assert_eq!(bench.stats.verdicts[1], Verdict::NoPackets);
    bench.wait(20_000);
    assert!(bench.cleared(Issue::NoPackets, HalfLeg::BrowserDown));
    assert_eq!(bench.stats.verdicts[1], Verdict::Unknown);
}

#[test]
fn who_never_names_a_number_gets_nothing() {
    let mut bench = sending();
    report(&mut bench, Leg::Trunk, 1_000, &[None; 5]);
    assert_eq!(bench.told, [], "the first report may come before the first packet");
    report(&mut bench, Leg::Trunk, 1_000, &[None; 6]);
    assert!(bench.raised(Issue::NoPackets, HalfLeg::SipDown) && bench.told.len() == 1);
    // Or gets nothing any more, and names none for long.
    report(&mut bench, Leg::Trunk, 1_000, &[Some(300)]);
    assert!(bench.cleared(Issue::NoPackets, HalfLeg::SipDown));
    report(&mut bench, Leg::Trunk, 1_000, &[None; 28]);
    assert!(bench.told.last().is_some_and(|change| change.raised));
}

#[test]
fn reports_of_silence_sent_are_no_news() {
    let mut bench = sending();
    for _ in 0..10 {
        bench.detectors.reported(bench.now, Leg::Browser, Some(77));
        bench.detectors.reported(bench.now, Leg::Trunk, None);
        bench.wait(5_000);
    }
    assert_eq!(bench.told, [], "nothing was sent meanwhile");
}

/// How many packets of relayed Opus are decoded, by 20 ms frames of these seconds.
fn decoded(ear: &mut Ear, now: &mut Instant, pcm: &[i16], sequence: &mut u64) -> u32 {
    let before = ear.hearing().heard().frames;
    for payload in super::signals::opus(pcm, 8_000) {
        ear.packet(*now, Codec::Opus, *sequence, &payload, true);
        *now += Duration::from_millis(20);
        *sequence += 1;
    }
    ear.hearing().heard().frames - before
}

#[test]
fn relayed_opus_is_decoded_until_a_sound_is_heard() {
    let mut now = Bench::new().now;
    let (mut ear, mut sequence) = (Ear::new(now), 0);
    let (silence, speech) = (vec![0; 96_000], voice(0, 8_000, 0, 12, -26.0));
    let burst = decoded(&mut ear, &mut now, &silence, &mut sequence) / 4;
    assert!((5..=12).contains(&burst), "one every three seconds: {burst}");
    assert_eq!(decoded(&mut ear, &mut now, &speech, &mut sequence), burst, "once is enough");
    assert_eq!(decoded(&mut ear, &mut now, &speech, &mut sequence), 0);
    ear.begin_stream();
    assert_eq!(decoded(&mut ear, &mut now, &speech, &mut sequence), burst);
    now += Duration::from_secs(60);
    assert_eq!(decoded(&mut ear, &mut now, &speech, &mut sequence), burst);
    ear.hearing().listen_closely();
    assert!(decoded(&mut ear, &mut now, &silence, &mut sequence) <= 4 * burst);
}

#[test]
fn issues_of_the_network_follow_the_levels() {
    let mut bench = Bench::new();
    let mut reasons = Reasons::default();
    reasons.insert(LevelReason::Loss);
    let sample = &mut bench.stats.quality[0];
    (sample.level, sample.reasons, sample.loss) = (Level::Amber, reasons, Some(0.03));
    bench.wait(3_000);
    assert!(bench.raised(Issue::Loss, HalfLeg::BrowserUp) && bench.told.len() == 1);
    assert!((bench.fact(Issue::Loss, "loss") - 0.03).abs() < 1e-6);
    // A minute of the same is not told again; much more loss is.
    bench.wait(60_000);
    assert_eq!(bench.told.len(), 1);
    bench.stats.quality[0].loss = Some(0.2);
    bench.stats.quality[0].level = Level::Red;
    bench.wait(3_000);
    assert_eq!(bench.told.len(), 2);
    bench.stats.quality[0].level = Level::Green;
    bench.stats.quality[0].reasons = Reasons::default();
    bench.wait(2_000);
    assert!(bench.cleared(Issue::Loss, HalfLeg::BrowserUp) && bench.told.len() == 3);
}

#[test]
fn a_relay_and_tcp_are_told() {
    use crate::sdp::browser::Candidate;
    let mut bench = Bench::new();
    let line = "1 1 udp 1 192.0.2.9 50000 typ relay raddr 10.0.0.1 rport 5";
    bench.detectors.candidates(&[Candidate::parse(line).unwrap()]);
    bench.stats.browser_remote = Some("192.0.2.8:50000".parse().unwrap());
    bench.detectors.connected_over(crate::api::Path::Udp);
    bench.wait(2_000);
    assert_eq!(bench.told, []);
    bench.stats.browser_remote = Some("192.0.2.9:50000".parse().unwrap());
    bench.detectors.connected_over(crate::api::Path::Tcp);
    bench.pass(Duration::from_secs(2));
    assert!(
        bench.raised(Issue::RelayInUse, HalfLeg::BrowserUp) && bench.raised(Issue::TcpFallback, HalfLeg::BrowserUp)
    );
}
