//! `POST /v1/sessions`, and what a browser reports of itself.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::ToSchema;

use super::body::{expect_type, read, read_json};
use super::client;
use super::cors::CrossOrigin;
use super::{Api, calls};
use crate::calls::Calls;
use crate::ids::SessionId;
use crate::limiter::client_key;
use crate::metrics::Metrics;
use crate::openapi::schemas::SessionAnswer;
use crate::problem::Problem;
use crate::session::desk::{New, Opened};
use crate::session::idempotency::Claim;
use crate::session::store::ClientReport;
use crate::session::{Caller, NewSession};

/// The codes a browser may report.
pub const REPORT_CODES: [&str; 7] = [
    "mic_denied",
    "mic_not_found",
    "mic_policy_blocked",
    "insecure_context",
    "autoplay_blocked",
    "ice_failed",
    "other",
];

/// Open a session
#[utoipa::path(post, path = "/v1/sessions", tag = "sessions", request_body = NewSession,
    params(("Idempotency-Key" = Option<String>, Header, description = "A retry with the same key and body gets the same session")),
    responses((status = 201, description = "The session", body = SessionAnswer),
        (status = 401, description = "`widget-key-mismatch`"), (status = 404, description = "`unknown-app`"),
        (status = 409, description = "`provider-not-active`"), (status = 429, description = "`rate-limited`"),
        (status = 422, description = "`idempotency-key-reused`"),
        (status = 503, description = "`overloaded`, `draining`")))]
pub(super) async fn create(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    open(&api, request).await.inspect_err(|problem| api.metrics.session_rejected(problem.slug))
}

async fn open(api: &Api, request: Request) -> Result<Response, Problem> {
    api.calls.admit()?;
    let now = api.clock.now();
    let public = &api.settings.load().public;
    let client = client_key(client::address(&request, &public.trusted_proxies));
    api.limits.session(now.instant, public.limits, client)?;
    let (parts, body) = request.into_parts();
    expect_type(&parts.headers, "application/json")?;
    let body = read(&parts.headers, body).await?;
    let asked = NewSession::parse(&body)?;
    let address = client.to_string();
    let claim = claim(&parts.headers, &address, &asked, &body)?;
    let origin = parts.extensions.get::<CrossOrigin>().map(|origin| origin.0.as_str());
    let caller = Caller::Widget { address: &address, origin };
    let opened = api.desk.open(now, caller, &asked, claim.as_ref())?;
    Ok(created(&api.metrics, &api.calls, opened))
}

/// What `Idempotency-Key` claims, if it is there.
pub(crate) fn claim(
    headers: &HeaderMap,
    caller: &str,
    asked: &NewSession,
    body: &[u8],
) -> Result<Option<Claim>, Problem> {
    let Some(key) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    Claim::new(caller, &asked.app, key.to_str().unwrap_or_default(), body).map(Some)
}

/// `201` that no cache keeps: it carries a token. A session that is new is counted and told to the world.
pub(crate) fn created(metrics: &Metrics, calls: &Calls, opened: Opened) -> Response {
    if let Some(New { report, notice }) = opened.new {
        metrics.session_opened(&report);
        calls.herald().announce(notice);
    }
    (StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], axum::Json(opened.body)).into_response()
}

/// What only the browser knows.
#[derive(Deserialize, ToSchema)]
#[schema(as = ClientReport)]
struct Report {
    /// What is the matter.
    #[schema(
        pattern = "^(mic_denied|mic_not_found|mic_policy_blocked|insecure_context|autoplay_blocked|ice_failed|other)$"
    )]
    code: String,
    /// In the browser's words.
    #[serde(default)]
    detail: Option<String>,
}

/// Report what only the browser knows
#[utoipa::path(post, path = "/v1/sessions/{session}/client-report", tag = "sessions", request_body = Report, security(("session_token" = [])),
    responses((status = 204, description = "It is kept"), (status = 429, description = "`rate-limited`")))]
pub(super) async fn client_report(
    State(api): State<Arc<Api>>,
    Path(session): Path<String>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let now = api.clock.now();
    let verified = calls::verify(&api, &request, None)?;
    let session = SessionId::from_client(&session);
    if verified.claims.sid != session {
        return Err(Problem::unknown_session("check the session"));
    }
    if verified.expired && !api.calls.takes_report(&session) {
        return Err(Problem::token_expired("create a new session"));
    }
    api.limits.report(now.instant, &session)?;
    let (parts, body) = request.into_parts();
    let report: Report = read_json(&parts.headers, body).await?;
    let Some(code) = REPORT_CODES.into_iter().find(|code| *code == report.code) else {
        return Err(Problem::invalid_request(format!("code is one of {}", REPORT_CODES.join(", "))));
    };
    let report = ClientReport::new(code, report.detail.as_deref());
    api.metrics.client_reported(code);
    if !api.calls.client_report(&session, report.code, report.detail.as_deref()) {
        api.desk.note_report(&session, report);
    }
    Ok(StatusCode::NO_CONTENT)
}
