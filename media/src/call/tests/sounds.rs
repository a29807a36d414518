//! What the gateway itself lets people hear: over each other's words, while it rings, on hold.

use std::sync::Arc;

use super::audio::{is_seamless, pt};
use super::phone::{is_silent, is_tone, listen};
use super::world::World;
use crate::api::{Command, Leg, MediaEvent};
use crate::audio::Codec::{Opus, Pcmu};
use crate::audio::prompt::Prompt;
use crate::audio::signal::Region;
use crate::audio::tone::{Tone, detect, level};
use crate::sdp::browser::Direction;

fn tone(hz: f64, seconds: usize) -> Arc<Prompt> {
    Arc::new(Prompt::from_pcm(8_000, Tone::new(hz, 8_000, -12.0).take(8_000 * seconds)).unwrap())
}

/// Whether this tone alone is heard for half a second, and the other one never.
fn is_ringing(pcm: &[i16], hz: f64, other: f64) -> bool {
    pcm.chunks_exact(4_000).any(|part| is_tone(part, hz)) && detect(pcm, 8_000, other) < -50.0
}

fn rings(region: &str) -> Command {
    Command::Ring { region: Region::find(region) }
}

/// Relayed or transcoded, to either leg: the prompt at its level, the other side 12 dB below its own, and all of it after.
#[test]
fn a_prompt_is_heard_over_the_other_side_which_is_lowered() {
    for (browser, leg) in [(Opus, Leg::Browser), (Pcmu, Leg::Browser), (Opus, Leg::Trunk), (Pcmu, Leg::Trunk)] {
        let mut world = World::talking(&[browser], Pcmu);
        let hears = |world: &mut World, ms| {
            let (by_browser, by_phone) = world.listen(ms);
            let (codec, packets) = if leg == Leg::Browser { (browser, by_browser) } else { (Pcmu, by_phone) };
            (is_seamless(&packets, codec.clock_rate() / 50), listen(&packets, pt(codec), codec))
        };
        let own = if leg == Leg::Browser { 1000.0 } else { 440.0 };
        let before = detect(&hears(&mut world, 500).1, 8_000, own);
        world.command(Command::Play { leg, id: 4, prompt: tone(1500.0, 2), looped: false, over: true });
        world.run(400);
        let (seamless, both) = hears(&mut world, 1_200);
        let lowered = before - detect(&both, 8_000, own);
        assert!((11.0..13.0).contains(&lowered), "{browser:?} {leg:?}: lowered by {lowered}");
        assert!((detect(&both, 8_000, 1500.0) + 12.0).abs() < 1.0 && seamless, "{browser:?} {leg:?}");
        world.run(600);
        assert_eq!(world.count(|event| *event == MediaEvent::PromptFinished { leg, id: 4 }), 1);
        let (seamless, after) = hears(&mut world, 500);
        assert!(is_tone(&after, own) && seamless, "{browser:?} {leg:?}");
        assert!((detect(&after, 8_000, own) - before).abs() < 0.5, "{browser:?} {leg:?}");
    }
}

#[test]
fn a_prompt_over_the_other_side_that_is_stopped_leaves_it_as_it_was() {
    for browser in [Opus, Pcmu] {
        let mut world = World::talking(&[browser], Pcmu);
        world.command(Command::Play { leg: Leg::Browser, id: 4, prompt: tone(1500.0, 1), looped: true, over: true });
        world.run(3_000);
        world.command(Command::StopPlaying { leg: Leg::Browser });
        world.run(400);
        let (by_browser, _) = world.listen(500);
        assert!(is_tone(&listen(&by_browser, pt(browser), browser), 1000.0), "{browser:?}");
        assert!(!world.saw(|event| matches!(event, MediaEvent::PromptFinished { .. })));
        if browser == Pcmu {
            assert_eq!(world.stats().trunk_in.buffer_ms, 0, "it is relayed again");
        }
    }
}

/// RFC 3960 section 3.2: what comes of the trunk's own is heard instead of local ringing, and local ringing while nothing
/// comes.
#[test]
fn local_ringing_is_heard_only_while_no_early_media_comes() {
    for browser in [Opus, Pcmu] {
        let hears = |world: &mut World, ms| {
            let (by_browser, _) = world.listen(ms);
            listen(&by_browser, pt(browser), browser)
        };
        let mut world = World::new(&[browser]);
        world.call.attach_trunk(world.now, super::world::at("192.0.2.10:20000"));
        world.command(rings("itu"));
        world.connect_browser();
        world.run(100);
        assert!(is_tone(&hears(&mut world, 700), 425.0), "{browser:?}: rings before the trunk describes anything");

        let media = world.trunk_media(Pcmu);
        world.command(Command::ConnectTrunk(media));
        world.phone.speak(world.now, Pcmu, 1000.0);
        world.run(200);
        assert!(is_tone(&hears(&mut world, 5_000), 1000.0), "{browser:?}: early media alone");

        world.phone.hush();
        world.run(2_500);
        assert!(is_ringing(&hears(&mut world, 6_000), 425.0, 1000.0), "{browser:?}: rings on");

        world.command(Command::Answered);
        world.run(100);
        assert!(is_silent(&hears(&mut world, 5_000)), "{browser:?}: nobody rings who has answered");
    }
}

#[test]
fn ringing_ends_with_the_leg_that_rang() {
    let mut world = World::new(&[Opus]);
    world.connect_browser();
    world.connect_trunk(Pcmu);
    world.command(rings("us"));
    let (by_browser, _) = world.listen(1_000);
    let heard = listen(&by_browser, 111, Opus);
    assert!(detect(&heard, 8_000, 440.0) > -30.0 && detect(&heard, 8_000, 480.0) > -30.0);
    world.command(Command::ReleaseTrunk);
    world.run(100);
    let (by_browser, _) = world.listen(6_000);
    assert!(is_silent(&listen(&by_browser, 111, Opus)));
    assert!(by_browser.len() > 290, "silence is sent all the same: {}", by_browser.len());
}

/// A prompt comes before the ringing; both before nothing.
#[test]
fn a_prompt_is_heard_instead_of_the_ringing() {
    let mut world = World::new(&[Opus]);
    world.connect_browser();
    world.connect_trunk(Pcmu);
    world.command(rings("fr"));
    world.command(Command::Play { leg: Leg::Browser, id: 1, prompt: tone(1500.0, 5), looped: false, over: false });
    world.run(100);
    let (by_browser, _) = world.listen(4_800);
    assert!(is_tone(&listen(&by_browser, 111, Opus), 1500.0));
    world.run(200);
    let (by_browser, _) = world.listen(5_000);
    let heard = listen(&by_browser, 111, Opus);
    assert!(is_ringing(&heard, 440.0, 1500.0));
}

/// Held without music, and held by a trunk that sends nothing: a quiet line, not a dead one.
#[test]
fn on_hold_without_music_there_is_comfort_noise() {
    for browser in [Opus, Pcmu] {
        let quiet = |world: &mut World, what: &str| {
            let (by_browser, _) = world.listen(1_000);
            let level = level(&listen(&by_browser, pt(browser), browser));
            assert!((-72.0..-60.0).contains(&level) && by_browser.len() >= 48, "{browser:?}, {what}: {level} dBov");
        };
        let mut world = World::talking(&[browser], Pcmu);
        world.command(Command::SetHeld { leg: Leg::Browser, held: true, audio: None });
        world.run(300);
        quiet(&mut world, "held by us");
        world.command(Command::SetHeld { leg: Leg::Browser, held: false, audio: None });

        for (direction, hears) in
            [(Direction::Inactive, false), (Direction::RecvOnly, false), (Direction::SendOnly, true)]
        {
            let mut media = world.trunk_media(Pcmu);
            media.peer_direction = direction;
            world.command(Command::ConnectTrunk(media));
            if hears {
                world.phone.speak(world.now, Pcmu, 1000.0);
                world.run(500);
                let (by_browser, by_phone) = world.listen(500);
                assert!(is_tone(&listen(&by_browser, pt(browser), browser), 1000.0), "{browser:?}: its own music");
                assert!(by_phone.is_empty(), "{browser:?}");
            } else {
                world.phone.hush();
                world.run(500);
                quiet(&mut world, "held by the trunk");
            }
        }
    }
}

/// A browser without a microphone is talked to and owes nothing; one that does not listen is sent nothing.
#[test]
fn a_browser_is_sent_and_listened_to_as_its_offer_says() {
    for (direction, answered, listens) in
        [(Direction::RecvOnly, "a=sendonly", true), (Direction::SendOnly, "a=recvonly", false)]
    {
        let mut world = World::offered(&[Opus], |offer| offer.direction = direction);
        assert!(world.opened.answer.contains(answered), "{}", world.opened.answer);
        world.connect_browser();
        world.connect_trunk(Pcmu);
        world.command(Command::Answered);
        world.phone.speak(world.now, Pcmu, 1000.0);
        if !listens {
            world.browser.speak(world.now, Opus, 440.0);
        }
        world.run(1_000);
        let (by_browser, by_phone) = world.listen(30_000);
        let to_phone = listen(&by_phone, 0, Pcmu);
        if listens {
            assert!(is_tone(&listen(&by_browser, 111, Opus), 1000.0) && is_silent(&to_phone));
        } else {
            assert!(by_browser.is_empty() && is_tone(&to_phone, 440.0));
        }
        assert!(!world.saw(|event| matches!(event, MediaEvent::MediaTimeout { .. })), "{direction:?}");
    }
}
