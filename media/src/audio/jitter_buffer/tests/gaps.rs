//! Gaps of several packets, without jitter that would hide them.

use super::*;

#[test]
fn a_gap_lasts_as_long_as_what_is_missing_and_moves_nothing_after_it() {
    for missing in 1..=4 {
        let packets: Vec<_> = stream(1500, |_| 30).into_iter().filter(|p| p.sequence % 50 >= missing).collect();
        let world = World::g711().run(&packets, 29_000);
        let stats = world.buffer.stats();
        // From when the first ones have taught it.
        let made_up = world.count(4_000, is_lost) as u64;
        let expected = 25 * missing;
        assert!(made_up.abs_diff(expected) <= 2, "{missing} at a time: {made_up} of {expected} made up, {stats:?}");
        assert!(stats.late == 0 && stats.actual_ms <= 60, "{missing} at a time: {stats:?}");
    }
}

#[test]
fn redundancy_is_given_the_time_it_needs_for_as_long_as_packets_get_lost() {
    let opus = |p: Sent| Sent { timestamp: p.timestamp.wrapping_mul(6), samples: 960, ..p };
    for jitter in [1, 10, 30] {
        let packets = stream(3_000, |n| 30 + noise(n, jitter)).into_iter().map(opus);
        let packets: Vec<_> = packets.filter(|p| p.sequence % 10 != 7).collect();
        let mut world = World::new(JitterBuffer::for_codec(Codec::Opus, Duration::from_millis(200)));
        world.redundant = true;
        let world = world.run(&packets, 59_000);
        let made_up = world.count(5_000, is_lost);
        assert!(made_up <= 5, "{jitter} ms: {made_up} of 270, {:?}", world.buffer.stats());
    }
}
