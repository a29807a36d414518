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
pub fn headers(keys: &SigningKeys, id: &str, at: Timestamp, body: &[u8]) -> HeaderMap {
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

#[cfg(test)]
mod tests {
    use trunkline_config::Secret;

    use super::*;

    const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const OTHER: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";

    #[test]
    fn the_published_vectors() {
        let check = |secret: &str, id: &str, seconds: i64, body: &str, expected: &str| {
            let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
            assert_eq!(signature(&key, id, seconds, body.as_bytes()), expected);
        };
        check(
            SECRET,
            "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
            1_649_367_553,
            r#"{"email":"test@example.com","username":"test_user"}"#,
            "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
        );
        check(
            "whsec_plJ3nmyCDGBKInavdOK15jsl",
            "msg_loFOjxBNrRLzqYUf",
            1_731_705_121,
            r#"{"event_type":"ping","data":{"success":true}}"#,
            "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=",
        );
    }

    #[test]
    fn every_key_signs_while_one_is_replaced() {
        let headers = |secret: &str| {
            let keys = SigningKeys::parse(&Secret::new(secret)).unwrap();
            headers(&keys, "evt_1", Timestamp::from_second(1_649_367_553).unwrap(), b"{}")
        };
        let text = |headers: &HeaderMap, name: &str| headers[name].to_str().unwrap().to_owned();
        let (old, new) = (headers(SECRET), headers(OTHER));
        let both = headers(&format!("{SECRET} {OTHER}"));
        assert_eq!(
            text(&both, "webhook-signature"),
            format!("{} {}", text(&old, "webhook-signature"), text(&new, "webhook-signature"))
        );
        assert_eq!(
            (text(&both, "webhook-id"), text(&both, "webhook-timestamp")),
            ("evt_1".into(), "1649367553".into())
        );
        assert_eq!(both.len(), 3);
    }
}
