//! The digest itself (RFC 7616 section 3.4) and the header field that carries it.

use std::fmt::Write;

use bytes::{Bytes, BytesMut};
use md5::{Digest, Md5};
use sha2::Sha256;

use crate::message::grammar::put_quoted;

use super::challenge::{Challenge, Qop};

/// Digest algorithms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// `MD5`
    Md5,
    /// `MD5-sess`
    Md5Sess,
    /// `SHA-256`
    Sha256,
    /// `SHA-256-sess`
    Sha256Sess,
}

impl Algorithm {
    const ALL: [Self; 4] = [Self::Md5, Self::Md5Sess, Self::Sha256, Self::Sha256Sess];

    /// From its name, without case; `None` for one we do not do.
    #[must_use]
    pub fn read(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name().as_bytes().eq_ignore_ascii_case(name))
    }

    /// As on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Md5Sess => "MD5-sess",
            Self::Sha256 => "SHA-256",
            Self::Sha256Sess => "SHA-256-sess",
        }
    }

    /// Larger is stronger; a session key makes neither hash stronger.
    pub(crate) const fn strength(self) -> u8 {
        match self {
            Self::Md5 | Self::Md5Sess => 1,
            Self::Sha256 | Self::Sha256Sess => 2,
        }
    }

    const fn is_session(self) -> bool {
        matches!(self, Self::Md5Sess | Self::Sha256Sess)
    }

    /// The hash of the parts joined by colons, in lower-case hex.
    fn hash(self, parts: &[&[u8]]) -> String {
        match self {
            Self::Md5 | Self::Md5Sess => hash_joined::<Md5>(parts),
            Self::Sha256 | Self::Sha256Sess => hash_joined::<Sha256>(parts),
        }
    }
}

fn hash_joined<D: Digest>(parts: &[&[u8]]) -> String {
    let mut hash = D::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            hash.update(b":");
        }
        hash.update(part);
    }
    hex(&hash.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        // Writing to a string cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// Client nonces: unforeseeable to who does not know the seed, the same again for the same seed.
#[derive(Debug)]
pub(crate) struct Cnonces {
    seed: u64,
    drawn: u64,
}

impl Cnonces {
    pub(crate) const fn seeded(seed: u64) -> Self {
        Self { seed, drawn: 0 }
    }

    pub(crate) fn next(&mut self) -> String {
        self.drawn = self.drawn.wrapping_add(1);
        let mut cnonce = hash_joined::<Sha256>(&[b"cnonce", &self.seed.to_be_bytes(), &self.drawn.to_be_bytes()]);
        cnonce.truncate(32);
        cnonce
    }
}

/// All that goes into one answer.
pub(crate) struct Answer<'a> {
    pub(crate) challenge: &'a Challenge,
    pub(crate) username: &'a str,
    pub(crate) password: &'a str,
    pub(crate) method: &'a [u8],
    pub(crate) uri: &'a [u8],
    pub(crate) body: &'a [u8],
    pub(crate) cnonce: &'a str,
    /// How often the nonce has been used, this time included.
    pub(crate) count: u32,
}

impl Answer<'_> {
    /// `response`: what proves that we know the password.
    pub(crate) fn response(&self) -> String {
        let algorithm = self.challenge.algorithm;
        let nonce = self.challenge.nonce.as_ref();
        let cnonce = self.cnonce.as_bytes();
        let mut a1 = algorithm.hash(&[self.username.as_bytes(), &self.challenge.realm, self.password.as_bytes()]);
        if algorithm.is_session() {
            a1 = algorithm.hash(&[a1.as_bytes(), nonce, cnonce]);
        }
        let a2 = match self.challenge.qop {
            Qop::Absent | Qop::Auth => algorithm.hash(&[self.method, self.uri]),
            Qop::AuthInt => algorithm.hash(&[self.method, self.uri, algorithm.hash(&[self.body]).as_bytes()]),
        };
        match self.challenge.qop.name() {
            None => algorithm.hash(&[a1.as_bytes(), nonce, a2.as_bytes()]),
            Some(qop) => {
                let count = count_text(self.count);
                algorithm.hash(&[a1.as_bytes(), nonce, count.as_bytes(), cnonce, qop.as_bytes(), a2.as_bytes()])
            }
        }
    }

    /// The value of an Authorization or Proxy-Authorization field.
    pub(crate) fn to_value(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(384);
        out.extend_from_slice(b"Digest ");
        put(&mut out, "username", self.username.as_bytes());
        put(&mut out, ", realm", &self.challenge.realm);
        put(&mut out, ", nonce", &self.challenge.nonce);
        put(&mut out, ", uri", self.uri);
        put(&mut out, ", response", self.response().as_bytes());
        if self.challenge.names_algorithm {
            // Writing to a growable buffer cannot fail.
            let _ = write!(out, ", algorithm={}", self.challenge.algorithm.name());
        }
        let qop = self.challenge.qop.name();
        if qop.is_some() || self.challenge.algorithm.is_session() {
            put(&mut out, ", cnonce", self.cnonce.as_bytes());
        }
        if let Some(opaque) = &self.challenge.opaque {
            put(&mut out, ", opaque", opaque);
        }
        if let Some(qop) = qop {
            let _ = write!(out, ", qop={qop}, nc={}", count_text(self.count));
        }
        out.freeze()
    }
}

impl Qop {
    /// As on the wire.
    pub(crate) const fn name(self) -> Option<&'static str> {
        match self {
            Self::Absent => None,
            Self::Auth => Some("auth"),
            Self::AuthInt => Some("auth-int"),
        }
    }
}

/// `nc`: eight hex digits, zeros in front.
fn count_text(count: u32) -> String {
    format!("{count:08x}")
}

fn put(out: &mut BytesMut, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"=");
    put_quoted(out, value);
}
