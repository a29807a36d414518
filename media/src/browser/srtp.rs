//! SRTP and SRTCP of one browser leg (RFC 3711, RFC 7714), keyed by DTLS (RFC 5764 section 4.2).

use bytes::BytesMut;
use rtc_crypto::RTCCryptoProvider;
use rtc_shared::error::Error;
use rtc_srtp::config::Config;
use rtc_srtp::context::Context;
use rtc_srtp::option::{ContextOption, srtcp_replay_protection, srtp_replay_protection};
use rtc_srtp::protection_profile::ProtectionProfile;

/// Packets behind the newest one that are still accepted, once.
const REPLAY_WINDOW: usize = 128;
/// Sources one browser may use, per kind. A browser uses one; a few more appear when tracks are replaced.
const SOURCES_LIMIT: usize = 16;
/// Unauthenticated sources the probe may remember before it is made anew.
const PROBE_LIMIT: u32 = 64;

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

    /// Octets behind the word of an SRTCP packet that carries the E bit (RFC 3711 section 3.4, RFC 7714 section 9.2).
    fn behind_srtcp_index(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 0,
            Self::Aes128CmSha1_80 => 10,
        }
    }

    /// Octets of keying material for both directions.
    pub(super) fn keying_material_len(self) -> usize {
        Config { profile: self.into(), ..Config::default() }.keying_material_len()
    }
}

impl From<Profile> for ProtectionProfile {
    fn from(profile: Profile) -> Self {
        match profile {
            Profile::AeadAes128Gcm => Self::AeadAes128Gcm,
            Profile::AeadAes256Gcm => Self::AeadAes256Gcm,
            Profile::Aes128CmSha1_80 => Self::Aes128CmHmacSha1_80,
        }
    }
}

/// Why a packet was not decrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Too short, forged, or from one source too many.
    Undecryptable,
    /// Seen before, or older than the window.
    Replayed,
}

/// No context could be made from the keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot key SRTP: {0}")]
pub(super) struct KeyError(String);

impl From<Error> for KeyError {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

/// The contexts of both directions.
pub(super) struct Srtp {
    profile: Profile,
    outbound: Context,
    inbound: Context,
    inbound_rtp: Sources,
    inbound_rtcp: Sources,
    probe: Probe,
    plain: BytesMut,
}

impl Srtp {
    /// Contexts of the DTLS server.
    pub(super) fn new(
        profile: Profile,
        keying_material: &[u8],
        provider: &dyn RTCCryptoProvider,
    ) -> Result<Self, KeyError> {
        let mut config = Config { profile: profile.into(), ..Config::default() };
        config.set_session_keys_from_keying_material(keying_material, false)?;
        let keys = &config.keys;
        let crypto = provider.crypto();
        let context = |key: &[u8], salt: &[u8], rtp: Option<ContextOption>, rtcp: Option<ContextOption>| {
            Context::new(key, salt, profile.into(), rtp, rtcp, crypto)
        };
        let windows = (Some(srtp_replay_protection(REPLAY_WINDOW)), Some(srtcp_replay_protection(REPLAY_WINDOW)));
        Ok(Self {
            profile,
            outbound: context(&keys.local_master_key, &keys.local_master_salt, None, None)?,
            inbound: context(&keys.remote_master_key, &keys.remote_master_salt, windows.0, windows.1)?,
            inbound_rtp: Sources::default(),
            inbound_rtcp: Sources::default(),
            probe: Probe {
                context: context(&keys.remote_master_key, &keys.remote_master_salt, None, None)?,
                uses: 0,
                key: keys.remote_master_key.clone(),
                salt: keys.remote_master_salt.clone(),
                profile: profile.into(),
            },
            plain: BytesMut::new(),
        })
    }

    /// Encrypts an RTP packet; `None` if it is none.
    pub(super) fn protect_rtp(&mut self, plain: &[u8]) -> Option<BytesMut> {
        self.outbound.encrypt_rtp(plain).ok()
    }

    /// Encrypts a compound RTCP packet; `None` if it is none.
    pub(super) fn protect_rtcp(&mut self, plain: &[u8]) -> Option<BytesMut> {
        self.outbound.encrypt_rtcp(plain).ok()
    }

    /// Decrypts an SRTP packet.
    pub(super) fn unprotect_rtp(&mut self, packet: &[u8], provider: &dyn RTCCryptoProvider) -> Result<&[u8], Refusal> {
        let source = source_at(packet, 8).ok_or(Refusal::Undecryptable)?;
        if !self.inbound_rtp.has(source) {
            self.probe.admits(provider, |context| context.decrypt_rtp(packet))?;
            self.inbound_rtp.admit(source)?;
        }
        self.plain = self.inbound.decrypt_rtp(packet).map_err(refusal)?;
        Ok(&self.plain)
    }

    /// Decrypts an SRTCP packet.
    pub(super) fn unprotect_rtcp(&mut self, packet: &[u8], provider: &dyn RTCCryptoProvider) -> Result<&[u8], Refusal> {
        let source = source_at(packet, 4).ok_or(Refusal::Undecryptable)?;
        if !self.is_encrypted(packet) {
            return Err(Refusal::Undecryptable);
        }
        if !self.inbound_rtcp.has(source) {
            self.probe.admits(provider, |context| context.decrypt_rtcp(packet))?;
            self.inbound_rtcp.admit(source)?;
        }
        self.plain = self.inbound.decrypt_rtcp(packet).map_err(refusal)?;
        Ok(&self.plain)
    }

    /// The E bit. Browsers encrypt all RTCP, and the context would pass a plain packet on without looking at its tag.
    fn is_encrypted(&self, packet: &[u8]) -> bool {
        let word = packet.len().checked_sub(self.profile.behind_srtcp_index() + 4);
        word.and_then(|at| packet.get(at)).is_some_and(|octet| octet & 0x80 != 0)
    }
}

/// Sources of which an authentic packet came. Only their packets reach the inbound context, because it keeps state for
/// every source it is shown and starts a source's replay window at the first packet, authentic or not.
#[derive(Default)]
struct Sources(Vec<u32>);

impl Sources {
    fn has(&self, source: u32) -> bool {
        self.0.contains(&source)
    }

    fn admit(&mut self, source: u32) -> Result<(), Refusal> {
        if self.0.len() >= SOURCES_LIMIT {
            return Err(Refusal::Undecryptable);
        }
        self.0.push(source);
        Ok(())
    }
}

/// A context for packets of unknown sources, thrown away before it has gathered too many of them.
struct Probe {
    context: Context,
    uses: u32,
    key: Vec<u8>,
    salt: Vec<u8>,
    profile: ProtectionProfile,
}

impl Probe {
    fn admits(
        &mut self,
        provider: &dyn RTCCryptoProvider,
        decrypt: impl Fn(&mut Context) -> Result<BytesMut, Error>,
    ) -> Result<(), Refusal> {
        if self.uses >= PROBE_LIMIT {
            let fresh = Context::new(&self.key, &self.salt, self.profile, None, None, provider.crypto());
            self.context = fresh.map_err(|_| Refusal::Undecryptable)?;
            self.uses = 0;
        }
        self.uses += 1;
        decrypt(&mut self.context).map(drop).map_err(refusal)
    }
}

fn refusal(error: Error) -> Refusal {
    if matches!(error, Error::SrtpSsrcDuplicated(..) | Error::SrtcpSsrcDuplicated(..)) {
        Refusal::Replayed
    } else {
        Refusal::Undecryptable
    }
}

fn source_at(packet: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(packet.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
#[path = "srtp_tests.rs"]
mod tests;
