//! What a packet costs in instructions, counted by callgrind: the same on every machine, however busy, where a time says
//! nothing. A change that makes the steady state dearer shows here.

use std::process::Command;

use super::world::World;
use crate::audio::Codec::{self, Opus, Pcmu};

/// Codecs of browser and trunk, and the instructions of a packet (and what comes with it once a second) in the build of the
/// tests on x86-64. Whoever makes packets cheaper or has a reason to make them dearer writes the new number here.
const KNOWN: [(&str, Codec, Codec, u64); 2] = [("relay", Pcmu, Pcmu, 5_611), ("transcode", Opus, Pcmu, 180_859)];

/// Of a hundred, that a number may be above the known one: compilers differ.
const TOLERANCE: u64 = 15;

const STEADY_MS: u64 = 4_000;
/// Both ways.
const PACKETS: u64 = 2 * STEADY_MS / 20;

/// Which of them the child is to play.
const PLAY: &str = "TRUNKLINE_INSTRUCTIONS_OF";

#[test]
fn a_packet_costs_no_more_instructions_than_it_did() {
    if let Ok(name) = std::env::var(PLAY) {
        let (_, browser, trunk, _) = KNOWN.into_iter().find(|(known, ..)| *known == name).unwrap();
        return play(browser, trunk);
    }
    if cfg!(not(target_arch = "x86_64")) || Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("no valgrind, or another processor: nothing is counted");
        return;
    }
    for (name, _, _, known) in KNOWN {
        let counted = count(name) / PACKETS;
        println!("{name}: {counted} instructions a packet, {known} known");
        assert!(counted > known / 2, "{name}: {counted} instructions a packet, {known} known: is it all counted?");
        assert!(counted * 100 <= known * (100 + TOLERANCE), "{name}: {counted} instructions a packet, {known} known");
    }
}

/// Two seconds of a call, then those that count.
fn play(browser: Codec, trunk: Codec) {
    let mut world = World::talking(&[browser], trunk);
    world.run(1_000);
    world.steady = true;
    world.run(STEADY_MS);
}

/// Plays one of them in a process of its own, under callgrind.
fn count(name: &str) -> u64 {
    let child = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*steady_state*"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "call::tests::instructions::a_packet_costs_no_more_instructions_than_it_did"])
        .env(PLAY, name)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{said}");
    let line = said.lines().find_map(|line| line.split_once("Collected : ")).map(|(_, count)| count.trim().to_owned());
    line.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("callgrind says no number: {said}"))
}
