//! Any codec of a browser with any codec of a trunk: a tone, a sweep through the band, and loss.

use super::audio::is_seamless;
use super::phone::{is_tone, listen, listen_at};
use super::world::World;
use crate::audio::Codec::{self, G722, Opus, Pcma, Pcmu};
use crate::audio::sweep::Sweep;
use crate::audio::tone::{detect, level};

const CODECS: [Codec; 4] = [Opus, G722, Pcmu, Pcma];

fn pairs() -> impl Iterator<Item = (Codec, Codec)> {
    CODECS.into_iter().flat_map(|browser| CODECS.into_iter().map(move |trunk| (browser, trunk)))
}

/// The payload type of a codec that a browser, and a trunk, use here.
fn numbers(codec: Codec) -> (u8, u8) {
    match codec {
        Opus => (111, 107),
        G722 => (9, 9),
        Pcmu => (0, 0),
        Pcma => (8, 8),
    }
}

#[test]
fn every_codec_talks_to_every_codec() {
    for (browser, trunk) in pairs() {
        let mut world = World::talking(&[browser], trunk);
        let (by_browser, by_phone) = world.listen(1000);
        assert!(is_tone(&listen(&by_phone, numbers(trunk).1, trunk), 440.0), "{browser:?} to {trunk:?}");
        assert!(is_tone(&listen(&by_browser, numbers(browser).0, browser), 1000.0), "{trunk:?} to {browser:?}");
        for (heard, codec) in [(&by_browser, browser), (&by_phone, trunk)] {
            assert!((48..=52).contains(&heard.len()), "{browser:?} and {trunk:?}: {} packets", heard.len());
            assert!(is_seamless(heard, codec.clock_rate() / 50), "{browser:?} and {trunk:?}");
        }
        let stats = world.stats();
        assert_eq!((stats.browser_in.concealed_ms, stats.trunk_in.concealed_ms), (0, 0), "{browser:?} and {trunk:?}");
        assert_eq!((stats.browser_in.discarded, stats.trunk_in.discarded), (0, 0), "{browser:?} and {trunk:?}");
    }
}

#[test]
fn a_sweep_goes_across_at_its_pitch_and_level_and_without_a_hole() {
    for (browser, trunk) in pairs() {
        let wide = browser.pcm_rate().min(trunk.pcm_rate()) == 16_000;
        let (rate, to_hz) = if wide { (16_000, 7_000.0) } else { (8_000, 3_600.0) };
        let sweep = Sweep { from_hz: 180.0, to_hz, seconds: 4.0 };
        let mut world = World::talking(&[browser], trunk);
        world.browser.sweep(world.now, browser, sweep);
        world.phone.sweep(world.now, trunk, sweep);
        let (by_browser, by_phone) = world.listen(5_000);
        let at_phone = listen_at(rate, &by_phone, numbers(trunk).1, trunk);
        let at_browser = listen_at(rate, &by_browser, numbers(browser).0, browser);
        for (heard, way) in [(at_phone, (browser, trunk)), (at_browser, (trunk, browser))] {
            let heard = sweep.hear(&heard, rate);
            assert!(heard.len() >= 198, "{way:?}: {} pieces of 200", heard.len());
            // All of it but what a filter's edge may take.
            let band = 200.0..if wide { 6_600.0 } else { 3_400.0 };
            for piece in heard.iter().filter(|piece| band.contains(&piece.due_hz)) {
                assert!((piece.hz / piece.due_hz - 1.0).abs() < 0.025, "{way:?}, the pitch: {piece:?}");
                assert!((-3.0..1.5).contains(&piece.gain), "{way:?}, the level: {piece:?}");
                assert!(piece.more < 2.0, "{way:?}, what else is heard: {piece:?}");
            }
        }
    }
}

#[test]
fn loss_is_concealed_between_all_codecs() {
    for (browser, trunk) in pairs() {
        let mut world = World::talking(&[browser], trunk);
        world.browser_loses = 5;
        let (_, by_phone) = world.listen(4000);
        let stats = world.stats();
        assert!(stats.browser_in.lost > 0, "{browser:?} to {trunk:?}");
        if browser == trunk {
            // Whoever hears it relayed conceals it: the gaps stay where they are.
            assert!(by_phone.len() < 200 && stats.browser_in.concealed_ms == 0, "{browser:?}: {}", by_phone.len());
        } else {
            let heard = listen(&by_phone, numbers(trunk).1, trunk);
            // Opus makes up voices better than tones.
            let (tone, all) = (detect(&heard, 8_000, 440.0), level(&heard));
            assert!(tone > -15.0 && tone > all - 4.0, "{browser:?} to {trunk:?}: {tone} of {all}");
            assert!(is_seamless(&by_phone, trunk.clock_rate() / 50), "{browser:?} to {trunk:?}");
            assert!(stats.browser_in.concealed_ms > 0, "{browser:?} to {trunk:?}");
            let silent = heard[800..].chunks(160).filter(|frame| frame.iter().all(|&s| s.unsigned_abs() < 100)).count();
            assert_eq!(silent, 0, "{browser:?} to {trunk:?}: holes");
        }
    }
}
