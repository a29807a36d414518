//! The rows.

use trunkline_tests::world::{Link, Loss, ms};

use super::Row;

const ANY: &[&str] = &["amber", "red"];
const LOSSY: &[&str] = &["loss", "mos"];
const SLOW: &[&str] = &["rtt", "mos"];

macro_rules! rows {
    ($($name:ident => $row:expr;)+) => {
        $(#[test]
        fn $name() {
            $row.check();
        })+
    };
}

fn random(fraction: f64) -> Row {
    Row::new(Link::good().loss(Loss::Random(fraction))).findings(&["loss"])
}

fn bursts(fraction: f64) -> Row {
    Row::new(Link::good().loss(Loss::bursty(fraction, 3.0))).findings(&["loss"]).changes(9)
}

/// A round trip of so many milliseconds, all of the change in one direction.
fn round_trip(milliseconds: u64) -> Row {
    Row::new(Link::good().delay(ms(milliseconds - 15))).reported()
}

/// Interarrival jitter of about so many milliseconds: a third of an even spread.
fn jitter(milliseconds: u64) -> Row {
    Row::new(Link::good().jitter(ms(3 * milliseconds)))
}

rows! {
    simulation_quality_clean => Row::new(Link::good());
    simulation_quality_clean_through_a_jitter_buffer => Row::new(Link::good()).transcoded();
    simulation_quality_loss_of_half_a_percent => random(0.005).may(&["amber"], LOSSY);
    simulation_quality_loss_of_2_percent => random(0.02).may(&["amber"], LOSSY).must(&["loss"]).within(14_000);
    simulation_quality_loss_of_4_percent => random(0.04).may(ANY, LOSSY).must(&["loss"]).within(9_000);
    simulation_quality_loss_of_7_percent => random(0.07).may(ANY, LOSSY).must(&["loss"]).within(7_000).found("loss");
    simulation_quality_loss_of_15_percent => random(0.15).may(ANY, LOSSY).must(&["loss"]).found("loss");
    simulation_quality_loss_of_15_percent_through_a_jitter_buffer =>
        random(0.15).may(ANY, LOSSY).must(&["loss"]).found("loss").transcoded();
    simulation_quality_bursts_of_1_percent => bursts(0.01).may(ANY, LOSSY);
    simulation_quality_bursts_of_3_percent => bursts(0.03).may(ANY, LOSSY);
    simulation_quality_bursts_of_8_percent => bursts(0.08).may(ANY, LOSSY).found("loss");
    simulation_quality_round_trip_of_100_ms => round_trip(100);
    simulation_quality_round_trip_of_250_ms =>
        round_trip(250).may(&["amber"], SLOW).must(&["rtt"]).shares(&["amber"], SLOW).findings(&["rtt"]);
    simulation_quality_round_trip_of_450_ms =>
        round_trip(450).may(ANY, SLOW).must(&["rtt"]).shares(ANY, SLOW).found("rtt");
    simulation_quality_jitter_of_10_ms => jitter(10);
    simulation_quality_jitter_of_35_ms =>
        jitter(35).may(&["amber"], &["jitter", "mos"]).must(&["jitter"]).shares(&["amber"], SLOW).findings(&["jitter"]);
    simulation_quality_jitter_of_60_ms =>
        jitter(60).may(ANY, &["jitter", "mos", "rtt"]).must(&["jitter"]).shares(&["amber"], SLOW).findings(&["rtt"]).found("jitter");
    simulation_quality_overtaken => Row::new(Link::good().shuffled(0.0, 0.1));
    simulation_quality_twice => Row::new(Link::good().shuffled(0.2, 0.0));
    // Now and then the buffer adapts too far, and some come too late for it.
    simulation_quality_overtaken_and_twice =>
        Row::new(Link::good().shuffled(0.1, 0.1)).may(&["amber"], LOSSY).findings(&["loss"]).changes(8).transcoded();
    simulation_quality_a_full_line => Row::new(Link::good().rate(7_000.0))
        .may(ANY, &["loss", "mos", "rtt", "jitter"])
        .must(&["loss", "rtt"])
        .shares(ANY, SLOW)
        .findings(&["loss", "rtt", "jitter"]);
    simulation_quality_dark_for_300_ms => Row::dark(ms(300)).may(ANY, LOSSY).findings(&["loss"]);
    simulation_quality_dark_for_1_s => Row::dark(ms(1_000)).may(ANY, &["loss", "mos", "no_media"]).findings(&["loss"]);
    simulation_quality_dark_for_3_s => Row::dark(ms(3_000))
        .may(ANY, &["loss", "mos", "no_media"])
        .must(&["loss", "no_media"])
        .findings(&["loss", "no_packets"]);
    simulation_quality_late_beyond_the_buffer => Row::new(Link::good().jitter(ms(400)))
        .changes(12)
        .may(ANY, &["loss", "mos", "rtt", "jitter"])
        .must(&["jitter", "loss"])
        .shares(ANY, SLOW)
        // What a buffer makes up for so much lateness fades in and out.
        .findings(&["loss", "rtt", "mic_unstable_gain"])
        .found("jitter")
        .transcoded();
    simulation_quality_loss_and_jitter_and_delay =>
        Row::new(Link::good().loss(Loss::Random(0.07)).jitter(ms(120)).delay(ms(200)))
            .may(ANY, &["loss", "mos", "rtt", "jitter"])
            .must(&["loss", "jitter", "rtt"])
            .shares(ANY, SLOW)
            .findings(&["loss", "rtt", "jitter"]);
    simulation_quality_mobile => Row::new(Link::mobile());
}
