//! A worker's calls: where they live, how a datagram finds its own, and how much of a wake-up each may have.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Instant;

use crate::api::CallKey;
use crate::browser::demux::{Kind, classify, local_ufrag};
use crate::call::Call;

/// Addresses a call may be reached from; a browser has a handful of candidate pairs.
const MAX_TUPLES: usize = 64;

/// Datagrams a call may have in one wake-up: a second of audio that a stalled path delivers at once still fits.
const BUDGET: u32 = 64;

/// The calls of one worker.
#[derive(Default)]
pub(super) struct Calls {
    entries: Vec<Entry>,
    spare: Vec<usize>,
    by_key: HashMap<CallKey, usize>,
    by_tuple: HashMap<SocketAddr, usize>,
    by_ufrag: HashMap<String, usize>,
}

#[derive(Default)]
struct Entry {
    /// Counts the calls that lived here, so that timers of dead ones are known.
    generation: u32,
    /// Boxed, so that places which a busy hour has made are small in the quiet one after it.
    slot: Option<Box<Slot>>,
}

/// A call and what its worker keeps of it.
pub(super) struct Slot {
    pub(super) key: CallKey,
    pub(super) call: Call,
    /// Its leased port pair.
    pub(super) link: Option<usize>,
    /// Leased beside it.
    pub(super) spare: Option<usize>,
    /// Its browser's TCP connections, the oldest first.
    pub(super) connections: Vec<usize>,
    /// When its timer is set, if it is.
    pub(super) scheduled: Option<Instant>,
    tuples: Vec<SocketAddr>,
    ufrags: Vec<String>,
    /// Datagrams taken in the wake-up of this number.
    taken: (u64, u32),
}

impl Calls {
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(super) fn index(&self, key: CallKey) -> Option<usize> {
        self.by_key.get(&key).copied()
    }

    pub(super) fn keys(&self) -> Vec<CallKey> {
        self.by_key.keys().copied().collect()
    }

    /// All of them.
    pub(super) fn each(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.entries.iter_mut().filter_map(|entry| entry.slot.as_deref_mut())
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Slot> {
        self.entries.get_mut(index)?.slot.as_deref_mut()
    }

    pub(super) fn generation(&self, index: usize) -> Option<u32> {
        self.entries.get(index).map(|entry| entry.generation)
    }

    /// Gives a call its place and registers its ufrags.
    pub(super) fn insert(&mut self, key: CallKey, call: Call) -> usize {
        let index = self.spare.pop().unwrap_or_else(|| {
            self.entries.push(Entry::default());
            self.entries.len() - 1
        });
        if let Some(entry) = self.entries.get_mut(index) {
            entry.slot = Some(Box::new(Slot {
                key,
                call,
                link: None,
                spare: None,
                connections: Vec::new(),
                scheduled: None,
                tuples: Vec::new(),
                ufrags: Vec::new(),
                taken: (0, 0),
            }));
        }
        self.by_key.insert(key, index);
        self.learn_ufrags(index);
        index
    }

    /// Takes a call out; nothing leads to it any more.
    pub(super) fn remove(&mut self, index: usize) -> Option<Box<Slot>> {
        self.forget_tuples(index);
        let entry = self.entries.get_mut(index)?;
        let slot = entry.slot.take()?;
        entry.generation = entry.generation.wrapping_add(1);
        for ufrag in &slot.ufrags {
            self.by_ufrag.remove(ufrag);
        }
        self.by_key.remove(&slot.key);
        self.spare.push(index);
        Some(slot)
    }

    /// The call's ufrags have changed.
    pub(super) fn learn_ufrags(&mut self, index: usize) {
        let Some(slot) = self.entries.get_mut(index).and_then(|entry| entry.slot.as_mut()) else { return };
        for old in slot.ufrags.drain(..) {
            self.by_ufrag.remove(&old);
        }
        for ufrag in slot.call.ufrags() {
            slot.ufrags.push(ufrag.to_owned());
            self.by_ufrag.insert(ufrag.to_owned(), index);
        }
    }

    /// The call proved this address its own.
    pub(super) fn learn_tuple(&mut self, index: usize, from: SocketAddr) {
        let known = self.by_tuple.get(&from).copied();
        if known == Some(index) {
            return;
        }
        let Some(slot) = self.entries.get_mut(index).and_then(|entry| entry.slot.as_mut()) else { return };
        if slot.tuples.len() >= MAX_TUPLES {
            self.by_tuple.remove(&slot.tuples.remove(0));
        }
        slot.tuples.push(from);
        self.by_tuple.insert(from, index);
        // The address was another call's before, whose check was authentic then; the last proof counts.
        if let Some(before) = known.and_then(|before| self.get_mut(before)) {
            before.tuples.retain(|tuple| *tuple != from);
        }
    }

    /// The call has a new peer connection: its old addresses are proven no more.
    pub(super) fn forget_tuples(&mut self, index: usize) {
        let Some(slot) = self.entries.get_mut(index).and_then(|entry| entry.slot.as_mut()) else { return };
        for tuple in slot.tuples.drain(..) {
            self.by_tuple.remove(&tuple);
        }
    }

    /// The call that goes by this ufrag.
    pub(super) fn named(&self, ufrag: &str) -> Option<usize> {
        self.by_ufrag.get(ufrag).copied()
    }

    /// Whose datagram this is, and whether by 5-tuple: else by the ufrag of a STUN request. The ufrag goes first, for a
    /// browser may use an address that an ended connection of it had proven; the check's integrity decides in any case.
    pub(super) fn find(&self, from: SocketAddr, datagram: &[u8]) -> Option<(usize, bool)> {
        let by_tuple = self.by_tuple.get(&from).copied();
        let by_ufrag = match classify(datagram) {
            Kind::Stun => local_ufrag(datagram).and_then(|ufrag| self.by_ufrag.get(ufrag)).copied(),
            Kind::Dtls | Kind::Rtp | Kind::Rtcp | Kind::Unknown => None,
        };
        let found = by_ufrag.or(by_tuple)?;
        Some((found, by_tuple == Some(found)))
    }
}

impl Slot {
    /// Whether the call may have one more datagram in the wake-up of this number.
    pub(super) fn take(&mut self, turn: u64) -> bool {
        if self.taken.0 != turn {
            self.taken = (turn, 0);
        }
        self.taken.1 += 1;
        self.taken.1 <= BUDGET
    }
}
