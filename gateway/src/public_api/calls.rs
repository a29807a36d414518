//! Calls as the browser sees them: WHIP-style (RFC 9725 with two-way audio), one token for every method.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use trunkline_media::api::Leg;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::body::{bearer, expect_type, read, read_json};
use super::client;
use super::cors::{self, CrossOrigin};
use super::receive;
use crate::calls::{HangupBy, IfMatch, Patched, Started};
use crate::ids::{CallId, SessionId};
use crate::limiter::client_key;
use crate::outcome::Refusal;
use crate::problem::Problem;
use crate::session::{Mode, Verified, ice};

/// The media type of offers and answers.
pub const SDP: &str = "application/sdp";
/// The media type of RFC 8840 section 9.
pub const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// The call that is answered, if it is none of the browser's own.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Answers {
    /// As `incoming_call` named it.
    #[serde(default)]
    call: Option<String>,
}

/// Start a call
///
/// WHIP-style (RFC 9725 with two-way audio): an offer with one audio section, BUNDLE, rtcp-mux, DTLS-SRTP. With `call`,
/// the answer of a session of the mode `receive` to a call that rings it.
#[utoipa::path(post, path = "/v1/calls", tag = "calls", params(Answers), request_body(content = String, content_type = SDP), security(("session_token" = [])),
    responses((status = 201, description = "The answer, with all server candidates", body = String, content_type = SDP,
            headers(("Location" = String, description = "`/v1/calls/{call}`"), ("ETag" = String, description = "Of the ICE session"),
                ("Link" = Option<String>, description = "One per ICE server"))),
        (status = 403, description = "`preview-session`, `receive-session`, `closed` with `opens_at`, `origin-not-allowed`"),
        (status = 404, description = "`unknown-app`, `unknown-call`"),
        (status = 409, description = "`call-in-progress`, `call-answered`, `call-ended`"),
        (status = 422, description = "`unsupported-sdp`"), (status = 429, description = "`rate-limited`"),
        (status = 503, description = "`capacity`, `draining`")))]
pub(super) async fn start(
    State(api): State<Arc<Api>>,
    query: Result<Query<Answers>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let answered = match query.ok().and_then(|Query(answers)| answers.call) {
        Some(call) => receive::answer(&api, request, &call).await,
        None => take(&api, request).await,
    };
    if let Err(problem) = &answered {
        api.metrics.call_refused(problem.slug);
    }
    answered
}

async fn take(api: &Api, request: Request) -> Result<Response, Problem> {
    let now = api.clock.now();
    let claims = verify(api, &request, None)?.fresh()?;
    if claims.mode == Mode::Preview {
        api.calls.refused(Refusal::PreviewSession);
        return Err(Problem::preview_session("a preview shows the widget; it starts no calls"));
    }
    if claims.mode == Mode::Receive {
        return Err(Problem::receive_session("answer a call that rings with ?call=, or open another session"));
    }
    let public = &api.settings.load().public;
    let client = client_key(client::address(&request, &public.trusted_proxies));
    api.limits.call(now.instant, public.limits, client).inspect_err(|_| api.calls.refused(Refusal::RateLimited))?;
    let session = api
        .desk
        .session(now, &claims.sid)
        .ok_or_else(|| Problem::invalid_token("the session is not known here; create a new one"))?;
    let offer = read_offer(request).await?;
    let started =
        api.calls.start(&session, &offer).await.map_err(|problem| problem.with("session", session.id.as_str()))?;
    for report in api.desk.take_reports(&session.id) {
        api.calls.client_report(&session.id, report.code, report.detail.as_deref());
    }
    created(api, &session.id, started)
}

/// A new peer connection for a live call
///
/// After a page reload, or from another network. The SIP dialog is untouched.
#[utoipa::path(post, path = "/v1/calls/{call}/reattach", tag = "calls", request_body(content = String, content_type = SDP), security(("session_token" = [])),
    responses((status = 201, description = "The answer, with all server candidates", body = String, content_type = SDP,
            headers(("Location" = String, description = "`/v1/calls/{call}`"), ("ETag" = String, description = "Of the ICE session"),
                ("Link" = Option<String>, description = "One per ICE server"))),
        (status = 409, description = "`call-ended`"), (status = 422, description = "`unsupported-sdp`"),
        (status = 429, description = "`rate-limited`"), (status = 503, description = "`capacity`")))]
pub(super) async fn reattach(
    State(api): State<Arc<Api>>,
    Path(call): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let call = owned(&api, &request, &call, None)?;
    api.limits.steer(api.clock.now().instant, &call)?;
    let offer = read_offer(request).await?;
    let session = api.calls.session_of(&call).ok_or_else(unknown_call)?;
    created(&api, &session, api.calls.reattach(&call, &offer).await.map_err(about(&call))?)
}

/// Trickle candidates, or restart ICE
///
/// RFC 9725 section 4.3: the same user fragment with the ETag trickles; a new one with `*` restarts. A failed restart
/// never ends the call.
#[utoipa::path(patch, path = "/v1/calls/{call}", tag = "calls", request_body(content = String, content_type = FRAGMENT), security(("session_token" = [])),
    params(("If-Match" = Option<String>, Header, description = "The ETag, or `*`")),
    responses((status = 200, description = "ICE is restarted", body = String, content_type = FRAGMENT,
            headers(("ETag" = String, description = "Of the new ICE session"))),
        (status = 204, description = "Candidates are noted"), (status = 409, description = "`call-ended`"),
        (status = 412, description = "`precondition-failed`"), (status = 422, description = "`unsupported-sdp`"),
        (status = 428, description = "`precondition-required`"), (status = 429, description = "`rate-limited`"),
        (status = 503, description = "`capacity`")))]
pub(super) async fn patch(
    State(api): State<Arc<Api>>,
    Path(call): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let call = owned(&api, &request, &call, None)?;
    api.limits.steer(api.clock.now().instant, &call)?;
    let (parts, body) = request.into_parts();
    expect_type(&parts.headers, FRAGMENT)?;
    let if_match = if_match(&parts.headers)?;
    let fragment = read(&parts.headers, body).await?;
    match api.calls.patch(&call, &if_match, &fragment).await.map_err(about(&call))? {
        // No ETag here: the ICE session is still the one it was.
        Patched::Trickled => Ok(StatusCode::NO_CONTENT.into_response()),
        Patched::Restarted(restart) => {
            let headers =
                [(header::CONTENT_TYPE, HeaderValue::from_static(FRAGMENT)), (header::ETAG, quoted(&restart.etag)?)];
            Ok((StatusCode::OK, headers, restart.fragment).into_response())
        }
    }
}

/// The visitor hangs up
///
/// Whatever If-Match says (RFC 9725 section 4.2).
#[utoipa::path(delete, path = "/v1/calls/{call}", tag = "calls", security(("session_token" = [])),
    responses((status = 200, description = "The call is being ended")))]
pub(super) async fn hang_up(
    State(api): State<Arc<Api>>,
    Path(call): Path<String>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let call = owned(&api, &request, &call, None)?;
    if api.calls.hangup(&call, HangupBy::Visitor) { Ok(StatusCode::OK) } else { Err(unknown_call()) }
}

/// Nothing to see, to the call's owner
#[utoipa::path(get, path = "/v1/calls/{call}", tag = "calls", security(("session_token" = [])),
    responses((status = 204, description = "The call is the asker's")))]
pub(super) async fn look(
    State(api): State<Arc<Api>>,
    Path(call): Path<String>,
    request: Request,
) -> Result<StatusCode, Problem> {
    owned(&api, &request, &call, None).map(|_| StatusCode::NO_CONTENT)
}

/// Digits.
#[derive(Deserialize, ToSchema)]
struct Digits {
    /// RFC 4733 events.
    #[schema(pattern = "^[0-9*#A-Da-d]{1,64}$")]
    digits: String,
    /// Of each digit.
    #[serde(default = "default_duration_ms")]
    #[schema(minimum = 40, maximum = 6000)]
    duration_ms: u32,
}

/// Send digits to the agent
#[utoipa::path(post, path = "/v1/calls/{call}/dtmf", tag = "calls", request_body = Digits, security(("session_token" = [])),
    responses((status = 202, description = "They are being sent"), (status = 409, description = "`call-ended`, `call-not-connected`"),
        (status = 429, description = "`rate-limited`")))]
pub(super) async fn dtmf(
    State(api): State<Arc<Api>>,
    Path(call): Path<String>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let call = owned(&api, &request, &call, None)?;
    api.limits.digits(api.clock.now().instant, &call)?;
    let (parts, body) = request.into_parts();
    let asked: Digits = read_json(&parts.headers, body).await?;
    check_digits(&asked.digits, asked.duration_ms)?;
    api.calls.dtmf(&call, Leg::Trunk, &asked.digits, asked.duration_ms).map_err(about(&call))?;
    Ok(StatusCode::ACCEPTED)
}

/// Whether the agent shall hear silence.
#[derive(Deserialize, ToSchema)]
struct Mute {
    /// It shall.
    muted: bool,
}

/// Mute the visitor
#[utoipa::path(post, path = "/v1/calls/{call}/mute", tag = "calls", request_body = Mute, security(("session_token" = [])),
    responses((status = 204, description = "Done"), (status = 409, description = "`call-ended`, `call-not-connected`"),
        (status = 429, description = "`rate-limited`")))]
pub(super) async fn mute(
    State(api): State<Arc<Api>>,
    Path(call): Path<String>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let call = owned(&api, &request, &call, None)?;
    api.limits.steer(api.clock.now().instant, &call)?;
    let (parts, body) = request.into_parts();
    let asked: Mute = read_json(&parts.headers, body).await?;
    api.calls.mute(&call, Leg::Browser, asked.muted).map_err(about(&call))?;
    Ok(StatusCode::NO_CONTENT)
}

/// The session token of a request, ours and not foreign; `in_query` where the header cannot be set.
pub(super) fn verify(api: &Api, request: &Request, in_query: Option<&str>) -> Result<Verified, Problem> {
    let token = bearer(request.headers()).or(in_query).unwrap_or_default();
    let verified = api.desk.tokens().verify(api.clock.now().wall, token)?;
    cors::check(api, &verified.claims.app, request.extensions().get::<CrossOrigin>())?;
    Ok(verified)
}

/// The call, if the token is of its session. A call of somebody else and none at all are answered alike. A token that
/// has expired is good for the live call it started, and for nothing else.
pub(super) fn owned(api: &Api, request: &Request, call: &str, in_query: Option<&str>) -> Result<CallId, Problem> {
    let verified = verify(api, request, in_query)?;
    let call = CallId::from_client(call);
    if verified.expired && api.calls.live_call_of(&verified.claims.sid).as_ref() != Some(&call) {
        return Err(Problem::token_expired("create a new session"));
    }
    if api.calls.session_of(&call).as_ref() == Some(&verified.claims.sid) { Ok(call) } else { Err(unknown_call()) }
}

/// The one answer for foreign and unknown calls.
pub(crate) fn unknown_call() -> Problem {
    Problem::unknown_call("check the call")
}

/// A problem of a call that is known to the asker names it.
pub(crate) fn about(call: &CallId) -> impl FnOnce(Problem) -> Problem {
    move |problem| problem.with("call", call.as_str())
}

/// RFC 4733 digits and a duration that can be sent.
pub(crate) fn check_digits(digits: &str, duration_ms: u32) -> Result<(), Problem> {
    if !(1..=64).contains(&digits.len()) || !digits.bytes().all(|digit| b"0123456789*#ABCDabcd".contains(&digit)) {
        return Err(Problem::invalid_digits("digits are 1 to 64 of 0-9, *, #, A-D"));
    }
    if !(40..=6000).contains(&duration_ms) {
        return Err(Problem::invalid_digits("duration_ms is 40 to 6000"));
    }
    Ok(())
}

pub(crate) fn default_duration_ms() -> u32 {
    100
}

pub(super) async fn read_offer(request: Request) -> Result<axum::body::Bytes, Problem> {
    let (parts, body) = request.into_parts();
    expect_type(&parts.headers, SDP)?;
    read(&parts.headers, body).await
}

/// With a Link field for each STUN or TURN server (RFC 9725 section 4.6).
pub(super) fn created(api: &Api, session: &SessionId, started: Started) -> Result<Response, Problem> {
    let location = HeaderValue::from_str(&format!("/v1/calls/{}", started.call)).map_err(|_| broken())?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(SDP)),
        (header::LOCATION, location),
        (header::ETAG, quoted(&started.etag)?),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    let mut response = (StatusCode::CREATED, headers, started.answer).into_response();
    let servers = ice::servers(&api.settings.load().public.ice_servers, api.clock.now().wall, session);
    for link in ice::links(&servers) {
        response.headers_mut().append(header::LINK, link);
    }
    Ok(response)
}

pub(super) fn quoted(etag: &str) -> Result<HeaderValue, Problem> {
    HeaderValue::from_str(&format!("\"{etag}\"")).map_err(|_| broken())
}

fn broken() -> Problem {
    Problem::internal_error("an answer could not be written")
}

/// RFC 9110 section 13.1.1, and the quoted star of the examples in RFC 9725. A weak tag never matches.
fn if_match(headers: &HeaderMap) -> Result<IfMatch, Problem> {
    let value = headers
        .get(header::IF_MATCH)
        .ok_or_else(|| Problem::precondition_required("send If-Match with the ETag of the ICE session, or *"))?;
    match value.to_str().unwrap_or_default().trim() {
        "*" | "\"*\"" => Ok(IfMatch::Any),
        weak if weak.starts_with("W/") => Err(Problem::precondition_failed("the tag is a strong one")),
        tag => {
            let bare = tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(tag);
            if bare.is_empty() || bare.contains(['"', ',']) {
                return Err(Problem::invalid_request("If-Match is one entity tag, or *"));
            }
            Ok(IfMatch::Tag(bare.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_match_as_browsers_and_the_rfc_write_it() {
        for (sent, expected) in [
            (None, Err(428)),
            (Some("*"), Ok(IfMatch::Any)),
            (Some("\"*\""), Ok(IfMatch::Any)),
            (Some("\"abc\""), Ok(IfMatch::Tag("abc".into()))),
            (Some("abc"), Ok(IfMatch::Tag("abc".into()))),
            (Some("W/\"abc\""), Err(412)),
            (Some("\"a\", \"b\""), Err(400)),
            (Some(""), Err(400)),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(sent) = sent {
                headers.insert(header::IF_MATCH, sent.parse().unwrap());
            }
            assert_eq!(if_match(&headers).map_err(|problem| problem.status), expected, "{sent:?}");
        }
    }

    #[test]
    fn digits_and_durations() {
        for (digits, duration_ms, good) in [
            ("12#", 100, true),
            ("0123456789*#ABCDabcd", 40, true),
            ("1", 6000, true),
            ("", 100, false),
            ("1 2", 100, false),
            ("E", 100, false),
            ("1", 39, false),
            ("1", 6001, false),
            (&"1".repeat(65), 100, false),
        ] {
            assert_eq!(check_digits(digits, duration_ms).is_ok(), good, "{digits} {duration_ms}");
        }
    }
}
