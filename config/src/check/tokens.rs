//! Keys of session tokens.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::lines::item;
use crate::model::{Secret, TokenKey};
use crate::raw::{RawSecret, RawTokenKeys};
use crate::report::Report;
use crate::secrets::Secrets;

const KEY: &str = "public.token_key";
/// As long as the output of the hash it keys (RFC 7518 section 3.2).
const BYTES_MIN: usize = 32;
/// What stands before the 32 bytes of an Ed25519 key (RFC 8410 sections 4 and 7).
const PRIVATE: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
const PUBLIC: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];
const KEY_BYTES: usize = 32;

pub(super) fn token_keys(raw: &RawTokenKeys, secrets: &Secrets<'_>, report: &mut Report) -> Option<Vec<TokenKey>> {
    let raw = match raw {
        RawTokenKeys::One(raw) if raw.0.is_empty() => return Some(Vec::new()),
        RawTokenKeys::One(raw) => vec![(KEY.to_owned(), raw)],
        RawTokenKeys::Several(raw) => raw.iter().enumerate().map(|(at, raw)| (item(KEY, at), raw)).collect(),
    };
    // All are looked at before the verdict, so that all problems are found.
    let checked: Vec<_> = raw.iter().map(|(key, raw)| (key, token_key(key, raw, secrets, report))).collect();
    let mut keys: Vec<TokenKey> = Vec::new();
    for (key, checked) in checked {
        let checked = checked?;
        if keys.contains(&checked) {
            report.problem(key, "is listed twice");
        }
        if keys.is_empty() && matches!(checked, TokenKey::Public(_)) {
            report.problem(key, "must be able to sign, as the first one: a public key only checks");
        }
        keys.push(checked);
    }
    Some(keys)
}

fn token_key(key: &str, raw: &RawSecret, secrets: &Secrets<'_>, report: &mut Report) -> Option<TokenKey> {
    let secret = secrets.required(report, key, raw)?;
    let text = secret.reveal().trim();
    if text.starts_with("-----BEGIN") {
        let read = pem(text);
        if read.is_none() {
            let example = "openssl genpkey -algorithm ed25519";
            report.problem(key, format!("is no Ed25519 key in PEM, as {example} makes one"));
        }
        return read;
    }
    if secret.reveal().len() < BYTES_MIN {
        report.problem(key, format!("must have at least {BYTES_MIN} bytes"));
    }
    Some(TokenKey::Shared(secret))
}

fn pem(text: &str) -> Option<TokenKey> {
    let body = |label: &str| {
        let text = text.strip_prefix(&format!("-----BEGIN {label}-----"))?;
        let base64: String = text.strip_suffix(&format!("-----END {label}-----"))?.split_whitespace().collect();
        STANDARD.decode(base64).ok()
    };
    let holds = |der: &[u8], head: &[u8]| der.strip_prefix(head).is_some_and(|key| key.len() == KEY_BYTES);
    if let Some(der) = body("PRIVATE KEY") {
        return holds(&der, &PRIVATE).then(|| TokenKey::Private(Secret::new(text)));
    }
    let der = body("PUBLIC KEY")?;
    holds(&der, &PUBLIC).then(|| TokenKey::Public(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8410 section 10.
    const PRIVATE_PEM: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----";
    const PUBLIC_PEM: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----";

    #[test]
    fn ed25519_keys_are_told_from_everything_else() {
        assert_eq!(pem(PRIVATE_PEM), Some(TokenKey::Private(Secret::new(PRIVATE_PEM))));
        assert_eq!(pem(PUBLIC_PEM), Some(TokenKey::Public(PUBLIC_PEM.to_owned())));
        for bad in [
            PRIVATE_PEM.replace("MC4C", "MC4D"),
            PRIVATE_PEM.replace("EdVhC", ""),
            PUBLIC_PEM.replace("PUBLIC", "PRIVATE"),
            PRIVATE_PEM.replace("PRIVATE", "EC PRIVATE"),
            "-----BEGIN PRIVATE KEY-----".to_owned(),
        ] {
            assert_eq!(pem(&bad), None, "{bad}");
        }
    }
}
