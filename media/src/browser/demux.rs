//! What kind of datagram this is (RFC 7983), and which call an unknown 5-tuple's STUN request names.

use super::stun;

/// A datagram by its first octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 0..=3 and the magic cookie.
    Stun,
    /// 20..=63.
    Dtls,
    /// 128..=191, payload type not 64..=95 (RFC 5761).
    Rtp,
    /// 128..=191, payload type 64..=95.
    Rtcp,
    /// Nothing we know.
    Unknown,
}

/// Classifies a datagram.
#[must_use]
pub fn classify(datagram: &[u8]) -> Kind {
    match datagram {
        [0..=3, _, _, _, 0x21, 0x12, 0xA4, 0x42, ..] => Kind::Stun,
        [20..=63, ..] => Kind::Dtls,
        [128..=191, second, ..] => match second & 0x7f {
            64..=95 => Kind::Rtcp,
            _ => Kind::Rtp,
        },
        _ => Kind::Unknown,
    }
}

/// The local ufrag (before the colon) in a STUN Binding request's USERNAME, without checking anything else.
#[must_use]
pub fn local_ufrag(stun: &[u8]) -> Option<&str> {
    if stun::message_type(stun) != Some(stun::BINDING_REQUEST) {
        return None;
    }
    let username = stun::attributes(stun).find(|a| a.kind == stun::USERNAME)?.value;
    let end = username.iter().position(|&b| b == b':')?;
    std::str::from_utf8(username.get(..end)?).ok().filter(|ufrag| !ufrag.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::browser::stun::testing::{Check, request};

    #[test]
    fn first_octets_decide() {
        let check = |bytes: &[u8], expected| assert_eq!(classify(bytes), expected, "{bytes:?}");
        check(&[], Kind::Unknown);
        check(&[0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42], Kind::Stun);
        check(&[0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x43], Kind::Unknown);
        check(&[0, 1], Kind::Unknown);
        check(&[4], Kind::Unknown);
        check(&[19], Kind::Unknown);
        check(&[20], Kind::Dtls);
        check(&[22, 254, 253], Kind::Dtls);
        check(&[63], Kind::Dtls);
        check(&[64], Kind::Unknown);
        check(&[127, 0], Kind::Unknown);
        check(&[128], Kind::Unknown);
        check(&[128, 0], Kind::Rtp);
        check(&[128, 0x80 | 111], Kind::Rtp);
        check(&[128, 63], Kind::Rtp);
        check(&[128, 64], Kind::Rtcp);
        check(&[128, 200], Kind::Rtcp);
        check(&[191, 223], Kind::Rtcp);
        check(&[128, 96], Kind::Rtp);
        check(&[192, 0], Kind::Unknown);
    }

    #[test]
    fn the_ufrag_before_the_colon_names_the_call() {
        let name = |username: &str| {
            let bytes = request(&Check { username, ..Check::default() });
            local_ufrag(&bytes).map(str::to_owned)
        };
        assert_eq!(name("ours:theirs").as_deref(), Some("ours"));
        assert_eq!(name("a:b:c").as_deref(), Some("a"));
        assert_eq!(name(":theirs"), None);
        assert_eq!(name("nocolon"), None);
        let mut answer = request(&Check::default());
        answer[0] = 1;
        assert_eq!(local_ufrag(&answer), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = classify(&bytes);
            let _ = local_ufrag(&bytes);
        }
    }
}
