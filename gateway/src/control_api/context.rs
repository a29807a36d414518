//! What is known of a visitor, for who has nothing but the call's id: a contact centre that was told it in User-to-User.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use serde_json::{Map, Value};
use trunkline_config::Scope;

use super::{Api, auth};
use crate::ids::CallId;
use crate::openapi::schemas::CallContext;
use crate::problem::Problem;
use crate::public_api::calls::unknown_call;

/// What of a call's record is told.
const MEMBERS: [&str; 6] = ["call", "session", "app", "profile", "context", "metadata"];

/// What is known of a call's visitor
///
/// For a contact centre that was told nothing but the call's id.
#[utoipa::path(get, path = "/v1/calls/{call}/context", tag = "calls", security(("api_key" = ["read"])),
    responses((status = 200, description = "What is known", body = CallContext), (status = 503, description = "`records-unavailable`")))]
pub(super) async fn context(
    State(api): State<Arc<Api>>,
    Path(call): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    auth::require(&api, &headers, Scope::Read)?;
    let record = api.calls.find(&CallId::from_client(&call)).await?.ok_or_else(unknown_call)?;
    let told = |member: &str| (member.to_owned(), record.get(member).cloned().unwrap_or_default());
    Ok(Json(MEMBERS.into_iter().map(told).collect::<Map<_, _>>().into()))
}
