//! What is only known from reports.

use trunkline_tests::world::{HalfLeg, Link, Loss, Rtcp, ms, secs};

use super::{BROWSER, PHONE, raised, talking_with};

#[test]
fn simulation_quality_without_reports_is_unknown_and_never_a_guess() {
    let (mut world, call) = talking_with(true, Rtcp::Silent);
    for (half_leg, level) in HalfLeg::ALL.into_iter().zip(["green", "green", "green", "unknown"]) {
        assert_eq!(world.level(call, half_leg).0, level, "{}", half_leg.word());
    }
    let record = world.bundle(call)["record"]["quality"]["sip_down"].clone();
    for name in ["loss", "jitter_ms", "mos_lq", "mos_cq"] {
        assert!(record[name].is_null(), "{record:#}");
    }
    world.impair(HalfLeg::SipDown, BROWSER, PHONE, Link::good().loss(Loss::Random(0.3)).delay(ms(500)));
    world.run_for(secs(30));
    assert_eq!(world.level(call, HalfLeg::SipDown).0, "unknown");
    assert!(raised(&world, call).is_empty(), "{:?}", raised(&world, call));
}

#[test]
fn simulation_quality_extended_reports_are_understood() {
    let (mut world, call) = talking_with(true, Rtcp::Extended);
    for half_leg in HalfLeg::ALL {
        assert_eq!(world.level(call, half_leg).0, "green", "{}", half_leg.word());
    }
    world.impair(HalfLeg::SipDown, BROWSER, PHONE, Link::good().loss(Loss::Random(0.15)));
    world.run_for(secs(6));
    let (level, reasons) = world.level(call, HalfLeg::SipDown);
    assert!(level == "red" && reasons.contains(&"loss".to_owned()), "{level} {reasons:?}");
    assert_eq!(world.level(call, HalfLeg::SipUp).0, "green");
}

#[test]
fn simulation_quality_a_phone_that_stops_reporting_is_unknown_again() {
    let (mut world, call) = talking_with(true, Rtcp::Honest);
    assert_eq!(world.level(call, HalfLeg::SipDown).0, "green");
    world.phone_mut(PHONE).lines[0].reporter.rtcp = Rtcp::Silent;
    world.run_for(secs(60));
    assert_eq!(world.level(call, HalfLeg::SipDown).0, "unknown");
}
