//! What explains a call, live or ended: its quality, its findings, the bundle for support.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::Value;
use trunkline_config::Scope;
use utoipa::IntoParams;

use super::{Api, auth};
use crate::calls::CallPapers;
use crate::clock::rfc3339;
use crate::ids::CallId;
use crate::openapi::schemas::{Bundle, Diagnosis, QualitySeries};
use crate::problem::Problem;
use crate::public_api::calls::unknown_call;

/// The sampled series of each half-leg
#[utoipa::path(get, path = "/v1/calls/{call}/quality", tag = "calls", security(("api_key" = ["read"])),
    responses((status = 200, description = "What is known", body = QualitySeries), (status = 503, description = "`records-unavailable`")))]
pub(super) async fn quality(
    State(api): State<Arc<Api>>,
    Path(call): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    auth::require(&api, &headers, Scope::Read)?;
    Ok(Json(papers(&api, &call).await?.quality()))
}

/// What was found wrong with a call
#[utoipa::path(get, path = "/v1/calls/{call}/diagnosis", tag = "calls", security(("api_key" = ["read"])),
    responses((status = 200, description = "What is known", body = Diagnosis), (status = 503, description = "`records-unavailable`")))]
pub(super) async fn diagnosis(
    State(api): State<Arc<Api>>,
    Path(call): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    auth::require(&api, &headers, Scope::Read)?;
    Ok(Json(papers(&api, &call).await?.diagnosis()))
}

/// The query of `GET /v1/calls/{call}/bundle`.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// `context`: with what the page and the back end said of the visitor.
    #[param(pattern = "^context$")]
    include: Option<String>,
}

/// Everything known of a call, for support
///
/// What the page said of its visitor (`include=context`) is for keys of the scope `admin`.
#[utoipa::path(get, path = "/v1/calls/{call}/bundle", tag = "calls", params(Wanted),
    security(("api_key" = ["read"]), ("api_key" = ["admin"])),
    responses((status = 200, description = "The bundle", body = Bundle), (status = 503, description = "`records-unavailable`")))]
pub(super) async fn bundle(
    State(api): State<Arc<Api>>,
    Path(call): Path<String>,
    headers: HeaderMap,
    query: Result<Query<Wanted>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let wanted = query.map(|Query(wanted)| wanted.include);
    let with_context = match wanted.as_ref().map(Option::as_deref) {
        Ok(Some("context")) => true,
        Ok(_) | Err(_) => false,
    };
    auth::require(&api, &headers, if with_context { Scope::Admin } else { Scope::Read })?;
    if !with_context && !matches!(wanted, Ok(None)) {
        return Err(Problem::invalid_request("include is context, or nothing"));
    }
    let generated_at = rfc3339(api.clock.now().wall);
    Ok(Json(papers(&api, &call).await?.bundle(&generated_at, with_context)))
}

async fn papers(api: &Api, call: &str) -> Result<CallPapers, Problem> {
    api.calls.papers(&CallId::from_client(call)).await?.ok_or_else(unknown_call)
}
