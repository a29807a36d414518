//! The steady state allocates nothing for a packet, whatever is done with it: only the second's report is boxed, and once in
//! a while a buffer grows.

use std::sync::Arc;

use super::secure::{SUITES, keys};
use super::world::World;
use crate::api::{Command, Leg, MediaEvent};
use crate::audio::Codec::{self, G722, Opus, Pcma, Pcmu};
use crate::audio::prompt::Prompt;
use crate::audio::tone::Tone;

const CODECS: [Codec; 4] = [Opus, G722, Pcmu, Pcma];

/// Until every buffer has its size and every codec its state.
const WARM_UP_MS: u64 = 5_000;
const STEADY_MS: u64 = 10_000;

/// A buffer may meet the largest packet it ever held, or an ear begin to decode another burst.
const GROWTH: u64 = 10;

/// Lets the call settle, and counts.
fn check(what: &str, mut world: World) {
    world.run(WARM_UP_MS);
    world.events.clear();
    world.allocated = 0;
    let (by_browser, by_phone) = world.listen(STEADY_MS);
    let packets = by_browser.len() + by_phone.len();
    assert!(packets > 400, "{what}: {packets} packets");
    let reports = world.count(|event| matches!(event, MediaEvent::Sample(_) | MediaEvent::Issue(_)));
    assert!(reports >= 9, "{what}: {reports} reports");
    assert!(
        world.allocated <= reports as u64 + GROWTH,
        "{what}: {} allocations for {packets} packets, {reports} reports",
        world.allocated
    );
}

#[test]
fn no_pair_of_codecs_allocates_for_a_packet() {
    for browser in CODECS {
        for trunk in CODECS {
            check(&format!("{browser:?} to {trunk:?}"), World::talking(&[browser], trunk));
        }
    }
}

#[test]
fn no_srtp_of_a_trunk_allocates_for_a_packet() {
    for suite in SUITES {
        check(&format!("{suite:?}"), World::encrypted(keys(suite, 3, 90)));
    }
}

#[test]
fn loss_and_jitter_allocate_nothing() {
    for (browser, trunk) in [(Opus, Pcmu), (Pcmu, Pcma), (Pcmu, Pcmu)] {
        let mut world = World::talking(&[browser], trunk);
        (world.browser_loses, world.browser_jitter) = (10, 40);
        check(&format!("{browser:?} to {trunk:?}, lossy"), world);
    }
}

#[test]
fn prompts_hold_and_mute_allocate_nothing_for_a_packet() {
    let prompt = Arc::new(Prompt::from_pcm(8000, Tone::new(500.0, 8000, -12.0).take(8000)).unwrap());
    let commands = [
        ("mute", Command::SetMuted { leg: Leg::Browser, muted: true }),
        (
            "a prompt",
            Command::Play { leg: Leg::Browser, id: 1, prompt: Arc::clone(&prompt), looped: true, over: false },
        ),
        (
            "a prompt over the other side",
            Command::Play { leg: Leg::Browser, id: 1, prompt: Arc::clone(&prompt), looped: true, over: true },
        ),
        ("hold", Command::SetHeld { leg: Leg::Browser, held: true, audio: Some(prompt) }),
    ];
    for (what, command) in commands {
        let mut world = World::talking(&[Opus], Pcmu);
        world.command(command);
        check(what, world);
    }
}
