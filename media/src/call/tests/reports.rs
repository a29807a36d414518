//! Reports of either leg: its own, and what its peer asks for.

use std::collections::BTreeSet;
use std::time::Duration;

use super::phone::{is_tone, listen};
use super::world::{World, at};
use crate::api::Command;
use crate::audio::Codec::{self, Opus, Pcmu};
use crate::rtp::Ssrc;
use crate::rtp::rtcp::{Received, RtcpSession, XrWish};
use crate::sdp::trunk::TrunkMedia;

/// The telephone's stream.
const PHONE: Ssrc = Ssrc(0x5150);

fn wishing(browser: Codec, wish: Option<XrWish>) -> World {
    let mut world = World::talking(&[browser], Pcmu);
    let media = TrunkMedia { extended: wish, ..world.trunk_media(Pcmu) };
    world.command(Command::ConnectTrunk(media));
    world
}

/// What the telephone reads in the last report.
fn read(world: &World) -> Received {
    let report = &world.phone.report;
    let theirs = Ssrc(u32::from_be_bytes(report[4..8].try_into().unwrap()));
    let mut session = RtcpSession::new("phone".into(), world.now, Duration::ZERO, 1);
    session.handle(world.now, report, PHONE, Some(theirs), 8000).unwrap()
}

#[test]
fn a_trunk_that_asks_is_told_how_it_is_heard_and_once_more_at_the_end() {
    let mut world = wishing(Opus, Some(XrWish { round_trip: true, voip: true }));
    for _ in 0..20 {
        world.phone.speak_into_the_void(5);
        world.run(400);
    }
    let told = read(&world).voip.unwrap();
    // 100 of some 550.
    assert!((0.12..0.25).contains(&told.loss), "{told:?}");
    assert_eq!((told.buffer_ms, told.conceals), (0, None), "it waits in the browser's buffer, not in ours");
    world.command(Command::ReleaseTrunk);
    let last = read(&world);
    assert!(last.bye && last.voip.is_some(), "{last:?}");
}

#[test]
fn a_trunk_is_told_of_its_own_speech_and_not_of_that_of_the_one_before() {
    let wish = Some(XrWish { round_trip: false, voip: true });
    let mut world = wishing(Opus, wish);
    world.phone.hush();
    for _ in 0..20 {
        let (phone, timestamp) = (world.phone_at, world.phone.timestamp());
        world.phone.skip_ms(40);
        let overtaken = world.phone.packet(0, false, timestamp, &[0x55; 160]);
        let next = world.phone.packet(0, false, timestamp.wrapping_add(160), &[0x55; 160]);
        world.inject_rtp(phone, &next);
        world.run(100);
        world.inject_rtp(phone, &overtaken);
    }
    world.run(3_000);
    let told = read(&world).voip.unwrap();
    assert!(told.discard > 0.05, "{told:?}");
    world.call.attach_spare(at("192.0.2.10:20002"));
    let media = TrunkMedia { extended: wish, ..world.trunk_media(Pcmu) };
    world.command(Command::SwapTrunk(media));
    world.phone.speak(world.now, Pcmu, 1000.0);
    world.run(3_000);
    let told = read(&world).voip.unwrap();
    assert_eq!((told.loss, told.discard), (0.0, 0.0));
}

#[test]
fn relayed_speech_is_told_of_without_a_buffer() {
    let mut world = wishing(Pcmu, Some(XrWish { round_trip: false, voip: true }));
    world.run(3000);
    let told = read(&world).voip.unwrap();
    assert_eq!((told.loss, told.buffer_ms, told.conceals), (0.0, 0, None));
}

#[test]
fn a_trunk_that_does_not_ask_is_told_nothing_beyond_the_usual() {
    for wish in [None, Some(XrWish { round_trip: false, voip: false })] {
        let mut world = wishing(Opus, wish);
        world.run(3000);
        let read = read(&world);
        assert!(read.voip.is_none() && read.sender_report && read.about_us.is_some(), "{wish:?}: {read:?}");
    }
}

/// RFC 8079: we end the session on either side, so neither hears of the other's sources and names.
#[test]
fn the_reports_of_a_leg_are_its_own() {
    let mut world = wishing(Opus, None);
    world.run(3000);
    let (_, name) = world.opened.answer.split_once(" cname:").unwrap();
    let name = name.lines().next().unwrap().to_owned();
    let browsers = world.call.browser.stream.sender().ssrc().0.to_be_bytes();
    let report = world.phone.report.clone();
    assert!(!report.windows(name.len()).any(|window| window == name.as_bytes()));
    assert!(!report.windows(4).any(|window| window == browsers));
    assert!(report.windows(4).any(|window| window == PHONE.0.to_be_bytes()));
}

/// Share of the packets of ten seconds that the browser heard, and how many were sent again.
fn heard(codec: Codec, asks: bool) -> (f64, u64) {
    let mut world = World::offered(&[codec], |offer| {
        offer.nacks = offer.codecs.iter().map(|(number, _)| *number).filter(|_| asks).collect();
    });
    assert_eq!(world.opened.answer.contains(" nack\r\n"), asks, "{}", world.opened.answer);
    world.talk(codec, Pcmu);
    world.browser.ask_for_lost();
    world.browser_misses = 10;
    let (heard, _) = world.listen(10_000);
    let numbers: BTreeSet<u16> = heard.iter().map(|packet| packet.sequence).collect();
    let sent = numbers.last().unwrap() - numbers.first().unwrap() + 1;
    let pcm = listen(&heard, super::browser::payload_type(codec), codec);
    assert!(is_tone(&pcm[800..], 1000.0) || !asks, "what comes late is in its place");
    (numbers.len() as f64 / f64::from(sent), world.stats().resent)
}

#[test]
fn what_a_browser_loses_and_asks_for_is_sent_again() {
    for codec in [Opus, Pcmu] {
        let (share, resent) = heard(codec, true);
        assert!(share > 0.98 && (30..=120).contains(&resent), "{codec:?}: {share} of all, {resent} again");
    }
}

#[test]
fn a_browser_that_did_not_say_so_is_sent_nothing_again() {
    let (share, resent) = heard(Opus, false);
    assert!(share < 0.95 && resent == 0, "{share} of all, {resent} again");
}
