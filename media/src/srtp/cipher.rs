//! The transforms: AES in counter mode with HMAC-SHA1 (RFC 3711 section 4), AES-GCM (RFC 7714), and the session keys
//! they work with.

use rtc_crypto::{
    AeadAlgorithm, AeadCipher, BlockCipherAlgorithm, CryptoError, HmacAlgorithm, Mac, RTCCrypto, StreamCipher,
    StreamCipherAlgorithm,
};
use subtle::ConstantTimeEq;

use super::{MasterKey, Suite};

/// Octets of an RTCP packet that are not encrypted: header and SSRC.
pub(super) const RTCP_HEADER: usize = 8;
/// The bit of the last word that says an RTCP packet is encrypted.
pub(super) const ENCRYPTED: u32 = 1 << 31;

/// Session keys of one master key.
#[repr(C)]
pub(super) struct Cipher {
    rtp: Transform,
    suite: Suite,
    rtcp: Transform,
}

struct Transform {
    salt: [u8; 14],
    keyed: Keyed,
}

enum Keyed {
    Gcm(Box<dyn AeadCipher>),
    Counter(Box<dyn StreamCipher>, Box<dyn Mac>),
}

impl Cipher {
    pub(super) fn new(master: &MasterKey, crypto: &dyn RTCCrypto) -> Result<Self, CryptoError> {
        // RFC 3711 section 4.3.2: three labels for RTP, the next three for RTCP.
        let [rtp, rtcp] = [0, 3].map(|first| Transform::new(master, first, crypto));
        Ok(Self { suite: master.suite, rtp: rtp?, rtcp: rtcp? })
    }

    pub(super) fn suite(&self) -> Suite {
        self.suite
    }

    /// Encrypts the RTP packet at the end of `buffer`, from `start` on, and appends the tag.
    pub(super) fn seal_rtp(&mut self, ssrc: u32, index: u64, buffer: &mut Vec<u8>, start: usize) -> Option<()> {
        let packet = buffer.get_mut(start..)?;
        let (header, text) = packet.split_at_mut_checked(super::rtp_header(packet)?)?;
        let mut tag = [0; 20];
        let tag = match &mut self.rtp.keyed {
            Keyed::Gcm(aead) => {
                let tag = tag.get_mut(..16)?;
                aead.seal_in_place(&nonce(&self.rtp.salt, ssrc, index), header, text, tag).ok()?;
                tag
            }
            Keyed::Counter(stream, mac) => {
                stream.apply_keystream(&counter(&self.rtp.salt, ssrc, index), text).ok()?;
                mac.sign(&[packet, &roll_over(index)], &mut tag).ok()?;
                tag.get_mut(..self.suite.rtp_tag())?
            }
        };
        buffer.extend_from_slice(tag);
        Some(())
    }

    /// Decrypts an RTP packet in place and takes the tag off; `None` if it is not authentic.
    pub(super) fn open_rtp(&mut self, ssrc: u32, index: u64, packet: &mut Vec<u8>) -> Option<()> {
        let header = super::rtp_header(packet)?;
        let length = packet.len().checked_sub(self.suite.rtp_tag()).filter(|length| *length >= header)?;
        let (body, tag) = packet.split_at_mut_checked(length)?;
        match &mut self.rtp.keyed {
            Keyed::Gcm(aead) => {
                let (header, text) = body.split_at_mut_checked(header)?;
                aead.open_in_place(&nonce(&self.rtp.salt, ssrc, index), header, text, tag).ok()?;
            }
            Keyed::Counter(stream, mac) => {
                let mut expected = [0; 20];
                mac.sign(&[body, &roll_over(index)], &mut expected).ok()?;
                is_same(&expected, tag)?;
                stream.apply_keystream(&counter(&self.rtp.salt, ssrc, index), body.get_mut(header..)?).ok()?;
            }
        }
        packet.truncate(length);
        Some(())
    }

    /// Encrypts the RTCP packet at the end of `buffer`, from `start` on, and appends index and tag.
    pub(super) fn seal_rtcp(&mut self, ssrc: u32, index: u32, buffer: &mut Vec<u8>, start: usize) -> Option<()> {
        let word = (index | ENCRYPTED).to_be_bytes();
        let mut tag = [0; 20];
        match &mut self.rtcp.keyed {
            Keyed::Gcm(aead) => {
                let (header, text) = buffer.get_mut(start..)?.split_at_mut_checked(RTCP_HEADER)?;
                let tag = tag.get_mut(..16)?;
                let nonce = nonce(&self.rtcp.salt, ssrc, index.into());
                aead.seal_in_place(&nonce, &associated(header, word)?, text, tag).ok()?;
                buffer.extend_from_slice(tag);
                buffer.extend_from_slice(&word);
            }
            Keyed::Counter(stream, mac) => {
                let text = buffer.get_mut(start + RTCP_HEADER..)?;
                stream.apply_keystream(&counter(&self.rtcp.salt, ssrc, index.into()), text).ok()?;
                buffer.extend_from_slice(&word);
                mac.sign(&[buffer.get(start..)?], &mut tag).ok()?;
                buffer.extend_from_slice(tag.get(..self.suite.rtcp_tag())?);
            }
        }
        Some(())
    }

    /// The word with E bit and index of a protected RTCP packet.
    pub(super) fn rtcp_word(&self, packet: &[u8]) -> Option<u32> {
        let behind = if self.suite.is_aead() { 0 } else { self.suite.rtcp_tag() };
        super::word_at(packet, packet.len().checked_sub(behind + 4)?)
    }

    /// Decrypts an RTCP packet in place and takes index and tag off; `None` if it is not authentic.
    pub(super) fn open_rtcp(&mut self, ssrc: u32, word: u32, packet: &mut Vec<u8>) -> Option<()> {
        let length = packet.len().checked_sub(self.suite.rtcp_tag() + 4).filter(|length| *length >= RTCP_HEADER)?;
        let index = u64::from(word & !ENCRYPTED);
        match &mut self.rtcp.keyed {
            Keyed::Gcm(aead) => {
                let (body, tail) = packet.split_at_mut_checked(length)?;
                let (header, text) = body.split_at_mut_checked(RTCP_HEADER)?;
                let nonce = nonce(&self.rtcp.salt, ssrc, index);
                let associated = associated(header, word.to_be_bytes())?;
                aead.open_in_place(&nonce, &associated, text, tail.get(..16)?).ok()?;
            }
            Keyed::Counter(stream, mac) => {
                let (body, tag) = packet.split_at_mut_checked(length + 4)?;
                let mut expected = [0; 20];
                mac.sign(&[body], &mut expected).ok()?;
                is_same(&expected, tag)?;
                let text = body.get_mut(RTCP_HEADER..length)?;
                stream.apply_keystream(&counter(&self.rtcp.salt, ssrc, index), text).ok()?;
            }
        }
        packet.truncate(length);
        Some(())
    }
}

impl Transform {
    fn new(master: &MasterKey, first: u8, crypto: &dyn RTCCrypto) -> Result<Self, CryptoError> {
        let key: [u8; 32] = derive(master, first, crypto)?;
        let key = key.get(..master.suite.key_len()).unwrap_or_default();
        let mut salt: [u8; 14] = derive(master, first + 2, crypto)?;
        salt.iter_mut().skip(master.suite.salt_len()).for_each(|octet| *octet = 0);
        let keyed = match master.suite {
            Suite::AeadAes128Gcm => Keyed::Gcm(crypto.new_aead(AeadAlgorithm::Aes128Gcm, key)?),
            Suite::AeadAes256Gcm => Keyed::Gcm(crypto.new_aead(AeadAlgorithm::Aes256Gcm, key)?),
            Suite::Aes128CmSha1_80 | Suite::Aes128CmSha1_32 => {
                let authentication: [u8; 20] = derive(master, first + 1, crypto)?;
                let mac = crypto.new_hmac(HmacAlgorithm::Sha1, &authentication)?;
                Keyed::Counter(crypto.new_stream_cipher(StreamCipherAlgorithm::Aes128Ctr, key)?, mac)
            }
        };
        Ok(Self { salt, keyed })
    }
}

/// A session key (RFC 3711 section 4.3.1, key derivation rate 0; RFC 6188 and RFC 7714 section 11 for the others).
pub(super) fn derive<const N: usize>(
    master: &MasterKey,
    label: u8,
    crypto: &dyn RTCCrypto,
) -> Result<[u8; N], CryptoError> {
    let algorithm = match master.suite {
        Suite::AeadAes256Gcm => BlockCipherAlgorithm::Aes256,
        Suite::AeadAes128Gcm | Suite::Aes128CmSha1_80 | Suite::Aes128CmSha1_32 => BlockCipherAlgorithm::Aes128,
    };
    let mut key = [0; N];
    for (nth, part) in key.chunks_mut(16).enumerate() {
        let mut block = [0; 16];
        block.iter_mut().zip(master.salt()).for_each(|(to, from)| *to = *from);
        let [.., last] = &mut block;
        *last ^= u8::try_from(nth).unwrap_or_default();
        let [_, _, _, _, _, _, _, at, ..] = &mut block;
        *at ^= label;
        crypto.block_encrypt(algorithm, master.key(), &mut block)?;
        part.iter_mut().zip(block).for_each(|(to, from)| *to = from);
    }
    Ok(key)
}

/// The initial counter (RFC 3711 section 4.1.1); an RTCP index is a packet index like any other.
fn counter(salt: &[u8; 14], ssrc: u32, index: u64) -> [u8; 16] {
    let value = u128::from(ssrc) << 64 | u128::from(index) << 16;
    let mut salted = [0; 16];
    salted.iter_mut().zip(salt).for_each(|(to, from)| *to = *from);
    (u128::from_be_bytes(salted) ^ value).to_be_bytes()
}

/// The nonce (RFC 7714 sections 8.1 and 9.1).
fn nonce(salt: &[u8; 14], ssrc: u32, index: u64) -> [u8; 12] {
    let value = (u128::from(ssrc) << 48 | u128::from(index & 0xffff_ffff_ffff)).to_be_bytes();
    let mut nonce = [0; 12];
    nonce.iter_mut().zip(value.iter().skip(4).zip(salt)).for_each(|(to, (value, salt))| *to = value ^ salt);
    nonce
}

/// The part of the index that is not in the packet.
fn roll_over(index: u64) -> [u8; 4] {
    ((index >> 16) as u32).to_be_bytes()
}

/// What of an encrypted RTCP packet is authenticated only (RFC 7714 section 9.2).
fn associated(header: &[u8], word: [u8; 4]) -> Option<[u8; 12]> {
    let mut associated = [0; 12];
    let (front, back) = associated.split_at_mut_checked(RTCP_HEADER)?;
    front.copy_from_slice(header.get(..RTCP_HEADER)?);
    back.copy_from_slice(&word);
    Some(associated)
}

fn is_same(expected: &[u8; 20], tag: &[u8]) -> Option<()> {
    bool::from(expected.get(..tag.len())?.ct_eq(tag)).then_some(())
}
