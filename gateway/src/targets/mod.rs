//! Where calls and OPTIONS go: the searches of the SIP core with DNS beneath them, and how the targets are that they find.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use tokio::sync::oneshot;
use trunkline_config::Config;
use trunkline_signaling::targets::{
    Answer, Families, Found, NoAnswer, Question, Resolver, ResolverStats, SearchId, Sign, Sorted, Target, TargetHealth,
    TargetState, Unresolved, Wanted,
};

use crate::call::ResolveError;
use crate::ids::random_bits;

mod dns;

/// How long a name server is waited for when nobody waits any more: its answer still serves the next call.
const LIMIT: Duration = Duration::from_secs(5);

/// Who asks name servers.
pub trait Dns: Send + Sync + 'static {
    /// Asks one question.
    fn ask(&self, question: Question) -> BoxFuture<'static, Result<Answer, NoAnswer>>;
}

/// Finds targets; clones share what they know.
#[derive(Clone)]
pub struct Finder {
    shared: Arc<Shared>,
}

struct Shared {
    dns: Arc<dyn Dns>,
    core: Mutex<Core>,
    health: Mutex<TargetHealth>,
    /// Trunks that do not answer; no more than are configured.
    down: Mutex<HashSet<String>>,
}

struct Core {
    resolver: Resolver,
    /// Who waits for a search; no more than there are searches.
    waiting: HashMap<SearchId, oneshot::Sender<Found>>,
}

impl Finder {
    /// Asks the name servers of the configuration, or of the machine.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let first = config.sip.udp_listen.is_ipv6();
        let beside = config.sip.udp_listen_beside.is_some_and(|beside| beside.is_ipv6() != first);
        let families = match (first, beside) {
            (false, false) => Families::V4,
            (false, true) => Families::V4ThenV6,
            (true, false) => Families::V6,
            (true, true) => Families::V6ThenV4,
        };
        Self::asking(Arc::new(dns::NameServers::new(&config.sip.dns_servers)), families)
    }

    /// Asks this one.
    #[must_use]
    pub fn asking(dns: Arc<dyn Dns>, families: Families) -> Self {
        let core = Core { resolver: Resolver::new(families, random_bits()), waiting: HashMap::new() };
        Self {
            shared: Arc::new(Shared { dns, core: Mutex::new(core), health: Mutex::default(), down: Mutex::default() }),
        }
    }

    /// Where a call goes: the targets in the order they are to be tried.
    ///
    /// # Errors
    /// DNS knows none, or failed; or all there are want to be left alone.
    pub async fn targets(&self, wanted: Wanted) -> Result<Vec<Target>, ResolveError> {
        sorted(self.find(wanted, false).await.targets, |targets| self.sort(targets))
    }

    /// The targets in DNS's own order, and the way there; `anew`: as DNS says it now.
    pub async fn find(&self, wanted: Wanted, anew: bool) -> Found {
        let (sender, mut found) = oneshot::channel();
        {
            let mut core = self.core();
            let id = core.resolver.find(Instant::now(), wanted, anew);
            core.waiting.insert(id, sender);
            self.drain(&mut core);
        }
        loop {
            let deadline = self.core().resolver.poll_timeout();
            tokio::select! {
                found = &mut found => {
                    let gone = || Found { targets: Err(Unresolved::TimedOut), steps: Vec::new() };
                    return found.unwrap_or_else(|_| gone());
                }
                () = until(deadline.map(|(at, _)| at)) => {
                    let mut core = self.core();
                    core.resolver.handle_timeout(Instant::now());
                    self.drain(&mut core);
                }
            }
        }
    }

    /// A call has met a target.
    pub fn note_call(&self, target: &Target, sign: Sign) {
        self.health().note_call(Instant::now(), target, sign);
    }

    /// An OPTIONS was answered, or was not.
    pub fn note_options(&self, target: &Target, answered: bool) {
        self.health().note_options(Instant::now(), target, answered);
    }

    /// How a target is.
    #[must_use]
    pub fn state(&self, target: &Target) -> TargetState {
        self.health().state(Instant::now(), target)
    }

    /// Whether a trunk does not answer, as the watch over the trunks has it.
    #[must_use]
    pub fn is_trunk_down(&self, id: &str) -> bool {
        self.down().contains(id)
    }

    /// These trunks do not answer; all others do, or nobody asks them.
    pub fn set_trunks_down(&self, ids: HashSet<String>) {
        *self.down() = ids;
    }

    /// What was counted.
    #[must_use]
    pub fn stats(&self) -> ResolverStats {
        self.core().resolver.stats()
    }

    fn sort(&self, targets: Vec<Target>) -> Sorted {
        self.health().sort(Instant::now(), targets)
    }

    /// Asks what is to be asked, and tells what was found.
    fn drain(&self, core: &mut Core) {
        while let Some(question) = core.resolver.poll_question() {
            let this = self.clone();
            tokio::spawn(async move {
                let asked = this.shared.dns.ask(question.clone());
                let answer = tokio::time::timeout(LIMIT, asked).await.unwrap_or(Err(NoAnswer::TimedOut));
                let mut core = this.core();
                core.resolver.handle_answer(Instant::now(), &question, answer);
                this.drain(&mut core);
            });
        }
        while let Some((id, found)) = core.resolver.poll_found() {
            // Who asked may have given up waiting.
            let _ = core.waiting.remove(&id).map(|waiting| waiting.send(found));
        }
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.shared.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn down(&self) -> MutexGuard<'_, HashSet<String>> {
        self.shared.down.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn health(&self) -> MutexGuard<'_, TargetHealth> {
        self.shared.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a call is told of a search.
///
/// # Errors
/// DNS knows none, or failed; or all there are want to be left alone.
pub fn sorted(
    found: Result<Vec<Target>, Unresolved>,
    sort: impl FnOnce(Vec<Target>) -> Sorted,
) -> Result<Vec<Target>, ResolveError> {
    let Sorted { targets, resting } = sort(found.map_err(|why| match why {
        Unresolved::TimedOut => ResolveError::TimedOut,
        Unresolved::NoAddress | Unresolved::NotOffered | Unresolved::Failed(_) => ResolveError::Failed(why.to_string()),
    })?);
    match (targets.is_empty(), resting.is_empty()) {
        (true, false) => Err(ResolveError::Resting),
        _ => Ok(targets),
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod dns_tests;
#[cfg(test)]
mod tests;
