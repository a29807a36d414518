use proptest::prelude::*;

use super::*;

const PT: PayloadType = PayloadType(0);

fn start() -> Instant {
    // The tests' only clock reading; from here time is virtual.
    #[allow(clippy::disallowed_methods)]
    Instant::now()
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn sender() -> Sender {
    Sender::new(Ssrc(7), 65_534, 1000, 8000)
}

fn numbers(packet: RtpPacket<'_>) -> (u16, u32, bool) {
    (packet.sequence, packet.timestamp, packet.marker)
}

#[test]
fn paces_itself_and_marks_what_follows_a_silence() {
    let (now, mut s) = (start(), sender());
    assert_eq!(numbers(s.next(now, PT, 160, b"x")), (65_534, 1000, true));
    assert_eq!(numbers(s.next(now + ms(23), PT, 160, b"x")), (65_535, 1160, false));
    assert_eq!(numbers(s.next(now + ms(40), PT, 160, b"x")), (0, 1320, false));
    assert_eq!(numbers(s.next(now + ms(1040), PT, 160, b"x")), (1, 1000 + 8320, true));
    assert_eq!(s.timestamp_at(now + ms(1050)), 1000 + 8400);
    assert_eq!((s.packets(), s.octets()), (4, 4));
}

#[test]
fn noise_takes_one_place_and_the_next_words_begin_anew() {
    let (now, mut s) = (start(), sender());
    s.next(now, PT, 160, b"x");
    assert_eq!(numbers(s.noise(now + ms(20), PayloadType(13), b"n")), (65_535, 1160, false));
    assert_eq!(numbers(s.noise(now + ms(1020), PayloadType(13), b"n")), (0, 9160, false));
    assert_eq!(numbers(s.next(now + ms(1040), PT, 160, b"x")), (1, 9320, true));
    assert_eq!(numbers(s.next(now + ms(1060), PT, 160, b"x")), (2, 9480, false));
    s.noise(now + ms(1080), PayloadType(13), b"n");
    assert_eq!(numbers(s.relay(now + ms(5080), PT, false, 7, 77, false, b"x")), (4, 41_640, true));
}

#[test]
fn relays_gaps_and_reordering_but_not_their_origin() {
    let (now, mut s) = (start(), sender());
    let mut relay = |n: u64, restarted| numbers(s.relay(now, PT, false, n, (n as u32) * 160, restarted, b"x"));
    assert_eq!(relay(70_000, true), (65_534, 1000, true));
    assert_eq!(relay(70_003, false), (1, 1480, false));
    assert_eq!(relay(70_001, false), (65_535, 1160, false));
    assert_eq!(relay(70_004, false), (2, 1640, false));
}

#[test]
fn a_restarted_source_goes_on_where_time_has_come_to() {
    let (now, mut s) = (start(), sender());
    s.relay(now, PT, false, 10, 0, true, b"x");
    let packet = s.relay(now + ms(500), PT, false, 200_000, 0xdead_beef, true, b"x");
    assert_eq!(numbers(packet), (65_535, 5000, true));
    let packet = s.relay(now + ms(520), PT, false, 200_001, 0xdead_beef_u32.wrapping_add(160), false, b"x");
    assert_eq!(numbers(packet), (0, 5160, false));
}

#[test]
fn an_absurd_gap_is_a_new_beginning() {
    let (now, mut s) = (start(), sender());
    s.relay(now, PT, false, 10, 0, true, b"x");
    assert_eq!(numbers(s.relay(now + ms(20), PT, false, 90_000, 160, false, b"x")), (65_535, 1160, true));
}

#[test]
fn a_source_that_jumps_in_time_does_not_take_the_peer_along() {
    let (now, mut s) = (start(), sender());
    s.relay(now, PT, false, 10, 0, true, b"x");
    let packet = s.relay(now + ms(20), PT, false, 11, 0x4000_0000, false, b"x");
    assert_eq!(numbers(packet), (65_535, 1160, false));
    // Silence that really lasted is kept.
    let packet = s.relay(now + ms(10_020), PT, true, 12, 0x4000_0000 + 80_000, false, b"x");
    assert_eq!(numbers(packet), (0, 81_160, true));
}

#[test]
fn own_packets_between_relayed_ones_take_numbers_of_their_own() {
    let (now, mut s) = (start(), sender());
    let mut used = Vec::new();
    used.push(s.relay(now, PT, false, 10, 0, true, b"x").sequence);
    used.push(s.relay(now, PT, false, 12, 320, false, b"x").sequence);
    let event = s.event(now + ms(45), PayloadType(101), true, now + ms(45), b"evnt");
    assert_eq!((event.timestamp, event.marker), (1320 + 360, true));
    used.push(event.sequence);
    let event = s.event(now + ms(65), PayloadType(101), false, now + ms(45), b"evnt");
    assert_eq!(event.timestamp, 1320 + 360);
    used.push(event.sequence);
    let late = s.relay(now + ms(66), PT, false, 11, 160, false, b"x");
    assert_eq!(late.timestamp, 1160);
    used.push(late.sequence);
    used.push(s.relay(now + ms(67), PT, false, 13, 480, false, b"x").sequence);
    assert_eq!(used, [65_534, 0, 1, 2, 3, 4]);
}

#[test]
fn the_segments_of_a_long_event_join_without_a_seam() {
    let (now, mut s) = (start(), Sender::new(Ssrc(1), 0, 0, 48_000));
    let first = s.event(now, PT, true, now, b"evnt").timestamp;
    let segment = now + clock_span(0xffff, 48_000);
    let second = s.event(now + ms(1400), PT, false, segment, b"evnt").timestamp;
    assert_eq!(second.wrapping_sub(first), 0xffff);
}

#[test]
fn audio_after_an_event_is_marked_and_on_time() {
    let (now, mut s) = (start(), sender());
    s.next(now, PT, 160, b"x");
    s.event(now + ms(20), PT, true, now + ms(20), b"evnt");
    assert_eq!(numbers(s.next(now + ms(80), PT, 160, b"x")), (0, 1640, true));
}

#[test]
fn a_change_of_clock_goes_on_from_the_same_moment() {
    let (now, mut s) = (start(), sender());
    s.next(now, PT, 160, b"x");
    s.set_clock_rate(now + ms(20), 48_000);
    assert_eq!(s.next(now + ms(20), PT, 960, b"x").timestamp, 1160);
    assert_eq!(s.next(now + ms(40), PT, 960, b"x").timestamp, 1160 + 960);
}

#[derive(Debug, Clone)]
enum Act {
    Own,
    Event,
    Relay { step: u64, behind: u64, restarted: bool },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        Just(Act::Own),
        Just(Act::Event),
        (0u64..20, 0u64..8, prop::bool::weighted(0.05)).prop_map(|(step, behind, restarted)| Act::Relay {
            step,
            behind,
            restarted
        }),
    ]
}

proptest! {
    /// SRTP breaks if a sequence number is used for two packets.
    #[test]
    fn no_sequence_number_is_used_twice(acts in prop::collection::vec(act(), 1..300)) {
        let (mut now, mut s) = (start(), sender());
        let (mut source, mut given, mut used) = (1000u64, std::collections::HashSet::new(), std::collections::HashSet::new());
        for act in acts {
            now += ms(20);
            let packet = match act {
                Act::Own => s.next(now, PT, 160, b"x"),
                Act::Event => s.event(now, PT, false, now, b"evnt"),
                Act::Relay { step, behind, restarted } => {
                    source += step;
                    let sequence = source - behind;
                    if !given.insert(sequence) {
                        continue;
                    }
                    s.relay(now, PT, false, sequence, (sequence as u32).wrapping_mul(160), restarted, b"x")
                }
            };
            prop_assert!(used.insert(packet.sequence), "{} twice", packet.sequence);
        }
    }
}
