//! Browsers that wait for calls from trunks: the stream that says that one rings, the answer, the refusal.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::Stream;

use super::Api;
use super::calls::{created, read_offer, verify};
use super::client;
use super::events::{KEEP_ALIVE, Wanted, last_seen};
use crate::ids::{CallId, SessionId};
use crate::limiter::client_key;
use crate::outcome::Refusal;
use crate::problem::Problem;
use crate::receivers::ReceiverStream;
use crate::session::{Mode, Session};

/// Wait for calls
///
/// The events of a session of the mode `receive`: `incoming_call`, `incoming_call_cancelled`. Calls to the session's name
/// ring it while a stream is open, and for ten seconds after, for one that comes again. As long as that lasts the token
/// is good, however old it is.
#[utoipa::path(get, path = "/v1/sessions/{session}/events", tag = "sessions", params(Wanted,
        ("Last-Event-ID" = Option<String>, Header, description = "The last `seq` that was seen")), security(("session_token" = [])),
    responses((status = 200, description = "A stream that does not end by itself", body = String, content_type = "text/event-stream"),
        (status = 429, description = "`rate-limited`, `too-many-streams`"), (status = 503, description = "`capacity`, `draining`")))]
pub(super) async fn follow(
    State(api): State<Arc<Api>>,
    Path(session): Path<String>,
    query: Result<Query<Wanted>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let token = query.ok().and_then(|Query(wanted)| wanted.token);
    let session = receiving(&api, &request, token.as_deref())
        .and_then(|known| if known.id.as_str() == session { Ok(known) } else { Err(unknown_session()) })?;
    api.limits.report(api.clock.now().instant, &session.id)?;
    api.calls.admit()?;
    let name = session.receive.clone().ok_or_else(unknown_session)?;
    let events = api.calls.receive(&session, &name, last_seen(request.headers()))?;
    let mut response = Sse::new(stream(events)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// Decline a call that rings
///
/// It goes on to ring others; when all have declined, the trunk is told so.
#[utoipa::path(post, path = "/v1/calls/{call}/decline", tag = "calls", security(("session_token" = [])),
    responses((status = 204, description = "It rings here no more"), (status = 409, description = "`call-answered`, `call-ended`"),
        (status = 429, description = "`rate-limited`")))]
pub(super) async fn decline(
    State(api): State<Arc<Api>>,
    Path(call): Path<String>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let session = receiving(&api, &request, None)?;
    let call = CallId::from_client(&call);
    api.limits.steer(api.clock.now().instant, &call)?;
    api.calls.decline(&session.id, &call).map(|()| StatusCode::NO_CONTENT)
}

/// The answer to a call that rings, with the browser's offer.
pub(super) async fn answer(api: &Api, request: Request, call: &str) -> Result<Response, Problem> {
    let session = receiving(api, &request, None)?;
    let public = &api.settings.load().public;
    let client = client_key(client::address(&request, &public.trusted_proxies));
    let now = api.clock.now().instant;
    api.limits.call(now, public.limits, client).inspect_err(|_| api.calls.refused(Refusal::RateLimited))?;
    let offer = read_offer(request).await?;
    let answered = api.calls.answer(&session, &CallId::from_client(call), &offer).await;
    created(api, &session.id, answered.map_err(|problem| problem.with("session", session.id.as_str()))?)
}

/// The session of the mode `receive` that a token is of: it is reached, or can still be.
fn receiving(api: &Api, request: &Request, in_query: Option<&str>) -> Result<Session, Problem> {
    let now = api.clock.now();
    let verified = verify(api, request, in_query)?;
    if verified.claims.mode != Mode::Receive {
        return Err(unknown_call());
    }
    let id: &SessionId = &verified.claims.sid;
    if let Some(session) = api.calls.receivers().session(now.instant, id) {
        return Ok(session);
    }
    let claims = verified.fresh()?;
    let known = api.desk.session(now, &claims.sid);
    known.ok_or_else(|| Problem::invalid_token("the session is not known here; create a new one"))
}

/// What the token is no good for does not exist.
fn unknown_call() -> Problem {
    Problem::unknown_call("check the call")
}

fn unknown_session() -> Problem {
    Problem::unknown_session("check the session")
}

fn stream(events: ReceiverStream) -> impl Stream<Item = Result<Event, Infallible>> {
    futures::stream::unfold(events, |mut events| async move {
        let envelope = events.next().await?;
        let body = envelope.body();
        let data = std::str::from_utf8(&body).unwrap_or_default();
        Some((Ok(Event::default().id(envelope.seq.to_string()).event(envelope.name).data(data)), events))
    })
}
