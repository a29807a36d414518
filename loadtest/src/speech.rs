//! Something like a voice, so that codecs work as they do on calls: harmonics that glide under moving formants,
//! syllables, hiss between them.

use std::f64::consts::TAU;
use std::sync::Arc;

use anyhow::Result;
use opus::{Application, Bitrate, Channels};
use trunkline_media::audio::Codec;
use trunkline_media::audio::codec::Encoder;

/// 20 ms frames in the loop: four seconds.
const FRAMES: usize = 200;

/// Four seconds of it, encoded both ways; never silent, so that no codec rests.
pub(crate) struct Speech {
    /// Opus as a browser makes it: 48 kHz, mono, 32 kbit/s.
    pub(crate) opus: Arc<[Vec<u8>]>,
    /// G.711 µ-law.
    pub(crate) pcmu: Arc<[Vec<u8>]>,
    /// G.711 A-law.
    pub(crate) pcma: Arc<[Vec<u8>]>,
    /// G.722.
    pub(crate) g722: Arc<[Vec<u8>]>,
}

impl Speech {
    pub(crate) fn new() -> Result<Self> {
        let mut browser = opus::Encoder::new(48_000, Channels::Mono, Application::Voip)?;
        browser.set_bitrate(Bitrate::Bits(32_000))?;
        browser.set_inband_fec(true)?;
        let wide = voice(48_000);
        let narrow = voice(8_000);
        let opus =
            wide.chunks_exact(960).map(|frame| browser.encode_vec(frame, 1_500)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            opus: opus.into(),
            pcmu: coded(Codec::Pcmu, 8_000, &narrow)?,
            pcma: coded(Codec::Pcma, 8_000, &narrow)?,
            g722: coded(Codec::G722, 16_000, &voice(16_000))?,
        })
    }

    /// As a party speaks it.
    pub(crate) fn of(&self, codec: Codec) -> Arc<[Vec<u8>]> {
        Arc::clone(match codec {
            Codec::Opus => &self.opus,
            Codec::Pcmu => &self.pcmu,
            Codec::Pcma => &self.pcma,
            Codec::G722 => &self.g722,
        })
    }
}

fn coded(codec: Codec, rate: u32, pcm: &[i16]) -> Result<Arc<[Vec<u8>]>> {
    let mut encoder = Encoder::new(codec, rate)?;
    let mut frames = Vec::with_capacity(FRAMES);
    for frame in pcm.chunks_exact(rate as usize / 50) {
        let mut payload = Vec::new();
        encoder.encode(frame, &mut payload)?;
        frames.push(payload);
    }
    Ok(frames.into())
}

/// Four seconds at a sample rate.
fn voice(rate: u32) -> Vec<i16> {
    let rate = f64::from(rate);
    let mut phase = 0.0_f64;
    let mut noise = 0x2545_f491_u32;
    (0..(FRAMES as f64 * rate / 50.0) as usize)
        .map(|n| {
            let at = n as f64 / rate;
            let pitch = 130.0 + 25.0 * (TAU * 0.7 * at).sin();
            phase = (phase + pitch / rate).fract();
            let syllable = (0.5 + 0.5 * (TAU * 4.0 * at).sin()).powi(2);
            let formants =
                [(500.0 + 200.0 * (TAU * 1.3 * at).sin(), 1.0), (1500.0 + 500.0 * (TAU * 0.9 * at).cos(), 0.5)];
            let voiced: f64 = (1..24)
                .map(|k| f64::from(k) * pitch)
                .zip(1..24)
                .take_while(|(hz, _)| *hz < rate / 2.5)
                .map(|(hz, k)| {
                    let gain: f64 =
                        formants.iter().map(|(centre, gain)| gain / (1.0 + ((hz - centre) / 150.0).powi(2))).sum();
                    gain * (TAU * f64::from(k) * phase).sin()
                })
                .sum();
            noise ^= noise << 13;
            noise ^= noise >> 17;
            noise ^= noise << 5;
            let hiss = f64::from(noise) / f64::from(u32::MAX) - 0.5;
            (4_000.0 * syllable * voiced + 1_500.0 * (1.0 - syllable) * hiss) as i16
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loop_is_loud_and_whole() {
        let speech = Speech::new().unwrap();
        assert_eq!((speech.opus.len(), speech.pcmu.len()), (FRAMES, FRAMES));
        assert!(speech.opus.iter().all(|frame| frame.len() > 8), "no frame rests");
        let loudest = voice(8_000).into_iter().map(i16::unsigned_abs).max().unwrap();
        assert!((4_000..32_000).contains(&loudest), "{loudest}");
    }
}
