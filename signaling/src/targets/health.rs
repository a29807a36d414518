//! How targets are, by what calls and OPTIONS say of them: a dead one is tried last, one that asked for rest is left alone.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::Target;
use crate::endpoint::Transport;

/// How long a target that failed a call is tried last: long enough for a restart, and each call it fails costs a caller
/// seconds.
const AFTER_A_CALL: Duration = Duration::from_secs(30);
/// OPTIONS in a row without an answer after which a target is dead: one lost datagram is no outage.
const FAILURES: u32 = 2;
/// Longest rest of one 503: nobody is left alone for ever because of a mistake.
const LONGEST_REST: Duration = Duration::from_secs(600);
/// Targets of which something is remembered; the others are well.
const MAX_TARGETS: usize = 4_096;

/// What a call says of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// It answers.
    Answered,
    /// It takes no requests for so long (503 with Retry-After, RFC 3261 section 21.5.4).
    Resting(Duration),
    /// It does not answer, or there is no way to it.
    Dead,
}

/// How a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetState {
    /// Nothing is known against it.
    Well,
    /// It did not answer when last asked.
    Dead,
    /// It wants to be left alone until then.
    Resting(Instant),
}

/// Targets in the order they are to be tried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sorted {
    /// The well ones in their order, then the dead ones in theirs.
    pub targets: Vec<Target>,
    /// Those that are left alone.
    pub resting: Vec<Target>,
}

/// What is known of all targets.
#[derive(Debug, Default)]
pub struct TargetHealth {
    ill: HashMap<(SocketAddr, Transport), Ill>,
}

#[derive(Debug)]
struct Ill {
    failed_call: Option<Instant>,
    failed_options: u32,
    resting: Option<Instant>,
    noted: Instant,
}

impl TargetHealth {
    /// A call has met a target.
    pub fn note_call(&mut self, now: Instant, target: &Target, sign: Sign) {
        match sign {
            Sign::Answered => {
                // Who answers calls is there, whatever it thinks of OPTIONS.
                self.ill.remove(&key(target));
            }
            Sign::Resting(rest) => {
                let ill = self.ill(now, target);
                (ill.failed_call, ill.failed_options) = (None, 0);
                ill.resting = Some(now + rest.min(LONGEST_REST));
            }
            Sign::Dead => self.ill(now, target).failed_call = Some(now),
        }
    }

    /// An OPTIONS was answered, or was not.
    pub fn note_options(&mut self, now: Instant, target: &Target, answered: bool) {
        if !answered {
            let ill = self.ill(now, target);
            ill.failed_options = ill.failed_options.saturating_add(1);
        } else if let Some(ill) = self.ill.get_mut(&key(target)) {
            // One that lost a call and answers OPTIONS all the same is not trusted at once.
            ill.failed_options = 0;
            if !ill.is_worth_keeping(now) {
                self.ill.remove(&key(target));
            }
        }
    }

    /// How a target is.
    #[must_use]
    pub fn state(&self, now: Instant, target: &Target) -> TargetState {
        let Some(ill) = self.ill.get(&key(target)) else { return TargetState::Well };
        match ill.resting.filter(|until| now < *until) {
            Some(until) => TargetState::Resting(until),
            None if ill.is_dead(now) => TargetState::Dead,
            None => TargetState::Well,
        }
    }

    /// The order in which targets are to be tried.
    #[must_use]
    pub fn sort(&self, now: Instant, targets: Vec<Target>) -> Sorted {
        let (mut well, mut dead, mut resting) = (Vec::new(), Vec::new(), Vec::new());
        for target in targets {
            match self.state(now, &target) {
                TargetState::Well => well.push(target),
                TargetState::Dead => dead.push(target),
                TargetState::Resting(_) => resting.push(target),
            }
        }
        well.append(&mut dead);
        Sorted { targets: well, resting }
    }

    fn ill(&mut self, now: Instant, target: &Target) -> &mut Ill {
        if self.ill.len() >= MAX_TARGETS && !self.ill.contains_key(&key(target)) {
            // overflow: what was noted first is forgotten.
            let oldest = self.ill.iter().min_by_key(|(_, ill)| ill.noted).map(|(key, _)| key.clone());
            oldest.map(|oldest| self.ill.remove(&oldest));
        }
        let ill = self.ill.entry(key(target)).or_insert(Ill {
            failed_call: None,
            failed_options: 0,
            resting: None,
            noted: now,
        });
        ill.noted = now;
        ill
    }
}

impl Ill {
    fn is_dead(&self, now: Instant) -> bool {
        let by_call = self.failed_call.is_some_and(|at| now.saturating_duration_since(at) < AFTER_A_CALL);
        by_call || self.failed_options >= FAILURES
    }

    fn is_worth_keeping(&self, now: Instant) -> bool {
        self.is_dead(now) || self.resting.is_some_and(|until| now < until)
    }
}

fn key(target: &Target) -> (SocketAddr, Transport) {
    (target.address, target.over.clone())
}
