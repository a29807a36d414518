//! The listener's side of a flow that sends frames of its own: the encoder.

use super::Output;
use crate::audio::codec::Encoder;

/// An encoder that is made when first needed and follows the listener's codec.
#[derive(Default)]
pub(crate) struct Voice {
    encoder: Option<(Output, u32, Encoder)>,
    payload: Vec<u8>,
    loss: f64,
}

impl Voice {
    /// Encodes a frame of PCM at `rate` Hz; `None` if the codec will not.
    pub(crate) fn encode(&mut self, output: Output, rate: u32, pcm: &[i16]) -> Option<&[u8]> {
        let fits = |known: &Output| (known.codec, known.opus) == (output.codec, output.opus);
        if self.encoder.as_ref().is_none_or(|(known, at, _)| !fits(known) || *at != rate) {
            let mut encoder = Encoder::new(output.codec, rate).ok()?;
            encoder.set_wishes(output.opus).ok()?;
            encoder.set_expected_loss(self.loss);
            self.encoder = Some((output, rate, encoder));
        }
        let (_, _, encoder) = self.encoder.as_mut()?;
        encoder.encode(pcm, &mut self.payload).ok()?;
        Some(&self.payload)
    }

    /// What fraction (0..1) of our packets the listener says it loses.
    pub(crate) fn set_expected_loss(&mut self, fraction: f64) {
        self.loss = fraction;
        if let Some((_, _, encoder)) = &mut self.encoder {
            encoder.set_expected_loss(fraction);
        }
    }
}
