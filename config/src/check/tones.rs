//! What visitors hear of how their calls go.

use crate::model::{FailureSound, REGIONS, Tones};
use crate::raw::{RawFailureSound, RawTones};
use crate::report::Report;

pub(super) fn tones(key: &str, raw: &RawTones, report: &mut Report) -> Option<Tones> {
    if !REGIONS.contains(&raw.region.as_str()) {
        let message = format!("{:?} is none of {}", raw.region, REGIONS.join(", "));
        report.problem(&format!("{key}.region"), message);
        return None;
    }
    let failure = match raw.failure {
        RawFailureSound::Off => FailureSound::Off,
        RawFailureSound::Tone => FailureSound::Tone,
        RawFailureSound::Prompt => FailureSound::Prompt,
    };
    Some(Tones { region: raw.region.clone(), ringback: raw.ringback, failure })
}
