//! Who hears what.

use std::sync::Arc;

use super::phone::{Packet, is_silent, is_tone, listen};
use super::world::{World, at};
use crate::api::{Command, Leg, MediaEvent, RtpSource};
use crate::audio::Codec::{self, G722, Opus, Pcma, Pcmu};
use crate::audio::prompt::Prompt;
use crate::audio::tone::Tone;
use crate::sdp::browser::Direction;

pub(super) fn pt(codec: Codec) -> u8 {
    match codec {
        Opus => 111,
        Pcmu => 0,
        Pcma => 8,
        G722 => 9,
    }
}

/// Both sides hear the other's tone and nothing else, without loss, each in its own codec and its own numbers.
fn check(browser: Codec, trunk: Codec) {
    let mut world = World::talking(&[browser], trunk);
    let (by_browser, by_phone) = world.listen(2000);
    let to_phone = listen(&by_phone, pt(trunk), trunk);
    let to_browser = listen(&by_browser, pt(browser), browser);
    assert!(is_tone(&to_phone, 440.0), "{browser:?} to {trunk:?}");
    assert!(is_tone(&to_browser, 1000.0), "{trunk:?} to {browser:?}");
    for (heard, clock) in [(&by_browser, browser.clock_rate()), (&by_phone, trunk.clock_rate())] {
        assert!((98..=102).contains(&heard.len()), "50 packets a second, not {}", heard.len() / 2);
        assert!(is_seamless(heard, clock / 50), "{browser:?} and {trunk:?}");
    }
    let stats = world.stats();
    assert_eq!((stats.browser_in.lost, stats.trunk_in.lost), (0, 0));
    assert_eq!((stats.browser_in.concealed_ms, stats.trunk_in.concealed_ms), (0, 0));
    assert!(world.phone.reports >= 1, "RTCP goes out");
    assert_eq!(world.astray, 0);
    for from in [Leg::Browser, Leg::Trunk] {
        assert_eq!(world.count(|event| *event == MediaEvent::FirstAudio { from }), 1);
    }
}

/// One source, every number one more, every timestamp one packet on.
pub(super) fn is_seamless(heard: &[Packet], samples: u32) -> bool {
    heard.windows(2).all(|pair| {
        pair[1].ssrc == pair[0].ssrc
            && pair[1].sequence == pair[0].sequence.wrapping_add(1)
            && pair[1].timestamp == pair[0].timestamp.wrapping_add(samples)
    })
}

#[test]
fn opus_and_pcmu_are_transcoded() {
    check(Opus, Pcmu);
}

#[test]
fn opus_and_pcma_are_transcoded() {
    check(Opus, Pcma);
}

#[test]
fn pcmu_is_relayed() {
    check(Pcmu, Pcmu);
}

#[test]
fn pcma_is_relayed() {
    check(Pcma, Pcma);
}

#[test]
fn pcmu_and_pcma_are_transcoded() {
    check(Pcmu, Pcma);
}

#[test]
fn relay_forwards_at_once_and_leaves_the_payload_alone() {
    let mut world = World::talking(&[Pcmu], Pcmu);
    world.phone.hush();
    world.run(40);
    world.browser.heard.clear();
    let payload: Vec<u8> = (0..160).map(|n| n as u8).collect();
    let timestamp = world.phone.timestamp();
    let packet = world.phone.packet(0, false, timestamp, &payload);
    let phone = world.phone_at;
    world.inject_rtp(phone, &packet);
    world.run(5);
    assert_eq!(world.browser.heard[0].payload, payload);
    assert_eq!(world.stats().trunk_in.buffer_ms, 0);
}

#[test]
fn a_browser_may_switch_codecs_without_notice() {
    let mut world = World::talking(&[Opus, Pcmu], Pcmu);
    for codec in [Pcmu, Opus, Pcmu] {
        world.browser.speak(world.now, codec, 600.0);
        world.run(500);
        let (_, by_phone) = world.listen(1000);
        assert!(is_tone(&listen(&by_phone, 0, Pcmu), 600.0), "{codec:?}");
        assert!((48..=52).contains(&by_phone.len()));
    }
}

#[test]
fn the_trunk_gets_continuous_silence_before_the_browser_speaks() {
    let mut world = World::new(&[Opus]);
    world.connect_trunk(Pcmu);
    let (_, by_phone) = world.listen(1000);
    assert!((48..=51).contains(&by_phone.len()));
    assert!(is_seamless(&by_phone, 160));
    assert!(is_silent(&listen(&by_phone, 0, Pcmu)));
}

#[test]
fn the_browser_gets_nothing_before_the_trunk_speaks() {
    let mut world = World::new(&[Opus]);
    world.connect_browser();
    world.connect_trunk(Pcmu);
    let (by_browser, _) = world.listen(2000);
    assert!(by_browser.is_empty());
}

#[test]
fn a_muted_leg_is_silence_and_comes_back() {
    for (browser, trunk) in [(Opus, Pcmu), (Pcmu, Pcmu)] {
        let mut world = World::talking(&[browser], trunk);
        world.command(Command::SetMuted { leg: Leg::Browser, muted: true });
        world.run(200);
        let (by_browser, by_phone) = world.listen(1000);
        assert!(is_silent(&listen(&by_phone, 0, Pcmu)), "{browser:?}");
        assert!((48..=52).contains(&by_phone.len()));
        assert!(is_tone(&listen(&by_browser, pt(browser), browser), 1000.0), "the other direction goes on");

        world.command(Command::SetMuted { leg: Leg::Browser, muted: false });
        world.run(300);
        let (_, by_phone) = world.listen(1000);
        assert!(is_tone(&listen(&by_phone, 0, Pcmu), 440.0), "{browser:?}");
    }
}

#[test]
fn a_prompt_is_heard_instead_of_the_other_side_and_its_end_is_reported() {
    for browser in [Opus, Pcmu] {
        let mut world = World::talking(&[browser], Pcmu);
        let prompt = Prompt::from_pcm(8000, Tone::new(1500.0, 8000, -12.0).take(8000)).unwrap();
        world.command(Command::Play { leg: Leg::Browser, id: 7, prompt: prompt.into(), looped: false, over: false });
        world.run(100);
        let (by_browser, by_phone) = world.listen(800);
        assert!(is_tone(&listen(&by_browser, pt(browser), browser), 1500.0), "{browser:?}");
        assert!(is_tone(&listen(&by_phone, 0, Pcmu), 440.0));
        assert!(!world.saw(|event| matches!(event, MediaEvent::PromptFinished { .. })));
        world.run(500);
        assert_eq!(world.count(|event| *event == MediaEvent::PromptFinished { leg: Leg::Browser, id: 7 }), 1);
        let (by_browser, _) = world.listen(1000);
        assert!(is_tone(&listen(&by_browser, pt(browser), browser), 1000.0), "{browser:?}");
    }
}

#[test]
fn a_looped_prompt_rings_in_the_browser_until_it_is_stopped() {
    let mut world = World::new(&[Opus]);
    let prompt = Prompt::from_pcm(8000, Tone::new(425.0, 8000, -12.0).take(1600)).unwrap();
    world.command(Command::Play { leg: Leg::Browser, id: 7, prompt: prompt.into(), looped: true, over: false });
    world.connect_browser();
    let (by_browser, _) = world.listen(1000);
    assert!(is_tone(&listen(&by_browser, 111, Opus), 425.0));
    world.command(Command::StopPlaying { leg: Leg::Browser });
    world.run(200);
    let (by_browser, _) = world.listen(1000);
    assert!(is_silent(&listen(&by_browser, 111, Opus)));
    assert!(!world.saw(|event| matches!(event, MediaEvent::PromptFinished { .. })));
}

#[test]
fn a_held_leg_hears_the_hold_audio_and_is_not_heard() {
    for (browser, leg) in [(Opus, Leg::Browser), (Pcmu, Leg::Browser), (Opus, Leg::Trunk), (Pcmu, Leg::Trunk)] {
        let mut world = World::talking(&[browser], Pcmu);
        let hold = Arc::new(Prompt::from_pcm(8000, Tone::new(600.0, 8000, -20.0).take(8000)).unwrap());
        world.command(Command::SetHeld { leg, held: true, audio: Some(hold) });
        world.run(300);
        let hears = |world: &mut World| {
            let (by_browser, by_phone) = world.listen(1000);
            let (browser, phone) = (listen(&by_browser, pt(browser), browser), listen(&by_phone, 0, Pcmu));
            if leg == Leg::Browser { (browser, phone) } else { (phone, browser) }
        };
        let (held, other) = hears(&mut world);
        assert!(is_tone(&held, 600.0) && is_silent(&other), "{browser:?} {leg:?}");

        // A prompt is heard over the hold audio, which goes on after it; mute and hold are each their own.
        let prompt = Arc::new(Prompt::from_pcm(8000, Tone::new(1500.0, 8000, -12.0).take(9600)).unwrap());
        world.command(Command::Play { leg, id: 3, prompt, looped: false, over: false });
        world.run(100);
        assert!(is_tone(&hears(&mut world).0, 1500.0), "{browser:?} {leg:?}");
        world.run(300);
        assert_eq!(world.count(|event| *event == MediaEvent::PromptFinished { leg, id: 3 }), 1);
        assert!(is_tone(&hears(&mut world).0, 600.0), "{browser:?} {leg:?}");
        world.command(Command::SetMuted { leg, muted: true });
        world.command(Command::SetMuted { leg, muted: false });
        world.run(300);
        assert!(is_silent(&hears(&mut world).1), "{browser:?} {leg:?}");

        world.command(Command::SetHeld { leg, held: false, audio: None });
        world.run(400);
        let (back, other) = hears(&mut world);
        let (own, others) = if leg == Leg::Browser { (440.0, 1000.0) } else { (1000.0, 440.0) };
        assert!(is_tone(&back, others) && is_tone(&other, own), "{browser:?} {leg:?}");
    }
}

#[test]
fn hold_is_kept_in_each_direction() {
    let mut world = World::talking(&[Opus], Pcmu);
    let mut media = world.trunk_media(Pcmu);
    for (direction, sends) in [
        (Direction::SendOnly, false),
        (Direction::Inactive, false),
        (Direction::RecvOnly, true),
        (Direction::SendRecv, true),
    ] {
        media.peer_direction = direction;
        world.command(Command::ConnectTrunk(media.clone()));
        world.run(100);
        let (_, by_phone) = world.listen(500);
        assert_eq!(!by_phone.is_empty(), sends, "{direction:?}");
    }
    let (_, by_phone) = world.listen(1000);
    assert!(is_tone(&listen(&by_phone, 0, Pcmu), 440.0));
}

#[test]
fn a_re_invite_moves_the_trunk_and_changes_its_codec_on_the_same_stream() {
    let mut world = World::talking(&[Opus], Pcmu);
    let before = world.phone.heard.last().unwrap().clone();
    let old = world.phone_at;
    world.phone_at = at("203.0.113.77:42000");
    let media = world.trunk_media(Pcma);
    world.command(Command::ConnectTrunk(media));
    world.phone.speak(world.now, Pcma, 800.0);
    world.run(300);
    let (by_browser, by_phone) = world.listen(1000);
    assert!(is_tone(&listen(&by_phone, 8, Pcma), 440.0));
    assert!(is_tone(&listen(&by_browser, 111, Opus), 800.0));
    assert_eq!(by_phone[0].ssrc, before.ssrc, "our stream goes on");
    assert!(by_phone[0].sequence.wrapping_sub(before.sequence) < 50);
    let dropped = world.stats().drops.wrong_source;
    let stale = world.phone.packet(8, false, 1, &[0; 160]);
    world.inject_rtp(old, &stale);
    assert_eq!(world.stats().drops.wrong_source, dropped + 1, "the old address is believed no more");
}

#[test]
fn packets_of_strangers_change_nothing() {
    let mut world = World::talking(&[Opus], Pcmu);
    let noise: Vec<u8> = (0..160).map(|n| (n * 37) as u8).collect();
    for n in 0..200 {
        let packet = world.phone.packet(0, false, n * 160, &noise);
        world.inject_rtp(at("203.0.113.5:30002"), &packet);
        world.inject_rtcp(at("203.0.113.66:30001"), &[0x81, 203, 0, 1, 0, 0, 0x51, 0x50]);
        world.run(5);
    }
    assert_eq!(world.stats().drops.wrong_source, 400);
    let (by_browser, _) = world.listen(1000);
    assert!(is_tone(&listen(&by_browser, 111, Opus), 1000.0));
}

#[test]
fn latching_finds_a_phone_behind_an_address_translator() {
    let mut world = World::new(&[Opus]);
    world.connect_browser();
    world.call.attach_trunk(world.now, at("192.0.2.10:20000"));
    let mut media = world.trunk_media(Pcmu);
    media.remote = at("203.0.113.5:5000");
    media.remote_rtcp = at("203.0.113.5:5001");
    media.source = RtpSource::Latch;
    world.command(Command::ConnectTrunk(media));
    world.browser.speak(world.now, Opus, 440.0);
    world.phone.speak(world.now, Pcmu, 1000.0);
    world.run(1000);
    let (by_browser, by_phone) = world.listen(1000);
    assert!(is_tone(&listen(&by_browser, 111, Opus), 1000.0));
    assert!(is_tone(&listen(&by_phone, 0, Pcmu), 440.0), "and it is sent to where it really is");
}

#[test]
fn other_packet_lengths_are_sent_as_asked() {
    for (ptime_ms, samples) in [(10, 80), (30, 240), (40, 320), (60, 480), (25, 160), (100, 160)] {
        let mut world = World::talking(&[Opus], Pcmu);
        let mut media = world.trunk_media(Pcmu);
        media.ptime_ms = ptime_ms;
        world.command(Command::ConnectTrunk(media));
        world.run(200);
        let (_, by_phone) = world.listen(1200);
        assert!(by_phone.iter().all(|packet| packet.payload.len() == samples), "{ptime_ms}");
        assert!(is_tone(&listen(&by_phone, 0, Pcmu), 440.0), "{ptime_ms}");
        assert!(is_seamless(&by_phone, samples as u32), "{ptime_ms}");
    }
}

#[test]
fn a_stalled_thread_sends_no_burst() {
    let mut world = World::talking(&[Opus], Pcmu);
    world.largest_burst = 0;
    world.phone.heard.clear();
    world.stall(3000);
    world.run(1000);
    assert!(world.largest_burst <= 3, "{}", world.largest_burst);
    assert!((45..=60).contains(&world.phone.heard.len()), "{}", world.phone.heard.len());
    assert!(!world.saw(|event| matches!(event, MediaEvent::BrowserLost { .. })), "our stall is nobody's loss");
    let (_, by_phone) = world.listen(1000);
    assert!(is_tone(&listen(&by_phone, 0, Pcmu), 440.0));
}

/// A call without a trunk gives the browser its own words back, under our own header, and is measured as any other.
#[test]
fn an_echo_comes_back_and_is_listened_to() {
    for codec in [Pcmu, Pcma, Opus] {
        let mut world = World::new(&[codec]);
        world.command(Command::Echo);
        world.connect_browser();
        world.browser.speak(world.now, codec, 440.0);
        world.run(3000);
        let (by_browser, by_phone) = world.listen(2000);
        let heard = listen(&by_browser, pt(codec), codec);
        assert!(is_tone(&heard, 440.0), "{codec:?}");
        assert!(
            is_seamless(&by_browser, codec.clock_rate() / 50) && (98..=102).contains(&by_browser.len()),
            "{codec:?}"
        );
        assert!(by_phone.is_empty());
        let stats = world.stats();
        assert_eq!(stats.browser_in.lost, 0);
        assert!(stats.quality[0].expected && stats.quality[1].expected, "{:?}", stats.quality);
        if codec != Opus {
            assert!(stats.quality[0].audio_dbov.is_some_and(|level| level > -40), "{:?}", stats.quality[0]);
        }
        assert!(!world.saw(|event| matches!(event, MediaEvent::MediaTimeout { .. })));
    }
}

#[test]
fn packets_that_are_only_late_are_not_taken_for_silence() {
    let mut world = World::talking(&[Pcmu], Pcmu);
    (world.browser_loses, world.browser_jitter) = (10, 80);
    let (_, by_phone) = world.listen(10_000);
    assert!(by_phone.len() > 400, "{}", by_phone.len());
    // Nothing of our own stands between them, so none is moved in time.
    let begins = |packet: &Packet| packet.timestamp.wrapping_sub(160 * u32::from(packet.sequence));
    let moved = by_phone.iter().filter(|packet| begins(packet) != begins(&by_phone[0])).count();
    assert_eq!(moved, 0);
}
