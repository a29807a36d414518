//! Certificates.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::sign::CertifiedKey;

/// Certificate and key files, and what is in them.
#[derive(Debug, Clone)]
pub struct Tls {
    /// PEM chain.
    pub certificate: PathBuf,
    /// PEM key.
    pub key: PathBuf,
    /// Both, read.
    pub identity: Identity,
}

/// A certificate chain and the private key of its first certificate. `Debug` tells which certificate it is.
#[derive(Clone)]
pub struct Identity {
    key: Arc<CertifiedKey>,
    expires: Timestamp,
}

impl Identity {
    pub(crate) fn new(key: CertifiedKey, expires: Timestamp) -> Self {
        Self { key: Arc::new(key), expires }
    }

    /// What handshakes are done with.
    #[must_use]
    pub fn certified_key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.key)
    }

    /// Until when the certificate is good.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        self.expires
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A certificate ends with its issuer's signature, which no other certificate has.
        let signature = self.key.cert.first().and_then(|leaf| leaf.rchunks(8).next()).unwrap_or_default();
        write!(
            f,
            "Identity({}, until {})",
            signature.iter().map(|b| format!("{b:02x}")).collect::<String>(),
            self.expires
        )
    }
}
