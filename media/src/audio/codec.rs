//! Encoders and decoders behind one small face. A frame is mono 16-bit PCM at the rate the codec value was made for.

use super::Codec;
use super::conceal::Concealer;
use super::g711::{self, Law};
use super::opus::{OpusDecoder, OpusEncoder};

/// Turns payloads into PCM at one sample rate, and makes up for what is lost.
#[derive(Debug)]
pub struct Decoder {
    kind: DecoderKind,
}

#[derive(Debug)]
enum DecoderKind {
    G711 { law: Law, concealer: Box<Concealer> },
    Opus(OpusDecoder),
}

impl Decoder {
    /// A decoder for `codec` that hands out PCM at `rate` Hz (8000 for G.711; 8000, 16000 or 48000 for Opus).
    pub fn new(codec: Codec, rate: u32) -> Result<Self, CodecError> {
        let kind = match law(codec) {
            Some(law) if rate == 8_000 => DecoderKind::G711 { law, concealer: Box::default() },
            Some(_) => return Err(wrong_rate(codec, rate)),
            None => DecoderKind::Opus(OpusDecoder::new(opus_rate(rate)?)?),
        };
        Ok(Self { kind })
    }

    /// Decodes one payload (at most 1500 octets, 120 ms for Opus) into `pcm` (cleared first, capacity reused). After
    /// concealment the seam is smoothed. On an error `pcm` is empty and the decoder stays usable.
    pub fn decode(&mut self, payload: &[u8], pcm: &mut Vec<i16>) -> Result<(), CodecError> {
        match &mut self.kind {
            DecoderKind::G711 { law, concealer } => {
                pcm.clear();
                g711::samples_in(payload).ok_or_else(|| CodecError("G.711 payload empty or too long".into()))?;
                g711::decode(*law, payload, pcm);
                concealer.received(pcm);
                Ok(())
            }
            DecoderKind::Opus(decoder) => decoder.decode(payload, pcm),
        }
    }

    /// Makes up `samples` of PCM for a lost packet (`pcm` is cleared first). `next` is the packet after the gap, if it
    /// is already here: Opus takes the lost frame from its in-band FEC. Made-up sound fades to silence (G.711: within
    /// 60 ms), so this may be called for as long as nothing comes.
    pub fn conceal(&mut self, samples: usize, next: Option<&[u8]>, pcm: &mut Vec<i16>) {
        match &mut self.kind {
            DecoderKind::G711 { concealer, .. } => {
                pcm.clear();
                pcm.resize(samples, 0);
                concealer.conceal(pcm);
            }
            DecoderKind::Opus(decoder) => decoder.conceal(samples, next, pcm),
        }
    }

    /// The next payload does not follow the last one (a frame was left out on purpose): its beginning is blended in.
    pub fn skip(&mut self) {
        match &mut self.kind {
            DecoderKind::G711 { concealer, .. } => concealer.skip(),
            // Opus frames overlap by themselves.
            DecoderKind::Opus(_) => {}
        }
    }

    /// How many samples (at this decoder's rate) a payload holds, without decoding it.
    #[must_use]
    pub fn samples_in(&self, payload: &[u8]) -> Option<usize> {
        match &self.kind {
            DecoderKind::G711 { .. } => g711::samples_in(payload),
            DecoderKind::Opus(decoder) => decoder.samples_in(payload),
        }
    }
}

/// Turns PCM frames into payloads.
#[derive(Debug)]
pub struct Encoder {
    kind: EncoderKind,
}

#[derive(Debug)]
enum EncoderKind {
    G711(Law),
    Opus(OpusEncoder),
}

impl Encoder {
    /// An encoder for `codec` fed with PCM at `rate` Hz. Opus: mono VoIP, complexity 1, 24 kbit/s (32 above 8 kHz),
    /// in-band FEC only once [`Self::set_expected_loss`] asks for it.
    pub fn new(codec: Codec, rate: u32) -> Result<Self, CodecError> {
        let kind = match law(codec) {
            Some(law) if rate == 8_000 => EncoderKind::G711(law),
            Some(_) => return Err(wrong_rate(codec, rate)),
            None => EncoderKind::Opus(OpusEncoder::new(opus_rate(rate)?)?),
        };
        Ok(Self { kind })
    }

    /// Encodes one frame (20 ms; Opus takes any of its frame sizes, G.711 any length) into `payload`, cleared first.
    pub fn encode(&mut self, pcm: &[i16], payload: &mut Vec<u8>) -> Result<(), CodecError> {
        match &mut self.kind {
            EncoderKind::G711(law) => {
                payload.clear();
                g711::encode(*law, pcm, payload);
                Ok(())
            }
            EncoderKind::Opus(encoder) => encoder.encode(pcm, payload),
        }
    }

    /// Tells the encoder what fraction (0..1) of its packets the peer loses, so that it spends bits on FEC.
    pub fn set_expected_loss(&mut self, fraction: f64) {
        match &mut self.kind {
            EncoderKind::G711(_) => {}
            EncoderKind::Opus(encoder) => encoder.set_expected_loss(fraction),
        }
    }
}

/// A codec could not do its work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CodecError(pub String);

fn law(codec: Codec) -> Option<Law> {
    match codec {
        Codec::Pcmu => Some(Law::Mu),
        Codec::Pcma => Some(Law::A),
        Codec::Opus => None,
    }
}

fn opus_rate(rate: u32) -> Result<u32, CodecError> {
    if matches!(rate, 8_000 | 16_000 | 48_000) { Ok(rate) } else { Err(wrong_rate(Codec::Opus, rate)) }
}

fn wrong_rate(codec: Codec, rate: u32) -> CodecError {
    CodecError(format!("{} does not run at {rate} Hz", codec.name()))
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
