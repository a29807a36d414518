//! Reading requests: bearer tokens, media types, bodies of limited size. All refusals are problems.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// Largest body, bytes.
pub const LARGEST: usize = 64 * 1024;

/// The bearer token of RFC 6750 section 2.1.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Checks the media type, parameters aside. Problem: `unsupported-media-type` 415.
pub fn expect_type(headers: &HeaderMap, expected: &str) -> Result<(), Problem> {
    let sent = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = sent.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(expected) {
        Ok(())
    } else {
        Err(Problem::unsupported_media_type(format!("send {expected}")))
    }
}

/// Reads a body. Problem: `payload-too-large` 413, by its announced length if it has one.
pub async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    let too_large = || Problem::payload_too_large(format!("a body may have {LARGEST} bytes"));
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > LARGEST as u64) {
        return Err(too_large());
    }
    axum::body::to_bytes(body, LARGEST).await.map_err(|_| match announced {
        Some(_) => Problem::invalid_request("the body ended before its length"),
        None => too_large(),
    })
}

/// Reads a JSON body.
pub async fn read_json<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, Problem> {
    expect_type(headers, "application/json")?;
    parse_json(&read(headers, body).await?)
}

/// As [`read_json`], an empty body being an empty object.
pub async fn read_json_or_nothing<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, Problem> {
    let bytes = read(headers, body).await?;
    if bytes.is_empty() {
        return parse_json(b"{}");
    }
    expect_type(headers, "application/json")?;
    parse_json(&bytes)
}

fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| {
        Problem::invalid_request(format!(
            "the body is not the JSON object that is expected here (line {}, column {})",
            error.line(),
            error.column()
        ))
    })
}
