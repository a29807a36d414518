//! Nonces without memory: the time, a number, and what proves that both are ours and for whom (RFC 7616 section 3.3).
//! Only a nonce that a right password came with is remembered, with its highest count.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

/// How long a nonce is good.
const GOOD_FOR: Duration = Duration::from_secs(300);
/// Nonces in use whose counts are known.
const MAX_COUNTED: usize = 4_096;

/// When a nonce was made, in seconds, and its number.
type Made = (u32, u32);

pub(super) struct Nonces {
    secret: [u8; 32],
    /// What times are counted from.
    epoch: Option<Instant>,
    drawn: u32,
    counted: BTreeMap<Made, u32>,
    /// What was made before this is good no more.
    floor: Made,
}

impl Nonces {
    pub(super) fn new(secret: [u8; 32]) -> Self {
        Self { secret, epoch: None, drawn: 0, counted: BTreeMap::new(), floor: (0, 0) }
    }

    /// A new one for a peer at this address.
    pub(super) fn make(&mut self, now: Instant, from: IpAddr) -> String {
        self.drawn = self.drawn.wrapping_add(1);
        let made = (self.second(now), self.drawn);
        self.write(made, from)
    }

    /// Whether a nonce is one of ours for this address, and still good.
    pub(super) fn is_good(&mut self, now: Instant, from: IpAddr, nonce: &[u8]) -> bool {
        let second = self.second(now);
        let Some(made) = read(nonce).filter(|made| self.write(*made, from).as_bytes() == nonce) else { return false };
        let age = second.checked_sub(made.0);
        made >= self.floor && age.is_some_and(|age| u64::from(age) < GOOD_FOR.as_secs())
    }

    /// Counts a use that a right password came with; `false`: this count or a higher one was used before.
    pub(super) fn count(&mut self, now: Instant, nonce: &[u8], count: u32) -> bool {
        let Some(made) = read(nonce) else { return false };
        if count <= self.counted.get(&made).copied().unwrap_or(0) {
            return false;
        }
        self.forget_old(now);
        self.counted.insert(made, count);
        // overflow: the oldest is forgotten, and with it every nonce as old; who holds one is asked again.
        while self.counted.len() > MAX_COUNTED {
            let Some(((second, number), _)) = self.counted.pop_first() else { break };
            self.floor = (second, number.saturating_add(1));
        }
        true
    }

    fn forget_old(&mut self, now: Instant) {
        let second = self.second(now);
        let oldest = second.saturating_sub(u32::try_from(GOOD_FOR.as_secs()).unwrap_or(u32::MAX));
        while self.counted.first_key_value().is_some_and(|(made, _)| made.0 < oldest) {
            self.counted.pop_first();
        }
    }

    fn second(&mut self, now: Instant) -> u32 {
        let epoch = *self.epoch.get_or_insert(now);
        u32::try_from(now.saturating_duration_since(epoch).as_secs()).unwrap_or(u32::MAX)
    }

    fn write(&self, (second, number): Made, from: IpAddr) -> String {
        let mut hash = Sha256::new();
        hash.update(self.secret);
        hash.update(second.to_be_bytes());
        hash.update(number.to_be_bytes());
        hash.update(from.to_canonical().to_string());
        let proof: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        format!("{second:08x}{number:08x}{proof}")
    }
}

fn read(nonce: &[u8]) -> Option<Made> {
    let text = std::str::from_utf8(nonce).ok()?;
    let number = |range| u32::from_str_radix(text.get(range)?, 16).ok();
    Some((number(0..8)?, number(8..16)?))
}
