//! `application/trickle-ice-sdpfrag` (RFC 8840): what PATCH carries.

use super::browser::{IceCredentials, OfferError};

/// A checked fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    /// Credentials it names (same as before: trickle; new: restart).
    pub ice: IceCredentials,
    /// How many candidates it brings; at most 64 are taken.
    pub candidates: usize,
    /// Whether it ends the candidates.
    pub end_of_candidates: bool,
}

impl Fragment {
    /// Parses and checks a fragment.
    pub fn parse(bytes: &[u8]) -> Result<Self, OfferError> {
        todo!()
    }
}

/// Writes the answer to an ICE restart.
#[must_use]
pub fn answer(ice: &IceCredentials, candidates: &[String]) -> String {
    todo!()
}
