//! A registration (RFC 3261 section 10.2): contacts bound to an address of record at one registrar, and kept so.
//!
//! ```text
//! Waiting ── due ──> Asking ──┬─ 2xx ──> Waiting, bound until the answer says
//!    ^                 ^      ├─ 401 407 423 3xx ──> asked again, a few times in a row
//!    |                 └──────┘
//!    └── back-off ── anything else, or silence
//! ```
//! It says what to send and makes sense of what comes back; who carries it is the caller's business.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::auth::DigestClient;
use crate::message::{Host, Response, SipUri};

mod answer;
mod api;
mod compose;
mod pace;
#[cfg(test)]
mod tests;

pub use api::{Failure, Order, Settings, State, Stats};
pub use pace::Pace;

use answer::Grant;

/// Challenges answered in a row: 407, 401 and a stale nonce each.
const MAX_CHALLENGES: u8 = 4;
/// Redirections followed in a row.
const MAX_REDIRECTS: u8 = 3;
/// Times in a row a registrar may find the interval too brief.
const MAX_BRIEFS: u8 = 2;
/// Contacts that were bound and are to be removed; more are left to run out.
const MAX_STALE: usize = 4;

/// One registration.
#[derive(Debug)]
pub struct Registration {
    settings: Settings,
    call_id: String,
    tag: String,
    cseq: u32,
    auth: Option<DigestClient>,
    rng: StdRng,
    /// Bound once, to be removed with the next request.
    stale: Vec<SipUri>,
    /// Seconds asked for; a registrar may have raised them.
    interval: u32,
    round: Round,
    phase: Phase,
    state: State,
    removing: bool,
    stats: Stats,
    failures: u32,
    failure: Option<Failure>,
    bound_until: Option<Instant>,
    service_route: Vec<Bytes>,
    path: Vec<Bytes>,
    observed: Option<SocketAddr>,
    /// The contact has followed what was observed since the last refresh that was due by itself.
    has_followed: bool,
    orders: Option<Order>,
}

/// Requests that follow each other without a pause.
#[derive(Debug, Default)]
struct Round {
    challenges: u8,
    redirects: u8,
    briefs: u8,
    /// Where redirections led: Request-URI and next hop.
    moved: Option<(SipUri, SipUri)>,
    /// The last of them asks for the end of the bindings.
    is_removal: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Waiting(Instant),
    Asking,
    Over,
}

impl Registration {
    /// A registration whose first request is due at once; `seed` feeds tags, Call-ID, client nonces and pauses.
    #[must_use]
    pub fn new(now: Instant, settings: Settings, seed: [u8; 32]) -> Self {
        let mut rng = StdRng::from_seed(seed);
        let mut token = || format!("{:016x}{:08x}", rng.next_u64(), rng.next_u32());
        let (call_id, tag) = (token(), token());
        let interval = settings.expires;
        Self {
            settings,
            call_id,
            tag,
            cseq: 0,
            auth: None,
            rng,
            stale: Vec::new(),
            interval,
            round: Round::default(),
            phase: Phase::Waiting(now),
            state: State::Registering,
            removing: false,
            stats: Stats::default(),
            failures: 0,
            failure: None,
            bound_until: None,
            service_route: Vec::new(),
            path: Vec::new(),
            observed: None,
            has_followed: false,
            orders: None,
        }
    }

    /// How it stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// What it counted.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Until when the contacts are bound.
    #[must_use]
    pub fn bound_until(&self) -> Option<Instant> {
        self.bound_until
    }

    /// Why the last try came to nothing; it stays when a later one succeeds.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Route values for later requests of this address of record (RFC 3608), while it is bound.
    #[must_use]
    pub fn service_route(&self) -> &[Bytes] {
        if self.state == State::Registered { &self.service_route } else { &[] }
    }

    /// The way requests for us take to here (RFC 3327), as the registrar told it.
    #[must_use]
    pub fn path(&self) -> &[Bytes] {
        &self.path
    }

    /// What is bound.
    #[must_use]
    pub fn contacts(&self) -> &[SipUri] {
        &self.settings.contacts
    }

    /// Where the registrar has seen us.
    #[must_use]
    pub fn observed(&self) -> Option<SocketAddr> {
        self.observed
    }

    /// Removes the bindings, after the answer to what is under way.
    pub fn unregister(&mut self) {
        if self.removing {
            return;
        }
        self.removing = true;
        if let Phase::Waiting(_) = self.phase {
            self.begin();
        }
    }

    /// A deadline passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.bound_until.is_some_and(|until| until <= now) {
            self.bound_until = None;
            self.state = if self.removing { State::Unregistered } else { State::Failed };
        }
        if matches!(self.phase, Phase::Waiting(due) if due <= now) {
            self.has_followed = false;
            self.begin();
        }
    }

    /// The next deadline and why.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        let next = match self.phase {
            Phase::Waiting(due) => Some((due, "registration: due")),
            Phase::Asking | Phase::Over => None,
        };
        let end = self.bound_until.map(|until| (until, "registration: runs out"));
        [next, end].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// What to send.
    pub fn poll_order(&mut self) -> Option<Order> {
        self.orders.take()
    }

    /// An answer to the last order.
    pub fn handle_response(&mut self, now: Instant, response: &Response) {
        if self.phase != Phase::Asking || response.status < 200 {
            return;
        }
        match response.status {
            ..=299 => self.accept(now, response),
            300..=399 => self.follow(now, response),
            401 | 407 => self.answer_challenge(now, response),
            423 if !self.removing => self.ask_longer(now, response),
            status => self.fail(now, Failure::Status(status), response.headers.retry_after()),
        }
    }

    /// No answer to the last order will come.
    pub fn handle_failure(&mut self, now: Instant, failure: Failure) {
        if self.phase == Phase::Asking {
            self.fail(now, failure, None);
        }
    }

    /// The first request of a round.
    fn begin(&mut self) {
        self.round = Round::default();
        if self.removing && self.bound_until.is_none() {
            return self.end();
        }
        self.ask();
    }

    fn end(&mut self) {
        (self.phase, self.state, self.bound_until) = (Phase::Over, State::Unregistered, None);
    }

    fn accept(&mut self, now: Instant, response: &Response) {
        if let Some(auth) = &mut self.auth {
            auth.learn(&response.headers);
        }
        if self.removing {
            // A refresh that crossed the wish to be removed has bound us again.
            if self.round.is_removal {
                return self.end();
            }
            self.bound_until.get_or_insert(now);
            return self.begin();
        }
        let grant = Grant::read(&response.headers, &self.settings.contacts, self.interval);
        let Some(seconds) = grant.seconds.filter(|seconds| *seconds > 0) else {
            return self.fail(now, Failure::NotBound, None);
        };
        let lasts = Duration::from_secs(u64::from(seconds));
        self.stats.granted += 1;
        self.stale.clear();
        self.failures = 0;
        self.state = State::Registered;
        self.bound_until = Some(now + lasts);
        (self.service_route, self.path) = (grant.service_route, grant.path);
        let wait = pace::refresh_after(lasts, self.rng.next_u32());
        self.phase = Phase::Waiting(now + wait);
        self.notice(grant.observed);
    }

    /// Where the registrar sees us may be somewhere else than it was.
    fn notice(&mut self, observed: Option<SocketAddr>) {
        let Some(observed) = observed else { return };
        self.observed = Some(observed);
        let [contact] = self.settings.contacts.as_mut_slice() else { return };
        let moved = contact.host != Host::Ip(observed.ip()) || contact.port != Some(observed.port());
        // Once for each refresh: a NAT with a new port for each packet is not run after.
        if !self.settings.follow_observed || !moved || self.has_followed {
            return;
        }
        self.has_followed = true;
        let new = SipUri { host: Host::Ip(observed.ip()), port: Some(observed.port()), ..contact.clone() };
        let old = std::mem::replace(contact, new);
        if self.stale.len() < MAX_STALE {
            self.stale.push(old);
        }
        self.begin();
    }

    fn answer_challenge(&mut self, now: Instant, response: &Response) {
        let is_theirs = self.round.moved.as_ref().is_none_or(|(_, hop)| self.is_known(hop));
        if self.auth.is_none()
            && let Some(credentials) = &self.settings.credentials
        {
            self.auth = Some(DigestClient::new(credentials.clone(), self.rng.next_u64()));
        }
        self.round.challenges += 1;
        let answered = is_theirs
            && self.round.challenges <= MAX_CHALLENGES
            && self
                .auth
                .as_mut()
                .is_some_and(|auth| auth.handle_challenge(&response.headers, response.status == 407).is_ok());
        if answered {
            return self.ask();
        }
        // What was refused is not held on to: the next try begins with the registrar's challenge.
        self.auth = None;
        self.fail(now, Failure::Credentials, None);
    }

    /// Section 10.2.8: the interval was too brief.
    fn ask_longer(&mut self, now: Instant, response: &Response) {
        self.round.briefs += 1;
        match answer::min_expires(&response.headers) {
            Some(least) if least > self.interval && self.round.briefs <= MAX_BRIEFS => {
                self.interval = least;
                self.ask();
            }
            Some(_) | None => self.fail(now, Failure::Status(423), None),
        }
    }

    /// Section 8.1.3.4: another place to ask, for this round.
    fn follow(&mut self, now: Instant, response: &Response) {
        self.round.redirects += 1;
        let target = answer::redirection(&response.headers);
        let target = target.filter(|target| {
            self.round.redirects <= MAX_REDIRECTS
                // What went encrypted is not asked for in plain text.
                && (!is_encrypted(&self.settings.registrar) || is_encrypted(target))
        });
        let Some(target) = target else { return self.fail(now, Failure::Redirected, None) };
        let uri = match response.status {
            // The contact is a proxy to take (section 21.3.4).
            305 => self.settings.registrar.clone(),
            _ => SipUri { user: None, password: None, headers: None, ..target.clone() },
        };
        self.round.moved = Some((uri, target));
        self.ask();
    }

    fn fail(&mut self, now: Instant, failure: Failure, retry_after: Option<u32>) {
        if self.removing {
            // Whatever is left runs out by itself.
            return self.end();
        }
        self.failures = self.failures.saturating_add(1);
        self.stats.failed += 1;
        let pace = self.settings.pace;
        let mut wait = match failure {
            // Whoever keeps trying wrong credentials is locked out.
            Failure::Credentials => pace.longest(self.rng.next_u32()),
            Failure::Status(_)
            | Failure::Redirected
            | Failure::NotBound
            | Failure::NoAnswer
            | Failure::Unreachable
            | Failure::Tls
            | Failure::Dns => pace.after(self.failures, self.rng.next_u32()),
        };
        if failure.is_refusal() {
            self.bound_until = None;
        }
        if let Some(until) = self.bound_until {
            // While something is left to be saved it is tried more often.
            wait = wait.min(until.saturating_duration_since(now) / 2).max(pace::LEAST);
        } else {
            self.state = State::Failed;
        }
        let asked = Duration::from_secs(u64::from(retry_after.unwrap_or(0))).min(pace::MAX_RETRY_AFTER);
        self.failure = Some(failure);
        self.phase = Phase::Waiting(now + wait.max(asked));
    }
}

fn is_encrypted(uri: &SipUri) -> bool {
    uri.secure || uri.parameter("transport").flatten().is_some_and(|name| name.eq_ignore_ascii_case(b"tls"))
}
