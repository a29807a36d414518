//! When a connection that is missing is tried again: at once when a message wants it, though not more often than the peer
//! can bear, and by itself with growing pauses when calls depend on it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::streams::Key;

/// After a failure messages fail with it for so long instead of trying anew.
const FLOOR: Duration = Duration::from_millis(250);
/// The first pause between two attempts of our own, and the longest.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);
/// Peers that are remembered.
const MAX_PEERS: usize = 1_024;

#[derive(Debug, Default)]
struct Trouble {
    failures: u32,
    failed_at: Option<Instant>,
    again_at: Option<Instant>,
    /// Calls depend on it.
    is_wanted: bool,
}

#[derive(Debug)]
pub(super) struct Redial {
    peers: HashMap<Key, Trouble>,
    rng: StdRng,
}

impl Redial {
    pub(super) fn new(seed: [u8; 32]) -> Self {
        Self { peers: HashMap::new(), rng: StdRng::from_seed(seed) }
    }

    /// Whether a message may try it now.
    pub(super) fn may_dial(&self, key: &Key, now: Instant) -> bool {
        let failed_at = self.peers.get(key).and_then(|trouble| trouble.failed_at);
        failed_at.is_none_or(|at| now.saturating_duration_since(at) >= FLOOR)
    }

    /// A connection that calls depend on broke.
    pub(super) fn lost(&mut self, key: &Key, now: Instant) {
        let pause = self.pause(0);
        if let Some(trouble) = self.of(key) {
            *trouble = Trouble { again_at: Some(now + pause), is_wanted: true, ..Trouble::default() };
        }
    }

    /// None came up.
    pub(super) fn failed(&mut self, key: &Key, now: Instant) {
        let pause = self.peers.get(key).map_or(0, |trouble| trouble.failures);
        let pause = self.pause(pause.saturating_add(1));
        if let Some(trouble) = self.of(key) {
            trouble.failures = trouble.failures.saturating_add(1);
            trouble.failed_at = Some(now);
            trouble.again_at = trouble.is_wanted.then_some(now + pause);
        }
    }

    /// It is there, or nobody wants it any more.
    pub(super) fn forget(&mut self, key: &Key) {
        self.peers.remove(key);
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.peers.values().filter_map(|trouble| trouble.again_at).min()
    }

    /// One whose time has come.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Key> {
        let due = |trouble: &mut Trouble| trouble.again_at.take_if(|at| *at <= now).is_some();
        self.peers.iter_mut().find_map(|(key, trouble)| due(trouble).then(|| key.clone()))
    }

    fn of(&mut self, key: &Key) -> Option<&mut Trouble> {
        if self.peers.len() >= MAX_PEERS && !self.peers.contains_key(key) {
            self.peers.retain(|_, trouble| trouble.is_wanted);
            // overflow: not remembered; the next message tries.
            if self.peers.len() >= MAX_PEERS {
                return None;
            }
        }
        Some(self.peers.entry(key.clone()).or_default())
    }

    /// From 0 to 1.
    pub(super) fn chance(&mut self) -> f64 {
        f64::from(self.rng.next_u32()) / f64::from(u32::MAX)
    }

    /// Half of it is chance, so that gateways that lost the same peer do not come back all at once.
    fn pause(&mut self, failures: u32) -> Duration {
        let whole = FIRST.saturating_mul(1 << failures.min(10)).min(LONGEST);
        (whole / 2).mul_f64(1.0 + self.chance())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Transport;

    #[test]
    fn a_peer_that_is_away_is_tried_with_growing_pauses_and_no_two_gateways_alike() {
        #[expect(clippy::disallowed_methods, reason = "virtual time has to begin somewhere")]
        let start = Instant::now();
        let key = ("192.0.2.1:5060".parse().unwrap(), Transport::Tcp);
        let ladder = |seed: u8| {
            let (mut redial, mut now) = (Redial::new([seed; 32]), start);
            redial.lost(&key, now);
            let mut pauses = Vec::new();
            for _ in 0..10 {
                let at = redial.poll_timeout().unwrap();
                assert_eq!(redial.pop_due(at - Duration::from_millis(1)), None);
                assert_eq!(redial.pop_due(at).as_ref(), Some(&key));
                assert_eq!(redial.poll_timeout(), None);
                pauses.push((at - now).as_millis());
                now = at;
                redial.failed(&key, now);
                assert!(!redial.may_dial(&key, now + Duration::from_millis(249)));
                assert!(redial.may_dial(&key, now + FLOOR));
            }
            redial.forget(&key);
            assert!(redial.poll_timeout().is_none() && redial.may_dial(&key, now));
            pauses
        };
        for (nth, pause) in ladder(1).into_iter().enumerate() {
            let whole = (500 << nth).min(30_000);
            assert!((whole / 2..=whole).contains(&pause), "{nth}: {pause}");
        }
        assert_ne!(ladder(1), ladder(2));
    }

    #[test]
    fn what_no_call_depends_on_is_not_tried_by_itself() {
        #[expect(clippy::disallowed_methods, reason = "virtual time has to begin somewhere")]
        let now = Instant::now();
        let mut redial = Redial::new([0; 32]);
        for port in 1..5_000 {
            redial.failed(&(([192, 0, 2, 1], port).into(), Transport::Tcp), now);
        }
        assert!(redial.poll_timeout().is_none() && redial.peers.len() <= MAX_PEERS);
    }
}
