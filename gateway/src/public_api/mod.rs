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
use axum::{Json, Router, middleware};
use serde_json::json;
use trunkline_config::PublicLimits;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use crate::calls::Calls;
use crate::clock::Clock;
use crate::ids::{CallId, SessionId};
use crate::limiter::{Limiter, Rate};
use crate::metrics::{Listener, Metrics};
use crate::openapi::schemas::Health;
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
mod probes;
mod receive;
#[cfg(test)]
mod receive_tests;
#[cfg(test)]
mod session_tests;
pub mod sessions;
#[cfg(test)]
mod tests;
pub mod watch;

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
        self.sessions.take(now, Rate::a_minute(limits.sessions_per_minute_per_address), client)
    }

    /// `POST /v1/calls` of one client.
    fn call(&self, now: Instant, limits: PublicLimits, client: IpAddr) -> Result<(), Problem> {
        self.calls.take(now, Rate::a_minute(limits.calls_per_minute_per_address), client)
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

/// The routes.
pub fn router(api: Arc<Api>) -> Router {
    Router::from(routes())
        .fallback(watch::nothing_here)
        .method_not_allowed_fallback(watch::wrong_method)
        .layer(middleware::from_fn_with_state(api.clone(), cors::guard))
        .layer(middleware::from_fn_with_state(watch::Watch::new(&api.metrics, Listener::Public), watch::watch))
        .layer(watch::nosniff())
        .with_state(api)
}

/// What the listener's routes take and answer.
pub(crate) fn document() -> OpenApi {
    routes().into_openapi()
}

/// Each route with its entry in the document. All of them answer OPTIONS.
fn routes() -> OpenApiRouter<Arc<Api>> {
    let with_options = |routes: UtoipaMethodRouter<Arc<Api>>| routes.map(|methods| methods.options(options));
    OpenApiRouter::with_openapi(OpenApi::default())
        .routes(routes!(healthz))
        .routes(with_options(routes!(sessions::create)))
        .routes(with_options(routes!(sessions::client_report)))
        .routes(with_options(routes!(calls::start, no_content)))
        .routes(with_options(routes!(calls::look, calls::patch, calls::hang_up)))
        .routes(with_options(routes!(receive::follow)))
        .routes(with_options(routes!(receive::decline)))
        .routes(with_options(routes!(calls::reattach)))
        .routes(with_options(routes!(calls::dtmf)))
        .routes(with_options(routes!(calls::mute)))
        .routes(with_options(routes!(events::follow)))
        .routes(with_options(routes!(probes::begin)))
        .routes(with_options(routes!(probes::verdict)))
}

/// The process answers
#[utoipa::path(get, path = "/healthz", tag = "node",
    responses((status = 200, description = "It does", body = Health)))]
async fn healthz() -> Response {
    Json(json!({"status": "ok"})).into_response()
}

async fn options(request: Request) -> Response {
    cors::options_answer(request.uri().path())
}

/// Nothing to see
///
/// A WHIP endpoint answers GET without content (RFC 9725 section 4.2).
#[utoipa::path(get, path = "/v1/calls", tag = "calls", responses((status = 204, description = "Nothing")))]
async fn no_content(State(_): State<Arc<Api>>) -> StatusCode {
    StatusCode::NO_CONTENT
}
