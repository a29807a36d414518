//! What we receive.

use rtc_crypto::RTCCrypto;

use super::cipher::{Cipher, ENCRYPTED};
use super::source::{Source, Sources};
use super::{Identifier, KeyError, PeerKey, Refusal, rtp_header, sequence_of, word_at};

/// Packets under a new key until packets under the old one are refused (RFC 4568 section 7.1.4: both are received for
/// a while).
const SETTLED: u32 = 256;
/// Packets in a row that do not open, after which it may be our count of the stream's turns that is wrong.
const IN_A_ROW: u32 = 4;
/// Turns that may have been missed: hours of a hold in which nothing came through.
const MISSED: u32 = 8;

/// Opens packets of the peer's.
#[repr(C)]
pub(crate) struct Inbound {
    current: Opener,
    previous: Option<Box<Opener>>,
    /// Packets opened by the current key since it came.
    opened: u32,
    /// Packets in a row that were not.
    failed: u32,
    plain: Vec<u8>,
}

/// One key, and what came under it.
#[repr(C)]
struct Opener {
    /// Packets this key may still protect.
    left: u64,
    identifier: Identifier,
    cipher: Cipher,
    rtp: Sources,
    rtcp: Sources,
}

impl Inbound {
    pub(crate) fn new(key: &PeerKey, crypto: &dyn RTCCrypto) -> Result<Self, KeyError> {
        let current = Opener::new(key, crypto)?;
        Ok(Self { current, previous: None, opened: 0, failed: 0, plain: Vec::new() })
    }

    /// The peer has another key from now on.
    pub(crate) fn rekey(&mut self, key: &PeerKey, crypto: &dyn RTCCrypto) -> Result<(), KeyError> {
        let old = std::mem::replace(&mut self.current, Opener::new(key, crypto)?);
        self.previous = Some(Box::new(old));
        (self.opened, self.failed) = (0, 0);
        Ok(())
    }

    /// Decrypts an SRTP packet.
    pub(crate) fn unprotect_rtp(&mut self, packet: &[u8]) -> Result<&[u8], Refusal> {
        let (ssrc, sequence) = numbers(packet).ok_or(Refusal::Undecryptable)?;
        let known = self.current.rtp.get(ssrc);
        let index = known.map_or(sequence.into(), |source| source.index_of(sequence));
        let is_fresh = known.is_none_or(|source| source.is_fresh(index));
        if is_fresh && self.current.open_rtp(ssrc, index, packet, &mut self.plain) {
            self.opened_by_current();
            return Ok(&self.plain);
        }
        self.failed = self.failed.saturating_add(1);
        match self.open_otherwise(ssrc, index, sequence, packet) {
            true => Ok(&self.plain),
            false => Err(if is_fresh { Refusal::Undecryptable } else { Refusal::Replayed }),
        }
    }

    /// Decrypts an SRTCP packet. Plain RTCP among encrypted is refused.
    pub(crate) fn unprotect_rtcp(&mut self, packet: &[u8]) -> Result<&[u8], Refusal> {
        let ssrc = word_at(packet, 4).ok_or(Refusal::Undecryptable)?;
        let opened = match self.current.open_rtcp(ssrc, packet, &mut self.plain) {
            Err(Refusal::Undecryptable) => match &mut self.previous {
                Some(previous) => previous.open_rtcp(ssrc, packet, &mut self.plain),
                None => Err(Refusal::Undecryptable),
            },
            other => other,
        };
        opened.map(|()| self.plain.as_slice())
    }

    /// What else a packet can be that does not open as it should.
    fn open_otherwise(&mut self, ssrc: u32, index: u64, sequence: u16, packet: &[u8]) -> bool {
        if let Some(previous) = &mut self.previous {
            // RFC 3711 section 3.3.1 has the peer count on across its keys, RFC 4568 section 7.1.4 from 0.
            let carried = previous.rtp.get(ssrc).map(|source| source.index_of(sequence));
            if let Some(carried) = carried.filter(|carried| *carried != index)
                && self.current.rtp.get(ssrc).is_none()
                && self.current.open_rtp(ssrc, carried, packet, &mut self.plain)
            {
                self.opened_by_current();
                return true;
            }
            let known = previous.rtp.get(ssrc);
            let index = known.map_or(sequence.into(), |source| source.index_of(sequence));
            if known.is_none_or(|source| source.is_fresh(index))
                && previous.open_rtp(ssrc, index, packet, &mut self.plain)
            {
                return true;
            }
        }
        // A stream that went on for more than a turn and was not heard. Never back: that would be a replay.
        let Some(tries) = self.failed.checked_sub(IN_A_ROW + 1) else { return false };
        let missed = u64::from(tries % MISSED) + 1;
        let found = self.current.open_rtp(ssrc, index + (missed << 16), packet, &mut self.plain);
        if found {
            self.opened_by_current();
        }
        found
    }

    fn opened_by_current(&mut self) {
        self.failed = 0;
        if self.previous.is_some() {
            self.opened = self.opened.saturating_add(1);
            if self.opened >= SETTLED {
                self.previous = None;
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn sources(&self) -> (usize, usize) {
        (self.current.rtp.len(), self.current.rtcp.len())
    }
}

impl Opener {
    fn new(key: &PeerKey, crypto: &dyn RTCCrypto) -> Result<Self, KeyError> {
        Ok(Self {
            cipher: Cipher::new(&key.master, crypto)?,
            identifier: key.identifier,
            left: key.lifetime,
            rtp: Sources::default(),
            rtcp: Sources::default(),
        })
    }

    fn open_rtp(&mut self, ssrc: u32, index: u64, packet: &[u8], plain: &mut Vec<u8>) -> bool {
        let tag = self.cipher.suite().rtp_tag();
        let opened = self.left > 0
            && self.unnamed(packet, tag, plain).is_some()
            && self.cipher.open_rtp(ssrc, index, plain).is_some();
        if opened {
            self.left -= 1;
            self.rtp.saw(ssrc, index);
        }
        opened
    }

    fn open_rtcp(&mut self, ssrc: u32, packet: &[u8], plain: &mut Vec<u8>) -> Result<(), Refusal> {
        let tag = self.cipher.suite().rtcp_tag();
        self.unnamed(packet, tag, plain).ok_or(Refusal::Undecryptable)?;
        let word = self.cipher.rtcp_word(plain).filter(|word| word & ENCRYPTED != 0).ok_or(Refusal::Undecryptable)?;
        let index = u64::from(word & !ENCRYPTED);
        if self.rtcp.get(ssrc).is_some_and(|source: &Source| !source.is_fresh(index)) {
            return Err(Refusal::Replayed);
        }
        if self.left == 0 || self.cipher.open_rtcp(ssrc, word, plain).is_none() {
            return Err(Refusal::Undecryptable);
        }
        self.left -= 1;
        self.rtcp.saw(ssrc, index);
        Ok(())
    }

    /// Copies the packet without the name of its key, which stands behind an AEAD packet (RFC 7714 section 8.2) and
    /// before the tag of any other (RFC 3711 section 3.1). `None` if the name is another.
    fn unnamed(&self, packet: &[u8], tag: usize, plain: &mut Vec<u8>) -> Option<()> {
        let name = self.identifier.octets();
        let behind = if self.cipher.suite().is_aead() { 0 } else { tag };
        let (body, tail) = packet.split_at_checked(packet.len().checked_sub(behind)?)?;
        plain.clear();
        plain.extend_from_slice(body.strip_suffix(name)?);
        plain.extend_from_slice(tail);
        Some(())
    }
}

fn numbers(packet: &[u8]) -> Option<(u32, u16)> {
    rtp_header(packet)?;
    Some((word_at(packet, 8)?, sequence_of(packet)?))
}
