//! What kind of datagram this is (RFC 7983), and which call an unknown 5-tuple's STUN request names.

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
    todo!()
}

/// The local ufrag (before the colon) in a STUN Binding request's USERNAME, without checking anything else.
#[must_use]
pub fn local_ufrag(stun: &[u8]) -> Option<&str> {
    todo!()
}
