//! Sessions opened by a back end: an API key instead of a widget key, and more to say about the call.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use trunkline_config::Scope;

use super::{Api, auth};
use crate::openapi::schemas::SessionAnswer;
use crate::problem::Problem;
use crate::public_api::body::{expect_type, read};
use crate::public_api::sessions::{claim, created};
use crate::session::{Caller, NewSession};

/// Open a session
///
/// With an API key instead of a widget key, and more to say about the call.
#[utoipa::path(post, path = "/v1/sessions", tag = "sessions", request_body = NewSession, security(("api_key" = ["control"])),
    params(("Idempotency-Key" = Option<String>, Header, description = "A retry with the same key and body gets the same session")),
    responses((status = 201, description = "The session", body = SessionAnswer), (status = 404, description = "`unknown-app`"),
        (status = 409, description = "`provider-not-active`"), (status = 422, description = "`idempotency-key-reused`"),
        (status = 429, description = "`rate-limited`"),
        (status = 503, description = "`overloaded`, `draining`")))]
pub(super) async fn create(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    open(&api, request).await.inspect_err(|problem| api.metrics.session_rejected(problem.slug))
}

async fn open(api: &Api, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let key = auth::require(api, &parts.headers, Scope::Control)?;
    api.calls.admit()?;
    expect_type(&parts.headers, "application/json")?;
    let body = read(&parts.headers, body).await?;
    let asked = NewSession::parse(&body)?;
    let claim = claim(&parts.headers, &format!("key {}", key.name), &asked, &body)?;
    let opened = api.desk.open(api.clock.now(), Caller::BackEnd { key: &key.name }, &asked, claim.as_ref())?;
    Ok(created(&api.metrics, &api.calls, opened))
}
