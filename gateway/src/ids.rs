//! Prefixed, URL-safe identifiers with 128 random bits.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// An identifier from 128 random bits.
            #[must_use]
            pub fn from_random(bits: [u8; 16]) -> Self {
                Self(format!(concat!($prefix, "{}"), URL_SAFE_NO_PAD.encode(bits)))
            }

            /// Takes what a client sent; whether it names anything is for the registry to say.
            #[must_use]
            pub fn from_client(text: &str) -> Self {
                Self(text.to_owned())
            }

            /// As written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// A session.
    SessionId, "ses_"
);
id!(
    /// A call.
    CallId, "call_"
);
id!(
    /// A probe.
    ProbeId, "probe_"
);
id!(
    /// An event.
    EventId, "evt_"
);

/// Fresh bits from the operating system's generator: the one place where the daemon draws identifiers and keys.
///
/// # Panics
/// When the operating system has no randomness to give; going on without would make identifiers guessable.
#[must_use]
pub fn random_bits<const N: usize>() -> [u8; N] {
    use rand::TryRng as _;
    let mut bits = [0; N];
    #[allow(clippy::expect_used)] // A gateway that cannot draw a secret must not go on.
    rand::rngs::SysRng.try_fill_bytes(&mut bits).expect("the operating system's random generator");
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_prefixed_url_safe_and_never_the_same() {
        let one = SessionId::from_random(random_bits());
        let two = SessionId::from_random(random_bits());
        assert_ne!(one, two);
        let bare = one.as_str().strip_prefix("ses_").unwrap();
        assert_eq!(bare.len(), 22);
        assert!(bare.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')));
    }
}
