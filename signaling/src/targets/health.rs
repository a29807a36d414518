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

impl TargetState {
    /// As APIs say it: `well`, `dead`, `resting`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Dead => "dead",
            Self::Resting(_) => "resting",
        }
    }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)] // Any time will do to begin with.

    use super::*;

    fn target(n: u8) -> Target {
        Target { address: ([192, 0, 2, n], 5060).into(), over: Transport::Udp, name: "h".into() }
    }

    #[test]
    fn a_target_that_failed_a_call_is_tried_last_for_a_while() {
        let (mut health, now) = (TargetHealth::default(), Instant::now());
        let secs = Duration::from_secs;
        let all = || vec![target(1), target(2), target(3)];
        health.note_call(now, &target(1), Sign::Dead);
        let order = |health: &TargetHealth, at| health.sort(at, all()).targets;
        assert_eq!(order(&health, now), [target(2), target(3), target(1)]);
        health.note_options(now + secs(10), &target(1), true);
        assert_eq!(order(&health, now + secs(29)), [target(2), target(3), target(1)], "OPTIONS alone say little");
        assert_eq!(order(&health, now + secs(30)), all());
        health.note_call(now + secs(40), &target(1), Sign::Dead);
        health.note_call(now + secs(41), &target(1), Sign::Answered);
        assert_eq!(order(&health, now + secs(41)), all(), "it answers calls");
    }

    #[test]
    fn options_make_a_target_dead_after_two_losses_and_well_with_one_answer() {
        let (mut health, now) = (TargetHealth::default(), Instant::now());
        for (answered, state) in [
            (false, TargetState::Well),
            (false, TargetState::Dead),
            (true, TargetState::Well),
            (false, TargetState::Well),
        ] {
            health.note_options(now, &target(1), answered);
            assert_eq!(health.state(now, &target(1)), state);
        }
    }

    #[test]
    fn one_that_asks_for_rest_is_left_alone_so_long() {
        let (mut health, now) = (TargetHealth::default(), Instant::now());
        let secs = Duration::from_secs;
        health.note_call(now, &target(1), Sign::Resting(secs(120)));
        let sorted = health.sort(now + secs(119), vec![target(1), target(2)]);
        assert_eq!((sorted.targets, sorted.resting), (vec![target(2)], vec![target(1)]));
        assert_eq!(health.state(now + secs(120), &target(1)), TargetState::Well);
        health.note_call(now, &target(1), Sign::Resting(secs(1_000_000)));
        assert_eq!(health.state(now + secs(600), &target(1)), TargetState::Well, "nobody rests for ever");
    }
}
