//! The other side: challenging and checking, for those who ask for a password.

use bytes::{Bytes, BytesMut};

use crate::message::grammar::put_quoted;
use crate::message::{HeaderName, Headers, Request, Uri};

use super::Credentials;
use super::challenge::{Challenge, Qop, Scheme, schemes};
pub use super::digest::Algorithm;
use super::digest::Answer;

/// What a server asks for.
#[derive(Debug, Clone)]
pub struct DigestServer {
    /// Realm.
    pub realm: String,
    /// Algorithm.
    pub algorithm: Algorithm,
    /// `qop` as offered: `auth`, `auth-int`, `auth,auth-int`; `None` for the form of RFC 2069.
    pub qop: Option<&'static str>,
    /// Whether it is a proxy that asks (407 and the `Proxy-` fields).
    pub proxy: bool,
}

/// What a request says of who sends it.
pub(crate) struct Given {
    pub(crate) username: Bytes,
    pub(crate) nonce: Bytes,
}

/// What came of checking a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The password is known to the sender; `nc` is its nonce count (0 without qop), to be held against the last one.
    Accepted {
        /// Nonce count.
        count: u32,
    },
    /// No answer for this realm: challenge.
    Missing,
    /// An answer to another nonce: challenge with `stale`.
    Stale,
    /// A wrong answer.
    Wrong,
}

impl DigestServer {
    /// The status of a challenge.
    #[must_use]
    pub const fn status(&self) -> u16 {
        if self.proxy { 407 } else { 401 }
    }

    /// Adds the challenge to an answer's header fields.
    pub fn challenge(&self, nonce: &str, stale: bool, headers: &mut Headers) {
        let mut out = BytesMut::from(&b"Digest realm="[..]);
        put_quoted(&mut out, self.realm.as_bytes());
        out.extend_from_slice(b", nonce=");
        put_quoted(&mut out, nonce.as_bytes());
        out.extend_from_slice(b", algorithm=");
        out.extend_from_slice(self.algorithm.name().as_bytes());
        if let Some(qop) = self.qop {
            out.extend_from_slice(b", qop=");
            put_quoted(&mut out, qop.as_bytes());
        }
        if stale {
            out.extend_from_slice(b", stale=true");
        }
        let name = if self.proxy { HeaderName::ProxyAuthenticate } else { HeaderName::WwwAuthenticate };
        headers.push(name, out.freeze());
    }

    /// Checks a request against one user's credentials and the nonce in force. That the answer's `uri` is the
    /// Request-URI is part of it.
    #[must_use]
    pub fn check(&self, request: &Request, nonce: &str, credentials: &Credentials) -> Verdict {
        let Some(scheme) = self.find(request) else { return Verdict::Missing };
        if scheme.get("nonce").is_none_or(|given| given != nonce.as_bytes()) {
            return Verdict::Stale;
        }
        // As its sender has written it, which need not be the only way to write it.
        let uri = scheme.get("uri").cloned().unwrap_or_default();
        let is_asked = Uri::parse(&uri).is_ok_and(|uri| uri == request.uri);
        match self.expected(request, &scheme, credentials, &uri) {
            Some((response, count)) if is_asked && is_same(&scheme, &response, credentials) => {
                Verdict::Accepted { count }
            }
            Some(_) | None => Verdict::Wrong,
        }
    }

    /// The answer to a challenge of this kind, unchecked.
    pub(crate) fn answer_of(&self, request: &Request) -> Option<Given> {
        let scheme = self.find(request)?;
        let get = |name| scheme.get(name).cloned();
        Some(Given { username: get("username").unwrap_or_default(), nonce: get("nonce").unwrap_or_default() })
    }

    /// An answer for this realm by this algorithm; one that names none means MD5 (RFC 7616 section 3.4).
    fn find(&self, request: &Request) -> Option<Scheme> {
        let name = if self.proxy { HeaderName::ProxyAuthorization } else { HeaderName::Authorization };
        let is_ours = |scheme: &Scheme| {
            let algorithm = scheme.get("algorithm").map_or(Some(Algorithm::Md5), |name| Algorithm::read(name));
            scheme.is_digest()
                && scheme.get("realm").is_some_and(|realm| realm == self.realm.as_bytes())
                && algorithm == Some(self.algorithm)
        };
        request.headers.get_all(&name).flat_map(schemes).find(is_ours)
    }

    fn expected(&self, request: &Request, scheme: &Scheme, user: &Credentials, uri: &[u8]) -> Option<(String, u32)> {
        let (qop, count) = match scheme.get("qop").map(Bytes::as_ref) {
            None if self.qop.is_none() => (Qop::Absent, 0),
            Some(b"auth") => (Qop::Auth, nonce_count(scheme.get("nc")?)?),
            Some(b"auth-int") => (Qop::AuthInt, nonce_count(scheme.get("nc")?)?),
            Some(_) | None => return None,
        };
        let challenge = Challenge {
            realm: Bytes::copy_from_slice(self.realm.as_bytes()),
            nonce: scheme.get("nonce")?.clone(),
            opaque: None,
            algorithm: self.algorithm,
            names_algorithm: true,
            qop,
            stale: false,
        };
        let answer = Answer {
            challenge: &challenge,
            username: &user.username,
            password: &user.password,
            method: request.method.as_bytes(),
            uri,
            body: &request.body,
            cnonce: std::str::from_utf8(scheme.get("cnonce").map_or(&b""[..], Bytes::as_ref)).ok()?,
            count,
        };
        Some((answer.response(), count))
    }
}

fn nonce_count(text: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.len() == 8)?;
    u32::from_str_radix(text, 16).ok()
}

/// Compares in a time that does not tell how much of the response was right.
fn is_same(scheme: &Scheme, response: &str, user: &Credentials) -> bool {
    let given = scheme.get("response").map_or(&b""[..], Bytes::as_ref);
    let difference = given.iter().zip(response.as_bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
    let is_right = given.len() == response.len() && difference == 0;
    is_right && scheme.get("username").is_some_and(|given| given == user.username.as_bytes())
}

/// A nonce from a counter and a secret: enough where nonces need not be told apart after a restart.
#[must_use]
pub fn nonce(secret: u64, drawn: u64) -> String {
    let mut source = super::digest::Cnonces::seeded(secret ^ drawn.rotate_left(32));
    source.next()
}
