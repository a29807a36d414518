//! Prefixed, URL-safe identifiers with 128 random bits.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Text);

        impl $name {
            /// An identifier from 128 random bits.
            #[must_use]
            pub fn from_random(bits: [u8; 16]) -> Self {
                Self(Text::new(&format!(concat!($prefix, "{}"), URL_SAFE_NO_PAD.encode(bits))))
            }

            /// Takes what a client sent; whether it names anything is for the registry to say.
            #[must_use]
            pub fn from_client(text: &str) -> Self {
                Self(Text::new(text))
            }

            /// As written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
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

/// The longest text that needs no piece of memory of its own: every identifier of ours, and there are many.
const SHORT: usize = 30;

#[derive(Clone)]
enum Text {
    Short { octets: [u8; SHORT], length: u8 },
    Long(Box<str>),
}

impl Text {
    fn new(text: &str) -> Self {
        let mut octets = [0; SHORT];
        match (octets.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(room), Ok(length)) => {
                room.copy_from_slice(text.as_bytes());
                Self::Short { octets, length }
            }
            (_, _) => Self::Long(text.into()),
        }
    }

    fn as_str(&self) -> &str {
        match self {
            Self::Short { octets, length } => {
                let text = octets.get(..usize::from(*length)).map(std::str::from_utf8);
                text.and_then(Result::ok).unwrap_or_default()
            }
            Self::Long(text) => text,
        }
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text {}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::new(&std::borrow::Cow::<str>::deserialize(deserializer)?))
    }
}

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
        let ours = [CallId::from_random([7; 16]).0, EventId::from_random([7; 16]).0, ProbeId::from_random([7; 16]).0];
        assert!(ours.iter().chain([&one.0]).all(|text| matches!(text, Text::Short { .. })) && size_of::<Text>() == 32);
    }

    #[test]
    fn whatever_a_client_sends_is_kept_as_it_is() {
        for text in
            ["", "ses_1", "é", &"x".repeat(SHORT), &"x".repeat(SHORT + 1), &"é".repeat(SHORT / 2 + 1), &"y".repeat(300)]
        {
            let id = CallId::from_client(text);
            assert_eq!((id.as_str(), id.to_string().as_str(), &id), (text, text, &id.clone()));
            let json = serde_json::to_string(&id).unwrap();
            assert_eq!(
                (serde_json::from_str::<CallId>(&json).unwrap(), json),
                (id.clone(), serde_json::json!(text).to_string())
            );
            assert!(id < CallId::from_client(&format!("{text}z")));
        }
    }
}
