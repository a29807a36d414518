//! How often each detector finds what is there, and what is not. The numbers are in `tests/README.md`; run with
//! `--success-output final` to see them.

use std::sync::Arc;

use super::signals::{ALL, PEOPLE, amplify, echo, mix, noise, packets, recording, scale, through_opus, turns, voice};
use super::{Bench, Way};
use crate::audio::Codec;
use crate::audio::prompt::{Player, Prompt};
use crate::audio::tone::Tone;
use crate::detect::Issue;
use crate::quality::HalfLeg;

const RATE: u32 = 8_000;
const SECONDS: usize = 24;
const SAMPLES: usize = SECONDS * RATE as usize;
const WAYS: [Way; 2] = [Way::Transcoded, Way::Relayed];

/// Hits and false alarms of one detector.
#[derive(Default)]
struct Rates {
    hits: (usize, usize),
    false_alarms: (usize, usize),
}

impl Rates {
    fn there(&mut self, what: &str, found: bool) {
        self.hits.0 += usize::from(found);
        self.hits.1 += 1;
        if !found {
            println!("missed: {what}");
        }
    }

    fn not_there(&mut self, what: &str, found: bool) {
        self.false_alarms.0 += usize::from(found);
        self.false_alarms.1 += 1;
        if found {
            println!("false alarm: {what}");
        }
    }

    /// At least and at most so many of a hundred.
    fn check(&self, name: &str, least: usize, most: usize) {
        let ((hits, of), (alarms, quiet)) = (self.hits, self.false_alarms);
        println!("| {name} | {hits} of {of} | {alarms} of {quiet} |");
        assert!(hits * 100 >= least * of, "{name}: {hits} of {of}");
        assert!(alarms * 100 <= most * quiet, "{name}: {alarms} false of {quiet}");
    }
}

/// Whether the detector complains of what the browser says, both ways it can come.
fn complains(issue: Issue, pcm: &[i16], way: Way) -> bool {
    let mut bench = Bench::new();
    bench.talk(way, pcm, &vec![0; pcm.len()]);
    bench.raised(issue, HalfLeg::BrowserUp)
}

const MICROPHONE: [Issue; 4] = [Issue::MicLow, Issue::MicClipping, Issue::MicUnstableGain, Issue::BackgroundNoise];

#[test]
fn nobody_is_blamed_for_good_speech() {
    let mut rates = Rates::default();
    for n in 0..ALL {
        for (level, way) in [(-18.0, WAYS[0]), (-26.0, WAYS[1]), (-26.0, WAYS[0]), (-36.0, WAYS[1])] {
            let mut bench = Bench::new();
            let pcm = voice(n, RATE, n * 700, SECONDS, level);
            bench.talk(way, &pcm, &vec![0; pcm.len()]);
            for issue in MICROPHONE {
                rates.not_there(&format!("{issue:?} {n} {level} {way:?}"), bench.raised(issue, HalfLeg::BrowserUp));
            }
        }
    }
    rates.check("any complaint of a good microphone", 0, 0);
}

#[test]
fn what_is_no_speech_is_no_bad_microphone() {
    let tone = Tone::new(440.0, RATE, -12.0).take(SAMPLES);
    let mut beeps = tone.clone();
    amplify(&mut beeps, |n| if n / 4000 % 2 == 0 { 0.0 } else { -90.0 });
    for way in WAYS {
        for pcm in [vec![0; SAMPLES], tone.clone(), beeps.clone(), noise(SAMPLES, -40.0, 3), noise(SAMPLES, -65.0, 4)] {
            let mut bench = Bench::new();
            bench.talk(way, &pcm, &pcm);
            assert_eq!(bench.told, [], "{way:?}");
        }
    }
}

#[test]
fn what_the_way_does_is_no_bad_microphone() {
    let tone = Tone::new(440.0, RATE, -12.0).take(SAMPLES);
    let speech = voice(0, RATE, 0, SECONDS, -24.0);
    for way in WAYS {
        // Of a hundred packets one is a hole, then seven, which is told.
        for (every, loss) in [(100, None), (50, Some(0.02)), (14, Some(0.07)), (3, Some(0.33))] {
            for pcm in [&tone, &speech] {
                let mut holed = pcm.clone();
                for hole in holed.chunks_mut(160).skip(every / 2).step_by(every) {
                    hole.fill(0);
                }
                let mut bench = Bench::new();
                bench.stats.quality[0].loss = loss;
                bench.talk(way, &holed, &vec![0; SAMPLES]);
                assert_eq!(bench.told, [], "one in {every} {way:?}");
            }
        }
    }
}

#[test]
fn a_low_microphone() {
    let mut rates = Rates::default();
    for n in 0..ALL {
        for way in WAYS {
            for level in [-50.0, -54.0] {
                let low = voice(n, RATE, n * 300, SECONDS, level);
                rates.there(&format!("{n} {level} {way:?}"), complains(Issue::MicLow, &low, way));
            }
            let soft = voice(n, RATE, n * 300, SECONDS, -38.0);
            rates.not_there(&format!("{n} {way:?}"), complains(Issue::MicLow, &soft, way));
        }
    }
    rates.check("`mic_low`", 95, 0);
}

#[test]
fn a_low_microphone_that_is_turned_up_is_no_longer_low() {
    let mut bench = Bench::new();
    let silence = vec![0; SAMPLES];
    bench.talk(Way::Transcoded, &voice(0, RATE, 0, SECONDS, -52.0), &silence);
    assert!(bench.raised(Issue::MicLow, HalfLeg::BrowserUp) && !bench.cleared(Issue::MicLow, HalfLeg::BrowserUp));
    bench.talk(Way::Transcoded, &voice(0, RATE, 0, SECONDS, -26.0), &silence);
    assert!(bench.cleared(Issue::MicLow, HalfLeg::BrowserUp));
}

#[test]
fn a_clipping_microphone() {
    let mut rates = Rates::default();
    for n in 0..ALL {
        for way in WAYS {
            let mut loud = recording(n, RATE, n * 500, SECONDS);
            scale(&mut loud, -18.0);
            let mut clipped = loud.clone();
            amplify(&mut clipped, |_| 15.0);
            let found = complains(Issue::MicClipping, &clipped, way);
            rates.there(&format!("{n} {way:?}"), found);
            let found = complains(Issue::MicClipping, &through_opus(&clipped, RATE), way);
            rates.there(&format!("Opus {n} {way:?}"), found);
            // As loud as it gets without a sample cut.
            let peak = loud.iter().map(|s| s.unsigned_abs()).max().unwrap();
            amplify(&mut loud, |_| 20.0 * (32_000.0 / f64::from(peak)).log10());
            rates.not_there(&format!("{n} {way:?}"), complains(Issue::MicClipping, &loud, way));
            let found = complains(Issue::MicClipping, &through_opus(&loud, RATE), way);
            rates.not_there(&format!("Opus {n} {way:?}"), found);
        }
    }
    rates.check("`mic_clipping`", 95, 0);
}

#[test]
fn an_unstable_gain() {
    let mut rates = Rates::default();
    let long = 2 * SECONDS;
    for n in 0..ALL {
        for way in WAYS {
            for period in [4.0, 6.0] {
                let mut wobbling = voice(n, RATE, n * 500, long, -20.0);
                amplify(&mut wobbling, |at| {
                    let phase = at as f64 / f64::from(RATE) / period;
                    if phase.fract() < 0.5 { 0.0 } else { -20.0 }
                });
                rates.there(&format!("{n} {period} {way:?}"), complains(Issue::MicUnstableGain, &wobbling, way));
            }
            // Somebody leans back once, and comes nearer again.
            let mut moved = voice(n, RATE, n * 500, long, -22.0);
            amplify(&mut moved, |at| if (12..30).contains(&(at / RATE as usize)) { -14.0 } else { 0.0 });
            rates.not_there(&format!("{n} {way:?}"), complains(Issue::MicUnstableGain, &moved, way));
        }
    }
    rates.check("`mic_unstable_gain`", 85, 0);
}

#[test]
fn noise_behind_the_voice() {
    let mut rates = Rates::default();
    for n in 0..ALL {
        for way in WAYS {
            for distance in [8.0, 12.0] {
                let mut noisy = voice(n, RATE, n * 900, SECONDS, -24.0);
                mix(&mut noisy, &noise(SAMPLES, -24.0 - distance, n as u64));
                rates.there(&format!("{n} {distance} {way:?}"), complains(Issue::BackgroundNoise, &noisy, way));
            }
            for distance in [24.0, 30.0] {
                let mut office = voice(n, RATE, n * 900, SECONDS, -24.0);
                mix(&mut office, &noise(SAMPLES, -24.0 - distance, n as u64));
                rates.not_there(&format!("{n} {distance} {way:?}"), complains(Issue::BackgroundNoise, &office, way));
            }
        }
    }
    rates.check("`background_noise`", 90, 0);
}

#[test]
fn a_narrowband_microphone() {
    let mut rates = Rates::default();
    let narrow = |pcm: &[i16], rate| {
        let mut bench = Bench::new();
        bench.say_opus(pcm, rate);
        bench.raised(Issue::NarrowbandMic, HalfLeg::BrowserUp)
    };
    for n in 0..PEOPLE {
        for (from_ms, level) in [(0, -20.0), (2_000, -28.0), (4_100, -34.0), (6_300, -25.0)] {
            // A headset that samples at 8 kHz, in a stream of 16 or 48.
            let headset = voice(n, 8_000, from_ms, 30, level);
            let rate = if n == 0 { 48_000 } else { 16_000 };
            rates.there(&format!("{n} {from_ms} in {rate}"), narrow(&resampled(&headset, rate), rate));
            rates.there(&format!("{n} {from_ms} in 8000"), narrow(&headset, 8_000));
            // The third voice was recorded at 8 kHz.
            if n < 2 {
                rates.not_there(&format!("{n} {from_ms}"), narrow(&voice(n, rate, from_ms, 30, level), rate));
            }
        }
    }
    rates.check("`narrowband_mic`", 95, 0);
}

/// From 8 kHz.
fn resampled(pcm: &[i16], rate: u32) -> Vec<i16> {
    let prompt = Arc::new(Prompt::from_pcm(8_000, pcm.to_vec()).unwrap());
    let mut converted = vec![0; pcm.len() * rate as usize / 8_000];
    Player::new(prompt, rate, false).fill(&mut converted);
    converted
}

/// The two sides of a conversation: who calls, who answers.
fn conversation(n: usize, overlapping: bool) -> (Vec<i16>, Vec<i16>) {
    let seconds = 30;
    let visitor = voice(n, RATE, n * 400, seconds, -24.0);
    let agent = voice(n + 1 + n / ALL, RATE, n * 1300 + 500, seconds, -22.0);
    if overlapping { (visitor, agent) } else { turns(visitor, agent, RATE, n as u64 + 1) }
}

#[test]
fn an_echo() {
    let mut rates = Rates::default();
    let mut loss_off = Vec::new();
    for n in 0..ALL {
        // Short lags and long, near and faint.
        for (way, delay, loss) in [
            (WAYS[0], 40, 6.0),
            (WAYS[1], 130, 12.0),
            (WAYS[0], 310, 18.0),
            (WAYS[1], 640, 10.0),
            (WAYS[0], 1_200, 15.0),
            (WAYS[1], 250, 28.0),
        ] {
            let leg = if (n + delay / 10) % 2 == 0 { HalfLeg::SipUp } else { HalfLeg::BrowserUp };
            {
                let (far, mut near) = conversation(n, false);
                mix(&mut near, &echo(&far, RATE, delay, loss));
                let mut bench = Bench::new();
                match leg {
                    HalfLeg::SipUp => bench.talk(way, &far, &near),
                    HalfLeg::BrowserUp | HalfLeg::BrowserDown | HalfLeg::SipDown => bench.talk(way, &near, &far),
                }
                let found = bench.raised(Issue::Echo, leg);
                rates.there(&format!("{n} {delay} ms {loss} dB {leg:?}"), found);
                if found {
                    let measured = bench.fact(Issue::Echo, "delay_ms");
                    assert!((measured - delay as f64).abs() <= 30.0, "{n}: {measured} for {delay} ms");
                    loss_off.push((bench.fact(Issue::Echo, "erl_db") - loss).abs());
                }
                let other = if leg == HalfLeg::SipUp { HalfLeg::BrowserUp } else { HalfLeg::SipUp };
                rates.not_there(&format!("{n} {delay} ms other side"), bench.raised(Issue::Echo, other));
            }
        }
        for (overlapping, way) in [(false, WAYS[0]), (false, WAYS[1]), (true, WAYS[0]), (true, WAYS[1])] {
            for turn in 0..2 {
                let (far, near) = conversation(n + ALL * turn, overlapping);
                let mut bench = Bench::new();
                bench.talk(way, &far, &near);
                let found = [HalfLeg::SipUp, HalfLeg::BrowserUp].map(|leg| bench.raised(Issue::Echo, leg));
                rates.not_there(&format!("{n} {turn} both talk: {overlapping}"), found != [false; 2]);
            }
        }
        let (far, mut near) = conversation(n, false);
        mix(&mut near, &echo(&far, RATE, 200, 50.0));
        let mut bench = Bench::new();
        bench.talk(Way::Transcoded, &far, &near);
        rates.not_there(&format!("{n} inaudible"), bench.raised(Issue::Echo, HalfLeg::SipUp));
    }
    loss_off.sort_by(f64::total_cmp);
    println!(
        "return loss is off by {:.1} dB (median), {:.1} dB (most)",
        loss_off[loss_off.len() / 2],
        loss_off[loss_off.len() - 1]
    );
    rates.check("`agent_echo`, `visitor_echo`", 90, 2);
}

#[test]
fn an_echo_that_is_cancelled_is_over() {
    let mut bench = Bench::new();
    let (far, near) = conversation(0, false);
    let mut echoing = near.clone();
    mix(&mut echoing, &echo(&far, RATE, 300, 10.0));
    bench.talk(Way::Transcoded, &far, &echoing);
    assert!(bench.raised(Issue::Echo, HalfLeg::SipUp) && !bench.cleared(Issue::Echo, HalfLeg::SipUp));
    bench.talk(Way::Transcoded, &far, &near);
    assert!(bench.cleared(Issue::Echo, HalfLeg::SipUp));
}

#[test]
fn levels_are_measured_alike_both_ways() {
    for level in [-15.0, -30.0, -45.0] {
        let pcm = voice(0, RATE, 0, 4, level);
        let mut measured = Vec::new();
        for way in WAYS {
            let mut bench = Bench::new();
            bench.talk(way, &pcm, &pcm);
            bench.wait(20);
            measured.push(f64::from(bench.stats.quality[0].audio_dbov.unwrap()));
        }
        let last = crate::audio::tone::level(&pcm[3 * RATE as usize..]);
        assert!(measured.iter().all(|measured| (measured - last).abs() <= 2.0), "{measured:?} for {last}");
    }
    assert_eq!(packets(Codec::Pcmu, &[0; 160], RATE).len(), 1);
}
