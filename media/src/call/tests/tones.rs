//! Digits as tones, for trunks that have no other way.

use super::phone::listen;
use super::world::World;
use crate::api::{Command, Digit, DigitWay, Leg, MediaEvent};
use crate::audio::Codec::{self, Opus, Pcma, Pcmu};
use crate::audio::codec::Encoder;
use crate::audio::dtmf::{DtmfEar, tones};
use crate::audio::prompt::{Player, Prompt};

fn digits(text: &str) -> Vec<Digit> {
    text.chars().map(|digit| Digit::from_char(digit).unwrap()).collect()
}

/// The digits an ear hears in what the phone was sent.
fn spelt(world: &World, payload_type: u8, codec: Codec) -> String {
    let (mut ear, mut spelt) = (DtmfEar::default(), String::new());
    let pcm = listen(&world.phone.heard, payload_type, codec);
    ear.listen(pcm.into_iter(), |digit, _| spelt.push(digit.as_char()));
    spelt
}

/// The trunk plays a digit, and sends it as an event too if it is one of those.
fn trunk_plays(world: &mut World, digit: char, with_event: bool, lost: Option<usize>, at: u32) {
    let recording = tones::recording(digits(&digit.to_string())[0], std::time::Duration::from_millis(120)).unwrap();
    let (mut player, mut encoder) = (Player::new(recording.into(), 8_000, false), Encoder::new(Pcmu, 8_000).unwrap());
    let (from, began) = (world.phone_at, world.phone.timestamp() + at);
    let (mut frame, mut more, mut n) = ([0; 160], true, 0u32);
    while more {
        more = player.fill(&mut frame);
        let mut payload = Vec::new();
        encoder.encode(&frame, &mut payload).unwrap();
        let packet = world.phone.packet(0, false, began + n * 160, &payload);
        if lost != Some(n as usize) {
            world.inject_rtp(from, &packet);
        }
        if with_event && (2..=6).contains(&n) {
            let [high, low] = ((n as u16 - 1) * 160).to_be_bytes();
            let payload = [digits(&digit.to_string())[0].event(), if n == 6 { 0x8a } else { 10 }, high, low];
            let packet = world.phone.packet(101, n == 2, began + 320, &payload);
            world.inject_rtp(from, &packet);
        }
        world.run(20);
        n += 1;
    }
}

fn told(world: &World) -> String {
    let digits = world.events.iter().filter_map(|event| {
        let MediaEvent::Dtmf { from: Leg::Trunk, digit, .. } = event else { return None };
        Some(digit.as_char())
    });
    digits.collect()
}

#[test]
fn digits_go_as_tones_in_order_and_it_is_said_when_they_are_through() {
    for (codec, payload_type) in [(Pcmu, 0), (Pcma, 8)] {
        let mut world = World::talking(&[Opus], codec);
        world.command(Command::SetDigits { way: DigitWay::Tones, listen: false });
        let music = Prompt::from_pcm(8_000, vec![500; 80_000]).unwrap().into();
        world.command(Command::Play { leg: Leg::Trunk, id: 7, prompt: music, looped: false, over: false });
        world.phone.heard.clear();
        world.command(Command::SendDtmf { leg: Leg::Trunk, digits: digits("159#"), duration_ms: 80 });
        world.command(Command::SendDtmf { leg: Leg::Trunk, digits: digits("0"), duration_ms: 80 });
        assert_eq!(
            world.count(|event| *event == MediaEvent::PromptFinished { leg: Leg::Trunk, id: 7 }),
            1,
            "cut short"
        );
        world.run_until(3_000, |world| world.saw(|event| *event == MediaEvent::DtmfSent { leg: Leg::Trunk }));
        assert_eq!(spelt(&world, payload_type, codec), "159#0");
        assert!(world.phone.heard.iter().all(|packet| packet.payload_type != 101), "no event beside them");
        assert_eq!(world.count(|event| *event == MediaEvent::DtmfSent { leg: Leg::Trunk }), 1);
        world.command(Command::ReleaseTrunk);
        world.command(Command::SendDtmf { leg: Leg::Trunk, digits: digits("1"), duration_ms: 80 });
        assert_eq!(world.count(|event| *event == MediaEvent::DtmfNotSent { leg: Leg::Trunk }), 1);
    }
}

#[test]
fn the_browsers_digits_become_tones_or_are_left_to_others() {
    for (way, expected) in [(DigitWay::Tones, "5"), (DigitWay::Elsewhere, "")] {
        let mut world = World::talking(&[Pcmu], Pcmu);
        world.command(Command::SetDigits { way, listen: false });
        world.browser.hush();
        world.phone.heard.clear();
        let timestamp = world.browser.timestamp();
        for n in 1..=8u16 {
            let [high, low] = (n.min(5) * 160).to_be_bytes();
            let payload = [5, if n > 5 { 0x8a } else { 10 }, high, low];
            world.browser.send_event(world.now, 126, n == 1, timestamp, payload);
            world.run(20);
        }
        world.run(500);
        let told = |event: &MediaEvent| matches!(event, MediaEvent::Dtmf { from: Leg::Browser, .. });
        assert_eq!((world.count(told), spelt(&world, 0, Pcmu).as_str()), (1, expected), "{way:?}");
        assert!(world.phone.heard.iter().all(|packet| packet.payload_type != 101), "{way:?}");
        assert!(!world.saw(|event| *event == MediaEvent::DtmfNotSent { leg: Leg::Trunk }), "{way:?}");
    }
}

#[test]
fn tones_of_the_trunk_are_told_once_whatever_else_it_sends() {
    for (listen, with_event, expected) in
        [(true, false, "73*"), (true, true, "73*"), (false, true, "73*"), (false, false, "")]
    {
        let mut world = World::talking(&[Opus], Pcmu);
        world.phone.hush();
        world.command(Command::SetDigits { way: DigitWay::Events, listen });
        world.run(100);
        for (n, digit) in "73*".chars().enumerate() {
            trunk_plays(&mut world, digit, with_event, None, n as u32 * 10_000);
        }
        world.run(1_000);
        assert_eq!(told(&world), expected, "listening: {listen}, events: {with_event}");
    }
}

#[test]
fn a_lost_packet_neither_divides_a_tone_nor_does_silence_keep_it() {
    for lost in 1..8 {
        let mut world = World::talking(&[Opus], Pcmu);
        world.phone.hush();
        world.command(Command::SetDigits { way: DigitWay::Events, listen: true });
        trunk_plays(&mut world, '8', false, Some(lost), 0);
        // Nothing follows: no packet says that it is over.
        world.run(1_000);
        assert_eq!(told(&world), "8", "packet {lost} lost");
    }
}

/// The numbers of the trunk's packets count from elsewhere then.
#[test]
fn tones_are_heard_of_a_trunk_that_changed_the_clock_of_its_codec() {
    let mut world = World::talking(&[Opus], Opus);
    world.command(Command::SetDigits { way: DigitWay::Events, listen: true });
    world.run(500);
    world.phone.hush();
    let media = world.trunk_media(Pcmu);
    world.command(Command::ConnectTrunk(media));
    trunk_plays(&mut world, '7', false, None, 0);
    world.run(1_000);
    assert_eq!(told(&world), "7");
}

#[test]
fn what_is_played_in_the_middle_of_tones_cuts_them_and_does_not_stop_those_that_follow() {
    let mut world = World::talking(&[Opus], Pcmu);
    world.command(Command::SetDigits { way: DigitWay::Tones, listen: false });
    let said = |world: &World, what: fn(Leg) -> MediaEvent| world.count(|event| *event == what(Leg::Trunk));
    let (sent, unsent) = (|leg| MediaEvent::DtmfSent { leg }, |leg| MediaEvent::DtmfNotSent { leg });
    world.command(Command::SendDtmf { leg: Leg::Trunk, digits: digits("1234"), duration_ms: 200 });
    world.run(300);
    let prompt = Prompt::from_pcm(8_000, vec![500; 4_000]).unwrap().into();
    world.command(Command::Play { leg: Leg::Trunk, id: 7, prompt, looped: false, over: false });
    assert_eq!((said(&world, sent), said(&world, unsent)), (0, 1), "and that is said");
    world.run(1_000);
    assert!(world.saw(|event| *event == MediaEvent::PromptFinished { leg: Leg::Trunk, id: 7 }));
    // Nor does who stops a prompt stop digits.
    world.phone.heard.clear();
    world.command(Command::SendDtmf { leg: Leg::Trunk, digits: digits("56"), duration_ms: 100 });
    world.run(50);
    world.command(Command::StopPlaying { leg: Leg::Trunk });
    world.run(2_000);
    assert_eq!(spelt(&world, 0, Pcmu), "56");
    assert_eq!((said(&world, sent), said(&world, unsent)), (1, 1));
}
