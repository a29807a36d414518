//! `GET /openapi.json`.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

use super::Api;
use crate::openapi::{self, Listener};
use crate::problem::Problem;

/// The query of `GET /openapi.json`.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Only this listener's operations.
    #[param(inline)]
    listener: Option<Listener>,
}

/// This document
///
/// OpenAPI 3.1, of both listeners or of one. Needs no key.
#[utoipa::path(get, path = "/openapi.json", tag = "node", params(Wanted),
    responses((status = 200, description = "The document", body = Object)))]
pub(super) async fn serve(
    State(api): State<Arc<Api>>,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(wanted) = query.map_err(|_| Problem::invalid_request("listener is public or control"))?;
    Ok(Json(openapi::document(wanted.listener, &api.settings.load().public.url)))
}
