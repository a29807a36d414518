use proptest::prelude::*;

use super::*;

mod gaps;

const FRAME: u32 = 160;

fn start() -> Instant {
    #[allow(clippy::disallowed_methods)] // The tests' only clock reading; from here time is virtual.
    Instant::now()
}

/// A packet on its way: when it arrives, and what it says (its number).
#[derive(Debug, Clone, Copy)]
struct Sent {
    arrives_ms: u64,
    sequence: u64,
    timestamp: u32,
    samples: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Packet(u64),
    Lost { with_next: bool },
    Silence,
}

struct World {
    began: Instant,
    buffer: JitterBuffer,
    heard: Vec<(u64, Heard)>,
    most_ms: u32,
    /// Each packet holds the one before it, too.
    redundant: bool,
}

impl World {
    fn new(buffer: JitterBuffer) -> Self {
        Self { began: start(), buffer, heard: Vec::new(), most_ms: 0, redundant: false }
    }

    fn g711() -> Self {
        Self::new(JitterBuffer::new(8_000, Duration::from_millis(200)))
    }

    /// Delivers everything, while a listener pulls whenever its sound runs out, until `end_ms`.
    fn run(mut self, packets: &[Sent], end_ms: u64) -> Self {
        let mut packets = packets.to_vec();
        packets.sort_by_key(|p| p.arrives_ms);
        let mut packets = packets.into_iter().peekable();
        let rate = self.buffer.clock_rate;
        let mut last = None;
        let mut pull_at = 7_000_000u64;
        let part = i64::from(rate) / 125;
        while pull_at < end_ms * 1_000_000 {
            while let Some(p) = packets.next_if(|p| p.arrives_ms * 1_000_000 <= pull_at) {
                let now = self.began + Duration::from_millis(p.arrives_ms);
                self.buffer.push(now, p.sequence, p.timestamp, false, p.samples, &p.sequence.to_be_bytes());
                if let Some(before) = self.redundant.then(|| p.sequence - 1) {
                    let timestamp = p.timestamp.wrapping_sub(p.samples);
                    self.buffer.recover(before, timestamp, p.samples, &before.to_be_bytes());
                }
                self.check_sums();
            }
            let mut by = 0;
            let heard = match self.buffer.pull(self.began + Duration::from_nanos(pull_at)) {
                Playout::Packet { payload, pace } => {
                    by = match pace {
                        Pace::AsIs => 0,
                        Pace::Longer { .. } => part,
                        Pace::Shorter { .. } => -part,
                    };
                    let sequence = u64::from_be_bytes(payload.try_into().unwrap());
                    assert!(last.is_none_or(|last| sequence > last), "{sequence} after {last:?}");
                    last = Some(sequence);
                    Heard::Packet(sequence)
                }
                Playout::Lost { next } => {
                    let follows = next.map(|payload| u64::from_be_bytes(payload.try_into().unwrap()));
                    assert!(follows.is_none_or(|next| last.is_none_or(|last| next > last)));
                    Heard::Lost { with_next: follows.is_some() }
                }
                Playout::Silence => Heard::Silence,
            };
            self.check_sums();
            self.heard.push((pull_at / 1_000_000, heard));
            self.most_ms = self.most_ms.max(self.buffer.stats().actual_ms);
            assert!(self.buffer.covers() > 0 && self.buffer.covers() <= rate / 4);
            // The listener does as it is asked, by 8 ms at a time.
            let lasts = u64::try_from(i64::from(self.buffer.covers()) + by).unwrap();
            pull_at += lasts * 1_000_000_000 / u64::from(rate);
        }
        self
    }

    fn check_sums(&self) {
        let s = self.buffer.stats();
        assert_eq!(s.received, s.played + s.late + s.duplicate + s.overflow + s.forgotten + s.buffered, "{s:?}");
        assert!(s.buffered <= store::CAPACITY as u64 && s.shrunk <= s.overflow, "{s:?}");
    }

    fn played(&self) -> Vec<u64> {
        let number = |(_, heard): &(u64, Heard)| match heard {
            Heard::Packet(sequence) => Some(*sequence),
            Heard::Lost { .. } | Heard::Silence => None,
        };
        self.heard.iter().filter_map(number).collect()
    }

    fn count(&self, from_ms: u64, what: impl Fn(Heard) -> bool) -> usize {
        self.heard.iter().filter(|(at, heard)| *at >= from_ms && what(*heard)).count()
    }
}

/// A steady stream of 20 ms packets at 8 kHz, each delayed by `delay_ms(n)`.
fn stream(count: u64, delay_ms: impl Fn(u64) -> u64) -> Vec<Sent> {
    let packet = |n: u64| Sent {
        arrives_ms: n * 20 + delay_ms(n),
        sequence: 1000 + n,
        timestamp: (n as u32).wrapping_mul(FRAME).wrapping_add(u32::MAX - 5000),
        samples: FRAME,
    };
    (0..count).map(packet).collect()
}

fn is_lost(heard: Heard) -> bool {
    matches!(heard, Heard::Lost { .. })
}

/// Repeatable noise, 0..limit.
fn noise(n: u64, limit: u64) -> u64 {
    let mixed = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33) % limit.max(1)
}

#[test]
fn a_calm_stream_is_played_whole_with_little_delay() {
    let world = World::g711().run(&stream(1500, |_| 30), 30_200);
    let stats = world.buffer.stats();
    assert_eq!((stats.lost, stats.late), (0, 0), "{stats:?}");
    assert!(stats.shortened <= 5 && stats.shrunk + stats.stretched == 0, "{stats:?}");
    assert_eq!(stats.target_ms, 20);
    assert!(stats.actual_ms <= 50, "{stats:?}");
    // It begins within 60 ms of the first packet, and then every pull has its packet.
    let first = world.heard.iter().position(|(_, heard)| *heard == Heard::Packet(1000)).unwrap();
    assert!(world.heard[first].0 <= 30 + 60);
    assert!(world.heard[first..first + 1400].iter().all(|(_, heard)| matches!(heard, Heard::Packet(_))));
}

#[test]
fn jitter_is_learnt_and_then_no_more_heard() {
    let world = World::g711().run(&stream(1500, |n| 30 + noise(n, 80)), 30_000);
    let stats = world.buffer.stats();
    assert!((60..=100).contains(&stats.target_ms), "{stats:?}");
    assert_eq!(stats.late, 0);
    assert!(world.count(5_000, is_lost) <= 12, "{}: {stats:?}", world.count(5_000, is_lost));
    assert!(world.most_ms <= 200);
}

#[test]
fn delay_grows_when_the_network_gets_worse_and_shrinks_when_it_is_better() {
    let rough = 500..1500;
    let world = World::g711().run(&stream(3000, |n| if rough.contains(&n) { 30 + noise(n, 80) } else { 30 }), 60_000);
    let stats = world.buffer.stats();
    assert_eq!(stats.late, 0, "{stats:?}");
    assert!(stats.shortened >= 5 && stats.shrunk == 0 && stats.actual_ms <= 50, "{stats:?}");
    assert!(world.count(13_000, is_lost) <= 8, "{}: {stats:?}", world.count(13_000, is_lost));
}

#[test]
fn delay_grows_before_more_packets_are_late() {
    // Single packets come 80 ms later than their neighbours: the buffer never runs dry, but it must become longer.
    let world = World::g711().run(&stream(1500, |n| if n > 700 && n % 10 == 5 { 110 } else { 30 }), 30_000);
    let stats = world.buffer.stats();
    assert!((5..=12).contains(&stats.stretched) && stats.late <= 8, "{stats:?}");
    assert_eq!(world.count(18_000, is_lost), 0, "{stats:?}");
}

#[test]
fn reordered_packets_are_played_in_order() {
    let world = World::g711().run(&stream(500, |n| if n % 10 == 5 { 65 } else { 30 }), 10_000);
    assert!(world.played().len() >= 495, "{:?}", world.buffer.stats());
    assert!(world.buffer.stats().late <= 1);
    assert!(world.count(4_000, is_lost) == 0);
}

#[test]
fn a_lost_packet_is_made_up_once() {
    let packets: Vec<_> = stream(500, |_| 30).into_iter().filter(|p| p.sequence % 50 != 7).collect();
    let world = World::g711().run(&packets, 10_000);
    let stats = world.buffer.stats();
    assert_eq!((stats.lost, stats.late), (10, 0), "{stats:?}");
    assert_eq!(world.count(200, |heard| heard == Heard::Silence), 0);
}

#[test]
fn with_losses_opus_waits_for_the_packet_that_has_the_fec() {
    let opus = |packets: Vec<Sent>| -> Vec<Sent> {
        packets.into_iter().map(|p| Sent { timestamp: p.timestamp.wrapping_mul(6), samples: 960, ..p }).collect()
    };
    let lossy = |packets: Vec<Sent>| packets.into_iter().filter(|p| p.sequence % 13 != 7).collect::<Vec<_>>();
    let world = World::new(JitterBuffer::for_codec(Codec::Opus, Duration::from_millis(200)));
    let world = world.run(&lossy(opus(stream(1000, |n| 30 + noise(n, 10)))), 20_000);
    let with = world.count(5_000, |heard| heard == Heard::Lost { with_next: true });
    let without = world.count(5_000, |heard| heard == Heard::Lost { with_next: false });
    assert!(with >= 55 && without <= 5, "with {with}, without {without}, {:?}", world.buffer.stats());
}

#[test]
fn silence_of_the_sender_is_no_loss() {
    // Two seconds of speech, two of silence: sequence goes on, timestamps jump.
    let packets: Vec<_> = stream(2000, |n| 30 + noise(n, 15))
        .into_iter()
        .filter(|p| (p.sequence - 1000) / 100 % 2 == 0)
        .zip(1000..)
        .map(|(p, sequence)| Sent { sequence, ..p })
        .collect();
    let world = World::g711().run(&packets, 41_000);
    let stats = world.buffer.stats();
    assert!(stats.lost <= 5, "{stats:?}");
    assert_eq!((stats.played, stats.shrunk), (1000, 0));
    assert!(world.count(0, |heard| heard == Heard::Silence) > 800);
}

#[test]
fn telephone_events_are_no_loss() {
    let mut world = World::g711();
    for n in 0..100u64 {
        let now = world.began + Duration::from_millis(20 * n);
        if (40..50).contains(&n) {
            world.buffer.skip(n);
        } else {
            world.buffer.push(now, n, n as u32 * FRAME, false, FRAME, b"x");
        }
        let _ = world.buffer.pull(now + Duration::from_millis(1));
    }
    let stats = world.buffer.stats();
    assert_eq!((stats.lost, stats.late), (0, 0), "{stats:?}");
    assert!(stats.played >= 86, "{stats:?}");
}

#[test]
fn a_stall_is_caught_up_with() {
    // The network stands still for a second and then delivers all at once.
    let world =
        World::g711().run(&stream(500, |n| if (100..150).contains(&n) { 30 + (150 - n) * 20 } else { 30 }), 10_000);
    let stats = world.buffer.stats();
    assert!(world.most_ms <= 200 && stats.actual_ms <= 120, "{stats:?}");
    assert!(stats.overflow >= 35, "{stats:?}");
    assert_eq!(world.count(4_000, is_lost), 0);
}

#[test]
fn a_slower_path_is_followed_and_given_up_again() {
    let world = World::g711().run(&stream(3000, |n| if (500..1500).contains(&n) { 130 } else { 30 }), 60_000);
    let stats = world.buffer.stats();
    assert!(stats.actual_ms <= 60 && stats.target_ms <= 40, "{stats:?}");
    assert!(world.count(15_000, is_lost) <= 12, "{} {stats:?}", world.count(15_000, is_lost));
}

#[test]
fn a_jump_of_the_timeline_begins_anew() {
    let first = stream(100, |_| 30);
    for (by_sequence, by_timestamp) in
        [(20_000u64, 0u32), (0, 0x4000_0000), (0, 0u32.wrapping_sub(50_000)), (60_000, 77)]
    {
        let second = stream(100, |_| 30).into_iter().map(|p| Sent {
            arrives_ms: p.arrives_ms + 2_000,
            sequence: p.sequence + 100 + by_sequence,
            timestamp: p.timestamp.wrapping_add(100 * FRAME).wrapping_add(by_timestamp),
            ..p
        });
        let packets: Vec<_> = first.iter().copied().chain(second).collect();
        let world = World::g711().run(&packets, 4_200);
        assert!(world.played().len() >= 190, "{by_sequence} {by_timestamp:#x}: {:?}", world.buffer.stats());
    }
}

#[test]
fn clocks_that_drift_are_followed() {
    // 0.2 % fast, and slow: 120 ms a minute.
    for (num, den) in [(998, 1000), (1002, 1000)] {
        let packets: Vec<_> =
            stream(3000, |_| 30).into_iter().map(|p| Sent { arrives_ms: p.arrives_ms * num / den, ..p }).collect();
        let world = World::g711().run(&packets, 59_000);
        let stats = world.buffer.stats();
        assert!(stats.actual_ms <= 80 && stats.late == 0, "{num}: {stats:?}");
        assert!(stats.lost <= 4 && stats.stretched + stats.shortened <= 40, "{num}: {stats:?}");
    }
}

#[test]
fn packets_of_every_usual_length_are_played() {
    for ms in [10, 20, 30, 40, 60] {
        let packets: Vec<_> = stream(300, |_| 0)
            .into_iter()
            .map(|p| {
                let n = p.sequence - 1000;
                Sent {
                    arrives_ms: n * ms + 30 + noise(n, 8),
                    timestamp: n as u32 * 8 * ms as u32,
                    samples: 8 * ms as u32,
                    ..p
                }
            })
            .collect();
        let world = World::g711().run(&packets, 300 * ms);
        let stats = world.buffer.stats();
        assert_eq!((stats.lost, stats.late), (0, 0), "{ms} ms: {stats:?}");
        assert!(stats.played >= 290 && stats.shrunk <= 3, "{ms} ms: {stats:?}");
    }
}

#[test]
fn quiet_packets_are_the_ones_left_out() {
    let mut world = World::new(JitterBuffer::for_codec(Codec::Pcmu, Duration::from_millis(200)));
    // A burst at the beginning leaves 80 ms too much; every fourth packet is silence.
    let mut left_out = Vec::new();
    for n in 0..600u64 {
        let now = world.began + Duration::from_millis(n.saturating_sub(6) * 20);
        let payload = [if n % 4 == 0 { 0xff } else { 0x10 }; 160];
        world.buffer.push(now, n, n as u32 * FRAME, false, FRAME, &payload);
        if n >= 6 {
            let _ = world.buffer.pull(now + Duration::from_millis(1));
            left_out.extend(world.buffer.skipped().then_some(n));
        }
    }
    let stats = world.buffer.stats();
    assert!(stats.shrunk >= 2 && !left_out.is_empty(), "{stats:?}");
    assert!(stats.actual_ms <= 60, "{stats:?}");
}

#[test]
fn memory_is_used_again() {
    let mut world = World::g711();
    for n in 0..1000u64 {
        let now = world.began + Duration::from_millis(20 * n);
        world.buffer.push(now, n, n as u32 * FRAME, false, FRAME, &[0; 160]);
        let _ = world.buffer.pull(now);
    }
    assert!(world.buffer.store.memory() <= 8, "{}", world.buffer.store.memory());
}

#[test]
fn twice_and_late_are_counted_apart() {
    let mut world = World::g711();
    for n in (0..20u64).filter(|n| *n != 5) {
        let now = world.began + Duration::from_millis(20 * n);
        world.buffer.push(now, n, n as u32 * FRAME, false, FRAME, b"x");
        let _ = world.buffer.pull(now);
    }
    let now = world.began + Duration::from_millis(400);
    for (n, late, duplicate) in [(5, 1, 0), (8, 1, 1), (19, 1, 2)] {
        world.buffer.push(now, n, n as u32 * FRAME, false, FRAME, b"x");
        let stats = world.buffer.stats();
        assert_eq!((stats.late, stats.duplicate), (late, duplicate), "{n}");
    }
    world.buffer.push(now, 20, 20 * FRAME, false, FRAME, &[0; 1501]);
    assert_eq!(world.buffer.stats().overflow, 1);
    world.check_sums();
}

proptest! {
    /// In order, each once, within the cap, nothing uncounted: the harness asserts it at every step.
    #[test]
    fn any_network_is_survived(
        packets in prop::collection::vec((0u64..300, 0u64..100, 0u32..4, 0u32..2000), 1..300),
        samples in prop_oneof![Just(80u32), Just(160), Just(480), Just(960), Just(0)],
    ) {
        let packets: Vec<_> = packets.into_iter().enumerate().map(|(n, (delay, lag, dtx, late))| {
            let n = n as u64;
            Sent {
                arrives_ms: n * 20 + delay + if late < 20 { u64::from(late) * 100 } else { 0 },
                sequence: 500 + n - if lag < 5 { lag.min(n) } else { 0 },
                timestamp: (n as u32 * samples).wrapping_add(if dtx == 0 { 8000 } else { 0 }),
                samples,
            }
        }).collect();
        World::g711().run(&packets, 8_000);
    }

    #[test]
    fn no_numbers_panic(packets in prop::collection::vec((any::<u32>(), any::<u64>(), any::<u32>(), any::<u32>(), 0u8..3), 0..100)) {
        let mut world = World::g711();
        let mut now = world.began;
        for (wait, sequence, timestamp, samples, what) in packets {
            now += Duration::from_micros(u64::from(wait >> 12));
            let sequence = sequence >> 8;
            match what {
                0 => world.buffer.skip(sequence),
                _ => world.buffer.push(now, sequence, timestamp, true, samples, b"x"),
            }
            let _ = world.buffer.pull(now);
            world.check_sums();
        }
    }
}
