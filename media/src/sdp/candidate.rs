//! ICE candidates as a peer wrote them (RFC 8839 section 5.1). We are ICE-lite and send to none of them: they are kept
//! to tell afterwards how a browser reached us.

use std::net::{IpAddr, SocketAddr};

use super::lines::{CANDIDATES_LIMIT, Section};

/// Longer lines are cut when they are kept.
const LINE_LIMIT: usize = 256;

/// Where a candidate comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CandidateKind {
    /// An address of the device.
    Host,
    /// What a STUN server saw.
    ServerReflexive,
    /// What the peer saw.
    PeerReflexive,
    /// An address of a TURN server.
    Relay,
}

/// The transport between a candidate and its peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CandidateTransport {
    /// UDP.
    Udp,
    /// TCP (RFC 6544).
    Tcp,
}

/// A candidate whose address is one; names (`….local`, RFC 8828) stay lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Candidate {
    /// Where it comes from.
    pub kind: CandidateKind,
    /// By what it is reached.
    pub transport: CandidateTransport,
    /// Its address.
    pub address: SocketAddr,
}

impl Candidate {
    /// Reads the value of an `a=candidate` line, with or without `candidate:` before it; `None` for names and for what
    /// is no candidate.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let line = line.strip_prefix("candidate:").unwrap_or(line);
        let mut words = line.split_ascii_whitespace();
        let mut next = || words.next();
        let (_foundation, _component, transport, _priority) = (next()?, next()?, next()?, next()?);
        let (address, port, typ, kind) = (next()?, next()?, next()?, next()?);
        let transport = match transport {
            udp if udp.eq_ignore_ascii_case("udp") => CandidateTransport::Udp,
            tcp if tcp.eq_ignore_ascii_case("tcp") => CandidateTransport::Tcp,
            _ => return None,
        };
        let kind = match kind {
            "host" if typ == "typ" => CandidateKind::Host,
            "srflx" if typ == "typ" => CandidateKind::ServerReflexive,
            "prflx" if typ == "typ" => CandidateKind::PeerReflexive,
            "relay" if typ == "typ" => CandidateKind::Relay,
            _ => return None,
        };
        let address: IpAddr = address.parse().ok()?;
        Some(Self { kind, transport, address: SocketAddr::new(address, port.parse().ok()?) })
    }
}

/// The candidate lines of a section, without `a=`, at most 64 of at most 256 octets.
pub(super) fn lines_of(section: &Section<'_>) -> Vec<String> {
    let line = |value: &str| {
        let mut line = format!("candidate:{value}");
        line.truncate(line.floor_char_boundary(LINE_LIMIT));
        line
    };
    section.attributes("candidate").take(CANDIDATES_LIMIT).map(line).collect()
}

/// Those of the lines that name an address.
pub(super) fn addresses(lines: &[String]) -> Vec<Candidate> {
    lines.iter().filter_map(|line| Candidate::parse(line)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn candidates_are_read_as_far_as_they_name_an_address() {
        use CandidateKind::{Host, PeerReflexive, Relay, ServerReflexive};
        use CandidateTransport::{Tcp, Udp};
        let check = |line: &str, expected: Option<(CandidateKind, CandidateTransport, &str)>| {
            let read = Candidate::parse(line).map(|c| (c.kind, c.transport, c.address.to_string()));
            assert_eq!(read, expected.map(|(kind, transport, at)| (kind, transport, at.to_owned())), "{line}");
        };
        check("1 1 udp 2122260223 192.0.2.1 61764 typ host generation 0", Some((Host, Udp, "192.0.2.1:61764")));
        check("candidate:1 1 UDP 1 2001:db8::1 9 typ srflx", Some((ServerReflexive, Udp, "[2001:db8::1]:9")));
        check("1 1 tcp 1 192.0.2.1 9 typ host tcptype active", Some((Host, Tcp, "192.0.2.1:9")));
        check("1 1 udp 1 192.0.2.9 50000 typ relay raddr 10.0.0.1 rport 5", Some((Relay, Udp, "192.0.2.9:50000")));
        check("1 1 udp 1 192.0.2.9 50000 typ prflx", Some((PeerReflexive, Udp, "192.0.2.9:50000")));
        check("1 1 udp 1 7ad2d9a2.local 61765 typ host", None);
        check("1 1 udp 1 192.0.2.9 65536 typ host", None);
        check("1 1 udp 1 192.0.2.9 5 kind host", None);
        check("1 1 sctp 1 192.0.2.9 5 typ host", None);
        check("", None);
    }

    proptest! {
        #[test]
        fn no_line_panics_and_lines_stay_short(line in "\\PC{0,600}") {
            let _ = Candidate::parse(&line);
            let text = format!("a=candidate:{line}\r\n");
            if let Ok(section) = Section::parse_fragment(text.as_bytes()) {
                prop_assert!(lines_of(&section).iter().all(|line| line.len() <= LINE_LIMIT));
            }
        }
    }
}
