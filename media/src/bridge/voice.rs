//! The listener's side of a flow that sends frames of its own: the encoder.

use super::Output;
use crate::audio::codec::Encoder;

/// An encoder that is made when first needed and follows the listener's codec.
#[derive(Default)]
pub(crate) struct Voice {
    encoder: Option<(Output, u32, Encoder)>,
    payload: Vec<u8>,
    loss: f64,
    /// How hard it may try; 0: as little as it can.
    complexity: u8,
}

impl Voice {
    /// Encodes a frame of PCM at `rate` Hz; `None` if the codec will not.
    pub(crate) fn encode(&mut self, output: Output, rate: u32, pcm: &[i16]) -> Option<&[u8]> {
        let fits = |known: &Output| (known.codec, known.opus) == (output.codec, output.opus);
        if self.encoder.as_ref().is_none_or(|(known, at, _)| !fits(known) || *at != rate) {
            let mut encoder = Encoder::new(output.codec, rate).ok()?;
            encoder.set_wishes(output.opus).ok()?;
            encoder.set_expected_loss(self.loss);
            encoder.set_complexity(self.complexity).ok()?;
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

    /// How hard the encoder may try from now on (see [`Encoder::set_complexity`]).
    pub(crate) fn set_complexity(&mut self, complexity: u8) {
        self.complexity = complexity;
        if let Some((_, _, encoder)) = &mut self.encoder {
            // It only refuses values out of range, and these are brought into it.
            let _ = encoder.set_complexity(complexity);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::tone::Tone;
    use crate::audio::{Codec, OpusWishes};

    #[test]
    fn it_tries_as_hard_as_is_permitted_whenever_that_changes_and_whatever_it_speaks() {
        let [opus, pcmu] = [Codec::Opus, Codec::Pcmu].map(|codec| Output::new(codec, 20, OpusWishes::default()));
        let mut encoder = Encoder::new(Codec::Opus, 8_000).unwrap();
        encoder.set_complexity(5).unwrap();
        encoder.set_wishes(OpusWishes::default()).unwrap();
        let mut voice = Voice::default();
        voice.set_complexity(5);
        let mut tone = Tone::new(440.0, 8_000, -20.0);
        let mut expected = Vec::new();
        let mut same = |voice: &mut Voice, encoder: &mut Encoder| {
            let pcm = tone.take(160);
            encoder.encode(&pcm, &mut expected).unwrap();
            voice.encode(opus, 8_000, &pcm) == Some(expected.as_slice())
        };
        assert!((0..20).all(|_| same(&mut voice, &mut encoder)));
        voice.set_complexity(1);
        encoder.set_complexity(1).unwrap();
        assert!((0..20).all(|_| same(&mut voice, &mut encoder)));
        // Another encoder begins with what is permitted then.
        voice.set_complexity(3);
        voice.encode(pcmu, 8_000, &[0; 160]).unwrap();
        let mut encoder = Encoder::new(Codec::Opus, 8_000).unwrap();
        encoder.set_wishes(OpusWishes::default()).unwrap();
        encoder.set_complexity(3).unwrap();
        assert!((0..20).all(|_| same(&mut voice, &mut encoder)));
    }
}
