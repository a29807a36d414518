//! What goes with codecs: lengths of packets, clocks of digits, comfort noise, redundancy, what a peer asks of Opus.

use super::audio::is_seamless;
use super::browser::RED;
use super::phone::{Packet, is_silent, is_tone, listen};
use super::world::World;
use crate::api::{Command, Digit, Leg, MediaEvent};
use crate::audio::Codec::{G722, Opus, Pcma, Pcmu};
use crate::audio::OpusWishes;
use crate::audio::tone::level;
use crate::quality::{HalfLeg, Level};
use crate::rtp::PayloadType;
use crate::rtp::red::Red;
use crate::sdp::trunk::TrunkMedia;

#[test]
fn packets_to_the_trunk_are_as_long_as_it_asks_whatever_it_sends() {
    for (codec, number) in [(Pcmu, 0), (Pcma, 8), (G722, 9), (Opus, 107)] {
        for asked in [10, 20, 30, 40, 60] {
            // Opus has no frame of 30 ms.
            let length = if codec == Opus && asked == 30 { 20 } else { asked };
            let browser = if codec == Opus { Pcmu } else { Opus };
            let mut world = World::talking(&[browser], codec);
            let media = TrunkMedia { ptime_ms: asked, ..world.trunk_media(codec) };
            world.command(Command::ConnectTrunk(media));
            // The other way as long as the trunk likes, which is not the same.
            world.phone.speak_in(world.now, codec, 1000.0, if asked == 20 { 60 } else { 20 });
            world.run(1000);
            let (by_browser, by_phone) = world.listen(1200);
            let expected = 1200 / length as usize;
            assert!(by_phone.len().abs_diff(expected) <= 1, "{codec:?}, {asked} ms: {} packets", by_phone.len());
            assert!(is_seamless(&by_phone, codec.clock_rate() / 1000 * length), "{codec:?}, {asked} ms");
            assert!(is_tone(&listen(&by_phone, number, codec), 440.0), "{codec:?}, {asked} ms");
            let heard = listen(&by_browser, if browser == Opus { 111 } else { 0 }, browser);
            assert!(is_tone(&heard, 1000.0), "{codec:?}, {asked} ms");
            assert!((59..=61).contains(&by_browser.len()), "{codec:?}, {asked} ms: {}", by_browser.len());
        }
    }
}

#[test]
fn digits_last_as_long_on_every_clock() {
    for (codec, clock) in [(Opus, 48_000), (Opus, 8_000), (G722, 8_000), (Pcmu, 8_000)] {
        let mut world = World::talking(&[Pcma], codec);
        let media = TrunkMedia { telephone_event: Some((PayloadType(101), clock)), ..world.trunk_media(codec) };
        world.command(Command::ConnectTrunk(media));
        world.phone.heard.clear();
        let digits = vec![Digit::from_char('5').unwrap()];
        world.command(Command::SendDtmf { leg: Leg::Trunk, digits, duration_ms: 100 });
        let (_, by_phone) = world.listen(400);
        let events: Vec<&Packet> = by_phone.iter().filter(|packet| packet.payload_type == 101).collect();
        let last = events.last().unwrap();
        let duration = u32::from(u16::from_be_bytes([last.payload[2], last.payload[3]]));
        assert_eq!((last.payload[0], duration), (5, clock / 10), "{codec:?} on {clock} Hz");
        // And back: one of 100 ms.
        let timestamp = world.phone.timestamp();
        for end in [0, 0x80] {
            let [high, low] = u16::try_from(clock / 10).unwrap().to_be_bytes();
            let packet = world.phone.packet(101, end == 0, timestamp, &[7, end | 10, high, low]);
            let phone = world.phone_at;
            world.inject_rtp(phone, &packet);
        }
        let seen = |event: &MediaEvent| matches!(event, MediaEvent::Dtmf { from: Leg::Trunk, digit, duration_ms: 100 } if digit.as_char() == '7');
        assert!(world.saw(seen), "{codec:?} on {clock} Hz: {:?}", world.events);
    }
}

/// The telephone says that it is silent, and how its line sounds.
fn rest(world: &mut World, level: u8) {
    world.phone.hush();
    let timestamp = world.phone.timestamp();
    let packet = world.phone.packet(13, false, timestamp, &[level]);
    let phone = world.phone_at;
    world.inject_rtp(phone, &packet);
}

#[test]
fn a_trunk_that_rests_is_heard_as_its_line_and_misses_nothing() {
    for (browser, number) in [(Opus, 111), (Pcmu, 0)] {
        let mut world = World::talking(&[browser], Pcmu);
        let before = world.stats().trunk_in;
        rest(&mut world, 50);
        world.run(400);
        let (by_browser, _) = world.listen(1000);
        assert!((48..=52).contains(&by_browser.len()), "{browser:?}: {}", by_browser.len());
        let noise = level(&listen(&by_browser, number, browser)[1_600..]);
        assert!((noise + 50.0).abs() < 4.0, "{browser:?}: {noise}");
        // For longer than silence may last that nobody announced.
        world.run(25_000);
        assert!(!world.saw(|event| matches!(event, MediaEvent::MediaTimeout { leg: Leg::Trunk })), "{browser:?}");
        world.phone.skip_ms(26_400);
        world.phone.speak(world.now, Pcmu, 1000.0);
        world.run(300);
        let (by_browser, _) = world.listen(1000);
        assert!(is_tone(&listen(&by_browser, number, browser), 1000.0), "{browser:?}");
        let stats = world.stats();
        assert_eq!((stats.trunk_in.lost, stats.drops.unknown_payload), (0, 0), "{browser:?}");
        assert_eq!(stats.trunk_in.discarded, before.discarded, "{browser:?}");
        world.phone.hush();
        world.run(25_000);
        assert!(world.saw(|event| matches!(event, MediaEvent::MediaTimeout { leg: Leg::Trunk })), "{browser:?}");
    }
}

/// Somebody listens for a minute, and says so once. The session is renegotiated meanwhile, and a key is pressed.
#[test]
fn a_trunk_that_rests_for_long_is_neither_given_up_nor_found_fault_with() {
    for browser in [Opus, Pcmu] {
        let mut world = World::talking(&[browser], Pcmu);
        world.command(Command::Answered);
        world.run(7_000);
        let level = |world: &World| world.stats().quality[HalfLeg::SipUp as usize].level;
        assert_eq!(level(&world), Level::Green, "{browser:?}");
        rest(&mut world, 50);
        world.run(15_000);
        let media = world.trunk_media(Pcmu);
        world.command(Command::ConnectTrunk(media));
        world.run(15_000);
        world.phone.skip_ms(30_000);
        let (phone, timestamp) = (world.phone_at, world.phone.timestamp());
        for end in [0, 0x80] {
            let packet = world.phone.packet(101, end == 0, timestamp, &[7, end | 10, 3, 0x20]);
            world.inject_rtp(phone, &packet);
        }
        world.run(30_000);
        assert!(!world.saw(|event| matches!(event, MediaEvent::MediaTimeout { .. })), "{browser:?}");
        assert_eq!(level(&world), Level::Green, "{browser:?}");
        // And the first of its words is lost.
        world.phone.skip_ms(30_000);
        let timestamp = world.phone.timestamp();
        world.phone.packet(0, true, timestamp, &[0xff; 160]);
        world.phone.skip_ms(20);
        world.run(20);
        world.phone.speak(world.now, Pcmu, 1000.0);
        world.run(3_000);
        assert_eq!(level(&world), Level::Green, "{browser:?}");
        let found = |event: &MediaEvent| matches!(event, MediaEvent::Issue(change) if change.raised && change.half_leg == HalfLeg::SipUp);
        assert!(!world.saw(found), "{browser:?}: {:?}", world.events.iter().find(|event| found(event)));
    }
}

#[test]
fn nobody_hears_the_line_of_a_trunk_that_is_muted() {
    let mut world = World::talking(&[Opus], Pcmu);
    world.command(Command::SetMuted { leg: Leg::Trunk, muted: true });
    rest(&mut world, 30);
    world.run(300);
    let (by_browser, _) = world.listen(500);
    assert!(is_silent(&listen(&by_browser, 111, Opus)));
}

fn redundant(trunk: crate::audio::Codec) -> World {
    let mut world = World::offered(&[Opus], |offer| offer.redundancy = Some(PayloadType(RED)));
    assert!(world.opened.answer.contains("a=rtpmap:63 red/48000/2"));
    world.talk(Opus, trunk);
    world
}

#[test]
fn what_a_browser_says_twice_may_be_lost_once() {
    let heard = |twice: bool| {
        let mut world = redundant(Pcmu);
        world.browser.redundant = twice.then(Vec::new);
        world.browser_loses = 10;
        world.run(4000);
        let before = world.stats().browser_in;
        let (_, by_phone) = world.listen(10_000);
        assert!(is_seamless(&by_phone, 160));
        // A tenth of a second at a time: the delay may be put right between them.
        let heard = listen(&by_phone, 0, Pcmu);
        let whole = heard.chunks(800).filter(|chunk| is_tone(chunk, 440.0)).count();
        assert!(!twice || whole >= 90, "{whole} of 100");
        let after = world.stats().browser_in;
        assert!(after.lost - before.lost > 20, "the network's loss stays known: {}", after.lost - before.lost);
        after.concealed_ms - before.concealed_ms
    };
    let (once, twice) = (heard(false), heard(true));
    assert!(once > 500 && twice * 5 < once, "{twice} ms of {once} made up");
}

#[test]
fn what_was_lost_and_said_again_is_relayed_in_its_place() {
    let mut world = redundant(Opus);
    world.browser.redundant = Some(Vec::new());
    world.browser_loses = 5;
    let (_, by_phone) = world.listen(4000);
    assert!(by_phone.len() > 195, "{}", by_phone.len());
    assert!(by_phone.iter().all(|packet| packet.payload_type == 107));
    let holes = by_phone.windows(2).filter(|pair| pair[1].sequence != pair[0].sequence.wrapping_add(1)).count();
    assert!(holes <= 2 && world.stats().browser_in.lost > 4, "{holes}");
}

#[test]
fn what_was_said_again_before_it_came_goes_on_once() {
    let disordered = |trunk| {
        let mut world = redundant(trunk);
        world.browser.redundant = Some(Vec::new());
        // So much that the next one may come first.
        world.browser_jitter = 35;
        world
    };
    // Under one key no number may be used for two packets.
    let (_, by_phone) = disordered(Opus).listen(8_000);
    let mut numbers: Vec<u16> = by_phone.iter().map(|packet| packet.sequence).collect();
    numbers.sort_unstable();
    let twice = numbers.windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert!(twice == 0 && numbers.len() > 390, "{twice} of {}", numbers.len());
    // What is coded as it comes was heard in time.
    let mut world = disordered(Pcmu);
    world.command(Command::SetAudio { elastic: false, on_arrival: true });
    world.run(8_000);
    let (counted, _) = world.call.to_trunk.stats();
    assert!(counted.late == 0 && counted.duplicate > 5, "{counted:?}");
}

#[test]
fn a_browser_that_loses_is_told_everything_twice_until_it_does_not() {
    let mut world = redundant(Pcmu);
    let (by_browser, _) = world.listen(500);
    assert!(by_browser.iter().all(|packet| packet.payload_type == 111));
    world.call.browser.reported(0.1);
    world.run(40);
    let (by_browser, _) = world.listen(1000);
    assert!(is_seamless(&by_browser, 960));
    for pair in by_browser.windows(2) {
        let [before, now] = [&pair[0], &pair[1]].map(|packet| {
            assert_eq!(packet.payload_type, RED);
            Red::parse(&packet.payload).unwrap()
        });
        let earlier: Vec<_> = now.earlier().collect();
        assert_eq!(earlier.len(), 1);
        assert_eq!((earlier[0].offset, earlier[0].payload), (960, before.primary.1));
        assert_eq!(earlier[0].payload_type, PayloadType(111));
    }
    world.call.browser.reported(0.02);
    world.run(40);
    assert!(world.listen(200).0.iter().all(|packet| packet.payload_type == RED), "not for every report");
    // One report without loss is chance.
    world.call.browser.reported(0.0);
    world.run(40);
    assert!(world.listen(200).0.iter().all(|packet| packet.payload_type == RED), "nor for one report");
    for _ in 0..10 {
        world.call.browser.reported(0.0);
    }
    world.run(40);
    assert!(world.listen(200).0.iter().all(|packet| packet.payload_type == 111));
}

#[test]
fn opus_to_a_trunk_is_as_it_asks() {
    let octets = |wishes: OpusWishes, loss: f64| {
        let mut world = World::talking(&[G722], Opus);
        let media = TrunkMedia { opus: wishes, ..world.trunk_media(Opus) };
        world.command(Command::ConnectTrunk(media));
        world.call.to_trunk.set_expected_loss(loss);
        world.run(500);
        let (_, by_phone) = world.listen(2000);
        let narrow = by_phone.iter().filter(|packet| matches!(packet.payload[0] >> 3, 0..=3)).count();
        (by_phone.iter().map(|packet| packet.payload.len()).sum::<usize>(), narrow == by_phone.len())
    };
    let plain = OpusWishes { fec: true, ..OpusWishes::default() };
    let (usual, narrow) = octets(plain, 0.0);
    assert!(!narrow);
    assert!(octets(OpusWishes { playback_rate: 8_000, ..plain }, 0.0).1, "narrowband");
    let (few, _) = octets(OpusWishes { bitrate: Some(12_000), ..plain }, 0.0);
    assert!(few * 3 < usual * 2, "{few} octets of {usual}");
    let without = OpusWishes { fec: false, ..plain };
    assert_eq!(octets(without, 0.1).0, octets(without, 0.0).0, "no FEC for who makes no use of it");
}
