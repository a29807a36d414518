//! A trunk that changes what it speaks in mid-call.

use super::audio::{is_seamless, pt};
use super::phone::{Packet, listen};
use super::world::World;
use crate::api::Command;
use crate::audio::Codec::{Opus, Pcma, Pcmu};
use crate::audio::tone::{detect, level};
use crate::rtp::PayloadType;
use crate::sdp::trunk::TrunkMedia;

/// What was heard of a stream that changes between PCMU and PCMA.
fn listen_g711(heard: &[Packet]) -> Vec<i16> {
    heard
        .iter()
        .flat_map(|packet| {
            let codec = if packet.payload_type == 8 { Pcma } else { Pcmu };
            listen(std::slice::from_ref(packet), packet.payload_type, codec)
        })
        .collect()
}

/// Every 20 ms of it have to be this tone at the level it is said at, and nothing else.
fn is_unbroken(pcm: &[i16], hz: f64, who: &str) {
    assert!(pcm.len() > 8_000, "{who}");
    let parts = pcm.chunks_exact(160).map(|part| (detect(part, 8000, hz), level(part))).enumerate();
    let broken: Vec<_> = parts.filter(|(_, (tone, all))| *tone < -15.0 || tone + 1.0 < *all).collect();
    assert!(broken.is_empty(), "{who}: {broken:?}");
}

#[test]
fn a_codec_that_the_trunk_changes_in_mid_call_is_heard_without_a_gap_or_a_click() {
    let mut world = World::talking(&[Opus], Pcmu);
    world.browser.speak(world.now, Opus, 500.0);
    world.run(1000);
    world.browser.heard.clear();
    world.phone.heard.clear();
    for codec in [Pcma, Pcmu, Pcma] {
        world.run(400);
        let media = world.trunk_media(codec);
        world.command(Command::ConnectTrunk(media));
        world.phone.switch(codec);
        world.run(400);
    }
    let (by_browser, by_phone) = (std::mem::take(&mut world.browser.heard), std::mem::take(&mut world.phone.heard));
    is_unbroken(&listen_g711(&by_phone), 500.0, "the phone");
    assert!(is_seamless(&by_phone, 160));
    let heard = listen(&by_browser, pt(Opus), Opus);
    is_unbroken(&heard[800..], 1000.0, "the browser");
}

#[test]
fn a_trunk_may_send_any_codec_it_took_of_our_offer() {
    let mut world = World::talking(&[Opus], Pcmu);
    let media = TrunkMedia { also: vec![(PayloadType(8), Pcma)], ..world.trunk_media(Pcmu) };
    world.command(Command::ConnectTrunk(media));
    world.run(500);
    world.browser.heard.clear();
    for codec in [Pcma, Pcmu] {
        world.phone.switch(codec);
        world.run(800);
    }
    let heard = listen(&std::mem::take(&mut world.browser.heard), pt(Opus), Opus);
    is_unbroken(&heard[800..], 1000.0, "the browser");
    assert_eq!(world.stats().trunk_drops.unknown_payload, 0);
}

#[test]
fn reports_may_share_the_port_of_the_trunks_audio() {
    let mut world = World::talking(&[Opus], Pcmu);
    let media = TrunkMedia { rtcp_mux: true, remote_rtcp: world.phone_at, ..world.trunk_media(Pcmu) };
    world.command(Command::ConnectTrunk(media));
    world.phone.heard.clear();
    let before = world.phone.reports;
    world.run(8000);
    let reports = world.phone.heard.iter().filter(|packet| (64..96).contains(&packet.payload_type)).count();
    assert!(reports > 0 && world.phone.reports == before, "{reports}");
    let phone = world.phone_at;
    world.inject_rtp(phone, &[0x80, 201, 0, 1, 0, 0, 0x51, 0x50]);
    let drops = world.stats().trunk_drops;
    assert_eq!((drops.malformed, drops.unknown_payload, drops.bad_rtcp, drops.wrong_source), (0, 0, 0, 0));
}
