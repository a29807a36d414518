//! `Idempotency-Key`: a retry gets the answer of the first try, as long as the session could still start a call.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::LIFETIME;
use crate::problem::Problem;
use crate::room::give_back;

/// Answers kept at once, and their bytes together: most have a kilobyte, and the report of one on what it did not take of a
/// context may have forty.
const KEPT: usize = 10_000;
const KEPT_BYTES: usize = 32 << 20;

/// One request's claim on a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    slot: [u8; 32],
    body: [u8; 32],
}

impl Claim {
    /// A claim of a caller (its name or address), for an app, under a key of 1 to 255 visible characters.
    pub fn new(caller: &str, app: &str, key: &str, body: &[u8]) -> Result<Self, Problem> {
        if !(1..=255).contains(&key.len()) || !key.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
            return Err(Problem::invalid_request("Idempotency-Key is not 1 to 255 visible characters"));
        }
        let mut slot = Sha256::new();
        for part in [caller, app, key] {
            slot.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            slot.update(part.as_bytes());
        }
        Ok(Self { slot: slot.finalize().into(), body: Sha256::digest(body).into() })
    }
}

/// Answers given under a key, as JSON. Oldest first out, by age or for want of room.
#[derive(Default)]
pub struct Answers {
    kept: HashMap<[u8; 32], ([u8; 32], Box<str>)>,
    order: VecDeque<(Instant, [u8; 32])>,
    bytes: usize,
}

impl Answers {
    /// The answer of the first try, if there was one.
    pub fn find(&mut self, now: Instant, claim: &Claim) -> Result<Option<Value>, Problem> {
        self.forget_old(now);
        match self.kept.get(&claim.slot) {
            None => Ok(None),
            Some((body, answer)) if *body == claim.body => Ok(serde_json::from_str(answer).ok()),
            Some(_) => Err(Problem::idempotency_key_reused("send a new Idempotency-Key with a new request")),
        }
    }

    /// Keeps an answer.
    pub fn keep(&mut self, now: Instant, claim: &Claim, answer: &Value) {
        let answer = answer.to_string().into_boxed_str();
        // overflow: the oldest answers are forgotten; their retries would get new sessions.
        while self.kept.len() >= KEPT || self.bytes.saturating_add(answer.len()) > KEPT_BYTES {
            if !self.forget_oldest() {
                break;
            }
        }
        self.bytes = self.bytes.saturating_add(answer.len());
        match self.kept.insert(claim.slot, (claim.body, answer)) {
            None => self.order.push_back((now, claim.slot)),
            Some((_, before)) => self.bytes = self.bytes.saturating_sub(before.len()),
        }
    }

    /// Forgets what no retry can ask for any more.
    pub fn forget_old(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(kept_at, _)| now.saturating_duration_since(*kept_at) >= LIFETIME) {
            self.forget_oldest();
        }
        give_back(&mut self.kept);
        give_back(&mut self.order);
    }

    /// Whether there was one.
    fn forget_oldest(&mut self) -> bool {
        let Some((_, slot)) = self.order.pop_front() else { return false };
        if let Some((_, answer)) = self.kept.remove(&slot) {
            self.bytes = self.bytes.saturating_sub(answer.len());
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(caller: &str, app: &str, key: &str, body: &str) -> Claim {
        Claim::new(caller, app, key, body.as_bytes()).unwrap()
    }

    #[test]
    fn same_request_same_answer_other_body_refused_other_caller_apart() {
        let now = Instant::now();
        let mut answers = Answers::default();
        answers.keep(now, &claim("1.2.3.4", "a", "k", "body"), &"first".into());
        assert_eq!(answers.find(now, &claim("1.2.3.4", "a", "k", "body")), Ok(Some("first".into())));
        assert_eq!(answers.find(now, &claim("1.2.3.5", "a", "k", "body")), Ok(None));
        assert_eq!(answers.find(now, &claim("1.2.3.4", "b", "k", "body")), Ok(None));
        let refused = answers.find(now, &claim("1.2.3.4", "a", "k", "other")).unwrap_err();
        assert_eq!((refused.status, refused.slug), (422, "idempotency-key-reused"));
        assert_eq!(answers.find(now + LIFETIME, &claim("1.2.3.4", "a", "k", "body")), Ok(None));
    }

    #[test]
    fn the_oldest_goes_when_there_is_no_room() {
        let now = Instant::now();
        let mut answers = Answers::default();
        for n in 0..=KEPT {
            answers.keep(now, &claim("c", "a", &n.to_string(), ""), &n.into());
        }
        assert_eq!(answers.find(now, &claim("c", "a", "0", "")), Ok(None));
        assert_eq!(answers.find(now, &claim("c", "a", "1", "")), Ok(Some(1.into())));
        assert_eq!(answers.kept.len(), KEPT);
    }

    #[test]
    fn answers_of_any_size_have_room_for_so_many_bytes() {
        let now = Instant::now();
        let mut answers = Answers::default();
        let large = Value::from("x".repeat(40_000));
        for n in 0..2_000 {
            answers.keep(now, &claim("c", "a", &n.to_string(), ""), &large);
        }
        let kept: usize = answers.kept.values().map(|(_, answer)| answer.len()).sum();
        assert!(
            kept == answers.bytes && (KEPT_BYTES - 50_000..=KEPT_BYTES).contains(&kept),
            "{kept} {}",
            answers.bytes
        );
        assert_eq!(answers.find(now, &claim("c", "a", "0", "")), Ok(None));
        assert_eq!(answers.find(now, &claim("c", "a", "1999", "")), Ok(Some(large)));
        answers.forget_old(now + LIFETIME);
        assert_eq!((answers.kept.len(), answers.order.len(), answers.bytes), (0, 0, 0));
    }

    #[test]
    fn a_key_is_visible_text() {
        for key in ["", "a\nb", &"x".repeat(256)] {
            assert!(Claim::new("c", "a", key, b"").is_err(), "{key:?}");
        }
    }
}
