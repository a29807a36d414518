//! `GET /v1/calls/{call}/events`: the call's own events as they come, and those that were missed.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::Stream;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::calls::{owned, unknown_call, verify};
use crate::calls::EventStream;
use crate::events::Seat;
use crate::ids::CallId;
use crate::problem::Problem;

/// How often a quiet stream shows that it lives; proxies cut those that do not.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// `EventSource` sets no headers, so a token may come in the query here, and only here.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// The session's token.
    #[serde(default)]
    pub(super) token: Option<String>,
}

/// Follow a call's events
///
/// Each as the envelope of all events, its `seq` as the `id:`. `Last-Event-ID` replays what came after.
#[utoipa::path(get, path = "/v1/calls/{call}/events", tag = "events", params(Wanted,
        ("Last-Event-ID" = Option<String>, Header, description = "The last `seq` that was seen")), security(("session_token" = [])),
    responses((status = 200, description = "A stream that ends with the call's last event", body = String, content_type = "text/event-stream"),
        (status = 429, description = "`rate-limited`, `too-many-streams`")))]
pub(super) async fn follow(
    State(api): State<Arc<Api>>,
    Path(call): Path<String>,
    query: Result<Query<Wanted>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let token = query.ok().and_then(|Query(wanted)| wanted.token);
    let after = last_seen(request.headers());
    let now = api.clock.now().instant;
    let live = match owned(&api, &request, &call, token.as_deref()) {
        Ok(call) => {
            api.limits.steer(now, &call)?;
            api.calls.events(&call, after)
        }
        Err(problem) if problem.slug == "unknown-call" => None,
        Err(problem) => return Err(problem),
    };
    let call = CallId::from_client(&call);
    let events = match live {
        Some(events) => events,
        // Nobody here remembers it; an earlier process may have written it.
        None => {
            let session = verify(&api, &request, token.as_deref())?.fresh()?.sid;
            api.limits.steer(now, &CallId::from_client(session.as_str()))?;
            api.calls.past_events(&call, &session, after).await?.ok_or_else(unknown_call)?
        }
    };
    let seat = api.calls.seats().take_of(&call);
    let seat = seat.ok_or_else(|| Problem::too_many_streams("close the call's other streams first").retry_in(5))?;
    let mut response = Sse::new(stream(events, seat)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response();
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// The last event the client has, by `Last-Event-ID`; from the beginning when it says nothing sensible.
pub(super) fn last_seen(headers: &HeaderMap) -> u64 {
    headers.get("last-event-id").and_then(|value| value.to_str().ok()?.trim().parse().ok()).unwrap_or(0)
}

fn stream(events: EventStream, seat: Seat) -> impl Stream<Item = Result<Event, Infallible>> {
    futures::stream::unfold((events, seat), |(mut events, seat)| async move {
        let envelope = events.next().await?;
        let body = envelope.body();
        let data = std::str::from_utf8(&body).unwrap_or_default();
        Some((Ok(Event::default().id(envelope.seq.to_string()).event(envelope.name).data(data)), (events, seat)))
    })
}
