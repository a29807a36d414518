//! What the codecs alone cost a transcoded call: each frame of the load decoded and encoded once, in a bare loop. Each call
//! has coders of its own, as it must: what they remember of the sound before is read and written with every frame, and of
//! many calls it is more than the processor keeps at hand.

use anyhow::Result;
use trunkline_media::audio::Codec;
use trunkline_media::audio::codec::{Decoder, Encoder};

use crate::speech::Speech;
use crate::stats::thread_cpu_ns;

/// Times that all frames are coded, at least, among all calls.
const ROUNDS: usize = 10;
/// Each call is so many frames behind the one before it; no divisor of a recording.
const APART: usize = 7;

/// CPU microseconds for 20 ms of one of so many calls: browser's Opus to PCMU, and agent's PCMU to Opus.
pub(crate) fn us_per_packet_time(speech: &Speech, calls: usize) -> Result<(f64, f64)> {
    let mut best = (f64::MAX, f64::MAX);
    // The machine is shared: the quickest of a few is nearest to the work itself.
    for _ in 0..3 {
        let up = one_way(calls, Codec::Opus, Codec::Pcmu, &speech.opus)?;
        let down = one_way(calls, Codec::Pcmu, Codec::Opus, &speech.pcmu)?;
        best = (best.0.min(up), best.1.min(down));
    }
    Ok(best)
}

fn one_way(calls: usize, from: Codec, to: Codec, frames: &[Vec<u8>]) -> Result<f64> {
    let coders = |_| Ok((Decoder::new(from, 8_000)?, Encoder::new(to, 8_000)?));
    let mut calls = (0..calls.max(1)).map(coders).collect::<Result<Vec<_>>>()?;
    let rounds = ROUNDS.div_ceil(calls.len()) * frames.len();
    let (mut pcm, mut payload) = (Vec::new(), Vec::new());
    let start = thread_cpu_ns()?;
    for round in 0..rounds {
        // No two say the same at the same time: a processor that has just done a frame foresees what it does with it.
        let said = frames.iter().cycle().skip(round % frames.len().max(1));
        for ((decoder, encoder), frame) in calls.iter_mut().zip(said.step_by(APART)) {
            decoder.decode(frame, &mut pcm)?;
            encoder.encode(&pcm, &mut payload)?;
        }
    }
    let spent = thread_cpu_ns()?.saturating_sub(start);
    Ok(spent as f64 / 1000.0 / (rounds * calls.len()) as f64)
}
