//! Comfort noise to a trunk that agreed to it: what it gets of a visitor who is silent, and that nothing seems to be lost.

use std::sync::Arc;
use std::time::Duration;

use super::audio::is_seamless;
use super::phone::{Packet, is_silent, is_tone, listen};
use super::world::World;
use crate::api::{Command, Digit, DropStats, Leg, MediaEvent};
use crate::audio::Codec::{self, G722, Opus, Pcma, Pcmu};
use crate::audio::codec::Encoder;
use crate::audio::noise::ComfortNoise;
use crate::audio::prompt::Prompt;
use crate::audio::tone::Tone;
use crate::quality::Level;
use crate::rtp::{PayloadType, RtpPacket, Ssrc};
use crate::sdp::trunk::TrunkMedia;
use crate::stream::{Heard, Stream, StreamSeed};

const NOISE: u8 = 13;

/// A call with a trunk that rests, if it said so.
fn resting(browser: Codec, trunk: Codec, comfort_noise: bool) -> World {
    let mut world = World::talking(&[browser], trunk);
    let media = TrunkMedia { comfort_noise, ..world.trunk_media(trunk) };
    world.command(Command::ConnectTrunk(media));
    world.run(500);
    world
}

/// What a far end that is one of ours makes of the packets: numbers in a row, no gap that was not announced. How often it
/// was told of silence.
fn check_far_end(packets: &[Packet], number: u8, codec: Codec) -> usize {
    let first = packets[0].at;
    let seed = StreamSeed { ssrc: Ssrc(9), sequence: 1, timestamp: 1, cname: "far".into(), rtcp: 1 };
    let mut far = Stream::new(first, Duration::from_secs(1_800_000_000), seed, codec.clock_rate());
    far.set_formats(&[(PayloadType(number), codec)]);
    let (mut drops, mut rests) = (DropStats::default(), 0);
    for pair in packets.windows(2) {
        let passed = pair[1].at.duration_since(pair[0].at).as_millis() as i64 * i64::from(codec.clock_rate()) / 1000;
        let moved = i64::from(pair[1].timestamp.wrapping_sub(pair[0].timestamp));
        assert!((moved - passed).abs() <= 80 + 1, "the timestamps are the time's: {moved} in {passed}");
        let after_noise = pair[0].payload_type == NOISE && pair[1].payload_type == number;
        assert!(pair[1].marker || !after_noise, "a talk spurt begins with the marker");
        assert!(!pair[1].marker || pair[1].payload_type != NOISE, "and noise is none");
    }
    for packet in packets {
        let mut bytes = Vec::new();
        let (payload_type, ssrc) = (PayloadType(packet.payload_type), Ssrc(packet.ssrc));
        let Packet { marker, sequence, timestamp, ref payload, .. } = *packet;
        RtpPacket { marker, payload_type, sequence, timestamp, ssrc, payload }.write(&mut bytes);
        let gap = far.up(packet.at, Some(first)).gap;
        assert!(gap < Duration::from_millis(200), "{gap:?} without a packet");
        rests += usize::from(matches!(far.receive(packet.at, &bytes, &mut drops), Heard::Rest { .. }));
    }
    assert_eq!((far.received(first).lost, drops), (0, DropStats::default()));
    rests
}

/// A second of what was there before, ten of silence, one of words: what the trunk gets of them.
fn check(what: &str, mut world: World, trunk: Codec, quiet: impl Fn(&mut World, bool), level: u8) {
    let number = super::audio::pt(trunk);
    let reports = |world: &mut World| {
        let packet = world.stats();
        (packet.trunk_out.packets, packet.quality[3].level)
    };
    world.phone.heard.clear();
    world.run(1_000);
    quiet(&mut world, true);
    world.run(10_000);
    let silent: Vec<_> = world.phone.heard.iter().filter(|packet| packet.payload_type == NOISE).cloned().collect();
    assert!((9..=12).contains(&silent.len()), "{what}: {} packets of noise", silent.len());
    for packet in &silent {
        assert!(packet.payload.len() == 1 && packet.payload[0].abs_diff(level) <= 3, "{what}: {:?}", packet.payload);
    }
    let all = world.phone.heard.len();
    assert!(all < 90, "{what}: {all} packets, of which fifty are words");
    quiet(&mut world, false);
    world.run(1_000);
    let heard = std::mem::take(&mut world.phone.heard);
    let rests = check_far_end(&heard, number, trunk);
    assert_eq!(rests, heard.iter().filter(|packet| packet.payload_type == NOISE).count(), "{what}");
    let last = heard.iter().rposition(|packet| packet.payload_type == NOISE).unwrap();
    let words = &heard[last + 10..];
    assert!(words.len() > 30 && is_tone(&listen(words, number, trunk), 440.0), "{what}: words again");
    assert!(reports(&mut world).1 <= Level::Green, "{what}");
    assert!(!world.saw(|event| matches!(event, MediaEvent::MediaTimeout { .. })), "{what}");
}

#[test]
fn a_muted_or_held_visitor_is_comfort_noise_to_a_trunk_that_agreed_to_it() {
    for (browser, trunk) in [(Opus, Pcmu), (Opus, Pcma), (Opus, G722), (Pcmu, Pcmu)] {
        let what = format!("{browser:?} {trunk:?}");
        let mute = |world: &mut World, muted| world.command(Command::SetMuted { leg: Leg::Browser, muted });
        check(&format!("muted, {what}"), resting(browser, trunk, true), trunk, mute, 66);
        let hold = |world: &mut World, held| world.command(Command::SetHeld { leg: Leg::Browser, held, audio: None });
        check(&format!("held, {what}"), resting(browser, trunk, true), trunk, hold, 66);
        let trunk_held =
            |world: &mut World, held| world.command(Command::SetHeld { leg: Leg::Trunk, held, audio: None });
        check(&format!("the trunk held, {what}"), resting(browser, trunk, true), trunk, trunk_held, 66);
    }
}

/// Speaks, or says what a browser with discontinuous transmission says of a line of this level: a frame of its noise every
/// 400 ms, and the first of the empty packets that follow.
fn speak_with_dtx(world: &mut World, seconds: usize, level: Option<u8>) {
    const RATE: u32 = 16_000;
    let mut encoder = Encoder::new(Opus, RATE).unwrap();
    let mut tone = Tone::new(440.0, RATE, -12.0);
    let mut noise = level.map(ComfortNoise::at);
    let mut payload = Vec::new();
    for nth in 0..seconds * 50 {
        let mut pcm = tone.take(RATE as usize / 50);
        if let Some(noise) = &mut noise {
            noise.fill(&mut pcm);
        }
        encoder.encode(&pcm, &mut payload).unwrap();
        let sent = match (level.is_some(), nth % 20) {
            (false, _) | (true, 0) => Some(payload.clone()),
            // RFC 6716 section 3.1: of one frame, without a frame.
            (true, 1) => Some(vec![payload[0] & !3]),
            (true, _) => None,
        };
        world.browser.send_opus(world.now, sent);
        world.run(20);
    }
}

#[test]
fn a_visitor_who_pauses_by_discontinuous_transmission_is_comfort_noise_as_loud_as_his_line() {
    for (level, on_arrival) in [(52, false), (70, false), (52, true), (70, true)] {
        let mut world = resting(Opus, Pcmu, true);
        world.command(Command::SetAudio { elastic: false, on_arrival });
        world.browser.hush();
        world.run(400);
        world.phone.heard.clear();
        speak_with_dtx(&mut world, 2, None);
        speak_with_dtx(&mut world, 12, Some(level));
        let heard = std::mem::take(&mut world.phone.heard);
        speak_with_dtx(&mut world, 1, None);
        let words = std::mem::take(&mut world.phone.heard);

        let noise: Vec<_> = heard.iter().filter(|packet| packet.payload_type == NOISE).collect();
        let said: Vec<u8> = noise.iter().map(|packet| packet.payload[0]).collect();
        assert!((8..=16).contains(&said.len()), "{level}: {said:?}");
        // Half of its band is above what the trunk hears: three dB.
        assert!(said.iter().skip(6).all(|said| (level..=level + 8).contains(said)), "{level}: {said:?}");
        // A decoder that comes from words may be loud once more.
        let first = heard.iter().enumerate().filter(|(_, packet)| packet.payload_type == NOISE).nth(2).unwrap().0;
        let others = heard[first..].iter().filter(|packet| packet.payload_type != NOISE).count();
        assert_eq!(others, 0, "{level}: no words between");
        assert!(is_tone(&listen(&words[10..], 0, Pcmu), 440.0), "{level}: words again");
        check_far_end(&[heard, words].concat(), 0, Pcmu);
    }
}

/// Who takes audio as it comes and knows no comfort noise hears the line all the same, and not only what is said of it now
/// and then.
#[test]
fn a_pause_sounds_the_same_from_beginning_to_end_without_a_buffer() {
    for (trunk, level) in [(Pcmu, 52), (Pcma, 58), (G722, 52)] {
        let mut world = resting(Opus, trunk, false);
        world.command(Command::SetAudio { elastic: false, on_arrival: true });
        world.browser.hush();
        world.run(400);
        speak_with_dtx(&mut world, 2, None);
        speak_with_dtx(&mut world, 3, Some(level));
        world.phone.heard.clear();
        speak_with_dtx(&mut world, 8, Some(level));
        let heard = std::mem::take(&mut world.phone.heard);
        assert!((398..=402).contains(&heard.len()) && is_seamless(&heard, 160), "{trunk:?}: {}", heard.len());
        let levels: Vec<_> =
            listen(&heard, super::audio::pt(trunk), trunk).chunks_exact(800).map(crate::audio::tone::level).collect();
        let steady = |found: &f64| (f64::from(level) - 4.0..f64::from(level) + 9.0).contains(&-found);
        assert!(levels.iter().all(steady), "{trunk:?} {level}: {levels:?}");
        speak_with_dtx(&mut world, 1, None);
        let words = std::mem::take(&mut world.phone.heard);
        let pcm = listen(&words[2..], super::audio::pt(trunk), trunk);
        assert!(is_tone(&pcm[320..], 440.0) && words.len() <= 51, "{trunk:?}: words again");
        // Nobody hangs up because a visitor vanishes in a pause.
        speak_with_dtx(&mut world, 1, Some(level));
        let (_, by_phone) = world.listen(4_000);
        assert!((198..=202).contains(&by_phone.len()), "{trunk:?}: {}", by_phone.len());
    }
}

#[test]
fn pauses_are_relayed_as_they_are_and_kept_alive() {
    let mut world = resting(Opus, Opus, false);
    world.browser.hush();
    world.run(400);
    speak_with_dtx(&mut world, 2, None);
    world.phone.heard.clear();
    speak_with_dtx(&mut world, 10, Some(60));
    let heard = std::mem::take(&mut world.phone.heard);
    assert!((50..=51).contains(&heard.len()), "two of twenty packets: {}", heard.len());
    let (_, by_phone) = world.listen(3_000);
    let kept = by_phone.len();
    assert!((112..=124).contains(&kept), "a second after the last packet of the browser: {kept}");
    speak_with_dtx(&mut world, 1, None);
    let words = std::mem::take(&mut world.phone.heard);
    assert!(is_tone(&listen(&words[5..], 107, Opus), 440.0));
}

#[test]
fn a_browser_that_says_how_its_line_sounds_is_quoted() {
    let quiet = |world: &mut World, quiet: bool| {
        if quiet {
            world.browser.hush();
            world.run(40);
            // This stack sends nothing under a number that nobody negotiated.
            world.call.to_trunk.rest(world.now, 0, Some(ComfortNoise::at(58)));
        } else {
            world.browser.speak(world.now, Pcmu, 440.0);
        }
    };
    let mut world = World::offered(&[Pcmu], |_| {});
    world.talk(Pcmu, Pcma);
    let media = TrunkMedia { comfort_noise: true, ..world.trunk_media(Pcma) };
    world.command(Command::ConnectTrunk(media));
    world.run(500);
    check("its own noise", world, Pcma, quiet, 58);
}

#[test]
fn who_did_not_agree_to_comfort_noise_gets_frames_of_silence() {
    for (browser, trunk) in [(Opus, Pcmu), (Pcmu, Pcmu), (Pcmu, Opus)] {
        let mut world = resting(browser, trunk, false);
        world.command(Command::SetMuted { leg: Leg::Browser, muted: true });
        world.run(400);
        let (_, by_phone) = world.listen(2_000);
        assert!((98..=102).contains(&by_phone.len()), "{browser:?} {trunk:?}: {}", by_phone.len());
        assert!(by_phone.iter().all(|packet| packet.payload_type != NOISE));
    }
    let mut world = resting(Opus, Pcmu, false);
    world.command(Command::SetMuted { leg: Leg::Browser, muted: true });
    world.run(400);
    assert!(is_silent(&listen(&world.listen(1_000).1, 0, Pcmu)));
}

#[test]
fn digits_and_prompts_come_in_the_middle_of_a_rest() {
    let mut world = resting(Opus, Pcmu, true);
    world.command(Command::SetMuted { leg: Leg::Browser, muted: true });
    world.run(2_000);
    let digits = vec![Digit::from_char('7').unwrap()];
    world.command(Command::SendDtmf { leg: Leg::Trunk, digits, duration_ms: 200 });
    let (_, by_phone) = world.listen(1_000);
    let events = by_phone.iter().filter(|packet| packet.payload_type == 101).count();
    assert!(events >= 5 && by_phone.iter().all(|packet| packet.payload_type != 0), "{events}");
    let tone = Tone::new(900.0, 8_000, -12.0).take(8_000);
    let prompt = Arc::new(Prompt::from_pcm(8_000, tone).unwrap());
    world.command(Command::Play { leg: Leg::Trunk, id: 1, prompt, looped: false, over: false });
    let (_, by_phone) = world.listen(3_000);
    let words: Vec<_> = by_phone.iter().filter(|packet| packet.payload_type == 0).cloned().collect();
    assert!((50..=62).contains(&words.len()) && words[0].marker, "{}", words.len());
    assert!(is_tone(&listen(&words[..50], 0, Pcmu), 900.0));
    assert!(by_phone.last().unwrap().payload_type == NOISE);
}
