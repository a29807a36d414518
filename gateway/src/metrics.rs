//! Every metric the gateway publishes: one file names them all. Labels are closed sets; no call, address, number or path
//! of a client ever becomes one. What others count in plain integers is read at the scrape.

use std::time::Duration;

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder, IntCounter, IntCounterVec, Opts, Registry, TextEncoder};
use trunkline_media::worker::WorkerStats;
use trunkline_signaling::endpoint::EndpointStats;

use crate::calls::CallCounters;
use crate::session::context::{Drop, Report};

/// The media type of the text format.
pub const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Which listener a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// Browsers.
    Public,
    /// Operators and back ends.
    Control,
}

impl Listener {
    fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Control => "control",
        }
    }
}

/// What is counted as it happens.
pub struct Metrics {
    registry: Registry,
    http_requests: IntCounterVec,
    connections_refused: IntCounterVec,
    sessions_opened: IntCounter,
    session_rejections: IntCounterVec,
    call_refusals: IntCounterVec,
    context_keys_dropped: IntCounterVec,
    context_values_truncated: IntCounter,
    client_reports: IntCounterVec,
}

/// What is read at the scrape.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// What the calls count.
    pub calls: CallCounters,
    /// Sessions that may still start a call.
    pub sessions: usize,
    /// No new calls are taken.
    pub draining: bool,
    /// Since the start.
    pub uptime: Duration,
    /// The media plane, by worker.
    pub workers: Vec<WorkerStats>,
    /// The SIP endpoint.
    pub sip: EndpointStats,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at nought.
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::new();
        let of = |name, help, labels: &[&str]| counter_vec(&registry, name, help, labels);
        Self {
            http_requests: of(
                "trunkline_http_requests_total",
                "HTTP requests by listener, route template and status",
                &["listener", "route", "code"],
            ),
            connections_refused: of(
                "trunkline_http_connections_refused_total",
                "TCP connections closed at once because of a limit",
                &["listener", "limit"],
            ),
            session_rejections: of(
                "trunkline_session_rejections_total",
                "Sessions that were refused, by problem",
                &["reason"],
            ),
            call_refusals: of("trunkline_call_refusals_total", "Offers that became no call, by problem", &["reason"]),
            context_keys_dropped: of(
                "trunkline_context_keys_dropped_total",
                "Context keys that were not kept, by reason",
                &["reason"],
            ),
            client_reports: of("trunkline_client_reports_total", "Reports from browsers, by code", &["code"]),
            sessions_opened: counter(&registry, "trunkline_sessions_opened_total", "Sessions that were opened"),
            context_values_truncated: counter(
                &registry,
                "trunkline_context_values_truncated_total",
                "Context values that were cut to size",
            ),
            registry,
        }
    }

    /// A request was answered. `route` is a template of ours, never a client's path.
    pub fn http_request(&self, listener: Listener, route: &str, code: u16) {
        self.http_requests.with_label_values(&[listener.as_str(), route, &code.to_string()]).inc();
    }

    /// A connection was closed because of a limit.
    pub fn connection_refused(&self, listener: Listener, limit: &'static str) {
        self.connections_refused.with_label_values(&[listener.as_str(), limit]).inc();
    }

    /// A session was opened.
    pub fn session_opened(&self, report: &Report) {
        self.sessions_opened.inc();
        for (count, reason) in report.drop_counts.iter().zip(Drop::ALL) {
            self.context_keys_dropped.with_label_values(&[reason.as_str()]).inc_by(*count);
        }
        self.context_values_truncated.inc_by(u64::try_from(report.truncated.len()).unwrap_or(0));
    }

    /// A session was refused with a problem.
    pub fn session_rejected(&self, slug: &'static str) {
        self.session_rejections.with_label_values(&[slug]).inc();
    }

    /// An offer was refused with a problem; there is no call and so no outcome.
    pub fn call_refused(&self, slug: &'static str) {
        self.call_refusals.with_label_values(&[slug]).inc();
    }

    /// A browser reported something of itself, under a published code.
    pub fn client_reported(&self, code: &'static str) {
        self.client_reports.with_label_values(&[code]).inc();
    }

    /// Everything, in the text format.
    #[must_use]
    pub fn render(&self, snapshot: &Snapshot) -> String {
        let mut families = self.registry.gather();
        families.extend(pulled(snapshot));
        families.sort_by(|a, b| a.name().cmp(b.name()));
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&families, &mut text) {
            tracing::error!(%error, "metrics cannot be written");
        }
        String::from_utf8(text).unwrap_or_default()
    }
}

/// The families read at the scrape.
fn pulled(snapshot: &Snapshot) -> Vec<MetricFamily> {
    let mut families = vec![
        gauge("trunkline_sessions", "Sessions that may still start a call", snapshot.sessions as f64),
        gauge("trunkline_draining", "1 while no new calls are taken", f64::from(u8::from(snapshot.draining))),
        gauge("trunkline_uptime_seconds", "Since the start", snapshot.uptime.as_secs_f64()),
        labelled(
            "trunkline_build_info",
            "Always 1",
            MetricType::GAUGE,
            [(vec![("version", env!("CARGO_PKG_VERSION").to_owned())], 1.0)],
        ),
    ];
    families.extend(
        resident_bytes().map(|bytes| gauge("trunkline_process_resident_memory_bytes", "Resident memory", bytes as f64)),
    );
    families
        .extend(open_files().map(|files| gauge("trunkline_process_open_fds", "Open file descriptors", files as f64)));
    families.extend(calls(&snapshot.calls));
    families.extend(workers(&snapshot.workers));
    families.extend(sip(&snapshot.sip));
    families.retain(|family| !family.get_metric().is_empty());
    families
}

/// Name, help, type, and where the number is.
type Row<T> = (&'static str, &'static str, MetricType, fn(&T) -> u64);

fn calls(counters: &CallCounters) -> Vec<MetricFamily> {
    const ROWS: [Row<CallCounters>; 9] = [
        ("trunkline_calls", "Live calls", MetricType::GAUGE, |c| c.live as u64),
        ("trunkline_calls_started_total", "Calls that began", MetricType::COUNTER, |c| c.started),
        ("trunkline_call_panics_total", "Panics caught in calls", MetricType::COUNTER, |c| c.panics),
        (
            "trunkline_call_inbox_overflows_total",
            "Calls ended because their inbox was full",
            MetricType::COUNTER,
            |c| c.inbox_overflows,
        ),
        (
            "trunkline_call_samples_dropped_total",
            "Quality samples a full inbox did not take",
            MetricType::COUNTER,
            |c| c.samples_dropped,
        ),
        (
            "trunkline_call_early_sip_events_dropped_total",
            "SIP events before their leg was known, beyond the limit",
            MetricType::COUNTER,
            |c| c.early_sip_events_dropped,
        ),
        ("trunkline_call_records_dropped_total", "Records of ended calls that made room", MetricType::COUNTER, |c| {
            c.records_dropped
        }),
        ("trunkline_call_fields_dropped_total", "Header fields an INVITE had no room for", MetricType::COUNTER, |c| {
            c.fields_dropped
        }),
        (
            "trunkline_call_commands_refused_total",
            "Commands the media plane had no room for",
            MetricType::COUNTER,
            |c| c.commands_refused,
        ),
    ];
    let outcomes = counters.outcomes.iter().map(|([class, reason, phase], count)| {
        let labels = [("class", *class), ("reason", *reason), ("phase", *phase)];
        (labels.map(|(name, value)| (name, value.to_owned())).to_vec(), *count as f64)
    });
    // Apps and trunks are named in the configuration: a closed set.
    let by_name = |label, rows: &[(String, u32)]| {
        rows.iter().map(|(name, live)| (vec![(label, name.clone())], f64::from(*live))).collect::<Vec<_>>()
    };
    let (apps, trunks) = (by_name("app", &counters.live_by_app), by_name("trunk", &counters.live_by_trunk));
    let mut families = vec![
        labelled("trunkline_calls_total", "Ended calls and refused offers by outcome", MetricType::COUNTER, outcomes),
        labelled("trunkline_app_calls", "Live calls of an app", MetricType::GAUGE, apps),
        labelled("trunkline_trunk_calls", "Live calls on a trunk", MetricType::GAUGE, trunks),
    ];
    families
        .extend(ROWS.map(|(name, help, kind, read)| labelled(name, help, kind, [(Vec::new(), read(counters) as f64)])));
    families
}

fn workers(workers: &[WorkerStats]) -> Vec<MetricFamily> {
    const ROWS: [Row<WorkerStats>; 10] = [
        ("trunkline_worker_calls", "Live calls of a media worker", MetricType::GAUGE, |w| w.calls),
        ("trunkline_worker_leased_pairs", "RTP port pairs in use", MetricType::GAUGE, |w| w.leased_pairs),
        ("trunkline_worker_quarantined_pairs", "RTP port pairs being drained", MetricType::GAUGE, |w| {
            w.quarantined_pairs
        }),
        ("trunkline_worker_datagrams_received_total", "Datagrams in", MetricType::COUNTER, |w| w.received),
        ("trunkline_worker_datagrams_sent_total", "Datagrams out", MetricType::COUNTER, |w| w.sent),
        ("trunkline_worker_send_failures_total", "Datagrams the kernel refused", MetricType::COUNTER, |w| {
            w.send_failures
        }),
        ("trunkline_worker_stray_datagrams_total", "Datagrams of no call", MetricType::COUNTER, |w| w.stray),
        ("trunkline_worker_reports_dropped_total", "Reports the control plane missed", MetricType::COUNTER, |w| {
            w.reports_dropped
        }),
        ("trunkline_worker_commands_dropped_total", "Commands for unknown calls", MetricType::COUNTER, |w| {
            w.commands_dropped
        }),
        ("trunkline_worker_panics_total", "Panics caught", MetricType::COUNTER, |w| w.panics),
    ];
    let each = |read: fn(&WorkerStats) -> u64| {
        let rows = workers.iter().enumerate();
        rows.map(|(n, stats)| (vec![("worker", n.to_string())], read(stats) as f64)).collect::<Vec<_>>()
    };
    ROWS.map(|(name, help, kind, read)| labelled(name, help, kind, each(read))).into()
}

fn sip(stats: &EndpointStats) -> Vec<MetricFamily> {
    const ROWS: [Row<EndpointStats>; 9] = [
        ("trunkline_sip_datagrams_received_total", "SIP datagrams in", MetricType::COUNTER, |s| s.received),
        ("trunkline_sip_datagrams_sent_total", "SIP datagrams out", MetricType::COUNTER, |s| s.sent),
        ("trunkline_sip_retransmissions_total", "Of those out, repeated", MetricType::COUNTER, |s| s.retransmitted),
        ("trunkline_sip_malformed_total", "Datagrams that were no SIP", MetricType::COUNTER, |s| s.malformed),
        ("trunkline_sip_requests_refused_total", "Requests refused without state", MetricType::COUNTER, |s| s.refused),
        ("trunkline_sip_stray_responses_total", "Responses that match nothing", MetricType::COUNTER, |s| {
            s.stray_responses
        }),
        ("trunkline_sip_overload_total", "Refused for want of room", MetricType::COUNTER, |s| s.overload),
        ("trunkline_sip_legs", "Live SIP legs", MetricType::GAUGE, |s| s.legs as u64),
        ("trunkline_sip_transactions", "Live SIP transactions", MetricType::GAUGE, |s| s.transactions as u64),
    ];
    ROWS.map(|(name, help, kind, read)| labelled(name, help, kind, [(Vec::new(), read(stats) as f64)])).into()
}

type Labels = Vec<(&'static str, String)>;

fn gauge(name: &str, help: &str, value: f64) -> MetricFamily {
    labelled(name, help, MetricType::GAUGE, [(Labels::new(), value)])
}

fn labelled(name: &str, help: &str, kind: MetricType, rows: impl IntoIterator<Item = (Labels, f64)>) -> MetricFamily {
    let metric = |(labels, value): (Labels, f64)| {
        let mut metric = Metric::default();
        metric.set_label(labels.into_iter().map(|(name, value)| label(name, value)).collect());
        if kind == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        metric
    };
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(rows.into_iter().map(metric).collect());
    family
}

fn label(name: &str, value: String) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value);
    pair
}

#[allow(clippy::expect_used)] // Names are literals of this file; each test that makes a `Metrics` proves them.
fn counter_vec(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    let counters = IntCounterVec::new(Opts::new(name, help), labels).expect("a metric's name");
    registry.register(Box::new(counters.clone())).expect("a metric's name once");
    counters
}

#[allow(clippy::expect_used)] // As above.
fn counter(registry: &Registry, name: &str, help: &str) -> IntCounter {
    let counter = IntCounter::new(name, help).expect("a metric's name");
    registry.register(Box::new(counter.clone())).expect("a metric's name once");
    counter
}

/// `VmRSS` of proc(5).
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

fn open_files() -> Option<usize> {
    std::fs::read_dir("/proc/self/fd").ok().map(Iterator::count)
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
