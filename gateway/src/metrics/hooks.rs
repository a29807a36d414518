//! What is counted of answer hooks, and of what is spoken and played.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::catalogue;
use super::family::Family;
use super::handles::{Histogram, Tally};

/// What is counted of answer hooks and recordings on this node.
#[derive(Debug)]
pub struct HookMeasures {
    calls: Tally,
    tries: Tally,
    seconds: Histogram,
    played: Tally,
    recordings: Tally,
    asking: AtomicUsize,
    open: AtomicUsize,
}

impl Default for HookMeasures {
    fn default() -> Self {
        Self {
            calls: Tally::new(&catalogue::HOOK_CALLS),
            tries: Tally::new(&catalogue::HOOK_TRIES),
            seconds: Histogram::new(&catalogue::HOOK_SECONDS),
            played: Tally::new(&catalogue::PROMPTS_PLAYED),
            recordings: Tally::new(&catalogue::RECORDINGS),
            asking: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
        }
    }
}

impl HookMeasures {
    /// A try came to something; a word of [`crate::hook::RESULTS`].
    pub fn tried(&self, hook: &str, result: &str) {
        self.tries.add(&[hook, result], 1);
    }

    /// A call's question is over.
    pub fn asked(&self, answered: bool, took: Duration) {
        self.calls.add(&[if answered { "answered" } else { "static" }], 1);
        self.seconds.observe(&[], took.as_secs_f64());
    }

    /// How many questions are under way, and how many breakers are open.
    pub fn stand(&self, asking: usize, open: usize) {
        self.asking.store(asking, Ordering::Relaxed);
        self.open.store(open, Ordering::Relaxed);
    }

    /// A prompt begins to play.
    pub fn played(&self, leg: &str) {
        self.played.add(&[leg], 1);
    }

    /// A recording was asked for; a word of [`crate::recordings::RESULTS`].
    pub fn recording(&self, source: &str, result: &str) {
        self.recordings.add(&[source, result], 1);
    }

    pub(super) fn read(&self) -> Vec<Family> {
        let number = |gauge: &AtomicUsize| gauge.load(Ordering::Relaxed) as f64;
        vec![
            self.calls.read(),
            self.tries.read(),
            self.seconds.read(),
            self.played.read(),
            self.recordings.read(),
            Family::single(&catalogue::HOOK_ASKING, number(&self.asking)),
            Family::single(&catalogue::HOOK_OPEN, number(&self.open)),
        ]
    }
}
