//! Encoders and decoders behind one small face. A frame is mono 16-bit PCM at the rate the codec value was made for.

use super::conceal::Concealer;
use super::g711::{self, Law};
use super::g722::{self, G722Decoder, G722Encoder};
use super::opus::{OpusDecoder, OpusEncoder};
use super::rates::Conversion;
use super::{Codec, OpusWishes};

/// Turns payloads into PCM at one sample rate, and makes up for what is lost.
#[derive(Debug)]
pub struct Decoder {
    kind: DecoderKind,
    /// The codec's own rate is another.
    conversion: Option<Conversion>,
    /// PCM of the codec's own rate.
    native: Vec<i16>,
}

#[derive(Debug)]
enum DecoderKind {
    G711 { law: Law, concealer: Concealer },
    G722 { decoder: Box<G722Decoder>, concealer: Concealer },
    Opus(OpusDecoder),
}

impl Decoder {
    /// A decoder for `codec` that hands out PCM at `rate` Hz (8000 or 16000; Opus 48000 too).
    pub fn new(codec: Codec, rate: u32) -> Result<Self, CodecError> {
        let native = native_rate(codec, rate);
        let concealer = || Concealer::new(native);
        let kind = match codec {
            Codec::Pcmu => DecoderKind::G711 { law: Law::Mu, concealer: concealer() },
            Codec::Pcma => DecoderKind::G711 { law: Law::A, concealer: concealer() },
            Codec::G722 => DecoderKind::G722 { decoder: Box::default(), concealer: concealer() },
            Codec::Opus => DecoderKind::Opus(OpusDecoder::new(opus_rate(rate)?)?),
        };
        Ok(Self { kind, conversion: conversion(codec, native, rate)?, native: Vec::new() })
    }

    /// Decodes one payload (at most 1500 octets, 120 ms for Opus) into `pcm` (cleared first, capacity reused). After
    /// concealment the seam is smoothed. On an error `pcm` is empty and the decoder stays usable.
    pub fn decode(&mut self, payload: &[u8], pcm: &mut Vec<i16>) -> Result<(), CodecError> {
        pcm.clear();
        match &mut self.conversion {
            None => self.kind.decode(payload, pcm),
            Some(conversion) => {
                self.kind.decode(payload, &mut self.native)?;
                conversion.convert(&self.native, pcm);
                Ok(())
            }
        }
    }

    /// Makes up `samples` of PCM for a lost packet (`pcm` is cleared first). `next` is the packet after the gap, if it
    /// is already here: Opus takes the lost frame from its in-band FEC. Made-up sound fades to silence (G.711 and G.722:
    /// within 60 ms), so this may be called for as long as nothing comes.
    pub fn conceal(&mut self, samples: usize, next: Option<&[u8]>, pcm: &mut Vec<i16>) {
        pcm.clear();
        match &mut self.conversion {
            None => self.kind.conceal(samples, next, pcm),
            Some(conversion) => {
                self.kind.conceal(conversion.needed(samples), next, &mut self.native);
                conversion.convert(&self.native, pcm);
                pcm.truncate(samples);
            }
        }
    }

    /// The next payload does not follow the last one (a frame was left out on purpose): its beginning is blended in.
    pub fn skip(&mut self) {
        match &mut self.kind {
            DecoderKind::G711 { concealer, .. } | DecoderKind::G722 { concealer, .. } => concealer.skip(),
            // Opus frames overlap by themselves.
            DecoderKind::Opus(_) => {}
        }
    }

    /// How many samples (at this decoder's rate) a payload holds, without decoding it.
    #[must_use]
    pub fn samples_in(&self, payload: &[u8]) -> Option<usize> {
        let native = match &self.kind {
            DecoderKind::G711 { .. } => g711::samples_in(payload),
            DecoderKind::G722 { .. } => g722::octets_in(payload).map(|octets| 2 * octets),
            DecoderKind::Opus(decoder) => decoder.samples_in(payload),
        }?;
        Some(self.conversion.as_ref().map_or(native, |conversion| conversion.made_of(native)))
    }
}

/// All at the codec's own rate.
impl DecoderKind {
    fn decode(&mut self, payload: &[u8], pcm: &mut Vec<i16>) -> Result<(), CodecError> {
        let refused = || CodecError("payload empty or too long".into());
        pcm.clear();
        match self {
            Self::G711 { law, concealer } => {
                g711::samples_in(payload).ok_or_else(refused)?;
                g711::decode(*law, payload, pcm);
                concealer.received(pcm);
                Ok(())
            }
            Self::G722 { decoder, concealer } => {
                g722::octets_in(payload).ok_or_else(refused)?;
                decoder.decode(payload, pcm);
                concealer.received(pcm);
                Ok(())
            }
            Self::Opus(decoder) => decoder.decode(payload, pcm),
        }
    }

    fn conceal(&mut self, samples: usize, next: Option<&[u8]>, pcm: &mut Vec<i16>) {
        match self {
            Self::G711 { concealer, .. } | Self::G722 { concealer, .. } => {
                pcm.clear();
                pcm.resize(samples, 0);
                concealer.conceal(pcm);
            }
            Self::Opus(decoder) => decoder.conceal(samples, next, pcm),
        }
    }
}

/// Turns PCM frames into payloads.
#[derive(Debug)]
pub struct Encoder {
    kind: EncoderKind,
    /// The codec's own rate is another.
    conversion: Option<Conversion>,
    /// PCM of the codec's own rate.
    native: Vec<i16>,
}

#[derive(Debug)]
enum EncoderKind {
    G711(Law),
    G722(Box<G722Encoder>),
    Opus(OpusEncoder),
}

impl Encoder {
    /// An encoder for `codec` fed with PCM at `rate` Hz (8000 or 16000; Opus 48000 too). Opus: mono VoIP, complexity 1,
    /// 24 kbit/s (32 above 8 kHz), in-band FEC only once [`Self::set_expected_loss`] asks for it.
    pub fn new(codec: Codec, rate: u32) -> Result<Self, CodecError> {
        let native = native_rate(codec, rate);
        let kind = match codec {
            Codec::Pcmu => EncoderKind::G711(Law::Mu),
            Codec::Pcma => EncoderKind::G711(Law::A),
            Codec::G722 => EncoderKind::G722(Box::default()),
            Codec::Opus => EncoderKind::Opus(OpusEncoder::new(opus_rate(rate)?)?),
        };
        Ok(Self { kind, conversion: conversion(codec, rate, native)?, native: Vec::new() })
    }

    /// Encodes one frame (20 ms; Opus takes any of its frame sizes, the others any whole milliseconds) into `payload`,
    /// cleared first.
    pub fn encode(&mut self, pcm: &[i16], payload: &mut Vec<u8>) -> Result<(), CodecError> {
        let native = match &mut self.conversion {
            None => pcm,
            Some(conversion) => {
                self.native.clear();
                conversion.convert(pcm, &mut self.native);
                &self.native
            }
        };
        match &mut self.kind {
            EncoderKind::G711(law) => {
                payload.clear();
                g711::encode(*law, native, payload);
                Ok(())
            }
            EncoderKind::G722(encoder) => {
                payload.clear();
                encoder.encode(native, payload);
                Ok(())
            }
            EncoderKind::Opus(encoder) => encoder.encode(native, payload),
        }
    }

    /// What the peer wants of Opus.
    pub fn set_wishes(&mut self, wishes: OpusWishes) -> Result<(), CodecError> {
        match &mut self.kind {
            EncoderKind::G711(_) | EncoderKind::G722(_) => Ok(()),
            EncoderKind::Opus(encoder) => encoder.set_wishes(wishes),
        }
    }

    /// Opus is to take as many bits a second as this, whatever gets lost.
    pub fn set_bits(&mut self, bits: u32) -> Result<(), CodecError> {
        match &mut self.kind {
            EncoderKind::G711(_) | EncoderKind::G722(_) => Ok(()),
            EncoderKind::Opus(encoder) => encoder.set_bits(bits),
        }
    }

    /// How hard Opus tries, 1 (as it begins) to 10: more sounds a little better and takes up to three times the time.
    pub fn set_complexity(&mut self, complexity: u8) -> Result<(), CodecError> {
        match &mut self.kind {
            EncoderKind::G711(_) | EncoderKind::G722(_) => Ok(()),
            EncoderKind::Opus(encoder) => encoder.set_complexity(complexity),
        }
    }

    /// Tells the encoder what fraction (0..1) of its packets the peer loses, so that it spends bits on FEC: up to twice as
    /// many as without.
    pub fn set_expected_loss(&mut self, fraction: f64) {
        match &mut self.kind {
            EncoderKind::G711(_) | EncoderKind::G722(_) => {}
            EncoderKind::Opus(encoder) => encoder.set_expected_loss(fraction),
        }
    }
}

/// A codec could not do its work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CodecError(pub String);

/// The rate at which a codec works when PCM of `rate` Hz is asked for: libopus converts by itself.
fn native_rate(codec: Codec, rate: u32) -> u32 {
    match codec {
        Codec::Pcmu | Codec::Pcma => g711::RATE,
        Codec::G722 => g722::RATE,
        Codec::Opus => rate,
    }
}

fn conversion(codec: Codec, from: u32, to: u32) -> Result<Option<Conversion>, CodecError> {
    if from == to {
        return Ok(None);
    }
    Conversion::between(from, to)
        .map(Some)
        .ok_or_else(|| CodecError(format!("no {} from {from} Hz to {to}", codec.name())))
}

fn opus_rate(rate: u32) -> Result<u32, CodecError> {
    if matches!(rate, 8_000 | 16_000 | 48_000) {
        return Ok(rate);
    }
    Err(CodecError(format!("Opus does not run at {rate} Hz")))
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
