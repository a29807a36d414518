//! What DNS said, for as long as it may be believed, and for longer when DNS fails (RFC 8767).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::lookup::{Answer, NoAnswer, Question, Records};

/// Questions remembered.
const MAX_ENTRIES: usize = 2_048;
/// Bounds of a TTL: no call pays for a zone whose records live for nothing, and no mistake in a zone lasts for a day.
const TTL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3_600));
/// The same for what is not there (RFC 2308 section 5), and what holds where DNS names no time.
const NOTHING: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
const NOTHING_ELSE: Duration = Duration::from_secs(10);
/// After a failure DNS is left alone for so long: calls are not to wait for it one after the other.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// How long the last good answer is good enough when there is no better (RFC 8767 section 5 has one to three days).
const LAST_GOOD: Duration = Duration::from_secs(24 * 3_600);

/// What is remembered of a question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Memory {
    /// Nothing has to be asked: records, or why there are none.
    Fresh(Result<Arc<Records>, NoAnswer>),
    /// DNS has failed a moment ago: the last good answer.
    LastGood(Arc<Records>),
    /// DNS has to be asked; what serves if it fails.
    Ask(Option<Arc<Records>>),
}

#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: HashMap<Question, Entry>,
}

#[derive(Debug)]
struct Entry {
    /// Records, until when they are fresh, and until when they are good enough.
    good: Option<(Arc<Records>, Instant, Instant)>,
    /// Why there are none, and until when that is believed.
    none: Option<(NoAnswer, Instant)>,
    learnt: Instant,
}

impl Cache {
    /// What is known of a question.
    pub(super) fn look(&self, now: Instant, question: &Question) -> Memory {
        let Some(entry) = self.entries.get(question) else { return Memory::Ask(None) };
        let good = entry.good.as_ref();
        if let Some((records, _, _)) = good.filter(|(_, fresh, _)| now < *fresh) {
            return Memory::Fresh(Ok(Arc::clone(records)));
        }
        let last_good = good.filter(|(_, _, kept)| now < *kept).map(|(records, ..)| Arc::clone(records));
        match (&entry.none, last_good) {
            (Some((why, until)), None) if now < *until => Memory::Fresh(Err(why.clone())),
            (Some((_, until)), Some(records)) if now < *until => Memory::LastGood(records),
            (_, last_good) => Memory::Ask(last_good),
        }
    }

    /// Takes up what DNS said.
    pub(super) fn learn(&mut self, now: Instant, question: &Question, answer: Result<Answer, NoAnswer>) {
        self.make_room(question);
        let entry = self.entries.entry(question.clone());
        let entry = entry.or_insert_with(|| Entry { good: None, none: None, learnt: now });
        entry.learnt = now;
        match answer {
            Ok(Answer { records, ttl }) => {
                let fresh = now + ttl.clamp(TTL.0, TTL.1);
                (entry.good, entry.none) = (Some((Arc::new(records), fresh, now + LAST_GOOD)), None);
            }
            // DNS knows that they are gone: what was there once is no better answer.
            Err(NoAnswer::Nothing(ttl)) => {
                let until = now + ttl.unwrap_or(NOTHING_ELSE).clamp(NOTHING.0, NOTHING.1);
                (entry.good, entry.none) = (None, Some((NoAnswer::Nothing(ttl), until)));
            }
            Err(failure @ (NoAnswer::Failed(_) | NoAnswer::TimedOut)) => {
                entry.none = Some((failure, now + AFTER_FAILURE));
            }
        }
    }

    fn make_room(&mut self, question: &Question) {
        // overflow: what was learnt first goes.
        if self.entries.len() >= MAX_ENTRIES && !self.entries.contains_key(question) {
            let oldest =
                self.entries.iter().min_by_key(|(_, entry)| entry.learnt).map(|(question, _)| question.clone());
            oldest.map(|oldest| self.entries.remove(&oldest));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)] // Any time will do to begin with.

    use super::super::lookup::Kind;
    use super::*;

    fn question(name: &str) -> Question {
        Question { kind: Kind::A, name: name.into() }
    }

    fn records(address: &str) -> Records {
        Records::Addresses(vec![address.parse().unwrap()])
    }

    fn answer(ttl_seconds: u64) -> Result<Answer, NoAnswer> {
        Ok(Answer { records: records("192.0.2.1"), ttl: Duration::from_secs(ttl_seconds) })
    }

    /// What is known so many seconds after an answer, and then a failure if one is given.
    fn after(answer: Result<Answer, NoAnswer>, failure: Option<(u64, NoAnswer)>, seconds: u64) -> Memory {
        let (mut cache, start) = (Cache::default(), Instant::now());
        cache.learn(start, &question("a"), answer);
        if let Some((at, failure)) = failure {
            cache.learn(start + Duration::from_secs(at), &question("a"), Err(failure));
        }
        cache.look(start + Duration::from_secs(seconds), &question("a"))
    }

    #[test]
    fn a_ttl_is_obeyed_within_its_bounds() {
        let good = || Arc::new(records("192.0.2.1"));
        for (ttl, seconds, fresh) in [
            (30, 29, true),
            (30, 30, false),
            (0, 0, true),
            (0, 1, false),
            (86_400, 3_599, true),
            (86_400, 3_600, false),
        ] {
            let expected = if fresh { Memory::Fresh(Ok(good())) } else { Memory::Ask(Some(good())) };
            assert_eq!(after(answer(ttl), None, seconds), expected, "{seconds} s after a TTL of {ttl}");
        }
        assert_eq!(after(answer(30), None, 24 * 3_600), Memory::Ask(None), "a day later it is forgotten");
    }

    #[test]
    fn what_is_not_there_is_remembered_for_a_while() {
        let nothing = |ttl: Option<u64>| Err(NoAnswer::Nothing(ttl.map(Duration::from_secs)));
        for (ttl, seconds, believed) in [
            (Some(30), 29, true),
            (Some(30), 30, false),
            (Some(900), 59, true),
            (Some(900), 60, false),
            (None, 9, true),
            (None, 10, false),
        ] {
            let memory = after(nothing(ttl), None, seconds);
            assert_eq!(matches!(memory, Memory::Fresh(Err(NoAnswer::Nothing(_)))), believed, "{ttl:?} {seconds}");
        }
    }

    #[test]
    fn the_last_good_answer_serves_while_dns_fails_and_not_when_it_says_that_there_is_none() {
        let good = || Arc::new(records("192.0.2.1"));
        for failure in [NoAnswer::TimedOut, NoAnswer::Failed("SERVFAIL".into())] {
            assert_eq!(after(answer(30), Some((40, failure.clone())), 41), Memory::LastGood(good()));
            assert_eq!(after(answer(30), Some((40, failure)), 46), Memory::Ask(Some(good())), "asked again");
        }
        let gone = after(answer(30), Some((40, NoAnswer::Nothing(None))), 41);
        assert_eq!(gone, Memory::Fresh(Err(NoAnswer::Nothing(None))));
        assert_eq!(after(Err(NoAnswer::TimedOut), None, 4), Memory::Fresh(Err(NoAnswer::TimedOut)));
        assert_eq!(after(Err(NoAnswer::TimedOut), None, 5), Memory::Ask(None));
    }

    #[test]
    fn no_more_than_the_limit_is_remembered() {
        let (mut cache, start) = (Cache::default(), Instant::now());
        for n in 0..MAX_ENTRIES as u64 + 10 {
            cache.learn(start + Duration::from_millis(n), &question(&format!("h{n}")), answer(600));
        }
        assert_eq!(cache.entries.len(), MAX_ENTRIES);
        assert_eq!(cache.look(start, &question("h0")), Memory::Ask(None));
        assert!(matches!(cache.look(start, &question("h20")), Memory::Fresh(Ok(_))));
    }
}
