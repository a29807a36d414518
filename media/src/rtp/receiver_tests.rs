use proptest::prelude::*;

use super::*;
use crate::rtp::PayloadType;

fn packet(ssrc: u32, sequence: u16, timestamp: u32) -> RtpPacket<'static> {
    RtpPacket { marker: false, payload_type: PayloadType(0), sequence, timestamp, ssrc: Ssrc(ssrc), payload: b"1234" }
}

struct Bench {
    now: Instant,
    receiver: Receiver,
}

impl Bench {
    fn new() -> Self {
        // The tests' only clock reading; from here time is virtual.
        #[allow(clippy::disallowed_methods)]
        let now = Instant::now();
        Self { now, receiver: Receiver::new(8000) }
    }

    fn after(&mut self, ms: u64) -> &mut Self {
        self.now += Duration::from_millis(ms);
        self
    }

    fn take(&mut self, ssrc: u32, sequence: u16) -> Result<Accepted, Refused> {
        let timestamp = u32::from(sequence).wrapping_mul(160);
        self.receiver.accept(self.now, &packet(ssrc, sequence, timestamp), true)
    }

    /// The low 16 bits and the restart flag, which is what a table can state.
    fn check(&mut self, ssrc: u32, sequence: u16, expected: Result<bool, Refused>) {
        let got = self.take(ssrc, sequence).map(|a| {
            assert_eq!(a.sequence as u16, sequence);
            a.restarted
        });
        assert_eq!(got, expected, "ssrc {ssrc}, sequence {sequence}");
    }
}

#[test]
fn the_first_packet_is_taken_at_once() {
    Bench::new().check(1, 65_535, Ok(true));
}

#[test]
fn sequence_goes_on_over_the_wrap() {
    let mut bench = Bench::new();
    let first = bench.take(1, 65_534).unwrap().sequence;
    assert_eq!(bench.take(1, 0).unwrap().sequence, first + 2);
    assert_eq!(bench.take(1, 65_535).unwrap().sequence, first + 1);
    assert_eq!(bench.take(1, 2).unwrap().sequence, first + 4);
    assert_eq!(bench.receiver.lost(), 1);
}

#[test]
fn duplicates_are_refused_even_out_of_order() {
    let mut bench = Bench::new();
    for (sequence, expected) in [
        (100, Ok(true)),
        (100, Err(Refused::Duplicate)),
        (103, Ok(false)),
        (101, Ok(false)),
        (101, Err(Refused::Duplicate)),
        (102, Ok(false)),
        (230, Ok(false)),
        (103, Err(Refused::Duplicate)),
        (99, Err(Refused::Jump)),
    ] {
        bench.check(1, sequence, expected);
    }
}

#[test]
fn a_jump_needs_two_packets_in_sequence() {
    let mut bench = Bench::new();
    bench.check(1, 10, Ok(true));
    bench.check(1, 20_000, Err(Refused::Jump));
    bench.check(1, 11, Ok(false));
    bench.check(1, 20_001, Err(Refused::Jump));
    bench.check(1, 20_003, Err(Refused::Jump));
    bench.check(1, 20_004, Ok(true));
    bench.check(1, 20_005, Ok(false));
}

#[test]
fn a_new_source_waits_for_the_old_one_to_be_silent() {
    let mut bench = Bench::new();
    bench.check(1, 10, Ok(true));
    bench.after(20).check(2, 500, Err(Refused::Jump));
    bench.check(1, 11, Ok(false));
    bench.after(20).check(2, 501, Err(Refused::Jump));
    bench.after(20).check(2, 502, Ok(true));
    bench.after(199).check(3, 7, Err(Refused::Jump));
    bench.after(1).check(3, 9, Ok(true));
    assert_eq!(bench.receiver.ssrc(), Some(Ssrc(3)));
}

#[test]
fn numbers_of_a_new_source_stay_above_the_old_ones() {
    let mut bench = Bench::new();
    let old = bench.take(1, 60_000).unwrap().sequence;
    bench.after(300);
    let new = bench.take(2, 5).unwrap();
    assert!(new.restarted && new.sequence > old);
    assert!(bench.take(2, 65_530).unwrap().sequence > old);
}

#[test]
fn a_report_counts_the_interval_and_the_whole() {
    let mut bench = Bench::new();
    assert_eq!(bench.receiver.report(), None);
    for sequence in [0, 1, 2, 4] {
        bench.after(20).take(9, sequence).unwrap();
    }
    let report = bench.receiver.report().unwrap();
    assert_eq!((report.ssrc, report.fraction_lost, report.cumulative_lost), (Ssrc(9), 51, 1));
    assert_eq!(report.highest_sequence, 4);
    for sequence in [5, 6, 3] {
        bench.after(20).take(9, sequence).unwrap();
    }
    let report = bench.receiver.report().unwrap();
    assert_eq!((report.fraction_lost, report.cumulative_lost, report.highest_sequence), (0, 0, 6));
    assert_eq!((bench.receiver.packets(), bench.receiver.octets()), (7, 28));
}

#[test]
fn jitter_follows_appendix_a8() {
    let mut bench = Bench::new();
    bench.take(1, 0).unwrap();
    bench.after(36).take(1, 1).unwrap();
    // 16 ms late: (128 - 0) / 16 = 8 units, 1 ms.
    assert!((bench.receiver.jitter_ms() - 1.0).abs() < 1e-9, "{}", bench.receiver.jitter_ms());
    assert_eq!(bench.receiver.report().unwrap().jitter, 8);
    // Telephone events keep their first timestamp: they say nothing about jitter.
    let event = packet(1, 2, 160);
    bench.now += Duration::from_millis(500);
    bench.receiver.accept(bench.now, &event, false).unwrap();
    assert!((bench.receiver.jitter_ms() - 1.0).abs() < 1e-9);
}

#[test]
fn a_sender_that_moves_its_timeline_is_no_jitter() {
    let mut bench = Bench::new();
    bench.take(1, 0).unwrap();
    bench.now += Duration::from_millis(20);
    bench.receiver.accept(bench.now, &packet(1, 1, 0x8000_0000), true).unwrap();
    assert!(bench.receiver.jitter_ms() < 1e-9);
}

proptest! {
    /// However packets are lost and reordered, a number is given out once, and never a wrap away from its place.
    #[test]
    fn extended_numbers_never_run_backwards_by_a_wrap(
        first in any::<u16>(),
        steps in prop::collection::vec(-100i32..200, 1..400),
    ) {
        let mut bench = Bench::new();
        let origin = bench.take(1, first).unwrap().sequence;
        let (mut at, mut highest, mut given) = (0i64, 0i64, std::collections::HashSet::from([origin]));
        for step in steps {
            at = (at + i64::from(step)).max(highest - 127).max(0);
            highest = highest.max(at);
            let wire = first.wrapping_add(at as u16);
            if let Ok(accepted) = bench.take(1, wire) {
                prop_assert!(!accepted.restarted);
                prop_assert_eq!(accepted.sequence, origin + at as u64);
                prop_assert!(given.insert(accepted.sequence));
            }
        }
    }

    #[test]
    fn no_stream_breaks_the_counters(stream in prop::collection::vec((0u32..3, any::<u16>(), any::<u32>(), 0u64..300), 0..200)) {
        let mut bench = Bench::new();
        for (ssrc, sequence, timestamp, ms) in stream {
            bench.after(ms);
            let _ = bench.receiver.accept(bench.now, &packet(ssrc, sequence, timestamp), true);
            let _ = bench.receiver.report();
        }
        prop_assert!(bench.receiver.lost() >= 0);
    }
}
