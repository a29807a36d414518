//! `application/trickle-ice-sdpfrag` (RFC 8840): what PATCH carries.

use super::browser::{IceCredentials, OfferError};
use super::browser_answer::with_name;
use super::candidate::{self, Candidate};
use super::lines::Section;
use super::push_line;

/// A checked fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    /// Credentials it names (same as before: trickle; new: restart).
    pub ice: IceCredentials,
    /// How many candidates it brings; at most 64 are taken.
    pub candidates: usize,
    /// Those whose address is one.
    pub candidate_addresses: Vec<Candidate>,
    /// All of them as they were written, without `a=`; each at most 256 octets.
    pub candidate_lines: Vec<String>,
    /// Whether it ends the candidates.
    pub end_of_candidates: bool,
}

impl Fragment {
    /// Parses and checks a fragment.
    pub fn parse(bytes: &[u8]) -> Result<Self, OfferError> {
        let lines = Section::parse_fragment(bytes).map_err(OfferError::Invalid)?;
        let (Some(ufrag), Some(password)) = (lines.attribute("ice-ufrag"), lines.attribute("ice-pwd")) else {
            return Err(OfferError::Invalid("no ice-ufrag or ice-pwd".into()));
        };
        let candidate_lines = candidate::lines_of(&lines);
        Ok(Self {
            ice: IceCredentials::checked(ufrag, password)?,
            candidates: candidate_lines.len(),
            candidate_addresses: candidate::addresses(&candidate_lines),
            candidate_lines,
            end_of_candidates: lines.has("end-of-candidates"),
        })
    }
}

/// Writes the answer to an ICE restart.
#[must_use]
pub fn answer(ice: &IceCredentials, candidates: &[String]) -> String {
    let mut text = String::with_capacity(400);
    push_line(&mut text, format_args!("a=ice-lite"));
    push_line(&mut text, format_args!("a=ice-ufrag:{}", ice.ufrag));
    push_line(&mut text, format_args!("a=ice-pwd:{}", ice.password));
    for candidate in candidates {
        push_line(&mut text, format_args!("a={}", with_name(candidate)));
    }
    push_line(&mut text, format_args!("a=end-of-candidates"));
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 9725 section 4.3.1, in shape.
    const TRICKLE: &str = "a=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:EsAw\r\n\
        a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n\
        a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw network-id 1\r\n\
        a=candidate:3471623853 1 udp 2122194687 7ad2d9a2.local 61765 typ host generation 0 ufrag EsAw network-id 2\r\n\
        a=end-of-candidates\r\n";

    #[test]
    fn a_trickle_fragment_is_read() {
        let fragment = Fragment::parse(TRICKLE.as_bytes()).unwrap();
        assert_eq!(fragment.ice.ufrag, "EsAw");
        assert_eq!((fragment.candidates, fragment.end_of_candidates), (2, true));
        // A name is kept as a line only.
        assert_eq!((fragment.candidate_lines.len(), fragment.candidate_addresses.len()), (2, 1));
    }

    #[test]
    fn many_candidates_are_counted_to_the_limit() {
        let text = format!("{TRICKLE}{}", "a=candidate:1 1 udp 1 10.0.0.1 1 typ host\r\n".repeat(1000));
        assert_eq!(Fragment::parse(text.as_bytes()).map(|f| f.candidates), Ok(64));
    }

    #[test]
    fn broken_fragments_are_refused() {
        for text in ["", "a=ice-ufrag:EsAw\r\n", "a=ice-ufrag:x\r\na=ice-pwd:short\r\n", "hello", "\u{0}"] {
            assert!(matches!(Fragment::parse(text.as_bytes()), Err(OfferError::Invalid(_))), "{text:?}");
        }
    }

    #[test]
    fn the_answer_reads_back() {
        let ice = IceCredentials { ufrag: "ours".into(), password: "a-password-of-22-chars".into() };
        let candidates = ["candidate:1 1 udp 2130706431 192.0.2.1 3478 typ host".to_owned()];
        let fragment = Fragment::parse(answer(&ice, &candidates).as_bytes()).unwrap();
        assert_eq!((&fragment.ice, &fragment.candidate_lines[..]), (&ice, &candidates[..]));
        assert_eq!((fragment.candidates, fragment.end_of_candidates), (1, true));
        assert_eq!(fragment.candidate_addresses[0].address.to_string(), "192.0.2.1:3478");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Fragment::parse(&bytes);
        }
    }
}
