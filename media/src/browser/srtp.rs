//! SRTP and SRTCP of one browser leg, keyed by DTLS (RFC 5764 section 4.2).

use rtc_crypto::RTCCryptoProvider;

pub(super) use crate::srtp::Refusal;
use crate::srtp::{Inbound, KeyError, MasterKey, Outbound, PeerKey, Suite};

/// A profile we negotiate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Profile {
    AeadAes128Gcm,
    AeadAes256Gcm,
    Aes128CmSha1_80,
}

impl Profile {
    /// Most wanted first.
    pub(super) const PREFERENCE: [Self; 3] = [Self::AeadAes128Gcm, Self::AeadAes256Gcm, Self::Aes128CmSha1_80];

    /// The number in `use_srtp`.
    pub(super) fn id(self) -> u16 {
        match self {
            Self::AeadAes128Gcm => 7,
            Self::AeadAes256Gcm => 8,
            Self::Aes128CmSha1_80 => 1,
        }
    }

    /// The registered name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::AeadAes128Gcm => "SRTP_AEAD_AES_128_GCM",
            Self::AeadAes256Gcm => "SRTP_AEAD_AES_256_GCM",
            Self::Aes128CmSha1_80 => "SRTP_AES128_CM_HMAC_SHA1_80",
        }
    }

    fn suite(self) -> Suite {
        match self {
            Self::AeadAes128Gcm => Suite::AeadAes128Gcm,
            Self::AeadAes256Gcm => Suite::AeadAes256Gcm,
            Self::Aes128CmSha1_80 => Suite::Aes128CmSha1_80,
        }
    }

    /// Octets of keying material for both directions.
    pub(super) fn keying_material_len(self) -> usize {
        2 * (self.suite().key_len() + self.suite().salt_len())
    }
}

/// The contexts of both directions.
#[repr(C)]
pub(super) struct Srtp {
    pub(super) inbound: Inbound,
    pub(super) outbound: Outbound,
}

impl Srtp {
    /// Contexts of the DTLS server.
    pub(super) fn new(
        profile: Profile,
        keying_material: &[u8],
        provider: &dyn RTCCryptoProvider,
    ) -> Result<Self, KeyError> {
        // RFC 5764 section 4.2: both keys, then both salts, the client's before the server's.
        let suite = profile.suite();
        let (keys, salts) = keying_material.split_at_checked(2 * suite.key_len()).unwrap_or_default();
        let master = |nth: usize| {
            let key = keys.chunks(suite.key_len()).nth(nth)?;
            MasterKey::new(suite, &[key, salts.chunks(suite.salt_len()).nth(nth)?].concat())
        };
        let (Some(client), Some(server)) = (master(0), master(1)) else { return Err(KeyError::too_short()) };
        Ok(Self {
            outbound: Outbound::new(&server, provider.crypto())?,
            inbound: Inbound::new(&PeerKey::unlimited(client), provider.crypto())?,
        })
    }
}

#[cfg(test)]
#[path = "srtp_tests.rs"]
mod tests;
