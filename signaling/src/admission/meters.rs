//! How much strangers cost at most: a table of fixed size, so that a flood leaves nothing behind, however many addresses
//! it claims to come from.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

/// Cells; addresses share one by a hash that nobody outside can foretell.
const CELLS: usize = 1_024;
/// Answers to the addresses of one cell: at once, and one more each.
const ANSWERS: Rate = Rate { burst: 40, every: Duration::from_millis(50) };
/// Wrong passwords from the addresses of one cell.
const GUESSES: Rate = Rate { burst: 20, every: Duration::from_secs(30) };
/// Answers to all strangers.
const ALL: Rate = Rate { burst: 500, every: Duration::from_millis(2) };

struct Rate {
    burst: u32,
    every: Duration,
}

/// A bucket as the time at which it is full again (GCRA).
#[derive(Debug, Clone, Copy, Default)]
struct Bucket(Option<Instant>);

impl Bucket {
    fn has_room(self, now: Instant, rate: &Rate) -> bool {
        let ahead = self.0.map_or(Duration::ZERO, |full| full.saturating_duration_since(now));
        ahead.saturating_add(rate.every) <= rate.every.saturating_mul(rate.burst)
    }

    fn take(&mut self, now: Instant, rate: &Rate) {
        self.0 = Some(self.0.map_or(now, |full| full.max(now)) + rate.every);
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    answers: Bucket,
    guesses: Bucket,
}

pub(super) struct Meters {
    secret: [u8; 32],
    cells: Vec<Cell>,
    all: Bucket,
}

impl Meters {
    pub(super) fn new(secret: [u8; 32]) -> Self {
        Self { secret, cells: vec![Cell::default(); CELLS], all: Bucket::default() }
    }

    /// Whether a stranger may have one more answer; counts it.
    pub(super) fn may_answer(&mut self, now: Instant, from: IpAddr) -> bool {
        let all = self.all;
        let Some(cell) = self.cell(from) else { return false };
        // overflow: no answer; the sender repeats the request or goes away.
        if !cell.answers.has_room(now, &ANSWERS) || !all.has_room(now, &ALL) {
            return false;
        }
        cell.answers.take(now, &ANSWERS);
        self.all.take(now, &ALL);
        true
    }

    /// Whether a stranger may try one more password.
    pub(super) fn may_guess(&mut self, now: Instant, from: IpAddr) -> bool {
        self.cell(from).is_some_and(|cell| cell.guesses.has_room(now, &GUESSES))
    }

    /// A password was wrong.
    pub(super) fn guessed_wrong(&mut self, now: Instant, from: IpAddr) {
        if let Some(cell) = self.cell(from) {
            cell.guesses.take(now, &GUESSES);
        }
    }

    /// An IPv6 sender has a whole network to itself.
    fn cell(&mut self, from: IpAddr) -> Option<&mut Cell> {
        let mut hash = Sha256::new();
        hash.update(self.secret);
        match from.to_canonical() {
            IpAddr::V4(address) => hash.update(address.octets()),
            IpAddr::V6(address) => hash.update((address.to_bits() >> 64).to_be_bytes()),
        }
        let hash = hash.finalize();
        let at = hash.iter().take(2).fold(0_usize, |at, byte| at << 8 | usize::from(*byte));
        self.cells.get_mut(at % CELLS)
    }
}
