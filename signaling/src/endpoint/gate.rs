//! Messages of legs that wait until somebody has kept the leg's snapshot: whatever would leave a call standing at the
//! peer's is not sent before it is sure that the call can be ended.

use std::collections::HashMap;
use std::net::SocketAddr;

use bytes::Bytes;

use super::LegId;
use super::way::Way;

/// Messages of one leg that wait. It says a handful within the wait's limit; more are dropped, as the network would.
const MAX_WAITING: usize = 16;

/// Which legs are held back.
#[derive(Debug, Default)]
pub(super) struct Gate {
    held: HashMap<LegId, Held>,
    serial: u64,
}

#[derive(Debug)]
struct Held {
    serial: u64,
    waiting: Vec<(Way, SocketAddr, Bytes)>,
}

/// What became of a message at the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passage {
    Open,
    Waits,
    Dropped,
}

impl Gate {
    /// Holds a leg's messages back from now on. The number names this holding.
    pub(super) fn hold(&mut self, leg: LegId) -> u64 {
        self.serial = self.serial.wrapping_add(1);
        let serial = self.serial;
        self.held.entry(leg).or_insert(Held { serial, waiting: Vec::new() }).serial = serial;
        serial
    }

    pub(super) fn is_held(&self, leg: LegId) -> bool {
        self.held.contains_key(&leg)
    }

    /// A message of a leg is to be sent.
    pub(super) fn pass(&mut self, leg: Option<LegId>, (way, to): (Way, SocketAddr), bytes: &Bytes) -> Passage {
        let Some(held) = leg.and_then(|leg| self.held.get_mut(&leg)) else { return Passage::Open };
        // overflow: dropped and counted; retransmissions bring it again.
        if held.waiting.len() >= MAX_WAITING {
            return Passage::Dropped;
        }
        held.waiting.push((way, to, bytes.clone()));
        Passage::Waits
    }

    /// Lets a leg's messages go; `serial` is that of the latest holding, or `None`: whichever it is.
    pub(super) fn open(&mut self, leg: LegId, serial: Option<u64>) -> Vec<(Way, SocketAddr, Bytes)> {
        match self.held.get(&leg) {
            Some(held) if serial.is_none_or(|serial| serial == held.serial) => {
                self.held.remove(&leg).map(|held| held.waiting).unwrap_or_default()
            }
            Some(_) | None => Vec::new(),
        }
    }
}
