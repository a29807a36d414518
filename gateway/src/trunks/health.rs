//! What a trunk's answers to OPTIONS say of it, with hysteresis: one lost datagram is no outage, one answer no recovery.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::clock::rfc3339;

/// Failures in a row after which a trunk is down.
const FAILURES: u32 = 2;
/// Answers in a row after which one that was down is up again.
const ANSWERS: u32 = 2;

/// Whether a trunk answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum State {
    /// Nobody asked it yet, or nobody is to.
    #[default]
    Unknown,
    /// It answers.
    Up,
    /// It does not.
    Down,
}

impl State {
    /// As the API says it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// What came of one OPTIONS.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// An answer.
    Answer {
        /// Its status.
        status: u16,
        /// Milliseconds it took.
        rtt_ms: f64,
    },
    /// None, and why, in a word.
    Nothing(&'static str),
}

impl Heard {
    /// Whether calls are welcome there. Whatever else it thinks of OPTIONS: it is there (RFC 3261 section 11), but for
    /// one that says it is not.
    #[must_use]
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Answer { status, .. } if *status != 503)
    }
}

/// A trunk's health.
#[derive(Debug, Clone, Default)]
pub struct Health {
    state: State,
    since: Option<Timestamp>,
    answers: u32,
    failures: u32,
    last: Option<(Timestamp, u16, f64)>,
    last_failure: Option<(Timestamp, String)>,
}

impl Health {
    /// Notes what came of an OPTIONS; the state before, if that changed it.
    pub fn note(&mut self, at: Timestamp, heard: &Heard) -> Option<State> {
        let failure = match heard {
            // Whatever else it thinks of OPTIONS: it is there (RFC 3261 section 11), but for one that says it is not.
            Heard::Answer { status: 503, .. } => Some("status_503".to_owned()),
            Heard::Answer { .. } => None,
            Heard::Nothing(why) => Some((*why).to_owned()),
        };
        if let Heard::Answer { status, rtt_ms } = heard {
            self.last = Some((at, *status, *rtt_ms));
        }
        let before = self.state;
        if let Some(why) = failure {
            (self.answers, self.failures) = (0, self.failures.saturating_add(1));
            self.last_failure = Some((at, why));
            if self.failures >= FAILURES {
                self.state = State::Down;
            }
        } else {
            (self.answers, self.failures) = (self.answers.saturating_add(1), 0);
            if before != State::Down || self.answers >= ANSWERS {
                self.state = State::Up;
            }
        }
        let changed = self.state != before;
        if changed {
            self.since = Some(at);
        }
        changed.then_some(before)
    }

    /// The state now.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// As `GET /v1/trunks` shows it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "state": self.state.word(),
            "since": self.since.map(rfc3339),
            "status": self.last.map(|(_, status, _)| status),
            "rtt_ms": self.last.map(|(_, _, rtt_ms)| rtt_ms),
            "answered_at": self.last.map(|(at, ..)| rfc3339(at)),
            "last_failure": self.last_failure.as_ref().map(|(at, why)| json!({"at": rfc3339(*at), "error": why})),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: Heard = Heard::Answer { status: 200, rtt_ms: 1.5 };
    const LOST: Heard = Heard::Nothing("no_answer");

    fn walk(heard: &[Heard]) -> Vec<&'static str> {
        let mut health = Health::default();
        heard
            .iter()
            .map(|heard| {
                let before = health.state();
                let told = health.note(Timestamp::UNIX_EPOCH, heard);
                assert_eq!(told.is_some(), before != health.state(), "every change is told, and nothing else");
                health.state().word()
            })
            .collect()
    }

    #[test]
    fn one_loss_is_no_outage_and_one_answer_no_recovery() {
        assert_eq!(walk(&[OK, LOST, OK, LOST, LOST]), ["up", "up", "up", "up", "down"]);
        assert_eq!(walk(&[LOST, LOST, OK, LOST, OK, OK]), ["unknown", "down", "down", "down", "down", "up"]);
    }

    #[test]
    fn any_answer_but_503_is_a_sign_of_life() {
        for (status, expected) in [(200, "up"), (404, "up"), (405, "up"), (480, "up"), (500, "up"), (503, "down")] {
            let answer = Heard::Answer { status, rtt_ms: 1.0 };
            assert_eq!(walk(&[answer.clone(), answer]).last(), Some(&expected), "{status}");
        }
    }

    #[test]
    fn the_last_failure_stays_when_it_answers_again() {
        let mut health = Health::default();
        health.note(Timestamp::UNIX_EPOCH, &LOST);
        health.note(Timestamp::UNIX_EPOCH, &OK);
        let shown = health.to_json();
        assert_eq!((&shown["state"], &shown["last_failure"]["error"]), (&json!("up"), &json!("no_answer")));
        assert_eq!((&shown["status"], &shown["rtt_ms"]), (&json!(200), &json!(1.5)));
    }
}
