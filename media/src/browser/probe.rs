//! The round trip to a browser by a STUN transaction of our own. An ICE-lite agent sends no checks; this one is sent
//! only where nothing else tells the round trip, on the pair in use, and the call does not depend on its answer.

use std::time::{Duration, Instant};

use rtc_crypto::{HmacAlgorithm, Mac, RTCCryptoProvider};

use super::stun;
use crate::outbox::{Outbox, Remote};
use crate::sdp::browser::IceCredentials;

/// Probes are so far apart; one without an answer by then is lost.
const EVERY: Duration = Duration::from_secs(5);

/// Reports are waited for this long.
const PATIENCE: Duration = Duration::from_secs(10);

/// A measure this old says nothing of now.
const STALE: Duration = Duration::from_secs(16);

/// Probes of one transport.
pub(super) struct Probes {
    random: u64,
    /// Since when nothing else tells the round trip.
    wanted: Option<Instant>,
    last: Option<Instant>,
    outstanding: Option<Outstanding>,
    measured: Option<(Duration, Instant)>,
    counts: ProbeStats,
}

/// How the probes fared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProbeStats {
    /// Sent.
    pub sent: u64,
    /// Answered by the browser.
    pub answered: u64,
}

struct Outstanding {
    transaction: [u8; 12],
    to: Remote,
    at: Instant,
    key: Box<dyn Mac>,
}

impl Probes {
    /// `seed` makes transaction ids that nobody guesses.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: seed,
            wanted: None,
            last: None,
            outstanding: None,
            measured: None,
            counts: ProbeStats::default(),
        }
    }

    /// Whether a probe is to be sent: nothing else has told the round trip for a while.
    pub(super) fn is_due(&mut self, now: Instant, wanted: bool) -> bool {
        self.wanted = wanted.then(|| self.wanted.unwrap_or(now));
        let patient = self.wanted.is_none_or(|since| now.saturating_duration_since(since) < PATIENCE);
        !patient && self.last.is_none_or(|last| now.saturating_duration_since(last) >= EVERY)
    }

    /// Sends a probe.
    pub(super) fn send(
        &mut self,
        now: Instant,
        to: Remote,
        (local, remote): (&IceCredentials, &IceCredentials),
        provider: &dyn RTCCryptoProvider,
        out: &mut Outbox,
    ) {
        self.last = Some(now);
        let Ok(mut key) = provider.crypto().new_hmac(HmacAlgorithm::Sha1, remote.password.as_bytes()) else { return };
        let mut transaction = [0; 12];
        for part in transaction.chunks_mut(4) {
            part.copy_from_slice(self.next().to_be_bytes().get(..4).unwrap_or_default());
        }
        let check = stun::OwnCheck { transaction, username: (&remote.ufrag, &local.ufrag), tie_breaker: self.next() };
        out.push_with(to.port(), to.address, |buffer| check.write(&mut *key, buffer));
        self.counts.sent += 1;
        self.outstanding = Some(Outstanding { transaction, to, at: now, key });
    }

    /// Takes an answer; `true` if it is an authentic one to the probe that is outstanding.
    pub(super) fn handle(&mut self, now: Instant, from: Remote, datagram: &[u8]) -> bool {
        let Some(probe) = &mut self.outstanding else { return false };
        let ours = probe.to == from && datagram.get(8..20) == Some(&probe.transaction);
        if !ours || !stun::is_authentic_answer(datagram, &mut *probe.key) {
            return false;
        }
        let round_trip = now.saturating_duration_since(probe.at);
        self.outstanding = None;
        if stun::message_type(datagram) == Some(stun::BINDING_SUCCESS) {
            self.measured = Some((round_trip, now));
            self.counts.answered += 1;
        }
        true
    }

    /// The last round trip, while it is fresh.
    pub(super) fn round_trip(&self, now: Instant) -> Option<Duration> {
        self.measured.filter(|(_, at)| now.saturating_duration_since(*at) <= STALE).map(|(round_trip, _)| round_trip)
    }

    pub(super) fn stats(&self) -> ProbeStats {
        self.counts
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::super::stun::testing::mac;
    use super::super::stun::{Answer, Request};
    use super::*;
    use crate::api::Path;

    fn remote(address: &str) -> Remote {
        Remote { path: Path::Udp, address: address.parse().unwrap() }
    }

    fn credentials(ufrag: &str, password: &str) -> IceCredentials {
        IceCredentials { ufrag: ufrag.into(), password: password.into() }
    }

    /// Sends a probe; the transaction it carries.
    fn send(probes: &mut Probes, now: Instant, to: Remote) -> [u8; 12] {
        let provider = rtc_crypto::default_provider().unwrap();
        let (local, remote) =
            (credentials("ours", "our-password-of-22-chrs"), credentials("theirs", "their-password-of-22-ch"));
        let mut out = Outbox::new();
        probes.send(now, to, (&local, &remote), &*provider, &mut out);
        let datagram = out.get(0).unwrap();
        assert_eq!((datagram.port, datagram.to), (to.port(), to.address));
        let request = Request::parse(datagram.bytes).unwrap();
        assert_eq!(request.username, Some("theirs:ours"));
        assert!(request.controlled && !request.use_candidate && request.unknown().is_empty());
        assert!(request.is_authentic(&mut *mac("their-password-of-22-ch")));
        request.transaction
    }

    fn answer(transaction: &[u8; 12], password: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        Answer::Success("192.0.2.1:5".parse().unwrap()).write(transaction, &mut *mac(password), &mut bytes);
        bytes
    }

    #[test]
    fn an_authentic_answer_from_the_right_place_is_a_round_trip() {
        #[allow(clippy::disallowed_methods)] // Where virtual time begins.
        let now = Instant::now();
        let to = remote("192.0.2.9:9");
        let elsewhere = [remote("192.0.2.8:9"), Remote { path: Path::Tcp, ..to }];
        let mut probes = Probes::new(7);
        let transaction = send(&mut probes, now, to);
        let later = now + Duration::from_millis(83);
        let good = answer(&transaction, "their-password-of-22-ch");
        for elsewhere in elsewhere {
            assert!(!probes.handle(later, elsewhere, &good), "from elsewhere");
        }
        assert!(!probes.handle(later, to, &answer(&transaction, "our-password-of-22-chrs")), "made with another key");
        assert!(!probes.handle(later, to, &answer(&[1; 12], "their-password-of-22-ch")), "to another request");
        for at in 0..good.len() - 8 {
            let mut damaged = good.clone();
            damaged[at] ^= 1;
            assert!(!probes.handle(later, to, &damaged), "octet {at}");
        }
        assert_eq!(probes.round_trip(later), None);
        assert!(probes.handle(later, to, &good));
        assert_eq!(probes.round_trip(later), Some(Duration::from_millis(83)));
        assert!(!probes.handle(later, to, &good), "twice");
        assert_eq!(probes.stats(), ProbeStats { sent: 1, answered: 1 });
        assert_eq!(probes.round_trip(later + Duration::from_secs(17)), None);
        assert_ne!(send(&mut probes, later, to), transaction);
    }

    #[test]
    fn probes_wait_for_reports_and_for_each_other() {
        #[allow(clippy::disallowed_methods)] // Where virtual time begins.
        let start = Instant::now();
        let mut probes = Probes::new(7);
        let mut sent = Vec::new();
        for second in 0..40u64 {
            let now = start + Duration::from_secs(second);
            // Reports come until the tenth second.
            if probes.is_due(now, second >= 10) {
                send(&mut probes, now, remote("192.0.2.9:9"));
                sent.push(second);
            }
        }
        assert_eq!(sent, [20, 25, 30, 35]);
    }
}
