//! What of a visitor's context and form values is kept. Dropping is silent to the visitor and visible in the report.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::Serialize;
use serde_json::Value;
use trunkline_config::ContextLimits;

/// Longest key, bytes.
const KEY_BYTES: usize = 64;
/// Keys the widget uses for itself; never passed on.
const RESERVED: [&str; 5] = ["session", "preview", "configId", "r", "lang"];
/// Dropped keys named in one report; the counters count them all.
const REPORTED: usize = 100;

/// The members of a JSON object as they came: in order, duplicates and all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pairs(pub Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }

            fn visit_unit<E>(self) -> Result<Pairs, E> {
                Ok(Pairs::default())
            }
        }

        deserializer.deserialize_any(Members)
    }
}

/// Why a key was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Drop {
    /// Not `^[a-zA-Z0-9_\-.]{1,64}$`.
    InvalidKey,
    /// One of the widget's own.
    Reserved,
    /// Past the total budget.
    Budget,
    /// Named before in the same object.
    Duplicate,
    /// Neither text, number nor boolean.
    InvalidValue,
}

impl Drop {
    /// Every reason, for the counters.
    pub const ALL: [Self; 5] = [Self::InvalidKey, Self::Reserved, Self::Budget, Self::Duplicate, Self::InvalidValue];

    /// As in the report.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidKey => "invalid_key",
            Self::Reserved => "reserved",
            Self::Budget => "budget",
            Self::Duplicate => "duplicate",
            Self::InvalidValue => "invalid_value",
        }
    }
}

impl Serialize for Drop {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A dropped key.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Dropped {
    /// The key, cut to 64 bytes.
    pub key: String,
    /// Why.
    pub reason: Drop,
}

/// `context_report` of `POST /v1/sessions`.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Keys that were kept, cut ones too.
    pub accepted: Vec<String>,
    /// Keys that were not; at most a hundred are named.
    pub dropped: Vec<Dropped>,
    /// Keys whose value was cut.
    pub truncated: Vec<String>,
    /// How many were dropped, by reason, in the order of [`Drop::ALL`].
    #[serde(skip)]
    pub drop_counts: [u64; 5],
}

impl Report {
    fn drop_key(&mut self, key: &str, reason: Drop) {
        for (count, counted) in self.drop_counts.iter_mut().zip(Drop::ALL) {
            *count += u64::from(counted == reason);
        }
        // overflow: the report stops naming keys, the counters go on.
        if self.dropped.len() < REPORTED {
            self.dropped.push(Dropped { key: cut(key, KEY_BYTES).to_owned(), reason });
        }
    }
}

/// Applies the rules: first come, first kept.
#[must_use]
pub fn admit(pairs: &[(String, Value)], limits: ContextLimits) -> (Vec<(String, String)>, Report) {
    let mut report = Report::default();
    let mut kept: Vec<(String, String)> = Vec::new();
    let mut seen = HashSet::new();
    let mut budget = Some(limits.total_bytes);
    for (key, value) in pairs {
        let key = key.as_str();
        if !is_key(key) {
            report.drop_key(key, Drop::InvalidKey);
            continue;
        }
        if RESERVED.contains(&key) {
            report.drop_key(key, Drop::Reserved);
            continue;
        }
        let Some(text) = text_of(value) else {
            report.drop_key(key, Drop::InvalidValue);
            continue;
        };
        if !seen.insert(key) {
            report.drop_key(key, Drop::Duplicate);
            continue;
        }
        let value = cut(&text, limits.value_bytes);
        // Once a key does not fit, the budget is spent: what is kept is a beginning, never a selection.
        budget = budget.and_then(|left| left.checked_sub(key.len().saturating_add(value.len())));
        if budget.is_none() {
            report.drop_key(key, Drop::Budget);
            continue;
        }
        if value.len() < text.len() {
            report.truncated.push(key.to_owned());
        }
        report.accepted.push(key.to_owned());
        kept.push((key.to_owned(), value.to_owned()));
    }
    (kept, report)
}

/// The longest beginning of at most `bytes` bytes that ends between two characters.
#[must_use]
pub fn cut(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}

fn is_key(key: &str) -> bool {
    (1..=KEY_BYTES).contains(&key.len())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: ContextLimits = ContextLimits { value_bytes: 8, total_bytes: 24 };

    fn admit_json(json: &str) -> (String, String) {
        let pairs: Pairs = serde_json::from_str(json).unwrap();
        let (kept, report) = admit(&pairs.0, LIMITS);
        let kept: Vec<String> = kept.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
        let dropped: Vec<String> =
            report.dropped.iter().map(|dropped| format!("{}:{}", dropped.key, dropped.reason.as_str())).collect();
        let truncated = report.truncated.iter().map(|key| format!("{key}:cut"));
        (kept.join(" "), dropped.into_iter().chain(truncated).collect::<Vec<_>>().join(" "))
    }

    fn check(json: &str, kept: &str, told: &str) {
        assert_eq!(admit_json(json), (kept.to_owned(), told.to_owned()), "{json}");
    }

    #[test]
    fn the_rules_row_by_row() {
        check(r#"{"plan":"gold"}"#, "plan=gold", "");
        check(
            r#"{"bad key":"x","":"x","ü":"x","a.b-c_1":"x"}"#,
            "a.b-c_1=x",
            "bad key:invalid_key :invalid_key ü:invalid_key",
        );
        check(
            r#"{"session":"x","preview":"x","configId":"x","r":"x","lang":"x","Lang":"x"}"#,
            "Lang=x",
            "session:reserved preview:reserved configId:reserved r:reserved lang:reserved",
        );
        check(
            r#"{"n":1.5,"b":true,"o":{},"a":[],"z":null}"#,
            "n=1.5 b=true",
            "o:invalid_value a:invalid_value z:invalid_value",
        );
        check(r#"{"a":"1","a":"2"}"#, "a=1", "a:duplicate");
        // Cut on a character boundary: the four-byte character straddles the cap of eight.
        check(r#"{"a":"1234567😀"}"#, "a=1234567", "a:cut");
        check(r#"{"a":"1234😀"}"#, "a=1234😀", "");
        check(r#"{"a":"123456789"}"#, "a=12345678", "a:cut");
        // Budget 24: 9 + 9 leaves 6, exactly used or exceeded by one; nothing after the first that does not fit is kept.
        check(r#"{"a":"12345678","b":"12345678","c":"12345"}"#, "a=12345678 b=12345678 c=12345", "");
        check(r#"{"a":"12345678","b":"12345678","c":"123456","d":"1"}"#, "a=12345678 b=12345678", "c:budget d:budget");
    }

    #[test]
    fn a_report_is_bounded_and_its_counts_are_not() {
        let pairs: Vec<_> = (0..500).map(|n| (format!("bad key {n}"), Value::Null)).collect();
        let (_, report) = admit(&pairs, LIMITS);
        assert_eq!(report.dropped.len(), REPORTED);
        assert_eq!(report.drop_counts[0], 500);
    }

    proptest! {
        #[test]
        fn nothing_kept_breaks_a_rule(pairs in proptest::collection::vec((".{0,70}", ".{0,20}"), 0..20)) {
            let pairs: Vec<_> = pairs.into_iter().map(|(key, value)| (key, Value::String(value))).collect();
            let (kept, report) = admit(&pairs, LIMITS);
            let total: usize = kept.iter().map(|(key, value)| key.len() + value.len()).sum();
            prop_assert!(total <= LIMITS.total_bytes);
            prop_assert!(kept.iter().all(|(key, value)| is_key(key) && value.len() <= LIMITS.value_bytes));
            prop_assert_eq!(kept.len() as u64 + report.drop_counts.iter().sum::<u64>(), pairs.len() as u64);
        }
    }
}
