//! The listener browsers use.
//!
//! ```text
//! watch (count, time limit) ─ cors (whose page) ─┬─ sessions ─ session::Desk
//!                                                ├─ calls ──── calls::Calls
//!                                                └─ events ─── calls::EventStream
//! ```

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use serde_json::json;
use trunkline_config::Config;

use crate::calls::Calls;
use crate::clock::Clock;
use crate::ids::CallId;
use crate::metrics::{Listener, Metrics};
use crate::problem::Problem;
use crate::session::Desk;

pub mod body;
#[cfg(test)]
mod call_tests;
pub mod calls;
pub mod client;
mod cors;
mod events;
pub mod limits;
pub mod sessions;
#[cfg(test)]
mod tests;
pub mod watch;

use limits::Limiter;

/// What the handlers share.
pub struct Api {
    desk: Arc<Desk>,
    calls: Calls,
    metrics: Arc<Metrics>,
    clock: Clock,
    public_url: String,
    trusted_proxies: Vec<IpAddr>,
    limits: Limits,
}

impl Api {
    /// The public surface of a configuration.
    #[must_use]
    pub fn new(config: &Config, desk: Arc<Desk>, calls: Calls, metrics: Arc<Metrics>, clock: Clock) -> Self {
        Self {
            desk,
            calls,
            metrics,
            clock,
            public_url: config.public.url.clone(),
            trusted_proxies: config.public.trusted_proxies.clone(),
            limits: Limits::new(config),
        }
    }
}

/// How often: per client address, and per call or session.
struct Limits {
    sessions: Limiter<IpAddr>,
    calls: Limiter<IpAddr>,
    steer: Limiter<String>,
    digits: Limiter<String>,
    reports: Limiter<String>,
}

impl Limits {
    fn new(config: &Config) -> Self {
        let limits = &config.public.limits;
        let (sessions, calls) = (limits.sessions_per_minute_per_address, limits.calls_per_minute_per_address);
        Self {
            sessions: Limiter::new(sessions, sessions),
            calls: Limiter::new(calls, calls),
            steer: Limiter::new(240, 60),
            digits: Limiter::new(240, 40),
            reports: Limiter::new(20, 10),
        }
    }

    /// PATCH, reattach, mute and event streams of one call.
    fn steer(&self, now: Instant, call: &CallId) -> Result<(), Problem> {
        self.steer.take(now, call.as_str().to_owned())
    }
}

/// The routes.
pub fn router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/v1/sessions", post(sessions::create).options(options))
        .route("/v1/sessions/{session}/client-report", post(sessions::client_report).options(options))
        .route("/v1/calls", post(calls::start).get(no_content).options(options))
        .route("/v1/calls/{call}", get(calls::look).patch(calls::patch).delete(calls::hang_up).options(options))
        .route("/v1/calls/{call}/reattach", post(calls::reattach).options(options))
        .route("/v1/calls/{call}/dtmf", post(calls::dtmf).options(options))
        .route("/v1/calls/{call}/mute", post(calls::mute).options(options))
        .route("/v1/calls/{call}/events", get(events::follow).options(options))
        .fallback(watch::nothing_here)
        .method_not_allowed_fallback(watch::wrong_method)
        .layer(middleware::from_fn_with_state(api.clone(), cors::guard))
        .layer(middleware::from_fn_with_state(watch::Watch::new(&api.metrics, Listener::Public), watch::watch))
        .layer(watch::nosniff())
        .with_state(api)
}

async fn healthz() -> Response {
    Json(json!({"status": "ok"})).into_response()
}

async fn options(request: Request) -> Response {
    cors::options_answer(request.uri().path())
}

/// GET on the endpoint is answered without content (RFC 9725 section 4.2).
async fn no_content(State(_): State<Arc<Api>>) -> StatusCode {
    StatusCode::NO_CONTENT
}
