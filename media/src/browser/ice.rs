//! An ICE-lite agent for one component (RFC 8445 section 6.1.1 and 7.3): it answers checks and remembers where
//! authentic ones came from. It sends nothing of its own accord.

use std::time::{Duration, Instant};

use rtc_crypto::{HmacAlgorithm, Mac, RTCCryptoProvider};

use super::stun::{self, Answer, Request};
use crate::outbox::{Outbox, Remote};
use crate::sdp::browser::IceCredentials;

/// A browser has a handful of pairs; a NAT that rebinds at every check makes the rest.
const REMOTES_LIMIT: usize = 64;
/// Transactions remembered, to tell a replayed check from a new one.
const TRANSACTIONS: usize = 16;
/// The selected address counts as silent after this: longer than any gap of live audio, shorter than a pause that a
/// visitor takes for the end of the call. Where no audio comes, of who only listens, after twice as long as it usually is.
const SILENCE: Duration = Duration::from_secs(1);

/// What a STUN message turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checked {
    /// An authentic check; it has been answered.
    Authentic,
    /// An authentic check that was answered with an error.
    Refused,
    /// A message that asks for nothing: an indication, an answer.
    Ignored,
    /// Not a sound Binding request.
    Malformed,
    /// No or wrong integrity, a foreign user name, or a replay.
    BadIntegrity,
}

/// The agent of one browser.
#[repr(C)]
pub(super) struct IceLite {
    /// Where to send; one of `remotes`.
    selected: Option<Known>,
    last_check: Option<Instant>,
    current: Session,
    /// The session before a restart, until a check of the new one comes.
    previous: Option<Session>,
    remotes: Vec<Known>,
    transactions: [Option<([u8; 12], Remote)>; TRANSACTIONS],
    next_transaction: usize,
    requests: u64,
}

struct Session {
    local: IceCredentials,
    remote: IceCredentials,
    key: Option<Box<dyn Mac>>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    remote: Remote,
    last_heard: Instant,
    /// So long something took to come lately; what was longer ago counts for less.
    usual: Duration,
}

impl Session {
    fn new(local: IceCredentials, remote: &IceCredentials, provider: &dyn RTCCryptoProvider) -> Self {
        let key = provider.crypto().new_hmac(HmacAlgorithm::Sha1, local.password.as_bytes()).ok();
        Self { local, remote: remote.clone(), key }
    }

    fn is_addressed(&self, username: &str) -> bool {
        username.split_once(':') == Some((&self.local.ufrag, &self.remote.ufrag))
    }
}

impl IceLite {
    pub(super) fn new(local: IceCredentials, remote: &IceCredentials, provider: &dyn RTCCryptoProvider) -> Self {
        Self {
            current: Session::new(local, remote, provider),
            previous: None,
            remotes: Vec::new(),
            selected: None,
            transactions: [None; TRANSACTIONS],
            next_transaction: 0,
            requests: 0,
            last_check: None,
        }
    }

    pub(super) fn local(&self) -> &IceCredentials {
        &self.current.local
    }

    /// The browser's current credentials.
    pub(super) fn remote(&self) -> &IceCredentials {
        &self.current.remote
    }

    /// Where to send.
    pub(super) fn selected(&self) -> Option<Remote> {
        self.selected.map(|selected| selected.remote)
    }

    /// Whether an authentic check came from this address.
    pub(super) fn knows(&self, remote: Remote) -> bool {
        self.selected() == Some(remote) || self.remotes.iter().any(|known| known.remote == remote)
    }

    /// Binding requests so far, authentic or not.
    pub(super) fn requests(&self) -> u64 {
        self.requests
    }

    pub(super) fn last_check(&self) -> Option<Instant> {
        self.last_check
    }

    /// Something authentic other than a check came from this address.
    pub(super) fn heard(&mut self, now: Instant, remote: Remote) {
        match &mut self.selected {
            Some(selected) if selected.remote == remote => selected.heard(now),
            Some(_) | None => {
                if let Some(known) = self.remotes.iter_mut().find(|known| known.remote == remote) {
                    known.heard(now);
                }
            }
        }
    }

    /// Nothing comes from there any more, nor gets there: what was heard last of the others takes its place.
    pub(super) fn forget(&mut self, remote: Remote) {
        self.remotes.retain(|known| known.remote != remote);
        if self.selected() == Some(remote) {
            let latest = self.remotes.iter().max_by_key(|known| known.last_heard);
            self.selected = latest.map(|latest| Known { usual: Duration::ZERO, ..*latest });
        }
    }

    /// Begins a restart (RFC 8445 section 9): the old session is answered until the new one is seen to work.
    pub(super) fn restart(&mut self, remote: &IceCredentials, local: IceCredentials, provider: &dyn RTCCryptoProvider) {
        let next = Session::new(local, remote, provider);
        let last = std::mem::replace(&mut self.current, next);
        // Of two restarts in a row, the session that carried checks stays the fallback.
        self.previous.get_or_insert(last);
    }

    /// Takes a STUN message. RFC 8489 section 9.1.3, RFC 8445 section 7.3.
    pub(super) fn handle(&mut self, now: Instant, from: Remote, datagram: &[u8], out: &mut Outbox) -> Checked {
        match stun::message_type(datagram) {
            Some(stun::BINDING_REQUEST) => {}
            Some(stun::BINDING_INDICATION | stun::BINDING_SUCCESS | stun::BINDING_ERROR) => return Checked::Ignored,
            Some(_) | None => return Checked::Malformed,
        }
        self.requests = self.requests.saturating_add(1);
        let Some(request) = Request::parse(datagram) else { return Checked::Malformed };
        let username = request.username.unwrap_or_default();
        let (session, is_current) = if self.current.is_addressed(username) {
            (&mut self.current, true)
        } else if let Some(previous) = self.previous.as_mut().filter(|p| p.is_addressed(username)) {
            (previous, false)
        } else {
            return Checked::BadIntegrity;
        };
        let Some(key) = session.key.as_deref_mut() else { return Checked::BadIntegrity };
        if !request.is_authentic(key) || is_replay(&self.transactions, &request, from) {
            return Checked::BadIntegrity;
        }
        let answer = if !request.unknown().is_empty() {
            Answer::UnknownAttributes(request.unknown())
        } else if request.controlled {
            // A lite agent facing a full one is always controlled (RFC 8445 section 6.1.1).
            Answer::RoleConflict
        } else {
            Answer::Success(from.address)
        };
        out.push_with(from.port(), from.address, |buffer| answer.write(&request.transaction, key, buffer));
        self.remember(request.transaction, from);
        if !matches!(answer, Answer::Success(_)) {
            return Checked::Refused;
        }
        let restarted = is_current && self.previous.take().is_some();
        self.last_check = Some(now);
        self.learn(now, from);
        self.select(now, from, request.use_candidate, restarted, is_current);
        Checked::Authentic
    }

    fn remember(&mut self, transaction: [u8; 12], from: Remote) {
        if let Some(slot) = self.transactions.get_mut(self.next_transaction) {
            *slot = Some((transaction, from));
        }
        self.next_transaction = (self.next_transaction + 1) % TRANSACTIONS;
    }

    fn learn(&mut self, now: Instant, remote: Remote) {
        self.heard(now, remote);
        if self.knows(remote) {
            return;
        }
        if self.remotes.len() >= REMOTES_LIMIT {
            // The longest silent one goes; never the one in use.
            let oldest = self.remotes.iter().enumerate().filter(|(_, known)| Some(known.remote) != self.selected());
            if let Some((at, _)) = oldest.min_by_key(|(_, known)| known.last_heard) {
                self.remotes.swap_remove(at);
            }
        }
        self.remotes.push(Known { remote, last_heard: now, usual: Duration::ZERO });
    }

    /// Which pair to send on: the latest nominated one; before any nomination the first validated one. An address that
    /// fell silent yields to one that is alive, because a NAT that rebinds does not nominate.
    fn select(&mut self, now: Instant, from: Remote, nominates: bool, restarted: bool, is_current: bool) {
        let takes = nominates && is_current || restarted || self.is_silent(now);
        if !takes || self.selected() == Some(from) {
            return;
        }
        let before = self.selected.replace(Known { remote: from, last_heard: now, usual: Duration::ZERO });
        if let Some(before) = before {
            // Heard last while it was selected.
            self.heard(before.last_heard, before.remote);
        }
    }

    fn is_silent(&self, now: Instant) -> bool {
        self.selected.is_none_or(|Known { last_heard, usual, .. }| {
            now.saturating_duration_since(last_heard) >= SILENCE.max(2 * usual)
        })
    }
}

impl Known {
    fn heard(&mut self, now: Instant) {
        self.usual = now.saturating_duration_since(self.last_heard).max(self.usual / 2);
        self.last_heard = now;
    }
}

/// A check seen before, now from another address: nobody but a thief of packets repeats a transaction from elsewhere.
fn is_replay(seen: &[Option<([u8; 12], Remote)>], request: &Request<'_>, from: Remote) -> bool {
    seen.iter().flatten().any(|(transaction, first)| *transaction == request.transaction && *first != from)
}

#[cfg(test)]
#[path = "ice_tests.rs"]
mod tests;
