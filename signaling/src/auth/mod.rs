//! Digest authentication (RFC 3261 section 22, RFC 7616, RFC 8760): MD5, MD5-sess, SHA-256, SHA-256-sess; SHA-512-256
//! is not done.

use bytes::Bytes;

use crate::message::{HeaderName, Headers, Method};

mod challenge;
mod digest;
pub mod server;
#[cfg(test)]
mod tests;

use challenge::Challenge;
use digest::{Answer, Cnonces};

/// Realms one client keeps an answer for; a peer that names a new one each time gets no further.
const MAX_REALMS: usize = 8;
/// Fresh nonces taken in a row that were each refused at their first use, though not called stale: a farm whose members
/// do not share nonces needs one more try, wrong credentials need none.
const MAX_FRESH: u8 = 1;
/// Nonces called stale at their first use, in a row.
const MAX_STALE: u8 = 3;

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
pub struct DigestClient {
    credentials: Credentials,
    cnonces: Cnonces,
    realms: Vec<Realm>,
}

/// One protection space that challenged us.
#[derive(Debug)]
struct Realm {
    proxy: bool,
    challenge: Challenge,
    cnonce: String,
    /// How often this nonce was used.
    uses: u32,
    /// Nonces in a row that were refused at their first use, not stale and stale.
    fresh: u8,
    stale: u8,
}

impl DigestClient {
    /// For these credentials; `cnonce_seed` feeds the client nonces.
    #[must_use]
    pub const fn new(credentials: Credentials, cnonce_seed: u64) -> Self {
        Self { credentials, cnonces: Cnonces::seeded(cnonce_seed), realms: Vec::new() }
    }

    /// Whose answers it gives.
    pub(crate) const fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Reads the challenges of a 401 or 407 (several header fields and schemes possible; the strongest algorithm we do
    /// is chosen per realm; stale nonces start anew). A response that a proxy gathered may hold challenges of both
    /// kinds (RFC 3261 section 22.3); all are read, those of the response's own kind must be there.
    ///
    /// # Errors
    /// [`AuthError::Unsupported`]: nothing we could answer. [`AuthError::Refused`]: the credentials are wrong, a further
    /// request would be refused as well.
    pub fn handle_challenge(&mut self, headers: &Headers, proxy: bool) -> Result<(), AuthError> {
        let own = challenge::strongest_per_realm(headers, proxy);
        if own.is_empty() {
            return Err(AuthError::Unsupported);
        }
        let other = challenge::strongest_per_realm(headers, !proxy);
        for challenge in own {
            self.take(challenge, proxy)?;
        }
        for challenge in other {
            self.take(challenge, !proxy)?;
        }
        Ok(())
    }

    /// The Authorization / Proxy-Authorization fields for the next request; those of an earlier one are replaced. `uri`
    /// is the Request-URI as it goes on the wire.
    pub fn authorize(&mut self, method: &Method, uri: &str, body: &Bytes, headers: &mut Headers) {
        headers.remove(&HeaderName::Authorization);
        headers.remove(&HeaderName::ProxyAuthorization);
        for realm in &mut self.realms {
            realm.uses = realm.uses.saturating_add(1);
            let answer = Answer {
                challenge: &realm.challenge,
                username: &self.credentials.username,
                password: &self.credentials.password,
                method: method.as_bytes(),
                uri: uri.as_bytes(),
                body,
                cnonce: &realm.cnonce,
                count: realm.uses,
            };
            let name = if realm.proxy { HeaderName::ProxyAuthorization } else { HeaderName::Authorization };
            headers.push(name, answer.to_value());
        }
    }

    /// A request with our answer was taken (any final answer but 401 and 407): later fresh nonces are no sign of wrong
    /// credentials. Saying so is optional: a nonce used twice counts as taken.
    pub fn accepted(&mut self) {
        for realm in &mut self.realms {
            (realm.fresh, realm.stale) = (0, 0);
        }
    }

    /// As [`Self::accepted`], with the response that says so: it may name the nonce of the next request (RFC 7616 section
    /// 3.5, RFC 7615), which saves a round trip where each nonce serves once.
    pub fn learn(&mut self, headers: &Headers) {
        self.accepted();
        for proxy in [false, true] {
            let mut of_kind = self.realms.iter_mut().filter(|realm| realm.proxy == proxy);
            // It does not say of which realm it is.
            let (Some(realm), None) = (of_kind.next(), of_kind.next()) else { continue };
            if let Some(nonce) = challenge::next_nonce(headers, proxy, &realm.cnonce) {
                realm.challenge.nonce = nonce;
                (realm.cnonce, realm.uses) = (self.cnonces.next(), 0);
            }
        }
    }

    fn take(&mut self, challenge: Challenge, proxy: bool) -> Result<(), AuthError> {
        let place =
            self.realms.iter().position(|known| known.proxy == proxy && known.challenge.realm == challenge.realm);
        let cnonce = self.cnonces.next();
        let Some(known) = place.and_then(|at| self.realms.get_mut(at)) else {
            if self.realms.len() == MAX_REALMS {
                return Err(AuthError::Refused);
            }
            self.realms.push(Realm { proxy, challenge, cnonce, uses: 0, fresh: 0, stale: 0 });
            return Ok(());
        };
        known.renew(challenge, cnonce)
    }

    #[cfg(test)]
    fn fix_cnonce(&mut self, cnonce: &str) {
        for realm in &mut self.realms {
            cnonce.clone_into(&mut realm.cnonce);
        }
    }
}

impl Realm {
    /// A further challenge of a realm that has one already.
    fn renew(&mut self, challenge: Challenge, cnonce: String) -> Result<(), AuthError> {
        let same_nonce = self.challenge.nonce == challenge.nonce;
        // A challenge that crossed ours on the way, or the same one from another branch of a fork: nothing was tried.
        if self.uses == 0 && same_nonce {
            return Ok(());
        }
        let at_first_use = self.uses == 1;
        match (challenge.stale, same_nonce) {
            (false, true) => return Err(AuthError::Refused),
            (false, false) => self.fresh = if at_first_use { self.fresh.saturating_add(1) } else { 0 },
            (true, _) => self.stale = if at_first_use { self.stale.saturating_add(1) } else { 0 },
        }
        if self.fresh > MAX_FRESH || self.stale > MAX_STALE {
            return Err(AuthError::Refused);
        }
        (self.challenge, self.cnonce, self.uses) = (challenge, cnonce, 0);
        Ok(())
    }
}
