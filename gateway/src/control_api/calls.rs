//! Calls as operators see them: look them up, steer them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use trunkline_config::Scope;
use trunkline_media::api::Leg;
use utoipa::{IntoParams, ToSchema};

use super::steer::once;
use super::{Api, auth};
use crate::calls::{CallFilter, HangupBy};
use crate::clock::rfc3339;
use crate::ids::CallId;
use crate::openapi::schemas::{CallList, CallRecord};
use crate::problem::Problem;
use crate::public_api::body::{read_json, read_json_or_nothing};
use crate::public_api::calls::{about, check_digits, default_duration_ms, unknown_call};
use crate::store::Cursor;

/// `live` is every state but `ended`.
const STATES: [&str; 6] = ["live", "setup", "ringing", "talking", "reconnecting", "ended"];
const PAGE: usize = 50;
const LONGEST_PAGE: usize = 200;

/// The query of `GET /v1/calls`.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// `live` is every state but `ended`.
    #[param(pattern = "^(live|setup|ringing|talking|reconnecting|ended)$")]
    state: Option<String>,
    /// App id.
    app: Option<String>,
    /// Reason of the outcome.
    reason: Option<String>,
    /// Started then or later, RFC 3339.
    #[param(format = DateTime)]
    since: Option<String>,
    /// Started before, RFC 3339.
    #[param(format = DateTime)]
    until: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Records of a page, 50 if not said.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
}

impl Wanted {
    fn filter(self) -> Result<CallFilter, Problem> {
        if self.state.as_ref().is_some_and(|state| !STATES.contains(&state.as_str())) {
            return Err(Problem::invalid_request(format!("state is one of {}", STATES.join(", "))));
        }
        let limit = self.limit.unwrap_or(PAGE);
        if !(1..=LONGEST_PAGE).contains(&limit) {
            return Err(Problem::invalid_request(format!("limit is 1 to {LONGEST_PAGE}")));
        }
        if self.cursor.as_deref().is_some_and(|cursor| Cursor::parse(cursor).is_none()) {
            return Err(Problem::invalid_request("cursor is the next_cursor of another page"));
        }
        Ok(CallFilter {
            state: self.state,
            app: self.app,
            reason: self.reason,
            since: self.since.map(|time| time_of("since", &time)).transpose()?,
            until: self.until.map(|time| time_of("until", &time)).transpose()?,
            cursor: self.cursor,
            limit,
        })
    }
}

/// RFC 3339 in any zone, as records have it: UTC with milliseconds.
fn time_of(name: &str, text: &str) -> Result<String, Problem> {
    // A `+` that was not escaped in the query arrives as a space.
    let text = text.replace(' ', "+");
    let time: Timestamp = text.parse().map_err(|_| Problem::invalid_request(format!("{name} is an RFC 3339 time")))?;
    Ok(rfc3339(time))
}

/// Calls, live and ended
///
/// Newest first.
#[utoipa::path(get, path = "/v1/calls", tag = "calls", params(Wanted), security(("api_key" = ["read"])),
    responses((status = 200, description = "A page of records", body = CallList),
        (status = 503, description = "`records-unavailable`")))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    query: Result<Query<Wanted>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Value>, Problem> {
    auth::require(&api, &headers, Scope::Read)?;
    let Query(wanted) = query.map_err(|_| Problem::invalid_request("the query cannot be read"))?;
    let page = api.calls.list(&wanted.filter()?).await?;
    Ok(Json(json!({"calls": page.calls, "next_cursor": page.next_cursor})))
}

/// A call's record
#[utoipa::path(get, path = "/v1/calls/{call}", tag = "calls", security(("api_key" = ["read"])),
    responses((status = 200, description = "The record", body = CallRecord),
        (status = 503, description = "`records-unavailable`")))]
pub(super) async fn record(
    State(api): State<Arc<Api>>,
    Path(call): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    auth::require(&api, &headers, Scope::Read)?;
    api.calls.find(&CallId::from_client(&call)).await?.map(Json).ok_or_else(unknown_call)
}

/// What the detail of the outcome and the log say.
#[derive(Deserialize, ToSchema)]
struct HangUp {
    /// `operator` if not said.
    #[serde(default)]
    #[schema(pattern = "^[A-Za-z0-9_.-]{1,64}$")]
    reason: Option<String>,
}

/// End a call
///
/// With the outcome `remote_hangup` and the detail `operator`.
#[utoipa::path(post, path = "/v1/calls/{call}/hangup", tag = "calls", request_body = Option<HangUp>, security(("api_key" = ["control"])),
    responses((status = 202, description = "It is being ended")))]
pub(super) async fn hang_up(
    State(api): State<Arc<Api>>,
    Path(call): Path<String>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let (parts, body) = request.into_parts();
    auth::require(&api, &parts.headers, Scope::Control)?;
    let call = look_up(&api, &call).await?;
    let asked: HangUp = read_json_or_nothing(&parts.headers, body).await?;
    let reason = asked.reason.unwrap_or_else(|| "operator".to_owned());
    let plain = reason.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    if !(1..=64).contains(&reason.len()) || !plain {
        return Err(Problem::invalid_request("reason is 1 to 64 letters, digits, '_', '-' or '.'"));
    }
    // To end what has ended is no mistake, however long ago that was.
    let is_known = call.is_none_or(|call| api.calls.hangup(&call, HangupBy::Operator(reason)));
    if is_known { Ok(StatusCode::ACCEPTED) } else { Err(unknown_call()) }
}

/// Of a leg, or the browser's if not said.
#[derive(Deserialize, ToSchema)]
pub(super) struct OneLeg {
    /// The leg whose audio it is.
    #[serde(default)]
    pub(super) leg: Option<LegName>,
}

/// A leg by its name in the API.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum LegName {
    Browser,
    Sip,
}

impl From<LegName> for Leg {
    fn from(name: LegName) -> Self {
        match name {
            LegName::Browser => Self::Browser,
            LegName::Sip => Self::Trunk,
        }
    }
}

/// Send silence instead of a leg's audio
#[utoipa::path(post, path = "/v1/calls/{call}/mute", tag = "calls", request_body = Option<OneLeg>, security(("api_key" = ["control"])),
    responses((status = 204, description = "It is muted"), (status = 409, description = "`call-ended`, `call-not-connected`")))]
pub(super) async fn mute(
    State(api): State<Arc<Api>>,
    Path(call): Path<String>,
    request: Request,
) -> Result<StatusCode, Problem> {
    set_muted(&api, &call, request, true).await
}

/// Send a leg's audio again
#[utoipa::path(post, path = "/v1/calls/{call}/unmute", tag = "calls", request_body = Option<OneLeg>, security(("api_key" = ["control"])),
    responses((status = 204, description = "It is not muted"), (status = 409, description = "`call-ended`, `call-not-connected`")))]
pub(super) async fn unmute(
    State(api): State<Arc<Api>>,
    Path(call): Path<String>,
    request: Request,
) -> Result<StatusCode, Problem> {
    set_muted(&api, &call, request, false).await
}

async fn set_muted(api: &Api, call: &str, request: Request, muted: bool) -> Result<StatusCode, Problem> {
    let (parts, body) = request.into_parts();
    auth::require(api, &parts.headers, Scope::Control)?;
    let call = known(api, call).await?;
    let asked: OneLeg = read_json_or_nothing(&parts.headers, body).await?;
    api.calls.mute(&call, asked.leg.unwrap_or(LegName::Browser).into(), muted).map_err(about(&call))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Digits, and the leg that shall hear them.
#[derive(Deserialize, ToSchema)]
#[schema(as = LegDigits)]
struct Digits {
    /// `sip` if not said.
    #[serde(default)]
    leg: Option<LegName>,
    /// RFC 4733 events.
    #[schema(pattern = "^[0-9*#A-Da-d]{1,64}$")]
    digits: String,
    /// Of each digit.
    #[serde(default = "default_duration_ms")]
    #[schema(minimum = 40, maximum = 6000)]
    duration_ms: u32,
}

/// Send digits to a leg
#[utoipa::path(post, path = "/v1/calls/{call}/dtmf", tag = "calls", request_body = Digits, security(("api_key" = ["control"])),
    responses((status = 202, description = "They are being sent"), (status = 409, description = "`call-ended`, `call-not-connected`")))]
pub(super) async fn dtmf(
    State(api): State<Arc<Api>>,
    Path(call): Path<String>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let (parts, body) = request.into_parts();
    auth::require(&api, &parts.headers, Scope::Control)?;
    let call = known(&api, &call).await?;
    let asked: Digits = read_json(&parts.headers, body).await?;
    check_digits(&asked.digits, asked.duration_ms)?;
    let leg = asked.leg.unwrap_or(LegName::Sip).into();
    once(&api, &call, &parts.headers, || api.calls.dtmf(&call, leg, &asked.digits, asked.duration_ms))
}

/// A call that can be steered, or could be until a short while ago: what is asked of it says whether it still can.
pub(super) async fn known(api: &Api, call: &str) -> Result<CallId, Problem> {
    look_up(api, call).await?.ok_or_else(|| Problem::call_ended("the call has ended").with("call", call))
}

/// `None`: it ended so long ago that nothing but its record is left.
async fn look_up(api: &Api, call: &str) -> Result<Option<CallId>, Problem> {
    let call = CallId::from_client(call);
    if api.calls.knows(&call) {
        return Ok(Some(call));
    }
    match api.calls.find(&call).await? {
        Some(_) => Ok(None),
        None => Err(unknown_call()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_any_zone_are_compared_in_one() {
        for (text, expected) in [
            ("2026-01-02T03:04:05Z", Some("2026-01-02T03:04:05.000Z")),
            ("2026-01-02T03:04:05.1234+01:00", Some("2026-01-02T02:04:05.123Z")),
            ("2026-01-02T03:04:05 01:00", Some("2026-01-02T02:04:05.000Z")),
            ("yesterday", None),
            ("2026-01-02", None),
        ] {
            assert_eq!(time_of("since", text).ok().as_deref(), expected, "{text}");
        }
    }
}
