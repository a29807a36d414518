use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::rtp::receiver::Receiver;
use crate::rtp::{PayloadType, RtpPacket, Ssrc};

/// A meter beside its receiver.
struct Meter {
    now: Instant,
    receiver: Receiver,
    meter: BurstMeter,
    /// It is brought up to date with every packet, not only when it must.
    keen: bool,
}

impl Meter {
    fn new(keen: bool) -> Self {
        #[allow(clippy::disallowed_methods)] // Where virtual time begins.
        let now = Instant::now();
        Self { now, receiver: Receiver::new(8000), meter: BurstMeter::default(), keen }
    }

    fn came(&mut self, sequence: u64) {
        self.came_from(1, sequence);
    }

    fn came_from(&mut self, source: u32, sequence: u64) {
        let packet = RtpPacket {
            marker: false,
            payload_type: PayloadType(0),
            sequence: sequence as u16,
            timestamp: 0,
            ssrc: Ssrc(source),
            payload: &[],
        };
        if self.receiver.leaves_window(&packet) {
            self.catch_up();
        }
        if self.receiver.accept(self.now, &packet, false).is_ok_and(|accepted| accepted.restarted) {
            self.meter.begin(self.receiver.window().unwrap().highest);
        }
        if self.keen {
            self.catch_up();
        }
    }

    fn discarded(&mut self, sequence: u64) {
        self.catch_up();
        // The first turn of a receiver's numbers.
        self.meter.discarded(sequence.wrapping_add(1 << 16));
    }

    fn catch_up(&mut self) {
        self.receiver.window().into_iter().for_each(|window| self.meter.catch_up(window));
    }

    fn metrics(&mut self) -> Bursts {
        self.catch_up();
        self.meter.metrics()
    }

    fn runs(&mut self) -> (u32, u32) {
        self.catch_up();
        self.meter.runs()
    }
}

/// Hands the fates of packets over in order and takes the metrics.
fn measure(fates: &[bool]) -> Bursts {
    let [keen, lazy] = [true, false].map(|keen| measure_by(Meter::new(keen), fates));
    assert_eq!(keen, lazy);
    lazy
}

fn measure_by(mut meter: Meter, fates: &[bool]) -> Bursts {
    // Surroundings make the first and the last fates settle; they are received, as RFC 3611 assumes.
    for (sequence, &came) in fates.iter().enumerate() {
        if came {
            meter.came(1000 + sequence as u64);
        } else if sequence == 0 {
            meter.came(1000);
            meter.discarded(1000);
        }
    }
    // A tail that is lost is known by what comes later only; here the last packet comes and is discarded.
    if fates.last() == Some(&false) {
        meter.came(1000 + fates.len() as u64 - 1);
        meter.discarded(1000 + fates.len() as u64 - 1);
    }
    meter.metrics()
}

/// The definitions, word by word: a burst is a longest stretch that begins and ends with a loss and has no 16 packets
/// received in a row within; a loss with 16 received (or the session's end) on both sides is part of a gap.
fn by_definition(fates: &[bool]) -> Bursts {
    let losses: Vec<usize> = (0..fates.len()).filter(|&n| !fates[n]).collect();
    let mut in_burst = vec![false; fates.len()];
    let mut bursts: Vec<(usize, usize)> = Vec::new();
    let mut from = 0;
    while from < losses.len() {
        let mut to = from;
        while to + 1 < losses.len() && losses[to + 1] - losses[to] <= 16 {
            to += 1;
        }
        if to > from {
            bursts.push((losses[from], losses[to]));
            in_burst[losses[from]..=losses[to]].fill(true);
        }
        from = to + 1;
    }
    let count = |burst: bool, lost: bool| {
        (0..fates.len()).filter(|&n| in_burst[n] == burst && (!lost || !fates[n])).count() as f64
    };
    let share = |part: f64, whole: f64| if whole == 0.0 { 0.0 } else { part / whole };
    let mut gaps = 0;
    for n in 0..fates.len() {
        gaps += usize::from(!in_burst[n] && (n == 0 || in_burst[n - 1]));
    }
    Bursts {
        burst_density: share(count(true, true), count(true, false)),
        gap_density: share(count(false, true), count(false, false)),
        burst_packets: share(count(true, false), bursts.len() as f64),
        gap_packets: share(count(false, false), gaps as f64),
    }
}

fn fates(text: &str) -> Vec<bool> {
    text.chars().map(|c| c == '1').collect()
}

fn check(text: &str) {
    assert_eq!(measure(&fates(text)), by_definition(&fates(text)), "{text}");
}

#[test]
fn as_the_definitions_say() {
    let clean = "1".repeat(40);
    let fifteen = "1".repeat(15);
    let sixteen = "1".repeat(16);
    check(&clean);
    check(&format!("{clean}0{clean}"));
    check(&format!("{clean}00{clean}"));
    check(&format!("{clean}0{fifteen}0{clean}"));
    check(&format!("{clean}0{sixteen}0{clean}"));
    check(&format!("{clean}00{fifteen}0{sixteen}0{clean}00{clean}"));
    check(&format!("00{clean}0"));
    check(&format!("0{clean}00"));
    check("00000000");
    check("");
}

/// The pattern of the RFC's example is not consistent with its own figures; these follow from the definitions: 64
/// packets of 10 ms, bursts of 12 packets with four lost, gaps of 52 with two.
#[test]
fn a_pattern_like_the_example() {
    let gap = |n: usize| "1".repeat(n);
    let text = format!("{}0{}011111011101{}0{}", gap(16), gap(20), "0", gap(16));
    check(&text);
    let metrics = measure(&fates("1111111111111111111111100110111101110111111111111111111111111111111"));
    assert!((metrics.burst_density - 5.0 / 12.0).abs() < 1.0);
}

#[test]
fn order_does_not_matter_and_late_ones_are_lost() {
    let mut meter = Meter::new(false);
    for sequence in [5, 7, 6, 8, 10, 9] {
        meter.came(sequence);
    }
    for sequence in 11..100 {
        meter.came(sequence);
    }
    assert_eq!(meter.runs(), (0, 0));
    meter.discarded(98);
    meter.discarded(99);
    meter.came(200);
    let metrics = meter.metrics();
    assert!((metrics.burst_packets - 102.0).abs() < 1e-9, "{metrics:?}");
    // Another source begins without a loss.
    meter.now += Duration::from_secs(1);
    meter.came_from(2, 7);
    assert_eq!(meter.metrics(), metrics_after_one_more(metrics));
}

fn metrics_after_one_more(before: Bursts) -> Bursts {
    Bursts { gap_packets: before.gap_packets + 0.5, ..before }
}

#[test]
fn runs_longer_than_chance_make_a_burst_ratio() {
    assert!((burst_ratio(0.0, 0.0, 0.0) - 1.0).abs() < 1e-9);
    assert!((burst_ratio(10.0, 10.0, 0.02) - 1.0).abs() < 1e-9);
    assert!((burst_ratio(40.0, 10.0, 0.05) - 3.8).abs() < 1e-9);
    assert!((burst_ratio(1000.0, 1.0, 0.5) - 8.0).abs() < 1e-9);
}

#[test]
fn it_stays_small() {
    assert!(size_of::<BurstMeter>() <= 64, "{}", size_of::<BurstMeter>());
}

proptest! {
    #[test]
    fn any_pattern_is_measured_as_defined(fates in prop::collection::vec(prop::bool::weighted(0.85), 0..400)) {
        prop_assert_eq!(measure(&fates), by_definition(&fates));
    }

    #[test]
    fn long_absences_count_every_packet(before in 1u64..100, gap in 0u64..2999, after in 64u64..200) {
        let mut meter = Meter::new(false);
        (0..before).for_each(|n| meter.came(n));
        (before + gap..before + gap + after).for_each(|n| meter.came(n));
        prop_assert_eq!(u64::from(meter.runs().0), gap);
        prop_assert_eq!(meter.runs().1, u32::from(gap > 0));
    }

    #[test]
    fn no_numbers_panic(numbers in prop::collection::vec((any::<u64>(), any::<bool>()), 0..100)) {
        let mut meter = Meter::new(false);
        for (number, flag) in numbers {
            if flag { meter.came(number) } else { meter.discarded(number) }
        }
        let _ = meter.metrics();
    }
}
