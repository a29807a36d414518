//! Problems as `application/problem+json` (RFC 9457). Every refusal of the HTTP surface is one of these.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};

/// A refusal.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// HTTP status; also in the body.
    pub status: u16,
    /// The last part of `urn:trunkline:problem:<slug>`.
    pub slug: &'static str,
    /// Stable for the slug.
    pub title: &'static str,
    /// What is wrong with this request and how to mend it. No internals, no secrets.
    pub detail: String,
    /// Retry-After, seconds.
    pub retry_after: Option<u32>,
    /// Further members (`call`, `session`, `opens_at`, …).
    pub extra: Map<String, Value>,
}

/// The media type of every problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Each line is a constructor: what it is called, its slug, its status, its title.
macro_rules! problems {
    ($($name:ident, $slug:literal, $status:literal, $title:literal;)*) => {
        impl Problem {
            $(
                #[doc = concat!("`", $slug, "` ", stringify!($status), ": ", $title, ".")]
                #[must_use]
                pub fn $name(detail: impl Into<String>) -> Self {
                    Self::new($status, $slug, $title, detail.into())
                }
            )*
        }

        /// Every problem there is: slug, status, title.
        pub const ALL: &[(&str, u16, &str)] = &[$(($slug, $status, $title),)*];
    };
}

problems! {
    invalid_request, "invalid-request", 400, "The request is not well-formed";
    invalid_sdp, "invalid-sdp", 400, "The SDP is not well-formed";
    invalid_digits, "invalid-digits", 400, "The digits cannot be sent";
    invalid_token, "invalid-token", 401, "The session token is missing or not valid";
    token_expired, "token-expired", 401, "The session token has expired";
    widget_key_mismatch, "widget-key-mismatch", 401, "The widget key does not belong to the app";
    invalid_api_key, "invalid-api-key", 401, "The API key is missing or not valid";
    origin_not_allowed, "origin-not-allowed", 403, "The page's origin is not allowed";
    host_not_allowed, "host-not-allowed", 403, "The request names a host that is not this listener";
    insufficient_scope, "insufficient-scope", 403, "The API key does not have the scope";
    preview_session, "preview-session", 403, "A preview session cannot start calls";
    receive_session, "receive-session", 403, "The session waits for calls and starts none";
    receive_not_allowed, "receive-not-allowed", 403, "The app does not let this caller wait for calls";
    closed, "closed", 403, "The app takes no calls now";
    unknown_app, "unknown-app", 404, "There is no such app";
    unknown_call, "unknown-call", 404, "There is no such call";
    unknown_session, "unknown-session", 404, "There is no such session";
    unknown_trunk, "unknown-trunk", 404, "There is no such trunk";
    unknown_probe, "unknown-probe", 404, "There is no such probe";
    unknown_prompt, "unknown-prompt", 404, "There is no such prompt";
    unknown_integration, "unknown-integration", 404, "There is no such integration";
    unknown_delivery, "unknown-delivery", 404, "There is no such delivery";
    not_found, "not-found", 404, "There is nothing here";
    method_not_allowed, "method-not-allowed", 405, "The method is not allowed here";
    request_timeout, "request-timeout", 408, "The request took too long";
    provider_not_active, "provider-not-active", 409, "The app has no enabled trunk";
    call_in_progress, "call-in-progress", 409, "The session already has a live call";
    call_answered, "call-answered", 409, "The call is somebody else's";
    call_ended, "call-ended", 409, "The call has ended";
    call_not_connected, "call-not-connected", 409, "The call is not connected yet";
    call_already_connected, "call-already-connected", 409, "The call has a destination already";
    too_many_prompts, "too-many-prompts", 409, "The leg has too much to hear already";
    speech_unavailable, "speech-unavailable", 409, "Texts cannot be spoken here";
    transfer_in_progress, "transfer-in-progress", 409, "The call is being transferred";
    reload_unavailable, "reload-unavailable", 409, "There is no configuration file to reload";
    precondition_failed, "precondition-failed", 412, "The entity tag is not the current one";
    payload_too_large, "payload-too-large", 413, "The body is too large";
    unsupported_media_type, "unsupported-media-type", 415, "The body's media type is not supported";
    unsupported_sdp, "unsupported-sdp", 422, "The SDP asks for something that is not supported";
    invalid_configuration, "invalid-configuration", 422, "The configuration is not right";
    idempotency_key_reused, "idempotency-key-reused", 422, "The idempotency key was used for another request";
    precondition_required, "precondition-required", 428, "The request needs If-Match";
    rate_limited, "rate-limited", 429, "Too many requests";
    too_many_streams, "too-many-streams", 429, "Too many streams are read already";
    internal_error, "internal-error", 500, "Something went wrong in the gateway";
    overloaded, "overloaded", 503, "The gateway holds all the sessions it can";
    capacity, "capacity", 503, "No more calls can be taken now";
    records_unavailable, "records-unavailable", 503, "The records cannot be read now";
    draining, "draining", 503, "The node takes no new calls";
}

impl Problem {
    fn new(status: u16, slug: &'static str, title: &'static str, detail: String) -> Self {
        Self { status, slug, title, detail, retry_after: None, extra: Map::new() }
    }

    /// Adds a Retry-After, in seconds.
    #[must_use]
    pub fn retry_in(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Adds a member (`call`, `session`, `opens_at`, …).
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(member.to_owned(), value.into());
        self
    }

    /// The body. Members of RFC 9457 win over extensions of the same name.
    #[must_use]
    pub fn body(&self) -> Value {
        let mut body = self.extra.clone();
        body.insert("type".into(), format!("urn:trunkline:problem:{}", self.slug).into());
        body.insert("title".into(), self.title.into());
        body.insert("status".into(), self.status.into());
        body.insert("detail".into(), self.detail.clone().into());
        Value::Object(body)
    }
}

/// Marks a response that must not be readable by the page that asked: no CORS header may be added to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opaque;

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, self.body().to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if let Some(challenge) = challenge(self.slug) {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if self.slug == "origin-not-allowed" {
            response.extensions_mut().insert(Opaque);
        }
        response
    }
}

/// RFC 6750 section 3: what a refused credential is answered with. A widget key is no bearer token, but a 401 needs a
/// challenge all the same (RFC 9110 section 15.5.2).
fn challenge(slug: &str) -> Option<&'static str> {
    match slug {
        "invalid-token" => Some(r#"Bearer realm="trunkline", error="invalid_token""#),
        "token-expired" => {
            Some(r#"Bearer realm="trunkline", error="invalid_token", error_description="the token has expired""#)
        }
        "invalid-api-key" => Some(r#"Bearer realm="trunkline control""#),
        "insufficient-scope" => Some(r#"Bearer realm="trunkline control", error="insufficient_scope""#),
        "widget-key-mismatch" => {
            Some(r#"Bearer realm="trunkline", error="invalid_token", error_description="widget key""#)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_problem_is_rfc_9457_with_its_headers() {
        let response = Problem::rate_limited("wait").retry_in(7).with("session", "ses_x").into_response();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["content-type"], MEDIA_TYPE);
        assert_eq!(response.headers()["retry-after"], "7");
        let body = axum::body::to_bytes(response.into_body(), 4096).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "type": "urn:trunkline:problem:rate-limited", "title": "Too many requests", "status": 429,
                "detail": "wait", "session": "ses_x"
            })
        );
    }

    #[test]
    fn every_401_carries_a_challenge_and_every_slug_is_a_slug_once() {
        let mut seen = std::collections::HashSet::new();
        for (slug, status, title) in ALL {
            assert!(seen.insert(slug), "{slug} twice");
            assert!(slug.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{slug}");
            assert!(!title.is_empty() && (400..600).contains(status), "{slug}");
            assert_eq!(challenge(slug).is_some(), *status == 401 || *slug == "insufficient-scope", "{slug}");
        }
    }

    #[test]
    fn an_extension_cannot_forge_the_status() {
        assert_eq!(Problem::unknown_call("").with("status", 200).body()["status"], 404);
    }
}
