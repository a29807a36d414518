//! Blackouts, moves, returns, limits.

use std::time::Duration;

use super::phone::{is_silent, is_tone, listen};
use super::world::{World, at};
use crate::api::{BackCause, BrowserLoss, Command, GapKind, Leg, MediaEvent, SetupFailure};
use crate::audio::Codec::{Opus, Pcma, Pcmu};
use crate::sdp::browser::Direction;

fn is_lost(event: &MediaEvent) -> bool {
    matches!(event, MediaEvent::BrowserLost { how: BrowserLoss::Silence })
}

fn back(world: &World) -> Option<(u64, BackCause)> {
    world.events.iter().find_map(|event| {
        let MediaEvent::BrowserBack { gap_ms, cause, .. } = event else { return None };
        Some((*gap_ms, *cause))
    })
}

fn gap_kind(world: &World) -> Option<GapKind> {
    world.events.iter().find_map(|event| {
        let MediaEvent::BrowserBack { gap, .. } = event else { return None };
        Some(*gap)
    })
}

#[test]
fn a_browser_that_slept_is_told_from_one_whose_network_was_gone() {
    let mut world = World::talking(&[Opus], Pcmu);
    // Asleep it sends nothing at all, and goes on where it stopped.
    world.browser.hush();
    world.browser_link = false;
    world.run(8_000);
    world.browser.speak(world.now, Opus, 440.0);
    world.browser_link = true;
    world.run_until(500, |world| back(world).is_some());
    assert_eq!(gap_kind(&world), Some(GapKind::Asleep));
}

fn both_hear_each_other(world: &mut World) {
    let (by_browser, by_phone) = world.listen(1000);
    assert!(is_tone(&listen(&by_phone, 0, Pcmu), 440.0));
    assert!(is_tone(&listen(&by_browser, 111, Opus), 1000.0));
}

#[test]
fn ten_seconds_of_blackout_on_both_legs_end_nothing() {
    let mut world = World::talking(&[Opus], Pcmu);
    (world.browser_link, world.trunk_link) = (false, false);
    world.run(10_000);
    assert_eq!(world.count(is_lost), 1);
    (world.browser_link, world.trunk_link) = (true, true);
    world.run(1000);
    let (gap, cause) = back(&world).unwrap();
    assert!((9_900..10_100).contains(&gap), "{gap}");
    assert_eq!((cause, gap_kind(&world)), (BackCause::SamePath, Some(GapKind::Network)));
    assert!(!world.saw(|event| matches!(event, MediaEvent::GraceExpired { .. } | MediaEvent::MediaTimeout { .. })));
    both_hear_each_other(&mut world);
}

#[test]
fn the_trunk_hears_silence_while_the_browser_is_away() {
    let mut world = World::talking(&[Opus], Pcmu);
    world.browser_link = false;
    world.run(1000);
    let (_, by_phone) = world.listen(2000);
    assert!((98..=102).contains(&by_phone.len()));
    assert!(is_silent(&listen(&by_phone, 0, Pcmu)));
}

#[test]
fn a_rebound_address_is_followed_after_its_check() {
    let mut world = World::talking(&[Opus], Pcmu);
    world.nat = at("198.51.100.7:61234");
    world.run_until(8000, |world| world.saw(|event| matches!(event, MediaEvent::BrowserMoved { .. })));
    world.run(500);
    both_hear_each_other(&mut world);
    if world.saw(is_lost) {
        assert_eq!(back(&world).unwrap().1, BackCause::NewAddress);
    }
}

#[test]
fn a_reattached_browser_finds_its_call_again() {
    let mut world = World::talking(&[Opus], Pcmu);
    world.browser_link = false;
    world.run(5000);
    world.browser_link = true;
    let before = world.stats();
    world.reattach(&[Opus]);
    world.run_until(3000, |world| back(world).is_some());
    assert_eq!(back(&world).unwrap().1, BackCause::Reattach);
    world.browser.speak(world.now, Opus, 440.0);
    world.run(500);
    both_hear_each_other(&mut world);
    let after = world.stats();
    assert!(after.browser_out.packets > before.browser_out.packets, "counters go on");
    assert!(after.browser_in.packets > before.browser_in.packets);
    assert_eq!(world.count(|event| *event == MediaEvent::FirstAudio { from: Leg::Browser }), 1);
}

#[test]
fn a_reattached_browser_may_speak_another_codec() {
    let mut world = World::talking(&[Opus], Pcmu);
    world.reattach(&[Pcmu]);
    world.run(2000);
    world.browser.speak(world.now, Pcmu, 440.0);
    world.run(500);
    let (by_browser, by_phone) = world.listen(1000);
    assert!(is_tone(&listen(&by_phone, 0, Pcmu), 440.0));
    assert!(is_tone(&listen(&by_browser, 0, Pcmu), 1000.0));
}

#[test]
fn an_ice_restart_changes_the_session_and_costs_no_audio() {
    let mut world = World::talking(&[Opus], Pcmu);
    let credentials = world.browser.restart_ice();
    let restarted = world.call.restart_ice(world.now, credentials);
    assert_ne!(restarted.ice_session, world.opened.ice_session);
    assert!(restarted.local.ufrag.len() >= 8 && restarted.local.password.len() >= 24);
    assert_eq!(world.call.ufrags().count(), 2, "both are known while it restarts");
    world.run(500);
    assert!(!world.saw(is_lost));
    let (by_browser, _) = world.listen(1000);
    assert!(is_tone(&listen(&by_browser, 111, Opus), 1000.0));
}

#[test]
fn a_browser_that_says_goodbye_is_lost_at_once_and_only_grace_ends_it() {
    let mut world = World::talking(&[Opus], Pcmu);
    world.browser.close();
    world.browser.hush();
    world.run(1000);
    let goodbye = |event: &MediaEvent| {
        matches!(event, MediaEvent::BrowserLost { how: BrowserLoss::CloseNotify | BrowserLoss::RtcpBye })
    };
    assert_eq!(world.count(goodbye), 1, "{:?}", world.events);
    world.run(31_000);
    assert_eq!(world.count(|event| matches!(event, MediaEvent::GraceExpired { .. })), 1);
    assert!(back(&world).is_none());
}

#[test]
fn grace_runs_out_once() {
    let mut world = World::talking(&[Opus], Pcmu);
    world.browser_link = false;
    world.run(32_000);
    assert!(!world.saw(|event| matches!(event, MediaEvent::GraceExpired { .. })));
    world.run(20_000);
    let expired = |event: &MediaEvent| *event == MediaEvent::GraceExpired { how: BrowserLoss::Silence };
    assert_eq!(world.count(expired), 1);
    let silent = |event: &MediaEvent| *event == MediaEvent::MediaTimeout { leg: Leg::Browser };
    assert_eq!(world.count(silent), 0, "a lost browser is told as lost");
}

#[test]
fn a_browser_that_is_there_but_sends_no_audio_is_told_once_an_episode() {
    let mut world = World::talking(&[Opus], Pcmu);
    let silent = |event: &MediaEvent| *event == MediaEvent::MediaTimeout { leg: Leg::Browser };
    for episode in 1..=2 {
        world.browser.hush();
        world.run(45_000);
        assert_eq!(world.count(silent), episode);
        world.browser.speak(world.now, Opus, 440.0);
        world.run(500);
    }
    assert!(!world.saw(is_lost), "its checks and reports still come");
}

#[test]
fn a_silent_trunk_is_told_unless_it_holds_the_call() {
    let mut world = World::talking(&[Opus], Pcmu);
    let silent = |event: &MediaEvent| *event == MediaEvent::MediaTimeout { leg: Leg::Trunk };
    let mut media = world.trunk_media(Pcmu);
    world.phone.hush();
    for hold in [Direction::RecvOnly, Direction::Inactive] {
        media.peer_direction = hold;
        world.command(Command::ConnectTrunk(media.clone()));
        world.run(30_000);
        assert_eq!(world.count(silent), 0, "{hold:?}");
    }
    media.peer_direction = Direction::SendRecv;
    world.command(Command::ConnectTrunk(media));
    world.run(19_000);
    assert_eq!(world.count(silent), 0);
    world.run(30_000);
    assert_eq!(world.count(silent), 1);
}

#[test]
fn a_browser_that_never_comes_fails_its_set_up_once() {
    let mut world = World::new(&[Opus]);
    world.browser_link = false;
    world.run(9_900);
    assert!(world.events.is_empty());
    world.run(60_000);
    let failed = |event: &MediaEvent| matches!(event, MediaEvent::SetupFailed(SetupFailure::Ice { checks: 0, .. }));
    assert_eq!(world.count(failed), 1);
    assert_eq!(world.events.len(), 1, "nothing else: {:?}", world.events);
}

#[test]
fn counters_come_every_second() {
    let mut world = World::talking(&[Opus], Pcmu);
    world.events.clear();
    world.run(5000);
    let samples: Vec<_> = world
        .events
        .iter()
        .filter_map(|event| if let MediaEvent::Sample(stats) = event { Some(stats) } else { None })
        .collect();
    assert_eq!(samples.len(), 5);
    let last = samples.last().unwrap();
    assert!(last.browser_in.packets > 250 && last.trunk_in.packets > 250);
    assert!(last.last_check_age_ms.is_some_and(|age| age < 10_000));
    assert!(last.browser_out.remote_fraction_lost.is_some(), "the browser reports what it loses");
}

#[test]
fn the_same_seed_makes_the_same_choices_and_another_seed_others() {
    let (a, b) = (World::new(&[Opus]), World::new(&[Opus]));
    assert_eq!(a.opened.ice_session, b.opened.ice_session);
    let mut c = World::new(&[Opus]);
    c.reattach(&[Opus]);
    assert_ne!(a.opened.ice_session, c.opened.ice_session);
    assert_eq!(a.opened.ice_session.len(), 12);
}

#[test]
fn a_closed_call_says_goodbye_on_both_legs() {
    let mut world = World::talking(&[Opus], Pcmu);
    let reports = world.phone.reports;
    world.command(Command::Close);
    assert_eq!(world.phone.reports, reports + 1);
    assert!(world.call.trunk_local().is_none());
    world.browser.hush();
    world.run(Duration::from_secs(2).as_millis() as u64);
    assert!(world.phone.heard.iter().all(|packet| packet.at <= world.now - Duration::from_millis(1900)));
}

#[test]
fn a_stalled_thread_blames_nobody_for_its_own_absence() {
    let mut world = World::talking(&[Opus], Pcmu);
    world.stall_deaf(25_000);
    world.run(500);
    let blame = |event: &MediaEvent| {
        matches!(
            event,
            MediaEvent::BrowserLost { .. } | MediaEvent::MediaTimeout { .. } | MediaEvent::GraceExpired { .. }
        )
    };
    assert!(!world.saw(blame), "{:?}", world.events);
    both_hear_each_other(&mut world);
}

#[test]
fn what_was_received_stays_counted_over_a_new_page_on_another_clock() {
    let mut world = World::talking(&[Opus], Pcmu);
    let before = world.stats().browser_in;
    world.reattach(&[Pcma]);
    let after = world.stats().browser_in;
    assert!(after.packets >= before.packets && after.octets >= before.octets, "{before:?} {after:?}");
    world.connect_browser();
    world.browser.speak(world.now, Pcma, 440.0);
    world.run(1000);
    let at_last = world.stats().browser_in;
    assert!(at_last.packets > after.packets + 40 && at_last.discarded >= after.discarded, "{after:?} {at_last:?}");
}

#[test]
fn the_clock_on_the_wall_is_set_and_the_clocks_of_all_calls_still_count_from_one_moment() {
    let world = World::new(&[Opus]);
    let mut surroundings = world.call.surroundings.clone();
    let (epoch, later) = (surroundings.wall_at, world.now + Duration::from_millis(90_123));
    let wall = Duration::from_secs(1_900_000_000);
    surroundings.set_wall(later, wall);
    assert_eq!((surroundings.wall_at, surroundings.wall(later)), (epoch, wall));
}
