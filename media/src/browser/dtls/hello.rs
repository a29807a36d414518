//! The exchange of hello messages and the cookie (RFC 6347 section 4.2.1), which the handshake engine is spared.

use rtc_crypto::{HmacAlgorithm, RTCCryptoProvider};

use super::record;
use crate::browser::srtp::Profile;

pub(super) const CLIENT_HELLO: u8 = 1;
const HELLO_VERIFY_REQUEST: u8 = 3;

/// What the engine takes a cookie to be; as long as an HMAC-SHA1.
pub(super) const COOKIE: usize = 20;
pub(super) type Cookie = [u8; COOKIE];

const USE_SRTP: u16 = 14;
const EXTENDED_MASTER_SECRET: u16 = 23;

/// A ClientHello we can go on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClientHello {
    pub(super) cookie: Vec<u8>,
    /// The best profile it offers.
    pub(super) profile: Profile,
}

impl ClientHello {
    /// Reads the body of a ClientHello (RFC 6347 section 4.2.1). `None` if it is broken or offers no DTLS 1.2 with a
    /// known cipher suite, extended master secret (RFC 7627) and a known SRTP profile.
    pub(super) fn parse(body: &[u8], suites: &[u16]) -> Option<Self> {
        let mut reader = Reader(body);
        let version = reader.take(2)?;
        reader.take(32)?;
        let session = reader.vector(1)?;
        let cookie = reader.vector(1)?.to_vec();
        let offered = reader.vector(2)?;
        let compression = reader.vector(1)?;
        let mut extensions = Reader(reader.vector(2)?);
        let (mut profile, mut extended) = (None, false);
        while !extensions.0.is_empty() {
            let kind = extensions.number()?;
            let mut value = Reader(extensions.vector(2)?);
            match kind {
                USE_SRTP => profile = best_profile(value.vector(2)?),
                EXTENDED_MASTER_SECRET => extended = true,
                _ => {}
            }
        }
        let common = numbers(offered).any(|suite| suites.contains(&suite));
        // We resume nothing; the engine would misread a session to resume.
        let sound = version == [0xfe, 0xfd] && session.is_empty() && compression.contains(&0);
        (sound && common && extended).then_some(Self { cookie, profile: profile? })
    }
}

/// The cookie of a leg, made from what only we and the peer know; `None` if the provider fails. It is the same for every
/// hello: a forged one then makes us tell the peer nothing wrong.
pub(super) fn make_cookie(secret: &str, provider: &dyn RTCCryptoProvider) -> Option<Cookie> {
    let mut mac = provider.crypto().new_hmac(HmacAlgorithm::Sha1, secret.as_bytes()).ok()?;
    let mut cookie = Cookie::default();
    mac.sign(&[b"DTLS cookie"], &mut cookie).ok()?;
    Some(cookie)
}

/// A HelloVerifyRequest message.
pub(super) fn verify_request(cookie: &Cookie) -> Vec<u8> {
    const BODY: u8 = 2 + 1 + COOKIE as u8;
    let mut message = vec![HELLO_VERIFY_REQUEST, 0, 0, BODY, 0, 0, 0, 0, 0, 0, 0, BODY];
    message.extend_from_slice(&[0xfe, 0xfd, COOKIE as u8]);
    message.extend_from_slice(cookie);
    message
}

/// The first ClientHello of a client whose second one has this body, as a message.
pub(super) fn without_cookie(body: &[u8]) -> Vec<u8> {
    let mut reader = Reader(body);
    let cookie = reader.take(34).and_then(|_| reader.vector(1)).and_then(|_| reader.vector(1));
    let head = body.len() - reader.0.len() - cookie.map_or(0, |c| c.len() + 1);
    let length = u32::try_from(head + 1 + reader.0.len()).unwrap_or(u32::MAX).to_be_bytes();
    let length = length.get(1..).unwrap_or_default();
    let parts = [&[CLIENT_HELLO], length, &[0; 5], length, body.get(..head).unwrap_or_default(), &[0], reader.0];
    parts.concat()
}

/// The cookie in the first HelloVerifyRequest of a datagram.
pub(super) fn cookie(datagram: &[u8]) -> Option<&[u8]> {
    let request = record::records(datagram).flatten().next()?;
    let (header, body) = request.body.split_at_checked(12)?;
    if request.kind != record::HANDSHAKE || header.first() != Some(&HELLO_VERIFY_REQUEST) {
        return None;
    }
    let mut reader = Reader(body);
    reader.take(2)?;
    reader.vector(1)
}

fn best_profile(offered: &[u8]) -> Option<Profile> {
    Profile::PREFERENCE.into_iter().find(|p| numbers(offered).any(|id| id == p.id()))
}

fn numbers(bytes: &[u8]) -> impl Iterator<Item = u16> {
    bytes.chunks_exact(2).filter_map(|pair| Some(u16::from_be_bytes(pair.try_into().ok()?)))
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    /// A vector with its length in `width` octets before it.
    fn vector(&mut self, width: usize) -> Option<&'a [u8]> {
        let length = self.take(width)?.iter().fold(0, |sum, &octet| sum << 8 | usize::from(octet));
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hello(version: u8, session: &[u8], suites: &[u8], extensions: &[&[u8]]) -> Vec<u8> {
        let mut body = vec![0xfe, version];
        body.extend([5; 32]);
        body.push(session.len() as u8);
        body.extend(session);
        body.extend([0, 0, suites.len() as u8]);
        body.extend(suites);
        body.extend([1, 0]);
        let extensions = extensions.concat();
        body.extend((extensions.len() as u16).to_be_bytes());
        body.extend(extensions);
        body
    }

    const EMS: &[u8] = &[0, 23, 0, 0];
    const SRTP: &[u8] = &[0, 14, 0, 7, 0, 4, 0, 1, 0, 7, 0];
    const SHA1_32: &[u8] = &[0, 14, 0, 5, 0, 2, 0, 2, 0];

    #[test]
    fn a_cookie_is_given_and_taken_off_again() {
        let provider = rtc_crypto::default_provider().unwrap();
        let first = hello(0xfd, &[], &[0xc0, 0x2b], &[EMS, SRTP]);
        let given = make_cookie("secret", &*provider).unwrap();
        assert_ne!(make_cookie("other", &*provider), Some(given));
        assert_eq!(cookie(&record::plain(record::HANDSHAKE, 0, &verify_request(&given))), Some(&given[..]));

        let mut second = first.clone();
        second[35] = 20;
        second.splice(36..36, given);
        assert_eq!(ClientHello::parse(&second, &[0xc02b]).unwrap().cookie, given);
        let message = without_cookie(&second);
        assert_eq!(message[12..], first);
        assert_eq!((message[0], message[3], message[11]), (1, first.len() as u8, first.len() as u8));
    }

    #[test]
    fn only_what_can_be_finished_is_begun() {
        let check = |body: &[u8]| ClientHello::parse(body, &[0xc02b]).map(|h| h.profile);
        let good = hello(0xfd, &[], &[0, 1, 0xc0, 0x2b], &[EMS, SRTP]);
        assert_eq!(check(&good), Some(Profile::AeadAes128Gcm));
        assert_eq!(check(&hello(0xff, &[], &[0xc0, 0x2b], &[EMS, SRTP])), None);
        assert_eq!(check(&hello(0xfd, &[1, 2], &[0xc0, 0x2b], &[EMS, SRTP])), None);
        assert_eq!(check(&hello(0xfd, &[], &[0, 0], &[EMS, SRTP])), None, "TLS_NULL");
        assert_eq!(check(&hello(0xfd, &[], &[0xc0, 0x2b], &[SRTP])), None);
        assert_eq!(check(&hello(0xfd, &[], &[0xc0, 0x2b], &[EMS])), None);
        assert_eq!(check(&hello(0xfd, &[], &[0xc0, 0x2b], &[EMS, SHA1_32])), None);
        assert_eq!(check(&good[..good.len() - 1]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = ClientHello::parse(&bytes, &[0xc02b]);
            let _ = cookie(&bytes);
            let _ = without_cookie(&bytes);
        }
    }
}
