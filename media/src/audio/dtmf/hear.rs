//! Digits heard as tones (ITU-T Q.23, Q.24), for trunks that send them no other way.
//!
//! Blocks of 12.75 ms, each half over the one before; the energy at the eight frequencies by Goertzel's filter. A block is a
//! digit if one low and one high tone hold nearly all of its energy, neither much stronger than the other. Speech does
//! that for a block or two; a key that is pressed for longer.

use std::f32::consts::TAU;
use std::time::Duration;

use crate::api::Digit;

/// Of what is listened to, Hz: telephone audio.
const RATE: u32 = 8_000;

const LOW: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
const HIGH: [f32; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
/// Rows are low tones, columns high ones.
const KEYS: [char; 16] = ['1', '2', '3', 'A', '4', '5', '6', 'B', '7', '8', '9', 'C', '*', '0', '#', 'D'];

const BLOCK: usize = 102;
const HOP: usize = BLOCK / 2;
/// Blocks in a row that make a digit: 32 ms, within the 40 ms that must be heard and above the 23 ms that must not.
const HITS: u32 = 4;
/// Blocks in a row without it that end a digit: shorter gaps are drop-outs (Q.24 bridges 10 ms).
const MISSES: u32 = 4;
/// Each tone is at least this loud, as amplitude: -37 dBov, some -30 dBm0.
const FLOOR: f32 = 650.0;
/// How much stronger one tone may be than the other, as power: 10 dB, so that 8 dB pass.
const TWIST: f32 = 10.0;
/// The strongest tone of a group against each other one, as power: 8 dB.
const STANDS_OUT: f32 = 6.31;
/// Part of the block's energy that both tones hold: tones 1.5 % off still do, vowels do not.
const PURITY: f32 = 0.78;

/// Hears digits in PCM.
#[derive(Debug)]
pub struct DtmfEar {
    /// What waits to become a block.
    pcm: Vec<f32>,
    candidate: Option<u8>,
    hits: u32,
    held: Option<Held>,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    key: u8,
    blocks: u32,
    misses: u32,
}

impl Default for DtmfEar {
    fn default() -> Self {
        Self { pcm: Vec::with_capacity(4 * BLOCK), candidate: None, hits: 0, held: None }
    }
}

impl DtmfEar {
    /// Listens on; `told` gets each digit when it has ended, with how long it lasted.
    pub fn listen(&mut self, pcm: impl Iterator<Item = i16>, mut told: impl FnMut(Digit, Duration)) {
        self.pcm.extend(pcm.map(f32::from));
        let mut begin = 0;
        while let Some(block) = self.pcm.get(begin..begin + BLOCK) {
            let key = key_of(block);
            if let Some((key, blocks)) = self.block(key)
                && let Some(digit) = KEYS.get(usize::from(key)).and_then(|key| Digit::from_char(*key))
            {
                told(digit, Duration::from_micros(u64::from(blocks) * (HOP as u64) * 125));
            }
            begin += HOP;
        }
        self.pcm.drain(..begin);
    }

    /// Whether a tone is heard now that is, or may become, a digit.
    #[must_use]
    pub fn is_hearing(&self) -> bool {
        self.held.is_some() || self.hits > 0
    }

    /// What comes next does not follow what came: a digit that is held has ended.
    pub fn interrupt(&mut self) {
        self.pcm.clear();
        (self.candidate, self.hits) = (None, 0);
    }

    /// One block's key; the digit that ended with it, and its blocks.
    fn block(&mut self, key: Option<u8>) -> Option<(u8, u32)> {
        self.hits = if key.is_some() && key == self.candidate { self.hits + 1 } else { u32::from(key.is_some()) };
        self.candidate = key;
        if let Some(held) = &mut self.held {
            if key == Some(held.key) {
                held.blocks += 1 + std::mem::take(&mut held.misses);
                return None;
            }
            held.misses += 1;
            let next = key.filter(|_| self.hits >= HITS);
            if held.misses < MISSES && next.is_none() {
                return None;
            }
            let over = (held.key, held.blocks);
            self.held = next.map(|key| Held { key, blocks: self.hits + 1, misses: 0 });
            return Some(over);
        }
        if let Some(key) = key.filter(|_| self.hits >= HITS) {
            self.held = Some(Held { key, blocks: self.hits + 1, misses: 0 });
        }
        None
    }
}

/// The key a block is of.
fn key_of(block: &[f32]) -> Option<u8> {
    let energy: f32 = block.iter().map(|sample| sample * sample).sum();
    let length = block.len() as f32;
    // Neither tone could be loud enough.
    if energy < length * FLOOR * FLOOR {
        return None;
    }
    let (row, low) = strongest(block, &LOW)?;
    let (column, high) = strongest(block, &HIGH)?;
    // A sine of this amplitude has a power of so much in its own filter.
    let floor = (FLOOR * length / 2.0).powi(2);
    let both = (low + high) / (length / 2.0 * energy);
    let is_digit = low.min(high) >= floor && low <= high * TWIST && high <= low * TWIST && both >= PURITY;
    is_digit.then_some(row * 4 + column)
}

/// The tone of a group that stands out, and its power.
fn strongest(block: &[f32], group: &[f32; 4]) -> Option<(u8, f32)> {
    let powers = group.map(|hz| power(block, hz));
    let (at, most) = powers.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let stands_out = powers.iter().enumerate().all(|(other, power)| other == at || power * STANDS_OUT <= most);
    stands_out.then_some((u8::try_from(at).ok()?, most))
}

fn power(block: &[f32], hz: f32) -> f32 {
    let coefficient = 2.0 * (TAU * hz / RATE as f32).cos();
    let (s1, s2) = block.iter().fold((0.0f32, 0.0f32), |(s1, s2), sample| (sample + coefficient * s1 - s2, s1));
    s1 * s1 + s2 * s2 - coefficient * s1 * s2
}
