//! Recordings in, packets out.

use std::path::Path as File;
use std::sync::Arc;

use anyhow::{Context, Result};
use trunkline_media::audio::Codec;
use trunkline_media::audio::codec::{Decoder, Encoder};
use trunkline_media::audio::prompt::{Player, Prompt};

/// Speech at both rates that paths are judged at.
pub(super) struct Speech {
    narrow: Vec<i16>,
    wide: Vec<i16>,
}

impl Speech {
    /// Reads a WAV file.
    pub(super) fn read(file: &File) -> Result<Self> {
        let bytes = std::fs::read(file).with_context(|| format!("{}", file.display()))?;
        let prompt = Arc::new(Prompt::from_wav(&bytes)?);
        let at = |rate: u32| {
            let whole = usize::try_from(prompt.duration_ms() / 20).unwrap_or(0) * rate as usize / 50;
            let mut pcm = vec![0; whole];
            Player::new(Arc::clone(&prompt), rate, false).fill(&mut pcm);
            pcm
        };
        Ok(Self { narrow: at(8_000), wide: at(16_000) })
    }

    pub(super) fn pcm(&self, rate: u32) -> &[i16] {
        if rate == 8_000 { &self.narrow } else { &self.wide }
    }
}

/// Encodes as an end of a call would that is told of this much loss.
pub(super) fn encode(codec: Codec, rate: u32, pcm: &[i16], loss: f64) -> Result<Vec<Vec<u8>>> {
    let mut encoder = Encoder::new(codec, rate)?;
    encoder.set_expected_loss(loss);
    let mut packets = Vec::with_capacity(pcm.len() / (rate as usize / 50));
    for frame in pcm.chunks_exact(rate as usize / 50) {
        let mut payload = Vec::new();
        encoder.encode(frame, &mut payload)?;
        packets.push(payload);
    }
    Ok(packets)
}

/// What the codecs alone make of it, one after the other.
pub(super) fn through(codecs: &[Codec], rate: u32, pcm: &[i16]) -> Result<Vec<i16>> {
    let mut pcm = pcm.to_vec();
    for &codec in codecs {
        let mut decoder = Decoder::new(codec, rate)?;
        let (mut all, mut part) = (Vec::new(), Vec::new());
        for payload in encode(codec, rate, &pcm, 0.0)? {
            decoder.decode(&payload, &mut part)?;
            all.extend_from_slice(&part);
        }
        pcm = all;
    }
    Ok(pcm)
}

/// By how many milliseconds `heard` is behind `said`: where the levels of both are most alike.
pub(super) fn delay_ms(said: &[i16], heard: &[i16], rate: u32) -> usize {
    const MOST: usize = 600;
    let levels = |pcm: &[i16]| -> Vec<f64> {
        let level = |part: &[i16]| part.iter().map(|&s| f64::from(s).abs()).sum::<f64>().sqrt();
        pcm.chunks_exact(rate as usize / 1000).map(level).collect()
    };
    let (said, heard) = (levels(said), levels(heard));
    let alike = |lag: usize| -> f64 { said.iter().zip(heard.iter().skip(lag)).map(|(a, b)| a * b).sum() };
    (0..MOST).max_by(|a, b| alike(*a).total_cmp(&alike(*b))).unwrap_or(0)
}
