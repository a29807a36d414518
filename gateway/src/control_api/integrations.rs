//! Webhook destinations as operators see them: how they do, what they were told, and what is told them again.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use trunkline_config::Scope;
use utoipa::{IntoParams, ToSchema};

use super::{Api, auth};
use crate::clock::rfc3339;
use crate::ids::EventId;
use crate::outbox::{AskError, Overview};
use crate::problem::Problem;
use crate::store::{Delivery, DeliveryState, ReadError};

const PAGE: usize = 50;
const LONGEST_PAGE: usize = 200;

/// All webhook destinations.
#[derive(Serialize, ToSchema)]
pub(super) struct IntegrationList {
    integrations: Vec<IntegrationView>,
}

/// A webhook destination.
#[derive(Serialize, ToSchema)]
#[schema(as = Integration)]
pub(super) struct IntegrationView {
    /// Unique over all apps.
    id: String,
    /// The app whose events it is told.
    app: String,
    status: Status,
    /// Deliveries in a row that failed; 20 pause it.
    consecutive_failures: u32,
    /// Why the last attempt failed, if none has come through since.
    #[schema(required)]
    last_error: Option<String>,
    /// Since when it is paused.
    #[schema(required)]
    paused_at: Option<String>,
    /// Deliveries that wait.
    pending: u64,
}

/// Whether it is told anything.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = IntegrationStatus)]
enum Status {
    /// It is.
    Active,
    /// Nothing is sent until it is reactivated; what happens meanwhile waits.
    Paused,
}

/// Deliveries, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct DeliveryList {
    deliveries: Vec<DeliveryView>,
    /// Where the next page begins.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// One event for one destination.
#[derive(Serialize, ToSchema)]
#[schema(as = Delivery)]
pub(super) struct DeliveryView {
    /// The event's id, which is the `webhook-id` of every attempt.
    delivery: String,
    /// The event's name.
    event: &'static str,
    /// The event's app.
    app: String,
    /// The event's call.
    #[schema(required)]
    call: Option<String>,
    /// The event's place among its call's.
    seq: u64,
    /// `pending`, `delivered`, `failed` or `skipped` (too large, or there was no room for it).
    state: &'static str,
    /// Attempts made.
    attempts: u32,
    /// HTTP status of the last answer.
    #[schema(required)]
    status: Option<u16>,
    /// What went wrong at the last attempt, or why none was made.
    #[schema(required)]
    error: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
    /// When it is tried again, not counting what goes before it.
    #[schema(required)]
    next_attempt_at: Option<String>,
}

/// List webhook destinations
#[utoipa::path(get, path = "/v1/integrations", tag = "integrations", security(("api_key" = ["read"])),
    responses((status = 200, description = "Every integration of every app", body = IntegrationList),
        (status = 503, description = "`records-unavailable`")))]
pub(super) async fn list(State(api): State<Arc<Api>>, headers: HeaderMap) -> Result<Json<IntegrationList>, Problem> {
    auth::require(&api, &headers, Scope::Read)?;
    let integrations = api.webhooks.overview().await.map_err(unreadable)?.into_iter().map(view).collect();
    Ok(Json(IntegrationList { integrations }))
}

/// One webhook destination
#[utoipa::path(get, path = "/v1/integrations/{id}", tag = "integrations", security(("api_key" = ["read"])),
    responses((status = 200, description = "The integration", body = IntegrationView),
        (status = 503, description = "`records-unavailable`")))]
pub(super) async fn one(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<IntegrationView>, Problem> {
    auth::require(&api, &headers, Scope::Read)?;
    look_up(&api, &id).await.map(Json)
}

/// The query of `GET /v1/integrations/{id}/deliveries`.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// `pending`, `delivered`, `failed` or `skipped`.
    state: Option<String>,
    /// `next_cursor` of another page.
    cursor: Option<String>,
    /// Deliveries of a page, 50 if not said.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
}

/// What a destination was told
///
/// Newest first; also what waits, and what was given up.
#[utoipa::path(get, path = "/v1/integrations/{id}/deliveries", tag = "integrations", params(Wanted),
    security(("api_key" = ["read"])),
    responses((status = 200, description = "A page of deliveries", body = DeliveryList),
        (status = 503, description = "`records-unavailable`")))]
pub(super) async fn deliveries(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    query: Result<Query<Wanted>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<DeliveryList>, Problem> {
    auth::require(&api, &headers, Scope::Read)?;
    let Query(wanted) = query.map_err(|_| Problem::invalid_request("the query cannot be read"))?;
    let (state, limit) = (wanted.state.as_deref().map(state_of).transpose()?, wanted.limit.unwrap_or(PAGE));
    if !(1..=LONGEST_PAGE).contains(&limit) {
        return Err(Problem::invalid_request(format!("limit is 1 to {LONGEST_PAGE}")));
    }
    let before = wanted.cursor.as_deref().map(cursor_of).transpose()?;
    known(&api, &id)?;
    let found = api.webhooks.deliveries(&id, state, before, limit.saturating_add(1)).await;
    let mut found = found.map_err(unreadable)?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next_cursor = found.last().filter(|_| more).map(|last| last.id.to_string());
    Ok(Json(DeliveryList { deliveries: found.into_iter().map(delivery_view).collect(), next_cursor }))
}

/// End a destination's pause
///
/// What waited is delivered in order, with the deliveries whose failure led to the pause. Where it is not paused nothing
/// changes.
#[utoipa::path(post, path = "/v1/integrations/{id}/reactivate", tag = "integrations",
    security(("api_key" = ["control"])),
    responses((status = 200, description = "It is active", body = IntegrationView),
        (status = 503, description = "`records-unavailable`")))]
pub(super) async fn reactivate(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<IntegrationView>, Problem> {
    let key = auth::require(&api, &headers, Scope::Control)?;
    let name = key.name.clone();
    api.webhooks.reactivate(&id).await.map_err(refused)?;
    tracing::info!(integration = id, key = name, "reactivated, as asked by an operator");
    look_up(&api, &id).await.map(Json)
}

/// Make a delivery once more
///
/// Under the same `webhook-id`. One that waits already simply goes on waiting.
#[utoipa::path(post, path = "/v1/integrations/{id}/deliveries/{delivery}/redeliver", tag = "integrations",
    security(("api_key" = ["control"])),
    responses((status = 202, description = "It waits to be sent", body = DeliveryView),
        (status = 503, description = "`records-unavailable`")))]
pub(super) async fn redeliver(
    State(api): State<Arc<Api>>,
    Path((id, delivery)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<DeliveryView>), Problem> {
    auth::require(&api, &headers, Scope::Control)?;
    let event = EventId::from_client(&delivery);
    api.webhooks.redeliver(&id, &event).await.map_err(refused)?;
    let found = api.webhooks.delivery(&id, &event).await.map_err(unreadable)?;
    let found = found.ok_or_else(|| Problem::unknown_delivery("no event of that id went to this integration"))?;
    Ok((StatusCode::ACCEPTED, Json(delivery_view(found))))
}

async fn look_up(api: &Api, id: &str) -> Result<IntegrationView, Problem> {
    let all = api.webhooks.overview().await.map_err(unreadable)?;
    all.into_iter().find(|one| one.state.id == id).map(view).ok_or_else(unknown)
}

fn known(api: &Api, id: &str) -> Result<(), Problem> {
    if api.webhooks.knows(id) { Ok(()) } else { Err(unknown()) }
}

fn unknown() -> Problem {
    Problem::unknown_integration("no app has an integration of that id")
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err gives it")]
fn unreadable(error: ReadError) -> Problem {
    tracing::warn!(%error, "deliveries cannot be read");
    Problem::records_unavailable("the database of deliveries cannot be read now").retry_in(5)
}

fn refused(error: AskError) -> Problem {
    match error {
        AskError::Unknown => unknown(),
        AskError::Change(error) => Problem::records_unavailable(error.to_string()).retry_in(1),
    }
}

fn view(one: Overview) -> IntegrationView {
    let Overview { app, state, pending } = one;
    IntegrationView {
        id: state.id,
        app,
        status: if state.paused { Status::Paused } else { Status::Active },
        consecutive_failures: state.consecutive_failures,
        last_error: state.last_error,
        paused_at: state.paused_at.map(rfc3339),
        pending,
    }
}

fn delivery_view(delivery: Delivery) -> DeliveryView {
    let event = delivery.event;
    DeliveryView {
        delivery: event.id.to_string(),
        event: event.name,
        app: event.app.clone(),
        call: event.call.as_ref().map(ToString::to_string),
        seq: event.seq,
        state: delivery.state.word(),
        attempts: delivery.attempts,
        status: delivery.status,
        error: delivery.error,
        created_at: rfc3339(delivery.created),
        updated_at: rfc3339(delivery.updated),
        next_attempt_at: delivery.next_attempt.map(rfc3339),
    }
}

fn state_of(word: &str) -> Result<DeliveryState, Problem> {
    let state = DeliveryState::ALL.into_iter().find(|state| state.word() == word);
    state.ok_or_else(|| {
        Problem::invalid_request(format!("state is one of {}", DeliveryState::ALL.map(DeliveryState::word).join(", ")))
    })
}

fn cursor_of(text: &str) -> Result<i64, Problem> {
    text.parse().map_err(|_| Problem::invalid_request("cursor is the next_cursor of another page"))
}
