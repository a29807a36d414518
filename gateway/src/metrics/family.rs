//! A metric's numbers at one moment, and how the text format gets them.

use std::borrow::Cow;

use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use super::definition::{Definition, Kind};

/// A metric's numbers at one moment.
#[derive(Debug, Clone)]
pub struct Family {
    pub(super) definition: &'static Definition,
    pub(super) rows: Vec<Row>,
}

/// One series.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// In the order of the definition.
    pub(super) labels: Vec<Cow<'static, str>>,
    pub(super) value: Value,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    Number(f64),
    /// Observations in each bucket, not cumulative, the last above all bounds; and their sum.
    Distribution {
        counts: Vec<u64>,
        sum: f64,
    },
}

impl Family {
    /// A metric without labels.
    pub(super) fn single(definition: &'static Definition, value: f64) -> Self {
        Self { definition, rows: vec![Row { labels: Vec::new(), value: Value::Number(value) }] }
    }

    /// A metric with one label.
    pub(super) fn by<N: Into<Cow<'static, str>>>(
        definition: &'static Definition,
        rows: impl IntoIterator<Item = (N, f64)>,
    ) -> Self {
        let row = |(name, value): (N, f64)| Row { labels: vec![name.into()], value: Value::Number(value) };
        Self { definition, rows: rows.into_iter().map(row).collect() }
    }

    /// As the encoder takes it.
    pub(super) fn encode(self) -> MetricFamily {
        let Self { definition, rows } = self;
        let mut family = MetricFamily::default();
        family.set_name(definition.name.to_owned());
        family.set_help(definition.help.to_owned());
        family.set_field_type(match definition.kind {
            Kind::Gauge => MetricType::GAUGE,
            Kind::Counter | Kind::Trouble => MetricType::COUNTER,
            Kind::Histogram(_) => MetricType::HISTOGRAM,
        });
        family.set_metric(rows.into_iter().map(|row| metric(definition, row)).collect());
        family
    }
}

fn metric(definition: &Definition, row: Row) -> Metric {
    let label = |(label, value): (&&super::definition::Label, Cow<'static, str>)| {
        let mut pair = LabelPair::default();
        pair.set_name(label.name.to_owned());
        pair.set_value(value.into_owned());
        pair
    };
    let mut metric = Metric::default();
    metric.set_label(definition.labels.iter().zip(row.labels).map(label).collect());
    match (definition.kind, row.value) {
        (Kind::Gauge, Value::Number(value)) => {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        (Kind::Counter | Kind::Trouble, Value::Number(value)) => {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        }
        (Kind::Histogram(bounds), Value::Distribution { counts, sum }) => {
            metric.set_histogram(histogram(bounds, &counts, sum));
        }
        // Whoever makes a family takes its kind from the definition.
        (Kind::Gauge | Kind::Counter | Kind::Trouble, Value::Distribution { .. })
        | (Kind::Histogram(_), Value::Number(_)) => {}
    }
    metric
}

fn histogram(bounds: &[f64], counts: &[u64], sum: f64) -> Histogram {
    let mut so_far = 0_u64;
    let cumulative = bounds.iter().zip(counts).map(|(bound, count)| {
        so_far = so_far.saturating_add(*count);
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound);
        bucket.set_cumulative_count(so_far);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(cumulative.collect());
    histogram.set_sample_count(counts.iter().fold(0, |all, count| all.saturating_add(*count)));
    histogram.set_sample_sum(sum);
    histogram
}
