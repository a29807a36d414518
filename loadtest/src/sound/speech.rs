//! Recordings in, packets out.

use std::path::Path as File;
use std::sync::Arc;

use anyhow::{Context, Result};
use trunkline_media::audio::Codec;
use trunkline_media::audio::codec::{Decoder, Encoder};
use trunkline_media::audio::prompt::{Player, Prompt};

use super::asked::Asked;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaker {
    /// A browser as Chromium is: as hard as that tries, and as it is asked.
    Browser(Asked),
    /// A gateway, as ours is at this complexity.
    Gateway(u8),
}

const CHROMIUM_COMPLEXITY: u8 = 9;

/// Speech at the rates that paths begin and are judged at.
pub(super) struct Speech {
    narrow: Vec<i16>,
    wide: Vec<i16>,
    full: Vec<i16>,
    /// There is sound above 4 kHz.
    pub(super) is_wide: bool,
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
        let is_wide = bytes.get(24..28).is_some_and(|rate| rate == 16_000u32.to_le_bytes());
        Ok(Self { narrow: at(8_000), wide: at(16_000), full: at(48_000), is_wide })
    }

    pub(super) fn pcm(&self, rate: u32) -> &[i16] {
        match rate {
            8_000 => &self.narrow,
            16_000 => &self.wide,
            _ => &self.full,
        }
    }
}

/// Encodes as an end of a call would that is told of this much loss.
pub(super) fn encode(speaker: Speaker, codec: Codec, rate: u32, pcm: &[i16], loss: f64) -> Result<Vec<Vec<u8>>> {
    let mut encoder = Encoder::new(codec, rate)?;
    match speaker {
        Speaker::Browser(asked) => {
            encoder.set_wishes(asked.opus)?;
            encoder.set_bits(asked.bits)?;
            encoder.set_complexity(CHROMIUM_COMPLEXITY)?;
        }
        Speaker::Gateway(complexity) => encoder.set_complexity(complexity)?,
    }
    encoder.set_expected_loss(loss);
    let mut packets = Vec::with_capacity(pcm.len() / (rate as usize / 50));
    for frame in pcm.chunks_exact(rate as usize / 50) {
        let mut payload = Vec::new();
        encoder.encode(frame, &mut payload)?;
        packets.push(payload);
    }
    Ok(packets)
}

/// Decodes packets of 20 ms of which none is late: each that `came` says so of, or the one after it if `red`; what is
/// missing is taken from the FEC of the one after it, or made up.
pub(super) fn decode(
    codec: Codec,
    rate: u32,
    packets: &[Vec<u8>],
    red: bool,
    came: impl Fn(usize) -> bool,
) -> Result<Vec<i16>> {
    let mut decoder = Decoder::new(codec, rate)?;
    let (mut all, mut part) = (Vec::new(), Vec::new());
    let here = |n: usize| came(n) || red && n + 1 < packets.len() && came(n + 1);
    for (n, packet) in packets.iter().enumerate() {
        if here(n) {
            decoder.decode(packet, &mut part)?;
        } else {
            let next = packets.get(n + 1).filter(|_| here(n + 1));
            decoder.conceal(rate as usize / 50, next.map(Vec::as_slice), &mut part);
        }
        all.extend_from_slice(&part);
    }
    Ok(all)
}

/// What a gateway's codec alone makes of it.
pub(super) fn through(codec: Codec, rate: u32, pcm: &[i16]) -> Result<Vec<i16>> {
    decode(codec, rate, &encode(Speaker::Gateway(1), codec, rate, pcm, 0.0)?, false, |_| true)
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
