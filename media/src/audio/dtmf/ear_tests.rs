//! Tones that must be heard, and those that must not (ITU-T Q.24).

use std::f64::consts::TAU;
use std::time::Duration;

use super::{DtmfEar, tones};
use crate::api::Digit;
use crate::audio::Codec;
use crate::audio::codec::{Decoder, Encoder};

const LOW: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
const HIGH: [f64; 4] = [1209.0, 1336.0, 1477.0, 1633.0];

/// Both tones with these amplitudes, after silence of `phase` samples.
fn pair((low, high): (f64, f64), (a, b): (f64, f64), milliseconds: usize, phase: usize) -> Vec<i16> {
    let mut pcm = vec![0; 100 + phase];
    pcm.extend((0..milliseconds * 8).map(|n| {
        let at = n as f64 / 8_000.0;
        let sample = (TAU * low * at + phase as f64).sin() * a + (TAU * high * at).sin() * b;
        sample.clamp(-32_767.0, 32_767.0) as i16
    }));
    pcm
}

/// What is heard of this, and of silence after it.
fn heard(pcm: &[i16]) -> Vec<(char, u128)> {
    let (mut ear, mut all) = (DtmfEar::default(), Vec::new());
    let silence = [0; 800];
    for frame in pcm.chunks(160).chain(silence.chunks(160)) {
        ear.listen(frame.iter().copied(), |digit, time| all.push((digit.as_char(), time.as_millis())));
    }
    all
}

/// Of all sixteen pairs at some phases, the part that is heard as one digit each.
fn share(make: impl Fn((f64, f64), usize) -> Vec<i16>) -> f64 {
    let make = &make;
    let pairs = LOW.iter().flat_map(|low| HIGH.iter().map(move |high| (*low, *high)));
    let all: Vec<usize> = pairs.flat_map(|pair| (0..10).map(move |n| heard(&make(pair, n * 11)).len())).collect();
    assert!(all.iter().all(|digits| *digits <= 1), "one tone is one digit at most");
    all.iter().sum::<usize>() as f64 / all.len() as f64
}

#[test]
fn frequencies_lengths_twist_and_levels_within_bounds_are_heard_and_others_are_not() {
    let tone = |off: f64, ms: usize, twist_db: f64, level: f64| {
        let other = level * 10f64.powf(twist_db / 20.0);
        share(move |(low, high), phase| pair((low * (1.0 + off), high * (1.0 + off)), (level, other), ms, phase))
    };
    for off in [0.0, 0.01, 0.015, -0.015] {
        assert!(tone(off, 50, 0.0, 4_000.0) > 0.99, "{off} off");
    }
    for off in [0.035, -0.035, 0.05] {
        assert!(tone(off, 200, 0.0, 4_000.0) < 0.01, "{off} off");
    }
    for (ms, is_heard) in [(20, false), (23, false), (40, true), (45, true), (1_000, true)] {
        assert_eq!(tone(0.01, ms, 0.0, 4_000.0) > 0.5, is_heard, "{ms} ms");
    }
    for (db, is_heard) in [(4.0, true), (8.0, true), (-8.0, true), (12.0, false), (-12.0, false)] {
        assert_eq!(tone(0.0, 60, db, 4_000.0) > 0.99, is_heard, "{db} dB of twist");
    }
    for (level, is_heard) in [(15_000.0, true), (1_000.0, true), (800.0, true), (500.0, false)] {
        assert_eq!(tone(0.0, 50, 0.0, level) > 0.99, is_heard, "amplitude {level}");
    }
}

#[test]
fn noise_of_a_line_does_not_hide_a_digit() {
    // Signal to noise: 15 dB.
    let with_noise = |tones: (f64, f64), phase: usize| {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ phase as u64;
        let mut noise = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
        };
        let pcm = pair(tones, (4_000.0, 4_000.0), 50, phase);
        pcm.into_iter().map(|sample| (f64::from(sample) + noise() * 2_464.0) as i16).collect()
    };
    assert!(share(with_noise) > 0.99);
}

#[test]
fn a_drop_out_is_bridged_and_a_gap_divides() {
    for (gap, digits) in [(5, 1), (10, 1), (40, 2), (70, 2)] {
        let mut pcm = pair((770.0, 1336.0), (4_000.0, 4_000.0), 60, 0);
        pcm.extend(vec![0; gap * 8]);
        pcm.extend(pair((770.0, 1336.0), (4_000.0, 4_000.0), 60, 0).split_off(100));
        assert_eq!(heard(&pcm).len(), digits, "{gap} ms");
    }
}

#[test]
fn what_is_sent_as_tones_is_heard_through_either_law() {
    for codec in [Codec::Pcmu, Codec::Pcma] {
        for ms in [40, 100, 400] {
            let (mut ear, mut spelt, mut wire) = (DtmfEar::default(), String::new(), Vec::new());
            let mut encoder = Encoder::new(codec, 8_000).unwrap();
            let mut decoder = Decoder::new(codec, 8_000).unwrap();
            for digit in "0123456789*#ABCD1122".chars() {
                let recording = tones::recording(Digit::from_char(digit).unwrap(), Duration::from_millis(ms)).unwrap();
                let mut player = crate::audio::prompt::Player::new(recording.into(), 8_000, false);
                let (mut frame, mut more) = ([0; 160], true);
                while more {
                    more = player.fill(&mut frame);
                    wire.clear();
                    encoder.encode(&frame, &mut wire).unwrap();
                    let mut pcm = Vec::new();
                    decoder.decode(&wire, &mut pcm).unwrap();
                    ear.listen(pcm.into_iter(), |digit, time| {
                        spelt.push(digit.as_char());
                        assert!(time.as_millis().abs_diff(u128::from(ms)) <= 15, "{time:?} of {ms} ms");
                    });
                }
            }
            assert_eq!(spelt, "0123456789*#ABCD1122", "{codec:?} {ms} ms");
        }
    }
}

/// Recorded speech of three people, as it is, louder and quieter, and with three voices that are higher.
#[test]
fn nobody_says_a_digit() {
    let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/speech");
    let mut seconds = 0.0;
    for file in ["en-woman-16k.wav", "it-man-16k.wav", "ru-woman-8k.wav"] {
        let mut reader = hound::WavReader::open(data.join(file)).unwrap();
        let step = reader.spec().sample_rate as usize / 8_000;
        let all: Vec<f64> = reader.samples::<i16>().map(|sample| f64::from(sample.unwrap())).collect();
        let narrow: Vec<f64> = all.chunks_exact(step).map(|some| some.iter().sum::<f64>() / step as f64).collect();
        for gain in [0.25, 1.0, 4.0] {
            for skipped in [usize::MAX, 7, 5, 3] {
                let kept = narrow.iter().enumerate().filter(|(n, _)| (n + 1) % skipped != 0);
                let pcm: Vec<i16> = kept.map(|(_, sample)| (sample * gain).clamp(-32_767.0, 32_767.0) as i16).collect();
                seconds += pcm.len() as f64 / 8_000.0;
                assert_eq!(heard(&pcm), [], "{file} {gain} {skipped}");
            }
        }
    }
    assert!(seconds > 350.0, "{seconds} s");
}
