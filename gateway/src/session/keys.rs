//! Comparing secrets without telling, by time, how much of a guess was right.

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use trunkline_config::{ApiKey, WidgetKey};

/// Whether a presented key is one of an app's. Looks at every key, whichever fits.
#[must_use]
pub fn widget_key_fits(keys: &[WidgetKey], presented: &str) -> bool {
    let presented = digest(presented);
    let mut fits = Choice::from(0);
    for key in keys {
        let known = match key {
            WidgetKey::Plain(secret) => digest(secret.reveal()),
            WidgetKey::Sha256(hash) => *hash,
        };
        fits |= known.ct_eq(&presented);
    }
    fits.into()
}

/// The API key that was presented. Looks at every key, whichever fits.
#[must_use]
pub fn api_key<'a>(keys: &'a [ApiKey], presented: &str) -> Option<&'a ApiKey> {
    let presented = digest(presented);
    let mut found = None;
    for key in keys {
        if bool::from(digest(key.key.reveal()).ct_eq(&presented)) {
            found = Some(key);
        }
    }
    found
}

/// SHA-256: what is compared, so that lengths do not show either.
#[must_use]
pub fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use trunkline_config::{Scope, Secret};

    use super::*;

    #[test]
    fn plain_and_hashed_keys_fit_only_themselves() {
        let keys = [WidgetKey::Plain(Secret::new("wk_one")), WidgetKey::Sha256(digest("wk_two"))];
        for (presented, fits) in [("wk_one", true), ("wk_two", true), ("wk_on", false), ("wk_one ", false), ("", false)]
        {
            assert_eq!(widget_key_fits(&keys, presented), fits, "{presented}");
        }
        assert!(!widget_key_fits(&[], ""));
    }

    #[test]
    fn an_api_key_is_found_by_its_whole_value() {
        let key =
            |name: &str, value: &str| ApiKey { name: name.into(), key: Secret::new(value), scopes: vec![Scope::Read] };
        let keys = [key("a", "k1"), key("b", "k2")];
        assert_eq!(api_key(&keys, "k2").map(|key| key.name.as_str()), Some("b"));
        assert!(api_key(&keys, "k").is_none());
    }
}
