//! How audio crosses over bad lines: the codec that follows the browser's network, and audio that waits for nothing.

use std::time::Duration;

use trunkline_media::api::MediaEvent;
use trunkline_media::audio::Codec;
use trunkline_tests::world::{
    BROWSER_TONE, BrowserId, CallNo, Dial, HalfLeg, Link, Loss, PHONE_TONE, PhoneId, World, ms, secs, seeds,
};

/// A browser tells of its losses every five seconds, and the first of them may be too few to believe.
const NOTICED: Duration = secs_of(16);
/// Calm lasts twenty seconds.
const CALMED: Duration = secs_of(40);

const fn secs_of(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What the browser was sent in from when on, in the order it happened.
fn switches(world: &World, call: CallNo) -> Vec<Codec> {
    let switched = |event: &MediaEvent| if let MediaEvent::CodecSwitched { to } = event { Some(*to) } else { None };
    world.call(call).media_events.iter().filter_map(switched).collect()
}

/// The phone hangs up, and the call ends once and for that.
fn ends_once(world: &mut World, call: CallNo, phone: PhoneId) {
    world.phone_hangs_up(phone);
    world.run_for(secs(3));
    assert_eq!(world.outcome(call), Some(("remote_hangup", Some("bye"))));
    assert_eq!(world.call(call).outcomes.len(), 1);
    assert_eq!(world.events(call), ["call_started", "call_ringing", "call_answered", "call_ended"]);
}

fn elastic(seed: u64, trunk: Codec) -> (World, CallNo, BrowserId, PhoneId) {
    let dial = Dial { trunk: vec![trunk], elastic: true, ..Dial::default() };
    World::talking(seed, &dial, trunk)
}

#[test]
fn simulation_the_browsers_codec_follows_its_network_and_comes_back_once() {
    for seed in seeds(12) {
        let trunk = if seed % 2 == 0 { Codec::Pcmu } else { Codec::Pcma };
        let (mut world, call, browser, phone) = elastic(seed, trunk);
        world.run_for(secs(20));
        assert_eq!(switches(&world, call), [], "seed {seed}: nothing is wrong yet");

        let loss = 0.04 + 0.01 * (seed % 5) as f64;
        let lossy = Link::good().jitter(ms(10 + 5 * (seed % 4))).loss(Loss::Random(loss));
        let from = world.now();
        world.impair(HalfLeg::BrowserDown, browser, phone, lossy);
        world.run_until(|world| switches(world, call) == [Codec::Opus], NOTICED);
        world.run_for(secs(60));
        assert_eq!(switches(&world, call), [Codec::Opus], "seed {seed}: for as long as it is lossy");
        // What this browser makes up of Opus is the tone, too, but for losses in a row.
        let heard = world.browser(browser).ear.fraction(PHONE_TONE, from, world.now());
        assert!(heard > 0.93, "seed {seed}: {heard:.3} with {loss} lost");

        world.impair(HalfLeg::BrowserDown, browser, phone, Link::good());
        world.run_until(|world| switches(world, call) == [Codec::Opus, trunk], CALMED);
        let from = world.now() - secs(2);
        world.run_for(secs(60));
        let (to, both) = (world.now(), [Codec::Opus, trunk]);
        let (down, up) = (world.browser(browser).ear.fraction(PHONE_TONE, from, to), world.phone(phone).line());
        assert!(down > 0.99, "seed {seed}: {down:.3} over the change back");
        assert!(up.ear.fraction(BROWSER_TONE, from, to) > 0.99, "seed {seed}: the other way never changes");
        assert_eq!(switches(&world, call), both, "seed {seed}: and no more");
        ends_once(&mut world, call, phone);
    }
}

/// Ten lossy seconds in every forty: who is protected too short the first times is protected longer.
#[test]
fn simulation_a_network_that_comes_and_goes_makes_no_codec_flap() {
    for seed in seeds(4) {
        let (mut world, call, browser, phone) = elastic(seed, Codec::Pcmu);
        let from = world.now();
        for _ in 0..30 {
            world.impair(HalfLeg::BrowserDown, browser, phone, Link::good().loss(Loss::Random(0.08)));
            world.run_for(secs(10));
            world.impair(HalfLeg::BrowserDown, browser, phone, Link::good());
            world.run_for(secs(30));
        }
        let changed = switches(&world, call);
        assert!((1..=8).contains(&changed.len()), "seed {seed}: {changed:?} in twenty minutes");
        let heard = world.browser(browser).ear.fraction(PHONE_TONE, from, world.now());
        assert!(heard > 0.96, "seed {seed}: {heard:.3}");
        ends_once(&mut world, call, phone);
    }
}

/// Loss of the other direction, and jitter alone, are no reason.
#[test]
fn simulation_no_codec_changes_for_what_is_wrong_elsewhere() {
    let lossy = || Link::good().loss(Loss::Random(0.1));
    for (half_leg, link) in [
        (HalfLeg::BrowserUp, lossy()),
        (HalfLeg::SipDown, lossy()),
        (HalfLeg::BrowserDown, Link::good().jitter(ms(40))),
    ] {
        let (mut world, call, browser, phone) = elastic(1, Codec::Pcmu);
        world.impair(half_leg, browser, phone, link);
        world.run_for(secs(60));
        assert_eq!(switches(&world, call), [], "{}", half_leg.word());
        ends_once(&mut world, call, phone);
    }
}

fn transparent(seed: u64, trunk: Codec) -> (World, CallNo, BrowserId, PhoneId) {
    let dial = Dial { browser: vec![Codec::Opus], trunk: vec![trunk], on_arrival: true, ..Dial::default() };
    World::talking(seed, &dial, trunk)
}

#[test]
fn simulation_audio_that_waits_for_nothing_crosses_whatever_its_network_does() {
    for seed in seeds(12) {
        let trunk = [Codec::Pcmu, Codec::Pcma, Codec::G722][(seed % 3) as usize];
        for (what, link, least) in [
            ("loss", Link::good().loss(Loss::Random(0.05)), 0.93),
            ("bursts", Link::mobile().loss(Loss::bursty(0.05, 2.0)), 0.87),
            ("jitter", Link::good().jitter(ms(18)), 0.99),
            ("overtaken and doubled", Link::good().shuffled(0.02, 0.02), 0.98),
            ("overtaken often", Link::good().shuffled(0.0, 0.15), 0.98),
        ] {
            let (mut world, call, browser, phone) = transparent(seed, trunk);
            world.impair(HalfLeg::BrowserUp, browser, phone, link);
            world.run_for(secs(2));
            let from = world.now();
            world.run_for(secs(30));
            let heard = world.phone(phone).line().ear.fraction(BROWSER_TONE, from, world.now());
            assert!(heard > least, "seed {seed}, {what}: the phone hears {heard:.3}");
            // Nothing is said twice: as much time leaves as came in.
            assert!(heard < 1.02, "seed {seed}, {what}: {heard:.3}");
            let stats = world.stats(call).browser_in;
            assert_eq!((stats.buffer_ms, stats.buffer_target_ms), (0, 0), "seed {seed}, {what}");
            world.impair(HalfLeg::BrowserUp, browser, phone, Link::good());
            world.assert_hearing(browser, phone, secs(1), secs(2));
            ends_once(&mut world, call, phone);
        }
    }
}
