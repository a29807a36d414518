//! What counts: handles made from a definition. Under a closed set of labels counting is one atomic addition, and no word
//! from outside can ever become a series.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::definition::{Definition, Kind, OTHER, Values};
use super::family::{Family, Row, Value};

/// A sum is kept in millionths.
const MILLION: f64 = 1e6;

/// The series of labels that are closed sets, numbered.
#[derive(Debug)]
struct Space {
    sets: Vec<Set>,
}

#[derive(Debug)]
struct Set {
    /// [`OTHER`] is the last of them, or one that was there already.
    words: Vec<&'static str>,
    /// How many of them are words of the definition.
    known: usize,
}

impl Space {
    fn new(definition: &Definition) -> Self {
        let set = |values: Values| {
            let mut words = values.words().unwrap_or_default();
            let known = words.len();
            if !words.contains(&OTHER) {
                words.push(OTHER);
            }
            Set { words, known }
        };
        Self { sets: definition.labels.iter().map(|label| set(label.values)).collect() }
    }

    fn len(&self) -> usize {
        self.sets.iter().map(|set| set.words.len()).product()
    }

    /// A word that is not in its set is [`OTHER`].
    fn index(&self, values: &[&str]) -> usize {
        self.sets.iter().enumerate().fold(0, |index, (at, set)| {
            let find = |wanted: &str| set.words.iter().position(|word| *word == wanted);
            let digit = values.get(at).and_then(|value| find(value)).or_else(|| find(OTHER)).unwrap_or(0);
            index * set.words.len() + digit
        })
    }

    /// The words of a series, and whether all of them are the definition's.
    fn words(&self, mut index: usize) -> (Vec<Cow<'static, str>>, bool) {
        let mut words = Vec::with_capacity(self.sets.len());
        let mut known = true;
        for set in self.sets.iter().rev() {
            let digit = index.checked_rem(set.words.len()).unwrap_or(0);
            index = index.checked_div(set.words.len()).unwrap_or(0);
            known &= digit < set.known;
            words.push(Cow::Borrowed(set.words.get(digit).copied().unwrap_or(OTHER)));
        }
        words.reverse();
        (words, known)
    }
}

/// A counter under closed sets. Each series is there from the start, so that its first count shows as an increase.
#[derive(Debug)]
pub(super) struct Tally {
    definition: &'static Definition,
    space: Space,
    cells: Box<[AtomicU64]>,
}

impl Tally {
    pub(super) fn new(definition: &'static Definition) -> Self {
        let space = Space::new(definition);
        let cells = (0..space.len()).map(|_| AtomicU64::new(0)).collect();
        Self { definition, space, cells }
    }

    /// Adds under these values, in the order of the definition.
    pub(super) fn add(&self, values: &[&str], n: u64) {
        if let Some(cell) = self.cells.get(self.space.index(values)) {
            cell.fetch_add(n, Ordering::Relaxed);
        }
    }

    pub(super) fn read(&self) -> Family {
        let row = |(index, cell): (usize, &AtomicU64)| {
            let (labels, known) = self.space.words(index);
            let count = cell.load(Ordering::Relaxed);
            (known || count > 0).then_some(Row { labels, value: Value::Number(count as f64) })
        };
        Family { definition: self.definition, rows: self.cells.iter().enumerate().filter_map(row).collect() }
    }
}

/// Observations under closed sets.
#[derive(Debug)]
pub(super) struct Histogram {
    definition: &'static Definition,
    bounds: &'static [f64],
    space: Space,
    series: Box<[Distribution]>,
}

#[derive(Debug)]
struct Distribution {
    /// One for each bound, and what is above them all.
    counts: Box<[AtomicU64]>,
    millionths: AtomicU64,
}

impl Histogram {
    pub(super) fn new(definition: &'static Definition) -> Self {
        let bounds = match definition.kind {
            Kind::Histogram(bounds) => bounds,
            Kind::Gauge | Kind::Counter | Kind::Trouble => &[],
        };
        let space = Space::new(definition);
        let distribution = |_| Distribution {
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            millionths: AtomicU64::new(0),
        };
        let series = (0..space.len()).map(distribution).collect();
        Self { definition, bounds, space, series }
    }

    /// Observes a measure that is not negative; what is no number is no measure.
    pub(super) fn observe(&self, values: &[&str], measure: f64) {
        let Some(distribution) = self.series.get(self.space.index(values)).filter(|_| measure.is_finite()) else {
            return;
        };
        let measure = measure.max(0.0);
        let bucket = self.bounds.iter().position(|bound| measure <= *bound).unwrap_or(self.bounds.len());
        if let Some(count) = distribution.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        distribution.millionths.fetch_add((measure * MILLION).round() as u64, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Family {
        let row = |(index, distribution): (usize, &Distribution)| {
            let (labels, known) = self.space.words(index);
            let counts: Vec<u64> = distribution.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
            let sum = distribution.millionths.load(Ordering::Relaxed) as f64 / MILLION;
            let seen = counts.iter().any(|count| *count > 0);
            (known || seen).then_some(Row { labels, value: Value::Distribution { counts, sum } })
        };
        Family { definition: self.definition, rows: self.series.iter().enumerate().filter_map(row).collect() }
    }
}

/// A counter with a label that names something of this node's own: a route, a trunk.
#[derive(Debug)]
pub(super) struct Ledger {
    definition: &'static Definition,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    /// What was seen of each label.
    seen: Vec<BTreeSet<String>>,
    rows: BTreeMap<Vec<String>, u64>,
}

impl Ledger {
    pub(super) fn new(definition: &'static Definition) -> Self {
        let seen = definition.labels.iter().map(|label| label.values.words());
        let seen = seen.map(|words| words.unwrap_or_default().into_iter().map(str::to_owned).collect()).collect();
        Self { definition, counts: Mutex::new(Counts { seen, rows: BTreeMap::new() }) }
    }

    /// Adds one under these values, in the order of the definition.
    pub(super) fn add(&self, values: &[&str]) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let Counts { seen, rows } = &mut *counts;
        let names = self.definition.labels.iter().zip(seen.iter_mut()).zip(values).map(|((label, seen), value)| {
            let room = match label.values {
                Values::Words(_) => false,
                Values::Names(_, most) => seen.len() < most,
            };
            if room && !seen.contains(*value) {
                seen.insert((*value).to_owned());
            }
            // overflow: one name too many is counted among the others.
            if seen.contains(*value) { (*value).to_owned() } else { OTHER.to_owned() }
        });
        let count = rows.entry(names.collect()).or_default();
        *count = count.saturating_add(1);
    }

    pub(super) fn read(&self) -> Family {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let row = |(labels, count): (&Vec<String>, &u64)| Row {
            labels: labels.iter().cloned().map(Cow::Owned).collect(),
            value: Value::Number(*count as f64),
        };
        Family { definition: self.definition, rows: counts.rows.iter().map(row).collect() }
    }
}
