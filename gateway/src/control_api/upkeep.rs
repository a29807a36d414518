//! What is done to a node that runs: letting it run dry, giving it another configuration.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::Serialize;
use trunkline_config::{Note, Problem as Mistake, Problems, Scope};
use utoipa::ToSchema;

use super::{Api, auth};
use crate::calls;
use crate::clock::rfc3339;
use crate::problem::Problem;
use crate::reload::Refused;

/// Most mistakes of one answer; `trunkline check` tells all.
const MISTAKES: usize = 200;

/// A drain that has begun.
#[derive(Serialize, ToSchema)]
pub struct Drain {
    /// When it began.
    #[schema(format = DateTime)]
    since: String,
    /// When calls that are still live are ended.
    #[schema(format = DateTime)]
    deadline_at: String,
}

/// The node runs dry.
#[derive(Serialize, ToSchema)]
pub(super) struct Draining {
    /// True.
    draining: bool,
    #[serde(flatten)]
    drain: Drain,
    /// Calls that go on.
    calls: LiveCalls,
}

/// Calls now.
#[derive(Serialize, ToSchema)]
struct LiveCalls {
    /// How many.
    live: usize,
}

/// The configuration in force.
#[derive(Serialize, ToSchema)]
pub struct Configuration {
    /// As in the bundles of calls that begin now.
    version: String,
    /// Since when.
    #[schema(format = DateTime)]
    loaded_at: String,
}

/// Another configuration is in force.
#[derive(Serialize, ToSchema)]
pub(super) struct Reloaded {
    /// Before.
    old_version: String,
    /// Now; the same if nothing but secrets has changed, or nothing that could.
    new_version: String,
    /// Keys that are other ones in the file and need a restart: they are what they were.
    needs_restart: Vec<&'static str>,
    /// What is worth knowing.
    notes: Vec<Remark>,
}

/// Something about a key of the configuration.
#[derive(Serialize, ToSchema)]
struct Remark {
    /// As `trunks[0].target`; empty for the file as a whole.
    key: String,
    /// Of the file, from 1.
    #[schema(required)]
    line: Option<usize>,
    /// The environment variable that set it.
    #[schema(required)]
    variable: Option<String>,
    /// What is wrong, or to know.
    message: String,
}

/// Take nothing new from now on
///
/// New sessions and calls are refused, live calls go on; those that still live at the deadline (`node.drain_seconds`) end
/// with `node_shutdown`. The process stays. Repeating it changes nothing.
#[utoipa::path(post, path = "/v1/node/drain", tag = "node", security(("api_key" = ["admin"])),
    responses((status = 202, description = "The node is being drained", body = Draining)))]
pub(super) async fn drain(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<Draining>), Problem> {
    let key = auth::require(&api, &headers, Scope::Admin)?;
    tracing::info!(key = key.name, "an operator asks for a drain");
    let drain = api.calls.drain().into();
    let calls = LiveCalls { live: api.calls.live() };
    Ok((StatusCode::ACCEPTED, Json(Draining { draining: true, drain, calls })))
}

/// Read the configuration anew
///
/// The file, the environment and the TLS certificate are read and checked as a whole: either all is in force for what
/// begins from now on, or nothing has changed.
#[utoipa::path(post, path = "/v1/node/reload", tag = "node", security(("api_key" = ["admin"])),
    responses((status = 200, description = "It is in force", body = Reloaded),
        (status = 409, description = "`reload-unavailable`: the gateway was started without a file"),
        (status = 422, description = "`invalid-configuration`: `problems` has `key`, `line` and `message` of each mistake")))]
pub(super) async fn reload(State(api): State<Arc<Api>>, headers: HeaderMap) -> Result<Json<Reloaded>, Problem> {
    let key = auth::require(&api, &headers, Scope::Admin)?;
    tracing::info!(key = key.name, "an operator asks for a reload");
    let reloaded = api.reloader.reload().await.map_err(refusal)?;
    Ok(Json(Reloaded {
        old_version: reloaded.from.to_string(),
        new_version: reloaded.to.to_string(),
        needs_restart: reloaded.restart,
        notes: reloaded.notes.into_iter().map(Remark::from).collect(),
    }))
}

impl From<calls::Drain> for Drain {
    fn from(drain: calls::Drain) -> Self {
        Self { since: rfc3339(drain.since), deadline_at: rfc3339(drain.deadline) }
    }
}

impl Configuration {
    pub(super) fn of(api: &Api) -> Self {
        let loaded_at = rfc3339(api.reloader.stats().loaded_at);
        Self { version: api.settings.edition().version.to_string(), loaded_at }
    }
}

impl From<Note> for Remark {
    fn from(note: Note) -> Self {
        Mistake::from(note).into()
    }
}

impl From<Mistake> for Remark {
    fn from(mistake: Mistake) -> Self {
        let Mistake { key, line, variable, message } = mistake;
        Self { key, line, variable, message }
    }
}

fn refusal(refused: Refused) -> Problem {
    match refused {
        Refused::NoSource => Problem::reload_unavailable("start the gateway with a configuration file"),
        Refused::Broken => Problem::internal_error("the configuration could not be read"),
        Refused::Invalid(Problems(mistakes)) => {
            let detail = format!("{} mistakes; the configuration in force stays as it is", mistakes.len());
            let told: Vec<Remark> = mistakes.into_iter().take(MISTAKES).map(Remark::from).collect();
            let told = serde_json::to_value(told).unwrap_or_default();
            Problem::invalid_configuration(detail).with("problems", told)
        }
    }
}
