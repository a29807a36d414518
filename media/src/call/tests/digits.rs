//! Digits in both directions.

use super::phone::Packet;
use super::world::World;
use crate::api::{Command, Digit, Leg, MediaEvent};
use crate::audio::Codec::{Opus, Pcmu};
use crate::rtp::PayloadType;
use crate::sdp::browser::Direction;
use crate::sdp::trunk::TrunkMedia;

/// The packets of one telephone event as a browser or phone sends them: payload, marker.
fn event(code: u8, clock: u32) -> Vec<([u8; 4], bool)> {
    let step = (clock / 50) as u16;
    let packet = |n: u16, end: u8| {
        let [high, low] = (n * step).to_be_bytes();
        [code, end << 7 | 10, high, low]
    };
    (1..=5).map(|n| (packet(n, 0), n == 1)).chain((0..3).map(|_| (packet(5, 1), false))).collect()
}

fn digits_in(heard: &[Packet], payload_type: u8) -> Vec<u8> {
    let mut codes: Vec<(u32, u8)> = Vec::new();
    for packet in heard.iter().filter(|packet| packet.payload_type == payload_type) {
        assert_eq!(packet.payload.len(), 4);
        if codes.last().is_none_or(|(timestamp, _)| *timestamp != packet.timestamp) {
            assert!(packet.marker, "an event begins with the marker");
            codes.push((packet.timestamp, packet.payload[0]));
        }
    }
    codes.into_iter().map(|(_, code)| code).collect()
}

fn dtmf(from: Leg, digit: char) -> impl Fn(&MediaEvent) -> bool {
    move |event| matches!(event, MediaEvent::Dtmf { from: f, digit: d, .. } if *f == from && d.as_char() == digit)
}

#[test]
fn digits_of_the_browser_are_reported_and_reach_the_trunk_as_its_own_events() {
    for (codec, payload_type, clock) in [(Opus, 110, 48_000), (Pcmu, 126, 8_000)] {
        let mut world = World::talking(&[codec], Pcmu);
        world.browser.hush();
        world.phone.heard.clear();
        let timestamp = world.browser.timestamp();
        for (payload, marker) in event(5, clock) {
            world.browser.send_event(world.now, payload_type, marker, timestamp, payload);
            world.run(20);
        }
        world.run(500);
        assert_eq!(world.count(dtmf(Leg::Browser, '5')), 1, "{codec:?}: {:?}", world.events);
        assert_eq!(digits_in(&world.phone.heard, 101), [5]);
        assert_eq!(world.stats().drops.unknown_payload, 0);
    }
}

#[test]
fn digits_of_the_trunk_are_reported_and_reach_the_browser() {
    let mut world = World::talking(&[Opus], Pcmu);
    world.phone.hush();
    world.browser.heard.clear();
    let timestamp = world.phone.timestamp();
    for (payload, marker) in event(11, 8000) {
        let packet = world.phone.packet(101, marker, timestamp, &payload);
        let phone = world.phone_at;
        world.inject_rtp(phone, &packet);
        world.run(20);
    }
    world.run(500);
    assert_eq!(world.count(dtmf(Leg::Trunk, '#')), 1);
    assert_eq!(digits_in(&world.browser.heard, 110), [11]);
}

#[test]
fn digits_asked_for_are_sent_in_order_while_audio_gives_way() {
    for codec in [Opus, Pcmu] {
        let mut world = World::talking(&[codec], Pcmu);
        world.phone.heard.clear();
        let digits = "12*".chars().filter_map(Digit::from_char).collect();
        world.command(Command::SendDtmf { leg: Leg::Trunk, digits, duration_ms: 100 });
        world.run(80);
        let audio = world.phone.heard.iter().filter(|packet| packet.payload_type == 0).count();
        assert!(audio <= 1, "{audio}");
        world.run_until(2000, |world| world.saw(|event| *event == MediaEvent::DtmfSent { leg: Leg::Trunk }));
        assert_eq!(digits_in(&world.phone.heard, 101), [1, 2, 10]);
        world.phone.heard.clear();
        world.run(500);
        assert!(world.phone.heard.iter().filter(|packet| packet.payload_type == 0).count() >= 20, "audio is back");
        let ssrcs = world.phone.heard.iter().all(|packet| packet.ssrc == world.phone.heard[0].ssrc);
        assert!(ssrcs, "events and audio are one stream");
    }
}

#[test]
fn digits_for_a_leg_that_cannot_have_them_are_reported() {
    let mut world = World::talking(&[Opus], Pcmu);
    let mut media = world.trunk_media(Pcmu);
    media.telephone_event = None;
    world.command(Command::ConnectTrunk(media));
    let digits = vec![Digit::from_char('1').unwrap()];
    world.command(Command::SendDtmf { leg: Leg::Trunk, digits: digits.clone(), duration_ms: 100 });
    assert_eq!(world.count(|event| *event == MediaEvent::DtmfNotSent { leg: Leg::Trunk }), 1);
    world.command(Command::ReleaseTrunk);
    world.command(Command::SendDtmf { leg: Leg::Trunk, digits, duration_ms: 100 });
    assert_eq!(world.count(|event| *event == MediaEvent::DtmfNotSent { leg: Leg::Trunk }), 2);
}

#[test]
fn digits_that_are_cut_off_by_what_is_agreed_anew_are_reported() {
    let mut world = World::talking(&[Opus], Pcmu);
    let digits: Vec<Digit> = "123456".chars().filter_map(Digit::from_char).collect();
    world.command(Command::SendDtmf { leg: Leg::Trunk, digits, duration_ms: 200 });
    world.run(300);
    let mut media = world.trunk_media(Pcmu);
    world.command(Command::ConnectTrunk(media.clone()));
    let unsent = |world: &World| world.count(|event| *event == MediaEvent::DtmfNotSent { leg: Leg::Trunk });
    assert_eq!(unsent(&world), 0, "they go on");
    world.run(300);
    media.telephone_event = None;
    world.command(Command::ConnectTrunk(media.clone()));
    assert_eq!(unsent(&world), 1);
    world.command(Command::ConnectTrunk(media));
    assert_eq!(unsent(&world), 1, "once");
}

/// RFC 3264 section 8.4: who holds us does not listen.
#[test]
fn a_trunk_that_holds_us_is_sent_no_digits_and_that_is_said() {
    let mut world = World::talking(&[Opus], Pcmu);
    let digits: Vec<Digit> = "123".chars().filter_map(Digit::from_char).collect();
    let dial = |world: &mut World| {
        let digits = digits.clone();
        world.command(Command::SendDtmf { leg: Leg::Trunk, digits, duration_ms: 200 });
    };
    let unsent = |world: &World| world.count(|event| *event == MediaEvent::DtmfNotSent { leg: Leg::Trunk });
    dial(&mut world);
    world.run(100);
    let holding = TrunkMedia { peer_direction: Direction::SendOnly, ..world.trunk_media(Pcmu) };
    world.command(Command::ConnectTrunk(holding));
    assert_eq!(unsent(&world), 1, "those under way");
    dial(&mut world);
    assert_eq!(unsent(&world), 2);
    let (_, by_phone) = world.listen(1_000);
    assert!(by_phone.is_empty(), "{} packets", by_phone.len());
    let media = world.trunk_media(Pcmu);
    world.command(Command::ConnectTrunk(media));
    dial(&mut world);
    world.run(1_500);
    assert_eq!(digits_in(&world.phone.heard, 101), [1, 2, 3]);
    assert_eq!(unsent(&world), 2);
}

/// The number of a codec is given to digits, with the codec that takes its place.
#[test]
fn a_number_that_means_digits_from_now_on_is_no_codec_any_more() {
    let mut world = World::talking(&[Opus], Opus);
    world.phone.hush();
    let mut media = world.trunk_media(Pcmu);
    media.telephone_event = Some((PayloadType(107), 8000));
    world.command(Command::ConnectTrunk(media));
    let timestamp = world.phone.timestamp();
    for (payload, marker) in event(7, 8000) {
        let packet = world.phone.packet(107, marker, timestamp, &payload);
        let phone = world.phone_at;
        world.inject_rtp(phone, &packet);
        world.run(20);
    }
    assert_eq!(world.count(dtmf(Leg::Trunk, '7')), 1);
}

#[test]
fn digits_of_a_call_without_a_trunk_are_reported_and_missed_by_nobody() {
    let mut world = World::new(&[Opus]);
    world.connect_browser();
    world.command(Command::Echo);
    let timestamp = world.browser.timestamp();
    for (payload, marker) in event(5, 48_000) {
        world.browser.send_event(world.now, 110, marker, timestamp, payload);
        world.run(20);
    }
    assert_eq!(world.count(dtmf(Leg::Browser, '5')), 1);
    assert!(!world.saw(|event| matches!(event, MediaEvent::DtmfNotSent { .. })));
}
