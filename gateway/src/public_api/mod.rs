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
use trunkline_config::PublicLimits;

use crate::calls::Calls;
use crate::clock::Clock;
use crate::ids::{CallId, SessionId};
use crate::metrics::{Listener, Metrics};
use crate::problem::Problem;
use crate::session::Desk;
use crate::settings::Settings;

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

use limits::{Limiter, Rate};

const STEER: Rate = Rate { per_minute: 240, burst: 60 };
const DIGITS: Rate = Rate { per_minute: 240, burst: 40 };
const REPORTS: Rate = Rate { per_minute: 20, burst: 10 };

/// What the handlers share.
pub struct Api {
    desk: Arc<Desk>,
    calls: Calls,
    metrics: Arc<Metrics>,
    clock: Clock,
    settings: Settings,
    limits: Limits,
}

impl Api {
    /// The public surface.
    #[must_use]
    pub fn new(settings: Settings, desk: Arc<Desk>, calls: Calls, metrics: Arc<Metrics>, clock: Clock) -> Self {
        Self { desk, calls, metrics, clock, settings, limits: Limits::default() }
    }
}

/// How often: per client address, and per call or session.
#[derive(Default)]
struct Limits {
    sessions: Limiter<IpAddr>,
    calls: Limiter<IpAddr>,
    steer: Limiter<String>,
    digits: Limiter<String>,
    reports: Limiter<String>,
}

impl Limits {
    /// `POST /v1/sessions` of one client.
    fn session(&self, now: Instant, limits: PublicLimits, client: IpAddr) -> Result<(), Problem> {
        self.sessions.take(now, a_minute(limits.sessions_per_minute_per_address), client)
    }

    /// `POST /v1/calls` of one client.
    fn call(&self, now: Instant, limits: PublicLimits, client: IpAddr) -> Result<(), Problem> {
        self.calls.take(now, a_minute(limits.calls_per_minute_per_address), client)
    }

    /// PATCH, reattach, mute and event streams of one call.
    fn steer(&self, now: Instant, call: &CallId) -> Result<(), Problem> {
        self.steer.take(now, STEER, call.as_str().to_owned())
    }

    /// Digits of one call.
    fn digits(&self, now: Instant, call: &CallId) -> Result<(), Problem> {
        self.digits.take(now, DIGITS, call.as_str().to_owned())
    }

    /// Reports of one session.
    fn report(&self, now: Instant, session: &SessionId) -> Result<(), Problem> {
        self.reports.take(now, REPORTS, session.as_str().to_owned())
    }
}

/// All of a minute's at once, if somebody likes.
fn a_minute(per_minute: u32) -> Rate {
    Rate { per_minute, burst: per_minute }
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
