//! Which issues are raised, so that each is told once, again only when it shows itself much better, and once when it is
//! over.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Fact, Issue, IssueChange};
use crate::quality::HalfLeg;

/// An issue is told again at most this often.
const AGAIN: Duration = Duration::from_secs(10);

/// More confidence than when it was last told, or another measure, by so much.
const SURER: f32 = 0.15;
const OTHER: f32 = 0.3;

/// More never wait: they are taken after each look.
const MAX_WAITING: usize = 64;

/// The issues raised now, and changes nobody has taken.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    raised: Vec<Raised>,
    waiting: VecDeque<IssueChange>,
}

#[derive(Debug)]
struct Raised {
    issue: Issue,
    half_leg: HalfLeg,
    told: Instant,
    confidence: f32,
    measure: f32,
}

impl Ledger {
    /// It is so. `measure`: the number the evidence is about; `evidence` is asked for only when it is told.
    pub(super) fn raise(
        &mut self,
        now: Instant,
        (issue, half_leg): (Issue, HalfLeg),
        confidence: f32,
        measure: f32,
        evidence: impl FnOnce() -> Vec<(&'static str, Fact)>,
    ) {
        let confidence = confidence.clamp(0.0, 1.0);
        match self.raised.iter_mut().find(|known| known.issue == issue && known.half_leg == half_leg) {
            Some(known) => {
                let moved = (measure - known.measure).abs() > OTHER * known.measure.abs().max(1.0);
                let worth = confidence - known.confidence >= SURER || moved;
                if !worth || now.saturating_duration_since(known.told) < AGAIN {
                    return;
                }
                *known = Raised { issue, half_leg, told: now, confidence, measure };
            }
            // Bounded: one of each issue on each half-leg.
            None => self.raised.push(Raised { issue, half_leg, told: now, confidence, measure }),
        }
        self.tell(IssueChange { issue, half_leg, raised: true, confidence, evidence: evidence() });
    }

    /// It is not so, or no longer.
    pub(super) fn clear(&mut self, issue: Issue, half_leg: HalfLeg) {
        let Some(at) = self.raised.iter().position(|known| known.issue == issue && known.half_leg == half_leg) else {
            return;
        };
        let known = self.raised.swap_remove(at);
        self.tell(IssueChange { issue, half_leg, raised: false, confidence: known.confidence, evidence: Vec::new() });
    }

    pub(super) fn poll(&mut self) -> Option<IssueChange> {
        self.waiting.pop_front()
    }

    fn tell(&mut self, change: IssueChange) {
        // overflow: the oldest goes; cannot happen while changes are taken after each look.
        if self.waiting.len() >= MAX_WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back(change);
    }
}
