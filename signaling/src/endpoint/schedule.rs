//! Who wants to be called when: one deadline per owner, ordered, without scans.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use super::LegId;
use super::room::give_back;
use super::transactions::TxId;

/// Who has a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Owner {
    Client(TxId),
    Server(TxId),
    Leg(LegId),
    Gate(LegId),
}

/// The soonest deadline of each owner.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    queue: BTreeMap<(Instant, Owner), &'static str>,
    current: HashMap<Owner, Instant>,
}

impl Schedule {
    /// Sets, moves or (with `None`) removes an owner's deadline.
    pub(super) fn set(&mut self, owner: Owner, deadline: Option<(Instant, &'static str)>) {
        if let Some(old) = self.current.remove(&owner) {
            self.queue.remove(&(old, owner));
        }
        match deadline {
            Some((at, reason)) => {
                self.current.insert(owner, at);
                self.queue.insert((at, owner), reason);
            }
            None => give_back(&mut self.current),
        }
    }

    /// The soonest deadline.
    pub(super) fn next(&self) -> Option<(Instant, &'static str)> {
        self.queue.first_key_value().map(|((at, _), reason)| (*at, *reason))
    }

    /// Takes the owner of the soonest deadline that is due.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Owner> {
        let (&(at, owner), _) = self.queue.first_key_value()?;
        if at > now {
            return None;
        }
        self.set(owner, None);
        Some(owner)
    }
}
