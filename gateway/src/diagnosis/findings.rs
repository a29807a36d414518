//! The findings of one call: each raised once while it lasts, kept with its evidence after.

use std::time::Instant;

use serde_json::{Map, Value, json};
use trunkline_media::detect::Fact;
use trunkline_media::quality::HalfLeg;

use super::{Finding, Symptom};
use crate::clock::{Now, rfc3339};

/// Findings kept of a call.
const MAX_FINDINGS: usize = 64;
/// Times one finding of one half-leg is kept as one of its own; after that the last one goes on.
const MAX_TIMES: usize = 4;
/// Pieces of evidence of one finding.
const MAX_FACTS: usize = 16;
/// Octets of a text among them.
const MAX_TEXT: usize = 256;

/// What shows a finding, by name.
pub type Evidence = Map<String, Value>;

/// What was found in one call.
#[derive(Debug, Default)]
pub struct Findings {
    list: Vec<Found>,
    dropped: u64,
}

/// One finding.
#[derive(Debug)]
pub struct Found {
    /// What.
    pub finding: Finding,
    /// Where, if it belongs to one half-leg.
    pub half_leg: Option<HalfLeg>,
    /// When it was seen first.
    pub since: Instant,
    /// When it was over; `None`: it lasts, or lasted to the end of the call.
    pub until: Option<Instant>,
    /// How sure, 0..1.
    pub confidence: f32,
    /// What shows it.
    pub evidence: Evidence,
}

impl Findings {
    /// Takes up a finding; what is to be told of it. `None`: it is known already (its evidence is brought up to date), or
    /// there is no room.
    pub fn raise(
        &mut self,
        now: Instant,
        finding: Finding,
        half_leg: Option<HalfLeg>,
        confidence: f32,
        evidence: Evidence,
    ) -> Option<&Found> {
        let of_key = |found: &Found| found.finding == finding && found.half_leg == half_leg;
        let times = self.list.iter().filter(|found| of_key(found)).count();
        let last = self.list.iter().rposition(of_key);
        let lasts = |at: &usize| self.list.get(*at).is_some_and(|found| found.until.is_none());
        let lasting = last.filter(lasts);
        if let Some(at) = lasting.or(last.filter(|_| times >= MAX_TIMES)) {
            let found = self.list.get_mut(at)?;
            (found.until, found.confidence, found.evidence) = (None, confidence, evidence);
            return lasting.is_none().then_some(&*found);
        }
        self.add(now, finding, half_leg, confidence, evidence)
    }

    /// Takes up something that happened, as one of its own however often the like has happened.
    pub fn add(
        &mut self,
        now: Instant,
        finding: Finding,
        half_leg: Option<HalfLeg>,
        confidence: f32,
        evidence: Evidence,
    ) -> Option<&Found> {
        // overflow: the first findings stay, they are nearer the cause; the others are counted.
        if self.list.len() >= MAX_FINDINGS {
            self.dropped = self.dropped.saturating_add(1);
            return None;
        }
        self.list.push(Found { finding, half_leg, since: now, until: None, confidence, evidence });
        self.list.last()
    }

    /// A finding is over; what is to be told of it.
    pub fn clear(&mut self, now: Instant, finding: Finding, half_leg: Option<HalfLeg>) -> Option<&Found> {
        let lasting =
            |found: &&mut Found| found.finding == finding && found.half_leg == half_leg && found.until.is_none();
        let found = self.list.iter_mut().rev().find(lasting)?;
        found.until = Some(now);
        Some(found)
    }

    /// Whether it lasts.
    #[must_use]
    pub fn has(&self, finding: Finding, half_leg: Option<HalfLeg>) -> bool {
        self.lasting().any(|found| found.finding == finding && (half_leg.is_none() || found.half_leg == half_leg))
    }

    /// Whether anything that people report this way lasts.
    #[must_use]
    pub fn has_symptom(&self, symptom: Symptom) -> bool {
        self.lasting().any(|found| found.finding.symptom() == symptom)
    }

    /// Findings there was no room for.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The list of the record, in the order they were raised.
    #[must_use]
    pub fn to_json(&self, wall: Now) -> Value {
        self.list.iter().map(|found| found.to_json(wall)).collect()
    }

    fn lasting(&self) -> impl Iterator<Item = &Found> {
        self.list.iter().filter(|found| found.until.is_none())
    }
}

impl Found {
    /// Without evidence and advice: what the visitor's own event stream may show.
    #[must_use]
    pub fn told(&self, wall: Now) -> Map<String, Value> {
        let mut told = Map::new();
        told.insert("finding".into(), self.finding.word().into());
        told.insert("symptom".into(), self.finding.symptom().word().into());
        told.insert("half_leg".into(), self.half_leg.map(HalfLeg::word).into());
        told.insert("since".into(), rfc3339(wall.wall_at(self.since)).into());
        told.insert("until".into(), self.until.map(|until| rfc3339(wall.wall_at(until))).into());
        told.insert("confidence".into(), json!((f64::from(self.confidence) * 100.0).round() / 100.0));
        told
    }

    fn to_json(&self, wall: Now) -> Value {
        let mut whole = self.told(wall);
        whole.insert("evidence".into(), self.evidence.clone().into());
        whole.insert("advice".into(), self.finding.advice().into());
        whole.into()
    }
}

/// The media's facts as evidence, bounded.
#[must_use]
pub fn facts(facts: &[(&'static str, Fact)]) -> Evidence {
    let value = |fact: &Fact| match fact {
        Fact::Number(number) => json!((number * 1_000.0).round() / 1_000.0),
        Fact::Count(count) => json!(count),
        Fact::Text(text) => json!(text.get(..text.floor_char_boundary(MAX_TEXT)).unwrap_or_default()),
    };
    facts.iter().take(MAX_FACTS).map(|(name, fact)| ((*name).to_owned(), value(fact))).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_finding_lasts_from_raise_to_clear_and_is_told_once() {
        let start = Instant::now();
        let wall = Now { instant: start, wall: Timestamp::from_second(1_700_000_000).unwrap() };
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut findings = Findings::default();
        let (loss, up) = (Finding::UplinkLoss, Some(HalfLeg::BrowserUp));
        let seen = |loss: f64| facts(&[("loss", Fact::Number(loss)), ("path", Fact::Text("ü".repeat(200)))]);
        assert!(findings.raise(at(1), loss, up, 0.5, seen(0.05)).is_some());
        assert!(findings.raise(at(2), loss, up, 0.899, seen(0.123_456)).is_none(), "told once");
        assert!(findings.clear(at(3), loss, Some(HalfLeg::SipUp)).is_none(), "of another half-leg");
        assert!(findings.has(loss, up) && findings.has(loss, None) && findings.has_symptom(Symptom::SoundsBad));
        assert!(findings.clear(at(4), loss, up).is_some());
        assert!(findings.clear(at(5), loss, up).is_none(), "once");
        assert!(!findings.has(loss, None) && !findings.has_symptom(Symptom::SoundsBad));
        let json = findings.to_json(wall);
        assert_eq!(json.as_array().map(Vec::len), Some(1));
        let found = &json[0];
        assert_eq!((&found["finding"], &found["symptom"]), (&json!("uplink_loss"), &json!("sounds_bad")));
        assert_eq!(found["since"], "2023-11-14T22:13:21.000Z");
        assert_eq!(found["until"], "2023-11-14T22:13:24.000Z");
        assert_eq!((&found["confidence"], &found["evidence"]["loss"]), (&json!(0.9), &json!(0.123)));
        assert_eq!(found["evidence"]["path"].as_str().map(str::len), Some(256));
        assert_eq!(found["advice"], loss.advice());
    }

    #[test]
    fn neither_a_flapping_finding_nor_many_of_them_grow_without_limit() {
        let now = Instant::now();
        let mut findings = Findings::default();
        let mut told = 0;
        for _ in 0..100 {
            told += usize::from(findings.raise(now, Finding::HighJitter, None, 1.0, Map::new()).is_some());
            findings.clear(now, Finding::HighJitter, None);
        }
        assert_eq!((told, findings.list.len(), findings.dropped()), (100, MAX_TIMES, 0));
        for _ in 0..100 {
            findings.add(now, Finding::NoDestination, None, 1.0, Map::new());
        }
        assert_eq!((findings.list.len(), findings.dropped()), (MAX_FINDINGS, 40));
    }
}
