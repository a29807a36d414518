//! Probes: the offer and answer of a call without a call.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use utoipa::IntoParams;

use super::Api;
use super::calls::{SDP, quoted, read_offer, verify};
use super::client;
use crate::ids::ProbeId;
use crate::limiter::client_key;
use crate::openapi::schemas::{ProbeRunning, ProbeVerdict};
use crate::problem::Problem;
use crate::session::Mode;

/// The query of `POST /v1/probes`.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// How long audio comes back, 5 if not said.
    #[param(minimum = 1, maximum = 30)]
    seconds: Option<u32>,
}

/// Try the path and the microphone
///
/// The offer and answer of a call, but nobody is called: for some seconds what the browser says comes back to it, then the
/// verdict is ready. It ends by itself.
#[utoipa::path(post, path = "/v1/probes", tag = "probes", params(Wanted), request_body(content = String, content_type = SDP),
    security(("session_token" = [])),
    responses((status = 201, description = "The answer, with all server candidates", body = String, content_type = SDP,
            headers(("Location" = String, description = "`/v1/probes/{probe}`"), ("ETag" = String, description = "Of the ICE session"))),
        (status = 403, description = "`preview-session`, `origin-not-allowed`"),
        (status = 422, description = "`unsupported-sdp`"), (status = 429, description = "`rate-limited`"),
        (status = 503, description = "`capacity`, `draining`")))]
pub(super) async fn begin(
    State(api): State<Arc<Api>>,
    query: Result<Query<Wanted>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let now = api.clock.now();
    let claims = verify(&api, &request, None)?.fresh()?;
    if claims.mode == Mode::Preview {
        return Err(Problem::preview_session("a preview shows the widget; it has no audio"));
    }
    let seconds = query.ok().map(|Query(wanted)| wanted.seconds.unwrap_or(5)).filter(|n| (1..=30).contains(n));
    let seconds = seconds.ok_or_else(|| Problem::invalid_request("seconds is 1 to 30"))?;
    let public = &api.settings.load().public;
    let client = client_key(client::address(&request, &public.trusted_proxies));
    api.limits.call(now.instant, public.limits, client)?;
    let session = api
        .desk
        .session(now, &claims.sid)
        .ok_or_else(|| Problem::invalid_token("the session is not known here; create a new one"))?;
    let offer = read_offer(request).await?;
    let begun = api.calls.probe(&session, &offer, Duration::from_secs(seconds.into())).await?;
    let location = HeaderValue::from_str(&format!("/v1/probes/{}", begun.probe));
    let location = location.map_err(|_| Problem::internal_error("an answer could not be written"))?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(SDP)),
        (header::LOCATION, location),
        (header::ETAG, quoted(&begun.etag)?),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((StatusCode::CREATED, headers, begun.answer).into_response())
}

/// A probe's verdict
///
/// 202 while it runs. It is kept for five minutes.
#[utoipa::path(get, path = "/v1/probes/{probe}", tag = "probes", security(("session_token" = [])),
    responses((status = 200, description = "The verdict", body = ProbeVerdict),
        (status = 202, description = "It runs", body = ProbeRunning)))]
pub(super) async fn verdict(
    State(api): State<Arc<Api>>,
    Path(probe): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let claims = verify(&api, &request, None)?.fresh()?;
    let known = api.calls.probed(&ProbeId::from_client(&probe), &claims.sid);
    let verdict = known.ok_or_else(|| Problem::unknown_probe("check the probe"))?;
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    Ok(match verdict {
        None => (StatusCode::ACCEPTED, no_store, Json(json!({"state": "running"}))).into_response(),
        Some(verdict) => {
            let body = json!({
                "level": verdict.level, "udp": verdict.udp, "tcp": verdict.tcp, "rtt_ms": verdict.rtt_ms,
                "loss": verdict.loss, "jitter_ms": verdict.jitter_ms, "mic": verdict.mic,
            });
            (no_store, Json(body)).into_response()
        }
    })
}
