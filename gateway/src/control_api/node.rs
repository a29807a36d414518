//! The node itself: how it is, and how much it carries.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use trunkline_config::Scope;

use super::{Api, auth, upkeep};
use crate::clock::rfc3339;
use crate::metrics::{Capacity, EventCounters, Snapshot, TEXT_FORMAT};
use crate::openapi::schemas::{Health, Node};
use crate::problem::Problem;

/// The process answers
#[utoipa::path(get, path = "/healthz", tag = "node",
    responses((status = 200, description = "It does", body = Health)))]
pub(super) async fn healthz() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// New calls are taken
#[utoipa::path(get, path = "/readyz", tag = "node",
    responses((status = 200, description = "They are", body = Health), (status = 503, description = "`draining`")))]
pub(super) async fn readyz(State(api): State<Arc<Api>>) -> Result<Json<Value>, Problem> {
    api.calls.admit()?;
    Ok(Json(json!({"status": "ready"})))
}

/// Metrics for Prometheus
///
/// Needs no key, and says nothing of anybody.
#[utoipa::path(get, path = "/metrics", tag = "node",
    responses((status = 200, description = "In the text format", body = String, content_type = TEXT_FORMAT)))]
pub(super) async fn metrics(State(api): State<Arc<Api>>) -> Response {
    ([(header::CONTENT_TYPE, TEXT_FORMAT)], api.metrics.render(&snapshot(&api).await)).into_response()
}

/// How the node is
#[utoipa::path(get, path = "/v1/node", tag = "node", security(("api_key" = ["read"])),
    responses((status = 200, description = "Version, load, admission", body = Node)))]
pub(super) async fn node(State(api): State<Arc<Api>>, headers: HeaderMap) -> Result<Json<Value>, Problem> {
    auth::require(&api, &headers, Scope::Read)?;
    let now = snapshot(&api).await;
    let workers: Vec<Value> = now
        .workers
        .iter()
        .enumerate()
        .map(|(n, worker)| {
            json!({
                "worker": n, "calls": worker.calls, "leased_pairs": worker.leased_pairs,
                "quarantined_pairs": worker.quarantined_pairs, "received": worker.received, "sent": worker.sent,
                "stray": worker.stray,
            })
        })
        .collect();
    Ok(Json(json!({
        "node": api.settings.load().node.name, "version": env!("CARGO_PKG_VERSION"),
        "started_at": rfc3339(api.started.wall), "uptime_seconds": now.uptime.as_secs(),
        "calls": {"live": now.calls.live, "started": now.calls.started}, "sessions": now.sessions, "draining": now.draining,
        "drain": api.calls.draining().map(upkeep::Drain::from),
        "configuration": upkeep::Configuration::of(&api), "workers": workers,
        "sip": {"legs": now.sip.legs, "transactions": now.sip.transactions},
    })))
}

/// Everything that is read at the moment somebody asks.
async fn snapshot(api: &Api) -> Snapshot {
    let planes = (api.gauges)().await;
    let now = api.clock.now();
    Snapshot {
        calls: api.calls.counters(),
        sessions: api.desk.reap(now),
        draining: api.calls.is_draining(),
        capacity: Capacity::of(&api.settings.load()),
        store: Some(api.calls.store().stats()),
        events: EventCounters { by_name: api.calls.store().events_by_name(), seats: api.calls.seats().stats() },
        webhooks: api.webhooks.stats(),
        registrations: api.trunks.registrations().counts(),
        dns: api.trunks.finder().stats(),
        reloads: api.reloader.stats(),
        certificate_expires: api.settings.load().public.tls.as_ref().map(|tls| tls.identity.expires()),
        uptime: now.instant.saturating_duration_since(api.started.instant),
        ..planes
    }
}
