//! What came of a question.

use std::time::Duration;

use serde_json::{Value, json};

use crate::call::Action;

/// What came of a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// Every try, in order.
    pub tries: Vec<Try>,
    /// How long it took in all.
    pub took: Duration,
    /// What is to be done.
    pub actions: Result<Vec<Action>, Unanswered>,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered {
    /// Every try failed.
    Failed,
    /// Nobody was asked: breakers are open, or too many questions are under way.
    Unasked,
}

/// One try.
#[derive(Debug, Clone, PartialEq)]
pub struct Try {
    /// `primary` or `fallback`.
    pub hook: &'static str,
    /// One of [`RESULTS`].
    pub result: &'static str,
    /// More about it, in words without the URL.
    pub detail: Option<String>,
    /// How long it took.
    pub took: Duration,
}

/// What a try can come to: an answer; a status or body that is none; no answer; nobody asked.
pub const RESULTS: [&str; 8] =
    ["answered", "status", "invalid", "too_large", "timeout", "unreachable", "breaker_open", "busy"];

impl Asked {
    /// As it stands in the trail and in the evidence.
    #[must_use]
    pub fn evidence(&self) -> Value {
        let result = match self.actions {
            Ok(_) => "answered",
            Err(Unanswered::Failed) => "failed",
            Err(Unanswered::Unasked) => "not_asked",
        };
        json!({
            "result": result,
            "took_ms": ms(self.took),
            "actions": self.actions.as_ref().ok().map(|actions| actions.iter().map(Action::word).collect::<Vec<_>>()),
            "tries": self.tries.iter().map(Try::to_json).collect::<Vec<_>>(),
        })
    }
}

impl Try {
    fn to_json(&self) -> Value {
        json!({ "hook": self.hook, "result": self.result, "detail": self.detail, "took_ms": ms(self.took) })
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
