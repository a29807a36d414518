//! Opus (RFC 6716) by libopus, set up for telephone speech.

use opus::{Application, Bandwidth, Bitrate, Channels};

use super::OpusWishes;
use super::codec::CodecError;

/// Longest payload taken and made, in octets: one datagram.
const MAX_PAYLOAD: usize = 1500;

/// RFC 7587 section 6.1: what `maxaveragebitrate` may ask for begins here.
const LEAST_BITS: i32 = 6_000;
/// And ends here.
const MOST_BITS: i32 = 510_000;

/// Costs a third of 10 and a few hundredths of a MOS. 0 leaves out FEC below 32 kbit/s.
const LEAST_COMPLEXITY: i32 = 1;

/// A packet of this size says nothing or next to it (discontinuous transmission, a bare TOC).
pub(super) const QUIET_OCTETS: usize = 8;

/// How much PCM a packet holds at `rate` Hz; `None` if it is no Opus packet, or longer than 120 ms.
pub(super) fn samples_in(payload: &[u8], rate: u32) -> Option<usize> {
    if payload.is_empty() || payload.len() > MAX_PAYLOAD {
        return None;
    }
    opus::packet::get_nb_samples(payload, rate).ok().filter(|&n| n > 0)
}

/// A mono decoder; stereo packets are mixed down by libopus.
#[derive(Debug)]
pub(super) struct OpusDecoder {
    inner: opus::Decoder,
    rate: u32,
}

impl OpusDecoder {
    pub(super) fn new(rate: u32) -> Result<Self, CodecError> {
        let inner = opus::Decoder::new(rate, Channels::Mono).map_err(fault)?;
        Ok(Self { inner, rate })
    }

    pub(super) fn samples_in(&self, payload: &[u8]) -> Option<usize> {
        samples_in(payload, self.rate)
    }

    pub(super) fn decode(&mut self, payload: &[u8], pcm: &mut Vec<i16>) -> Result<(), CodecError> {
        pcm.clear();
        let samples = self.samples_in(payload).ok_or_else(|| CodecError("not an Opus packet".into()))?;
        pcm.resize(samples, 0);
        match self.inner.decode(payload, pcm, false) {
            Ok(written) => {
                pcm.truncate(written);
                Ok(())
            }
            Err(error) => {
                pcm.clear();
                Err(fault(error))
            }
        }
    }

    /// Fills a gap before `next` from its in-band FEC; what that does not cover, and everything without it, is
    /// extrapolated.
    pub(super) fn conceal(&mut self, samples: usize, next: Option<&[u8]>, pcm: &mut Vec<i16>) {
        // libopus counts lost audio in units of 2.5 ms, and 120 ms at a time are plenty.
        let unit = self.rate as usize / 400;
        let wanted = samples.min(self.rate as usize * 3 / 25);
        pcm.clear();
        pcm.resize(wanted.next_multiple_of(unit.max(1)), 0);
        let next = next.filter(|payload| self.samples_in(payload).is_some());
        let recovered = next.and_then(|payload| self.inner.decode(payload, pcm, true).ok());
        if recovered.is_none() && !pcm.is_empty() && self.inner.decode(&[], pcm, false).is_err() {
            pcm.fill(0);
        }
        pcm.resize(samples, 0);
    }
}

/// A mono encoder for voice.
#[derive(Debug)]
pub(super) struct OpusEncoder {
    inner: opus::Encoder,
    /// Bits a second while nothing gets lost...
    bits: i32,
    /// ...and never more than these, which the peer wants.
    most_bits: i32,
    expected_loss_percent: i32,
    /// The peer makes use of FEC.
    fec: bool,
}

impl OpusEncoder {
    pub(super) fn new(rate: u32) -> Result<Self, CodecError> {
        let mut inner = opus::Encoder::new(rate, Channels::Mono, Application::Voip).map_err(fault)?;
        // Telephone-band speech needs no more bits.
        let bits = if rate <= 8_000 { 24_000 } else { 32_000 };
        inner.set_complexity(LEAST_COMPLEXITY).map_err(fault)?;
        inner.set_bitrate(Bitrate::Bits(bits)).map_err(fault)?;
        inner.set_dtx(false).map_err(fault)?;
        inner.set_inband_fec(false).map_err(fault)?;
        Ok(Self { inner, bits, most_bits: i32::MAX, expected_loss_percent: 0, fec: true })
    }

    pub(super) fn encode(&mut self, pcm: &[i16], payload: &mut Vec<u8>) -> Result<(), CodecError> {
        payload.clear();
        payload.resize(MAX_PAYLOAD, 0);
        match self.inner.encode(pcm, payload) {
            Ok(written) => {
                payload.truncate(written);
                Ok(())
            }
            Err(error) => {
                payload.clear();
                Err(fault(error))
            }
        }
    }

    pub(super) fn set_wishes(&mut self, wishes: OpusWishes) -> Result<(), CodecError> {
        let widest = match wishes.playback_rate {
            0..12_000 => Bandwidth::Narrowband,
            12_000..16_000 => Bandwidth::Mediumband,
            16_000..24_000 => Bandwidth::Wideband,
            24_000..48_000 => Bandwidth::Superwideband,
            48_000.. => Bandwidth::Fullband,
        };
        self.inner.set_max_bandwidth(widest).map_err(fault)?;
        self.most_bits = wishes.bitrate.and_then(|bits| i32::try_from(bits).ok()).unwrap_or(i32::MAX);
        self.fec = wishes.fec;
        self.protect(self.expected_loss_percent)
    }

    /// As many bits a second as this, whatever gets lost.
    pub(super) fn set_bits(&mut self, bits: u32) -> Result<(), CodecError> {
        self.bits = i32::try_from(bits).map_or(MOST_BITS, |bits| bits.clamp(LEAST_BITS, MOST_BITS));
        self.most_bits = self.bits;
        self.protect(self.expected_loss_percent)
    }

    pub(super) fn set_expected_loss(&mut self, fraction: f64) {
        let percent = if fraction > 0.0 { (fraction * 100.0).ceil().min(100.0) as i32 } else { 0 };
        // It only refuses values out of range, and these are within.
        if percent != self.expected_loss_percent && self.protect(percent).is_ok() {
            self.expected_loss_percent = percent;
        }
    }

    /// How hard it tries, 1 to 10; less is not to be had (see [`LEAST_COMPLEXITY`]).
    pub(super) fn set_complexity(&mut self, complexity: u8) -> Result<(), CodecError> {
        self.inner.set_complexity(i32::from(complexity).clamp(LEAST_COMPLEXITY, 10)).map_err(fault)
    }

    /// Spends bits on FEC for this much loss, if the peer makes use of it: what is said twice takes up to twice the bits,
    /// or both would sound worse. From a tenth of loss on it is all there is to gain.
    fn protect(&mut self, percent: i32) -> Result<(), CodecError> {
        let percent = if self.fec { percent } else { 0 };
        let bits = self.bits + self.bits / 10 * percent.min(10);
        self.inner.set_bitrate(Bitrate::Bits(bits.min(self.most_bits).max(LEAST_BITS))).map_err(fault)?;
        self.inner.set_packet_loss_perc(percent).map_err(fault)?;
        self.inner.set_inband_fec(percent > 0).map_err(fault)
    }
}

fn fault(error: opus::Error) -> CodecError {
    CodecError(format!("Opus: {}", error.description()))
}
