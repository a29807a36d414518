//! What we send.

use rtc_crypto::RTCCrypto;

use super::cipher::{Cipher, RTCP_HEADER};
use super::source::Source;
use super::{KeyError, MasterKey, rtp_header, sequence_of, word_at};

/// Protects packets under a key of ours.
#[repr(C)]
pub(crate) struct Outbound {
    rtp: Option<(u32, Source)>,
    cipher: Cipher,
    rtcp_index: u32,
}

impl Outbound {
    pub(crate) fn new(master: &MasterKey, crypto: &dyn RTCCrypto) -> Result<Self, KeyError> {
        Ok(Self { cipher: Cipher::new(master, crypto)?, rtp: None, rtcp_index: 0 })
    }

    /// Encrypts the RTP packet at the end of `buffer`, from `start` on; `None`, and no packet, if it is none.
    pub(crate) fn protect_rtp(&mut self, buffer: &mut Vec<u8>, start: usize) -> Option<()> {
        let packet = buffer.get(start..)?;
        rtp_header(packet)?;
        let (ssrc, sequence) = (word_at(packet, 8)?, sequence_of(packet)?);
        let index = match &mut self.rtp {
            Some((known, source)) if *known == ssrc => {
                let index = source.index_of(sequence);
                source.saw(index);
                index
            }
            // Another stream of ours counts its turns from 0.
            other => {
                *other = Some((ssrc, Source::new(ssrc, sequence.into())));
                sequence.into()
            }
        };
        let sealed = self.cipher.seal_rtp(ssrc, index, buffer, start);
        if sealed.is_none() {
            buffer.truncate(start);
        }
        sealed
    }

    /// The same for a compound RTCP packet.
    pub(crate) fn protect_rtcp(&mut self, buffer: &mut Vec<u8>, start: usize) -> Option<()> {
        let packet = buffer.get(start..).filter(|packet| packet.len() >= RTCP_HEADER)?;
        let ssrc = word_at(packet, 4)?;
        let index = self.rtcp_index;
        self.rtcp_index = (index + 1) & (u32::MAX >> 1);
        let sealed = self.cipher.seal_rtcp(ssrc, index, buffer, start);
        if sealed.is_none() {
            buffer.truncate(start);
        }
        sealed
    }
}
