//! Metrics: [`catalogue`] names them all; counters, text, the README's table and the checks of `config/deploy` are made
//! from it. Labels are closed sets; no call, address, number or path of a client ever becomes one.
//!
//! ```text
//! catalogue ─ definition, labels      what there is
//! handles ─ measures, Metrics         what is counted as it happens
//! pulled, process                     what is read at the scrape
//! family                              numbers at one moment, on their way to the text format
//! ```

use std::time::Duration;

use jiff::Timestamp;
use prometheus::{Encoder, TextEncoder};
use trunkline_config::Config;
use trunkline_media::worker::WorkerStats;
use trunkline_signaling::endpoint::EndpointStats;
use trunkline_signaling::targets::ResolverStats;
use trunkline_signaling::transport::ConnectionStats;

pub mod catalogue;
pub mod definition;
mod family;
mod handles;
mod hooks;
mod labels;
mod measures;
mod process;
mod pulled;
#[cfg(test)]
mod tests;

pub use family::Family;
pub use hooks::HookMeasures;
pub use measures::{CallMeasures, DropsSeen};

use crate::calls::CallCounters;
use crate::events::SeatStats;
use crate::outbox::OutletStats;
use crate::reload::ReloadStats;
use crate::session::context::{Drop, Report};
use crate::store::StoreStats;
use crate::trunks::RegistrationCounts;
use handles::{Ledger, Tally};

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

/// What the two listeners count as it happens. The calls count for themselves ([`CallMeasures`]).
pub struct Metrics {
    http_requests: Ledger,
    connections_refused: Tally,
    handshakes_failed: Tally,
    sessions_opened: Tally,
    session_rejections: Tally,
    call_refusals: Tally,
    context_keys_dropped: Tally,
    context_values_truncated: Tally,
    client_reports: Tally,
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
    /// Its connections.
    pub connections: ConnectionStats,
    /// Those of browsers whose media comes over TCP.
    pub browser_connections: trunkline_media::worker::ConnectionStats,
    /// The store of ended calls, if there is one.
    pub store: Option<StoreStats>,
    /// Events and who reads them.
    pub events: EventCounters,
    /// Webhooks, by integration.
    pub webhooks: Vec<OutletStats>,
    /// What the configuration has room for.
    pub capacity: Capacity,
    /// The registrations of trunks.
    pub registrations: Vec<RegistrationCounts>,
    /// What name servers said of trunks.
    pub dns: ResolverStats,
    /// How the configuration came to be in force.
    pub reloads: ReloadStats,
    /// When the public listener's certificate ends, if it has one.
    pub certificate_expires: Option<Timestamp>,
}

/// Events and who reads them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventCounters {
    /// Durable events, by name.
    pub by_name: Vec<(&'static str, u64)>,
    /// Streams.
    pub seats: SeatStats,
}

/// What the configuration has room for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capacity {
    /// RTP port pairs.
    pub rtp_pairs: usize,
    /// `max_calls` of each app, by name.
    pub apps: Vec<(String, u32)>,
    /// `max_calls` of each trunk, by name.
    pub trunks: Vec<(String, u32)>,
}

impl Capacity {
    /// Of a configuration.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let ports = &config.media.rtp_ports;
        // An even port and the odd one above.
        let pairs = ports.clone().filter(|port| port.is_multiple_of(2) && port < ports.end()).count();
        Self {
            rtp_pairs: pairs,
            apps: config.apps.iter().map(|app| (app.id.clone(), app.max_calls)).collect(),
            trunks: config.trunks.iter().map(|trunk| (trunk.id.clone(), trunk.max_calls)).collect(),
        }
    }
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
        Self {
            http_requests: Ledger::new(&catalogue::HTTP_REQUESTS),
            connections_refused: Tally::new(&catalogue::HTTP_CONNECTIONS_REFUSED),
            handshakes_failed: Tally::new(&catalogue::HTTP_TLS_FAILURES),
            sessions_opened: Tally::new(&catalogue::SESSIONS_OPENED),
            session_rejections: Tally::new(&catalogue::SESSION_REJECTIONS),
            call_refusals: Tally::new(&catalogue::CALL_REFUSALS),
            context_keys_dropped: Tally::new(&catalogue::CONTEXT_KEYS_DROPPED),
            context_values_truncated: Tally::new(&catalogue::CONTEXT_VALUES_TRUNCATED),
            client_reports: Tally::new(&catalogue::CLIENT_REPORTS),
        }
    }

    /// A request was answered. `route` is a template of ours, never a client's path.
    pub fn http_request(&self, listener: Listener, route: &str, code: u16) {
        self.http_requests.add(&[&code.to_string(), listener.as_str(), route]);
    }

    /// A connection was closed because of a limit.
    pub fn connection_refused(&self, listener: Listener, limit: &'static str) {
        self.connections_refused.add(&[limit, listener.as_str()], 1);
    }

    /// A TCP connection became no TLS connection.
    pub fn handshake_failed(&self, reason: &'static str) {
        self.handshakes_failed.add(&[reason], 1);
    }

    /// A session was opened.
    pub fn session_opened(&self, report: &Report) {
        self.sessions_opened.add(&[], 1);
        for (count, reason) in report.drop_counts.iter().zip(Drop::ALL) {
            self.context_keys_dropped.add(&[reason.as_str()], *count);
        }
        self.context_values_truncated.add(&[], u64::try_from(report.truncated.len()).unwrap_or(0));
    }

    /// A session was refused with a problem.
    pub fn session_rejected(&self, slug: &'static str) {
        self.session_rejections.add(&[slug], 1);
    }

    /// An offer was refused with a problem; there is no call and so no outcome.
    pub fn call_refused(&self, slug: &'static str) {
        self.call_refusals.add(&[slug], 1);
    }

    /// A browser reported something of itself, under a published code.
    pub fn client_reported(&self, code: &'static str) {
        self.client_reports.add(&[code], 1);
    }

    /// Everything, in the text format.
    #[must_use]
    pub fn render(&self, snapshot: &Snapshot) -> String {
        let mut families = self.families(snapshot);
        families.retain(|family| !family.rows.is_empty());
        families.sort_by_key(|family| family.definition.name);
        let families: Vec<_> = families.into_iter().map(Family::encode).collect();
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&families, &mut text) {
            tracing::error!(%error, "metrics cannot be written");
        }
        String::from_utf8(text).unwrap_or_default()
    }

    fn families(&self, snapshot: &Snapshot) -> Vec<Family> {
        let tallies = [
            &self.connections_refused,
            &self.handshakes_failed,
            &self.sessions_opened,
            &self.session_rejections,
            &self.call_refusals,
            &self.context_keys_dropped,
            &self.context_values_truncated,
            &self.client_reports,
        ];
        let mut families = pulled::families(snapshot);
        families.extend(tallies.map(Tally::read));
        families.push(self.http_requests.read());
        families
    }
}
