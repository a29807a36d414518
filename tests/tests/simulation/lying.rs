//! RTCP that lies or makes no sense: counted, bounded, and never a wrong colour for another half-leg.

use trunkline_media::audio::Codec;
use trunkline_tests::world::chance::Chance;
use trunkline_tests::world::{
    BrowserId, CallNo, Dial, HalfLeg, Lie, Manner, PhoneId, Rtcp, Says, Script, World, ms, secs,
};

const BROWSER: BrowserId = BrowserId(0);
const PHONE: PhoneId = PhoneId(0);
const SPEECH: Says = Says::Speech(Manner::Plain);

fn talking(rtcp: Rtcp) -> (World, CallNo) {
    let mut world = World::new(1);
    let phone = world.add_phone(Script::answers_after(secs(1)).says(SPEECH).rtcp(rtcp));
    let dial = Dial { browser: vec![Codec::Pcmu], trunk: vec![Codec::Pcmu], relay: true, ..Dial::default() };
    let call = world.dial(&dial, &[phone]);
    world.browser_says(BROWSER, SPEECH);
    world.run_until(|world| world.state(call) == "talking" && world.browser(BROWSER).connected, secs(10));
    world.run_for(secs(20));
    (world, call)
}

/// The other three are green, the call goes on and everybody is heard; what the liar's own half-leg shows is one of these.
fn only_the_liars_own(world: &mut World, call: CallNo, may: &[&str]) {
    for half_leg in [HalfLeg::BrowserUp, HalfLeg::BrowserDown, HalfLeg::SipUp] {
        let told = world.events_named(call, "network_quality_changed");
        let bad = told.iter().find(|event| {
            event.data["half_leg"] == half_leg.word() && event.data["to"] != "green" && event.data["to"] != "unknown"
        });
        assert!(bad.is_none(), "{:?}", bad.map(|event| &event.data));
        assert_eq!(world.level(call, half_leg).0, "green", "{}", half_leg.word());
    }
    let (level, reasons) = world.level(call, HalfLeg::SipDown);
    assert!(may.contains(&level.as_str()), "{level} for {reasons:?}");
    let elsewhere: Vec<_> =
        world.found(call).into_iter().filter(|(_, half_leg)| half_leg.as_deref() != Some("sip_down")).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
    assert_eq!((world.state(call), world.outcome(call)), ("talking", None));
    let record = world.bundle(call)["record"]["quality"]["sip_down"].clone();
    for (name, limit) in
        [("loss", 1.0), ("jitter_ms", 20_000.0), ("rtt_ms", 60_000.0), ("mos_cq", 5.0), ("mos_lq", 5.0)]
    {
        let value = record[name].as_f64();
        assert!(value.is_none_or(|value| (0.0..=limit).contains(&value)), "{name} {record:#}");
    }
}

#[test]
fn simulation_lying_of_loss() {
    for lie in [Lie::AllLost, Lie::NegativeLoss] {
        let (mut world, call) = talking(Rtcp::Lying(lie));
        world.run_for(secs(60));
        only_the_liars_own(&mut world, call, &["unknown", "green", "amber", "red"]);
    }
}

#[test]
fn simulation_lying_of_jitter_and_round_trips() {
    for lie in [Lie::AbsurdJitter, Lie::AbsurdRoundTrip, Lie::AbsurdMetrics] {
        let (mut world, call) = talking(Rtcp::Lying(lie));
        world.run_for(secs(60));
        only_the_liars_own(&mut world, call, &["unknown", "green", "amber", "red"]);
    }
}

#[test]
fn simulation_lying_of_sources_nobody_has() {
    let (mut world, call) = talking(Rtcp::Lying(Lie::UnknownSources));
    world.run_for(secs(60));
    only_the_liars_own(&mut world, call, &["unknown"]);
}

#[test]
fn simulation_lying_by_a_storm_of_sources() {
    let (mut world, call) = talking(Rtcp::Lying(Lie::SourceStorm));
    world.run_for(secs(60));
    only_the_liars_own(&mut world, call, &["unknown"]);
}

#[test]
fn simulation_lying_malformed_reports_are_counted() {
    let (mut world, call) = talking(Rtcp::Lying(Lie::Malformed));
    let before = world.stats(call).trunk_drops.bad_rtcp;
    world.run_for(secs(60));
    let counted = world.stats(call).trunk_drops.bad_rtcp - before;
    assert!(counted >= 240, "{counted}");
    only_the_liars_own(&mut world, call, &["unknown", "green"]);
}

#[test]
fn simulation_lying_goodbyes_end_nothing() {
    let (mut world, call) = talking(Rtcp::Lying(Lie::Byes));
    world.run_for(secs(60));
    only_the_liars_own(&mut world, call, &["unknown", "green"]);
}

#[test]
fn simulation_lying_strangers_reports_are_not_believed() {
    let (mut world, call) = talking(Rtcp::Honest);
    let trunk = world.gateway().ports.leased()[0] + 1;
    let to = std::net::SocketAddr::new(world.gateway().public.ip(), trunk);
    let mut dice = Chance::new(3);
    for _ in 0..2_000 {
        // An RR about anybody, from anywhere: the right length, everything lost.
        let mut report = vec![0x81, 201, 0, 7];
        report.extend(dice.bytes(8));
        report.extend([255; 4]);
        report.extend(dice.bytes(16));
        world.inject("198.18.7.7:9".parse().unwrap(), to, report);
        world.run_for(ms(10));
    }
    assert!(world.stats(call).trunk_drops.wrong_source >= 2_000);
    assert_eq!(world.level(call, HalfLeg::SipDown).0, "green");
    only_the_liars_own(&mut world, call, &["green"]);
}

#[test]
fn simulation_lying_absurd_timestamps_and_sources_in_the_audio() {
    let (mut world, call) = talking(Rtcp::Honest);
    let (from, port) = (world.phone(PHONE).line().rtp, world.gateway().ports.leased()[0]);
    let to = std::net::SocketAddr::new(world.gateway().public.ip(), port);
    let mut dice = Chance::new(5);
    for _ in 0..500 {
        // From the phone's own address: another source, another time, another number each.
        let mut packet = vec![0x80, 0];
        packet.extend(dice.bytes(10));
        packet.extend([0xFF; 160]);
        world.inject(from, to, packet);
        world.run_for(ms(20));
    }
    for half_leg in [HalfLeg::BrowserUp, HalfLeg::SipDown] {
        assert_eq!(world.level(call, half_leg).0, "green", "{}", half_leg.word());
    }
    assert_eq!((world.state(call), world.outcome(call)), ("talking", None));
    world.run_for(secs(40));
    assert_eq!(world.level(call, HalfLeg::SipUp).0, "green", "and it is good again after it");
}
