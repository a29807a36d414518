//! What is found wrong with a call: what its media shows, and what only the call itself knows.

use std::time::Instant;

use serde_json::{Map, Value, json};
use trunkline_media::api::Leg;
use trunkline_media::detect::IssueChange;
use trunkline_media::quality::HalfLeg;

use super::browser::leg_word;
use super::{Call, Stage};
use crate::diagnosis::{Evidence, Finding, facts};
use crate::outcome::Reason;

impl Call {
    /// The findings (`GET /v1/calls/{call}/diagnosis`).
    #[must_use]
    pub fn diagnosis(&self, _now: Instant) -> Value {
        let verdict = |half_leg: HalfLeg| (half_leg.word().to_owned(), json!({ "verdict": self.verdict(half_leg) }));
        json!({
            "call": self.about.call.as_str(),
            "findings": self.findings.to_json(self.about.wall),
            "dropped_findings": self.findings.dropped(),
            "half_legs": HalfLeg::ALL.into_iter().map(verdict).collect::<Map<_, _>>(),
            "outcome": self.notes.outcome,
        })
    }

    /// Whether audio gets through on a half-leg, in a word.
    fn verdict(&self, half_leg: HalfLeg) -> &'static str {
        let unheard = self.findings.has(Finding::DeliveredButUnheard, Some(half_leg));
        if unheard { Finding::DeliveredButUnheard.word() } else { self.quality.verdict(half_leg).word() }
    }

    /// Something wrong with the audio begins or ends.
    pub(super) fn issue(&mut self, now: Instant, change: &IssueChange) {
        let finding = Finding::of(change.issue, change.half_leg);
        if change.raised {
            self.raise(now, finding, Some(change.half_leg), change.confidence, facts(&change.evidence));
        } else {
            self.clear(now, finding, Some(change.half_leg));
        }
    }

    /// Raises a finding and tells it, once.
    pub(super) fn raise(
        &mut self,
        now: Instant,
        finding: Finding,
        half_leg: Option<HalfLeg>,
        confidence: f32,
        evidence: Evidence,
    ) {
        let told = self.findings.raise(now, finding, half_leg, confidence, evidence);
        let told = told.map(|found| found.told(self.about.wall));
        self.emit_issue(told);
    }

    /// A finding is over.
    pub(super) fn clear(&mut self, now: Instant, finding: Finding, half_leg: Option<HalfLeg>) {
        let cleared = self.findings.clear(now, finding, half_leg).map(|found| found.told(self.about.wall));
        if let Some(told) = cleared {
            let field = |name: &str| told.get(name).cloned().unwrap_or_default();
            self.emit(
                "issue_cleared",
                [
                    ("finding", field("finding")),
                    ("half_leg", field("half_leg")),
                    ("since", field("since")),
                    ("until", field("until")),
                ],
            );
        }
    }

    /// A destination did not take the call.
    pub(super) fn note_failed_destination(&mut self, now: Instant, destination: &str, reason: Reason) {
        if !reason.is_of_destination() {
            return;
        }
        let evidence = self.notes.evidence_of(destination, reason);
        let told = self.findings.add(now, Finding::DestinationFailed(reason), None, 1.0, evidence);
        let told = told.map(|found| found.told(self.about.wall));
        self.emit_issue(told);
    }

    /// The widget asked for a profile that is not there.
    pub(super) fn note_profile_fallback(&mut self, now: Instant) {
        let Some(asked) = &self.about.asked_profile else { return };
        let mut evidence = Map::new();
        evidence.insert("requested".into(), asked.as_str().into());
        evidence.insert("used".into(), self.about.profile.clone().into());
        self.raise(now, Finding::ProfileFallback, None, 1.0, evidence);
    }

    /// There is nothing to dial.
    pub(super) fn note_no_destination(&mut self, now: Instant) {
        let mut evidence = Map::new();
        evidence.insert("profile".into(), self.about.profile.clone().into());
        evidence.insert("destinations".into(), 0.into());
        self.raise(now, Finding::NoDestination, None, 1.0, evidence);
    }

    /// Digits did not go out to a leg, or cannot be sure to mean anything there.
    pub(super) fn note_digits_unsent(&mut self, now: Instant, leg: Leg, why: &'static str) {
        let of_trunk = if let Stage::Talking(talking) = &self.stage {
            Some(talking.media.telephone_event.is_some())
        } else {
            None
        };
        let (half_leg, negotiated) = match leg {
            Leg::Browser => (HalfLeg::BrowserDown, None),
            Leg::Trunk => (HalfLeg::SipDown, of_trunk),
        };
        let mut evidence = Map::new();
        evidence.insert("leg".into(), leg_word(leg).into());
        evidence.insert("telephone_event".into(), negotiated.into());
        evidence.insert("seen".into(), why.into());
        // With telephone-event agreed on, it was something else: not connected yet, or too many at once.
        let confidence = if negotiated == Some(true) { 0.5 } else { 0.95 };
        self.raise(now, Finding::DtmfNotConfirmed, Some(half_leg), confidence, evidence);
    }

    fn emit_issue(&mut self, told: Option<Map<String, Value>>) {
        if let Some(told) = told {
            self.emit_fields("issue_detected", told);
        }
    }
}
