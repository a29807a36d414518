//! A test sweep: a sine that climbs steadily through the octaves, and how it is heard at the other end.

use std::f64::consts::TAU;

use super::tone::{detect, level};

/// It is said at this level, dBov.
const LEVEL: f64 = -12.0;
/// What is looked at at once: the pitch of a shorter piece is uncertain, and in a longer one it climbs too far.
const WINDOW_SECONDS: f64 = 0.02;
/// Pitches are looked for so far around the one that is due, and so close to each other.
const AROUND: i32 = 12;
const STEP: f64 = 0.01;

/// A sine that climbs from one pitch to another, by as much of an octave in each second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sweep {
    /// Where it begins, Hz.
    pub from_hz: f64,
    /// Where it ends, Hz.
    pub to_hz: f64,
    /// How long it takes.
    pub seconds: f64,
}

/// How a piece of a sweep was heard.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heard {
    /// The pitch that was due, if all of the sweep came at one pace.
    pub due_hz: f64,
    /// The pitch that was heard.
    pub hz: f64,
    /// Its level as it was heard, less that as it was said, dB.
    pub gain: f64,
    /// The level of everything that was heard, less that of the pitch, dB.
    pub more: f64,
}

impl Sweep {
    /// All of it at `rate` samples a second.
    #[must_use]
    pub fn take(&self, rate: u32) -> Vec<i16> {
        let amplitude = 32_768.0 * 2.0_f64.sqrt() * 10.0_f64.powf(LEVEL / 20.0);
        let samples = (self.seconds * f64::from(rate)) as u32;
        let mut phase = 0.0_f64;
        let mut pcm = Vec::with_capacity(samples as usize);
        for n in 0..samples {
            pcm.push(((phase * TAU).sin() * amplitude).round() as i16);
            phase = (phase + self.hz_at(f64::from(n) / f64::from(rate)) / f64::from(rate)).fract();
        }
        pcm
    }

    /// How it is heard in `pcm`, piece by piece from its beginning to its end, wherever it begins; nothing if it is not
    /// in there as a whole.
    #[must_use]
    pub fn hear(&self, pcm: &[i16], rate: u32) -> Vec<Heard> {
        let window = (WINDOW_SECONDS * f64::from(rate)) as usize;
        let middle = self.hz_at(self.seconds / 2.0);
        // What is heard of the middle pitch is loudest at the middle of the sweep.
        let step = (window / 8).max(1);
        let pieces = pcm.windows(window).enumerate().step_by(step);
        let loudest = pieces.map(|(at, piece)| (at, detect(piece, rate, middle))).max_by(|a, b| a.1.total_cmp(&b.1));
        let Some((at, _)) = loudest.filter(|(_, dbov)| *dbov > 2.0 * LEVEL) else { return Vec::new() };
        let begins = (at + window / 2) as f64 - self.seconds / 2.0 * f64::from(rate);
        // It is found to within a step.
        let begins = if begins >= -(step as f64) { begins.max(0.0) } else { begins };
        let count = (self.seconds / WINDOW_SECONDS) as usize;
        (0..count)
            .map_while(|nth| {
                let start = begins + (nth * window) as f64;
                let piece = (start >= 0.0).then(|| pcm.get(start as usize..start as usize + window)).flatten()?;
                Some(heard(piece, rate, self.hz_at((nth as f64 + 0.5) * WINDOW_SECONDS)))
            })
            .collect()
    }

    fn hz_at(&self, seconds: f64) -> f64 {
        self.from_hz * (self.to_hz / self.from_hz).powf(seconds / self.seconds)
    }
}

fn heard(piece: &[i16], rate: u32, due_hz: f64) -> Heard {
    let pitches = (-AROUND..=AROUND).map(|nth| due_hz * (1.0 + STEP * f64::from(nth)));
    let levels = pitches.map(|hz| (hz, detect(piece, rate, hz)));
    let (hz, dbov) = levels.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((due_hz, super::tone::SILENCE_DBOV));
    Heard { due_hz, hz, gain: dbov - LEVEL, more: level(piece) - dbov }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SWEEP: Sweep = Sweep { from_hz: 200.0, to_hz: 3_400.0, seconds: 4.0 };

    #[test]
    fn a_sweep_is_heard_as_it_was_said_wherever_it_begins() {
        for (rate, lead) in [(8_000, 0), (8_000, 12_345), (16_000, 777)] {
            let pcm = [vec![0; lead], SWEEP.take(rate), vec![0; 5_000]].concat();
            let heard = SWEEP.hear(&pcm, rate);
            assert!(heard.len() >= 199, "{}", heard.len());
            for piece in &heard[1..heard.len() - 1] {
                assert!((piece.hz / piece.due_hz - 1.0).abs() < 0.025, "{piece:?}");
                assert!(piece.gain.abs() < 0.5 && piece.more.abs() < 0.5, "{piece:?}");
            }
        }
    }

    #[test]
    fn holes_noise_and_a_sweep_at_another_pace_are_heard() {
        let mut pcm = SWEEP.take(8_000);
        pcm[9_000..9_160].fill(0);
        assert!(SWEEP.hear(&pcm, 8_000).iter().any(|piece| piece.gain < -3.0));
        let slower = Sweep { seconds: 4.4, ..SWEEP }.take(8_000);
        assert!(SWEEP.hear(&slower, 8_000).iter().any(|piece| (piece.hz / piece.due_hz - 1.0).abs() > 0.05));
        let short = SWEEP.take(8_000);
        assert!(SWEEP.hear(&short[..20_000], 8_000).len() < 130);
        assert!(SWEEP.hear(&[0; 40_000], 8_000).is_empty());
    }
}
