//! The certificate we show, and the check of the one we are shown.

use std::sync::Arc;

use rtc_crypto::RTCCryptoProvider;
use rtc_dtls::crypto::Certificate;
use sha2::{Digest, Sha256, Sha384, Sha512};

use crate::sdp::browser::Fingerprint;

/// The gateway's DTLS identity: one self-signed ECDSA P-256 certificate, made at start, shared by all legs.
pub struct DtlsIdentity {
    pub(super) certificate: Certificate,
    fingerprint: Fingerprint,
    provider: Arc<dyn RTCCryptoProvider>,
}

/// No certificate could be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make a DTLS certificate: {0}")]
pub struct IdentityError(pub String);

impl DtlsIdentity {
    /// Makes a certificate.
    pub fn generate() -> Result<Self, IdentityError> {
        let provider = rtc_crypto::default_provider().map_err(|e| IdentityError(e.to_string()))?;
        let names = vec!["trunkline".to_owned()];
        let algorithm = &rcgen::PKCS_ECDSA_P256_SHA256;
        let certificate = Certificate::generate_self_signed_with_alg(names, algorithm, provider.crypto())
            .map_err(|e| IdentityError(e.to_string()))?;
        let der = certificate.certificate.first().ok_or_else(|| IdentityError("an empty chain".into()))?;
        let fingerprint = Fingerprint { algorithm: "sha-256".into(), bytes: Sha256::digest(der).to_vec() };
        Ok(Self { certificate, fingerprint, provider })
    }

    /// Its SHA-256.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// The cryptography of every leg.
    pub(crate) fn provider(&self) -> &Arc<dyn RTCCryptoProvider> {
        &self.provider
    }
}

/// Whether a certificate is one of those the SDP names (RFC 8122 section 5: one match is enough).
pub(super) fn matches(certificate: &[u8], fingerprints: &[Fingerprint]) -> bool {
    fingerprints.iter().any(|f| match f.algorithm.as_str() {
        "sha-256" => Sha256::digest(certificate).as_slice() == f.bytes,
        "sha-384" => Sha384::digest(certificate).as_slice() == f.bytes,
        "sha-512" => Sha512::digest(certificate).as_slice() == f.bytes,
        _ => false,
    })
}
