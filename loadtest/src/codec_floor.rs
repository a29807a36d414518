//! What the codecs alone cost a transcoded call: each frame of the load decoded and encoded once, in a bare loop.

use anyhow::Result;
use trunkline_media::audio::Codec;
use trunkline_media::audio::codec::{Decoder, Encoder};

use crate::speech::Speech;
use crate::stats::thread_cpu_ns;

const ROUNDS: usize = 10;

/// CPU microseconds for 20 ms of a call: browser's Opus to PCMU, and agent's PCMU to Opus.
pub(crate) fn us_per_packet_time(speech: &Speech) -> Result<(f64, f64)> {
    let mut best = (f64::MAX, f64::MAX);
    // The machine is shared: the quickest of a few is nearest to the work itself.
    for _ in 0..3 {
        let (up, down) =
            (one_way(Codec::Opus, Codec::Pcmu, &speech.opus)?, one_way(Codec::Pcmu, Codec::Opus, &speech.pcmu)?);
        best = (best.0.min(up), best.1.min(down));
    }
    Ok(best)
}

fn one_way(from: Codec, to: Codec, frames: &[Vec<u8>]) -> Result<f64> {
    let (mut decoder, mut encoder) = (Decoder::new(from, 8_000)?, Encoder::new(to, 8_000)?);
    let (mut pcm, mut payload) = (Vec::new(), Vec::new());
    let start = thread_cpu_ns()?;
    for frame in (0..ROUNDS).flat_map(|_| frames) {
        decoder.decode(frame, &mut pcm)?;
        encoder.encode(&pcm, &mut payload)?;
    }
    let spent = thread_cpu_ns()?.saturating_sub(start);
    Ok(spent as f64 / 1000.0 / (ROUNDS * frames.len()) as f64)
}
