//! The trunks: how they are, and a test of each step towards one.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};
use trunkline_config::{BrowserAudio, Scope, SipTransport, Srtp, Trunk};

use super::{Api, auth};
use crate::openapi::schemas::{DestinationTest, DestinationToTest, TrunkList, TrunkTest};
use crate::problem::Problem;
use crate::public_api::body::read_json;
use crate::trunks::Trunks;

/// The trunks and their state
#[utoipa::path(get, path = "/v1/trunks", tag = "trunks", security(("api_key" = ["read"])),
    responses((status = 200, description = "Every trunk", body = TrunkList)))]
pub(super) async fn list(State(api): State<Arc<Api>>, headers: HeaderMap) -> Result<Json<Value>, Problem> {
    auth::require(&api, &headers, Scope::Read)?;
    let live: HashMap<String, u32> = api.calls.counters().live_by_trunk.into_iter().collect();
    let config = api.settings.load();
    let of = |trunk: &Trunk| view(trunk, &api.trunks, live.get(&trunk.id).copied().unwrap_or(0));
    Ok(Json(json!({"trunks": config.trunks.iter().map(of).collect::<Vec<_>>()})))
}

/// Test a trunk
///
/// Name, connection, encryption, OPTIONS: each step by itself, up to the first that fails. It says what a call would meet,
/// and changes nothing.
#[utoipa::path(post, path = "/v1/trunks/{id}/test", tag = "trunks", security(("api_key" = ["control"])),
    responses((status = 200, description = "How each step went", body = TrunkTest),
        (status = 404, description = "`unknown-trunk`"),
        (status = 429, description = "`rate-limited`: other tests are under way")))]
pub(super) async fn test(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    auth::require(&api, &headers, Scope::Control)?;
    let config = api.settings.load();
    let trunk = config.trunks.iter().find(|trunk| trunk.id == id);
    let trunk = trunk.ok_or_else(|| Problem::unknown_trunk("check the trunk's id"))?;
    let tested = api.trunks.test(trunk).await;
    tested.map(Json).ok_or_else(|| Problem::rate_limited("other tests are under way").retry_in(5))
}

/// Test a destination
///
/// Over which trunks a call there would go, in the order it would try them, and how each step towards them went. It
/// changes nothing, and calls nobody.
#[utoipa::path(post, path = "/v1/destinations/test", tag = "trunks", security(("api_key" = ["control"])),
    request_body = DestinationToTest,
    responses((status = 200, description = "How each step went", body = DestinationTest),
        (status = 400, description = "`invalid-request`"),
        (status = 404, description = "`unknown-app`"),
        (status = 429, description = "`rate-limited`: other tests are under way")))]
pub(super) async fn test_destination(State(api): State<Arc<Api>>, request: Request) -> Result<Json<Value>, Problem> {
    let (parts, body) = request.into_parts();
    auth::require(&api, &parts.headers, Scope::Control)?;
    let asked: AskedDestination = read_json(&parts.headers, body).await?;
    let config = api.settings.load();
    let named = |app: &str| config.apps.iter().any(|a| a.id == app);
    if asked.app.as_deref().is_some_and(|app| !named(app)) {
        return Err(Problem::unknown_app("check the app's id"));
    }
    let app = asked.app.unwrap_or_default();
    let tested = api.trunks.test_destination(&config, &app, &asked.destination).await;
    tested.map(Json).ok_or_else(|| Problem::rate_limited("other tests are under way").retry_in(5))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedDestination {
    destination: String,
    #[serde(default)]
    app: Option<String>,
}

/// A trunk without its secrets.
fn view(trunk: &Trunk, trunks: &Trunks, live: u32) -> Value {
    let transport = trunk.target.known_transport().map(|transport| match transport {
        SipTransport::Udp => "udp",
        SipTransport::Tcp => "tcp",
        SipTransport::Tls => "tls",
    });
    let browser_audio = match trunk.browser_audio {
        BrowserAudio::Relay => "relay",
        BrowserAudio::Elastic => "elastic",
        BrowserAudio::Opus => "opus",
    };
    let srtp = match trunk.srtp {
        Srtp::Off => "off",
        Srtp::Optional => "optional",
        Srtp::Required => "required",
    };
    let options = trunks.health(&trunk.id).to_json();
    let targets = trunks.targets(&trunk.id).into_iter();
    let targets: Vec<Value> = targets
        .map(|(target, state)| json!({"target": target.to_string(), "name": &*target.name, "state": state.word()}))
        .collect();
    json!({
        "id": trunk.id, "enabled": trunk.enabled, "state": trunks.state(trunk).word(),
        "registration": trunks.registrations().to_json(trunk),
        "options": options, "rtt_ms": options.get("rtt_ms"), "last_failure": options.get("last_failure"),
        "options_seconds": trunk.options.map(|every| every.as_secs()),
        "target": {"host": trunk.target.host, "port": trunk.target.port, "transport": transport},
        "targets": targets,
        "codecs": trunk.codecs.iter().map(ToString::to_string).collect::<Vec<_>>(), "browser_audio": browser_audio,
        "srtp": srtp, "register": trunk.registration.is_some(), "max_calls": trunk.max_calls, "live_calls": live,
    })
}
