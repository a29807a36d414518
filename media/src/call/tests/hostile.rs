//! What nobody honest sends, from the right addresses and from others.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::phone::{is_tone, listen};
use super::world::{World, at};
use crate::api::{MediaEvent, Path};
use crate::audio::Codec::{Opus, Pcmu};
use crate::outbox::Outbox;

#[test]
fn noise_from_either_side_ends_nothing() {
    let mut world = World::talking(&[Opus], Pcmu);
    let mut dice = StdRng::seed_from_u64(42);
    for round in 0..5_000u32 {
        let length = dice.random_range(0..300);
        let mut noise: Vec<u8> = (0..length).map(|_| dice.random()).collect();
        // Most of it looks like something.
        if let Some(first) = noise.first_mut() {
            *first = [0, 1, 20, 22, 0x80, 0x81, 0x90, 0xa0, *first][dice.random_range(0..9)];
        }
        if let Some(kind) = noise.get_mut(1) {
            *kind = [0, 101, 111, 200, 201, 202, 203, *kind][dice.random_range(0..8)];
        }
        let mut out = Outbox::new();
        match round % 4 {
            // Its RTP from the phone itself would be believed, and is heard as the noise it is: not in this test.
            0 => world.inject_rtp(at("203.0.113.5:1"), &noise),
            1 => world.inject_rtcp(world.phone_at, &noise),
            2 => {
                let browser = world.nat;
                world.call.handle_browser(world.now, Path::Udp, browser, &mut noise, &mut out);
            }
            _ => {
                world.call.handle_browser(world.now, Path::Udp, at("198.51.100.66:9"), &mut noise, &mut out);
                assert!(out.is_empty(), "nothing goes to strangers");
            }
        }
        if round % 100 == 0 {
            world.run(20);
        }
    }
    assert!(!world.saw(|event| matches!(event, MediaEvent::BrowserLost { .. } | MediaEvent::BrowserMoved { .. })));
    let (by_browser, by_phone) = world.listen(1000);
    assert!(is_tone(&listen(&by_browser, 111, Opus), 1000.0));
    assert!(is_tone(&listen(&by_phone, 0, Pcmu), 440.0));
}

#[test]
fn a_trunk_that_jumps_in_every_number_is_heard_again_within_half_a_second() {
    for codec in [Opus, Pcmu] {
        let mut world = World::talking(&[codec], Pcmu);
        let mut dice = StdRng::seed_from_u64(7);
        let phone = world.phone_at;
        for _ in 0..500 {
            let length = [0, 1, 80, 160, 161, 480, 1400][dice.random_range(0..7)];
            let mut packet = vec![0x80, 0];
            packet.extend((0..10 + length).map(|_| dice.random::<u8>()));
            world.inject_rtp(phone, &packet);
            world.run(5);
        }
        world.run(500);
        let (by_browser, _) = world.listen(1000);
        let payload_type = if codec == Opus { 111 } else { 0 };
        assert!(is_tone(&listen(&by_browser, payload_type, codec), 1000.0), "{codec:?}");
        assert_eq!(world.astray, 0);
    }
}
