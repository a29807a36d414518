//! Decides, before anything is kept, whether a call is taken.

use std::net::IpAddr;
use std::time::Instant;

use super::meters::Meters;
use super::nonces::Nonces;
use super::{Admission, AdmissionStats, Strangers};
use crate::auth::Credentials;
use crate::auth::server::{self, Algorithm, DigestServer};
use crate::message::{Headers, Request};

/// Most wanted first (RFC 8760 section 2.4).
const ALGORITHMS: [Algorithm; 2] = [Algorithm::Sha256, Algorithm::Md5];

/// What a source is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is a peer's.
    Known,
    Stranger,
}

/// What a call from outside meets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Taken, as this peer's.
    Admitted(String),
    /// Asked for a password: the algorithm's challenges, most wanted first.
    Challenged(Vec<Headers>),
    Refused,
}

pub(crate) struct Guard {
    admission: Admission,
    servers: Vec<DigestServer>,
    /// Who is checked instead of a user there is not: an answer costs the same time.
    nobody: Credentials,
    meters: Meters,
    nonces: Nonces,
    pub(crate) stats: AdmissionStats,
}

impl Guard {
    pub(crate) fn new(secret: [u8; 32]) -> Self {
        let password = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            admission: Admission::default(),
            servers: Vec::new(),
            nobody: Credentials { username: String::new(), password },
            meters: Meters::new(secret),
            nonces: Nonces::new(secret),
            stats: AdmissionStats::default(),
        }
    }

    /// Other peers from now on. What was counted of strangers and nonces stays.
    pub(crate) fn set(&mut self, admission: Admission) {
        let asks = admission.doors.iter().any(|door| door.calls && door.credentials.is_some());
        let server =
            |algorithm| DigestServer { realm: admission.realm.clone(), algorithm, qop: Some("auth"), proxy: false };
        self.servers = if asks { ALGORITHMS.map(server).to_vec() } else { Vec::new() };
        self.admission = admission;
    }

    pub(crate) fn standing(&self, from: IpAddr) -> Standing {
        let known = self.admission.doors.iter().flat_map(|door| &door.sources).any(|source| source.contains(from));
        if known { Standing::Known } else { Standing::Stranger }
    }

    /// Whether an address is one of a peer's, by the peer's name.
    pub(crate) fn is_of(&self, door: &str, from: IpAddr) -> bool {
        let mut named = self.admission.doors.iter().filter(|known| known.name == door);
        named.any(|door| door.sources.iter().any(|source| source.contains(from)))
    }

    /// Whether a stranger gets this answer; counts it.
    pub(crate) fn may_answer(&mut self, now: Instant, from: IpAddr) -> bool {
        let may = self.admission.strangers == Strangers::Refuse && self.meters.may_answer(now, from);
        self.count_answer(may);
        may
    }

    /// Whether a stranger is asked for a password; counts it.
    pub(crate) fn may_challenge(&mut self, now: Instant, from: IpAddr) -> bool {
        let may = self.meters.may_answer(now, from);
        self.stats.challenged += u64::from(may);
        self.stats.silenced += u64::from(!may);
        may
    }

    /// An INVITE outside of dialogs.
    pub(crate) fn admit(&mut self, now: Instant, from: IpAddr, request: &Request) -> Verdict {
        let doors = &self.admission.doors;
        let known = doors.iter().find(|door| door.calls && door.sources.iter().any(|source| source.contains(from)));
        if let Some(door) = known {
            self.stats.known += 1;
            return Verdict::Admitted(door.name.clone());
        }
        // Who has guessed wrong too often is not even heard.
        if self.servers.is_empty() || !self.meters.may_guess(now, from) {
            return Verdict::Refused;
        }
        let Some(answer) = self.servers.iter().find_map(|server| Some((server, server.answer_of(request)?))) else {
            return self.challenge(now, from, false);
        };
        let (server, answer) = answer;
        if !self.nonces.is_good(now, from, &answer.nonce) {
            return self.challenge(now, from, true);
        }
        let named = doors.iter().filter(|door| door.calls).find(|door| {
            door.credentials.as_ref().is_some_and(|known| known.username.as_bytes() == &answer.username[..])
        });
        let credentials = named.and_then(|door| door.credentials.as_ref()).unwrap_or(&self.nobody);
        let nonce = String::from_utf8_lossy(&answer.nonce).into_owned();
        let verdict = server.check(request, &nonce, credentials);
        match (named.map(|door| door.name.clone()), verdict) {
            (Some(name), server::Verdict::Accepted { count }) => {
                if !self.nonces.count(now, &answer.nonce, count) {
                    return self.challenge(now, from, true);
                }
                self.stats.proved += 1;
                Verdict::Admitted(name)
            }
            _ => {
                self.stats.wrong += 1;
                self.meters.guessed_wrong(now, from);
                Verdict::Refused
            }
        }
    }

    fn challenge(&mut self, now: Instant, from: IpAddr, stale: bool) -> Verdict {
        let nonce = self.nonces.make(now, from);
        let challenges = self.servers.iter().map(|server| {
            let mut headers = Headers::default();
            server.challenge(&nonce, stale, &mut headers);
            headers
        });
        Verdict::Challenged(challenges.collect())
    }

    fn count_answer(&mut self, given: bool) {
        self.stats.answered += u64::from(given);
        self.stats.silenced += u64::from(!given);
    }
}
