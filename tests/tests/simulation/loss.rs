//! Bad lines.

use trunkline_media::audio::Codec;
use trunkline_tests::world::{BROWSER_TONE, BrowserId, Dial, Link, Loss, PHONE_TONE, Script, World, ms, secs, seeds};

const BROWSER: BrowserId = BrowserId(0);

#[test]
fn simulation_speech_survives_five_percent_burst_loss() {
    for (trunk, browser) in [(Codec::Pcmu, vec![Codec::Opus]), (Codec::Pcma, vec![Codec::Pcmu])] {
        let dial = Dial { browser, trunk: vec![trunk], ..Dial::default() };
        let (mut world, call, browser, phone) = World::talking(3, &dial, trunk);
        let mobile = Link::mobile().loss(Loss::bursty(0.05, 2.0));
        world.link_browser(browser, mobile.clone());
        world.run_for(secs(2));
        let from = world.now();
        let before = world.stats(call);
        world.run_for(secs(60));
        let to = world.now();
        let up = world.phone(phone).line().ear.fraction(BROWSER_TONE, from, to);
        let down = world.browser(browser).ear.fraction(PHONE_TONE, from, to);
        assert!(up > 0.96, "the phone hears {up:.3}");
        // What the browser makes up is the browser's; ours gives up after 60 ms of a burst.
        assert!(down > 0.95, "the browser hears {down:.3}");
        let concealed = world.stats(call).browser_in.concealed_ms - before.browser_in.concealed_ms;
        assert!(concealed < 5_000, "{concealed} ms made up");
        assert_eq!(world.events(call), ["call_started", "call_ringing", "call_answered"]);
    }
}

#[test]
fn simulation_ten_seconds_of_darkness_at_the_browser_end_no_call() {
    let (mut world, call, browser, phone) = World::talking(1, &Dial::default(), Codec::Pcmu);
    world.black_out_browser(browser, secs(10));
    world.run_for(secs(9));
    assert_eq!(world.state(call), "reconnecting");
    world.run_for(secs(6));
    assert_eq!(world.state(call), "talking", "{:?}", world.call(call).media_events);
    world.assert_hearing(browser, phone, secs(1), secs(2));
    let back = world.events_named(call, "call_reconnected");
    assert_eq!((world.events_named(call, "call_reconnecting").len(), back.len()), (1, 1));
    let gap = back[0].data["gap_ms"].as_u64().unwrap();
    assert!((10_000..15_000).contains(&gap), "{gap}");
}

#[test]
fn simulation_ten_seconds_of_darkness_at_the_trunk_end_no_call() {
    let (mut world, call, browser, phone) = World::talking(1, &Dial::default(), Codec::Pcmu);
    world.black_out_phone(phone, secs(10));
    world.run_for(secs(10));
    world.assert_hearing(browser, phone, secs(1), secs(2));
    assert_eq!(world.events(call), ["call_started", "call_ringing", "call_answered"]);
}

#[test]
fn simulation_a_short_darkness_is_no_news() {
    let (mut world, call, browser, phone) = World::talking(1, &Dial::default(), Codec::Pcmu);
    world.black_out_browser(browser, ms(1500));
    world.run_for(ms(1500));
    world.assert_hearing(browser, phone, secs(1), secs(2));
    assert_eq!(world.events(call), ["call_started", "call_ringing", "call_answered"]);
}

#[test]
fn simulation_keys_come_to_be_on_a_terrible_line() {
    // This browser waits a second, then two, four and eight before it says hello again; now and then all are lost.
    let (mut all, mut late) = (0, Vec::new());
    for seed in seeds(30) {
        all += 1;
        let mut world = World::new(seed);
        let phone = world.add_phone(Script::answers_after(secs(1)));
        world.link_browser(BROWSER, Link::mobile().loss(Loss::Random(0.2)).shuffled(0.2, 0.2));
        let call = world.dial(&Dial::default(), &[phone]);
        while !(world.browser(BROWSER).connected && world.state(call) == "talking") && world.age() < secs(19) {
            world.run_for(ms(100));
        }
        if !world.browser(BROWSER).connected {
            late.push((seed, world.call(call).media_events.clone(), world.stats(call).drops));
            continue;
        }
        let from = world.now() + secs(1);
        world.run_for(secs(4));
        let up = world.phone(phone).line().ear.fraction(BROWSER_TONE, from, world.now());
        let down = world.browser(BROWSER).ear.fraction(PHONE_TONE, from, world.now());
        assert!(up > 0.4 && down > 0.4, "seed {seed}: up {up:.2}, down {down:.2}");
    }
    assert!(late.len() * 10 <= all, "{} of {all} came late: {late:#?}", late.len());
}

#[test]
fn simulation_jitter_is_smoothed() {
    let (mut world, call, browser, phone) = World::talking(1, &Dial::default(), Codec::Pcmu);
    let shaky = Link { jitter: ms(60), ..Link::good() };
    world.link_browser(browser, shaky.clone());
    world.link_phone(phone, shaky);
    world.run_for(secs(10));
    let (from, before) = (world.now(), world.stats(call));
    world.run_for(secs(30));
    let up = world.phone(phone).line().ear.fraction(BROWSER_TONE, from, world.now());
    assert!(up > 0.97, "{up:.3}");
    let after = world.stats(call);
    let concealed = after.browser_in.concealed_ms - before.browser_in.concealed_ms;
    assert!(concealed < 600, "{concealed} ms made up of a stream that lost nothing; {after:?}");
    assert!(after.browser_in.buffer_ms <= 200, "{}", after.browser_in.buffer_ms);
}
