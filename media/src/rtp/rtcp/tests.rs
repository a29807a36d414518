use proptest::prelude::*;

use super::*;
use crate::rtp::{PayloadType, RtpPacket};

const OURS: Ssrc = Ssrc(0x0102_0304);
const THEIRS: Ssrc = Ssrc(0x0a0b_0c0d);
const WALL: Duration = Duration::from_secs(1_700_000_000);

fn start() -> Instant {
    // The tests' only clock reading; from here time is virtual.
    #[allow(clippy::disallowed_methods)]
    Instant::now()
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn session(now: Instant) -> RtcpSession {
    RtcpSession::new("name".into(), now, WALL, 1)
}

fn handle(bytes: &[u8]) -> Result<Received, Malformed> {
    let now = start();
    session(now).handle(now, bytes, OURS, Some(THEIRS), 8000)
}

/// A packet of a compound: first octet's low six bits, type, body.
fn packet(low: u8, kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80 | low, kind];
    bytes.extend_from_slice(&((body.len() / 4) as u16).to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

fn block(ssrc: Ssrc, lost: [u8; 4], jitter: u32, last_sr: u32, delay: u32) -> Vec<u8> {
    let mut bytes = ssrc.0.to_be_bytes().to_vec();
    bytes.extend_from_slice(&lost);
    for word in [77, jitter, last_sr, delay] {
        bytes.extend_from_slice(&u32::to_be_bytes(word));
    }
    bytes
}

fn receiver_report(blocks: &[Vec<u8>]) -> Vec<u8> {
    let mut body = THEIRS.0.to_be_bytes().to_vec();
    blocks.iter().for_each(|b| body.extend_from_slice(b));
    packet(blocks.len() as u8, 201, &body)
}

#[test]
fn finds_the_block_about_us() {
    let others = block(Ssrc(9), [255, 0, 0, 9], 1, 0, 0);
    let about_us = block(OURS, [64, 0xff, 0xff, 0xfe], 80, 0, 0);
    let received = handle(&receiver_report(&[others.clone(), about_us])).unwrap();
    let expected = AboutUs {
        reporter: THEIRS,
        highest_sequence: 77,
        fraction_lost: 0.25,
        cumulative_lost: -2,
        jitter_ms: 10.0,
        rtt_ms: None,
    };
    assert_eq!(received, Received { about_us: Some(expected), ..Received::default() });
    assert_eq!(handle(&receiver_report(&[others])), Ok(Received::default()));
}

/// The example of RFC 3550 section 6.4.1, figure 2: A = b710:8000, LSR = b705:2000, DLSR = 5.25 s; 6.125 s.
#[test]
fn round_trip_as_in_the_rfc() {
    let now = start();
    let mut session = session(now);
    session.epoch = (now, 0xb44d_b705_2000_0000);
    let arrival = now + ms(11_375);
    assert_eq!((session.ntp_at(arrival) >> 16) as u32, 0xb710_8000);
    let report = receiver_report(&[block(OURS, [0; 4], 0, 0xb705_2000, 0x0005_4000)]);
    let about_us = session.handle(arrival, &report, OURS, Some(THEIRS), 8000).unwrap().about_us.unwrap();
    assert_eq!(about_us.rtt_ms, Some(6125.0));
    // An echo of what was never sent is no round trip.
    let report = receiver_report(&[block(OURS, [0; 4], 0, 0x1234_5678, 0)]);
    let about_us = session.handle(arrival, &report, OURS, Some(THEIRS), 8000).unwrap().about_us.unwrap();
    assert_eq!(about_us.rtt_ms, None);
}

#[test]
fn skips_what_it_does_not_know() {
    let mut bytes = packet(15, 206, b"REMBREMB");
    bytes.extend(packet(1, 207, b"XRXRXRXR"));
    bytes.extend(packet(3, 204, b"APPL"));
    bytes.extend(packet(2, 203, &[0, 0, 0, 1, 0x0a, 0x0b, 0x0c, 0x0d, 3, b'b', b'y', b'e']));
    assert_eq!(handle(&bytes), Ok(Received { bye: true, ..Received::default() }));
    assert_eq!(handle(&packet(1, 203, &[0, 0, 0, 1])), Ok(Received::default()));
    assert_eq!(handle(&packet(0x20 | 1, 203, &[0, 0, 0, 1, 0, 0, 0, 4])), Ok(Received::default()));
}

/// RFC 5506: feedback without the reports around it.
#[test]
fn reduced_size_packets_are_taken_alone() {
    let feedback = [&[0, 0, 0, 9][..], &OURS.0.to_be_bytes(), &[0, 77, 0, 1]].concat();
    let nack = packet(1, 205, &feedback);
    assert_eq!(handle(&nack), Ok(Received::default()));
    assert_eq!(nacked(&nack, OURS).collect::<Vec<_>>(), [77, 78]);
    assert_eq!(nacked(&packet(15, 205, &feedback), OURS).count(), 0, "feedback of another format");
    let voip = [&THEIRS.0.to_be_bytes()[..], &[7, 0, 0, 8], &OURS.0.to_be_bytes(), &[64; 28]].concat();
    assert_eq!(handle(&packet(0, 207, &voip)).unwrap().voip.unwrap().loss, 0.25);
    assert!(handle(&packet(1, 203, &THEIRS.0.to_be_bytes())).unwrap().bye);
    assert_eq!(handle(&packet(1, 205, &feedback[..4])), Err(Malformed));
}

#[test]
fn refuses_what_does_not_add_up() {
    let good = receiver_report(&[block(OURS, [0; 4], 0, 0, 0)]);
    let mut cases = vec![
        vec![],
        vec![0x80, 201, 0],
        packet(1, 201, &THEIRS.0.to_be_bytes()),
        packet(1, 200, &[0; 24]),
        packet(2, 203, &[0; 4]),
        packet(0, 191, &[0; 4]),
        packet(0x20, 203, &[0, 0, 0, 3]),
        packet(0x20, 203, &[]),
        [packet(0x20, 203, &[0, 0, 0, 4]), good.clone()].concat(),
        [good.clone(), vec![0x80]].concat(),
    ];
    cases.extend((1..good.len()).map(|n| good[..n].to_vec()));
    for case in cases {
        assert_eq!(handle(&case), Err(Malformed), "{case:02x?}");
    }
}

#[test]
fn two_sessions_understand_each_other() {
    let now = start();
    let (mut here, mut there) = (session(now), RtcpSession::new("other".into(), now, WALL, 2));
    let (mut sender, mut idle) = (Sender::new(OURS, 1, 0, 8000), Sender::new(THEIRS, 1, 0, 8000));
    let (mut nothing, mut receiver) = (Receiver::new(8000), Receiver::new(8000));
    let mut wire = Vec::new();
    for n in 0..10u64 {
        let sent = sender.next(now + ms(20 * n), PayloadType(0), 160, b"voice");
        wire.clear();
        sent.write(&mut wire);
        if n != 5 {
            let _ = receiver.accept(now + ms(20 * n), &RtpPacket::parse(&wire).unwrap(), true);
        }
    }
    // A sender report takes 30 ms there; the answer, half a second later, 40 ms back.
    let at = here.poll_timeout().unwrap();
    wire.clear();
    assert!(!here.poll(at - ms(1), &sender, &mut nothing, &mut wire));
    assert!(here.poll(at, &sender, &mut nothing, &mut wire));
    let heard = there.handle(at + ms(30), &wire, THEIRS, Some(OURS), 8000).unwrap();
    assert_eq!(heard, Received { sender_report: true, ..Received::default() });
    wire.clear();
    let answer_at = (at + ms(530)).max(there.poll_timeout().unwrap());
    assert!(there.poll(answer_at, &idle, &mut receiver, &mut wire));
    let about = here.handle(answer_at + ms(40), &wire, OURS, Some(THEIRS), 8000).unwrap().about_us.unwrap();
    assert!((about.rtt_ms.unwrap() - 70.0).abs() < 0.1, "{about:?}");
    assert_eq!((about.cumulative_lost, about.fraction_lost), (1, 25.0 / 256.0));
    // Goodbye.
    wire.clear();
    there.bye(answer_at, &idle, &mut receiver, &mut wire);
    assert!(here.handle(answer_at, &wire, OURS, Some(THEIRS), 8000).unwrap().bye);
    let _ = idle.next(now, PayloadType(0), 160, b"");
}

/// The example of RFC 3550 with the roles of RFC 3611: who only listens learns the round trip as well.
#[test]
fn a_listener_learns_the_round_trip_by_extended_reports() {
    let now = start();
    let (mut listener, mut talker) = (session(now), RtcpSession::new("other".into(), now, WALL, 2));
    let (silent, mut busy) = (Sender::new(OURS, 1, 0, 8000), Sender::new(THEIRS, 1, 0, 8000));
    let (mut nothing, mut hears) = (Receiver::new(8000), Receiver::new(8000));
    let _ = busy.next(now, PayloadType(0), 160, b"voice");
    let at = listener.poll_timeout().unwrap();
    let mut wire = Vec::new();
    assert!(listener.poll(at, &silent, &mut hears, &mut wire));
    talker.handle(at + ms(30), &wire, THEIRS, None, 8000).unwrap();
    wire.clear();
    let answer_at = (at + ms(400)).max(talker.poll_timeout().unwrap());
    assert!(talker.poll(answer_at, &busy, &mut nothing, &mut wire));
    let received = listener.handle(answer_at + ms(40), &wire, OURS, Some(THEIRS), 8000).unwrap();
    assert!((received.xr_rtt_ms.unwrap() - 70.0).abs() < 0.1, "{received:?}");
    // Echoed once; and an echo of another's time is none of ours.
    let again = answer_at + ms(2000);
    wire.clear();
    assert!(talker.poll(again, &busy, &mut nothing, &mut wire));
    assert_eq!(listener.handle(again, &wire, OURS, Some(THEIRS), 8000).unwrap().xr_rtt_ms, None);
}

#[test]
fn reports_come_about_once_a_second_and_never_in_step() {
    let now = start();
    let (mut a, mut b) = (session(now), RtcpSession::new("b".into(), now, WALL, 99));
    let (sender, mut receiver) = (Sender::new(OURS, 1, 0, 8000), Receiver::new(8000));
    let mut at = Vec::new();
    for session in [&mut a, &mut b] {
        let mut last = now;
        for _ in 0..100 {
            let next = session.poll_timeout().unwrap();
            assert!((ms(500)..=ms(1500)).contains(&(next - last)));
            last = next;
            assert!(session.poll(next, &sender, &mut receiver, &mut Vec::new()));
        }
        at.push(last);
    }
    assert_ne!(at[0], at[1]);
    assert!((ms(90_000)..ms(110_000)).contains(&(at[0] - now)));
}

#[test]
fn names_of_any_length_keep_the_packet_whole() {
    let now = start();
    let (sender, mut receiver) = (Sender::new(OURS, 1, 0, 8000), Receiver::new(8000));
    for length in [0, 1, 2, 3, 4, 5, 6, 254, 255, 256, 400] {
        let mut session = RtcpSession::new("é".repeat(length), now, WALL, 1);
        let mut wire = Vec::new();
        assert!(session.poll(now + ms(1500), &sender, &mut receiver, &mut wire));
        assert!(handle(&wire).is_ok(), "{length}");
    }
}

/// Inputs that crashed other readers, kept in the repository: they parse or they do not, and that is all.
#[test]
fn survives_the_corpus() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/rtcp");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "bin") {
            let bytes = std::fs::read(&path).unwrap();
            let _ = handle(&bytes);
            for n in 0..bytes.len() {
                let _ = handle(&bytes[..n]);
            }
            seen += 1;
        }
    }
    assert!(seen >= 6, "the corpus is gone from {folder}");
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = handle(&bytes);
    }

    #[test]
    fn no_compound_panics(parts in prop::collection::vec((any::<u8>(), 192u8..=223, prop::collection::vec(any::<u8>(), 0..80)), 1..5)) {
        let bytes: Vec<u8> = parts.iter().flat_map(|(low, kind, body)| packet(low & 0x3f, *kind, body)).collect();
        let _ = handle(&bytes);
    }
}
