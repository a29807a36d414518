//! Any codec of a browser with any codec of a trunk: a tone, tones across the band, and loss.

use super::audio::is_seamless;
use super::phone::{is_tone, listen, listen_at};
use super::world::World;
use crate::audio::Codec::{self, G722, Opus, Pcma, Pcmu};
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
fn the_whole_band_that_both_codecs_have_goes_across() {
    for (browser, trunk) in pairs() {
        let wide = browser.pcm_rate().min(trunk.pcm_rate()) == 16_000;
        let (rate, tones): (u32, &[f64]) =
            if wide { (16_000, &[300.0, 2_500.0, 5_000.0, 6_500.0]) } else { (8_000, &[300.0, 1_000.0, 3_000.0]) };
        let mut world = World::talking(&[browser], trunk);
        for &hz in tones {
            world.browser.speak(world.now, browser, hz);
            world.phone.speak(world.now, trunk, hz);
            world.run(300);
            let (by_browser, by_phone) = world.listen(400);
            let at_phone = detect(&listen_at(rate, &by_phone, numbers(trunk).1, trunk)[rate as usize / 10..], rate, hz);
            let at_browser =
                detect(&listen_at(rate, &by_browser, numbers(browser).0, browser)[rate as usize / 10..], rate, hz);
            assert!((at_phone + 12.0).abs() < 3.0, "{browser:?} to {trunk:?}, {hz} Hz: {at_phone}");
            assert!((at_browser + 12.0).abs() < 3.0, "{trunk:?} to {browser:?}, {hz} Hz: {at_browser}");
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
