//! Levels, what is told of them, and what they say of a loss.

use trunkline_media::quality::{HalfLeg, HalfLegSample, Level, LevelReason, Reasons};

use super::*;

fn sample(level: Level, reasons: &[LevelReason]) -> HalfLegSample {
    let mut set = Reasons::default();
    reasons.iter().for_each(|reason| set.insert(*reason));
    let gap_ms = if reasons.contains(&LevelReason::NoMedia) { 2_500 } else { 20 };
    HalfLegSample {
        packets: 50,
        loss: Some(0.2),
        jitter_ms: Some(2.5),
        expected: true,
        gap_ms,
        level,
        reasons: set,
        ..HalfLegSample::default()
    }
}

fn good() -> HalfLegSample {
    sample(Level::Green, &[])
}

fn lossy() -> HalfLegSample {
    sample(Level::Red, &[LevelReason::Loss])
}

fn cut() -> HalfLegSample {
    sample(Level::Red, &[LevelReason::NoMedia])
}

impl Bench {
    /// So many seconds of these, each half-leg its own.
    fn seconds(&mut self, seconds: u32, quality: [HalfLegSample; 4]) {
        for _ in 0..seconds {
            self.now += Duration::from_secs(1);
            self.media(MediaEvent::Sample(Box::new(CallStats { quality, ..CallStats::default() })));
        }
    }

    /// The browser falls silent, is waited for and given up.
    fn vanish(&mut self) {
        let unknown = HalfLegSample::default();
        self.seconds(3, [cut(), lossy(), good(), good()]);
        self.media(MediaEvent::BrowserLost { how: BrowserLoss::Silence });
        self.seconds(30, [cut(), unknown, good(), good()]);
        self.media(MediaEvent::GraceExpired { how: BrowserLoss::Silence });
    }
}

#[test]
fn each_change_of_a_level_is_told_once_with_its_reasons() {
    let mut bench = Bench::talking();
    let unknown = HalfLegSample::default();
    bench.seconds(3, [unknown; 4]);
    assert_eq!(bench.told.len(), 0);
    bench.seconds(5, [good(), unknown, good(), good()]);
    bench.seconds(5, [lossy(), unknown, good(), good()]);
    let line = |e: &Value| format!("{} {} {} {}", e["half_leg"], e["from"], e["to"], e["reasons"]).replace('"', "");
    let told: Vec<_> = bench.told("network_quality_changed").iter().map(line).collect();
    assert_eq!(
        told,
        [
            "browser_up unknown green []",
            "sip_up unknown green []",
            "sip_down unknown green []",
            "browser_up green red [loss]"
        ]
    );
    let record = bench.record();
    let up = &record["quality"]["browser_up"];
    assert_eq!((&up["level"], &up["reasons"], &up["loss"]), (&json!("red"), &json!(["loss"]), &json!(0.2)));
    assert_eq!(up["since"], "2023-11-14T22:13:29.000Z");
    let down = &record["quality"]["browser_down"];
    assert_eq!((&down["level"], &down["loss"], &down["rtt_source"]), (&json!("unknown"), &Value::Null, &Value::Null));
    let series = bench.call.quality_series(bench.now);
    assert_eq!(series["half_legs"]["browser_up"]["recent"].as_array().map(Vec::len), Some(13));
    assert_eq!((&series["call"], &series["mos_model"]), (&json!("call_1"), &record["mos_model"]));
}

#[test]
fn a_network_that_was_red_until_the_loss_is_its_cause_and_a_good_one_is_not() {
    let rows: [(u32, u32, &str, &str); 4] = [
        // Good seconds, then lossy ones, then nothing.
        (20, 8, "network_poor", "red"),
        (20, 0, "peer_vanished", "green"),
        (20, 3, "peer_vanished", "red"),
        (0, 0, "peer_vanished", "unknown"),
    ];
    for (fine, bad, reason, level) in rows {
        let mut bench = Bench::talking();
        bench.seconds(fine, [good(); 4]);
        bench.seconds(bad, [lossy(), good(), good(), good()]);
        if fine == 0 {
            bench.media(MediaEvent::BrowserLost { how: BrowserLoss::Silence });
            bench.media(MediaEvent::GraceExpired { how: BrowserLoss::Silence });
        } else {
            bench.vanish();
        }
        let outcome = bench.outcome();
        assert_eq!((&outcome["reason"], &outcome["quality_at_end"]["level"]), (&json!(reason), &json!(level)));
        assert_eq!((&outcome["class"], &outcome["blame"]), (&json!("error"), &json!("visitor_network")));
        let evidence = &outcome["evidence"];
        if reason == "network_poor" {
            assert_eq!((&evidence["half_leg"], &evidence["reasons"]), (&json!("browser_up"), &json!(["loss"])));
            assert_eq!((&evidence["red_for_ms"], &evidence["last_good_age_ms"]), (&json!(7_000), &json!(3_000)));
            assert_eq!(outcome["quality_at_end"]["half_leg"], "browser_up");
            assert_eq!(bench.record()["quality"]["browser_up"]["reasons"], json!(["loss"]), "as it was before");
        } else if fine > 0 {
            assert_eq!(evidence["levels_before"]["browser_up"]["level"], level);
            assert_eq!((&evidence["loss"], &evidence["lost_for_ms"]), (&json!("silence"), &json!(30_000)));
        }
    }
}

#[test]
fn a_silent_leg_shows_what_it_owed_and_how_it_was_before() {
    for (leg, red, expected) in [
        (Leg::Browser, true, "error network_poor - talking visitor_network"),
        (Leg::Browser, false, "error media_timeout browser talking visitor"),
        (Leg::Trunk, true, "error media_timeout sip talking trunk"),
    ] {
        let mut bench = Bench::talking();
        bench.seconds(10, [good(); 4]);
        let (own, silent) = if leg == Leg::Browser { (HalfLeg::BrowserUp, 0) } else { (HalfLeg::SipUp, 2) };
        let mut quality = [good(); 4];
        quality[silent] = if red { lossy() } else { good() };
        bench.seconds(8, quality);
        quality[silent] = cut();
        bench.seconds(20, quality);
        bench.media(MediaEvent::MediaTimeout { leg });
        assert_eq!(words(&bench.outcome()), expected);
        let evidence = &bench.outcome()["evidence"];
        let level = if red { "red" } else { "green" };
        assert_eq!(evidence["levels_before"][own.word()]["level"], level);
        assert_eq!(evidence["limit_ms"], 20_000);
        let direction = if leg == Leg::Browser { json!({"browser": "sends"}) } else { json!({"sip": "sendrecv"}) };
        assert_eq!(evidence["expected_direction"], direction);
    }
}

#[test]
fn a_clean_end_names_the_worst_half_leg() {
    let mut bench = Bench::talking();
    bench.seconds(4, [good(), good(), good(), sample(Level::Amber, &[LevelReason::Rtt])]);
    bench.feed(Input::Api(Api::VisitorHangup));
    assert_eq!(
        bench.outcome()["quality_at_end"],
        json!({"level": "amber", "since": "2023-11-14T22:13:21.000Z", "half_leg": "sip_down", "reasons": ["rtt"]})
    );
    let event = bench.done.iter().find_map(|e| if let Effect::Emit(e) = e { Some(e) } else { None }).unwrap();
    assert_eq!(event.data["quality_at_end"]["level"], "amber");
    assert!(event.data.get("evidence").is_none());
}
