//! What has to be known of hello messages before the handshake engine sees them.

use super::record;
use crate::browser::srtp::Profile;

pub(super) const CLIENT_HELLO: u8 = 1;
const HELLO_VERIFY_REQUEST: u8 = 3;

const USE_SRTP: u16 = 14;
const EXTENDED_MASTER_SECRET: u16 = 23;

/// A ClientHello we can go on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClientHello {
    pub(super) random: [u8; 32],
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
        let random = reader.take(32)?.try_into().ok()?;
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
        (sound && common && extended).then_some(Self { random, cookie, profile: profile? })
    }
}

/// The cookie in the first HelloVerifyRequest of a datagram.
pub(super) fn cookie(datagram: &[u8]) -> Option<Vec<u8>> {
    let request = record::records(datagram).flatten().next()?;
    let (header, body) = request.body.split_at_checked(12)?;
    if request.kind != record::HANDSHAKE || header.first() != Some(&HELLO_VERIFY_REQUEST) {
        return None;
    }
    let mut reader = Reader(body);
    reader.take(2)?;
    reader.vector(1).map(<[u8]>::to_vec)
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
        }
    }
}
