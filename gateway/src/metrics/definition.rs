//! What a metric is: its name, type, unit, and labels with what bounds them.

/// One metric.
#[derive(Debug)]
pub struct Definition {
    /// The heading it stands under in lists.
    pub group: &'static str,
    /// As it is published, without the suffixes of a histogram.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// What one of it is.
    pub unit: &'static str,
    /// One line for whoever reads it.
    pub help: &'static str,
    /// In the order they are published.
    pub labels: &'static [&'static Label],
}

/// The type of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Goes up.
    Counter,
    /// A counter of what should not happen: it has an alert or a place on the dashboard.
    Trouble,
    /// Counts observations up to each of these bounds, ascending.
    Histogram(&'static [f64]),
}

impl Kind {
    /// The word of the text format.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter | Self::Trouble => "counter",
            Self::Histogram(_) => "histogram",
        }
    }
}

/// A label: a name and what it may say.
#[derive(Debug)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// What it may say.
    pub values: Values,
}

/// What a label may say. Whatever else somebody counts under it becomes [`OTHER`].
#[derive(Debug, Clone, Copy)]
pub enum Values {
    /// One of these words.
    Words(fn() -> Vec<&'static str>),
    /// Names of this node's own (configuration, routes, workers): what they are, and at most how many.
    Names(&'static str, usize),
}

/// What is counted under no name of its own.
pub const OTHER: &str = "other";

impl Values {
    /// The words, if it is a closed set.
    #[must_use]
    pub fn words(self) -> Option<Vec<&'static str>> {
        match self {
            Self::Words(words) => Some(words()),
            Self::Names(..) => None,
        }
    }

    /// Most values, [`OTHER`] among them.
    #[must_use]
    pub fn bound(self) -> usize {
        match self {
            Self::Words(words) => words().len().saturating_add(1),
            Self::Names(_, most) => most.saturating_add(1),
        }
    }
}

impl Definition {
    /// Most lines this metric can have in the text format, without HELP and TYPE.
    #[must_use]
    pub fn bound(&self) -> usize {
        let series = self.labels.iter().fold(1, |all: usize, label| all.saturating_mul(label.values.bound()));
        match self.kind {
            Kind::Gauge | Kind::Counter | Kind::Trouble => series,
            // Each bound, infinity, sum and count.
            Kind::Histogram(bounds) => series.saturating_mul(bounds.len().saturating_add(3)),
        }
    }
}
