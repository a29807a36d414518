//! The one way out: hang up, close the media, tell the world, once.

use std::time::Instant;

use serde_json::Value;
use trunkline_media::api::Command;

use super::{Call, CallEvent, Effect, Stage};
use crate::diagnosis;
use crate::outcome::{Class, Evidence, Outcome, Phase, QualityAtEnd, Reason, table};

impl Call {
    /// Ends the call in the phase it is in.
    pub(super) fn finish(&mut self, now: Instant, reason: Reason) {
        self.finish_in(now, reason, self.phase());
    }

    /// Ends the call after the trunk's leg went away by itself.
    pub(super) fn finish_without_leg(&mut self, now: Instant, reason: Reason) {
        let phase = self.phase();
        self.dismiss(reason.word());
        self.stage = Stage::Idle;
        self.finish_in(now, reason, phase);
    }

    /// Ends the call; `phase` is how far it had come.
    pub(super) fn finish_in(&mut self, now: Instant, reason: Reason, phase: Phase) {
        if self.is_over() {
            return;
        }
        self.leave_the_called(now, reason);
        if let Some(attempt) = self.stage.attempt() {
            self.effects.push_back(Effect::Hangup { attempt, reason: table::reason_header(reason) });
        }
        self.end_transfer(reason);
        self.stage = Stage::Ended;
        self.timers.stop_all();
        self.media(Command::Close);
        self.notes.ended_at = Some(now);
        let quality_at_end = self.quality_at_end(reason.lost_leg());
        let evidence = self.notes.take_evidence(now, &self.browser);
        let advice = diagnosis::advice(reason, &self.findings);
        let outcome = Outcome { reason, phase, quality_at_end, evidence, advice };
        self.notes.outcome = Some(outcome.clone());
        self.emit_end(now, &outcome);
        self.effects.push_back(Effect::Finished(Box::new(outcome)));
    }

    /// Ends the call for any reason, however it may have come about.
    #[cfg(test)]
    pub(crate) fn finish_for(&mut self, now: Instant, reason: Reason) {
        self.finish(now, reason);
    }

    /// The end of a call that could not even end by itself: its outcome and, unless one went out, its last event. Does as
    /// little as possible, because whatever it touches may be what broke.
    pub fn abandon(&mut self) -> (Option<CallEvent>, Outcome) {
        self.effects.clear();
        self.timers.stop_all();
        let told = self.notes.outcome.clone();
        let untold = told.is_none();
        let outcome = told.unwrap_or_else(|| {
            let mut evidence = Evidence::default();
            evidence.further.insert("error".into(), "panic at the end of the call".into());
            Outcome::new(Reason::InternalError, Phase::Setup, QualityAtEnd::unknown(), evidence)
        });
        self.stage = Stage::Ended;
        self.notes.outcome = Some(outcome.clone());
        let event = untold.then(|| {
            self.emit(
                "call_error",
                [
                    ("reason", outcome.reason.word().into()),
                    ("detail", Value::Null),
                    ("phase", outcome.phase.word().into()),
                    ("blame", outcome.reason.blame().word().into()),
                ],
            );
            match self.effects.pop_back() {
                Some(Effect::Emit(event)) => Some(event),
                Some(_) | None => None,
            }
        });
        (event.flatten(), outcome)
    }

    fn emit_end(&mut self, now: Instant, outcome: &Outcome) {
        let reason = outcome.reason;
        let name = match reason.class() {
            Class::Ended => "call_ended",
            Class::Error => "call_error",
        };
        // No evidence: it names trunk addresses, and the visitor's browser reads this too.
        self.emit(
            name,
            [
                ("class", reason.class().word().into()),
                ("reason", reason.word().into()),
                ("detail", reason.detail().into()),
                ("phase", outcome.phase.word().into()),
                ("blame", reason.blame().word().into()),
                ("duration_seconds", self.notes.duration_seconds(now).into()),
                ("talk_seconds", self.notes.talk_seconds(now).into()),
                ("quality_at_end", serde_json::to_value(&outcome.quality_at_end).unwrap_or(Value::Null)),
            ],
        );
    }

    /// The SIP side of this node is gone: whatever was up with it is over.
    pub(super) fn sip_gone(&mut self, now: Instant) {
        if self.lose_both(now) {
            return;
        }
        match &self.stage {
            Stage::Inviting(_) => self.destination_failed(now, Reason::DestUnreachable, None),
            Stage::Called(_) | Stage::Talking(_) => {
                self.notes.evidence("sip_side", "gone");
                self.finish_without_leg(now, Reason::SipTransportLost);
            }
            Stage::Idle
            | Stage::Asking
            | Stage::Acting
            | Stage::Parting(_)
            | Stage::Leasing { .. }
            | Stage::Resolving { .. }
            | Stage::Ended => {}
        }
    }

    /// How far the call has come.
    pub(super) fn phase(&self) -> Phase {
        if let Some(phase) = self.transfer_phase() {
            return phase;
        }
        match &self.stage {
            Stage::Idle | Stage::Asking | Stage::Acting => self.last_failure.map_or(Phase::Routing, |(_, phase)| phase),
            Stage::Parting(parting) => parting.phase,
            Stage::Leasing { .. } | Stage::Resolving { .. } => Phase::Routing,
            Stage::Inviting(inviting) if inviting.ringing => Phase::Ringing,
            Stage::Called(_) if self.notes.ringing_at.is_some() => Phase::Ringing,
            Stage::Called(_) => Phase::Routing,
            Stage::Inviting(_) => Phase::Setup,
            Stage::Talking(_) | Stage::Ended => Phase::Talking,
        }
    }
}
