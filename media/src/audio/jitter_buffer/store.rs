//! Packets in order of sequence, in memory that is used again and again.

use std::collections::VecDeque;

/// Packets kept at most, whatever their length.
pub(super) const CAPACITY: usize = 128;

/// Memory for a payload has room for this: 20 ms of any codec, so that a longer one does not cost another allocation.
const USUAL_PAYLOAD: usize = 160;

/// A packet that waits.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) sequence: u64,
    /// Extended.
    pub(super) timestamp: i64,
    /// Clock units it holds.
    pub(super) samples: i64,
    /// `None` for a number that carries no audio.
    payload: Option<Vec<u8>>,
}

impl Entry {
    pub(super) fn payload(&self) -> Option<&[u8]> {
        self.payload.as_deref()
    }

    pub(super) fn end(&self) -> i64 {
        self.timestamp + self.samples
    }
}

/// Packets in order of sequence.
#[derive(Debug, Default)]
pub(super) struct Store {
    entries: VecDeque<Entry>,
    free: Vec<Vec<u8>>,
    /// Payload of the packet taken last.
    taken: Vec<u8>,
    audio: usize,
}

impl Store {
    /// Keeps a packet, or a number without audio; `false` if the number is there already.
    pub(super) fn insert(&mut self, sequence: u64, timestamp: i64, samples: i64, payload: Option<&[u8]>) -> bool {
        let later = self.entries.iter().rev().take_while(|entry| entry.sequence > sequence).count();
        let at = self.entries.len() - later;
        let before = at.checked_sub(1).and_then(|n| self.entries.get(n));
        if before.is_some_and(|entry| entry.sequence == sequence) {
            return false;
        }
        let payload = payload.map(|bytes| {
            let mut memory = self.free.pop().unwrap_or_default();
            memory.clear();
            memory.reserve(bytes.len().max(USUAL_PAYLOAD));
            memory.extend_from_slice(bytes);
            memory
        });
        self.audio += usize::from(payload.is_some());
        self.entries.insert(at, Entry { sequence, timestamp, samples, payload });
        true
    }

    pub(super) fn front(&self) -> Option<&Entry> {
        self.entries.front()
    }

    /// The packet after the front one, if its number and time follow directly.
    pub(super) fn follows_directly(&self) -> bool {
        let mut entries = self.entries.iter();
        let (Some(first), Some(second)) = (entries.next(), entries.next()) else { return false };
        second.sequence == first.sequence + 1 && second.timestamp == first.end() && second.payload.is_some()
    }

    /// End of the newest packet, extended timestamp.
    pub(super) fn end(&self) -> Option<i64> {
        self.entries.iter().rev().find(|entry| entry.payload.is_some()).map(Entry::end)
    }

    /// How many packets with audio wait.
    pub(super) fn audio(&self) -> usize {
        self.audio
    }

    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= CAPACITY
    }

    /// Takes the front packet out; its payload stays readable by [`Self::taken`] until the next one is taken.
    pub(super) fn take(&mut self) {
        if let Some(payload) = self.entries.pop_front().and_then(|entry| entry.payload) {
            self.audio -= 1;
            let old = std::mem::replace(&mut self.taken, payload);
            self.free.push(old);
        }
    }

    pub(super) fn taken(&self) -> &[u8] {
        &self.taken
    }

    /// Drops the front entry; whether it held audio.
    pub(super) fn drop_front(&mut self) -> bool {
        let payload = self.entries.pop_front().and_then(|entry| entry.payload);
        let audio = payload.is_some();
        self.audio -= usize::from(audio);
        self.free.extend(payload);
        audio
    }

    /// Buffers for payloads in use or kept for use.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.free.len() + self.audio + 1
    }
}
