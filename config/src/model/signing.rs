//! Secrets that sign what a back end is sent (Standard Webhooks 1.0.0).

use std::ops::RangeInclusive;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::Secret;

const PREFIX: &str = "whsec_";
/// Bytes of a secret.
const BYTES: RangeInclusive<usize> = 24..=64;
/// Secrets at once.
const KEYS_MAX: usize = 4;

/// One signing key, or several while a receiver changes from one to the next. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKeys(Vec<Vec<u8>>);

/// A text is no signing secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// Its shape is another.
    #[error("must be whsec_ and base64; several are separated by spaces")]
    Shape,
    /// It is too short to be safe, or longer than there is use in.
    #[error("must hold 24 to 64 bytes, as base64")]
    Length,
    /// There are too many.
    #[error("at most 4 secrets")]
    Many,
}

impl SigningKeys {
    /// Reads `whsec_…`, or several of them with spaces between.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(secret: &Secret) -> Result<Self, KeysError> {
        let keys: Result<Vec<Vec<u8>>, KeysError> = secret.reveal().split_ascii_whitespace().map(key).collect();
        match keys? {
            keys if keys.is_empty() => Err(KeysError::Shape),
            keys if keys.len() > KEYS_MAX => Err(KeysError::Many),
            keys => Ok(Self(keys)),
        }
    }

    /// The keys, for the one place that signs.
    pub fn reveal(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(Vec::as_slice)
    }
}

impl std::fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

fn key(text: &str) -> Result<Vec<u8>, KeysError> {
    // Libraries write them with and without padding.
    let base64 = text.strip_prefix(PREFIX).map(|text| text.trim_end_matches('='));
    let key = base64.and_then(|text| STANDARD_NO_PAD.decode(text).ok()).ok_or(KeysError::Shape)?;
    if BYTES.contains(&key.len()) { Ok(key) } else { Err(KeysError::Length) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_24_to_64_bytes_one_or_several() {
        let of = |bytes: usize| format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode(vec![7; bytes]));
        let parse = |text: &str| SigningKeys::parse(&Secret::new(text)).map(|keys| keys.reveal().count());
        for (text, expected) in [
            (of(23), Err(KeysError::Length)),
            (of(24), Ok(1)),
            (of(64), Ok(1)),
            (of(65), Err(KeysError::Length)),
            (of(32).trim_end_matches('=').to_owned(), Ok(1)),
            (of(24) + " " + &of(32), Ok(2)),
            (of(24) + "  " + &of(32) + "\n", Ok(2)),
            (of(24) + " " + &of(8), Err(KeysError::Length)),
            ([of(24), of(24), of(24), of(24), of(24)].join(" "), Err(KeysError::Many)),
            (String::new(), Err(KeysError::Shape)),
            ("C2FVsBQIhrscChlQIMV+b5sSYspob7oD".into(), Err(KeysError::Shape)),
            ("whsec_C2FVsBQIhrscChlQIMV-b5sSYspob7oD".into(), Err(KeysError::Shape)),
            ("whsk_C2FVsBQIhrscChlQIMV+b5sSYspob7oD".into(), Err(KeysError::Shape)),
        ] {
            assert_eq!(parse(&text), expected, "{text}");
        }
    }

    #[test]
    fn they_are_never_shown() {
        let keys = SigningKeys::parse(&Secret::new("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")).unwrap();
        assert_eq!(format!("{keys:?}"), "***");
    }
}
