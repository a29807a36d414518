//! What each half-leg looks like in a call.

use std::time::Duration;

use super::world::{World, at};
use crate::api::{Command, Leg, MediaEvent};
use crate::audio::Codec::{Opus, Pcma, Pcmu};
use crate::detect::{Issue, Verdict};
use crate::quality::{HalfLeg, HalfLegSample, Level, LevelReason, RttSource};
use crate::rtp::PayloadType;
use crate::sdp::browser::Direction;
use crate::sdp::trunk::TrunkMedia;

fn sample(world: &World, half_leg: HalfLeg) -> HalfLegSample {
    world.stats().quality[half_leg as usize]
}

/// A call that was answered long enough ago for every level to be known that can be.
fn settled(browser: crate::audio::Codec, trunk: crate::audio::Codec) -> World {
    let mut world = World::talking(&[browser], trunk);
    world.command(Command::Answered);
    world.run(7000);
    world
}

fn levels(world: &World) -> [Level; 4] {
    world.stats().quality.map(|sample| sample.level)
}

#[test]
fn a_good_call_is_green_where_it_is_known() {
    for (browser, trunk) in [(Opus, Pcmu), (Pcmu, Pcmu)] {
        let world = settled(browser, trunk);
        assert_eq!(levels(&world), [Level::Green, Level::Green, Level::Green, Level::Unknown], "{browser:?}");
        let up = sample(&world, HalfLeg::BrowserUp);
        assert!((48..=52).contains(&up.packets) && up.expected && up.gap_ms < 100, "{up:?}");
        assert_eq!((up.loss, up.rtt_source), (Some(0.0), Some(RttSource::Rtcp)), "{up:?}");
        assert!(up.mos_lq.unwrap() > 4.2 && up.mos_cq.unwrap() > 4.2, "{up:?}");
        assert_eq!(up.buffer_ms.is_some(), browser != trunk, "only what is transcoded is buffered");
        let down = sample(&world, HalfLeg::BrowserDown);
        assert!(down.packets >= 48 && down.mos_cq.is_some(), "{down:?}");
        let sip = sample(&world, HalfLeg::SipUp);
        assert!(sip.mos_lq.is_some() && sip.mos_cq.is_none(), "no report, no round trip: {sip:?}");
        assert_eq!(sample(&world, HalfLeg::SipDown).mos_lq, None);
    }
}

#[test]
fn levels_are_unknown_for_three_seconds() {
    let mut world = World::talking(&[Opus], Pcmu);
    world.command(Command::Answered);
    assert_eq!(levels(&world), [Level::Unknown; 4]);
    world.run(1000);
    assert_eq!(levels(&world), [Level::Unknown; 4]);
    world.run(6000);
    assert_eq!(levels(&world)[0], Level::Green);
}

#[test]
fn a_trunk_that_falls_silent_is_red_within_three_seconds_and_alone() {
    for trunk in [Pcmu, Pcma] {
        let mut world = settled(Pcmu, trunk);
        world.trunk_link = false;
        world.run(3000);
        let sip = sample(&world, HalfLeg::SipUp);
        assert_eq!(sip.level, Level::Red, "{sip:?}");
        assert!(sip.reasons.contains(LevelReason::NoMedia) && sip.gap_ms >= 2000);
        assert_eq!(levels(&world), [Level::Green, Level::Green, Level::Red, Level::Unknown]);
        world.trunk_link = true;
        world.run(12_000);
        assert_eq!(levels(&world)[2], Level::Green);
    }
}

#[test]
fn a_browser_that_is_gone_is_red_and_alone() {
    let mut world = settled(Opus, Pcmu);
    world.browser_link = false;
    world.run(3000);
    let up = sample(&world, HalfLeg::BrowserUp);
    assert!(up.level == Level::Red && up.reasons.contains(LevelReason::NoMedia), "{up:?}");
    world.run(12_000);
    let [up, down, sip_up, _] = levels(&world);
    assert_eq!((up, sip_up), (Level::Red, Level::Green));
    assert_eq!(down, Level::Unknown, "nobody reports");
}

/// Nothing comes from the browser any more, in one way or another.
#[test]
fn a_browser_that_is_lost_is_never_green_again() {
    let ways: [fn(&mut World); 4] = [
        |world| world.browser_link = false,
        |world| {
            world.browser.close();
            world.run(100);
            world.browser_link = false;
        },
        |world| {
            world.command(Command::SetMuted { leg: Leg::Browser, muted: true });
            world.browser_link = false;
        },
        |world| {
            world.run(6_000);
            world.browser.hush();
            world.browser_link = false;
        },
    ];
    for (n, lose) in ways.into_iter().enumerate() {
        for (browser, trunk) in [(Opus, Pcmu), (Pcmu, Pcmu)] {
            let mut world = settled(browser, trunk);
            lose(&mut world);
            world.run(6_000);
            for second in 0..40 {
                world.run(1_000);
                let up = sample(&world, HalfLeg::BrowserUp);
                assert!(up.level == Level::Red && up.expected, "{n} {browser:?} {second}: {up:?}");
                assert!(up.reasons.contains(LevelReason::NoMedia), "{n} {browser:?} {second}: {up:?}");
                let down = sample(&world, HalfLeg::BrowserDown);
                assert!(second < 12 || down.level == Level::Unknown, "{n} {browser:?} {second}: {down:?}");
            }
        }
    }
}

#[test]
fn what_is_held_without_packets_is_unknown_and_never_green() {
    let mut world = settled(Opus, Pcmu);
    world.trunk_link = false;
    world.browser.hush();
    world.run(2_900);
    assert_eq!((levels(&world)[0], levels(&world)[2]), (Level::Red, Level::Red));
    let mut media = world.trunk_media(Pcmu);
    media.peer_direction = Direction::Inactive;
    world.command(Command::ConnectTrunk(media));
    world.command(Command::SetMuted { leg: Leg::Browser, muted: true });
    for second in 0..20 {
        world.run(1_000);
        for half_leg in [HalfLeg::BrowserUp, HalfLeg::SipUp] {
            let sample = sample(&world, half_leg);
            assert_ne!(sample.level, Level::Green, "{second} {half_leg:?}: {sample:?}");
            assert!(second < 8 || sample.level == Level::Unknown, "{second} {half_leg:?}: {sample:?}");
        }
    }
}

/// What gets lost on the way up takes the reports along; of the way down that says nothing.
#[test]
fn loss_on_the_way_up_is_no_loss_on_the_way_down() {
    for (browser, trunk) in [(Opus, Pcmu), (Pcmu, Pcmu), (Opus, Opus)] {
        for share in [10, 30, 60, 90] {
            let mut world = settled(browser, trunk);
            world.browser_loses = share;
            world.run(40_000);
            let told = |event: &MediaEvent| {
                matches!(event, MediaEvent::Issue(change) if change.raised
                    && (change.half_leg == HalfLeg::BrowserDown || matches!(change.issue, Issue::BackgroundNoise)))
            };
            let issues: Vec<_> = world.events.iter().filter(|event| told(event)).collect();
            assert!(issues.is_empty(), "{browser:?} {trunk:?} {share} %: {issues:?}");
            assert_ne!(world.stats().verdicts[1], Verdict::NoPackets, "{browser:?} {trunk:?} {share} %");
        }
    }
}

#[test]
fn hold_and_mute_are_no_gap() {
    let mut world = settled(Opus, Pcmu);
    let mut media = world.trunk_media(Pcmu);
    media.peer_direction = Direction::Inactive;
    world.command(Command::ConnectTrunk(media.clone()));
    world.phone.hush();
    world.command(Command::SetMuted { leg: Leg::Browser, muted: true });
    world.browser.hush();
    for _ in 0..5 {
        world.run(1000);
        for half_leg in [HalfLeg::BrowserUp, HalfLeg::SipUp] {
            let sample = sample(&world, half_leg);
            assert!(!sample.expected && sample.gap_ms == 0 && sample.level <= Level::Green, "{half_leg:?} {sample:?}");
        }
    }
    media.peer_direction = Direction::SendRecv;
    world.command(Command::ConnectTrunk(media));
    world.command(Command::SetMuted { leg: Leg::Browser, muted: false });
    world.browser.speak(world.now, Opus, 440.0);
    world.phone.speak(world.now, Pcmu, 1000.0);
    world.run(6000);
    assert_eq!(levels(&world)[0], Level::Green);
    assert_eq!(levels(&world)[2], Level::Green);
}

/// A receiver report of the phone about our stream.
fn report(ours: u32, fraction: u8, lost: i32, highest: u32, jitter: u32, times: (u32, u32)) -> Vec<u8> {
    let mut bytes = vec![0x81, 201, 0, 7];
    let [_, l0, l1, l2] = lost.to_be_bytes();
    for word in [0x5150, ours, u32::from_be_bytes([fraction, l0, l1, l2]), highest, jitter, times.0, times.1] {
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    bytes
}

#[test]
fn honest_reports_make_the_way_to_the_trunk_known() {
    let mut world = settled(Opus, Pcmu);
    let mut lost = 0;
    for second in 0..12 {
        world.run(1000);
        let last = world.phone.heard.last().unwrap().clone();
        lost += if second < 6 { 0 } else { 6 };
        let to = world.trunk_media(Pcmu).remote_rtcp;
        world.inject_rtcp(to, &report(last.ssrc, 0, lost, u32::from(last.sequence), 40, (0, 0)));
        if second == 5 {
            assert_eq!(levels(&world)[3], Level::Green);
        }
    }
    world.run(1000);
    let down = sample(&world, HalfLeg::SipDown);
    assert!(down.level == Level::Red && down.reasons.contains(LevelReason::Loss), "{down:?}");
    assert_eq!(levels(&world)[..3], [Level::Green; 3]);
    world.run(8000);
    assert_eq!(levels(&world)[3], Level::Unknown, "reports have stopped");
}

#[test]
fn what_was_lost_long_ago_is_not_lost_again_after_reports_were_missing() {
    let mut world = settled(Opus, Pcmu);
    let to = world.trunk_media(Pcmu).remote_rtcp;
    let tell = |world: &mut World, lost: i32| {
        world.run(1000);
        let last = world.phone.heard.last().unwrap().clone();
        world.inject_rtcp(to, &report(last.ssrc, 0, lost, u32::from(last.sequence), 40, (0, 0)));
    };
    (1..=10).for_each(|n| tell(&mut world, 10 * n));
    (0..30).for_each(|_| tell(&mut world, 100));
    world.run(1000);
    assert_eq!(levels(&world)[3], Level::Green);
    world.run(10_000);
    assert_eq!(levels(&world)[3], Level::Unknown);
    for _ in 0..8 {
        tell(&mut world, 100);
        let down = sample(&world, HalfLeg::SipDown);
        assert!(down.level <= Level::Green && down.loss.is_none_or(|loss| loss == 0.0), "{down:?}");
    }
    assert_eq!(levels(&world)[3], Level::Green);
}

#[test]
fn lies_colour_nobody() {
    let mut world = settled(Opus, Pcmu);
    let to = world.trunk_media(Pcmu).remote_rtcp;
    let before = world.stats().drops.bad_rtcp;
    for n in 0..200u32 {
        world.run(100);
        let last = world.phone.heard.last().unwrap().clone();
        let highest = u32::from(last.sequence);
        let lie = match n % 6 {
            0 => report(last.ssrc, 255, 0x7f_ffff, highest, u32::MAX, (1, 2)),
            1 => report(last.ssrc, 255, -0x80_0000, highest.wrapping_add(0x7000_0000), 0, (0, u32::MAX)),
            2 => report(last.ssrc ^ n, 255, 1000, highest, 80_000, (u32::MAX, 0)),
            3 => report(last.ssrc, 200, 5000, highest.wrapping_sub(4000), 99_999, (n, n)),
            4 => vec![0x80 | (n as u8 & 31), 200 + (n as u8 % 8), 0, 1, 1, 2, 3, 4],
            _ => report(last.ssrc, 10, 0, n.wrapping_mul(0x1234_5677), 0, (0, 0)),
        };
        world.inject_rtcp(to, &lie);
        assert_eq!(levels(&world)[..3], [Level::Green; 3], "after {n}");
    }
    assert!(world.stats().drops.bad_rtcp > before + 100);
    assert_ne!(levels(&world)[3], Level::Green, "what is not known is not said to be good");
}

/// What the browser loses on its way to us is not the way's fault that leads on to the trunk.
#[test]
fn loss_that_is_relayed_is_blamed_on_where_it_came_from() {
    let mut world = settled(Pcmu, Pcmu);
    let to = world.trunk_media(Pcmu).remote_rtcp;
    let mut counted: Option<(u16, u32)> = None;
    for _ in 0..20 {
        for n in 0..10 {
            // One packet in ten, that of the last 20 ms here, is lost on the way up.
            world.browser_link = n != 3 && n != 7;
            world.run(20);
            world.browser_link = true;
            world.run(80);
        }
        let last = world.phone.heard.last().unwrap().clone();
        let first = world.phone.heard.first().unwrap().sequence;
        let span = u32::from(last.sequence.wrapping_sub(first)) + 1;
        let lost = span as i32 - world.phone.heard.len() as i32;
        counted = Some((last.sequence, span));
        world.inject_rtcp(to, &report(last.ssrc, 0, lost, u32::from(last.sequence), 20, (0, 0)));
    }
    assert!(counted.is_some());
    world.run(1000);
    let [up, _, sip_up, sip_down] = levels(&world);
    assert!(up >= Level::Amber, "{:?}", sample(&world, HalfLeg::BrowserUp));
    assert_eq!((sip_up, sip_down), (Level::Green, Level::Green), "{:?}", sample(&world, HalfLeg::SipDown));
}

/// Nor is its jitter.
#[test]
fn jitter_that_is_relayed_is_blamed_on_where_it_came_from() {
    let mut world = settled(Pcmu, Pcmu);
    let to = world.trunk_media(Pcmu).remote_rtcp;
    world.browser_jitter = 200;
    let (mut jitter, mut seen) = (0.0f64, world.phone.heard.len());
    for second in 0..25 {
        world.run(1_000);
        // RFC 3550 section 6.4.1, as the phone reckons it.
        for pair in world.phone.heard[seen - 1..].windows(2) {
            let came = pair[1].at.saturating_duration_since(pair[0].at).as_secs_f64() * 8_000.0;
            let sent = f64::from(pair[1].timestamp.wrapping_sub(pair[0].timestamp).cast_signed());
            jitter += ((came - sent).abs() - jitter) / 16.0;
        }
        seen = world.phone.heard.len();
        let last = world.phone.heard.last().unwrap().clone();
        world.inject_rtcp(to, &report(last.ssrc, 0, 0, u32::from(last.sequence), jitter as u32, (0, 0)));
        assert_ne!(levels(&world)[3], Level::Red, "{second}: {:?}", sample(&world, HalfLeg::SipDown));
    }
    assert!(jitter > 8.0 * 50.0, "the phone sees red: {jitter}");
    let [up, _, sip_up, sip_down] = levels(&world);
    assert_eq!(up, Level::Red, "{:?}", sample(&world, HalfLeg::BrowserUp));
    assert_eq!((sip_up, sip_down), (Level::Green, Level::Green), "{:?}", sample(&world, HalfLeg::SipDown));
}

#[test]
fn the_round_trip_is_asked_for_by_stun() {
    let mut world = World::talking(&[Opus], Pcmu);
    world.probe(true);
    world.run(10_000);
    world.probe(true);
    world.run(10);
    let transport = &world.call.browser.transport;
    assert_eq!(transport.probe_stats().sent, 1);
    assert_eq!(transport.probe_stats().answered, 1, "another project's stack answers");
    assert!(transport.round_trip(world.now).unwrap() <= Duration::from_millis(20));
}

#[test]
fn measuring_can_be_switched_off() {
    let mut world = World::talking(&[Opus], Pcmu);
    world.call.surroundings.policy.measure = false;
    let before = world.stats().quality;
    world.run(5000);
    assert_eq!(world.stats().quality, before);
    assert!(world.saw(|event| matches!(event, MediaEvent::Sample(_))), "counters still come");
}

#[test]
fn it_costs_little_memory() {
    use crate::quality::{Arrivals, BurstMeter, Monitor, RemoteView};
    let streams = 2 * (size_of::<Arrivals>() + size_of::<BurstMeter>() + size_of::<RemoteView>());
    let all = size_of::<Monitor>() + streams;
    assert!(all <= 1536, "{all}: {} and {streams}", size_of::<Monitor>());
}

#[test]
fn jitter_is_measured_by_the_clock_of_whatever_codec_comes() {
    let mut world = World::talking(&[Opus], Opus);
    let media = TrunkMedia { also: vec![(PayloadType(0), Pcmu)], ..world.trunk_media(Opus) };
    world.command(Command::ConnectTrunk(media));
    world.phone.hush();
    for n in 0..200 {
        world.run(if n % 2 == 0 { 10 } else { 30 });
        let (phone, timestamp) = (world.phone_at, world.phone.timestamp());
        world.phone.skip_ms(20);
        let packet = world.phone.packet(0, false, timestamp, &[0xff; 160]);
        world.inject_rtp(phone, &packet);
    }
    let jitter_ms = world.stats().trunk_in.jitter_ms;
    assert!((9.0..11.0).contains(&jitter_ms), "{jitter_ms}");
}

#[test]
fn an_agent_who_takes_over_and_is_not_heard_is_found_as_soon_as_the_first() {
    let mut world = settled(Opus, Pcmu);
    world.call.attach_spare(at("192.0.2.10:20002"));
    let media = world.trunk_media(Pcmu);
    world.command(Command::SwapTrunk(media));
    world.command(Command::Answered);
    world.phone.speak(world.now, Pcmu, 0.0);
    world.run(2_000);
    let silent = |event: &MediaEvent| {
        matches!(event, MediaEvent::Issue(change)
            if change.raised && (change.issue, change.half_leg) == (Issue::Silence, HalfLeg::SipUp))
    };
    assert!(world.saw(silent), "{:?}", world.stats().verdicts);
}
