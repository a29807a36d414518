//! Which pages may use the gateway (Fetch standard, section 3.2): the origins the apps list, to the letter.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Api;
use crate::problem::{Opaque, Problem};

const METHODS: &str = "GET, POST, PATCH, DELETE, OPTIONS";
const REQUEST_HEADERS: &str = "authorization, content-type, if-match, idempotency-key, last-event-id";
const EXPOSED: &str = "location, etag, link, retry-after";
const PREFLIGHT_SECONDS: &str = "600";

/// The request's origin, when it is a page of somebody else's. Handlers check it against their app.
#[derive(Debug, Clone)]
pub(super) struct CrossOrigin(pub(super) String);

/// Refuses foreign origins, answers preflights, and lets the page read what is meant for it.
pub(super) async fn guard(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let origin = match foreign_origin(request.headers(), &api.settings.load().public.url) {
        Ok(origin) => origin,
        Err(problem) => return problem.into_response(),
    };
    let Some(origin) = origin else {
        return next.run(request).await;
    };
    let Ok(allowed) = HeaderValue::from_str(&origin) else {
        return refused().into_response();
    };
    if !api.desk.knows_origin(&origin) {
        return refused().into_response();
    }
    let preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if preflight {
        preflight_answer(request.uri().path())
    } else {
        request.extensions_mut().insert(CrossOrigin(origin));
        next.run(request).await
    };
    if response.extensions().get::<Opaque>().is_none() {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    }
    response.headers_mut().append(header::VARY, HeaderValue::from_static("origin"));
    response
}

/// Whether the page the request comes from may use the app.
pub(super) fn check(api: &Api, app: &str, origin: Option<&CrossOrigin>) -> Result<(), Problem> {
    match origin {
        Some(origin) if !api.desk.allows_origin(app, &origin.0) => Err(refused()),
        Some(_) | None => Ok(()),
    }
}

fn foreign_origin(headers: &HeaderMap, own: &str) -> Result<Option<String>, Problem> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let Some(origin) = origins.next() else {
        return Ok(None);
    };
    match origin.to_str() {
        Ok(origin) if origin != "null" && origins.next().is_none() => {
            Ok(Some(origin.to_owned()).filter(|origin| origin != own))
        }
        Ok(_) | Err(_) => Err(refused()),
    }
}

fn refused() -> Problem {
    Problem::origin_not_allowed("add the page's origin to the app's allowed_origins")
}

fn preflight_answer(path: &str) -> Response {
    let mut response = options_answer(path);
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(REQUEST_HEADERS));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(PREFLIGHT_SECONDS));
    headers.append(header::VARY, HeaderValue::from_static("access-control-request-method"));
    headers.append(header::VARY, HeaderValue::from_static("access-control-request-headers"));
    response
}

/// OPTIONS: what a resource takes (RFC 9725 section 4.2). Never ICE servers, for it needs no token.
pub(super) fn options_answer(path: &str) -> Response {
    let mut response = StatusCode::OK.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, HeaderValue::from_static(METHODS));
    if path == "/v1/calls" || path == "/v1/probes" || path.ends_with("/reattach") {
        headers.insert("accept-post", HeaderValue::from_static(super::calls::SDP));
    } else if path.starts_with("/v1/calls/") {
        headers.insert("accept-patch", HeaderValue::from_static(super::calls::FRAGMENT));
    }
    response
}
