//! Offer and answer towards the trunk: plain RTP/AVP audio (RFC 3264, RFC 3551, RFC 4733).

use std::net::SocketAddr;

use super::browser::Direction;
use crate::api::RtpSource;
use crate::audio::Codec;
use crate::rtp::PayloadType;

/// What we put into an offer or an answer of our own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalMedia {
    /// Where we receive RTP (the RTCP port is one above). `advertise`d address where one is configured.
    pub address: SocketAddr,
    /// Codecs in order of preference.
    pub codecs: Vec<Codec>,
    /// `o=` session id.
    pub session_id: u64,
    /// `o=` version; one more for every changed description.
    pub version: u64,
}

/// What the trunk leg needs to know to send and to receive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrunkMedia {
    /// Where RTP goes and, unless latching is on, comes from.
    pub remote: SocketAddr,
    /// Where RTCP goes.
    pub remote_rtcp: SocketAddr,
    /// The codec in use.
    pub codec: Codec,
    /// Its payload type (theirs, which an answer shares with the offer).
    pub payload_type: PayloadType,
    /// telephone-event at 8000 Hz, if agreed.
    pub telephone_event: Option<PayloadType>,
    /// How many milliseconds of audio the peer wants in a packet (`a=ptime`, default 20).
    pub ptime_ms: u32,
    /// As the peer writes it: `SendOnly` means it has put us on hold with music, `Inactive` on silent hold.
    pub peer_direction: Direction,
    /// Whom to believe.
    pub source: RtpSource,
}

/// Why a description from the trunk cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrunkSdpError {
    /// Not SDP, or broken.
    #[error("invalid SDP: {0}")]
    Invalid(String),
    /// No codec in common, encryption demanded, audio refused (488).
    #[error("unacceptable SDP: {0}")]
    Unacceptable(String),
}

/// Our offer.
#[must_use]
pub fn offer(local: &LocalMedia) -> String {
    todo!()
}

/// Reads the trunk's answer to [`offer`].
pub fn accept_answer(local: &LocalMedia, answer: &[u8], source: RtpSource) -> Result<TrunkMedia, TrunkSdpError> {
    todo!()
}

/// Answers an offer from the trunk (re-INVITE; first offer when we are called): what to apply, and the SDP to send.
/// Hold is answered as RFC 3264 section 8.4 says.
pub fn answer_offer(
    local: &LocalMedia,
    offer: &[u8],
    source: RtpSource,
) -> Result<(TrunkMedia, String), TrunkSdpError> {
    todo!()
}
