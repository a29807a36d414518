//! Digest authentication (RFC 3261 section 22, RFC 8760): MD5, MD5-sess, SHA-256, SHA-256-sess, SHA-512-256 refused.

use bytes::Bytes;

use crate::message::{Headers, Method};

/// A user name and password. `Debug` hides the password.
#[derive(Clone)]
pub struct Credentials {
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// Why a challenge could not be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No challenge with an algorithm and qop we do.
    #[error("no supported challenge")]
    Unsupported,
    /// The same nonce was refused before and is not stale: the credentials are wrong.
    #[error("credentials refused")]
    Refused,
}

/// State of one client's authentication over one call: nonces, counts, what was tried.
#[derive(Debug)]
pub struct DigestClient {}

impl DigestClient {
    /// For these credentials; `cnonce_seed` feeds the client nonces.
    #[must_use]
    pub fn new(credentials: Credentials, cnonce_seed: u64) -> Self {
        todo!()
    }

    /// Reads the challenges of a 401 or 407 (several header fields and schemes possible; the strongest algorithm we do
    /// is chosen per realm; stale nonces start anew).
    pub fn handle_challenge(&mut self, headers: &Headers, proxy: bool) -> Result<(), AuthError> {
        todo!()
    }

    /// The Authorization / Proxy-Authorization fields for the next request.
    pub fn authorize(&mut self, method: &Method, uri: &str, body: &Bytes, headers: &mut Headers) {
        todo!()
    }
}
