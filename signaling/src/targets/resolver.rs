//! All searches of a node: they share what DNS said, ask each question once, and none waits longer than a visitor would.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::cache::{Cache, Memory};
use super::lookup::{Answer, NoAnswer, Question, Records};
use super::search::{Next, Search};
use super::{Families, Target, Unresolved, Wanted};

/// How long one question is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// The same if there is an earlier answer to fall back to (RFC 8767 section 5 names 1.8 s; a caller hears silence).
const PATIENCE_WITH_LAST_GOOD: Duration = Duration::from_millis(500);
/// A question nobody answered by then was lost, and may be asked again.
const LOST: Duration = Duration::from_secs(10);
/// Searches at once.
const MAX_SEARCHES: usize = 4_096;

/// Names a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SearchId(pub u64);

/// Where an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// DNS said so just now.
    Dns,
    /// It said so before.
    Cache,
    /// It failed, and this is what it said last.
    LastGood,
}

/// One step of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What was to be known.
    pub question: Question,
    /// What came of it.
    pub answer: Result<Arc<Records>, NoAnswer>,
    /// Whose word that is.
    pub source: Source,
    /// What DNS failed with, where the last good answer serves.
    pub failure: Option<NoAnswer>,
    /// How long it took.
    pub took: Duration,
}

/// What came of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Best first, not empty.
    pub targets: Result<Vec<Target>, Unresolved>,
    /// The way there.
    pub steps: Vec<Step>,
}

/// What was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ResolverStats {
    /// Answers with records.
    pub found: u64,
    /// Answers that there are none.
    pub nothing: u64,
    /// Failures.
    pub failed: u64,
    /// Questions that were not answered in time.
    pub timed_out: u64,
    /// How often the last good answer had to serve.
    pub last_good: u64,
    /// Searches refused, for there were too many.
    pub refused: u64,
}

/// The searches. After every `find` and `handle_*`: take all of [`Self::poll_question`] and [`Self::poll_found`].
#[derive(Debug)]
pub struct Resolver {
    cache: Cache,
    families: Families,
    rng: StdRng,
    searches: BTreeMap<SearchId, Running>,
    /// Questions on their way, and since when.
    asked: HashMap<Question, Instant>,
    to_ask: VecDeque<Question>,
    found: VecDeque<(SearchId, Found)>,
    stats: ResolverStats,
    next: u64,
}

#[derive(Debug)]
struct Running {
    search: Search,
    /// Nothing that is remembered counts, unless DNS fails.
    anew: bool,
    waits: Vec<Wait>,
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Wait {
    question: Question,
    since: Instant,
    until: Instant,
    last_good: Option<Arc<Records>>,
}

impl Resolver {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(families: Families, seed: [u8; 32]) -> Self {
        Self {
            cache: Cache::default(),
            families,
            rng: StdRng::from_seed(seed),
            searches: BTreeMap::new(),
            asked: HashMap::new(),
            to_ask: VecDeque::new(),
            found: VecDeque::new(),
            stats: ResolverStats::default(),
            next: 0,
        }
    }

    /// Begins a search; `anew`: by what DNS says now, whatever is remembered.
    pub fn find(&mut self, now: Instant, wanted: Wanted, anew: bool) -> SearchId {
        self.next = self.next.wrapping_add(1);
        let id = SearchId(self.next);
        // overflow: refused, and counted.
        if self.searches.len() >= MAX_SEARCHES {
            self.stats.refused = self.stats.refused.saturating_add(1);
            let targets = Err(Unresolved::Failed("too many look-ups at once".into()));
            self.found.push_back((id, Found { targets, steps: Vec::new() }));
            return id;
        }
        let search = Search::new(wanted, self.families);
        self.go_on(now, id, Running { search, anew, waits: Vec::new(), steps: Vec::new() });
        id
    }

    /// DNS has answered, or failed to.
    pub fn handle_answer(&mut self, now: Instant, question: &Question, answer: Result<Answer, NoAnswer>) {
        if self.asked.remove(question).is_none() {
            return;
        }
        let counter = match &answer {
            Ok(_) => &mut self.stats.found,
            Err(NoAnswer::Nothing(_)) => &mut self.stats.nothing,
            Err(NoAnswer::Failed(_)) => &mut self.stats.failed,
            Err(NoAnswer::TimedOut) => &mut self.stats.timed_out,
        };
        *counter = counter.saturating_add(1);
        self.cache.learn(now, question, answer.clone());
        let answer = answer.map(|answer| Arc::new(answer.records));
        let waiting: BTreeSet<SearchId> = self
            .searches
            .iter()
            .filter(|(_, running)| running.waits.iter().any(|wait| wait.question == *question))
            .map(|(id, _)| *id)
            .collect();
        for id in waiting {
            self.conclude(now, id, |wait| wait.question == *question, &answer);
        }
    }

    /// Gives up what is overdue.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.asked.retain(|_, since| now.saturating_duration_since(*since) < LOST);
        let overdue = |running: &Running| running.waits.iter().any(|wait| wait.until <= now);
        let late: Vec<SearchId> = self.searches.iter().filter(|(_, r)| overdue(r)).map(|(id, _)| *id).collect();
        for id in late {
            if let Some(running) = self.searches.get(&id) {
                for wait in running.waits.iter().filter(|wait| wait.until <= now) {
                    // The searches that follow do not wait as well.
                    self.cache.learn(now, &wait.question, Err(NoAnswer::TimedOut));
                }
            }
            self.conclude(now, id, |wait| wait.until <= now, &Err(NoAnswer::TimedOut));
        }
    }

    /// The next deadline and why.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let waits = self.searches.values().flat_map(|running| &running.waits);
        waits.map(|wait| (wait.until, "dns")).min()
    }

    /// A question to ask; its answer comes back by [`Self::handle_answer`].
    pub fn poll_question(&mut self) -> Option<Question> {
        self.to_ask.pop_front()
    }

    /// A search that is over.
    pub fn poll_found(&mut self) -> Option<(SearchId, Found)> {
        self.found.pop_front()
    }

    /// What was counted.
    #[must_use]
    pub fn stats(&self) -> ResolverStats {
        self.stats
    }

    /// Takes up an answer to some of a search's waits.
    fn conclude(
        &mut self,
        now: Instant,
        id: SearchId,
        which: impl Fn(&Wait) -> bool,
        answer: &Result<Arc<Records>, NoAnswer>,
    ) {
        let Some(mut running) = self.searches.remove(&id) else { return };
        let (over, waits) = std::mem::take(&mut running.waits).into_iter().partition(which);
        running.waits = waits;
        let over: Vec<Wait> = over;
        for wait in over {
            let took = now.saturating_duration_since(wait.since);
            let failure = answer.as_ref().err().filter(|failure| !matches!(failure, NoAnswer::Nothing(_)));
            let (answer, source, failure) = match (failure, wait.last_good) {
                (Some(failure), Some(records)) => {
                    self.stats.last_good = self.stats.last_good.saturating_add(1);
                    (Ok(records), Source::LastGood, Some(failure.clone()))
                }
                (_, _) => (answer.clone(), Source::Dns, None),
            };
            running.note(Step { question: wait.question, answer, source, failure, took });
        }
        if running.waits.is_empty() {
            self.go_on(now, id, running);
        } else {
            self.searches.insert(id, running);
        }
    }

    /// As far as it gets without DNS.
    fn go_on(&mut self, now: Instant, id: SearchId, mut running: Running) {
        loop {
            let rng = &mut self.rng;
            let questions = match running.search.go_on(|n| rng.next_u32() % n.max(1)) {
                Next::Ask(questions) => questions,
                Next::Done(targets) => {
                    return self.found.push_back((id, Found { targets, steps: running.steps }));
                }
            };
            for question in questions {
                self.ask(now, &mut running, question);
            }
            if !running.waits.is_empty() {
                self.searches.insert(id, running);
                return;
            }
        }
    }

    fn ask(&mut self, now: Instant, running: &mut Running, question: Question) {
        let took = Duration::ZERO;
        let last_good = match (self.cache.look(now, &question), running.anew) {
            (Memory::Fresh(answer), false) => {
                return running.note(Step { question, answer, source: Source::Cache, failure: None, took });
            }
            (Memory::LastGood(records), false) => {
                self.stats.last_good = self.stats.last_good.saturating_add(1);
                let (answer, source) = (Ok(records), Source::LastGood);
                return running.note(Step { question, answer, source, failure: Some(NoAnswer::TimedOut), took });
            }
            (Memory::Fresh(answer), true) => answer.ok(),
            (Memory::LastGood(records), true) => Some(records),
            (Memory::Ask(last_good), _) => last_good,
        };
        let is_asked = |since: &Instant| now.saturating_duration_since(*since) < LOST;
        if !self.asked.get(&question).is_some_and(is_asked) {
            self.asked.insert(question.clone(), now);
            self.to_ask.push_back(question.clone());
        }
        let patience = if last_good.is_some() && !running.anew { PATIENCE_WITH_LAST_GOOD } else { PATIENCE };
        running.waits.push(Wait { question, since: now, until: now + patience, last_good });
    }
}

impl Running {
    fn note(&mut self, step: Step) {
        self.search.learn(step.question.clone(), step.answer.clone());
        self.steps.push(step);
    }
}
