//! Whose packets are believed on a port that has no encryption: the guard against injected and bled media.

use std::net::SocketAddr;

use crate::api::RtpSource;
use crate::rtp::{RtpPacket, Ssrc};

/// Packets in sequence from one address before it is believed for good.
const LATCH_PACKETS: u8 = 4;

/// Decides whether a datagram on the RTP port is the peer's.
pub(crate) struct SourceGuard {
    signalled: SocketAddr,
    state: State,
}

enum State {
    /// Only the signalled address, ever.
    Signalled,
    /// The signalled IP address, port not known yet.
    Searching(Option<Candidate>),
    /// Found; never looked for again, so that nobody can take the stream over later.
    Latched(SocketAddr),
}

#[derive(Clone, Copy)]
struct Candidate {
    from: SocketAddr,
    ssrc: Ssrc,
    next_sequence: u16,
    in_sequence: u8,
}

impl SourceGuard {
    pub(crate) fn new(source: RtpSource, signalled: SocketAddr) -> Self {
        let state = match source {
            RtpSource::Signalled => State::Signalled,
            RtpSource::Latch => State::Searching(None),
        };
        Self { signalled, state }
    }

    /// Whether a datagram from there is worth a look.
    pub(crate) fn could_be(&self, from: SocketAddr) -> bool {
        match &self.state {
            State::Signalled => from == self.signalled,
            State::Latched(latched) => from == *latched,
            State::Searching(_) => from.ip() == self.signalled.ip(),
        }
    }

    /// Whether this datagram is to be believed. While an address is searched for none is; the one that completes the
    /// proof is the first.
    pub(crate) fn accepts(&mut self, from: SocketAddr, datagram: &[u8]) -> bool {
        match &mut self.state {
            State::Signalled => from == self.signalled,
            State::Latched(latched) => from == *latched,
            State::Searching(candidate) => {
                if from.ip() != self.signalled.ip() {
                    return false;
                }
                let Some(packet) = RtpPacket::parse(datagram) else { return false };
                let in_sequence = match candidate {
                    Some(c) if c.from == from && c.ssrc == packet.ssrc && c.next_sequence == packet.sequence => {
                        c.in_sequence.saturating_add(1)
                    }
                    Some(_) | None => 1,
                };
                if in_sequence >= LATCH_PACKETS {
                    self.state = State::Latched(from);
                    return true;
                }
                *candidate = Some(Candidate {
                    from,
                    ssrc: packet.ssrc,
                    next_sequence: packet.sequence.wrapping_add(1),
                    in_sequence,
                });
                false
            }
        }
    }

    /// Whether a report from an address that was not signalled is believed: any port of the IP address, if latching.
    pub(crate) fn accepts_report(&self, from: SocketAddr) -> bool {
        match self.state {
            State::Signalled => false,
            State::Searching(_) | State::Latched(_) => from.ip() == self.signalled.ip(),
        }
    }

    /// The address found by latching.
    pub(crate) fn latched(&self) -> Option<SocketAddr> {
        match self.state {
            State::Latched(address) => Some(address),
            State::Signalled | State::Searching(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sequence: u16) -> Vec<u8> {
        let mut bytes = vec![0x80, 0];
        bytes.extend_from_slice(&sequence.to_be_bytes());
        bytes.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 7, 0xff]);
        bytes
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_the_signalled_address_is_believed() {
        let mut guard = SourceGuard::new(RtpSource::Signalled, at("192.0.2.1:4000"));
        assert!(guard.accepts(at("192.0.2.1:4000"), &packet(1)));
        assert!(!guard.accepts(at("192.0.2.1:4002"), &packet(2)));
        assert!(!guard.accepts(at("192.0.2.2:4000"), &packet(2)));
        assert!(!guard.accepts_report(at("192.0.2.1:4002")));
    }

    #[test]
    fn latching_takes_four_packets_in_sequence_from_the_signalled_host_and_never_moves_again() {
        let mut guard = SourceGuard::new(RtpSource::Latch, at("192.0.2.1:4000"));
        let nat = at("192.0.2.1:61000");
        for sequence in [10, 11, 12] {
            assert!(!guard.accepts(nat, &packet(sequence)));
        }
        assert!(!guard.accepts(at("198.51.100.9:61000"), &packet(13)), "another host never counts");
        assert!(guard.accepts(nat, &packet(13)));
        assert_eq!(guard.latched(), Some(nat));
        for sequence in 14..30 {
            assert!(!guard.accepts(at("192.0.2.1:61002"), &packet(sequence)), "no second latch");
        }
    }

    #[test]
    fn a_break_in_the_sequence_starts_the_proof_again() {
        let mut guard = SourceGuard::new(RtpSource::Latch, at("192.0.2.1:4000"));
        let from = at("192.0.2.1:4000");
        let believed: Vec<bool> = [1, 2, 3, 9, 10, 11, 12].iter().map(|s| guard.accepts(from, &packet(*s))).collect();
        assert_eq!(believed, [false, false, false, false, false, false, true]);
    }
}
