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
    /// An event.
    EventId, "evt_"
);
