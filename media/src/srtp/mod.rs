//! SRTP and SRTCP of one leg (RFC 3711, RFC 7714), whoever agreed on the keys. Packets are authenticated before anything
//! is remembered of them; nothing is allocated per packet.

mod cipher;
mod inbound;
mod outbound;
mod source;
#[cfg(test)]
mod tests;

use std::fmt;

pub(crate) use self::inbound::Inbound;
pub(crate) use self::outbound::Outbound;

/// The longest master key and salt together: AEAD_AES_256_GCM.
pub(crate) const LONGEST: usize = 44;

/// What packets are protected with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// RFC 7714.
    AeadAes128Gcm,
    /// RFC 7714.
    AeadAes256Gcm,
    /// RFC 3711, the one everybody has.
    Aes128CmSha1_80,
    /// RFC 3711 with a short tag on RTP (RTCP keeps the long one).
    Aes128CmSha1_32,
}

impl Suite {
    /// Octets of the master key.
    #[must_use]
    pub fn key_len(self) -> usize {
        match self {
            Self::AeadAes256Gcm => 32,
            Self::AeadAes128Gcm | Self::Aes128CmSha1_80 | Self::Aes128CmSha1_32 => 16,
        }
    }

    /// Octets of the master salt.
    #[must_use]
    pub fn salt_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
            Self::Aes128CmSha1_80 | Self::Aes128CmSha1_32 => 14,
        }
    }

    /// Octets of the tag on an RTP packet.
    fn rtp_tag(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 16,
            Self::Aes128CmSha1_80 => 10,
            Self::Aes128CmSha1_32 => 4,
        }
    }

    /// Octets of the tag on an RTCP packet.
    fn rtcp_tag(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 16,
            Self::Aes128CmSha1_80 | Self::Aes128CmSha1_32 => 10,
        }
    }

    fn is_aead(self) -> bool {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => true,
            Self::Aes128CmSha1_80 | Self::Aes128CmSha1_32 => false,
        }
    }
}

/// A master key and its salt. It does not print itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MasterKey {
    suite: Suite,
    octets: [u8; LONGEST],
}

impl MasterKey {
    /// The key and the salt behind it; `None` if they are not as long as the suite's.
    #[must_use]
    pub fn new(suite: Suite, key_and_salt: &[u8]) -> Option<Self> {
        let mut octets = [0; LONGEST];
        let room = octets.get_mut(..suite.key_len() + suite.salt_len())?;
        if room.len() != key_and_salt.len() {
            return None;
        }
        room.copy_from_slice(key_and_salt);
        Some(Self { suite, octets })
    }

    /// What it is a key of.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// Key and salt.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        self.octets.get(..self.suite.key_len() + self.suite.salt_len()).unwrap_or_default()
    }

    fn key(&self) -> &[u8] {
        self.octets.get(..self.suite.key_len()).unwrap_or_default()
    }

    fn salt(&self) -> &[u8] {
        self.octets().get(self.suite.key_len()..).unwrap_or_default()
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({:?}, ***)", self.suite)
    }
}

/// A key of the peer's, and what it says of its use (RFC 4568 section 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerKey {
    /// The key its packets are protected with.
    pub master: MasterKey,
    /// Packets it may protect.
    pub lifetime: u64,
    /// What its packets name the key by.
    pub identifier: Identifier,
}

impl PeerKey {
    /// A key without a name that lasts as long as keys can (RFC 3711 section 9.2).
    #[must_use]
    pub fn unlimited(master: MasterKey) -> Self {
        Self { master, lifetime: 1 << 48, identifier: Identifier::default() }
    }
}

/// A master key identifier (MKI): up to four octets on every packet, none mostly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Identifier {
    octets: [u8; 4],
    len: usize,
}

impl Identifier {
    /// The identifier of this value on so many octets; `None` if that is longer than ours, or too short for the value.
    #[must_use]
    pub fn new(value: u32, len: usize) -> Option<Self> {
        let mut octets = value.to_be_bytes();
        let unused = octets.len().checked_sub(len)?;
        if octets.iter().take(unused).any(|octet| *octet != 0) {
            return None;
        }
        octets.rotate_left(unused);
        Some(Self { octets, len })
    }

    fn octets(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or_default()
    }
}

/// Why a packet was not decrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Too short, forged, or under a key we do not have.
    Undecryptable,
    /// Seen before, or older than the window.
    Replayed,
}

/// No cipher could be made from the keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot key SRTP: {0}")]
pub(crate) struct KeyError(String);

impl KeyError {
    /// There is less keying material than the suite takes.
    pub(crate) fn too_short() -> Self {
        Self("the keying material is too short".into())
    }
}

impl From<rtc_crypto::CryptoError> for KeyError {
    fn from(error: rtc_crypto::CryptoError) -> Self {
        Self(error.to_string())
    }
}

/// Octets before the payload of an RTP packet, which are not encrypted.
fn rtp_header(packet: &[u8]) -> Option<usize> {
    let first = *packet.first()?;
    if first >> 6 != 2 {
        return None;
    }
    let fixed = 12 + usize::from(first & 0x0f) * 4;
    if first & 0x10 == 0 {
        return (packet.len() >= fixed).then_some(fixed);
    }
    let words = u16::from_be_bytes([*packet.get(fixed + 2)?, *packet.get(fixed + 3)?]);
    let header = fixed + 4 + usize::from(words) * 4;
    (packet.len() >= header).then_some(header)
}

fn word_at(packet: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*packet.get(at..)?.first_chunk()?))
}

fn sequence_of(packet: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(*packet.get(2..)?.first_chunk()?))
}
