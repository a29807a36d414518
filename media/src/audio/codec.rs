//! Encoders and decoders behind one small face. A frame is mono 16-bit PCM at the rate the codec value was made for.

use super::Codec;

/// Turns payloads into PCM at one sample rate, and makes up for what is lost.
pub struct Decoder {}

impl Decoder {
    /// A decoder for `codec` that hands out PCM at `rate` Hz (8000 for G.711; 8000, 16000 or 48000 for Opus).
    pub fn new(codec: Codec, rate: u32) -> Result<Self, CodecError> {
        todo!()
    }

    /// Decodes one payload into `pcm` (cleared first, capacity reused).
    pub fn decode(&mut self, payload: &[u8], pcm: &mut Vec<i16>) -> Result<(), CodecError> {
        todo!()
    }

    /// Makes up `samples` of PCM for a lost packet. `next` is the packet after the gap, if it is already here: Opus
    /// takes the lost frame from its in-band FEC.
    pub fn conceal(&mut self, samples: usize, next: Option<&[u8]>, pcm: &mut Vec<i16>) {
        todo!()
    }

    /// How many samples (at this decoder's rate) a payload holds, without decoding it.
    #[must_use]
    pub fn samples_in(&self, payload: &[u8]) -> Option<usize> {
        todo!()
    }
}

/// Turns PCM frames into payloads.
pub struct Encoder {}

impl Encoder {
    /// An encoder for `codec` fed with PCM at `rate` Hz. Opus: mono VoIP, complexity 1, 24 kbit/s, in-band FEC on.
    pub fn new(codec: Codec, rate: u32) -> Result<Self, CodecError> {
        todo!()
    }

    /// Encodes one frame (20 ms), appending the payload to `payload` after clearing it.
    pub fn encode(&mut self, pcm: &[i16], payload: &mut Vec<u8>) -> Result<(), CodecError> {
        todo!()
    }

    /// Tells the encoder what fraction (0..1) of its packets the peer loses, so that it spends bits on FEC.
    pub fn set_expected_loss(&mut self, fraction: f64) {
        todo!()
    }
}

/// A codec could not do its work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CodecError(pub String);
