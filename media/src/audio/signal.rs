//! What telephone networks tell callers without words: ringback and busy tone, as each country's sounds (ITU-T E.180 and
//! its supplement 2, where the numbers are from).

use super::prompt::Prompt;
use super::tone::Tone;

/// Level of each of a signal's frequencies, dBov: softer than speech.
const LEVEL: f64 = -24.0;

/// How long each part lasts, ms: heard, not heard, heard, …
type Cadence = &'static [u32];

/// Code, ringback (Hz, cadence), busy tone (Hz, cadence).
type Row = (&'static str, &'static [u16], Cadence, &'static [u16], Cadence);

/// By ISO 3166 country code; `itu` is what E.180 recommends where nothing else is known.
const REGIONS: [Row; 27] = [
    ("itu", &[425], &[1000, 4000], &[425], &[500, 500]),
    ("ar", &[425], &[1000, 4500], &[425], &[300, 200]),
    ("at", &[420], &[1000, 5000], &[420], &[400, 400]),
    ("au", &[413, 438], &[400, 200, 400, 2000], &[425], &[375, 375]),
    ("be", &[425], &[1000, 3000], &[425], &[500, 500]),
    ("br", &[425], &[1000, 4000], &[425], &[250, 250]),
    ("ca", &[440, 480], &[2000, 4000], &[480, 620], &[500, 500]),
    ("ch", &[425], &[1000, 4000], &[425], &[500, 500]),
    ("cl", &[400], &[1000, 3000], &[400], &[500, 500]),
    ("cz", &[425], &[1000, 4000], &[425], &[330, 330]),
    ("de", &[425], &[1000, 4000], &[425], &[480, 480]),
    ("dk", &[425], &[1000, 4000], &[425], &[500, 500]),
    ("es", &[425], &[1500, 3000], &[425], &[200, 200]),
    ("fi", &[425], &[1000, 4000], &[425], &[300, 300]),
    ("fr", &[440], &[1500, 3500], &[440], &[500, 500]),
    ("gb", &[400, 450], &[400, 200, 400, 2000], &[400], &[375, 375]),
    ("gr", &[425], &[1000, 4000], &[425], &[300, 300]),
    ("hu", &[425], &[1250, 3750], &[425], &[300, 300]),
    ("ie", &[400, 450], &[400, 200, 400, 2000], &[425], &[500, 500]),
    ("it", &[425], &[1000, 4000], &[425], &[500, 500]),
    ("mx", &[425], &[1000, 4000], &[425], &[250, 250]),
    ("nl", &[425], &[1000, 4000], &[425], &[500, 500]),
    ("no", &[425], &[1000, 4000], &[425], &[500, 500]),
    ("pl", &[425], &[1000, 4000], &[425], &[500, 500]),
    ("pt", &[425], &[1000, 5000], &[425], &[500, 500]),
    ("se", &[425], &[1000, 5000], &[425], &[250, 250]),
    ("us", &[440, 480], &[2000, 4000], &[480, 620], &[500, 500]),
];

/// A country, or group of them, whose tones are known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Region(&'static Row);

impl Region {
    /// The region of this code.
    #[must_use]
    pub fn find(code: &str) -> Option<Self> {
        REGIONS.iter().find(|row| row.0 == code).map(Self)
    }

    /// Every code there is.
    pub fn codes() -> impl Iterator<Item = &'static str> {
        REGIONS.iter().map(|row| row.0)
    }

    /// Its busy tone for about `seconds`, as a recording: whole periods of it.
    #[must_use]
    pub fn busy(self, seconds: u32) -> Option<Prompt> {
        const RATE: u32 = 8_000;
        let mut signal = Signal::new(self.0.3, self.0.4, RATE);
        let periods = (seconds * RATE).div_ceil(signal.period.max(1));
        let mut pcm = vec![0; (periods * signal.period) as usize];
        signal.fill(&mut pcm);
        Prompt::from_pcm(RATE, pcm).ok()
    }
}

impl std::fmt::Debug for Region {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.0)
    }
}

/// A signal that goes on from frame to frame.
#[derive(Debug)]
pub struct Signal {
    tones: [Option<Tone>; 2],
    cadence: Cadence,
    rate: u32,
    /// Samples of all of the cadence.
    period: u32,
    /// Samples since it began, this time.
    at: u32,
}

impl Signal {
    /// What a caller hears while it rings, as PCM at `rate` Hz.
    #[must_use]
    pub fn ringback(region: Region, rate: u32) -> Self {
        Self::new(region.0.1, region.0.2, rate)
    }

    fn new(hz: &[u16], cadence: Cadence, rate: u32) -> Self {
        let tone = |at: usize| hz.get(at).map(|&hz| Tone::new(f64::from(hz), rate, LEVEL));
        let period = cadence.iter().map(|&ms| samples(ms, rate)).sum();
        Self { tones: [tone(0), tone(1)], cadence, rate, period, at: 0 }
    }

    /// The same at the other's rate from here on.
    pub(crate) fn go_on_as(&mut self, other: Self) {
        let at = u64::from(self.at) * u64::from(other.period) / u64::from(self.period.max(1));
        *self = Self { at: u32::try_from(at).unwrap_or_default(), ..other };
    }

    /// Overwrites `pcm` with what follows.
    pub fn fill(&mut self, pcm: &mut [i16]) {
        pcm.fill(0);
        let mut rest = pcm;
        while !rest.is_empty() && self.period > 0 {
            let (is_on, left) = self.part();
            let (now, later) = rest.split_at_mut((left as usize).min(rest.len()));
            if is_on {
                self.tones.iter_mut().flatten().for_each(|tone| tone.mix(now));
            }
            self.at = (self.at + now.len() as u32) % self.period;
            rest = later;
        }
    }

    /// Whether it is heard at this point of the cadence, and for how many samples that stays so.
    fn part(&self) -> (bool, u32) {
        let mut end = 0;
        for (index, &ms) in self.cadence.iter().enumerate() {
            end += samples(ms, self.rate);
            if self.at < end {
                return (index % 2 == 0, end - self.at);
            }
        }
        (false, 1)
    }
}

fn samples(ms: u32, rate: u32) -> u32 {
    rate / 1000 * ms
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::tone::{detect, level};

    /// Heard and not heard, ms each, from the beginning.
    fn cadence(pcm: &[i16], rate: u32) -> Vec<u32> {
        let block = rate as usize / 100;
        let on = pcm.chunks(block).map(|part| level(part) > -40.0).collect::<Vec<_>>();
        on.chunk_by(|a, b| a == b).map(|run| run.len() as u32 * 10).collect()
    }

    #[test]
    fn each_country_rings_and_is_busy_in_its_own_way() {
        for (code, ringing, on, busy, off) in REGIONS {
            let region = Region::find(code).unwrap();
            for rate in [8_000, 16_000, 48_000] {
                let mut signal = Signal::ringback(region, rate);
                let mut pcm = vec![0; signal.period as usize * 2];
                pcm.chunks_mut(rate as usize / 50).for_each(|frame| signal.fill(frame));
                assert_eq!(cadence(&pcm, rate), [on, on].concat(), "{code} at {rate}");
                let first = &pcm[..samples(on[0], rate) as usize];
                for &hz in ringing {
                    assert!((detect(first, rate, hz.into()) - LEVEL).abs() < 0.5, "{code} at {rate}: {hz} Hz");
                }
            }
            let recording = region.busy(3).unwrap();
            let period: u32 = off.iter().sum();
            let lasts = u32::try_from(recording.duration_ms()).unwrap();
            assert!((3_000..3_000 + period).contains(&lasts) && lasts % period == 0, "{code}: {lasts}");
            assert!(off.len() == 2 && !busy.is_empty());
        }
        assert_eq!(Region::codes().count(), REGIONS.len());
        assert!(Region::find("xx").is_none());
        assert_eq!(format!("{:?}", Region::find("gb").unwrap()), "gb");
    }
}
