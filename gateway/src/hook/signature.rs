//! Signatures of Standard Webhooks 1.0.0: HMAC-SHA256 over `id.timestamp.body`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use hyper::HeaderMap;
use hyper::header::HeaderValue;
use jiff::Timestamp;
use sha2::Sha256;
use trunkline_config::SigningKeys;

/// The three headers of an attempt at `at`. Every key signs, so that a receiver may know the old one or the new one.
/// An id a header cannot hold is never one of ours; it is left out.
#[must_use]
pub(super) fn headers(keys: &SigningKeys, id: &str, at: Timestamp, body: &[u8]) -> HeaderMap {
    let seconds = at.as_second();
    let signatures: Vec<String> = keys.reveal().map(|key| signature(key, id, seconds, body)).collect();
    let fields = [
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", seconds.to_string()),
        ("webhook-signature", signatures.join(" ")),
    ];
    let valid = fields.into_iter().filter_map(|(name, value)| Some((name, HeaderValue::from_str(&value).ok()?)));
    let mut headers = HeaderMap::new();
    for (name, value) in valid {
        headers.insert(name, value);
    }
    headers
}

/// `v1,` and the MAC as base64.
fn signature(key: &[u8], id: &str, seconds: i64, body: &[u8]) -> String {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(format!("{id}.{seconds}.").as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}
