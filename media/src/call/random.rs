//! A call's random choices, all from the one seed it is given.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::rtp::Ssrc;
use crate::sdp::browser::IceCredentials;
use crate::stream::StreamSeed;

/// `ice-char` of RFC 8839 section 5.4: 64 of them, six bits each.
const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// 72 bits: unique on a node, by which a datagram finds its call.
const UFRAG_CHARS: usize = 12;

/// 192 bits; RFC 8445 section 5.3 demands 128.
const PASSWORD_CHARS: usize = 32;

pub(crate) struct Chance(StdRng);

impl Chance {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self(StdRng::from_seed(seed))
    }

    pub(crate) fn credentials(&mut self) -> IceCredentials {
        IceCredentials { ufrag: self.text(UFRAG_CHARS), password: self.text(PASSWORD_CHARS) }
    }

    pub(crate) fn stream(&mut self) -> StreamSeed {
        StreamSeed {
            ssrc: Ssrc(self.0.random()),
            // The upper half is left out so that no stream wraps in its first packets, where an SRTP peer could not
            // tell the roll-over (RFC 3711 section 3.3.1).
            sequence: self.0.random_range(0..0x8000),
            timestamp: self.0.random(),
            cname: self.text(16),
            rtcp: self.0.random(),
        }
    }

    /// `o=` session id: below 2^62, for peers that read it as signed.
    pub(crate) fn session_id(&mut self) -> u64 {
        self.0.random::<u64>() >> 2
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0.random()
    }

    fn text(&mut self, length: usize) -> String {
        (0..length)
            .filter_map(|_| ICE_CHARS.get(self.0.random_range(0..ICE_CHARS.len())))
            .map(|&c| char::from(c))
            .collect()
    }
}
