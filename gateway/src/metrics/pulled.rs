//! What others count in plain integers, read at the scrape.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use trunkline_media::worker::WorkerStats;
use trunkline_signaling::admission::AdmissionStats;
use trunkline_signaling::endpoint::EndpointStats;
use trunkline_signaling::targets::ResolverStats;
use trunkline_signaling::transport::ConnectionStats;

use super::catalogue as m;
use super::definition::Definition;
use super::family::{Family, Row, Value};
use super::labels::{ADMISSION, ADMITTANCES, ENDED, ERRORS, PHASES, REFUSALS, REFUSED};
use super::{EventCounters, Snapshot, process};
use crate::calls::CallCounters;
use crate::outbox::OutletStats;
use crate::outcome::{Class, Phase, Refusal};
use crate::store::StoreStats;
use crate::trunks::RegistrationCounts;

/// A metric, and where its number is.
type Column<T> = (&'static Definition, fn(&T) -> u64);

/// All families that are read at the scrape.
pub(super) fn families(snapshot: &Snapshot) -> Vec<Family> {
    let mut families = vec![
        Family::single(&m::SESSIONS, snapshot.sessions as f64),
        Family::single(&m::RECEIVERS, snapshot.calls.receivers as f64),
        Family::single(&m::DRAINING, f64::from(u8::from(snapshot.draining))),
        Family::single(&m::UPTIME, snapshot.uptime.as_secs_f64()),
        Family::by(&m::BUILD_INFO, [(env!("CARGO_PKG_VERSION"), 1.0)]),
        Family::single(&m::RTP_PAIRS, snapshot.capacity.rtp_pairs as f64),
        by_name(&m::APP_CALLS_MAX, &snapshot.capacity.apps),
        by_name(&m::TRUNK_CALLS_MAX, &snapshot.capacity.trunks),
        Family::by(
            &m::CONFIG_RELOADS,
            [("applied", snapshot.reloads.applied as f64), ("refused", snapshot.reloads.refused as f64)],
        ),
        Family::single(&m::CONFIG_LOADED, seconds(snapshot.reloads.loaded_at)),
        invariants(snapshot),
    ];
    families.extend(snapshot.certificate_expires.map(|at| Family::single(&m::CERTIFICATE_EXPIRY, seconds(at))));
    families.extend(process::families());
    families.extend(calls(&snapshot.calls));
    families.extend(workers(&snapshot.workers));
    families.extend(sip(&snapshot.sip));
    families.extend(connections(&snapshot.connections));
    families.extend(browser_connections(&snapshot.browser_connections));
    families.extend(snapshot.store.iter().flat_map(store));
    families.extend(events(&snapshot.events));
    families.extend(webhooks(&snapshot.webhooks));
    families.extend(registrations(&snapshot.registrations));
    families.extend(dns(&snapshot.dns));
    families
}

fn calls(counters: &CallCounters) -> Vec<Family> {
    const COLUMNS: [Column<CallCounters>; 10] = [
        (&m::CALLS, |c| c.live as u64),
        (&m::CALL_TASKS, |c| c.tasks as u64),
        (&m::CALLS_STARTED, |c| c.started),
        (&m::CALL_PANICS, |c| c.panics),
        (&m::CALL_INBOX_OVERFLOWS, |c| c.inbox_overflows),
        (&m::CALL_SAMPLES_DROPPED, |c| c.samples_dropped),
        (&m::CALL_EARLY_SIP_EVENTS_DROPPED, |c| c.early_sip_events_dropped),
        (&m::CALL_RECORDS_DROPPED, |c| c.records_dropped),
        (&m::CALL_FIELDS_DROPPED, |c| c.fields_dropped),
        (&m::CALL_COMMANDS_REFUSED, |c| c.commands_refused),
    ];
    let named = [
        outcomes(counters),
        by_name(&m::APP_CALLS, &counters.live_by_app),
        by_name(&m::TRUNK_CALLS, &counters.live_by_trunk),
    ];
    named.into_iter().chain(singles(&COLUMNS, counters)).chain(counters.measures.iter().cloned()).collect()
}

/// Every outcome that there can be is there from the start, so that its first shows as an increase.
fn outcomes(counters: &CallCounters) -> Family {
    let words = |class: Class, reasons: &'static [&'static str]| {
        reasons.iter().flat_map(move |reason| PHASES.map(Phase::word).map(|phase| [class.word(), reason, phase]))
    };
    let refused = REFUSALS.map(Refusal::word).map(|reason| [REFUSED, reason, ADMISSION]);
    let possible = words(Class::Ended, &ENDED).chain(words(Class::Error, &ERRORS)).chain(refused);
    let mut counts: BTreeMap<[&'static str; 3], u64> = possible.map(|labels| (labels, 0)).collect();
    counts.extend(counters.outcomes.iter().copied());
    let row = |(labels, count): ([&'static str; 3], u64)| Row {
        labels: labels.map(Cow::Borrowed).into(),
        value: Value::Number(count as f64),
    };
    Family { definition: &m::CALLS_ENDED, rows: counts.into_iter().map(row).collect() }
}

fn workers(workers: &[WorkerStats]) -> Vec<Family> {
    const COLUMNS: [Column<WorkerStats>; 14] = [
        (&m::WORKER_CALLS, |w| w.calls),
        (&m::WORKER_LEASED_PAIRS, |w| w.leased_pairs),
        (&m::WORKER_QUARANTINED_PAIRS, |w| w.quarantined_pairs),
        (&m::WORKER_PORTS_IN_USE, |w| w.ports_in_use),
        (&m::WORKER_RECEIVED, |w| w.received),
        (&m::WORKER_SENT, |w| w.sent),
        (&m::WORKER_SEND_FAILURES, |w| w.send_failures),
        (&m::WORKER_STRAY, |w| w.stray),
        (&m::WORKER_FLOODED, |w| w.flooded),
        (&m::WORKER_SOCKET_DROPS, |w| w.socket_drops),
        (&m::WORKER_REPORTS_DROPPED, |w| w.reports_dropped),
        (&m::WORKER_COMMANDS_DROPPED, |w| w.commands_dropped),
        (&m::WORKER_PANICS, |w| w.panics),
        (&m::WORKER_COMPLEXITY, |w| w.complexity),
    ];
    let family = |(definition, read): Column<WorkerStats>| {
        Family::by(definition, workers.iter().enumerate().map(|(n, worker)| (n.to_string(), read(worker) as f64)))
    };
    let cpu = |(n, worker): (usize, &WorkerStats)| (n.to_string(), worker.cpu_us as f64 / 1e6);
    let lateness = |(n, worker): (usize, &WorkerStats)| Row {
        labels: vec![n.to_string().into()],
        value: Value::Distribution { counts: worker.lateness.counts.into(), sum: worker.lateness.sum_us as f64 / 1e6 },
    };
    let mut families: Vec<Family> = COLUMNS.map(family).into();
    families.push(Family::by(&m::WORKER_CPU, workers.iter().enumerate().map(cpu)));
    let rows = workers.iter().enumerate().map(lateness).collect();
    families.push(Family { definition: &m::WORKER_LATENESS, rows });
    families
}

fn sip(stats: &EndpointStats) -> Vec<Family> {
    const COLUMNS: [Column<EndpointStats>; 17] = [
        (&m::SIP_LEGS, |s| s.legs as u64),
        (&m::SIP_TRANSACTIONS, |s| s.transactions as u64),
        (&m::SIP_RECEIVED, |s| s.received),
        (&m::SIP_SENT, |s| s.sent),
        (&m::SIP_RETRANSMISSIONS, |s| s.retransmitted),
        (&m::SIP_MALFORMED, |s| s.malformed),
        (&m::SIP_REFUSED, |s| s.refused),
        (&m::SIP_STRAY_RESPONSES, |s| s.stray_responses),
        (&m::SIP_OVERLOAD, |s| s.overload),
        (&m::SIP_DROPPED, |s| s.dropped),
        (&m::SIP_UNTOLD, |s| s.untold),
        (&m::SIP_LOST_ENDED, |s| s.lost_ended),
        (&m::SIP_UNKEPT, |s| s.unkept),
        (&m::SIP_GROWN, |s| s.grown),
        (&m::SIP_SHRUNK, |s| s.shrunk),
        (&m::SIP_RESENT, |s| s.resent),
        (&m::SIP_MOVED, |s| s.moved),
    ];
    singles(&COLUMNS, stats).chain([admission(&stats.admission)]).collect()
}

fn admission(stats: &AdmissionStats) -> Family {
    let AdmissionStats { known, proved, challenged, wrong, answered, silenced } = *stats;
    let counts = [known, proved, challenged, wrong, answered, silenced];
    Family::by(&m::SIP_ADMISSION, ADMITTANCES.into_iter().zip(counts.map(|count| count as f64)))
}

fn connections(stats: &ConnectionStats) -> Vec<Family> {
    const COLUMNS: [Column<ConnectionStats>; 8] = [
        (&m::SIP_CONNECTIONS, |s| s.live),
        (&m::SIP_CONNECTIONS_OPENED, |s| s.opened),
        (&m::SIP_CONNECTIONS_FAILED, |s| s.failed),
        (&m::SIP_CONNECTIONS_ACCEPTED, |s| s.accepted),
        (&m::SIP_CONNECTIONS_REFUSED, |s| s.refused),
        (&m::SIP_TLS_FAILURES, |s| s.unencrypted),
        (&m::SIP_QUEUE_FULL, |s| s.queue_full),
        (&m::SIP_PINGS, |s| s.pings),
    ];
    let closed = [
        ("broken", stats.broken),
        ("idle", stats.idle),
        ("silent", stats.silent),
        ("slow", stats.slow),
        ("stalled", stats.stalled),
        ("too_long", stats.too_long),
        ("unreadable", stats.unreadable),
    ];
    let closed = closed.map(|(why, count)| (why.to_owned(), count as f64));
    singles(&COLUMNS, stats).chain([Family::by(&m::SIP_CONNECTIONS_CLOSED, closed)]).collect()
}

fn browser_connections(stats: &trunkline_media::worker::ConnectionStats) -> Vec<Family> {
    const COLUMNS: [Column<trunkline_media::worker::ConnectionStats>; 4] = [
        (&m::MEDIA_CONNECTIONS, |s| s.live),
        (&m::MEDIA_CONNECTIONS_ACCEPTED, |s| s.accepted),
        (&m::MEDIA_CONNECTIONS_REFUSED, |s| s.refused),
        (&m::MEDIA_CONNECTION_DROPS, |s| s.dropped),
    ];
    singles(&COLUMNS, stats).collect()
}

fn store(stats: &StoreStats) -> Vec<Family> {
    const COLUMNS: [Column<StoreStats>; 15] = [
        (&m::STORE_QUEUE, |s| s.waiting as u64),
        (&m::STORE_WRITTEN, |s| s.written),
        (&m::STORE_DROPPED, |s| s.dropped),
        (&m::STORE_SHED, |s| s.shed),
        (&m::STORE_UNJOURNALLED, |s| s.unjournalled),
        (&m::STORE_LEGS_LEFT_OUT, |s| s.legs_left_out),
        (&m::STORE_EXPIRED, |s| s.expired),
        (&m::STORE_FAILURES, |s| s.failures),
        (&m::STORE_FAILING, |s| u64::from(s.failing)),
        (&m::STORE_BYTES, |s| s.bytes),
        (&m::EVENTS_BACKLOG, |s| s.backlog_bytes),
        (&m::EVENTS_LOST, |s| s.events_lost),
        (&m::EVENTS_EARLY, |s| s.events_early),
        (&m::EVENTS_EXPIRED, |s| s.events_expired),
        (&m::DELIVERIES_SKIPPED, |s| s.deliveries_skipped),
    ];
    singles(&COLUMNS, stats).collect()
}

/// Every name is there from the start, so that its first shows as an increase.
fn events(events: &EventCounters) -> Vec<Family> {
    let seats = events.seats;
    let by_listener = |definition, of_calls: u64, of_all: u64| {
        Family::by(definition, [("public", of_calls as f64), ("control", of_all as f64)])
    };
    vec![
        Family::by(&m::EVENTS, events.by_name.iter().map(|(name, count)| (*name, *count as f64))),
        by_listener(&m::EVENT_STREAMS, seats.of_calls as u64, seats.of_all as u64),
        by_listener(&m::EVENT_STREAMS_REFUSED, seats.of_calls_refused, seats.of_all_refused),
        Family::single(&m::EVENT_READERS_LAGGED, seats.lagged as f64),
    ]
}

fn webhooks(outlets: &[OutletStats]) -> [Family; 4] {
    let by = |definition, read: fn(&OutletStats) -> u64| {
        Family::by(definition, outlets.iter().map(|one| (one.integration.clone(), read(one) as f64)))
    };
    let by_word = |definition, read: fn(&OutletStats) -> &[(&'static str, u64)]| {
        let row = |(one, (word, count)): (&OutletStats, &(&'static str, u64))| Row {
            labels: vec![one.integration.clone().into(), Cow::Borrowed(*word)],
            value: Value::Number(*count as f64),
        };
        let words = outlets.iter().flat_map(|one| read(one).iter().map(move |count| (one, count)));
        Family { definition, rows: words.map(row).collect() }
    };
    [
        by(&m::WEBHOOK_PENDING, |one| one.pending),
        by(&m::WEBHOOK_PAUSED, |one| u64::from(one.paused)),
        by_word(&m::WEBHOOK_DELIVERIES, |one| &one.deliveries),
        by_word(&m::WEBHOOK_ATTEMPTS, |one| &one.attempts),
    ]
}

fn dns(stats: &ResolverStats) -> [Family; 3] {
    let answers = [
        ("found", stats.found as f64),
        ("nothing", stats.nothing as f64),
        ("failed", stats.failed as f64),
        ("timed_out", stats.timed_out as f64),
    ];
    [
        Family::by(&m::DNS_ANSWERS, answers),
        Family::single(&m::DNS_LAST_GOOD, stats.last_good as f64),
        Family::single(&m::DNS_REFUSED, stats.refused as f64),
    ]
}

fn registrations(counts: &[RegistrationCounts]) -> [Family; 2] {
    let registered = counts.iter().map(|one| (one.trunk.clone(), f64::from(u8::from(one.registered))));
    let row = |one: &RegistrationCounts, word: &'static str, count: u64| Row {
        labels: vec![one.trunk.clone().into(), Cow::Borrowed(word)],
        value: Value::Number(count as f64),
    };
    let of = |one: &RegistrationCounts| [row(one, "registered", one.succeeded), row(one, "failed", one.failed)];
    [
        Family::by(&m::TRUNK_REGISTERED, registered),
        Family { definition: &m::TRUNK_REGISTRATIONS, rows: counts.iter().flat_map(of).collect() },
    ]
}

/// Numbers of different owners that are the same whenever nothing is on its way.
fn invariants(snapshot: &Snapshot) -> Family {
    let calls = snapshot.calls.live as u64;
    // A call from a trunk has no media before a browser answers it.
    let with_media = snapshot.calls.with_media as u64;
    let ringing = calls.saturating_sub(with_media);
    let on_trunks = snapshot.calls.live_by_trunk.iter().map(|(_, live)| u64::from(*live)).sum::<u64>();
    let media = |read: fn(&WorkerStats) -> u64| snapshot.workers.iter().map(read).sum::<u64>();
    let gaps = [
        ("call_tasks", calls, snapshot.calls.tasks as u64),
        ("media_calls", with_media, media(|w| w.calls)),
        ("leased_pairs", on_trunks.saturating_sub(ringing), media(|w| w.leased_pairs)),
        ("sip_legs", on_trunks, snapshot.sip.legs as u64),
    ];
    Family::by(&m::INVARIANT_GAP, gaps.map(|(invariant, one, other)| (invariant, one.abs_diff(other) as f64)))
}

fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1_000.0
}

/// Apps and trunks are named in the configuration.
fn by_name(definition: &'static Definition, rows: &[(String, u32)]) -> Family {
    Family::by(definition, rows.iter().map(|(name, calls)| (name.clone(), f64::from(*calls))))
}

fn singles<'a, T>(columns: &'a [Column<T>], of: &'a T) -> impl Iterator<Item = Family> + 'a {
    columns.iter().map(|(definition, read)| Family::single(definition, read(of) as f64))
}

#[cfg(test)]
mod tests {
    use trunkline_media::worker::LATENESS_MS;

    use super::super::definition::Kind;
    use super::*;

    #[test]
    fn the_lateness_of_workers_is_counted_between_the_catalogues_bounds() {
        let Kind::Histogram(bounds) = m::WORKER_LATENESS.kind else { panic!("a histogram") };
        let counted: Vec<f64> = LATENESS_MS.iter().map(|ms| *ms as f64 / 1000.0).collect();
        assert_eq!(bounds, counted);
    }
}
