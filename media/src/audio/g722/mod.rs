//! G.722 at 64 kbit/s (ITU-T G.722, RFC 3551 section 4.5.2): two sub-bands of 8 kHz, each an adaptive differential code;
//! an octet holds both, and stands for two samples of 16 kHz.

mod band;
mod qmf;

use self::band::{High, Low};
use self::qmf::{Joiner, Splitter};

/// Longest payload taken, in octets: one datagram.
const MAX_PAYLOAD: usize = 1500;

/// PCM at this rate, Hz, goes in and comes out.
pub(super) const RATE: u32 = 16_000;

/// How many octets a payload has, each a tick of the RTP clock; `None` if it is none.
pub(super) fn octets_in(payload: &[u8]) -> Option<usize> {
    (1..=MAX_PAYLOAD).contains(&payload.len()).then_some(payload.len())
}

/// Turns PCM into octets.
#[derive(Debug, Default)]
pub(super) struct G722Encoder {
    splitter: Splitter,
    low: Low,
    high: High,
}

impl G722Encoder {
    /// Appends the code of `pcm`; of an odd number of samples the last is left out.
    pub(super) fn encode(&mut self, pcm: &[i16], payload: &mut Vec<u8>) {
        for &[first, second] in pcm.as_chunks().0 {
            let (low, high) = self.splitter.split(first, second);
            payload.push(self.high.encode(high) << 6 | self.low.encode(low));
        }
    }
}

/// Turns octets into PCM. Of octets that never came it is told nothing: what it had learnt is nearer to what its sender has
/// than anything it could learn from sound that was made up (measured; a fresh beginning is far worse than either).
#[derive(Debug, Default)]
pub(super) struct G722Decoder {
    joiner: Joiner,
    low: Low,
    high: High,
}

impl G722Decoder {
    /// Appends the sound of `payload`.
    pub(super) fn decode(&mut self, payload: &[u8], pcm: &mut Vec<i16>) {
        for &octet in payload {
            let (low, high) = (self.low.decode(octet & 0x3f), self.high.decode(octet >> 6));
            pcm.extend(self.joiner.join(low, high));
        }
    }
}

#[cfg(test)]
mod tests;
