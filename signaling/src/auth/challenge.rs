//! Challenges: `WWW-Authenticate` and `Proxy-Authenticate` values to what we can answer.

use bytes::Bytes;

use crate::message::grammar::{Split, is_space, is_token, parameter, trim, unquote};
use crate::message::{HeaderName, Headers};

use super::digest::Algorithm;

/// Challenges read from one response; a longer list is cut.
const MAX_CHALLENGES: usize = 16;
/// Parameters read of one challenge.
const MAX_PARAMETERS: usize = 32;
/// Longest realm, nonce or opaque that is answered: the answer repeats them all.
const MAX_VALUE: usize = 1024;

/// Which protection of the request the answer gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Qop {
    /// None was offered: the form of RFC 2069.
    Absent,
    Auth,
    AuthInt,
}

/// A Digest challenge we can answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge {
    pub(crate) realm: Bytes,
    pub(crate) nonce: Bytes,
    pub(crate) opaque: Option<Bytes>,
    pub(crate) algorithm: Algorithm,
    /// Whether the challenge named its algorithm; an answer names it only then.
    pub(crate) names_algorithm: bool,
    pub(crate) qop: Qop,
    pub(crate) stale: bool,
}

/// An authentication scheme with its parameters, quotes and escapes resolved.
#[derive(Debug, Default)]
pub(crate) struct Scheme {
    name: Bytes,
    parameters: Vec<(Bytes, Bytes)>,
}

/// The challenges of one kind that can be answered, for each realm the strongest; of equals the topmost (RFC 8760
/// section 2.4).
pub(crate) fn strongest_per_realm(headers: &Headers, proxy: bool) -> Vec<Challenge> {
    let name = if proxy { HeaderName::ProxyAuthenticate } else { HeaderName::WwwAuthenticate };
    let mut chosen: Vec<Challenge> = Vec::new();
    let schemes = headers.get_all(&name).flat_map(schemes).take(MAX_CHALLENGES);
    for challenge in schemes.filter_map(|scheme| Challenge::read(&scheme)) {
        match chosen.iter_mut().find(|known| known.realm == challenge.realm) {
            Some(known) if challenge.algorithm.strength() > known.algorithm.strength() => *known = challenge,
            Some(_) => {}
            None => chosen.push(challenge),
        }
    }
    chosen
}

/// The nonce that a response gives for the next request, unless it answers another one than that with this `cnonce`.
pub(crate) fn next_nonce(headers: &Headers, proxy: bool, cnonce: &str) -> Option<Bytes> {
    let name = if proxy { "Proxy-Authentication-Info" } else { "Authentication-Info" };
    let mut nonce = None;
    for piece in Split::quoted(headers.get(&HeaderName::other(name))?.clone(), b',').take(MAX_PARAMETERS) {
        let Ok((name, Some(value))) = parameter(&piece) else { continue };
        let value = unquote(&value);
        match name.to_ascii_lowercase().as_slice() {
            b"nextnonce" if !value.is_empty() && value.len() <= MAX_VALUE => nonce = Some(value),
            b"cnonce" if value != cnonce.as_bytes() => return None,
            _ => {}
        }
    }
    nonce
}

/// The schemes of one header field value. RFC 3261 allows one per field; HTTP allows a comma list, and some send it: a
/// new scheme begins where a word stands before the `name=value` of a piece.
pub(crate) fn schemes(value: &Bytes) -> Vec<Scheme> {
    let mut found: Vec<Scheme> = Vec::new();
    for piece in Split::quoted(value.clone(), b',') {
        let word = piece.iter().position(|b| is_space(*b) || *b == b'=').unwrap_or(piece.len());
        let rest = trim(&piece.slice(word..));
        let parameter_text = if rest.starts_with(b"=") {
            piece
        } else {
            if found.len() == MAX_CHALLENGES {
                break;
            }
            found.push(Scheme { name: piece.slice(..word), parameters: Vec::new() });
            rest
        };
        let Some(scheme) = found.last_mut().filter(|scheme| scheme.parameters.len() < MAX_PARAMETERS) else { continue };
        if let Ok((name, Some(value))) = parameter(&parameter_text) {
            scheme.parameters.push((name, unquote(&value)));
        }
    }
    found.retain(|scheme| is_token(&scheme.name));
    found
}

impl Scheme {
    /// Whether it is Digest.
    pub(crate) fn is_digest(&self) -> bool {
        self.name.eq_ignore_ascii_case(b"Digest")
    }

    /// Value of a parameter; the first counts.
    pub(crate) fn get(&self, name: &str) -> Option<&Bytes> {
        self.parameters.iter().find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }
}

impl Challenge {
    fn read(scheme: &Scheme) -> Option<Self> {
        let short = |value: &&Bytes| value.len() <= MAX_VALUE;
        let opaque = scheme.get("opaque");
        if !scheme.is_digest() || opaque.is_some_and(|opaque| opaque.len() > MAX_VALUE) {
            return None;
        }
        Some(Self {
            realm: scheme.get("realm").filter(short)?.clone(),
            nonce: scheme.get("nonce").filter(short)?.clone(),
            opaque: opaque.cloned(),
            algorithm: match scheme.get("algorithm") {
                Some(name) => Algorithm::read(name)?,
                None => Algorithm::Md5,
            },
            names_algorithm: scheme.get("algorithm").is_some(),
            qop: read_qop(scheme.get("qop"))?,
            stale: scheme.get("stale").is_some_and(|stale| stale.eq_ignore_ascii_case(b"true")),
        })
    }
}

/// `auth` where it is offered, else `auth-int`; a list of others only cannot be answered.
fn read_qop(offered: Option<&Bytes>) -> Option<Qop> {
    let Some(offered) = offered else { return Some(Qop::Absent) };
    let offers = |wanted: &[u8]| Split::quoted(offered.clone(), b',').any(|qop| qop.eq_ignore_ascii_case(wanted));
    match (offers(b"auth"), offers(b"auth-int")) {
        (true, _) => Some(Qop::Auth),
        (false, true) => Some(Qop::AuthInt),
        (false, false) => None,
    }
}
