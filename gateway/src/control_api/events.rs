//! `GET /v1/events`: all events as they become durable, and those that were missed.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::{Value, json};
use trunkline_config::{EVENT_NAMES, Scope};

use super::{Api, auth};
use crate::calls::unreadable;
use crate::events::{Feed, Filter, Heard, Seat, Seats};
use crate::ids::EventId;
use crate::problem::Problem;

/// How often a quiet stream shows that it lives; proxies cut those that do not.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Most values of a filter.
const VALUES: usize = 100;

/// All events
///
/// Each as it becomes durable; its SSE id is its `evt_…`. With `Last-Event-ID`, everything after that event first. A
/// reader that does not keep up is sent `event: lagged` with `missed` and `last_id`, and the stream ends: it comes back
/// with `Last-Event-ID` and misses nothing. If the event it names is not kept any more, it is sent `event: gap` and
/// everything there is.
#[utoipa::path(get, path = "/v1/events", tag = "events", security(("api_key" = ["read"])),
    params(
        ("app" = Option<String>, Query, description = "Of this app; repeatable, or a list with commas"),
        ("name" = Option<String>, Query, description = "Of this name; repeatable, or a list with commas"),
        ("Last-Event-ID" = Option<String>, Header, description = "The last event that was seen")),
    responses((status = 200, description = "Events as they come", body = String, content_type = "text/event-stream")))]
pub(super) async fn follow(
    State(api): State<Arc<Api>>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    auth::require(&api, &headers, Scope::Read)?;
    let Query(query) = query.map_err(|_| Problem::invalid_request("the query cannot be read"))?;
    let filter = filter(&query)?;
    let seats = api.calls.seats().clone();
    let seat = seats.take().ok_or_else(|| Problem::too_many_streams("all places for streams are taken").retry_in(5))?;
    let store = api.calls.store();
    let last = last_seen(&headers);
    let (feed, gap) = match Feed::open(store, filter.clone(), last.clone()).await.map_err(|e| unreadable(&e))? {
        Some(feed) => (feed, None),
        None => (Feed::from_the_beginning(store, filter), last),
    };
    let opening = opening(gap.as_ref(), feed.last());
    let stream = Stream { feed, seats, _seat: seat, opening: Some(opening), over: false };
    let mut response = Body::from_stream(futures::stream::unfold(stream, Stream::next)).into_response();
    let set = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    for (name, value) in set {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

struct Stream {
    feed: Feed,
    seats: Seats,
    _seat: Seat,
    opening: Option<Bytes>,
    over: bool,
}

impl Stream {
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if let Some(opening) = self.opening.take() {
            return Some((Ok(opening), self));
        }
        if self.over {
            return None;
        }
        let heard = tokio::select! {
            heard = self.feed.next() => heard,
            () = tokio::time::sleep(KEEP_ALIVE) => return Some((Ok(Bytes::from_static(b":\n\n")), self)),
        };
        let frame = match heard {
            Ok(Heard::Event(event)) => event.frame(),
            Ok(Heard::Lagged { missed, last }) => {
                self.seats.lagged();
                self.over = true;
                marker("lagged", &json!({ "missed": missed, "last_id": last }))
            }
            // The node stops, or its database cannot be read: the reader comes back with what it has seen.
            Err(_) => return None,
        };
        Some((Ok(frame), self))
    }
}

/// Where the reader stands, so that it can come back also before its first event.
fn opening(gap: Option<&EventId>, last: Option<&EventId>) -> Bytes {
    let mut text = String::from("retry: 1000\n");
    if let Some(last) = last {
        text.push_str(&format!("id: {last}\n"));
    }
    text.push('\n');
    let mut opening = Vec::from(text);
    if let Some(unknown) = gap {
        let unknown: String = unknown.as_str().chars().take(64).collect();
        opening.extend_from_slice(&marker("gap", &json!({ "unknown_id": unknown })));
    }
    opening.into()
}

/// Something about the stream itself; it has no id.
fn marker(name: &str, data: &Value) -> Bytes {
    format!("event: {name}\ndata: {data}\n\n").into()
}

fn last_seen(headers: &HeaderMap) -> Option<EventId> {
    let text = headers.get("last-event-id")?.to_str().unwrap_or("?").trim();
    (!text.is_empty()).then(|| EventId::from_client(text))
}

fn filter(query: &[(String, String)]) -> Result<Filter, Problem> {
    let values = |name: &str| -> Vec<String> {
        let named = query.iter().filter(|(key, _)| key == name).flat_map(|(_, value)| value.split(','));
        named.map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned).collect()
    };
    let filter = Filter { apps: values("app"), names: values("name") };
    if filter.apps.len().saturating_add(filter.names.len()) > VALUES {
        return Err(Problem::invalid_request(format!("at most {VALUES} apps and names")));
    }
    match filter.names.iter().find(|name| !EVENT_NAMES.contains(&name.as_str())) {
        Some(name) => {
            let name: String = name.chars().take(64).collect();
            Err(Problem::invalid_request(format!("there is no event {name:?}")))
        }
        None => Ok(filter),
    }
}
