//! Sound made a little shorter or longer without a seam: one pitch period is left out or played twice, and both sides of
//! the cut are blended where they are most alike (WSOLA).

/// The pitch periods that are sought, in tenths of a millisecond: 2.5 ms (400 Hz) to 14 ms (71 Hz).
const SHORTEST: usize = 25;
const LONGEST: usize = 140;
/// Both sides are compared, and blended, over this long.
const BLEND: usize = 50;

/// Below this likeness (1: the same) there is no period, and a cut is heard as roughness.
const LIKE: f32 = 0.6;

/// Mean square of what is quiet enough to be cut anywhere: -50 dBov.
const QUIET: f32 = 10_737.0;

/// Leaves out one period near the beginning. Says how many samples that were: none if there is no good place, unless it is
/// `urgent`, or the sound is too short.
pub fn shorten(pcm: &mut Vec<i16>, rate: u32, urgent: bool) -> usize {
    let Some(Cut { period, blend }) = find(pcm, rate, urgent) else { return 0 };
    for n in 0..blend {
        let (before, after) = (at(pcm, n), at(pcm, n + period));
        put(pcm, n, mix(before, after, n, blend));
    }
    pcm.drain(blend..blend + period);
    period
}

/// Plays one period near the beginning twice. Says how many samples more it is.
pub fn lengthen(pcm: &mut Vec<i16>, rate: u32, urgent: bool) -> usize {
    let Some(Cut { period, blend }) = find(pcm, rate, urgent) else { return 0 };
    let length = pcm.len();
    pcm.resize(length + period, 0);
    pcm.copy_within(..length, period);
    // What was moved begins anew where one period has been played: the first stands before it as it was.
    for n in 0..blend {
        let (again, on) = (at(pcm, period + n), at(pcm, 2 * period + n));
        put(pcm, period + n, mix(on, again, n, blend));
    }
    period
}

struct Cut {
    period: usize,
    blend: usize,
}

fn find(pcm: &[i16], rate: u32, urgent: bool) -> Option<Cut> {
    let tenths = |n: usize| n * rate as usize / 10_000;
    let blend = tenths(BLEND).min(pcm.len() / 3);
    let (shortest, longest) = (tenths(SHORTEST), tenths(LONGEST).min(pcm.len().saturating_sub(blend + 1)));
    let first = pcm.get(..blend).filter(|first| !first.is_empty())?;
    let energy = product(first, first);
    if energy / (blend as f32) < QUIET {
        return (shortest <= longest).then_some(Cut { period: longest, blend });
    }
    let likeness = |period: usize| {
        let later = pcm.get(period..period + blend).unwrap_or_default();
        product(first, later) / (energy * product(later, later)).sqrt().max(1.0)
    };
    let (period, best) =
        (shortest..=longest).map(|period| (period, likeness(period))).max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    (best >= LIKE || urgent).then_some(Cut { period, blend })
}

fn product(a: &[i16], b: &[i16]) -> f32 {
    a.iter().zip(b).map(|(&a, &b)| f32::from(a) * f32::from(b)).sum()
}

/// From one to the other, step `n` of `steps`.
fn mix(from: i16, to: i16, n: usize, steps: usize) -> i16 {
    let share = (n as f32 + 1.0) / (steps as f32 + 1.0);
    (f32::from(from) * (1.0 - share) + f32::from(to) * share).round() as i16
}

fn at(pcm: &[i16], n: usize) -> i16 {
    pcm.get(n).copied().unwrap_or_default()
}

fn put(pcm: &mut [i16], n: usize, sample: i16) {
    if let Some(place) = pcm.get_mut(n) {
        *place = sample;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::audio::tone::{Tone, detect, level};

    fn largest_step(pcm: &[i16]) -> i32 {
        pcm.windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max().unwrap_or(0)
    }

    /// Every third frame changed, as a buffer would ask for.
    fn play(rate: u32, sound: &[i16], change: fn(&mut Vec<i16>, u32, bool) -> usize) -> (Vec<i16>, i64) {
        let (mut all, mut by) = (Vec::new(), 0);
        for (n, frame) in sound.chunks_exact(rate as usize / 50).enumerate() {
            let mut frame = frame.to_vec();
            let before = frame.len() as i64;
            if n % 3 == 1 {
                let told = change(&mut frame, rate, false) as i64;
                assert_eq!((frame.len() as i64 - before).abs(), told);
            }
            by += frame.len() as i64 - before;
            all.extend_from_slice(&frame);
        }
        (all, by)
    }

    #[test]
    fn a_tone_gets_shorter_and_longer_without_a_click() {
        for rate in [8_000, 16_000] {
            for hz in [90.0, 117.3, 216.0, 440.0, 1000.0, 1733.0] {
                let whole = Tone::new(hz, rate, -20.0).take(rate as usize);
                for change in [shorten as fn(&mut Vec<i16>, u32, bool) -> usize, lengthen] {
                    let (played, by) = play(rate, &whole, change);
                    assert!(by.unsigned_abs() as u32 > rate / 25, "{hz} at {rate}: by {by}");
                    let (steps, most) = (largest_step(&whole), largest_step(&played));
                    assert!(f64::from(most) < 1.15 * f64::from(steps) + 40.0, "{hz} at {rate}: {most}, not {steps}");
                    assert!(detect(&played, rate, hz) > -22.0, "{hz} at {rate}: {}", detect(&played, rate, hz));
                    for part in played.chunks_exact(rate as usize / 50) {
                        assert!((level(part) + 20.0).abs() < 1.5, "{hz} at {rate}: {}", level(part));
                    }
                }
            }
        }
    }

    #[test]
    fn sound_without_a_period_is_left_alone_unless_it_is_urgent() {
        let mut noise = 0x2545_f491_u32;
        let mut next = || {
            noise ^= noise << 13;
            noise ^= noise >> 17;
            noise ^= noise << 5;
            (noise >> 18) as i16 - 8_192
        };
        let hiss: Vec<i16> = (0..160).map(|_| next()).collect();
        let mut frame = hiss.clone();
        assert_eq!((shorten(&mut frame, 8_000, false), lengthen(&mut frame, 8_000, false)), (0, 0));
        assert_eq!(frame, hiss);
        assert!(shorten(&mut frame, 8_000, true) > 0 && lengthen(&mut frame, 8_000, true) > 0);
    }

    #[test]
    fn silence_is_cut_by_as_much_as_can_be() {
        let mut frame = vec![3; 160];
        assert_eq!(shorten(&mut frame, 8_000, false), 112);
        assert_eq!(lengthen(&mut vec![0; 160], 8_000, false), 112);
    }

    proptest! {
        #[test]
        fn no_sound_panics_and_both_ends_stay(
            pcm in prop::collection::vec(any::<i16>(), 0..1000),
            rate in prop::sample::select(vec![8_000u32, 16_000, 48_000]),
            urgent: bool,
        ) {
            for change in [shorten as fn(&mut Vec<i16>, u32, bool) -> usize, lengthen] {
                let mut changed = pcm.clone();
                let by = change(&mut changed, rate, urgent);
                prop_assert_eq!(changed.len().abs_diff(pcm.len()), by);
                prop_assert!(by <= rate as usize * 14 / 1000);
                if by == 0 {
                    prop_assert_eq!(&changed, &pcm);
                } else {
                    prop_assert_eq!(changed.last(), pcm.last());
                }
            }
        }
    }
}
