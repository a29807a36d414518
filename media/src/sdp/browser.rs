//! The browser's offer, checked, and our answer to it.

pub use super::candidate::{Candidate, CandidateKind, CandidateTransport};
use super::{browser_answer, browser_offer};
use crate::audio::{Codec, OpusWishes};
use crate::rtp::{PayloadType, Ssrc};

/// ICE user fragment and password of one side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IceCredentials {
    /// `a=ice-ufrag`, 4..=256 characters.
    pub ufrag: String,
    /// `a=ice-pwd`, 22..=256 characters.
    pub password: String,
}

/// A certificate fingerprint (RFC 8122).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// Hash name, lower case; `sha-256` is what we make, `sha-1` is refused.
    pub algorithm: String,
    /// The hash.
    pub bytes: Vec<u8>,
}

/// A checked offer: one audio m-line, BUNDLE, rtcp-mux, DTLS-SRTP. Limits: 64 KiB, 16 m-lines (all but one audio line
/// rejected or refused), 64 candidates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// `a=mid` of the audio line.
    pub mid: String,
    /// The browser's ICE credentials.
    pub ice: IceCredentials,
    /// Its certificate fingerprints.
    pub fingerprints: Vec<Fingerprint>,
    /// Codecs in the offer's order that this gateway knows, with their payload type.
    pub codecs: Vec<(PayloadType, Codec)>,
    /// `telephone-event` payload types with their clock.
    pub telephone_events: Vec<(PayloadType, u32)>,
    /// What the browser wants of Opus.
    pub opus: OpusWishes,
    /// Redundancy (RFC 2198) for Opus, if it knows that.
    pub redundancy: Option<PayloadType>,
    /// SSRC the browser announces, if it does.
    pub ssrc: Option<Ssrc>,
    /// Whether the browser wants to send / to receive.
    pub direction: Direction,
    /// How many candidates it named (addresses are not used: we are ICE-lite).
    pub candidates: usize,
    /// Those whose address is one.
    pub candidate_addresses: Vec<Candidate>,
    /// All of them as they were written, without `a=`; each at most 256 octets.
    pub candidate_lines: Vec<String>,
    /// The line as it must be echoed: `UDP/TLS/RTP/SAVPF` or a registered variant.
    pub protocol: String,
    /// Whether the browser takes reduced-size RTCP (RFC 5506).
    pub rtcp_rsize: bool,
    /// Payload types of which it asks for lost packets again (`a=rtcp-fb … nack`, RFC 4585 section 4.2).
    pub nacks: Vec<PayloadType>,
}

/// Media direction as its owner writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Sends and receives.
    #[default]
    SendRecv,
    /// Sends only.
    SendOnly,
    /// Receives only.
    RecvOnly,
    /// Neither.
    Inactive,
}

/// Why an offer is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// Not SDP, or broken where it matters (400 `invalid-sdp`).
    #[error("invalid SDP: {0}")]
    Invalid(String),
    /// Sound, but not something we do (422 `unsupported-sdp`).
    #[error("unsupported SDP: {0}")]
    Unsupported(String),
}

impl Offer {
    /// Parses and checks an offer.
    pub fn parse(bytes: &[u8]) -> Result<Self, OfferError> {
        browser_offer::parse(bytes)
    }
}

/// What the two sides agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrowserMedia {
    /// What we expect first and send: the answer's first codec.
    pub codec: Codec,
    /// Its payload type.
    pub payload_type: PayloadType,
    /// Those of the payload types whose lost packets are sent again when the browser asks.
    pub nacks: Vec<PayloadType>,
    /// Every codec the browser may send us, with its payload type.
    pub accepted: Vec<(PayloadType, Codec)>,
    /// The one telephone-event whose clock equals the chosen codec's.
    pub telephone_event: Option<PayloadType>,
    /// What the browser wants of Opus.
    pub opus: OpusWishes,
    /// Redundancy (RFC 2198) for Opus.
    pub redundancy: Option<PayloadType>,
    /// Whether the browser will send.
    pub receives: bool,
    /// Whether the browser wants to hear.
    pub sends: bool,
}

impl BrowserMedia {
    /// Chooses codecs: those of `allowed` that are offered, in the offer's order, `prefer` first if offered.
    pub fn negotiate(offer: &Offer, allowed: &[Codec], prefer: Option<Codec>) -> Result<Self, OfferError> {
        let mut accepted: Vec<(PayloadType, Codec)> = Vec::new();
        for &(payload_type, codec) in &offer.codecs {
            if allowed.contains(&codec) && accepted.iter().all(|(_, c)| *c != codec) {
                accepted.push((payload_type, codec));
            }
        }
        // Stable, so the others keep the offer's order.
        accepted.sort_by_key(|(_, codec)| Some(*codec) != prefer);
        let &(payload_type, codec) =
            accepted.first().ok_or_else(|| OfferError::Unsupported("no codec in common".into()))?;
        let event = offer.telephone_events.iter().find(|(_, clock)| *clock == codec.clock_rate());
        Ok(Self {
            codec,
            payload_type,
            telephone_event: event.map(|(payload_type, _)| *payload_type),
            opus: offer.opus,
            redundancy: offer.redundancy.filter(|_| accepted.iter().any(|(_, codec)| *codec == Codec::Opus)),
            receives: matches!(offer.direction, Direction::SendRecv | Direction::SendOnly),
            sends: matches!(offer.direction, Direction::SendRecv | Direction::RecvOnly),
            nacks: accepted.iter().map(|(number, _)| *number).filter(|number| offer.nacks.contains(number)).collect(),
            accepted,
        })
    }
}

/// What goes into an answer beside the negotiated media.
#[derive(Debug, Clone)]
pub struct AnswerParts<'a> {
    /// Our ICE credentials.
    pub ice: &'a IceCredentials,
    /// `a=candidate` values without `a=`.
    pub candidates: &'a [String],
    /// Our certificate's SHA-256.
    pub fingerprint: &'a Fingerprint,
    /// Our stream.
    pub ssrc: Ssrc,
    /// Its cname (random, names nobody).
    pub cname: &'a str,
    /// `o=` session id and version.
    pub session: (u64, u64),
    /// Nobody hears the browser at a higher rate than this, Hz.
    pub playback_rate: u32,
}

/// Writes the answer: BUNDLE, mid, rtcp-mux, ice-lite, setup:passive, ssrc with cname, all candidates,
/// end-of-candidates.
#[must_use]
pub fn answer(offer: &Offer, media: &BrowserMedia, parts: &AnswerParts<'_>) -> String {
    browser_answer::write(offer, media, parts)
}

impl IceCredentials {
    /// Checks what a peer wrote (RFC 8839 section 5.4: lengths, and letters, digits, `+`, `/` only).
    pub(super) fn checked(ufrag: &str, password: &str) -> Result<Self, OfferError> {
        // `-`, `_` and `=` are not in the grammar, but some stacks send them and no harm comes of it.
        let is_ice = |c: char| c.is_ascii_alphanumeric() || "+/-_=".contains(c);
        let sound = (4..=256).contains(&ufrag.len())
            && (22..=256).contains(&password.len())
            && ufrag.chars().chain(password.chars()).all(is_ice);
        if !sound {
            return Err(OfferError::Invalid("bad ice-ufrag or ice-pwd".into()));
        }
        Ok(Self { ufrag: ufrag.into(), password: password.into() })
    }
}

impl Fingerprint {
    /// The hash as SDP writes it: upper-case hexadecimal with colons.
    #[must_use]
    pub fn hex(&self) -> String {
        let octets: Vec<String> = self.bytes.iter().map(|octet| format!("{octet:02X}")).collect();
        octets.join(":")
    }
}

#[cfg(test)]
#[path = "browser_tests.rs"]
mod tests;
