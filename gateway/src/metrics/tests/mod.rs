//! What is counted is published, and nothing else; what is published is documented, watched and drawn.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use trunkline_media::api::{CallStats, DropStats, ReorderStats};
use trunkline_media::quality::{HalfLeg, HalfLegSample, Level};

use super::catalogue::ALL;
use super::definition::{Definition, Kind, OTHER};
use super::*;
use crate::call::Timings;
use crate::outcome::{Evidence, Outcome, Phase, QualityAtEnd, Reason};

mod deploy;
mod promql;
mod readme;
mod rules;

/// A node that has everything, and has counted something of each.
fn busy() -> (Metrics, Snapshot) {
    let metrics = Metrics::new();
    metrics.http_request(Listener::Public, "/v1/calls/{call}", 404);
    metrics.session_rejected("unknown-app");
    metrics.call_refused("preview-session");
    let report = Report { drop_counts: [2, 0, 0, 0, 1], truncated: vec!["a".into()], ..Report::default() };
    metrics.session_opened(&report);
    metrics.client_reported("mic_denied");
    metrics.connection_refused(Listener::Control, "total");
    let measures = CallMeasures::default();
    measures.attempted("acme", "dest_busy");
    measures.found("uplink_loss");
    let calls = CallCounters {
        live: 3,
        with_media: 3,
        tasks: 5,
        live_by_app: vec![("shop".into(), 3)],
        live_by_trunk: vec![("acme".into(), 2), ("other-trunk".into(), 1)],
        outcomes: vec![(["ended", "user_hangup", "talking"], 7)],
        measures: measures.read(),
        ..CallCounters::default()
    };
    let worker = WorkerStats { received: 5, calls: 2, leased_pairs: 2, ..WorkerStats::default() };
    let snapshot = Snapshot {
        calls,
        workers: vec![worker, WorkerStats { calls: 1, leased_pairs: 1, ..WorkerStats::default() }],
        sip: EndpointStats { legs: 2, ..EndpointStats::default() },
        store: Some(StoreStats { waiting: 4, ..StoreStats::default() }),
        events: EventCounters {
            by_name: vec![("call_ended", 3)],
            seats: SeatStats { of_all: 2, ..SeatStats::default() },
        },
        webhooks: vec![OutletStats {
            integration: "crm".into(),
            pending: 6,
            paused: true,
            attempts: vec![("5xx", 9)],
            deliveries: vec![("failed", 2)],
        }],
        capacity: Capacity { rtp_pairs: 10, apps: vec![("shop".into(), 50)], trunks: vec![("acme".into(), 20)] },
        registrations: vec![RegistrationCounts { trunk: "acme".into(), registered: true, succeeded: 4, failed: 1 }],
        certificate_expires: Some(jiff::Timestamp::UNIX_EPOCH),
        ..Snapshot::default()
    };
    (metrics, snapshot)
}

fn text_of(measures: &CallMeasures) -> String {
    let calls = CallCounters { measures: measures.read(), ..CallCounters::default() };
    Metrics::new().render(&Snapshot { calls, ..Snapshot::default() })
}

#[track_caller]
fn has(text: &str, line: &str) {
    let name = line.split(['{', ' ']).next().unwrap_or_default();
    let near: Vec<_> = text.lines().filter(|have| have.starts_with(name) && !have.ends_with(" 0")).collect();
    assert!(text.lines().any(|have| have == line), "{line}\nnot among {near:#?}");
}

#[test]
fn what_is_counted_is_published() {
    let (metrics, snapshot) = busy();
    let text = metrics.render(&snapshot);
    for line in [
        r#"trunkline_http_requests_total{code="404",listener="public",route="/v1/calls/{call}"} 1"#,
        r#"trunkline_session_rejections_total{reason="unknown-app"} 1"#,
        r#"trunkline_call_refusals_total{reason="preview-session"} 1"#,
        r#"trunkline_context_keys_dropped_total{reason="invalid_key"} 2"#,
        r#"trunkline_context_keys_dropped_total{reason="invalid_value"} 1"#,
        "trunkline_context_values_truncated_total 1",
        "trunkline_calls 3",
        r#"trunkline_calls_total{class="ended",reason="user_hangup",phase="talking"} 7"#,
        r#"trunkline_calls_total{class="error",reason="ice_failed",phase="setup"} 0"#,
        r#"trunkline_calls_total{class="refused",reason="capacity",phase="admission"} 0"#,
        r#"trunkline_worker_datagrams_received_total{worker="0"} 5"#,
        r#"trunkline_trunk_attempts_total{trunk="acme",result="dest_busy"} 1"#,
        r#"trunkline_findings_total{finding="uplink_loss"} 1"#,
        r#"trunkline_trunk_calls_max{trunk="acme"} 20"#,
        "trunkline_rtp_pairs 10",
        "trunkline_store_queue 4",
        r#"trunkline_webhook_pending{integration="crm"} 6"#,
        r#"trunkline_webhook_paused{integration="crm"} 1"#,
        r#"trunkline_webhook_attempts_total{integration="crm",result="5xx"} 9"#,
        r#"trunkline_webhook_deliveries_total{integration="crm",result="failed"} 2"#,
        "trunkline_sip_legs 2",
        "# TYPE trunkline_sip_legs gauge",
        "# TYPE trunkline_worker_datagrams_received_total counter",
        "# TYPE trunkline_half_leg_mos histogram",
    ] {
        has(&text, line);
    }
}

#[test]
fn events_and_their_readers_are_counted() {
    let (metrics, snapshot) = busy();
    let text = metrics.render(&snapshot);
    has(&text, "trunkline_events_total{name=\"call_ended\"} 3");
    has(&text, "trunkline_event_streams{listener=\"control\"} 2");
    has(&text, "trunkline_event_streams{listener=\"public\"} 0");
}

#[test]
fn numbers_that_belong_together_and_differ_show_a_gap() {
    let (metrics, snapshot) = busy();
    let text = metrics.render(&snapshot);
    for (invariant, gap) in [("call_tasks", 2), ("media_calls", 0), ("leased_pairs", 0), ("sip_legs", 1)] {
        has(&text, &format!("trunkline_invariant_gap{{invariant=\"{invariant}\"}} {gap}"));
    }
}

#[test]
fn a_second_of_quality_is_counted_for_its_half_leg_alone() {
    let measures = CallMeasures::default();
    let mut quality = [HalfLegSample::default(); 4];
    quality[2] = HalfLegSample {
        level: Level::Red,
        loss: Some(0.05),
        jitter_ms: Some(45.0),
        rtt_ms: Some(f32::NAN),
        mos_lq: Some(3.5),
        ..HalfLegSample::default()
    };
    measures.sampled(&quality);
    let text = text_of(&measures);
    for line in [
        r#"trunkline_quality_seconds_total{half_leg="sip_up",level="red"} 1"#,
        r#"trunkline_quality_seconds_total{half_leg="sip_up",level="unknown"} 0"#,
        r#"trunkline_quality_seconds_total{half_leg="browser_up",level="unknown"} 1"#,
        r#"trunkline_half_leg_loss_ratio_bucket{half_leg="sip_up",le="0.03"} 0"#,
        r#"trunkline_half_leg_loss_ratio_bucket{half_leg="sip_up",le="0.1"} 1"#,
        r#"trunkline_half_leg_loss_ratio_count{half_leg="browser_up"} 0"#,
        r#"trunkline_half_leg_jitter_seconds_bucket{half_leg="sip_up",le="0.04"} 0"#,
        r#"trunkline_half_leg_jitter_seconds_sum{half_leg="sip_up"} 0.045"#,
        r#"trunkline_half_leg_rtt_seconds_count{half_leg="sip_up"} 0"#,
        r#"trunkline_half_leg_mos_sum{half_leg="sip_up",kind="lq"} 3.5"#,
        r#"trunkline_half_leg_mos_count{half_leg="sip_up",kind="cq"} 0"#,
    ] {
        has(&text, line);
    }
}

#[test]
fn an_ended_call_leaves_its_times_and_who_dropped_it() {
    let ms = |ms| Some(Duration::from_millis(ms));
    let timings = Timings {
        ice: ms(300),
        dtls: ms(420),
        ringing: ms(700),
        answered: ms(5_700),
        first_audio_up: ms(600),
        first_audio_down: ms(5_800),
        ended: ms(65_700),
    };
    let red = || QualityAtEnd { level: "red", ..QualityAtEnd::unknown() };
    let outcome = |reason, phase| Outcome::new(reason, phase, red(), Evidence::default());
    let measures = CallMeasures::default();
    measures.ended(&outcome(Reason::PeerVanished, Phase::Talking), &timings);
    measures.ended(&outcome(Reason::DestBusy, Phase::Setup), &Timings { ended: ms(900), ..Timings::default() });
    measures.ended(&outcome(Reason::UserHangup, Phase::Talking), &Timings::default());
    let text = text_of(&measures);
    let sum = |stage: &str, seconds: f64| format!("trunkline_call_setup_seconds_sum{{stage=\"{stage}\"}} {seconds}");
    for line in [
        sum("offer_to_ice", 0.3),
        sum("ice_to_dtls", 0.12),
        sum("offer_to_ringing", 0.7),
        sum("offer_to_answer", 5.7),
        sum("ringing_to_answer", 5.0),
        sum("answer_to_audio_up", 0.0),
        sum("answer_to_audio_down", 0.1),
        r#"trunkline_call_setup_seconds_count{stage="answer_to_audio_up"} 1"#.into(),
        r#"trunkline_call_duration_seconds_count{class="error"} 2"#.into(),
        "trunkline_call_talk_seconds_sum 60".into(),
        "trunkline_call_talk_seconds_count 1".into(),
        r#"trunkline_calls_dropped_total{blame="visitor_network",level="red"} 1"#.into(),
        r#"trunkline_calls_dropped_total{blame="agent",level="red"} 0"#.into(),
    ] {
        has(&text, &line);
    }
}

#[test]
fn dropped_datagrams_are_counted_once_and_for_their_leg() {
    let measures = CallMeasures::default();
    let mut seen = DropsSeen::default();
    let mut stats = CallStats {
        drops: DropStats { wrong_source: 5, bad_rtcp: 1, ..DropStats::default() },
        trunk_drops: DropStats { wrong_source: 3, ..DropStats::default() },
        resent: 4,
        ..CallStats::default()
    };
    stats.browser_in.reorder = ReorderStats { put_right: 2, given_up: 0 };
    seen.count(&stats, &measures);
    seen.count(&stats, &measures);
    (stats.drops.wrong_source, stats.trunk_drops.wrong_source) = (9, 7);
    stats.browser_in.reorder = ReorderStats { put_right: 5, given_up: 1 };
    seen.count(&stats, &measures);
    let text = text_of(&measures);
    has(&text, "trunkline_media_resent_packets_total 4");
    has(&text, "trunkline_media_reordered_total{result=\"put_right\"} 5");
    has(&text, "trunkline_media_reordered_total{result=\"given_up\"} 1");
    for (leg, reason, count) in [("browser", "wrong_source", 2), ("sip", "wrong_source", 7), ("browser", "bad_rtcp", 1)]
    {
        has(&text, &format!("trunkline_media_drops_total{{leg=\"{leg}\",reason=\"{reason}\"}} {count}"));
    }
}

#[test]
fn every_metric_is_well_named_and_its_bounds_ascend() {
    let mut names = BTreeSet::new();
    for definition in ALL {
        let Definition { name, kind, unit, help, labels, .. } = definition;
        assert!(names.insert(name), "{name} twice");
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        assert!(name.starts_with("trunkline_") && plain(name), "{name}");
        assert_eq!(name.ends_with("_total"), kind.word() == "counter", "{name}");
        assert!(!help.is_empty() && !help.contains(['|', '\n']), "{name}: {help}");
        let base = name.strip_suffix("_total").unwrap_or(name);
        for base_unit in ["seconds", "bytes", "ratio"] {
            assert_eq!(*unit == base_unit, base.ends_with(base_unit), "{name} in {unit}");
        }
        for label in *labels {
            assert!(plain(label.name) && !["le", "instance", "job"].contains(&label.name), "{name}: {}", label.name);
            let words = label.values.words().unwrap_or_default();
            assert_eq!(words.iter().collect::<BTreeSet<_>>().len(), words.len(), "{name}: {words:?}");
        }
        if let Kind::Histogram(bounds) = kind {
            assert!(!bounds.is_empty() && bounds.iter().is_sorted_by(|a, b| a < b), "{name}");
        }
    }
}

#[test]
fn a_node_publishes_the_whole_catalogue_within_its_bounds() {
    let (metrics, snapshot) = busy();
    let text = metrics.render(&snapshot);
    for definition in ALL {
        has(&text, &format!("# TYPE {} {}", definition.name, definition.kind.word()));
        has(&text, &format!("# HELP {} {}", definition.name, definition.help));
        let lines = lines_of(&text, definition.name);
        assert!((1..=definition.bound()).contains(&lines), "{}: {lines}", definition.name);
    }
    assert_eq!(text.matches("# TYPE ").count(), ALL.len(), "nothing beyond the catalogue");
    assert!(text.len() < 128 * 1024, "{}", text.len());
    // What a node can come to at the very most, with thousand apps and trunks: hundreds of lines but for these.
    let open = [
        "trunkline_http_requests_total",
        "trunkline_trunk_attempts_total",
        "trunkline_trunk_registrations_total",
        "trunkline_calls_total",
        "trunkline_webhook_attempts_total",
        "trunkline_webhook_deliveries_total",
        "trunkline_worker_lateness_seconds",
    ];
    for definition in ALL.iter().filter(|definition| !open.contains(&definition.name)) {
        assert!(definition.bound() <= 1_001, "{}: {}", definition.name, definition.bound());
    }
}

/// Lines of a metric, those of a histogram's parts among them.
fn lines_of(text: &str, name: &str) -> usize {
    let of = |line: &&str| {
        let rest = line.strip_prefix(name).unwrap_or("x");
        ["{", " ", "_bucket", "_sum", "_count"].iter().any(|next| rest.starts_with(next))
    };
    text.lines().filter(of).count()
}

#[test]
fn the_words_of_every_reason_and_level_are_in_their_sets() {
    for &reason in Reason::ALL {
        let set = match reason.class() {
            crate::outcome::Class::Ended => &labels::ENDED[..],
            crate::outcome::Class::Error => &labels::ERRORS,
        };
        assert!(set.contains(&reason.word()), "{reason:?}");
        assert!(labels::BLAME.values.words().unwrap().contains(&reason.blame().word()), "{reason:?}");
    }
    for status in 300..700 {
        let word = crate::outcome::table::reason_of_status(status).word();
        assert!(labels::RESULT.values.words().unwrap().contains(&word), "{status}: {word}");
    }
    for half_leg in HalfLeg::ALL {
        assert!(labels::LEG.values.words().unwrap().iter().any(|leg| half_leg.word().starts_with(leg)));
    }
}

proptest! {
    /// Whatever comes in from outside, no series is made of it.
    #[test]
    fn words_from_outside_never_become_series(words in prop::collection::vec(".{0,40}", 1..40), code in any::<u16>()) {
        let metrics = Metrics::new();
        let measures = CallMeasures::default();
        for word in &words {
            measures.found(word);
            // A route that is none of ours could only come here by a mistake of ours; even then it is bounded.
            metrics.http_request(Listener::Public, word, code);
        }
        let text = text_of(&measures);
        let known = ALL.iter().find(|definition| definition.name == "trunkline_findings_total").unwrap();
        let lines = lines_of(&text, known.name);
        prop_assert!(lines <= known.bound());
        for line in text.lines().filter(|line| line.starts_with(known.name)) {
            let word = line.split('"').nth(1).unwrap();
            let in_set = known.labels[0].values.words().unwrap().contains(&word);
            prop_assert!(in_set || word == OTHER, "{line}");
        }
    }

    /// One observation is in one bucket, and in the count, whatever its size.
    #[test]
    fn an_observation_is_counted_once(loss in any::<f32>(), level in 0_usize..4) {
        let measures = CallMeasures::default();
        let mut quality = [HalfLegSample::default(); 4];
        quality[level].loss = Some(loss);
        measures.sampled(&quality);
        let text = text_of(&measures);
        let half_leg = HalfLeg::ALL[level].word();
        let expected = u8::from(loss.is_finite());
        has(&text, &format!("trunkline_half_leg_loss_ratio_bucket{{half_leg=\"{half_leg}\",le=\"+Inf\"}} {expected}"));
        has(&text, &format!("trunkline_half_leg_loss_ratio_count{{half_leg=\"{half_leg}\"}} {expected}"));
    }
}

#[test]
fn routes_beyond_the_bound_are_counted_together() {
    let metrics = Metrics::new();
    for n in 0..500_u16 {
        metrics.http_request(Listener::Public, &format!("/{n}"), n);
    }
    let text = metrics.render(&Snapshot::default());
    let routes: BTreeSet<_> =
        text.lines().filter_map(|line| line.split("route=\"").nth(1)?.split('"').next()).collect();
    let codes: BTreeSet<_> = text.lines().filter_map(|line| line.split("code=\"").nth(1)?.split('"').next()).collect();
    let bounds = [&labels::ROUTE, &labels::CODE].map(|label| label.values.bound());
    assert!(routes.contains(OTHER) && codes.contains(OTHER));
    // Reports have codes too: they are words.
    let words = labels::REPORT.values.words().unwrap();
    assert_eq!((routes.len(), codes.iter().filter(|code| !words.contains(code)).count() + 1), (bounds[0], bounds[1]));
    let total: f64 = text
        .lines()
        .filter(|line| line.starts_with("trunkline_http_requests_total"))
        .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
        .sum();
    assert!((total - 500.0).abs() < 0.5);
}

#[test]
fn the_capacity_is_the_configurations() {
    let mut config = crate::testing::config();
    config.media.rtp_ports = 30_000..=30_009;
    let capacity = Capacity::of(&config);
    assert_eq!(capacity.rtp_pairs, 5);
    config.media.rtp_ports = 30_001..=30_008;
    assert_eq!(Capacity::of(&config).rtp_pairs, 3);
    assert_eq!(capacity.trunks.len(), config.trunks.len());
    assert_eq!(capacity.apps[0], (config.apps[0].id.clone(), config.apps[0].max_calls));
}
