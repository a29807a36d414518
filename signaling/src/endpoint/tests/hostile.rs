//! RFC 4475, random bytes, and an independent reader of what we send.

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/data/rfc4475")
}

/// What this user agent does with each message. The RFC speaks of other elements at times: a registrar, an element that
/// knows the dialog of a To tag, one that speaks an unknown method.
fn expected(file: &str, row: &[&str]) -> Option<u16> {
    match file {
        // Its To tag names no dialog of ours.
        "wsinv.dat" => Some(481),
        // No registrar: 405 for any REGISTER that is well formed.
        "escnull.dat" | "unksm2.dat" | "regaut01.dat" | "cparam01.dat" | "cparam02.dat" | "regescrt.dat" => Some(405),
        "mpart01.dat" | "dblreq.dat" => Some(405),
        // A proxy would have to refuse it; we are where it was going.
        "zeromf.dat" => Some(200),
        // Calls.
        "esc01.dat" | "longreq.dat" | "inv2543.dat" => Some(100),
        // Liberal where nothing can be misread.
        "lwsstart.dat" | "baddate.dat" => Some(100),
        "badbranch.dat" | "trws.dat" => Some(200),
        _ if row[3] == "resp" => Some(0),
        _ => {
            row[5].split(|c: char| !c.is_ascii_digit()).find(|word| word.len() == 3).and_then(|word| word.parse().ok())
        }
    }
}

#[test]
fn torture_messages_get_the_answer_of_the_rfc() {
    let table = std::fs::read_to_string(corpus().join("EXPECTED.tsv")).unwrap();
    for row in table.lines().skip(1) {
        let row: Vec<_> = row.split('\t').collect();
        let mut lone = Lone::new();
        lone.give(std::fs::read(corpus().join(row[0])).unwrap());
        // What is broken in its Via cannot be answered in a form that parses; the status line can be read all the same.
        let sent: Vec<_> = std::iter::from_fn(|| lone.end.poll_transmit()).collect();
        let status = sent
            .first()
            .map_or(0, |transmit| String::from_utf8_lossy(&transmit.bytes).split(' ').nth(1).unwrap().parse().unwrap());
        if let Some(expected) = expected(row[0], &row) {
            assert_eq!(status, expected, "{}: {}", row[0], row[5]);
        }
        assert!(sent.len() <= 1, "{}", row[0]);
        for transmit in sent {
            assert_eq!(transmit.to.ip(), address(B).ip(), "{}: never to where a message points", row[0]);
        }
    }
}

/// Pieces of a live call, to be damaged.
fn conversation() -> Vec<(usize, Bytes)> {
    let (mut world, caller, callee) = talking(1);
    world.ends[A].reinvite(world.now, caller, answer()).unwrap();
    world.run(secs(1), obliging);
    world.ends[B].hangup(world.now, callee, None).unwrap();
    world.run(secs(1), obliging);
    world.log.into_iter().map(|(_, side, bytes)| (side, bytes)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_bytes_are_survived(datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 1..20)) {
        let mut lone = Lone::new();
        for datagram in datagrams {
            lone.give(datagram);
        }
        lone.wait(secs(100));
        prop_assert_eq!((lone.end.stats().legs, lone.end.stats().transactions), (0, 0));
    }

    #[test]
    fn damaged_calls_are_survived(
        damages in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 1..30)
    ) {
        let (mut world, _, _) = talking(1);
        let pieces = conversation();
        for (which, place, byte, kind) in damages {
            let (side, bytes) = which.get(&pieces);
            let mut bytes = bytes.to_vec();
            let at = place.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.truncate(at),
                2 => bytes.insert(at, byte),
                _ => {}
            }
            world.ends[1 - side].handle_datagram(world.now, address(*side), bytes.into());
            for end in &mut world.ends {
                while end.poll_transmit().is_some() {}
                while end.poll_event().is_some() {}
                prop_assert!(end.stats().legs + end.stats().transactions < 80);
            }
        }
        for step in 1..100 {
            for end in &mut world.ends {
                end.handle_timeout(world.now + secs(4 * step));
            }
        }
        for end in &world.ends {
            prop_assert_eq!(end.stats().transactions, 0);
        }
    }
}
