//! What operators and back ends do with a live call beside mute and digits: hold, something to hear, actions.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use trunkline_config::Scope;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::calls::{LegName, OneLeg, known};
use super::{Api, auth};
use crate::call::Manner;
use crate::calls::{HandOverBy, HandOverTo};
use crate::hook::answer::ActionList;
use crate::ids::CallId;
use crate::problem::Problem;
use crate::public_api::body::{expect_type, read, read_json, read_json_or_nothing};
use crate::public_api::calls::about;

/// Longest idempotency key.
const MAX_KEY: usize = 128;
/// Longest destination of a transfer.
const MAX_DESTINATION: usize = 256;

type Taken = Result<StatusCode, Problem>;

/// The routes.
pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(hold))
        .routes(routes!(resume))
        .routes(routes!(play))
        .routes(routes!(say))
        .routes(routes!(stop))
        .routes(routes!(actions))
        .routes(routes!(transfer))
}

/// A recording by its name or by its URL, one of them.
#[derive(Deserialize, ToSchema)]
struct Play {
    /// A prompt of this name, in the session's language.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 64)]
    prompt: Option<String>,
    /// A WAV file of 16-bit PCM, or Opus in Ogg, at most 4 MiB; `https` unless the app allows others.
    #[serde(default)]
    #[schema(max_length = 2048, pattern = "^https?://[!-~]*$")]
    url: Option<String>,
    /// `browser` if not said.
    #[serde(default)]
    leg: Option<LegName>,
    /// Over and over, until it is stopped or something else is played.
    #[serde(default, rename = "loop")]
    looped: bool,
    /// Over what the other leg says, which is heard softer meanwhile; else instead of it.
    #[serde(default)]
    mix: bool,
}

/// A text to be spoken.
#[derive(Deserialize, ToSchema)]
struct Say {
    /// What is said.
    #[schema(min_length = 1, max_length = 1500, pattern = "\\S")]
    text: String,
    /// BCP 47; the session's language if not said.
    #[serde(default)]
    #[schema(max_length = 35, pattern = "^[A-Za-z0-9]{1,8}([-_][A-Za-z0-9]{1,8})*$")]
    lang: Option<String>,
    /// `browser` if not said.
    #[serde(default)]
    leg: Option<LegName>,
    /// Over what the other leg says, which is heard softer meanwhile; else instead of it.
    #[serde(default)]
    mix: bool,
}

/// Where a call shall go: to `destination` or to the other end of `call`, one of them.
#[derive(Deserialize, ToSchema)]
struct Transfer {
    /// Who takes over.
    #[serde(default)]
    #[schema(max_length = 256, pattern = "^(sip|sips|tel):")]
    destination: Option<String>,
    /// The dialog of `destination` whose place is taken (RFC 3891): `call-id;to-tag=…;from-tag=…`.
    #[serde(default)]
    #[schema(max_length = 512, pattern = "^[!-+\\--~]+;(to|from)-tag=[!-~]+$")]
    replaces: Option<String>,
    /// Another live call of this node: whoever talks to its visitor takes over, and that call ends.
    #[serde(default)]
    #[schema(max_length = 128)]
    call: Option<String>,
    /// `refer` if not said.
    #[serde(default)]
    mode: Option<Mode>,
}

/// How a call is transferred.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = TransferMode)]
enum Mode {
    Refer,
    Bridge,
}

/// Put a leg on hold
///
/// It is not heard, and hears hold music. The sip leg is told so by a re-INVITE. Again changes nothing.
#[utoipa::path(post, path = "/v1/calls/{call}/hold", tag = "calls", request_body = Option<OneLeg>, security(("api_key" = ["control"])),
    responses((status = 204, description = "It is on hold"), (status = 409, description = "`call-ended`, `call-not-connected`, `transfer-in-progress`")))]
async fn hold(State(api): State<Arc<Api>>, Path(call): Path<String>, request: Request) -> Taken {
    set_held(&api, &call, request, true).await
}

/// Take a leg back from hold
///
/// Again changes nothing.
#[utoipa::path(post, path = "/v1/calls/{call}/resume", tag = "calls", request_body = Option<OneLeg>, security(("api_key" = ["control"])),
    responses((status = 204, description = "It is not on hold"), (status = 409, description = "`call-ended`, `call-not-connected`, `transfer-in-progress`")))]
async fn resume(State(api): State<Arc<Api>>, Path(call): Path<String>, request: Request) -> Taken {
    set_held(&api, &call, request, false).await
}

async fn set_held(api: &Api, call: &str, request: Request, held: bool) -> Taken {
    let (parts, body) = request.into_parts();
    auth::require(api, &parts.headers, Scope::Control)?;
    let call = known(api, call).await?;
    let asked: OneLeg = read_json_or_nothing(&parts.headers, body).await?;
    api.calls.hold(&call, asked.leg.unwrap_or(LegName::Browser).into(), held).map_err(about(&call))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Let a leg hear a recording
///
/// After what is played to it already; instead of the other leg, or mixed with it. `Idempotency-Key` keeps a repeated request from being heard twice.
#[utoipa::path(post, path = "/v1/calls/{call}/play", tag = "calls", request_body = Play, security(("api_key" = ["control"])),
    responses((status = 202, description = "It is heard, or waits for its turn"), (status = 409, description = "`call-ended`, `call-not-connected`, `too-many-prompts`")))]
async fn play(State(api): State<Arc<Api>>, Path(call): Path<String>, request: Request) -> Taken {
    let (parts, body) = request.into_parts();
    auth::require(&api, &parts.headers, Scope::Control)?;
    let call = known(&api, &call).await?;
    let asked: Play = read_json(&parts.headers, body).await?;
    once(&api, &call, &parts.headers, || {
        let leg = asked.leg.unwrap_or(LegName::Browser).into();
        let manner = Manner { looped: asked.looped, over: asked.mix };
        api.calls.play(&call, leg, (asked.prompt, asked.url), manner)
    })
}

/// Let a leg hear a text
///
/// As `play`.
#[utoipa::path(post, path = "/v1/calls/{call}/say", tag = "calls", request_body = Say, security(("api_key" = ["control"])),
    responses((status = 202, description = "It is heard, or waits for its turn"), (status = 409, description = "`call-ended`, `call-not-connected`, `too-many-prompts`, `speech-unavailable`")))]
async fn say(State(api): State<Arc<Api>>, Path(call): Path<String>, request: Request) -> Taken {
    let (parts, body) = request.into_parts();
    auth::require(&api, &parts.headers, Scope::Control)?;
    let call = known(&api, &call).await?;
    let asked: Say = read_json(&parts.headers, body).await?;
    once(&api, &call, &parts.headers, || {
        api.calls.say(&call, asked.leg.unwrap_or(LegName::Browser).into(), asked.text, asked.lang, asked.mix)
    })
}

/// Stop what a leg hears
///
/// Both legs if none is said; also what waits. Again changes nothing.
#[utoipa::path(post, path = "/v1/calls/{call}/stop", tag = "calls", request_body = Option<OneLeg>, security(("api_key" = ["control"])),
    responses((status = 204, description = "Nothing is played"), (status = 409, description = "`call-ended`")))]
async fn stop(State(api): State<Arc<Api>>, Path(call): Path<String>, request: Request) -> Taken {
    let (parts, body) = request.into_parts();
    auth::require(&api, &parts.headers, Scope::Control)?;
    let call = known(&api, &call).await?;
    let asked: OneLeg = read_json_or_nothing(&parts.headers, body).await?;
    api.calls.stop(&call, asked.leg.map(Into::into)).map_err(about(&call))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Run a list of actions
///
/// The list an answer hook may return, run at once and in order; what the visitor is to hear is heard by the browser. `connect` only where no destination is dialled or connected.
#[utoipa::path(post, path = "/v1/calls/{call}/actions", tag = "calls", request_body = ActionList, security(("api_key" = ["control"])),
    responses((status = 202, description = "The list is being run"), (status = 409, description = "`call-ended`, `call-not-connected`, `too-many-prompts`, `speech-unavailable`, `call-already-connected`")))]
async fn actions(State(api): State<Arc<Api>>, Path(call): Path<String>, request: Request) -> Taken {
    let (parts, body) = request.into_parts();
    auth::require(&api, &parts.headers, Scope::Control)?;
    let call = known(&api, &call).await?;
    expect_type(&parts.headers, "application/json")?;
    let list = read(&parts.headers, body).await?;
    once(&api, &call, &parts.headers, || api.calls.act(&call, &list))
}

/// Hand a call over
///
/// `refer` asks the trunk to take its agent to somebody else, and the call ends when it has. `bridge` dials him here and
/// puts him in the agent's place when he answers; the visitor hears hold music until then. `call_transferred` or
/// `call_transfer_failed` tells what came of it; after the latter the call is as it was.
#[utoipa::path(post, path = "/v1/calls/{call}/transfer", tag = "calls", request_body = Transfer, security(("api_key" = ["control"])),
    responses((status = 202, description = "It is being transferred"), (status = 409, description = "`call-ended`, `call-not-connected`, `transfer-in-progress`")))]
async fn transfer(State(api): State<Arc<Api>>, Path(call): Path<String>, request: Request) -> Taken {
    let (parts, body) = request.into_parts();
    auth::require(&api, &parts.headers, Scope::Control)?;
    let call = known(&api, &call).await?;
    let asked: Transfer = read_json(&parts.headers, body).await?;
    let by = match asked.mode.unwrap_or(Mode::Refer) {
        Mode::Refer => HandOverBy::Refer,
        Mode::Bridge => HandOverBy::Bridge,
    };
    let to = match (asked.destination, asked.call, asked.replaces) {
        (Some(destination), None, replaces) => {
            let scheme = ["sip:", "sips:", "tel:"].iter().any(|scheme| destination.starts_with(scheme));
            if !scheme || destination.len() > MAX_DESTINATION {
                return Err(Problem::invalid_request("destination is a sip:, sips: or tel: URI"));
            }
            HandOverTo::Destination(destination, replaces)
        }
        (None, Some(other), None) => HandOverTo::Call(CallId::from_client(&other)),
        _ => return Err(Problem::invalid_request("destination or call, and replaces with destination only")),
    };
    api.calls.transfer(&call, by, to).await.map_err(about(&call))?;
    Ok(StatusCode::ACCEPTED)
}

/// Does it, unless a request with the same `Idempotency-Key` was taken on this call.
pub(super) fn once(api: &Api, call: &CallId, headers: &HeaderMap, act: impl FnOnce() -> Result<(), Problem>) -> Taken {
    let key = headers.get("idempotency-key").map(|key| key.to_str().unwrap_or_default());
    if key.is_some_and(|key| !(1..=MAX_KEY).contains(&key.len())) {
        return Err(Problem::invalid_request(format!("Idempotency-Key is 1 to {MAX_KEY} characters"))
            .with("call", call.as_str()));
    }
    if let Some(key) = key
        && api.calls.is_repeated(call, key).map_err(about(call))?
    {
        return Ok(StatusCode::ACCEPTED);
    }
    act().map_err(about(call))?;
    if let Some(key) = key {
        api.calls.note_taken(call, key.to_owned());
    }
    Ok(StatusCode::ACCEPTED)
}
