//! What the calls of this node count, in plain integers. `metrics` names and publishes them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use trunkline_media::quality::HalfLegSample;

use crate::call::Timings;
use crate::metrics::{CallMeasures, Family};
use crate::outcome::{Outcome, Phase, Reason, Refusal};

/// Class, reason, phase: closed sets, so the map is bounded.
type Labels = [&'static str; 3];

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) started: AtomicU64,
    pub(super) panics: AtomicU64,
    pub(super) inbox_overflows: AtomicU64,
    pub(super) samples_dropped: AtomicU64,
    pub(super) early_sip_events_dropped: AtomicU64,
    pub(super) sip_traces_dropped: AtomicU64,
    pub(super) fields_dropped: AtomicU64,
    pub(super) commands_refused: AtomicU64,
    pub(super) measures: CallMeasures,
    outcomes: Mutex<BTreeMap<Labels, u64>>,
}

/// All of it at one moment.
#[derive(Debug, Clone, Default)]
pub struct CallCounters {
    /// Live calls.
    pub live: usize,
    /// Of those, the ones with a browser; a call from a trunk has none while it rings.
    pub with_media: usize,
    /// Browsers that wait for calls from trunks.
    pub receivers: usize,
    /// Tasks that drive calls; some wind down after their call has ended.
    pub tasks: usize,
    /// Live calls of each app, by name.
    pub live_by_app: Vec<(String, u32)>,
    /// Live trunk legs of each trunk, by name.
    pub live_by_trunk: Vec<(String, u32)>,
    /// Calls that began.
    pub started: u64,
    /// Class, reason, phase, how often; refused requests among them.
    pub outcomes: Vec<(Labels, u64)>,
    /// Panics caught in calls.
    pub panics: u64,
    /// Calls ended because their inbox was full.
    pub inbox_overflows: u64,
    /// Quality samples dropped because a call's inbox was full.
    pub samples_dropped: u64,
    /// SIP events dropped because too many came before their leg was known.
    pub early_sip_events_dropped: u64,
    /// Messages left out of SIP ladders for lack of room.
    pub sip_traces_dropped: u64,
    /// Ended calls that were never written down.
    pub records_dropped: u64,
    /// Header fields that did not go along with an INVITE.
    pub fields_dropped: u64,
    /// Commands the media plane had no room for.
    pub commands_refused: u64,
    /// Quality, findings, times and attempts.
    pub measures: Vec<Family>,
}

/// One more.
pub(super) fn bump(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    /// A second of a call's quality.
    pub(super) fn sampled(&self, quality: &[HalfLegSample; 4]) {
        self.measures.sampled(quality);
    }

    /// A call has a finding that it did not have before; its word.
    pub(super) fn found(&self, finding: &str) {
        self.measures.found(finding);
    }

    pub(super) fn ended(&self, outcome: &Outcome, timings: &Timings) {
        self.measures.ended(outcome, timings);
        let reason = outcome.reason;
        self.count([reason.class().word(), reason.word(), outcome.phase.word()]);
    }

    /// A call that an earlier process left behind.
    pub(super) fn crashed(&self, phase: Phase) {
        let reason = Reason::NodeCrash;
        self.count([reason.class().word(), reason.word(), phase.word()]);
    }

    pub(super) fn refused(&self, refusal: Refusal) {
        self.count(["refused", refusal.word(), "admission"]);
    }

    fn count(&self, labels: Labels) {
        let mut outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        let count = outcomes.entry(labels).or_default();
        *count = count.saturating_add(1);
    }

    pub(super) fn outcomes(&self) -> Vec<(Labels, u64)> {
        let outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        outcomes.iter().map(|(labels, count)| (*labels, *count)).collect()
    }

    /// Everything this struct knows; the caller adds what is live.
    pub(super) fn snapshot(&self) -> CallCounters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CallCounters {
            started: read(&self.started),
            outcomes: self.outcomes(),
            panics: read(&self.panics),
            inbox_overflows: read(&self.inbox_overflows),
            samples_dropped: read(&self.samples_dropped),
            early_sip_events_dropped: read(&self.early_sip_events_dropped),
            sip_traces_dropped: read(&self.sip_traces_dropped),
            fields_dropped: read(&self.fields_dropped),
            commands_refused: read(&self.commands_refused),
            measures: self.measures.read(),
            ..CallCounters::default()
        }
    }
}
