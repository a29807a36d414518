//! Which calls there will be: drawn from the seed, so that a run can be repeated.

use std::time::Duration;

use anyhow::{Context, Result};
use trunkline_media::audio::Codec;

use super::chance::Chance;
use super::file::{Scenario, codec};

/// A call to come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Planned {
    pub(crate) party: u32,
    /// When it begins, after the start.
    pub(crate) at: Duration,
    pub(crate) hold: Duration,
    /// What the browser speaks.
    pub(crate) codec: Codec,
}

/// All calls, in the order they begin.
pub(crate) fn plan(scenario: &Scenario) -> Result<Vec<Planned>> {
    let load = &scenario.load;
    let mut chance = Chance::new(scenario.seed);
    let kinds: Vec<(Codec, u32)> =
        load.codecs.iter().map(|(name, weight)| Ok((codec(name)?, *weight))).collect::<Result<_>>()?;
    let [least, most] = load.hold_seconds;
    let mut calls = Vec::new();
    for party in 0.. {
        let at = begins(f64::from(party), load.rate, load.ramp_seconds);
        if at >= load.seconds {
            break;
        }
        let hold = least + (most - least) * chance.share();
        calls.push(Planned {
            party,
            at: Duration::from_secs_f64(at),
            hold: Duration::from_secs_f64(hold),
            codec: chance.pick(&kinds).context("nobody speaks")?,
        });
    }
    Ok(calls)
}

/// When the `nth` call begins, if the rate grows steadily through the ramp.
fn begins(nth: f64, rate: f64, ramp: f64) -> f64 {
    let in_ramp = rate * ramp / 2.0;
    if nth < in_ramp { (2.0 * ramp * nth / rate).sqrt() } else { ramp + (nth - in_ramp) / rate }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(load: &str) -> Scenario {
        let text = format!("name = \"a\"\nseed = 3\n[gateway]\nbinary = \"x\"\n[load]\nhold_seconds = [1, 3]\n{load}");
        Scenario::parse(&text, None).unwrap()
    }

    #[test]
    fn a_seed_makes_the_same_calls_in_the_mix_asked_for() {
        let scenario = scenario("rate = 50\nseconds = 20\ncodecs = { opus = 1, PCMU = 3 }");
        let calls = plan(&scenario).unwrap();
        assert_eq!(calls, plan(&scenario).unwrap());
        assert_eq!(calls.len(), 1000);
        let opus = calls.iter().filter(|call| call.codec == Codec::Opus).count();
        assert!((200..300).contains(&opus), "{opus} of 1000 speak Opus");
        assert!(calls.iter().all(|call| (1.0..=3.0).contains(&call.hold.as_secs_f64())));
        let other = plan(&Scenario { seed: 4, ..scenario }).unwrap();
        assert_ne!(calls, other);
    }

    #[test]
    fn the_rate_grows_through_the_ramp() {
        let calls = plan(&scenario("rate = 10\nseconds = 20\nramp_seconds = 10")).unwrap();
        let within = |from: u64, to: u64| calls.iter().filter(|call| (from..to).contains(&call.at.as_secs())).count();
        assert_eq!((within(0, 10), within(10, 20)), (50, 100));
        assert!(within(0, 5) < within(5, 10));
    }
}
