//! What the events of one call must add up to, whatever happens to it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;
use trunkline::call::CallEvent;

/// Changes of one half-leg's level within [`WINDOW`]; more is flapping. Worse takes three samples, better five.
const MAX_CHANGES: usize = 12;
const WINDOW: Duration = Duration::from_secs(60);

/// A call's events as they come.
#[derive(Debug, Default)]
pub struct Watch {
    /// Half-leg to its level.
    levels: BTreeMap<String, String>,
    /// When a half-leg's level changed.
    changes: BTreeMap<String, Vec<Instant>>,
    /// Findings that are raised, with their half-leg.
    raised: BTreeMap<(String, String), u32>,
    /// The first thing that must not be.
    pub fault: Option<String>,
}

impl Watch {
    /// An event came; `levels` are the record's, by half-leg, at that moment.
    pub fn told(&mut self, now: Instant, event: &CallEvent, record: impl FnOnce() -> Value) {
        let word = |name: &str| event.data.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let fault = match event.name {
            "network_quality_changed" => self.level(now, &word("half_leg"), &word("from"), word("to"), &record()),
            "issue_detected" => {
                let raised = self.raised.entry((word("finding"), word("half_leg"))).or_default();
                *raised += 1;
                // Each destination that fails is one of its own.
                let again = *raised > 1 && !word("finding").starts_with("dest_");
                again.then(|| format!("{} is raised while it is raised", word("finding")))
            }
            "issue_cleared" => {
                let raised = self.raised.remove(&(word("finding"), word("half_leg")));
                raised.is_none().then(|| format!("{} is cleared and was not raised", word("finding")))
            }
            _ => None,
        };
        self.fault = self.fault.take().or(fault);
    }

    fn level(&mut self, now: Instant, half_leg: &str, from: &str, to: String, record: &Value) -> Option<String> {
        let before = self.levels.insert(half_leg.to_owned(), to.clone()).unwrap_or_else(|| "unknown".to_owned());
        let current = record["quality"][half_leg]["level"].as_str().unwrap_or_default().to_owned();
        let changes = self.changes.entry(half_leg.to_owned()).or_default();
        changes.push(now);
        changes.retain(|at| now.saturating_duration_since(*at) < WINDOW);
        let rules = [
            (from == to, "tells the level it had"),
            (from != before, "comes from another level than the last one told"),
            (current != to, "tells another level than the record"),
            (changes.len() > MAX_CHANGES, "flaps"),
        ];
        let fault = rules.iter().find(|(broken, _)| *broken)?;
        Some(format!("{half_leg} {}: {before}, {from} to {to}, {current} in the record", fault.1))
    }
}
