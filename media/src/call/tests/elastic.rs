//! What is sent follows the network, and what is coded anew can go on as it comes.

use std::time::Duration;

use super::audio::{is_seamless, pt};
use super::phone::{Packet, is_silent, is_tone, listen};
use super::world::World;
use crate::api::Command;
use crate::audio::Codec::{self, Opus, Pcma, Pcmu};
use crate::audio::codec::Decoder;
use crate::audio::tone::detect;

fn elastic(trunk: Codec) -> World {
    let mut world = World::talking(&[Opus, Pcmu, Pcma], trunk);
    world.command(Command::SetAudio { elastic: true, on_arrival: false });
    world.run(500);
    world
}

/// What a listener hears who takes every packet by its payload type, as all of it was agreed on.
fn hear(packets: &[Packet]) -> Vec<i16> {
    let mut decoders = [Opus, Pcmu, Pcma].map(|codec| (pt(codec), Decoder::new(codec, 8_000).unwrap()));
    let (mut all, mut pcm) = (Vec::new(), Vec::new());
    for packet in packets {
        let (_, decoder) = decoders.iter_mut().find(|(pt, _)| *pt == packet.payload_type).unwrap();
        decoder.decode(&packet.payload, &mut pcm).unwrap();
        all.extend_from_slice(&pcm);
    }
    all
}

/// No number is missing or used twice, and none of the time: 20 ms each, whatever the clock.
fn check_continuity(packets: &[Packet]) {
    for pair in packets.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
        assert_eq!(pair[1].ssrc, pair[0].ssrc);
        let step = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
        let per_ms = if pair[1].payload_type == pt(Opus) { 48 } else { 8 };
        // Where the clock changes, units of both are in it.
        let changed = pair[0].payload_type != pair[1].payload_type;
        assert!(step == 20 * per_ms || changed && step > 0 && step <= 25 * 48, "{step}");
        assert!(pair[1].at.duration_since(pair[0].at) <= Duration::from_millis(25));
    }
}

#[test]
fn the_browsers_codec_follows_the_loss_on_its_way() {
    for trunk in [Pcmu, Pcma] {
        let mut world = elastic(trunk);
        let (by_browser, by_phone) = world.listen(1000);
        assert!(by_browser.iter().all(|packet| packet.payload_type == pt(trunk)), "relayed while it is good");
        assert_eq!(by_browser[40].payload.len(), 160);
        assert!(is_tone(&listen(&by_phone, pt(trunk), trunk), 440.0), "the browser itself speaks Opus");

        world.browser_misses = 10;
        world.run_until(10_000, |world| world.browser.heard.last().is_some_and(|p| p.payload_type == pt(Opus)));
        let (by_browser, _) = world.listen(1000);
        assert!(by_browser.iter().all(|packet| packet.payload_type == pt(Opus)));
        assert!(is_tone(&hear(&by_browser), 1000.0));

        world.browser_misses = 0;
        world.run_until(60_000, |world| world.browser.heard.last().is_some_and(|p| p.payload_type == pt(trunk)));
        let (by_browser, _) = world.listen(1000);
        assert!(by_browser.iter().all(|packet| packet.payload_type == pt(trunk)));
        assert_eq!(world.stats().trunk_in.concealed_ms, 0);
    }
}

#[test]
fn a_change_of_codec_leaves_out_nothing() {
    let mut world = elastic(Pcmu);
    // It is told that its packets are lost, and gets them all the same: each is looked at.
    world.browser.heard.clear();
    world.run(200);
    world.call.browser_loses(world.now, (100_000, 20_000));
    world.run(2_000);
    for n in 1..40 {
        world.call.browser_loses(world.now + Duration::from_secs(n), (100_000 + 100 * n, 20_000));
    }
    world.run(2_000);
    let heard = std::mem::take(&mut world.browser.heard);
    let changes = heard.windows(2).filter(|pair| pair[0].payload_type != pair[1].payload_type).count();
    assert_eq!(changes, 2, "to Opus and back");
    check_continuity(&heard);
    // A fresh decoder of Opus begins with a few milliseconds of nothing.
    let pcm = hear(&heard);
    let tone: Vec<f64> = pcm[1600..].chunks_exact(160).map(|frame| detect(frame, 8_000, 1000.0)).collect();
    assert!(tone.iter().all(|level| *level > -18.0), "in every packet: {tone:?}");
    assert!(tone.iter().filter(|level| **level < -13.5).count() <= 2, "{tone:?}");
}

#[test]
fn digits_come_through_whatever_the_codec_is() {
    let mut world = elastic(Pcmu);
    for lossy in [false, true] {
        if lossy {
            world.call.browser_loses(world.now, (100_000, 20_000));
            world.run(200);
        }
        let digits = vec![crate::api::Digit::from_char('5').unwrap()];
        world.command(Command::SendDtmf { leg: crate::api::Leg::Browser, digits, duration_ms: 100 });
        let (heard, _) = world.listen(1000);
        let events: Vec<&Packet> = heard.iter().filter(|packet| packet.payload_type == 110).collect();
        assert!(events.len() >= 3 && events.iter().all(|event| event.payload[0] == 5), "{lossy}");
        assert!(events.iter().all(|event| event.timestamp == events[0].timestamp), "one event");
        let audio: Vec<Packet> = heard.iter().filter(|packet| packet.payload_type != 110).cloned().collect();
        assert!(audio.len() >= 40 && is_tone(&hear(&audio[5..]), 1000.0), "{lossy}");
    }
}

/// A call whose trunk has a jitter buffer of its own.
fn transparent(trunk: Codec) -> World {
    let mut world = World::talking(&[Opus], trunk);
    world.command(Command::SetAudio { elastic: false, on_arrival: true });
    world.run(500);
    world
}

#[test]
fn a_trunk_with_its_own_jitter_buffer_gets_audio_as_it_comes() {
    for trunk in [Pcmu, Pcma] {
        let mut world = transparent(trunk);
        world.browser_jitter = 18;
        let (_, by_phone) = world.listen(4_000);
        assert!(by_phone.len() >= 150, "{}", by_phone.len());
        assert!(is_tone(&listen(&by_phone, pt(trunk), trunk), 440.0));
        // Overtaken packets are given up, and made up for: the stream has no hole.
        assert!(is_seamless(&by_phone, 160), "{trunk:?}");
        let gaps = by_phone.windows(2).map(|pair| pair[1].at.duration_since(pair[0].at)).max().unwrap();
        assert!(gaps >= Duration::from_millis(30), "the jitter is the trunk's to even out, not {gaps:?}");
        let stats = world.stats().browser_in;
        assert_eq!((stats.buffer_ms, stats.buffer_target_ms), (0, 0));
    }
}

#[test]
fn what_is_lost_on_the_way_is_made_up_when_the_next_packet_comes() {
    let mut world = transparent(Pcmu);
    world.browser_loses = 5;
    let (_, by_phone) = world.listen(10_000);
    assert!(is_seamless(&by_phone, 160));
    assert!((490..=510).contains(&by_phone.len()), "{}", by_phone.len());
    assert!(is_tone(&listen(&by_phone, 0, Pcmu), 440.0));
    let stats = world.stats().browser_in;
    assert!((300..=800).contains(&stats.concealed_ms), "{stats:?}");
}

#[test]
fn what_was_overtaken_is_put_in_order_again() {
    let mut world = transparent(Pcmu);
    let before = world.stats().browser_in;
    world.browser_jitter = 45;
    let (_, by_phone) = world.listen(10_000);
    let stats = world.stats().browser_in;
    assert_eq!((stats.discarded, stats.concealed_ms), (before.discarded, before.concealed_ms));
    assert!(stats.reorder.put_right > 50 && stats.reorder.given_up == 0, "{stats:?}");
    assert!(is_seamless(&by_phone, 160) && (495..=505).contains(&by_phone.len()), "{}", by_phone.len());
    assert!(is_tone(&listen(&by_phone, 0, Pcmu), 440.0));
}

#[test]
fn what_is_later_than_anybody_waits_for_is_made_up_and_delays_nothing_more() {
    let mut world = transparent(Pcmu);
    world.browser_jitter = 200;
    let (_, by_phone) = world.listen(10_000);
    let stats = world.stats().browser_in;
    assert!(stats.discarded > 50 && stats.concealed_ms > 1_000, "{stats:?}");
    assert!(stats.reorder.given_up > 10, "{stats:?}");
    // Packets that were late by more than is made up leave holes.
    assert!((440..=510).contains(&by_phone.len()), "{}", by_phone.len());
    world.browser_jitter = 0;
    world.run(300);
    let (_, by_phone) = world.listen(1_000);
    let longest = by_phone.windows(2).map(|pair| pair[1].at.duration_since(pair[0].at)).max().unwrap();
    assert!(longest <= Duration::from_millis(25), "nothing waits in an orderly stream: {longest:?}");
}

#[test]
fn who_is_muted_while_packets_wait_is_not_heard_for_them() {
    let mut world = transparent(Pcmu);
    world.browser_jitter = 45;
    for _ in 0..20 {
        world.run(313);
        world.command(Command::SetMuted { leg: crate::api::Leg::Browser, muted: true });
        world.run(200);
        let (_, by_phone) = world.listen(200);
        assert!(is_silent(&listen(&by_phone, 0, Pcmu)));
        world.command(Command::SetMuted { leg: crate::api::Leg::Browser, muted: false });
    }
    let (_, by_phone) = world.listen(2_000);
    assert!(is_tone(&listen(&by_phone, 0, Pcmu), 440.0));
}

#[test]
fn silence_of_the_browser_keeps_the_trunks_ports_open() {
    let mut world = transparent(Pcmu);
    world.browser.hush();
    world.run(300);
    let (_, by_phone) = world.listen(1000);
    assert!((48..=52).contains(&by_phone.len()) && is_seamless(&by_phone, 160));
    world.browser.speak(world.now, Opus, 600.0);
    world.run(300);
    let (_, by_phone) = world.listen(1000);
    assert!(is_tone(&listen(&by_phone, 0, Pcmu), 600.0) && is_seamless(&by_phone, 160));
}
